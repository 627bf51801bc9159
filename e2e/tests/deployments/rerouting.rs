//! A server that takes another path from a header than the one that was decided on.

use anyhow::Result;
use gatepost_e2e::programs::gunicorn::Gunicorn;
use gatepost_e2e::proxies::{Traefik, service};
use gatepost_e2e::{Answer, Client, Site, ports};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::checks;
use crate::plugin::middlewares;

/// Returns the path that the application behind gunicorn is asked for, by a client that says in a header
/// which beginning of the path is not the application's.
fn path_read(url: &Url) -> Result<String> {
    let request = Client::new()?.fetch(Method::GET, url);
    let answer = Answer::read(request.header("SCRIPT_NAME", "/public").send()?)?;
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
    assert_eq!(path_read(&gunicorn.url().join("public/admin")?)?, "/admin");
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
            path_read(&site.url("wiki", "/public/admin")?)?,
            "/public/admin"
        );
        drop(traefik);
        remove(&site)?;
    }
    Ok(())
}

/// Removes what Traefik read, so that the next one has other files.
fn remove(site: &Site) -> Result<()> {
    Ok(std::fs::remove_dir_all(site.folder().join("traefik"))?)
}
