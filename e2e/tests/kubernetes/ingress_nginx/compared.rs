//! nginx, as the real controller configures it, and Traefik, as `gatepost import` does, for the same
//! Ingresses and the same requests: what nginx keeps from an application, Traefik keeps too.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, ports, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::rows::{AUTH_URL, ROWS, Row};
use super::{needs_the_controller, serve};
use crate::checks;
use crate::ingresses::{import, list_of};
use crate::served::{PLUGIN, objects_of, traefik};

/// How long a proxy on a busy machine may take to read what is in the cluster.
const LIMIT: Duration = Duration::from_secs(60);

/// What the application answers.
const OK: u16 = 200;

/// A request, and its status at nginx.
struct Asked {
    row: &'static Row,
    path: String,
    at_nginx: u16,
}

pub(super) fn traefik_opens_nothing(cluster: &Cluster) -> Result<()> {
    needs_the_controller()?;
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let mut before: Vec<Value> = ROWS.iter().flat_map(Row::ingresses).collect();
    before.push(config_map());
    let list = list_of(&before);

    let nginx = site.ports().extra;
    let _nginx = serve(cluster, &site, before, nginx, &[])?;
    for row in ROWS {
        until(row.name, LIMIT, || {
            let status = status(nginx, row, row.protected);
            Ok(status.is_ok_and(|it| it == row.at_nginx).then_some(()))
        })?;
    }
    let mut asked = Vec::new();
    for row in ROWS {
        for path in row.paths.iter().flat_map(|path| spellings(path)) {
            let at_nginx = status(nginx, row, &path)?;
            asked.push(Asked {
                row,
                path,
                at_nginx,
            });
        }
    }

    let text = import(&["--to", "crds"], &list)?.text;
    for row in ROWS {
        let is_refused = text.contains(&format!("\n# - {}: ", row.host()));
        ensure!(is_refused == row.refused, "{}: {text}", row.name);
    }
    let _after = cluster.apply(objects_of(&text)?)?;
    let secure = ports::free()?;
    let entry =
        json!({ "entryPoints": { "websecure": { "address": format!("127.0.0.1:{secure}") } } });
    let _traefik = traefik(cluster, &site, (PLUGIN, &entry), &[])?.start(&[])?;
    let web = site.ports().web;
    let at_traefik = |row: &Row, path: &str| -> Result<u16> {
        if !row.tls {
            return status(web, row, path);
        }
        let url = format!("https://{}:{secure}{path}", row.host()).parse()?;
        Ok(Client::new()?
            .fetch(Method::GET, &url)
            .send()?
            .status()
            .as_u16())
    };
    for row in ROWS.iter().filter(|row| !row.refused) {
        until(row.name, LIMIT, || {
            let status = at_traefik(row, row.protected);
            Ok(status.is_ok_and(|it| it == row.at_traefik).then_some(()))
        })?;
    }
    let mut opened = Vec::new();
    let (mut closed, mut both) = (0, 0);
    for Asked {
        row,
        path,
        at_nginx,
    } in &asked
    {
        let is_open = at_traefik(row, path)? == OK;
        let seen = site.wiki().last().map(|seen| seen.uri.clone());
        match (*at_nginx, is_open) {
            (OK, true) => both += 1,
            (OK, false) => closed += 1,
            (_, false) => {}
            // Traefik tidies a path before it chooses a route, and hands on what it chose by. That may
            // be a path that is open at nginx too: `/hook/x/..` is `/hook`, not `/hook/`; `/../hook` is,
            // where nginx answers 400.
            (at_nginx, true) => {
                let seen = seen.context("the application was asked")?;
                if status(nginx, row, &seen)? != OK {
                    opened.push(format!("{}: {path}: {at_nginx} at nginx", row.name));
                }
            }
        }
    }
    eprintln!(
        "{} requests: {both} reach the application by both, {closed} by nginx alone",
        asked.len()
    );
    ensure!(opened.is_empty(), "open at Traefik:\n{}", opened.join("\n"));
    for row in ROWS.iter().filter(|row| !row.refused) {
        for path in row.open {
            let status = (status(nginx, row, path)?, at_traefik(row, path)?);
            ensure!(status == (OK, OK), "{}: {path}: {status:?}", row.name);
        }
    }
    Ok(())
}

/// Protects every Ingress that does not say otherwise.
fn config_map() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "ingress-nginx-controller", "namespace": "ingress-nginx" },
        "data": { "global-auth-url": AUTH_URL },
    })
}

/// Asks as a script without a session.
fn status(port: u16, row: &Row, path: &str) -> Result<u16> {
    let mut connection = RawConnection::connect(port)?;
    let host = row.asked();
    connection.request(
        &format!("GET {path}"),
        &[
            ("Host", &host),
            ("Connection", "close"),
            ("Sec-Fetch-Mode", "cors"),
        ],
    )?;
    Ok(connection
        .head()
        .with_context(|| format!("{host}{path}"))?
        .status)
}

/// Returns a path as clients may write it, and as servers may read it as another one.
fn spellings(path: &str) -> Vec<String> {
    let rest = path.trim_start_matches('/');
    let (first, tail) = rest.split_at(rest.len().min(1));
    let encoded = first.bytes().map(|byte| format!("%{byte:02x}"));
    let encoded: String = encoded.collect();
    let last = rest.rfind('/').map(|at| rest.split_at(at));
    let (head, end) = last.unwrap_or(("", rest));
    let end = end.trim_start_matches('/');
    let mut all = vec![
        path.to_owned(),
        format!("{path}/"),
        format!("{}//", path.trim_end_matches('/')),
        path.trim_end_matches('/').to_owned(),
        format!("//{rest}"),
        format!("/./{rest}"),
        format!("/%2e/{rest}"),
        format!("/%2F{rest}"),
        format!("/x/../{rest}"),
        format!("/x/%2e%2e/{rest}"),
        format!("/x%2F..%2F{rest}"),
        format!("/x%2f%2e%2e%2f{rest}"),
        format!("/%2e%2e/{rest}"),
        format!("/{encoded}{tail}"),
        format!("/%25{:02x}{tail}", first.bytes().next().unwrap_or(b'x')),
        format!("/{}", rest.to_uppercase()),
        format!("/{head}%2F{end}"),
        format!("/{head}//{end}"),
        format!("/{head}/./{end}"),
        format!("/{head}\\{end}"),
        format!("/{head};x=1/{end}"),
        format!("{path}/.."),
        format!("{path}/../"),
        format!("{path}/%2e%2e"),
        format!("{path}/..%2F"),
        format!("{path}/..;/"),
        format!("{path};x=1"),
        format!("{path}.json"),
        format!("{path}%20"),
        format!("{path}%0a"),
        format!("{path}%00"),
        format!("{path}?x=/../y"),
        format!("{path}%3Fx=1"),
        format!("{path}#x"),
        format!("{path}%23x"),
    ];
    all.retain(|path| path.starts_with('/'));
    all.sort_unstable();
    all.dedup();
    all
}
