//! Paths that need no session, and those that only look like them.

use anyhow::{Context as _, Result};
use gatepost_e2e::Application;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use crate::shared;

/// Returns the status of a request with exactly this target: HTTP libraries normalise paths.
fn status_of(app: &Application, target: &str) -> Result<u16> {
    let url = app.url("/");
    let port = url.port().context("a port")?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let host = url.host_str().context("a host")?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("a status line")?;
    Ok(status.parse()?)
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn only_surely_public_paths_pass_without_a_session() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("open")?;
    for target in ["/healthz", "/healthz?x=1", "/public/", "/public/a/b.css"] {
        assert_eq!(status_of(app, target)?, 200, "{target}");
    }
    let passed = app.requests().len();
    for target in [
        "/",
        "/healthz/more",
        "/healthzz",
        "/PUBLIC/a",
        "/admin?path=/public/a",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "/public/%5c..%5cadmin",
        "/public/%252e%252e/admin",
        "/public/..;/admin",
        "/public;x=/../admin",
        "/public/x%00/../../admin",
        "/public/%c0%ae%c0%ae/admin",
        "/admin%3f/public/",
        "//public/../admin",
        "/admin%23/public/",
    ] {
        let status = status_of(app, target)?;
        assert!(matches!(status, 400 | 401), "{target}: {status}");
    }
    assert_eq!(app.requests().len(), passed, "a request reached the app");
    Ok(())
}
