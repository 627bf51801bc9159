//! Every header that the outpost reads of a proxy, from a client, through every configuration that
//! the docs show; and `gatepost check --url` on each, which must find no problem, so that its findings
//! can be trusted.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::proxies::LoadBalancer;
use gatepost_e2e::{Site, layout, until};
use serde_json::{Value, json};

use crate::fronts::own_endpoints_give_nothing_away;
use crate::shown::{self, Shown};

/// The public paths of the applications that the docs show.
const PUBLIC: &[&str] = &["/public/*", "GET=/hook"];

/// The host of another application, where everything is public: a request that is taken for one
/// there is let through.
const OPEN: &str = "open.localhost";

/// What a client may say, and gain from where it is believed. `HOST` is the application's own.
const SAID: &[(&str, &[&str])] = &[
    ("x-forwarded-for", &["127.0.0.1"]),
    ("x-forwarded-host", &[OPEN, "evil.example", "HOST"]),
    ("x-forwarded-method", &["GET", "OPTIONS"]),
    ("x-forwarded-port", &["443"]),
    ("x-forwarded-prefix", &["/public", "//evil.example"]),
    ("x-forwarded-proto", &["https", "wss"]),
    ("x-forwarded-server", &[OPEN]),
    (
        "x-forwarded-uri",
        &["/public/x", "/akprox/ping", "//evil.example/"],
    ),
    ("x-original-method", &["GET", "OPTIONS"]),
    ("x-original-uri", &["/public/x"]),
    (
        "x-original-url",
        &[
            "http://HOST/public/x",
            "http://open.localhost/",
            "/public/x",
        ],
    ),
    ("x-gatepost-require", &["any=user:mallory", ""]),
    ("x-gatepost-verdict", &["allow", "outpost"]),
    ("x-auth-request-redirect", &["https://evil.example/"]),
    ("x-envoy-original-path", &["/public/x"]),
    ("x-http-method-override", &["GET"]),
    ("x-real-ip", &["127.0.0.1"]),
    ("x-replaced-path", &["/public/x"]),
    ("x-request-id", &["allow"]),
    ("x-requested-with", &["XMLHttpRequest"]),
    ("x-rewrite-url", &["/public/x"]),
    (
        "forwarded",
        &["for=127.0.0.1;host=open.localhost;proto=https"],
    ),
    ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ=="]),
];

/// Rows A2 and A3: no header of a client chooses the application, the path or the method. Rows A3,
/// A10, A14: `gatepost check` finds no problem.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_header_of_a_client_decides_and_check_finds_no_problem_at_one_application() -> Result<()> {
    no_header_decides_in_front_of(shown::SINGLE)
}

/// The same for a domain.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_header_of_a_client_decides_and_check_finds_no_problem_at_a_domain() -> Result<()> {
    no_header_decides_in_front_of(shown::DOMAIN)
}

fn no_header_decides_in_front_of(outpost: &str) -> Result<()> {
    let site = site(outpost)?;
    for shown in shown::with_outpost(outpost) {
        let running = shown.start(&site, PUBLIC).context(shown.name)?;
        check_finds_no_problem(&site, shown)?;
        nothing_is_believed(&site, shown, shown.name)?;
        drop(running);
    }
    Ok(())
}

fn check_finds_no_problem(site: &Site, shown: &Shown) -> Result<()> {
    let url = site.url("wiki", "/admin")?;
    let (said, well) = site.gatepost(&["check", "--url", url.as_str()])?;
    let looked = said.contains("no header of a client leads past");
    assert!(well && looked, "{}: {said}", shown.name);
    Ok(())
}

/// Rows A2 and A3: the same through a load balancer, which passes all headers on and is trusted.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nothing_that_a_client_says_through_a_load_balancer_is_believed() -> Result<()> {
    for outpost in [shown::SINGLE, shown::DOMAIN] {
        let site = site(outpost)?;
        let _balancer = LoadBalancer::start(&site)?;
        for shown in shown::with_outpost(outpost).filter(|shown| shown.can_be_balanced()) {
            let running = shown.start_balanced(&site, PUBLIC).context(shown.name)?;
            nothing_is_believed(&site, shown, &format!("{}, load balancer", shown.name))?;
            drop(running);
        }
    }
    Ok(())
}

/// A header that is newly read is newly said here.
#[test]
fn every_header_that_is_read_is_said() -> Result<()> {
    let mut read = BTreeSet::new();
    let web = layout::root().join("outpost/src/web");
    for file in fs::read_dir(&web)? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)?;
            read.extend(
                text.split('"')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_ascii_lowercase),
            );
        }
    }
    let is_header = |text: &String| {
        let name = |c: char| c.is_ascii_lowercase() || c == '-';
        (text.starts_with("x-") || text == "forwarded") && text.chars().all(name)
    };
    read.retain(is_header);
    assert!(read.contains("x-forwarded-host"), "{read:?}");
    for name in read {
        // Its copy on the way out, where the outpost answers.
        let said = SAID.iter().any(|(own, _)| *own == name);
        let answered = matches!(&*name, "x-content-type-options");
        assert!(said || answered, "{name} is read and not said here");
    }
    Ok(())
}

/// Returns a site with this configuration of the outpost, and another application next to it.
fn site(outpost: &str) -> Result<Site> {
    let open = json!({
        "name": "open",
        "mode": "single",
        "externalUrl": format!("http://{OPEN}"),
        "provider": "main",
        "public": ["/*"],
    });
    let site = Site::builder(outpost)
        .state_folder()
        .applications(&json!({ "public": PUBLIC }))
        .start()?;
    site.change_outpost(|config| {
        let applications = config.get_mut("applications");
        let applications = applications.and_then(Value::as_array_mut);
        applications.context("applications")?.push(open);
        Ok(())
    })?;
    until("the other application", Duration::from_secs(60), || {
        let mut connection = RawConnection::connect(site.ports().outpost)?;
        connection.request("GET /akprox/session", &[("Host", OPEN)])?;
        Ok((connection.head()?.status != 404).then_some(()))
    })?;
    Ok(site)
}

fn nothing_is_believed(site: &Site, shown: &Shown, name: &str) -> Result<()> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let line =
        |header: &str, value: &str| format!("{header}: {}\r\n", value.replace("HOST", &host));
    let mut said: Vec<String> = Vec::new();
    for (header, values) in SAID {
        for value in *values {
            said.push(line(header, value));
            said.push(line(&header.replace('-', "_"), value));
            said.push(line(header, value).repeat(2));
        }
    }
    // Everything that fits together.
    let first = |skipped: &[&str]| -> String {
        let heard = SAID.iter().filter(|(header, _)| !skipped.contains(header));
        heard
            .map(|(header, values)| line(header, values.first().unwrap_or(&"")))
            .collect()
    };
    said.extend([
        first(&[]),
        first(&["x-forwarded-host"]),
        first(&["x-original-url"]),
        first(&["x-forwarded-host", "x-original-url", "sec-websocket-key"]),
    ]);
    let before = site.wiki().len() + site.files().len();
    for request in ["GET /admin", "DELETE /hook", "GET /akprox/../admin"] {
        for headers in &said {
            for how in [
                "Accept: application/json",
                "Sec-Fetch-Mode: navigate\r\nAccept: text/html",
            ] {
                let text = format!(
                    "{request} HTTP/1.1\r\nHost: {host}\r\n{how}\r\nConnection: close\r\n{headers}\r\n"
                );
                let case = || format!("{name}: {text}");
                let mut connection = RawConnection::connect(site.ports().web)?;
                connection.send(&text)?;
                let head = connection.head().with_context(case)?;
                assert!(
                    (300..600).contains(&head.status),
                    "{}: {}",
                    case(),
                    head.status
                );
                let to = head.header("location").unwrap_or_default();
                let away = to.contains("//evil") || to.contains(&format!("//{OPEN}"));
                assert!(!away, "{}: {to}", case());
                let after = site.wiki().len() + site.files().len();
                assert_eq!(before, after, "{}: the app was reached", case());
            }
        }
    }
    own_endpoints_give_nothing_away(site, shown.outpost_host(), name)
}
