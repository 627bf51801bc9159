//! Shared by the fuzz targets: users and their cookies, an outpost, and requests written as text,
//! so that people can read seeds and the fuzzer mutates the significant parts.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use gatepost::config::Config;
use gatepost::runtime::{Outpost, Snapshot};
use gatepost_base::Clock;
use gatepost_session::NumericDate;
use http::{HeaderName, HeaderValue, Request, Response};
use serde_json::json;
use tower::ServiceExt as _;

// Those that the built guest is given in its tests.
#[path = "../../plugin/tests/guest/token.rs"]
mod token;

use self::token::{NOW, token};

/// The only key.
pub const KEY: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

/// The outpost's configuration.
const CONFIGURATION: &str = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
store: {kind: memory}
trustedProxies: [127.0.0.1]
providers:
  - {name: main, issuer: 'https://id.example.com', clientId: gatepost}
applications:
  - {name: wiki, externalUrl: 'https://wiki.example.com', public: ['/public/*', 'GET=/hook'],
     allowPreflight: true, require: {groups: [staff]}, rules: [
       {name: health, paths: [/healthz], methods: [GET], public: true},
       {name: closed, paths: ['/internal/*', '/admin.php'], deny: true},
       {name: admins, paths: ['/admin/*'], require: {groups: [admins]}},
       {name: writers, paths: ['/files/*'], methods: [POST], require: {not: {groups: [guests]}}},
       {name: lounge, paths: ['/lounge/*'], signedIn: true}]}
  - {name: plain, externalUrl: 'http://plain.localhost:8080', outpostPrefix: /sso}
  - {name: intranet, mode: domain, externalUrl: 'https://auth.example.org',
     cookieDomain: example.org}
";

/// The plugin's settings for the application `wiki` of the outpost's configuration.
pub const SETTINGS: &str = r#"{
    "application": "wiki", "issuer": "https://id.example.com", "fallback": "route",
    "keys": "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
    "cookieName": "__Host-gatepost", "public": ["/public/*", "GET=/hook"],
    "allowPreflight": true, "require": {"groups": ["staff"]},
    "rules": [
        {"name": "health", "paths": ["/healthz"], "methods": ["GET"], "public": true},
        {"name": "closed", "paths": ["/internal/*", "/admin.php"], "deny": true},
        {"name": "admins", "paths": ["/admin/*"], "require": {"groups": ["admins"]}},
        {"name": "writers", "paths": ["/files/*"], "methods": ["POST"],
         "require": {"not": {"groups": ["guests"]}}},
        {"name": "lounge", "paths": ["/lounge/*"], "signedIn": true}
    ]
}"#;

/// Returns the configuration at work.
pub fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: LazyLock<Snapshot> =
        LazyLock::new(|| Snapshot::new(&config(), &Clock::new(now), None).expect("a snapshot"));
    &SNAPSHOT
}

fn config() -> Config {
    Config::parse(CONFIGURATION, []).expect("a configuration")
}

/// Returns the time at which everything happens.
pub fn now() -> NumericDate {
    NumericDate::from_seconds(NOW)
}

/// Sends a request to an outpost in this process.
pub fn ask(peer: &str, mut request: Request<Body>) -> Response<Body> {
    static OUTPOST: LazyLock<(tokio::runtime::Runtime, Router)> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let outpost: Arc<Outpost> = Outpost::new(&config(), Clock::new(now)).expect("an outpost");
        (runtime, gatepost::web::router(outpost))
    });
    let (runtime, router) = &*OUTPOST;
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    runtime
        .block_on(router.clone().oneshot(request))
        .expect("infallible")
}

/// The tokens that a text can name in braces.
static TOKENS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let mut long = token(KEY, |_| {});
    let back = long.split_off(long.len() / 2);
    vec![
        ("{alice}", token(KEY, |_| {})),
        ("{due}", token(KEY, |claims| claims["rnw"] = json!(NOW))),
        ("{over}", token(KEY, |claims| claims["exp"] = json!(NOW))),
        (
            "{early}",
            token(KEY, |claims| claims["iat"] = json!(NOW + 31)),
        ),
        (
            "{plain}",
            token(KEY, |claims| claims["aud"] = json!("plain")),
        ),
        (
            "{nobody}",
            token(KEY, |claims| claims["groups"] = json!([])),
        ),
        (
            "{more}",
            token(KEY, |claims| {
                claims["groups"] = json!([]);
                claims["grp_more"] = json!(true);
            }),
        ),
        (
            "{odd}",
            token(KEY, |claims| {
                claims["preferred_username"] = json!("a\r\nX-Evil: 1")
            }),
        ),
        ("{front}", long),
        ("{back}", back),
    ]
});

/// Returns whether this is a token that was signed with the key.
pub fn is_genuine(token: &[u8]) -> bool {
    let front = &TOKENS[TOKENS.len() - 2].1;
    TOKENS
        .iter()
        .any(|(_, known)| known != front && known.as_bytes() == token)
}

/// Puts tokens in the place of their names.
pub fn with_tokens(data: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(byte) = rest.first() {
        match TOKENS
            .iter()
            .find(|(name, _)| rest.starts_with(name.as_bytes()))
        {
            Some((name, token)) => {
                filled.extend(token.as_bytes());
                rest = &rest[name.len()..];
            }
            None => {
                filled.push(*byte);
                rest = &rest[1..];
            }
        }
    }
    filled
}

/// A request as text: `METHOD target`, then a header a line.
pub struct Sent {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header, as far as it can be one.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Sent {
    /// Reads one.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let data = with_tokens(data);
        let mut lines = data.split(|byte| *byte == b'\n');
        let line = std::str::from_utf8(lines.next()?).ok()?;
        let (method, target) = line.split_once(' ')?;
        let headers = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = HeaderName::from_bytes(&line[..colon]).ok()?;
                let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
                Some((name, value))
            })
            .collect();
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
        })
    }

    /// Returns whether some value of the header contains these bytes.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.headers
            .iter()
            .any(|(_, value)| value.as_bytes().windows(text.len()).any(|w| w == text))
    }
}
