//! What a client says behind a request's body, as bytes on the application's connection: some servers take
//! trailers for headers (CVE-2025-12642), and some for the next request (CVE-2025-58068).

use std::fs;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::clients::raw_http2;
use gatepost_e2e::proxies::Haproxy;
use gatepost_e2e::{Site, layout};
use serde_json::json;

use crate::shown::{self, Shown};
use crate::spellings;

/// The app reads the whole body there.
const PUBLIC: &[&str] = &["/upstream/upload"];

/// What no application may get. The third is a request's line to a server that ends the body too early.
const TRAILERS: [(&str, &str); 5] = [
    ("x-auth-username", "mallory"),
    ("x_auth_groups", "mallory"),
    ("get", "/mallory HTTP/1.1"),
    ("host", "mallory.example"),
    ("x-forwarded-user", "mallory"),
];

/// Row 31: in front of one application.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_trailer_arrives_at_one_application() -> Result<()> {
    none_arrives_with(shown::SINGLE)
}

/// Row 31: in front of a domain.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_trailer_arrives_at_a_domain() -> Result<()> {
    none_arrives_with(shown::DOMAIN)
}

/// HAProxy 2.6 has races in filters whose Lua all threads share, and ends after some hundred requests.
#[test]
#[ignore = "needs HAProxy and an OpenID provider: cargo xtask test"]
fn refusing_trailers_ends_no_haproxy_under_load() -> Result<()> {
    let site = Site::builder(shown::SINGLE)
        .applications(&json!({ "public": PUBLIC }))
        .start()?;
    let script = fs::read_to_string(layout::root().join("deploy/haproxy/gatepost.lua"))?;
    let threads = "global\n    nbthread 4";
    let file = "deploy/haproxy/single.cfg";
    let changes = [("global", threads)];
    let _haproxy = Haproxy::start_with(&site, file, &changes, &script, &["wiki"])?;
    let host = site.url("wiki", "/")?.authority().to_owned();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    for number in 0..150 {
                        let (trailers, expected) = [("", 200), ("A: b\r\n", 400)][number % 2];
                        let request = request(&host, "", "a", trailers);
                        let mut connection = RawConnection::connect(site.ports().web)?;
                        connection.send(request)?;
                        let status = connection.head()?.status;
                        ensure!(status == expected, "{status} for request {number}");
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

fn none_arrives_with(outpost: &str) -> Result<()> {
    let site = Site::builder(outpost)
        .state_folder()
        .applications(&json!({ "public": PUBLIC }))
        .start()?;
    let mut arrived = Vec::new();
    for shown in shown::with_outpost(outpost) {
        let _running = shown.start(&site, PUBLIC).context(shown.name)?;
        arrived.extend(arrivals(&site, shown).context(shown.name)?);
    }
    assert!(arrived.is_empty(), "{}", arrived.join("\n"));
    Ok(())
}

/// Sends requests with trailers, and returns a description of each of which the application has got one.
fn arrivals(site: &Site, shown: &Shown) -> Result<Vec<String>> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let lines: String = TRAILERS
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let announced = "Trailer: X-Auth-Username, X_Auth_Groups, X-Forwarded-User\r\n";
    let large = "a".repeat(200_000);
    let mut arrived = Vec::new();
    for (what, headers, body) in [
        ("in HTTP/1.1", "", "a"),
        ("announced", announced, "a"),
        ("behind no data", "", ""),
        ("behind much data", "", &large),
    ] {
        // Without trailers, the same body arrives.
        let (status, bytes) = over_http_1(site, &host, headers, body, "")?;
        ensure!(status == Some(200), "{what}, without any: {status:?}");
        ensure!(!bytes.is_empty(), "{what}: the application was not asked");
        if shown.name.starts_with("HAProxy") {
            // A server that takes the rest of a body for a request carries it out on no connection.
            let told = bytes
                .iter()
                .all(|one| has(one, "\r\nconnection: close\r\n"));
            ensure!(told, "{what}: HAProxy keeps the application's connection");
        }
        let (status, bytes) = over_http_1(site, &host, headers, body, &lines)?;
        if shown.name.starts_with("HAProxy") {
            ensure!(status == Some(400), "{what}: {status:?}");
        } else {
            ensure!(
                !bytes.is_empty(),
                "{what}, with them: the application was not asked"
            );
        }
        arrived.extend(trailed(&bytes).map(|bytes| format!("{}, {what}: {bytes}", shown.name)));
    }
    // As they are shown, these two speak HTTP/2 over TLS alone.
    if !shown.name.starts_with("nginx") && !shown.name.starts_with("Caddy") {
        let before = site.wiki_received();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", &*host),
            (":path", "/upstream/upload"),
        ];
        raw_http2::request_with_trailers(site.ports().web, &fields, b"a", &[])?;
        let bytes = since(site, &before);
        ensure!(
            !bytes.is_empty(),
            "in HTTP/2: the application was not asked"
        );
        let before = site.wiki_received();
        // HAProxy resets a stream with `host` there.
        let mut said = TRAILERS.to_vec();
        said.retain(|(name, _)| *name != "host");
        raw_http2::request_with_trailers(site.ports().web, &fields, b"a", &said)?;
        let bytes = since(site, &before);
        arrived.extend(trailed(&bytes).map(|bytes| format!("{}, in HTTP/2: {bytes}", shown.name)));
    }
    Ok(arrived)
}

/// Sends a chunked body, and returns the status and the bytes that the application got.
fn over_http_1(
    site: &Site,
    host: &str,
    headers: &str,
    body: &str,
    trailers: &str,
) -> Result<(Option<u16>, Vec<Vec<u8>>)> {
    let before = site.wiki_received();
    let status = spellings::status(site, &request(host, headers, body, trailers))?;
    Ok((status, since(site, &before)))
}

fn request(host: &str, headers: &str, body: &str, trailers: &str) -> String {
    let mut request = format!(
        "POST /upstream/upload HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\
         Connection: close\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
    );
    if !body.is_empty() {
        request.push_str(&format!("{:x}\r\n{body}\r\n", body.len()));
    }
    request.push_str(&format!("0\r\n{trailers}\r\n"));
    request
}

/// Returns the bytes that the application has got since, on each connection that has any.
fn since(site: &Site, before: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let all = site.wiki_received().into_iter().enumerate();
    all.map(|(number, mut bytes)| bytes.split_off(before.get(number).map_or(0, Vec::len)))
        .filter(|bytes| !bytes.is_empty())
        .collect()
}

/// Returns the bytes of each connection that has something of [`TRAILERS`] in it, or anything in their place.
fn trailed(connections: &[Vec<u8>]) -> impl Iterator<Item = String> {
    connections.iter().filter_map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let rest = text.split_once("\r\n0\r\n").map(|(_, rest)| rest);
        let any = has(bytes, "mallory") || rest.is_some_and(|rest| !rest.starts_with("\r\n"));
        any.then(|| text.replace(&"a".repeat(1_000), ""))
    })
}

fn has(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes)
        .to_ascii_lowercase()
        .contains(text)
}
