//! A client that names hosts as it likes, where one application's host lies in another's domain:
//! the name must not choose the application that answers for a request.

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::proxies::{IngressNginx, Nginx, Traefik};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use reqwest::Method;
use serde_json::{Value, json};

use crate::shown;

/// Returns the application on the host `files`, which admits other users than the domain around it.
fn board() -> Value {
    json!({
        "name": "board",
        "externalUrl": "http://files.example.com",
        "provider": "main",
        "require": { "groups": ["admins"] },
    })
}

/// Returns a host and port at the proxy, as `Host` has them.
fn authority(site: &Site, name: &str) -> Result<String> {
    let url = site.url(name, "/")?;
    Ok(url.authority().to_owned())
}

/// Alice's session, as a `Cookie` line, of whichever application the page belongs to.
fn session(site: &Site, name: &str) -> Result<String> {
    let client = Client::new()?;
    let page = site.url(name, "/")?;
    let journey = client.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, 200, "{journey}");
    let cookie = client.cookie(&page, "gatepost").context("a session")?;
    Ok(format!("gatepost={cookie}"))
}

/// Sends a request unchanged, and returns the status of the response.
fn status(site: &Site, line: &str, headers: &[(&str, &str)]) -> Result<Option<u16>> {
    let mut connection = RawConnection::connect(site.ports().web)?;
    connection.request(line, headers)?;
    Ok(connection.head().ok().map(|head| head.status))
}

/// Returns the ways in which a client can write a host, by its name and the proxy's port.
fn spellings(name: &str, port: u16) -> Vec<String> {
    let capitals = name.to_ascii_uppercase();
    let mut all: Vec<String> = [name, &capitals]
        .into_iter()
        .flat_map(|name| {
            let ports = [1, 80, 443, 8080, 65_535, port].map(|port| format!("{name}:{port}"));
            [
                name.to_owned(),
                format!("{name}."),
                format!("{name}.:{port}"),
            ]
            .into_iter()
            .chain([format!("{name}:"), format!("{name}:0{port}")])
            .chain(ports)
        })
        .collect();
    all.push(format!("x@{name}"));
    all.push(format!("{name}:{port}, {name}:{port}"));
    all
}

/// Checks that a session that is valid at `own` does not reach the application that the proxy
/// serves at `other`, however the request writes either.
fn stays_out(site: &Site, cookie: &str, own: &str, other: &str) -> Result<()> {
    let port = site.ports().web;
    let seen = || site.wiki().len() + site.files().len();
    let is_at = |name: &str| {
        if name == "wiki" {
            site.wiki()
        } else {
            site.files()
        }
    };
    let host_of = |name| -> Result<String> {
        let url = site.url(name, "/")?;
        Ok(url.host_str().context("a host")?.to_owned())
    };
    let (own_host, other_host) = (host_of(own)?, host_of(other)?);
    let before = is_at(other).len();
    for host in spellings(&other_host, port) {
        let headers = [("Host", host.as_str()), ("Cookie", cookie)];
        let answered = status(site, "GET /x", &headers)?;
        assert_eq!(is_at(other).len(), before, "Host: {host}: {answered:?}");
        for named in spellings(&own_host, port) {
            let line = format!("GET http://{host}/x");
            let headers = [("Host", named.as_str()), ("Cookie", cookie)];
            let answered = status(site, &line, &headers)?;
            assert_eq!(
                is_at(other).len(),
                before,
                "{line}, Host: {named}: {answered:?}"
            );
        }
    }
    let named = authority(site, own)?;
    let there = authority(site, other)?;
    for (header, value) in [
        ("X-Forwarded-Host", named.clone()),
        ("X-Forwarded-Uri", "/akprox/ping".to_owned()),
        ("X-Original-URL", format!("http://{named}/x")),
        ("X-Original-URI", "/x".to_owned()),
        ("X-Original-Host", named.clone()),
        ("Forwarded", format!("host={named}")),
        ("X-Host", named.clone()),
    ] {
        let headers = [
            ("Host", there.as_str()),
            ("Cookie", cookie),
            (header, value.as_str()),
        ];
        let answered = status(site, "GET /x", &headers)?;
        assert_eq!(
            is_at(other).len(),
            before,
            "{header}: {value}: {answered:?}"
        );
    }
    // Where it belongs, it is as good as before.
    let before = seen();
    let headers = [("Host", named.as_str()), ("Cookie", cookie)];
    assert_eq!(status(site, "GET /x", &headers)?, Some(200), "{own}");
    assert_eq!(seen(), before + 1);
    Ok(())
}

fn with_board() -> Result<Site> {
    Site::builder("deploy/outpost/domain.yaml")
        .further_applications(vec![board()])
        .start()
}

/// Row A1: through nginx.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_spelling_of_a_host_is_the_domains_behind_nginx() -> Result<()> {
    let site = with_board()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/domain.conf", &["wiki", "files"])?;
    let cookie = session(&site, "wiki")?;
    stays_out(&site, &cookie, "wiki", "files")
}

/// Row A1: through nginx as the ingress controller configures it.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_spelling_of_a_host_is_the_domains_behind_ingress_nginx() -> Result<()> {
    let site = Site::builder("deploy/outpost/domain.yaml")
        .further_applications(vec![board()])
        .redirects_everyone()
        .start()?;
    let file = "deploy/kubernetes/ingress-nginx/domain.yaml";
    let _nginx = IngressNginx::start(&site, file, &["wiki", "files"])?;
    let cookie = session(&site, "wiki")?;
    stays_out(&site, &cookie, "wiki", "files")
}

/// Row A1: through Traefik, which asks the outpost.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_spelling_of_a_host_is_the_domains_behind_forward_auth() -> Result<()> {
    let site = with_board()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-domain.yaml")?
        .start(&["wiki", "files"])?;
    let cookie = session(&site, "wiki")?;
    stays_out(&site, &cookie, "wiki", "files")
}

/// Row A1: through Traefik with the plugin, which decides alone.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_spelling_of_a_host_is_the_domains_behind_the_plugin() -> Result<()> {
    let site = with_board()?;
    let own = json!({ "http": {
        "routers": {
            "files": { "middlewares": ["board"] },
            "board-outpost": {
                "rule": "Host(`files.example.localhost`) && PathPrefix(`/akprox`)",
                "entryPoints": ["web"],
                "service": "outpost",
            },
        },
        "middlewares": { "board": { "plugin": { "gatepost": {
            "application": "board",
            "keysFile": "/keys/gatepost.keys",
        } } } },
    } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/plugin-domain.yaml", &own)?
        .start(&["wiki", "files"])?;
    let cookie = session(&site, "wiki")?;
    stays_out(&site, &cookie, "wiki", "files")?;
    let cookie = session(&site, "files")?;
    stays_out(&site, &cookie, "files", "wiki")
}

/// Rows A1, A2: two applications, each of which has a server block of nginx; then nginx serves one
/// of them only, for whatever name.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx_asks_about_the_server_that_it_serves() -> Result<()> {
    let site = Site::builder("deploy/outpost/single.yaml")
        .further_applications(vec![board()])
        .start()?;
    let listen = format!("listen {};", site.ports().web);
    let wiki = site.fitted("deploy/nginx/single.conf", &[("listen 80;", &listen)])?;
    let files = [
        ("listen 80;", listen.as_str()),
        ("wiki.example.com", "files.example.com"),
        ("127.0.0.1:8000", "127.0.0.1:8001"),
    ];
    let files = site.fitted("deploy/nginx/single.conf", &files)?;
    let both = format!("{wiki}{files}");
    let nginx = Nginx::start_with(&site, &both, &["wiki", "files"])?;
    let at_wiki = session(&site, "wiki")?;
    let at_files = session(&site, "files")?;
    stays_out(&site, &at_wiki, "wiki", "files")?;
    stays_out(&site, &at_files, "files", "wiki")?;
    drop(nginx);

    let _nginx = Nginx::start_with(&site, &wiki, &["wiki"])?;
    let before = site.wiki().len();
    let port = site.ports().web;
    for host in spellings("files.example.localhost", port) {
        let headers = [("Host", host.as_str()), ("Cookie", &at_files)];
        let answered = status(&site, "GET /x", &headers)?;
        assert_eq!(site.wiki().len(), before, "Host: {host}: {answered:?}");
    }
    let headers = [("Host", "wiki.example.localhost"), ("Cookie", &at_wiki)];
    assert_eq!(status(&site, "GET /x", &headers)?, Some(200));
    Ok(())
}

/// Row A2: a host that nginx's map does not name is not served, though the session is good there.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_domain_behind_nginx_serves_the_hosts_that_it_names() -> Result<()> {
    let site = Site::builder("deploy/outpost/domain.yaml").start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/domain.conf", &["wiki", "files"])?;
    let cookie = session(&site, "wiki")?;
    let before = site.wiki().len() + site.files().len();
    for host in [
        "other.example.localhost",
        "localhost",
        "evil.example",
        "wiki.evil.example",
    ] {
        let headers = [("Host", host), ("Cookie", &cookie)];
        assert_eq!(status(&site, "GET /x", &headers)?, Some(421), "{host}");
    }
    assert_eq!(site.wiki().len() + site.files().len(), before);
    Ok(())
}

/// Row C: one application's `outpostPrefix` is a path like any other at another's host.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_prefix_of_one_application_is_an_ordinary_path_at_another() -> Result<()> {
    let mut vault = board();
    vault["outpostPrefix"] = json!("/vault");
    let site = Site::builder("deploy/outpost/single.yaml")
        .further_applications(vec![vault])
        .start()?;
    let nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    goes_on_at(&site, "/vault/start")?;
    drop(nginx);
    let _traefik = shown::forward_auth(&site)?;
    goes_on_at(&site, "/vault/sign_out")
}

fn goes_on_at(site: &Site, path: &str) -> Result<()> {
    let client = Client::new()?;
    let page = site.url("wiki", path)?;
    assert_eq!(client.fetch(Method::GET, &page).send()?.status(), 401);
    let journey = client.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    let seen = site.wiki();
    assert_eq!(seen.last().map(|seen| seen.uri.as_str()), Some(path));
    Ok(())
}
