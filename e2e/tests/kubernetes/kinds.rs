//! What real Traefik makes of kinds of routes beside a protected HTTPRoute, of a provider that is missing,
//! and of an outpost without endpoints.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::header::HOST;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::neighbours::{SEEN, own_service};
use crate::served::{PLUGIN, serve, serve_by, shown, traefik};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "kinds::a_grpc_route_of_the_same_host",
        run: grpc_route,
    },
    Test {
        name: "kinds::without_the_provider_of_middlewares",
        run: without_middlewares,
    },
    Test {
        name: "kinds::an_outpost_without_endpoints",
        run: without_endpoints,
    },
];

const GATEWAY: &[&str] = &["kubernetesGateway"];

fn get(site: &Site, client: &Client, host: &str, path: &str) -> Result<Answer> {
    let request = client.page_load(Method::GET, &site.url(host, path)?);
    Answer::read(request.send()?)
}

fn grpc_route(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    cluster.restricted_namespace("guest")?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let route = objects.iter().find(|it| it["kind"] == "HTTPRoute");
    let host = route.context("a route")?["spec"]["hostnames"][0].clone();
    let _running = serve(cluster, &site, PLUGIN, GATEWAY, objects, &["wiki"])?;
    let grpc = |namespace: &str, name: &str, host: &Value, backend: &str, matches: Value| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GRPCRoute",
            "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "parentRefs": [{ "name": "web", "namespace": "traefik" }],
                "hostnames": [host],
                "rules": [{ "matches": matches, "backendRefs": [{ "name": backend, "port": 80 }] }],
            },
        })
    };
    let method = json!([{ "method": { "service": "reports.Reports", "method": "Get" } }]);
    let service = json!([{ "method": { "service": "wiki.Pages" } }]);
    let seen = json!("seen.example.com");
    let all = json!([{}]);
    let mut objects = own_service("files");
    objects.extend([
        grpc("default", "method", &host, "wiki", method),
        grpc("guest", "service", &host, "own", service),
        grpc("default", "all", &host, "wiki", all.clone()),
        grpc("guest", "seen", &seen, "own", all),
    ]);
    let _routes = cluster.apply(objects)?;
    let client = Client::new()?;
    until("the route of another host", SEEN, || {
        let request = client.page_load(Method::POST, &site.url("wiki", "/")?);
        let answer = request.header(HOST, "seen.example.com").send()?;
        Ok((answer.status() == StatusCode::OK).then_some(()))
    })?;
    gatepost_e2e::pass(Duration::from_secs(3));
    let before = (site.wiki().len(), site.files().len());
    for path in ["/", "/private", "/reports.Reports/Get", "/wiki.Pages/Get"] {
        for (method, kind) in [
            (Method::GET, "text/html"),
            (Method::POST, "application/grpc"),
        ] {
            let request = client.bare(method, &site.url("wiki", path)?);
            let answer = request.header("content-type", kind).send()?;
            assert_eq!(answer.status(), site.turned_away(), "{path}: {kind}");
        }
    }
    let after = (site.wiki().len(), site.files().len());
    assert_eq!(after, before, "an application was reached");
    Ok(())
}

/// Without the provider that reads Middlewares, no filter names one that there is.
fn without_middlewares(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let off = json!({ "providers": { "kubernetesCRD": null } });
    let without = traefik(cluster, &site, (PLUGIN, &json!({})), GATEWAY)?.configure(&off);
    let _running = serve_by(cluster, &site, without, objects, &[])?;
    let client = Client::new()?;
    until("the outpost's route", SEEN, || {
        let answer = get(&site, &client, "wiki", "/akprox/ping");
        Ok(answer.is_ok_and(|it| it.status.is_success()).then_some(()))
    })?;
    for path in ["/", "/public/logo"] {
        let status = get(&site, &client, "wiki", path)?.status;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert!(site.wiki().is_empty(), "the application was reached");
    Ok(())
}

/// Where the outpost has no pod, no other route gets what is for it, such as a provider's answer to a sign-in.
/// A user who is signed in goes on, until a page has to be renewed.
fn without_endpoints(cluster: &Cluster) -> Result<()> {
    for (file, mode, further) in [
        ("plugin-single", "single", &[][..]),
        ("plugin-domain", "domain", &[][..]),
        ("gateway-plugin-single", "single", GATEWAY),
    ] {
        let site = checks::site(&format!("deploy/outpost/{mode}.yaml"))
            .outpost(&json!({ "session": { "renewAfter": "40m" } }))
            .start()?;
        let mut objects = shown(&site, file)?;
        objects.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": { "name": "everything-else" },
            "spec": { "entryPoints": ["web"], "routes": [{
                "kind": "Rule",
                "match": "PathPrefix(`/`)",
                "priority": 1,
                "services": [{ "name": "files", "port": 80 }],
            }] },
        }));
        let _running = serve(cluster, &site, PLUGIN, further, objects, &["wiki"])?;
        let (stranger, alice) = (Client::new()?, Client::new()?);
        alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
        let slice = ["endpointslice", "gatepost-1", "-n", "gatepost"];
        let none = ["patch", "--type=merge", "-p", r#"{"endpoints":[]}"#];
        cluster.kubectl(&[&none[..1], &slice, &none[1..]].concat(), None)?;
        let own = if mode == "domain" { "auth" } else { "wiki" };
        until("Traefik to see it", SEEN, || {
            let status = get(&site, &stranger, own, "/akprox/session")?.status;
            Ok((status == StatusCode::SERVICE_UNAVAILABLE).then_some(()))
        })
        .context(file)?;
        let before = site.files().len();
        for client in [&stranger, &alice] {
            for path in ["start?rd=/", "callback?code=c&state=s", "sign_out"] {
                let status = get(&site, client, own, &format!("/akprox/{path}"))?.status;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{file}: {path}");
            }
        }
        assert_eq!(site.files().len(), before, "{file}: another route got it");
        for (client, expected) in [(&stranger, StatusCode::FOUND), (&alice, StatusCode::OK)] {
            let status = get(&site, client, "wiki", "/")?.status;
            assert_eq!(status, expected, "{file}");
        }
    }
    Ok(())
}
