//! Which application a request belongs to, with authentik's own proxy configurations: headers that
//! they do not set are the client's, and a provider of authentik's that cannot be served keeps its
//! host.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::doubles::authentik::Authentik;
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::{Client, Site, until, users};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a request unchanged, and returns the status of the response.
fn status(site: &Site, line: &str, headers: &[(&str, &str)]) -> Result<Option<u16>> {
    let mut connection = RawConnection::connect(site.ports().web)?;
    connection.request(line, headers)?;
    Ok(connection.head().ok().map(|head| head.status))
}

/// Alice's session at the host of a page, as a `Cookie` line.
fn session(site: &Site, name: &str) -> Result<String> {
    let client = Client::new()?;
    let page = site.url(name, "/")?;
    let journey = client.sign_in(&page, &users::ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let cookie = client.cookie(&page, "gatepost").context("a session")?;
    Ok(format!("gatepost={cookie}"))
}

fn authority(site: &Site, name: &str) -> Result<String> {
    Ok(site.url(name, "/")?.authority().to_owned())
}

/// Adds the application `files`, and waits until the outpost knows it.
fn add_files(site: &Site, authentik: &Authentik) -> Result<()> {
    authentik.add(site.files_in_authentik()?);
    let start = format!("http://127.0.0.1:{}/akprox/start", site.ports().outpost);
    let host = authority(site, "files")?;
    until("the new application", PATIENCE, || {
        let request = Client::new()?.page_load(Method::GET, &start.parse()?);
        let status = request.header("Host", &host).send()?.status();
        Ok((status == StatusCode::FOUND).then_some(()))
    })
}

/// Checks that no header lets a client into `wiki`, without a session or with one of `files`.
fn no_header_lets_in(site: &Site) -> Result<()> {
    let at_files = session(site, "files")?;
    let (wiki, files) = (authority(site, "wiki")?, authority(site, "files")?);
    let url = |host: &str, path: &str| format!("http://{host}{path}");
    let public = "/public/x";
    let chosen: Vec<Vec<(&str, String)>> = vec![
        vec![("X-Original-URI", public.into())],
        vec![("X-Original-URL", url(&wiki, public))],
        vec![("X-Original-URL", url(&files, "/"))],
        vec![("X-Original-URL", url(&files, public))],
        vec![("X-Original-URL", public.into())],
        vec![("X-Forwarded-Uri", public.into())],
        vec![("X-Forwarded-Host", files.clone())],
        vec![
            ("X-Forwarded-Host", files.clone()),
            ("X-Forwarded-Uri", public.into()),
        ],
        vec![
            ("X-Forwarded-Host", files.clone()),
            ("X-Original-URI", public.into()),
        ],
        vec![("X-Original-Host", files.clone())],
        vec![("X-Forwarded-Server", files.clone())],
        vec![("Forwarded", format!("host={files}"))],
        vec![("X-Original-Method", "OPTIONS".into())],
        vec![("X-Rewrite-URL", public.into())],
    ];
    let before = site.wiki().len();
    for cookie in ["", &at_files] {
        for headers in &chosen {
            let mut sent = vec![("Host", wiki.as_str()), ("Cookie", cookie)];
            sent.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
            for line in [
                "GET /admin",
                "GET /admin?X-authentik-auth-callback=true",
                "POST /admin",
            ] {
                let answered = status(site, line, &sent)?;
                assert_eq!(site.wiki().len(), before, "{line} {sent:?}: {answered:?}");
            }
        }
    }
    Ok(())
}

/// Row A2: authentik's text of 2021 sets `Host` and nothing else.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_recipe_of_2021_says_the_host_alone() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let _nginx = Nginx::of_authentik(&site, "testdata/authentik/nginx.conf", &[], &["wiki"])?;
    add_files(&site, &authentik)?;
    no_header_lets_in(&site)?;
    // No path is known there, so no path is public.
    let (wiki, before) = (authority(&site, "wiki")?, site.wiki().len());
    let answered = status(&site, "GET /public/logo.png", &[("Host", &wiki)])?;
    assert_eq!((answered, site.wiki().len()), (Some(302), before));
    Ok(())
}

/// Rows A1, A2: today's text sets `X-Original-URL` too, from a `Host` header by which nginx did not
/// route.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_recipe_of_today_says_host_and_path() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let host = "proxy_set_header    Host $host;";
    let url = format!(
        "{host}\n        proxy_set_header    X-Original-URL $scheme://$http_host$request_uri;"
    );
    let today = [("/akprox", "/outpost.goauthentik.io"), (host, &*url)];
    let _nginx = Nginx::of_authentik(&site, "testdata/authentik/nginx.conf", &today, &["wiki"])?;
    add_files(&site, &authentik)?;
    no_header_lets_in(&site)?;
    let at_files = session(&site, "files")?;
    let (wiki, files) = (authority(&site, "wiki")?, authority(&site, "files")?);
    let before = site.wiki().len();
    let line = format!("GET http://{wiki}/admin");
    for cookie in ["", &at_files] {
        let answered = status(&site, &line, &[("Host", &files), ("Cookie", cookie)])?;
        assert_eq!(site.wiki().len(), before, "{answered:?}");
    }
    let answered = status(&site, "GET /public/logo.png", &[("Host", &wiki)])?;
    assert_eq!((answered, site.wiki().len()), (Some(200), before + 1));
    Ok(())
}

/// Row A4: a host without an application here is not answered by the domain around it.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn what_cannot_be_served_is_refused_and_not_the_domains() -> Result<()> {
    let changes = json!({
        "mode": "forward_domain",
        "external_host": "http://auth.example.com",
        "cookie_domain": ".example.com",
    });
    let (site, authentik) = Site::of_authentik(StatusCode::FOUND, &changes)?;
    let sign_in = (
        "error_page          401 = @akprox_signin;",
        "error_page          401 =302 \
         http://auth.example.com/akprox/start?rd=$scheme://$http_host$request_uri;",
    );
    let file = "testdata/authentik/nginx.conf";
    let _nginx = Nginx::of_authentik(&site, file, &[sign_in], &["wiki"])?;
    let cookie = session(&site, "wiki")?;
    let port = site.ports().web;
    let broken = [
        ("secret", json!({ "cookie_secret": "short" })),
        ("client", json!({ "client_id": null })),
        ("issuer", json!({ "oidc_configuration": null })),
        ("fields", json!({ "access_token_validity": "an hour" })),
        ("mode", json!({ "mode": "sideways" })),
        ("slug", json!({ "assigned_application_slug": "wiki" })),
        (
            "inner",
            json!({
                "mode": "forward_domain",
                "cookie_domain": "inner.example.localhost",
                "cookie_secret": null,
            }),
        ),
    ];
    for (number, (name, changes)) in (20_i64..).zip(&broken) {
        let mut provider = site.files_in_authentik()?;
        let own = json!({
            "pk": number,
            "name": name,
            "external_host": format!("http://{name}.example.localhost:{port}"),
            "assigned_application_slug": name,
        });
        merge(&mut provider, &own);
        merge(&mut provider, changes);
        authentik.add(provider);
    }
    let log = || site.outpost().output();
    until("the outpost to know of all of them", PATIENCE, || {
        Ok(log().contains("`inner`: cookie_secret").then_some(()))
    })?;
    let before = site.wiki().len();
    let names = broken.iter().map(|(name, _)| *name);
    for name in names.chain(["x.inner", "a.b.inner"]) {
        for suffix in [String::new(), format!(":{port}"), ":1".to_owned()] {
            let host = format!("{name}.example.localhost{suffix}");
            let answered = status(&site, "GET /x", &[("Host", &host), ("Cookie", &cookie)])?;
            assert_eq!(site.wiki().len(), before, "{host}: {answered:?}");
        }
    }
    let refused = "`secret` is configured for it and cannot be served: cookie_secret";
    assert!(log().contains(refused), "{refused}");
    // The domain goes on.
    let host = format!("other.example.localhost:{port}");
    let answered = status(&site, "GET /x", &[("Host", &host), ("Cookie", &cookie)])?;
    assert_eq!((answered, site.wiki().len()), (Some(200), before + 1));
    Ok(())
}

fn merge(value: &mut Value, changes: &Value) {
    if let (Value::Object(own), Value::Object(changes)) = (value, changes) {
        own.extend(changes.clone());
    }
}

/// What authentik's marks in a query have the outpost answer is no consent to a proxy that asks,
/// whatever the path and the method.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_mark_in_a_query_opens_the_application() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("testdata/authentik/traefik-standalone.yaml")?
        .start(&["wiki"])?;
    nothing_opens(&site)
}

/// The same through nginx.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_mark_in_a_query_opens_the_application_behind_nginx() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let _nginx = Nginx::of_authentik(&site, "testdata/authentik/nginx.conf", &[], &["wiki"])?;
    nothing_opens(&site)
}

fn nothing_opens(site: &Site) -> Result<()> {
    let wiki = authority(site, "wiki")?;
    let before = site.wiki().len();
    for path in [
        "/admin",
        "/",
        "/akprox/sign_out",
        "/akprox/start",
        "/akprox/ping",
        "/akprox/../admin",
        "/akprox/ping/..%2f..%2fadmin",
        "/outpost.goauthentik.io/ping",
        "/outpost.goauthentik.io/sign_out",
        "/outpost.goauthentik.io/callback",
        "/outpost.goauthentik.io/auth/traefik",
    ] {
        for query in [
            "",
            "?X-authentik-auth-callback=true",
            "?X-authentik-auth-callback=true&code=a&state=b",
            "?X-authentik-logout=true",
            "?a=b&X-authentik-logout=true",
            "?X-authentik-logout=true&X-authentik-auth-callback=true",
            "?/public/x",
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
                for accept in ["*/*", "text/html"] {
                    let headers = [
                        ("Host", wiki.as_str()),
                        ("Content-Length", "0"),
                        ("Accept", accept),
                    ];
                    let answered = status(site, &format!("{method} {path}{query}"), &headers)?;
                    assert_eq!(
                        site.wiki().len(),
                        before,
                        "{method} {path}{query}: {answered:?}"
                    );
                }
            }
        }
    }
    Ok(())
}
