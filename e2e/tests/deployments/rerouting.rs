//! A server that takes another path from a header than the one that was decided on.

use anyhow::Result;
use gatepost_e2e::programs::gunicorn::Gunicorn;
use gatepost_e2e::proxies::{Nginx, Traefik, service};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, Client, Site, ports};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::checks;
use crate::plugin::middlewares;

/// Returns the path that the application behind gunicorn is asked for, by a client that says in a header
/// which beginning of the path is not the application's.
fn path_read(url: &Url, header: &str) -> Result<String> {
    let request = Client::new()?.fetch(Method::GET, url);
    let answer = Answer::read(request.header(header, "/public").send()?)?;
    assert_eq!(answer.status, StatusCode::OK, "{url}");
    Ok(answer.body)
}

/// Row A9: gunicorn takes `SCRIPT_NAME` from proxies on its own machine, and `/public/admin` becomes
/// `/admin`.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_client_has_gunicorn_read_no_other_path() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let gunicorn = Gunicorn::start(ports::free()?, site.folder())?;
    assert_eq!(
        path_read(&gunicorn.url().join("public/admin")?, "SCRIPT_NAME")?,
        "/admin"
    );
    let services = service("wiki", gunicorn.url().as_str());
    let changed = |mut changes: Value| {
        changes["http"]["services"] = services.clone();
        changes
    };
    let settings = json!({ "public": checks::PUBLIC });
    for (fixed, dynamic, changes) in [
        (
            "deploy/traefik/static/plugin.yaml",
            "deploy/traefik/dynamic/plugin-single.yaml",
            middlewares(&["wiki-gatepost"], &settings),
        ),
        (
            "deploy/traefik/static/forward-auth.yaml",
            "deploy/traefik/dynamic/forward-auth-single.yaml",
            json!({}),
        ),
    ] {
        let traefik = Traefik::new(&site, fixed)?
            .route_with(dynamic, &changed(changes))?
            .start(&["wiki"])?;
        assert_eq!(
            path_read(&site.url("wiki", "/public/admin")?, "SCRIPT_NAME")?,
            "/public/admin"
        );
        drop(traefik);
        remove(&site)?;
    }
    Ok(())
}

/// Row A9: an application takes `X-Forwarded-Prefix` away from its path, and `/public/admin` becomes
/// `/admin`. Through Traefik, which removes that header of clients, and nginx, which does not.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_client_has_an_application_take_no_prefix_away() -> Result<()> {
    const PREFIX: &str = "X-Forwarded-Prefix";
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let gunicorn = Gunicorn::behind_prefix(ports::free()?, site.folder())?;
    let direct = gunicorn.url().join("public/admin")?;
    assert_eq!(path_read(&direct, PREFIX)?, "/admin");
    let page = site.url("wiki", "/public/admin")?;
    let mut changes = middlewares(&["wiki-gatepost"], &json!({ "public": checks::PUBLIC }));
    changes["http"]["services"] = service("wiki", gunicorn.url().as_str());
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/plugin-single.yaml", &changes)?
        .start(&["wiki"])?;
    assert_eq!(path_read(&page, PREFIX)?, "/public/admin");
    drop(traefik);

    let own = format!(
        "proxy_pass {};",
        gunicorn.url().as_str().trim_end_matches('/')
    );
    let changes = [("proxy_pass http://127.0.0.1:8000;", &*own)];
    let _nginx = Nginx::start_changed(&site, "deploy/nginx/single.conf", &changes, &["wiki"])?;
    assert_eq!(path_read(&page, PREFIX)?, "/public/admin");
    Ok(())
}

/// Row A9: gunicorn believes `X-Forwarded-Protocol` of a proxy on its own machine, and refuses a request in
/// which another header says another scheme. Through Traefik, where the plugin removes the header of clients.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_client_has_gunicorn_read_no_other_scheme() -> Result<()> {
    let read = |url: &Url| -> Result<Answer> {
        let request = Client::new()?.fetch(Method::GET, url);
        Answer::read(request.header("X-Forwarded-Protocol", "ssl").send()?)
    };
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let gunicorn = Gunicorn::showing_the_scheme(ports::free()?, site.folder())?;
    assert_eq!(read(gunicorn.url())?.body, "https");
    let mut changes = middlewares(&["wiki-gatepost"], &json!({ "public": checks::PUBLIC }));
    changes["http"]["services"] = service("wiki", gunicorn.url().as_str());
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/plugin-single.yaml", &changes)?
        .start(&["wiki"])?;
    let answer = read(&site.url("wiki", "/public/page")?)?;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "http"));
    Ok(())
}

/// What Traefik's own middleware says of the prefix reaches the application through the plugin.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_prefix_that_traefik_takes_away_reaches_the_application() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let mut changes = middlewares(&["wiki-gatepost"], &json!({ "public": ["/page"] }));
    changes["http"]["middlewares"]["strip"] = json!({ "stripPrefix": { "prefixes": ["/own"] } });
    changes["http"]["routers"] = json!({ "wiki": { "middlewares": ["strip", "wiki-gatepost"] } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/plugin-single.yaml", &changes)?
        .start(&["wiki"])?;
    let request = Client::new()?.fetch(Method::GET, &site.url("wiki", "/own/page")?);
    let request = request.header("X.Forwarded.Prefix", "/other");
    assert_eq!(request.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().expect("the application was asked");
    assert_eq!(seen.header("x-forwarded-prefix"), Some("/own"));
    assert_eq!(seen.header("x.forwarded.prefix"), None);
    Ok(())
}

/// What the plugin refuses stays refused where a middleware behind it changes the path that the
/// outpost sees. Both have their rules from the outpost's folder.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_path_that_changes_behind_the_plugin_opens_nothing() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .state_folder()
        .applications(&json!({
            "public": ["/public/*"],
            "rules": [
                { "paths": ["/own/locked/*"], "deny": true },
                { "paths": ["/own/boss/*"], "require": { "groups": ["admins"] } },
            ],
        }))
        .start()?;
    site.await_state()?;
    let mut changes = middlewares(
        &["gatepost"],
        &json!({ "stateDir": "/gatepost", "keysFile": null, "plainHttp": null, "require": null }),
    );
    changes["http"]["middlewares"]["strip"] = json!({ "stripPrefix": { "prefixes": ["/own/"] } });
    changes["http"]["routers"] = json!({ "wiki": { "middlewares": ["gatepost", "strip"] } });
    let mounts = [format!("{}:/gatepost:ro", site.state().display())];
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&json!({ "experimental": { "localPlugins": { "gatepost": {
            "settings": { "mounts": mounts },
        } } } }))
        .route_with("deploy/traefik/dynamic/route-single.yaml", &changes)?
        .start(&["wiki"])?;
    let [stranger, bob, alice] = [Client::new()?, Client::new()?, Client::new()?];
    bob.sign_in(&site.url("wiki", "/")?, &BOB)?;
    alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    for (who, client, path, status) in [
        (
            "a stranger",
            &stranger,
            "/own/public/x",
            StatusCode::UNAUTHORIZED,
        ),
        ("a stranger", &stranger, "/public/x", StatusCode::OK),
        ("bob", &bob, "/own/x", StatusCode::OK),
        ("bob", &bob, "/own/locked/x", StatusCode::FORBIDDEN),
        ("bob", &bob, "/own/boss/x", StatusCode::FORBIDDEN),
        ("alice", &alice, "/own/locked/x", StatusCode::FORBIDDEN),
        ("alice", &alice, "/own/boss/x", StatusCode::OK),
    ] {
        let answered = client.fetch(Method::GET, &site.url("wiki", path)?).send()?;
        assert_eq!(answered.status(), status, "{who}: {path}");
    }
    // Without the `/` at its end, the prefix would be cut from this as well.
    for (path, expected) in [("/own/x", "/x"), ("/ownboss/x", "/ownboss/x")] {
        let answered = bob.fetch(Method::GET, &site.url("wiki", path)?).send()?;
        assert_eq!(answered.status(), StatusCode::OK, "{path}");
        let seen = site.wiki();
        assert_eq!(seen.last().map(|seen| &*seen.uri), Some(expected), "{path}");
    }
    Ok(())
}

/// Removes what Traefik read, so that the next one has other files.
fn remove(site: &Site) -> Result<()> {
    Ok(std::fs::remove_dir_all(site.folder().join("traefik"))?)
}
