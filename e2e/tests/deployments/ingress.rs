//! The annotations of Ingresses, as the nginx ingress controller renders them.

use anyhow::Result;
use gatepost_e2e::Client;
use gatepost_e2e::proxies::{IngressNginx, Traefik};
use gatepost_e2e::users::ALICE;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::checks;

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .redirects_everyone()
        .start()?;
    let file = "deploy/kubernetes/ingress-nginx/single.yaml";
    let _nginx = IngressNginx::start(&site, file, &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::One)?;
    checks::scripts_get_no_further_than_the_outpost(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .redirects_everyone()
        .start()?;
    let file = "deploy/kubernetes/ingress-nginx/domain.yaml";
    let _nginx = IngressNginx::start(&site, file, &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// Row A5: the form that works on Traefik.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let file = "deploy/kubernetes/traefik/ingress-nginx-single.yaml";
    let _running = Traefik::of_ingress_nginx(&site, file, &["wiki"])?;
    checks::single(&site)
}

/// Row A5.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let file = "deploy/kubernetes/traefik/ingress-nginx-domain.yaml";
    let _running = Traefik::of_ingress_nginx(&site, file, &["wiki", "files"])?;
    checks::domain(&site)
}

/// Row A5: under the form for nginx, Traefik says `X-Forwarded-*` and a client `X-Original-*`.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_form_for_nginx_lets_no_user_past_traefik() -> Result<()> {
    let files = json!({
        "name": "files",
        "externalUrl": "http://files.example.com",
        "provider": "main",
        "public": ["/*"],
    });
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(vec![files])
        .redirects_everyone()
        .start()?;
    let file = "deploy/kubernetes/ingress-nginx/single.yaml";
    let _running = Traefik::of_ingress_nginx(&site, file, &["wiki"])?;
    let anonymous = Client::new()?;
    let alice = Client::new()?;
    // Her session is there, though no page is let through by it.
    let start = site.url("wiki", "/akprox/start?rd=/x")?;
    alice.sign_in(&start, &ALICE)?;
    let page = site.url("wiki", "/")?;
    assert!(alice.cookie(&page, "gatepost").is_some(), "a session");
    let (wiki, files) = (page.authority(), site.url("files", "/")?);
    let files = files.authority();
    for client in [anonymous, alice] {
        for (path, url) in [
            ("/admin", None),
            ("/admin", Some(format!("http://{wiki}/public/x"))),
            ("/admin", Some(format!("http://{files}/"))),
            ("/admin", Some(format!("http://{files}/admin"))),
            ("/admin", Some("/public/x".to_owned())),
        ] {
            for method in [None, Some("GET"), Some("OPTIONS")] {
                let mut request = client.fetch(Method::POST, &site.url("wiki", path)?);
                if let Some(url) = &url {
                    request = request
                        .header("X-Original-URL", url)
                        .header("X-Original-URI", "/public/x");
                }
                if let Some(method) = method {
                    request = request.header("X-Original-Method", method);
                }
                let status = request.send()?.status();
                assert_ne!(status, StatusCode::OK, "{url:?} {method:?}");
            }
        }
    }
    assert_eq!(site.wiki(), [], "the app was reached");
    let advice = "let it ask at `auth/traefik`";
    assert!(site.outpost().output().contains(advice), "{advice}");
    Ok(())
}
