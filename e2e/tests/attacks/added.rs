//! What pages tell operators to add to a shown configuration, or to leave out of it: put where the page says,
//! it lets no header of a client through.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::{Envoy, Nginx};
use gatepost_e2e::{Site, layout};
use serde_json::json;

use crate::removed::{arrivals, arrived};
use crate::spellings::session;

/// nginx's directives that pages add, for headers.
const DIRECTIVES: [&str; 3] = ["proxy_set_header ", "add_header ", "auth_request_set "];

/// Lines of a page, and the text in `deploy/nginx/single.conf` behind which they stand.
struct Advice {
    /// The page and the line.
    at: String,
    behind: &'static str,
    lines: Vec<String>,
}

fn site() -> Result<Site> {
    Site::builder("deploy/outpost/single.yaml")
        .applications(&json!({ "public": ["/public/*", "GET=/hook"] }))
        .start()
}

/// Row A9: nginx takes over the server's lines in a location only where that has none of its own.
#[test]
#[ignore = "needs nginx and an OpenID provider: cargo xtask test"]
fn no_line_that_a_page_adds_to_nginx_lets_a_clients_header_through() -> Result<()> {
    let site = site()?;
    let mut all = Vec::new();
    for Advice { at, behind, lines } in advice()? {
        let changed = format!("{behind}\n        {}\n", lines.join("\n        "));
        let changes = [(behind, changed.as_str())];
        let running = Nginx::start_changed(&site, "deploy/nginx/single.conf", &changes, &["wiki"]);
        let _nginx = running.with_context(|| at.clone())?;
        all.extend(arrivals(&site, "/public/x", &at)?);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    Ok(())
}

/// Returns each line of a page that has such a directive to add.
fn advice() -> Result<Vec<Advice>> {
    let mut all = Vec::new();
    for page in pages()? {
        // It is about authentik's own text for nginx, whose headers stand in the location.
        if page.ends_with("authentik.md") {
            continue;
        }
        let text = fs::read_to_string(&page)?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split('`').skip(1).step_by(2);
            let is_added = |code: &&str| {
                code.ends_with(';') && DIRECTIVES.iter().any(|name| code.starts_with(name))
            };
            let lines: Vec<String> = code.filter(is_added).map(str::to_owned).collect();
            if lines.is_empty() {
                continue;
            }
            let behind = if line.contains("in the server") {
                "    server_name wiki.example.com;"
            } else if line.contains("in the location that asks the outpost") {
                "    location = /akprox/auth/nginx {"
            } else {
                // Where operators look first.
                "    location / {"
            };
            all.push(Advice {
                at: format!("{}:{}", page.display(), number + 1),
                behind,
                lines,
            });
        }
    }
    ensure!(all.len() >= 4, "the pages have {} such lines", all.len());
    Ok(all)
}

fn pages() -> Result<Vec<PathBuf>> {
    let docs = layout::root().join("docs");
    let mut pages = Vec::new();
    for folder in ["", "proxies", "providers"] {
        for file in fs::read_dir(docs.join(folder))? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

/// Row A9: Envoy as its page says for another proxy in front, which leaves one line out.
#[test]
#[ignore = "needs Envoy and an OpenID provider: cargo xtask test"]
fn envoy_behind_another_proxy_lets_no_header_of_a_client_through() -> Result<()> {
    let file = "deploy/envoy/single.yaml";
    let page = fs::read_to_string(layout::root().join("docs/proxies/envoy.md"))?;
    let advice = page
        .lines()
        .find(|line| line.contains("Behind another proxy"))
        .context("what to leave out")?;
    let line = "- remove: x-forwarded-for";
    ensure!(
        advice.contains(&format!("`{line}`")),
        "the one line to leave out: {advice}"
    );
    let left_out = format!("              {line}\n");
    let hops = "          use_remote_address: true\n";
    let with_hops = format!("{hops}          xff_num_trusted_hops: 1\n");
    let site = site()?;
    let changes = [(&*left_out, ""), (hops, &*with_hops)];
    let _envoy = Envoy::start_with(&site, file, &changes, &["wiki"])?;
    let mut arrived = arrived(&site, "/public/x", &session(&site, "wiki")?)?;
    // These two are the other proxy's, as the page says, which overwrites a client's.
    arrived.retain(|name| !matches!(&**name, "x-forwarded-for" | "x-forwarded-proto"));
    assert!(arrived.is_empty(), "{arrived:?}");
    Ok(())
}
