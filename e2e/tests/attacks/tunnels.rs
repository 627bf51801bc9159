//! Requests that become something else behind the proxy: a tunnel, another protocol, another path.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::Site;
use gatepost_e2e::clients::raw_http2;
use gatepost_e2e::doubles::upstream::Seen;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::tools::{OldestTraefik, Tool as _};
use serde_json::{Value, json};

use crate::spellings::{self, SINGLE};

/// Returns settings with a public root, as which a target without a path is read.
fn policy() -> Value {
    json!({ "public": ["/", "/open/*"] })
}

/// Row A7: a request line or an `Upgrade` that makes a tunnel, or whose target the app reads
/// differently, gets nowhere, also where the root is public; on both Traefiks.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_public_path_is_a_way_into_a_tunnel_through_traefik() -> Result<()> {
    let oldest = OldestTraefik.locate()?;
    let site = Site::builder("deploy/outpost/single.yaml")
        .applications(&policy())
        .start()?;
    let plugin = |name: &str| json!({ "http": { "middlewares": { name: { "plugin": { "gatepost": policy() } } } } });
    for (front, own, dynamic, more) in [
        (
            "plugin",
            "deploy/traefik/static/plugin.yaml",
            "deploy/traefik/dynamic/plugin-single.yaml",
            plugin("wiki-gatepost"),
        ),
        (
            "route",
            "deploy/traefik/static/plugin.yaml",
            "deploy/traefik/dynamic/route-single.yaml",
            plugin("gatepost"),
        ),
        (
            "forwardAuth",
            "deploy/traefik/static/forward-auth.yaml",
            "deploy/traefik/dynamic/forward-auth-single.yaml",
            Value::Null,
        ),
    ] {
        for program in [None, Some(&oldest)] {
            let mut traefik = Traefik::new(&site, own)?.route_with(dynamic, &more)?;
            if let Some(program) = program {
                traefik = traefik.program(program.clone());
            }
            let running = traefik.start(&["wiki"])?;
            let name = format!("{front}, {program:?}");
            // forwardAuth leaves `Upgrade` out of its question, so what Traefik itself removes has
            // to do.
            let others = front != "forwardAuth";
            tunnels_over_http_1(&site, &name, others)?;
            tunnels_over_http_2(&site, &name)?;
            drop(running);
            fs::remove_dir_all(site.folder().join("traefik"))?;
        }
    }
    Ok(())
}

/// Row A7, for the proxies that ask the outpost.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_public_path_is_a_way_into_a_tunnel_through_other_proxies() -> Result<()> {
    // The other test has Traefik.
    let others = SINGLE
        .into_iter()
        .filter(|(front, _)| !matches!(*front, "forwardAuth" | "plugin"));
    for (front, start) in others {
        let site = Site::builder("deploy/outpost/single.yaml")
            .applications(&policy())
            .start()?;
        let _running = start(&site)?;
        tunnels_over_http_1(&site, front, true)?;
        // The others speak HTTP/2 over TLS only, as they are shown.
        if matches!(front, "HAProxy" | "Envoy") {
            tunnels_over_http_2(&site, front)?;
        }
    }
    Ok(())
}

fn tunnels_over_http_1(site: &Site, front: &str, others: bool) -> Result<()> {
    let host = host(site)?;
    for line in [
        format!("CONNECT {host}"),
        "CONNECT /".to_owned(),
        "CONNECT /open/x".to_owned(),
        "GET x:http://any/admin".to_owned(),
        format!("GET x:http://{host}/admin"),
        "GET x:admin".to_owned(),
        "POST x:http://any/admin?a=b".to_owned(),
    ] {
        let before = site.wiki().len();
        let status = exchange(site, &line, &host, "")?;
        if line.starts_with("CONNECT") {
            // Some proxies refuse a tunnel themselves.
            let refused = status.is_none_or(|status| status >= 400);
            assert!(refused, "{front}: {line}: {status:?}");
        }
        let reached = reached(site, before);
        assert!(reached.is_empty(), "{front}: {line}: {reached:?}");
    }
    let upgrades: &[&str] = if others {
        &[
            "h2c",
            "websocket, h2c",
            "h2c, websocket",
            "TLS/1.0",
            "tunnel",
            "websocket\r\nUpgrade: h2c",
        ]
    } else {
        &["h2c", "h2c, websocket"]
    };
    for upgrade in upgrades {
        let before = site.wiki().len();
        let headers = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
        );
        exchange(site, "GET /open/x", &host, &headers)?;
        // It may pass as an ordinary request, or be refused.
        for seen in site.wiki().get(before..).unwrap_or_default() {
            for name in ["upgrade", "http2-settings"] {
                let value = seen.headers.get(name);
                let plain = value.is_none_or(|values| *values == ["websocket"]);
                assert!(plain, "{front}: {upgrade}: {name}: {value:?}");
            }
        }
    }
    Ok(())
}

fn tunnels_over_http_2(site: &Site, front: &str) -> Result<()> {
    let host = host(site)?;
    let inner = format!("GET /admin HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let with = |method: &'static str, path: Option<&'static str>| {
        let mut fields = vec![(":method", method), (":authority", host.as_str())];
        if let Some(path) = path {
            fields.extend([(":scheme", "http"), (":path", path)]);
        }
        fields
    };
    // A WebSocket over HTTP/2 (RFC 8441), which a proxy may hand on as an `Upgrade`.
    let extended = |protocol: &'static str, path: &'static str| {
        let mut fields = with("CONNECT", Some(path));
        fields.push((":protocol", protocol));
        fields
    };
    for fields in [
        with("CONNECT", None),
        with("CONNECT", Some("/open/x")),
        with("GET", Some("x:http://any/admin")),
        with("POST", Some("x:http://any/admin")),
        with("GET", Some("http://any/admin")),
        with("GET", Some("admin")),
        with("GET", Some("*")),
        extended("websocket", "/admin"),
        extended("h2c", "/admin"),
        extended("h2c", "/open/x"),
        extended("websocket, h2c", "/open/x"),
    ] {
        let before = site.wiki().len();
        raw_http2::request(site.ports().web, &fields, inner.as_bytes())
            .with_context(|| format!("{front}: {fields:?}"))?;
        let other_protocol = fields.iter().any(|(name, _)| *name == ":protocol");
        let seen = site.wiki();
        let harm: Vec<_> = seen
            .get(before..)
            .unwrap_or_default()
            .iter()
            .filter(|seen| !(other_protocol && is_ordinary(seen)))
            .collect();
        assert!(harm.is_empty(), "{front}: {fields:?}: {harm:?}");
    }
    Ok(())
}

/// Returns whether a request is for the public path alone: a proxy may turn a request for another
/// protocol into that by removing the protocol's name.
fn is_ordinary(seen: &Seen) -> bool {
    let upgrades = ["upgrade", "http2-settings"];
    seen.method == "GET"
        && seen.uri == "/open/x"
        && upgrades
            .iter()
            .all(|name| !seen.headers.contains_key(*name))
}

fn host(site: &Site) -> Result<String> {
    Ok(site.url("wiki", "/")?.authority().to_owned())
}

/// Sends a request, and waits until it is answered or refused.
fn exchange(site: &Site, line: &str, host: &str, headers: &str) -> Result<Option<u16>> {
    let close = if headers.is_empty() {
        "Connection: close\r\n"
    } else {
        ""
    };
    let text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{close}{headers}\r\n");
    spellings::status(site, &text)
}

fn reached(site: &Site, before: usize) -> Vec<(String, String)> {
    let seen = site.wiki();
    let since = seen.get(before..).unwrap_or_default();
    since
        .iter()
        .map(|seen| (seen.method.clone(), seen.uri.clone()))
        .collect()
}
