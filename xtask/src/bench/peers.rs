//! Other servers for forward auth, with a person signed in at each.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::tools::{GoProgram, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Process};

use super::contender::Contender;
use super::raw_http;
use super::stage::Stage;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The other servers that the Go module proxy has as modules. authentik's own outpost and
/// thomseddon/traefik-forward-auth are not available there as complete modules.
pub(crate) const OAUTH2_PROXY: GoProgram = GoProgram {
    package: "github.com/oauth2-proxy/oauth2-proxy/v7",
    version: "v7.15.4",
    binary: "oauth2-proxy",
    tags: &[],
    replacements: &[],
    given_by: None,
};

/// A running server, and its contender in the comparison.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) contender: Contender,
    /// Runs as long as this.
    _process: Process,
}

/// Starts oauth2-proxy with sessions in its cookie, without the tokens: its fastest way.
pub(crate) fn oauth2_proxy(stage: &Stage) -> Result<Peer> {
    let ports = stage.site.ports();
    // Where the browser finds it is where it listens, so that it needs no router to be signed in.
    let port = ports.web;
    let origin = stage.site.url("wiki", "/")?;
    let mut command = Command::new(OAUTH2_PROXY.ensure()?);
    command
        .arg(format!("--http-address={}:{port}", Ipv4Addr::LOCALHOST))
        .args(["--provider=oidc", "--client-id=gatepost"])
        .arg("--client-secret=demo-client-secret")
        .arg(format!(
            "--oidc-issuer-url=http://127.0.0.1:{}",
            ports.provider
        ))
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
        .args(["--cookie-secure=false", "--session-cookie-minimal=true"])
        .args(["--request-logging=false", "--auth-logging=false"]);
    let log = stage.scene.folder.join("oauth2-proxy.log");
    let mut process = Process::spawn("oauth2-proxy", &command, &log)?;
    process.ready(START_LIMIT, || {
        raw_http::ask(port, "/ping", &[]).is_ok_and(|answer| answer.status == 200)
    })?;
    let alice = Client::new()?;
    let start = stage.site.url("wiki", "/akprox/start?rd=%2F")?;
    alice.sign_in(&start, &ALICE)?;
    let session = alice
        .cookie(&origin, "_oauth2_proxy")
        .context("a session")?;
    let scene = &stage.scene;
    let mut cookie = format!("theme=dark; _oauth2_proxy={session}; lang=en");
    // As long as the others' cookies.
    if let Some(missing) = scene
        .cookie
        .len()
        .checked_sub(cookie.len() + "; pad=".len())
    {
        cookie.push_str("; pad=");
        cookie.extend(std::iter::repeat_n('x', missing));
    }
    let contender = scene
        .forward_auth(
            "oauth2-proxy",
            "forwardAuth to oauth2-proxy",
            port,
            "/akprox/auth",
        )?
        .with_response_headers(&[
            "X-Auth-Request-User",
            "X-Auth-Request-Email",
            "X-Auth-Request-Groups",
            "X-Auth-Request-Preferred-Username",
        ])?
        .with_session(scene, &cookie, &scene.seen().replace('|', ","))
        .asking(process.group());
    Ok(Peer {
        contender,
        _process: process,
    })
}
