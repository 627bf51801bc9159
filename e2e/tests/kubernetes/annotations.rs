//! What Traefik's provider for the annotations of ingress-nginx makes of them, as
//! `docs/proxies/out-of-ingress-nginx.md` says it.

use std::time::Duration;

use anyhow::{Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, FakeClock, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks::Cookies;
use crate::served::{INGRESS_NGINX, serve, serve_with, shown};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "annotations::the_store_renews_what_the_browser_has",
        run: renewal,
    },
    Test {
        name: "annotations::what_is_wrong_lets_no_request_through",
        run: faults,
    },
    Test {
        name: "annotations::snippets_are_served_with_the_switch",
        run: snippets,
    },
];

/// For Traefik to see a change of the cluster.
const SEEN: Duration = Duration::from_secs(60);

const PREFIX: &str = "nginx.ingress.kubernetes.io";

/// Traefik drops the fresh cookie, so the browser keeps the one of the sign-in, whose window ends.
fn renewal(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = FakeClock::create(folder.path())?.at_once();
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost_clock(&clock)
        .outpost(&json!({ "session": {
            "window": "15m",
            "renewAfter": "1s",
            "idle": "2h",
            // The provider has the system's clock.
            "refreshAfter": "12h",
        } }))
        .start()?;
    let objects = shown(&site, "ingress-nginx-single")?;
    let _running = serve(cluster, &site, INGRESS_NGINX, &[], objects, &["wiki"])?;
    checks::large_sessions_go_on(&site, "wiki", Cookies::One)?;
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let cookie = client.cookie(&page, "gatepost");
    for minutes in [30, 60, 90] {
        clock.jump(minutes * 60)?;
        let answer = client.fetch(Method::GET, &page).send()?;
        assert_eq!(answer.status(), StatusCode::OK, "after {minutes} minutes");
        assert_eq!(answer.headers().get("set-cookie"), None);
        assert_eq!(client.cookie(&page, "gatepost"), cookie);
    }
    Ok(())
}

fn faults(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "ingress-nginx-single")?;
    let _running = serve(cluster, &site, INGRESS_NGINX, &[], objects, &["wiki"])?;
    let right = "http://gatepost.gatepost.svc.cluster.local:9000/akprox/auth/traefik";
    for (key, value, expected) in [
        ("auth-url", "http://127.0.0.1:1/akprox/auth/traefik", 500),
        ("auth-url", right, 302),
        ("auth-url", "http://nobody.invalid/akprox/auth/traefik", 500),
        ("auth-url", right, 302),
        (
            "auth-url",
            "https://gatepost.gatepost.svc.cluster.local:9000/akprox/auth/traefik",
            500,
        ),
        ("auth-url", right, 302),
        // The outpost answers no proxy there.
        (
            "auth-url",
            "http://gatepost.gatepost.svc.cluster.local:9000/akprox/nothing",
            404,
        ),
        ("auth-url", right, 302),
        (
            "configuration-snippet",
            "more_set_headers \"X-Snippet: yes\";",
            404,
        ),
    ] {
        annotate(cluster, key, value)?;
        let answer = until_answered(&site, expected, &format!("{key}: {value}"))?;
        ensure!(site.wiki().is_empty(), "{key}: {value}: {answer:?}");
    }
    ensure!(site.wiki().is_empty(), "the application was reached");
    Ok(())
}

/// A snippet is what nginx does with every request: the outpost is asked all the same.
fn snippets(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let mut objects = shown(&site, "ingress-nginx-single")?;
    for object in &mut objects {
        if object["kind"] == "Ingress" && object["metadata"]["name"] == "wiki" {
            object["metadata"]["annotations"][format!("{PREFIX}/configuration-snippet")] =
                Value::from("more_set_headers \"X-Snippet: yes\";");
        }
    }
    let switch =
        json!({ "providers": { "kubernetesIngressNGINX": { "allowSnippetAnnotations": true } } });
    let config = (INGRESS_NGINX, &switch);
    let _running = serve_with(cluster, &site, config, &[], objects, &["wiki"])?;
    ensure!(ask(&site)?.status == StatusCode::FOUND, "a stranger");
    ensure!(site.wiki().is_empty(), "the application was reached");
    let journey = Client::new()?.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.landed.header("x-snippet"), Some("yes"), "{journey}");
    Ok(())
}

fn annotate(cluster: &Cluster, key: &str, value: &str) -> Result<()> {
    let annotation = format!("{PREFIX}/{key}={value}");
    let arguments = ["annotate", "--overwrite", "ingress", "wiki", &annotation];
    cluster.kubectl(&arguments, None).map(drop)
}

fn ask(site: &Site) -> Result<Answer> {
    let request = Client::new()?.page_load(Method::GET, &site.url("wiki", "/")?);
    Answer::read(request.send()?)
}

fn until_answered(site: &Site, status: u16, case: &str) -> Result<Answer> {
    let mut last = None;
    let answered = until(&format!("{case}: {status}"), SEEN, || {
        let answer = ask(site)?;
        ensure!(answer.status != StatusCode::OK, "{case}: a stranger got in");
        last = Some(answer.status);
        Ok((answer.status == status).then_some(answer))
    });
    answered.map_err(|error| error.context(format!("the last answer was {last:?}")))
}
