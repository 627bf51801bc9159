//! Request targets in absolute form, and with bytes that no target has: an application gets the path that
//! was decided on, in the form in which servers read it, or nothing.

use anyhow::{Context as _, Result};
use gatepost_e2e::Site;
use gatepost_e2e::clients::raw_http1::RawConnection;
use serde_json::json;

use crate::requests::ABSOLUTE;
use crate::spellings;

/// Asks for targets without a session, and returns what an application got besides public paths as they
/// are.
fn seen_amiss(site: &Site, front: &str) -> Result<Vec<String>> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let absolute = ABSOLUTE.iter();
    let mut targets: Vec<Vec<u8>> = absolute
        .map(|target| target.replace("HOST", &host).into_bytes())
        .collect();
    let control = (0..=0x20).chain([0x7f]);
    for byte in control.filter(|byte| !b"\n\r ".contains(byte)) {
        for (before, behind) in [
            ("/public/", "x"),
            ("/", "public/x"),
            ("/admin", "/../public/x"),
            ("", "/public/x"),
        ] {
            targets.push([before.as_bytes(), &[byte], behind.as_bytes()].concat());
        }
    }
    let mut amiss = Vec::new();
    for target in targets {
        let before = site.wiki().len();
        let mut connection = RawConnection::connect(site.ports().web)?;
        let headers = format!(" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        connection.send([b"GET ", &*target, headers.as_bytes()].concat())?;
        let head = connection.head()?;
        let body = connection.body(&head)?.bytes;
        let shown = format!("{front}: {}: {}", target.escape_ascii(), head.status);
        // The application here refuses what is no target itself, without a body; another may not. Of the
        // others, Go and Envoy refuse such bytes as they read the target.
        let has_own_page = matches!(front, "HAProxy" | "nginx");
        if head.status == 400 && body.is_empty() && has_own_page {
            amiss.push(format!("{shown}: not by the proxy"));
        }
        let seen = site.wiki().split_off(before);
        let others = seen.iter().filter(|seen| seen.uri != "/public/x");
        amiss.extend(others.map(|seen| format!("{shown}: {}", seen.uri)));
    }
    Ok(amiss)
}

/// Row 106: a server may end the value at the NUL, or the whole message.
fn nul_arrives(site: &Site, front: &str) -> Result<bool> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let before = site.wiki().len();
    let mut connection = RawConnection::connect(site.ports().web)?;
    connection.request("GET /public/x", &[("Host", &host), ("X-Junk", "a\0b")])?;
    let head = connection.head()?;
    let empty = connection.body(&head)?.bytes.is_empty();
    // As for a target: the application refuses it without a body, and besides it only Envoy does.
    let by_application = empty && front != "Envoy";
    Ok(head.status != 400 || by_application || site.wiki().len() != before)
}

/// Row A1: the decision and the application read one path.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_application_gets_the_path_that_was_decided_on() -> Result<()> {
    let site = Site::builder("deploy/outpost/single.yaml")
        .applications(&json!({ "public": ["/public/*"] }))
        .start()?;
    let mut amiss = Vec::new();
    for (name, start) in spellings::SINGLE {
        let _running = start(&site).context(name)?;
        amiss.extend(seen_amiss(&site, name)?);
        if nul_arrives(&site, name)? {
            amiss.push(format!("{name}: a NUL"));
        }
    }
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
    Ok(())
}
