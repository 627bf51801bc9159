//! What proxies do when asking the outpost goes wrong: with requests that have many or large headers,
//! an outpost that is silent, an error in the middle of the recipe.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::Haproxy;
use gatepost_e2e::{Client, Site, layout};
use reqwest::Method;
use serde_json::json;

use crate::shown;
use crate::spellings::{self, SINGLE, WIKI, session};

/// The longest that a proxy may wait for an outpost that says nothing.
const PATIENCE: Duration = Duration::from_secs(75);

/// Sends a request to the wiki and returns the status of the answer, if there is one.
fn status(site: &Site, target: &str, headers: &str) -> Result<Option<u16>> {
    let port = site.ports().web;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {WIKI}:{port}\r\n{headers}Connection: close\r\n\r\n"
    );
    spellings::status(site, &request)
}

/// R1: no number of headers, and no size of them, ends a proxy or opens the application.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn many_and_large_headers_end_no_proxy_and_open_nothing() -> Result<()> {
    for outpost in [shown::SINGLE, shown::DOMAIN] {
        let site = Site::builder(outpost).state_folder().start()?;
        for shown in shown::with_outpost(outpost) {
            let running = shown.start(&site, &[]).context(shown.name)?;
            let before = site.wiki().len();
            let many = [80, 90, 95, 97, 98, 99, 100, 101, 120, 200, 1_000];
            let counts = many
                .map(|count| -> String { (0..count).map(|at| format!("A{at}: x\r\n")).collect() });
            let sizes = [4_000, 16_000, 31_000, 60_000, 64_000, 200_000].map(|size| {
                let value = "x".repeat(size);
                format!("X-Large: {value}\r\nX-Auth-Username: mallory\r\n")
            });
            for headers in counts.iter().chain(&sizes) {
                let answered = status(&site, "/x", headers)?;
                let length = headers.len();
                let refused = answered.is_none_or(|status| (400..600).contains(&status));
                ensure!(refused, "{}: {length} bytes: {answered:?}", shown.name);
                ensure!(
                    status(&site, "/y", "")? == Some(401),
                    "{}: {length} bytes have ended it",
                    shown.name
                );
            }
            ensure!(site.wiki().len() == before, "{}: the app", shown.name);
            drop(running);
        }
    }
    Ok(())
}

/// A host below the cookie domain can give a browser cookies that look like those of sign-ins. Where the
/// answer removed each, proxies refused it.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn cookies_that_another_host_made_up_stop_no_sign_in() -> Result<()> {
    let cookies: Vec<String> = (0..150)
        .map(|at| format!("gatepost-flow-{at:016}=a"))
        .collect();
    let headers = format!(
        "Cookie: {}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\n",
        cookies.join("; ")
    );
    let site = Site::builder(shown::SINGLE).state_folder().start()?;
    for shown in shown::with_outpost(shown::SINGLE) {
        let _running = shown.start(&site, &[]).context(shown.name)?;
        let answered = status(&site, "/akprox/start?rd=/x", &headers)?;
        ensure!(answered == Some(302), "{}: {answered:?}", shown.name);
    }
    Ok(())
}

/// R11: an application gets all of what the outpost says about a user, or no request.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_identity_arrives_whole_or_not_at_all() -> Result<()> {
    let mut groups = vec!["staff".to_owned()];
    groups.extend((0..50).map(|number| format!("department-with-a-long-name-{number}")));
    let whole = groups.join("|");
    for (front, start) in SINGLE {
        let site = Site::builder("deploy/outpost/single.yaml")
            .provider(&json!({ "users": { "alice": {
                "sub": "248289761001",
                "password": "wonderland",
                "name": "Alice",
                "email": "alice@example.com",
                "groups": groups,
            } } }))
            .start()?;
        let _running = start(&site)?;
        let cookie = session(&site, "wiki").context(front)?;
        let cookie = format!("Cookie: {cookie}\r\nX-Auth-Groups: mallory\r\n");
        ensure!(status(&site, "/x", &cookie)? == Some(200), "{front}");
        // How many requests have arrived that were large by a header, and by their query.
        let mut arrived = [0, 0];
        for size in (2_000..70_000).step_by(500) {
            let large = "x".repeat(size);
            let by_header = ("/x".to_owned(), format!("{cookie}X-Large: {large}\r\n"));
            let by_query = (format!("/x?{large}"), cookie.clone());
            for ((target, headers), arrived) in [by_header, by_query].into_iter().zip(&mut arrived)
            {
                let before = site.wiki().len();
                let answered = status(&site, &target, &headers)?;
                let seen = site.wiki().split_off(before);
                ensure!(
                    answered != Some(200) || seen.len() == 1,
                    "{front}: {size}: {} arrived",
                    seen.len()
                );
                *arrived += seen.len();
                for seen in seen {
                    for (name, expected) in [
                        ("x-auth-username", "alice"),
                        ("x-auth-groups", whole.as_str()),
                        ("x-forwarded-email", "alice@example.com"),
                    ] {
                        let found = seen.header(name);
                        ensure!(
                            found == Some(expected),
                            "{front}: {size}: {answered:?}: {name}: {:.40}",
                            found.unwrap_or("(none)")
                        );
                    }
                }
            }
        }
        ensure!(!arrived.contains(&0), "{front}: arrived: {arrived:?}");
    }
    Ok(())
}

/// R12: an outpost that takes the question and says nothing does not hold a request for ever.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_silent_outpost_holds_no_request_for_long() -> Result<()> {
    std::thread::scope(|scope| {
        let waits = SINGLE.map(|(front, start)| {
            scope.spawn(move || {
                let site = Site::builder(shown::SINGLE).start()?;
                let _running = start(&site)?;
                waits_for_a_silent_outpost(&site).context(front)
            })
        });
        for wait in waits {
            match wait.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

fn waits_for_a_silent_outpost(site: &Site) -> Result<()> {
    site.outpost().stop();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, site.ports().outpost))?;
    std::thread::spawn(move || {
        let held: Vec<_> = silent.incoming().take(100).collect();
        drop(held);
    });
    let before = site.wiki().len();
    let begun = Instant::now();
    let port = site.ports().web;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /x HTTP/1.1\r\nHost: {WIKI}:{port}\r\nX-Auth-Username: mallory\r\n\r\n"
    )?;
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    let took = begun.elapsed();
    read.with_context(|| format!("no answer after {took:?}"))?;
    ensure!(line.contains(" 4") || line.contains(" 5"), "{line}");
    ensure!(site.wiki().len() == before, "the app was reached");
    Ok(())
}

/// R2: wherever the Lua action fails, HAProxy goes on with the request. The backend does not.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_error_in_haproxys_action_opens_nothing() -> Result<()> {
    let script = fs::read_to_string(layout::root().join("deploy/haproxy/gatepost.lua"))?;
    let action = script.find("core.register_action(\"gatepost\"");
    let (before, action) = script.split_at(action.context("the action")?);
    let (action, after) = action.split_at(action.find("\nend, 1)").context("its end")?);
    // Before each of its statements: those of one level.
    let starts: Vec<usize> = action
        .match_indices("\n    ")
        .map(|(at, _)| at)
        .filter(|at| {
            let rest = action.get(at + 5..).unwrap_or_default();
            let goes_on = ["end", "else", "for", "--", "}", " "];
            !goes_on.iter().any(|other| rest.starts_with(other))
        })
        .collect();
    ensure!(starts.len() > 4, "{starts:?}");
    for config in ["deploy/haproxy/single.cfg", "deploy/haproxy/domain.cfg"] {
        let single = config.contains("single");
        let outpost = if single { shown::SINGLE } else { shown::DOMAIN };
        let site = Site::builder(outpost).start()?;
        let hosts: &[&str] = if single {
            &["wiki"]
        } else {
            &["wiki", "files"]
        };
        for at in &starts {
            let (done, left) = action.split_at(*at);
            let failing = format!(
                "{before}{done}\n    if txn.sf:req_fhdr(\"x-fail\") ~= \"\" then error(\"here\") end\
                 {left}{after}"
            );
            let running = Haproxy::start_with(&site, config, &[], &failing, hosts)?;
            let client = Client::new()?;
            for host in hosts {
                let seen = site.wiki().len() + site.files().len();
                let request = client.fetch(Method::GET, &site.url(host, "/x")?);
                let request = request.header("X-Fail", "1");
                let status = request
                    .header("X-Auth-Username", "mallory")
                    .send()?
                    .status();
                ensure!(
                    status.is_client_error() || status.is_server_error(),
                    "{status}"
                );
                let reached = site.wiki().len() + site.files().len();
                ensure!(seen == reached, "{config}: an error before {left:.60}");
            }
            drop(running);
        }
    }
    Ok(())
}

/// Every header that the outpost reads of a request is part of HAProxy's question.
#[test]
fn haproxy_sends_what_is_read() -> Result<()> {
    let root = layout::root();
    let mut read = BTreeSet::new();
    let mut folders = vec![root.join("outpost/src/web"), root.join("policy/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                // What it writes.
                && !path.ends_with("response.rs")
            {
                let text = fs::read_to_string(&path)?;
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for call in ["header(\"", "header_text(\""] {
                    let calls = text.split(call).skip(1);
                    read.extend(calls.filter_map(|rest| rest.split('"').next().map(str::to_owned)));
                }
                let imported = text.split("http::header::").skip(1);
                let imported = imported.filter_map(|rest| rest.split(';').next());
                read.extend(imported.flat_map(|names| {
                    names
                        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
                        .filter(|name| name.len() > 2)
                        .map(|name| name.to_ascii_lowercase().replace('_', "-"))
                }));
            }
        }
    }
    read.extend(
        [
            "traceparent",
            "tracestate",
            "x-gatepost-require",
            "x-request-id",
        ]
        .map(String::from),
    );
    let script = fs::read_to_string(root.join("deploy/haproxy/gatepost.lua"))?;
    let asked = script.split("local asked = {").nth(1);
    let asked = asked.and_then(|text| text.split("\n}").next());
    let asked: BTreeSet<_> = asked
        .context("`asked`")?
        .split("[\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(str::to_owned))
        .collect();
    // HAProxy's client sends none. Set by the script, or of another direction: a logout token's request, an answer. HAProxy says
    // by `sec-websocket-key` that there is an `Upgrade`.
    for other in [
        "accept-encoding",
        "host",
        "content-type",
        "cache-control",
        "upgrade",
    ] {
        ensure!(read.remove(other), "{other} is no longer read: {read:?}");
    }
    assert_eq!(asked, read);
    Ok(())
}
