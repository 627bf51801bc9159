//! The plugin's settings: what an operator writes in Traefik's dynamic configuration.

use std::fmt::{self, Write as _};

use gatepost_policy::config::{
    Fields, INNER_NETWORKS, Problem, Problems, Value, headers, policy, proxies,
};
use gatepost_policy::{
    HeaderName, HeaderRules, Network, OutpostPrefix, OutpostUrl, Policy, SignIn,
};
use gatepost_session::cookie::CookieName;
use gatepost_session::{Audience, CLOCK_SKEW_SECONDS, KeyRing};
use zeroize::Zeroizing;

use crate::host::{Host, Level};
use crate::keys::KeySource;
use crate::labels::may_be_sorted;
use crate::narrowing::{Narrowing, narrow};

/// The most clock skew that can be allowed, in seconds: beyond that a clock is wrong, not askew.
const MAX_CLOCK_SKEW_SECONDS: u64 = 300;

/// Settings that can be served.
#[derive(Debug)]
pub struct Config {
    /// The application whose sessions are accepted.
    pub application: Audience,
    /// The providers whose sessions are accepted; empty for any.
    pub issuers: Vec<String>,
    /// Where a sign-in starts.
    pub sign_in: SignIn,
    /// The answer to requests that the plugin cannot let through.
    pub fallback: Fallback,
    /// The rules for requests.
    pub policy: Policy,
    /// The networks of what may stand between the clients and the proxy.
    pub proxies: Vec<Network>,
    /// What the router has narrowed, where the rules come from the outpost's folder.
    pub narrowing: Option<Narrowing>,
    /// The word for "allowed" that the routers behind the plugin know, where it is not derived from
    /// the keys.
    pub verdict: Option<String>,
    /// The headers that go upstream.
    pub headers: HeaderRules,
    /// The session cookie's name.
    pub cookie_name: CookieName,
    /// Its name on requests that came over plain http, where no name is configured.
    pub plain_cookie_name: Option<CookieName>,
    /// Where browsers reach the application over plain http.
    pub plain_http: PlainHttp,
    /// Whether the application sees the session cookie.
    pub forward_cookie: bool,
    /// The headers in which the application gets the user's tokens. Then the outpost, which has them,
    /// is asked about every request.
    pub upstream_tokens: Option<String>,
    /// How far the outpost's clock may be ahead, in seconds.
    pub clock_skew: u64,
    /// Where the keys come from; `None` where the outpost's folder has them.
    pub keys: Option<KeySource>,
    /// Session ids that are refused.
    pub revoked: Vec<String>,
    /// The outpost's list of revoked sessions, as the guest sees it.
    pub revoked_file: Option<String>,
    /// From which level log lines are written.
    pub log_level: Level,
}

/// Where browsers reach an application over plain http. A proxy in front may end TLS without
/// Traefik's knowledge, so a request alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// At every host.
    Everywhere,
    /// At names and addresses of the browser's own machine.
    OnLocalhost,
    /// Nowhere.
    Nowhere,
}

/// One application on its host, or all hosts under one cookie domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The outpost answers under the prefix on the application's own host.
    Single,
    /// The outpost has a host of its own, and one sign-in is valid at all hosts of the domain.
    Domain,
}

/// What happens to a request that has no session in force or may not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// The plugin answers it itself: a redirect for page loads, else a status code.
    #[default]
    Redirect,
    /// It goes on with its verdict in a header, and a router behind the plugin takes it to the
    /// outpost.
    Route,
}

impl Config {
    /// Logs a message of a level that the operator has asked for.
    pub(crate) fn log(&self, host: &impl Host, level: Level, message: &str) {
        if level >= self.log_level {
            host.log(level, message);
        }
    }

    /// Reads the JSON that the proxy hands over, where it has everything.
    ///
    /// # Errors
    ///
    /// Every problem with it. No message has a secret's value.
    pub fn read(json: &[u8]) -> Result<Self, ConfigError> {
        let value = read_settings(json)?;
        read_section(&value, &Problems::new(), |fields| {
            Self::read_fields(fields, None)
        })
    }

    /// Reads every key before it gives up, so that all problems are found. Where `fields` are what
    /// the outpost's folder says, `router` has what is a router's own, and narrows the rest.
    pub(crate) fn read_fields<'v>(
        mut fields: Fields<'v>,
        mut router: Option<Fields<'v>>,
    ) -> Option<Self> {
        let in_folder = router.is_some();
        let own = router.as_mut().unwrap_or(&mut fields);
        // A router names its folder; elsewhere there is none.
        own.value("stateDir");
        let application = application(own);
        let fallback = own
            .choice(
                "fallback",
                &[("redirect", Fallback::Redirect), ("route", Fallback::Route)],
            )
            .unwrap_or_default();
        let verdict = own.parsed("verdict", |word| {
            let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            let good = (22..=128).contains(&word.len()) && word.bytes().all(accepted);
            good.then(|| word.to_owned())
                .ok_or("expected 22 to 128 random letters, digits, `-` or `_`, or nothing")
        });
        let clock_skew = own.seconds("clockSkew").unwrap_or(CLOCK_SKEW_SECONDS);
        let most = if in_folder {
            CLOCK_SKEW_SECONDS
        } else {
            MAX_CLOCK_SKEW_SECONDS
        };
        if clock_skew > most {
            own.problem("clockSkew", format_args!("expected at most {most}s"));
        }
        let log_level = own
            .choice(
                "logLevel",
                &[
                    ("debug", Level::Debug),
                    ("info", Level::Info),
                    ("warn", Level::Warn),
                    ("error", Level::Error),
                ],
            )
            .unwrap_or_default();
        let revoked = own.list("revoked").unwrap_or_default();
        let mut between = proxies(own, INNER_NETWORKS);
        let issuers = fields.list("issuer");
        if issuers.as_ref().is_some_and(Vec::is_empty) {
            fields.problem("issuer", "is empty: leave it out to accept any");
        }
        let mode = fields
            .choice(
                "mode",
                &[("single", Mode::Single), ("domain", Mode::Domain)],
            )
            .unwrap_or(Mode::Single);
        let prefix = fields
            .parsed("outpostPrefix", OutpostPrefix::new)
            .unwrap_or_default();
        let outpost_url = outpost_url(&mut fields, mode);
        let configured_name = fields.parsed("cookieName", CookieName::new);
        let plain_cookie_name = configured_name
            .is_none()
            .then(|| CookieName::default_for(false, mode == Mode::Domain));
        let cookie_name =
            configured_name.unwrap_or_else(|| CookieName::default_for(true, mode == Mode::Domain));
        let plain_outpost = outpost_url
            .as_ref()
            .map(|url| url.as_str().starts_with("http://"));
        let plain_http = match fields.flag("plainHttp").or(plain_outpost) {
            Some(true) => PlainHttp::Everywhere,
            Some(false) => PlainHttp::Nowhere,
            None => PlainHttp::OnLocalhost,
        };
        if in_folder {
            // Whatever the router says, what the outpost takes for a proxy is no client here either.
            between.extend(proxies(&mut fields, ""));
        }
        let forward_cookie = fields.flag("forwardCookie").unwrap_or(false);
        let mut tokens = Vec::new();
        let upstream_tokens = fields.section("upstreamTokens");
        let upstream_tokens = upstream_tokens.map(|section| token_headers(section, &mut tokens));
        if upstream_tokens.is_some() && fallback == Fallback::Redirect {
            fields.problem(
                "upstreamTokens",
                "needs `fallback: route`: the outpost has the tokens, and is asked about no request \
                 that the plugin lets pass by itself",
            );
        }
        let (keys, revoked_file) = if in_folder {
            (None, None)
        } else {
            (keys(&mut fields), revoked_file(&mut fields))
        };
        let policy = policy(&mut fields);
        if !in_folder && fields.value("rules").is_some_and(may_be_sorted) {
            fields.problem(
                "rules",
                "more than nine may be in another order: write them as one JSON",
            );
        }
        let name = application.as_ref().map_or("", Audience::as_str);
        let headers = headers(&mut fields, name, policy.machine_clients.api_key_header());
        let headers = headers.reserving(tokens);
        fields.finish();
        let mut config = Self {
            application: application?,
            issuers: issuers.unwrap_or_default(),
            sign_in: match outpost_url {
                Some(url) => SignIn::OnOutpost(url, prefix),
                None => SignIn::OnHost(prefix),
            },
            fallback,
            verdict,
            policy,
            proxies: between,
            narrowing: None,
            headers,
            cookie_name,
            plain_cookie_name,
            plain_http,
            forward_cookie,
            upstream_tokens,
            clock_skew,
            keys,
            revoked,
            revoked_file,
            log_level,
        };
        let outpost_decides = config.fallback == Fallback::Route;
        config.narrowing = router.map(|router| narrow(router, &mut config.policy, outpost_decides));
        // In the long form, the outpost's rules are not known here.
        let others_may_ask = outpost_decides && !in_folder;
        config.headers = config.headers.guarding(&config.policy, others_may_ask);
        Some(config).filter(|config| in_folder || config.keys.is_some())
    }
}

/// Reads the application's name.
pub(crate) fn application(fields: &mut Fields<'_>) -> Option<Audience> {
    let meaning = "the application's name in the outpost's configuration";
    let name = fields.required_text("application", meaning)?;
    Audience::new(&name)
        .map_err(|error| fields.problem("application", error))
        .ok()
}

/// Reads the headers in which the application gets tokens: all of them in one text, and to `names`
/// those that no client may send.
fn token_headers(mut fields: Fields<'_>, names: &mut Vec<HeaderName>) -> String {
    let mut all = String::new();
    for key in &["accessToken", "idToken"] {
        let Some(name) = fields.text(key) else {
            continue;
        };
        if !all.is_empty() {
            all.push(',');
        }
        // A client's `Authorization` goes to the outpost, which checks it.
        if name.eq_ignore_ascii_case("authorization") {
            all.push_str("Authorization");
            continue;
        }
        match HeaderName::new(&name) {
            Ok(name) => {
                all.push_str(name.as_str());
                names.push(name);
            }
            Err(error) => fields.problem(key, error),
        }
    }
    fields.finish();
    all
}

fn revoked_file(fields: &mut Fields<'_>) -> Option<String> {
    let path = fields.text("revokedFile")?;
    if !path.starts_with('/') {
        fields.problem(
            "revokedFile",
            "expected an absolute path as the plugin sees it",
        );
    }
    Some(path)
}

/// Reads the JSON that the proxy hands over: nothing is a section without keys.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn read_settings(json: &[u8]) -> Result<Value, ConfigError> {
    match json.trim_ascii() {
        b"" | b"null" => Ok(Value::Object(Vec::new())),
        json => read_json(json),
    }
}

/// Reads a section with `read`.
///
/// # Errors
///
/// Every problem with it. No message has a secret's value.
pub(crate) fn read_section<'v, T>(
    value: &'v Value,
    problems: &'v Problems,
    read: impl FnOnce(Fields<'v>) -> Option<T>,
) -> Result<T, ConfigError> {
    let read = Fields::of(value, "", problems).and_then(read);
    read.filter(|_| problems.is_empty())
        .ok_or_else(|| ConfigError(problems.take()))
}

/// Reads JSON, or returns what is wrong with it.
pub(crate) fn read_json(json: &[u8]) -> Result<Value, ConfigError> {
    gatepost_policy::config::read_json(json).map_err(|message| {
        let path = String::new();
        ConfigError(vec![Problem { path, message }])
    })
}

fn outpost_url(fields: &mut Fields<'_>, mode: Mode) -> Option<OutpostUrl> {
    let given = fields.text("outpostUrl");
    match (mode, given) {
        (Mode::Single, None) => None,
        (Mode::Single, Some(_)) => {
            fields.problem(
                "outpostUrl",
                "is for `mode: domain`; in single mode the outpost answers on the application's \
                 own host",
            );
            None
        }
        (Mode::Domain, None) => {
            fields.problem(
                "outpostUrl",
                "missing: domain mode needs the outpost's URL, like `https://auth.example.com`",
            );
            None
        }
        (Mode::Domain, Some(url)) => OutpostUrl::new(&url)
            .map_err(|error| fields.problem("outpostUrl", error))
            .ok(),
    }
}

/// Reads the one key among `keys`, `keysEnv` and `keysFile` that is given.
fn keys(fields: &mut Fields<'_>) -> Option<KeySource> {
    let inline = fields.list("keys");
    let env = fields.text("keysEnv");
    let file = fields.text("keysFile");
    match (inline, env, file) {
        (Some(entries), None, None) => {
            let entries = Zeroizing::new(entries);
            let ring = KeyRing::from_entries(entries.iter().map(String::as_str))
                .map_err(|error| fields.problem("keys", error))
                .ok()?;
            Some(KeySource::Inline(Some(ring)))
        }
        (None, Some(name), None) => Some(KeySource::Env(name)),
        (None, None, Some(path)) if path.starts_with('/') => Some(KeySource::File(path)),
        (None, None, Some(_)) => {
            fields.problem(
                "keysFile",
                "expected an absolute path as the plugin sees it, like `/keys/gatepost` with \
                 `settings.mounts: [\"/etc/gatepost/keys:/keys:ro\"]`",
            );
            None
        }
        (None, None, None) => {
            fields.problem(
                "keysFile",
                "missing: name the file with the keys (or the environment variable, `keysEnv`), or the \
                 outpost's folder (`stateDir`)",
            );
            None
        }
        _ => {
            fields.problem("keysFile", "give one of `keysFile`, `keysEnv` and `keys`");
            None
        }
    }
}

/// Every problem with the settings. Shows on one line.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            // A message may quote a setting, which may hold line breaks.
            for c in problem.to_string().chars() {
                f.write_char(if c.is_control() { '\u{fffd}' } else { c })?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

    fn read(json: &str) -> Config {
        Config::read(json.as_bytes()).expect(json)
    }

    fn problems(json: &str) -> String {
        Config::read(json.as_bytes())
            .map(|_| String::new())
            .unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn an_invalid_setting_is_named_with_the_accepted_values() {
        let cases = [
            (
                "",
                "application: missing: the application's name in the outpost's configuration; \
                 keysFile: missing: name the file with the keys (or the environment variable, \
                 `keysEnv`), or the outpost's folder (`stateDir`)",
            ),
            ("{", "not JSON (line 1, column 1)"),
            (r#"{"a":[[[[[[[["[]"]]]]]]]]}"#, "nested more than 8 deep"),
            (
                "{\"application\":\"wiki\",\"keysFile\":\"/k\",\"public\":\"a\\nb\"}",
                "public: `a\u{fffd}b`: a path must start with `/`",
            ),
            // Brackets in a text are no levels.
            (
                r#"{"application":"wiki","keysFile":"k","revoked":["[[[[[[[[[[\\\""]}"#,
                "keysFile: expected an absolute path as the plugin sees it, like `/keys/gatepost` \
                 with `settings.mounts: [\"/etc/gatepost/keys:/keys:ro\"]`",
            ),
            (
                r#"{"application":"wiki","keysFile":"/keys/k","aplication":"x"}"#,
                "aplication: unknown key: did you mean `application`?",
            ),
            (
                r#"{"application":"wiki","keys":"k:c2hvcnQ="}"#,
                "keys: key `k` has 5 bytes: expected 32 or more (`gatepost keygen` makes one)",
            ),
            (
                r#"{"application":"wiki","keysFile":"/keys/k","mode":"domain"}"#,
                "outpostUrl: missing: domain mode needs the outpost's URL, like \
                 `https://auth.example.com`",
            ),
            (
                r#"{"application":"wiki","keysFile":"/keys/k","keysEnv":"K"}"#,
                "keysFile: give one of `keysFile`, `keysEnv` and `keys`",
            ),
            // Without the outpost, an application would wait for tokens that never come.
            (
                r#"{"application":"wiki","keysFile":"/keys/k","upstreamTokens":{"idToken":"X_T"}}"#,
                "upstreamTokens.idToken: not a name for an identity header: expected letters, digits \
                 and `-`, and none that HTTP itself uses, such as Host, Cookie or Authorization; \
                 upstreamTokens: needs `fallback: route`: the outpost has the tokens, and is asked \
                 about no request that the plugin lets pass by itself",
            ),
            // An empty list of accepted issuers must not accept every issuer.
            (
                r#"{"application":"wiki","keysFile":"/keys/k","issuer":[]}"#,
                "issuer: is empty: leave it out to accept any",
            ),
            (
                r#"{"application":"a b","keysFile":"/keys/k","clockSkew":"1h"}"#,
                "application: not an application name: expected 1 to 128 characters of printable \
                 ASCII without spaces, quotes and backslashes; clockSkew: expected at most 300s",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(
                problems(json).replace("column 2", "column 1"),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn the_same_settings_can_come_from_labels() {
        let file = format!(
            r#"{{"application":"wiki","keys":["{KEY}"],"forwardCookie":true,"clockSkew":5,
                "public":["/healthz","/static/*"],"require":{{"groups":["a","b"]}},
                "issuer":["https://a.example","https://b.example"]}}"#
        );
        let labels = format!(
            r#"{{"application":"wiki","keys":"{KEY}","forwardCookie":"true","clockSkew":"5",
                "public":"/healthz,/static/*","require":{{"groups":"a,b"}},
                "issuer":"https://a.example, https://b.example"}}"#
        );
        assert_eq!(format!("{:?}", read(&file)), format!("{:?}", read(&labels)));
    }

    #[test]
    fn the_cookies_default_name_follows_the_mode() {
        let names = |more: &str| {
            let json = format!(r#"{{"application":"w","keysFile":"/k"{more}}}"#);
            let config = read(&json);
            let plain = config
                .plain_cookie_name
                .map(|name| name.as_str().to_owned());
            (config.cookie_name.as_str().to_owned(), plain)
        };
        let plain = Some("gatepost".to_owned());
        assert_eq!(names(""), ("__Host-gatepost".into(), plain.clone()));
        let domain = r#","mode":"domain","outpostUrl":"https://auth.example.com""#;
        assert_eq!(names(domain), ("__Secure-gatepost".into(), plain));
        assert_eq!(names(r#","cookieName":"wiki""#), ("wiki".into(), None));
    }

    #[test]
    fn the_reference_names_every_key() {
        let reference = include_str!("../../docs/plugin.md");
        let asked = problems(r#"{"application":"w","keysFile":"/k","\u007e":1}"#);
        let keys = asked.rsplit_once("expected ").expect("the keys").1;
        for key in keys.split(", ") {
            let named = [format!("`{key}`"), format!("`{key}.")];
            assert!(named.iter().any(|name| reference.contains(name)), "{key}");
        }
        assert!(
            keys.contains("keysFile") && keys.contains("require"),
            "{keys}"
        );
    }

    /// The outpost decides by rules of its own, and they may ask for methods.
    #[test]
    fn where_the_outpost_decides_no_client_says_another_method() {
        for (more, expected) in [
            ("", false),
            (r#","fallback":"route""#, true),
            (r#","allowPreflight":true"#, true),
        ] {
            let config = read(&format!(r#"{{"application":"w","keysFile":"/k"{more}}}"#));
            let owns = config.headers.owns(b"X-HTTP-Method-Override");
            assert_eq!(owns, expected, "{more}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = "c2VjcmV0LXNlY3JldA==";
        let shown = problems(&format!(r#"{{"application":"w","keys":"k:{secret}"}}"#));
        assert!(
            !shown.contains(secret) && shown.starts_with("keys: "),
            "{shown}"
        );
        let json = format!(r#"{{"application":"w","keys":"{KEY}"}}"#);
        let config = read(&json);
        assert!(!format!("{config:?}").contains("QkNE"));
    }
}
