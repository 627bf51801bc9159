//! Other servers for forward auth, with a person signed in at each.
//!
//! Each is configured as its own documentation shows it for Traefik, and signs in at the provider
//! of the stage.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::tools::{GoProgram, Tool as _};
use gatepost_e2e::{Process, ports};
use serde_json::json;

pub(crate) use self::given::Given;
use super::contender::Contender;
use super::raw_http;
use super::stage::{self, Stage};

mod given;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The server that the Go module proxy serves. [`Given`] has those whose programs are given, and
/// [`UNMEASURED`] names the others.
pub(crate) const OAUTH2_PROXY: GoProgram = GoProgram {
    package: "github.com/oauth2-proxy/oauth2-proxy/v7",
    version: "v7.15.6",
    binary: "oauth2-proxy",
    tags: &[],
    replacements: &[],
    given_by: None,
};

/// The peers that a reader may miss in the report, and that this bench cannot measure.
pub(crate) const UNMEASURED: &str = "ItalyPaleAle/traefik-forward-auth, tinyauth, authentik's own \
    outpost, and the Traefik plugins traefikoidc and traefik-oidc-auth: the Go module proxy serves \
    none of them as modules that can be built";

/// Returns whether a contender of this key is a peer.
pub(crate) fn is_peer(key: &str) -> bool {
    key.starts_with(OAUTH2_PROXY.binary) || Given::ALL.iter().any(|given| given.program() == key)
}

/// A running server, and its contender in the comparison.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) contender: Contender,
    pub(crate) sign_ins_per_second: f64,
    /// Runs as long as this.
    _process: Process,
}

/// What oauth2-proxy keeps in its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oauth2ProxySession {
    /// The identity alone (`--session-cookie-minimal`): its fastest way.
    Minimal,
    /// Also the tokens, as it does by default.
    WithTokens,
}

/// Starts oauth2-proxy with sessions in its cookie, and signs so many browsers in.
pub(crate) fn oauth2_proxy(
    stage: &Stage,
    kept: Oauth2ProxySession,
    sessions: usize,
) -> Result<Peer> {
    let (key, title) = match kept {
        Oauth2ProxySession::Minimal => (
            "oauth2-proxy",
            "forwardAuth to oauth2-proxy, `session-cookie-minimal`",
        ),
        Oauth2ProxySession::WithTokens => ("oauth2-proxy-tokens", "forwardAuth to oauth2-proxy"),
    };
    // The provider sends browsers back to the site's own port, so that they sign in there. The
    // sessions are all in their cookies.
    let signing_in = start(stage, kept, key, stage.site.ports().web)?;
    let from = stage.site.url("wiki", "/akprox/start?rd=%2F")?;
    let site = stage.site.url("wiki", "/")?;
    let (cookies, sign_ins_per_second) = stage::sign_in(&from, &site, "_oauth2_proxy", sessions)?;
    drop(signing_in);
    let port = ports::free()?;
    let process = start(stage, kept, key, port)?;
    let scene = &stage.scene;
    let cookies = as_long_as_others(cookies, stage);
    let contender = scene
        .forward_auth(key, title, port, "/akprox/auth")?
        .with_forward_auth(&json!({
            "address": format!("http://127.0.0.1:{port}/akprox/auth"),
            // As the peer's own documentation shows it. Safe only since this entry point trusts no
            // client's `X-Forwarded-*`: otherwise a client could choose the path that is decided on.
            "trustForwardHeader": true,
            "authResponseHeaders": [
                "X-Auth-Request-User",
                "X-Auth-Request-Email",
                "X-Auth-Request-Groups",
                "X-Auth-Request-Preferred-Username",
            ],
        }))?
        .with_sessions(cookies, &scene.seen().replace('|', ","))
        .asking(process.group());
    Ok(Peer {
        contender,
        sign_ins_per_second,
        _process: process,
    })
}

/// Returns `Cookie` header values that are at least as long as those of the outpost's sessions.
fn as_long_as_others(cookies: Vec<String>, stage: &Stage) -> Vec<String> {
    let length = stage.scene.cookies.first().map_or(0, String::len);
    let lengthened = cookies.into_iter().map(|mut cookie| {
        if let Some(missing) = length.checked_sub(cookie.len() + "; pad=".len()) {
            cookie.push_str("; pad=");
            cookie.extend(std::iter::repeat_n('x', missing));
        }
        cookie
    });
    lengthened.collect()
}

fn start(stage: &Stage, kept: Oauth2ProxySession, name: &str, port: u16) -> Result<Process> {
    let origin = stage.site.url("wiki", "/")?;
    let provider = stage.site.ports().provider;
    let mut command = Command::new(OAUTH2_PROXY.ensure()?);
    command
        .arg(format!("--http-address={}:{port}", Ipv4Addr::LOCALHOST))
        .args(["--provider=oidc", "--client-id=gatepost"])
        .arg("--client-secret=demo-client-secret")
        .arg(format!("--oidc-issuer-url=http://127.0.0.1:{provider}"))
        .arg("--proxy-prefix=/akprox")
        .arg(format!("--redirect-url={origin}akprox/callback"))
        .args(["--scope=openid profile email groups", "--email-domain=*"])
        .arg("--insecure-oidc-allow-unverified-email=true")
        .args([
            "--code-challenge-method=S256",
            "--skip-provider-button=true",
        ])
        .args(["--upstream=static://202", "--reverse-proxy=true"])
        .args(["--trusted-proxy-ip=127.0.0.0/8", "--set-xauthrequest=true"])
        .args(["--cookie-secret=0123456789abcdef0123456789abcdef"])
        .arg("--cookie-secure=false")
        .arg(format!(
            "--session-cookie-minimal={}",
            kept == Oauth2ProxySession::Minimal
        ))
        .args(["--request-logging=false", "--auth-logging=false"]);
    let log = stage.scene.folder.join(format!("{name}-{port}.log"));
    let mut process = Process::spawn(name, &command, &log)?;
    process.ready(START_LIMIT, || {
        raw_http::ask(port, "/ping", &[]).is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(process)
}
