//! The way out of ingress-nginx: what `gatepost import ingress-nginx` prints, applied as it is to the
//! real API server, and served by real Traefik with the sign-in and everything else.

pub(crate) mod aliases;
pub(crate) mod annotations;
pub(crate) mod errors;
pub(crate) mod listeners;
pub(crate) mod page;
pub(crate) mod requests;
pub(crate) mod upstreams;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ingresses::{Annotation, import, ingress, list_of};
use crate::served::{FORWARD_AUTH, INGRESS_NGINX, PLUGIN, gateway, objects_of, serve};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "imported::annotations",
        run: |cluster| {
            imported(
                cluster,
                INGRESS_NGINX,
                &[],
                &["--to", "traefik-annotations"],
            )
        },
    },
    Test {
        name: "imported::crds_with_the_plugin",
        run: |cluster| imported(cluster, PLUGIN, &[], &["--to", "crds"]),
    },
    Test {
        name: "imported::crds_with_forward_auth",
        run: |cluster| {
            imported(
                cluster,
                FORWARD_AUTH,
                &[],
                &["--to", "crds", "--forward-auth"],
            )
        },
    },
    Test {
        name: "imported::gateway_with_the_plugin",
        run: |cluster| {
            imported(
                cluster,
                PLUGIN,
                &["kubernetesGateway"],
                &["--to", "gateway"],
            )
        },
    },
    Test {
        name: "imported::several_ingresses_of_one_host_by_annotations",
        run: |cluster| several(cluster, INGRESS_NGINX, &[], "traefik-annotations", &[]),
    },
    Test {
        name: "imported::several_ingresses_of_one_host_by_crds",
        run: |cluster| several(cluster, PLUGIN, &[], "crds", &EXACT),
    },
    Test {
        name: "imported::several_ingresses_of_one_host_by_gateway",
        run: |cluster| several(cluster, PLUGIN, &["kubernetesGateway"], "gateway", &EXACT),
    },
];

const BEFORE: &str = "deploy/kubernetes/ingress-nginx/oauth2-proxy.yaml";

fn imported(cluster: &Cluster, config: &str, further: &[&str], to: &[&str]) -> Result<()> {
    // The name that the import gives it.
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({ "name": "wiki.example.localhost" }))
        .start()?;
    let text = printed(to, &site.fitted_in_cluster(BEFORE)?)?;
    ensure!(text.contains("was oauth2-proxy"), "{text}");
    let mut objects = objects_of(&text)?;
    for object in &mut objects {
        if let Some(Value::Object(plugin)) = object.pointer_mut("/spec/plugin/gatepost") {
            plugin.insert("public".into(), json!(checks::PUBLIC));
        }
    }
    if !further.is_empty() {
        objects.extend(gateway()?);
    }
    let _running = serve(cluster, &site, config, further, objects, &["wiki"])?;
    checks::single(&site)?;
    a_header_of_the_old_service_is_removed(&site)
}

/// What the import prints of this text, with what the text asks for: who may enter.
fn printed(to: &[&str], before: &str) -> Result<String> {
    let imported = import(&[&["--no-configmap"], to].concat(), before)?;
    ensure!(imported.whole, "{to:?}: {}", imported.complained);
    Ok(imported.text.replace("CHANGE-ME", "staff"))
}

/// The application trusted `X-Department`, which Gatepost does not set.
fn a_header_of_the_old_service_is_removed(site: &Site) -> Result<()> {
    let request = Client::new()?.fetch(Method::GET, &site.url("wiki", "/public/department")?);
    let answer = request.header("X-Department", "made up").send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the application was asked")?;
    assert_eq!(seen.header("X-Department"), None);
    Ok(())
}

/// An Ingress: its name, path, type of path, and whether it asks oauth2-proxy.
type Part = (&'static str, &'static str, &'static str, bool);

const PARTS: [Part; 4] = [
    ("open", "/", "Prefix", false),
    ("admin", "/admin", "ImplementationSpecific", true),
    ("secret", "/secret", "Prefix", true),
    ("public", "/secret/public", "Prefix", false),
];

/// Traefik's provider for the annotations prefers the longer rule, and so would choose the other one.
const EXACT: [Part; 2] = [
    ("api", "/api", "Prefix", false),
    ("api-admin", "/api/admin", "Exact", true),
];

/// What nginx protected by these.
const PROTECTED: [&str; 9] = [
    "/admin",
    "/admin/x",
    "/admin.php",
    "/administrator/x",
    "/admin%2Fx",
    "/x%2F..%2Fadmin",
    "/secret",
    "/secret/x",
    "/secret/public%2F..%2Fx",
];

/// What it did not.
const OPEN: [&str; 4] = ["/", "/other", "/secret/public", "/secret/public/x"];

/// As Helm makes it: `kubectl apply` alone would keep what is not in the printed text.
const ASKS: [Annotation; 4] = [
    ("auth-url", "http://oauth2-proxy.auth.svc:4180/oauth2/auth"),
    ("auth-signin", "https://$host/oauth2/start"),
    ("auth-snippet", "return 200;"),
    ("auth-method", "POST"),
];

fn before((name, path, kind, asks): &Part) -> Value {
    let annotations: &[Annotation] = if *asks { &ASKS } else { &[] };
    ingress(name, "wiki.example.localhost", (path, kind), annotations)
}

/// Nothing that needed a session before gives an answer of the application without one.
fn several(
    cluster: &Cluster,
    config: &str,
    further: &[&str],
    to: &str,
    more: &[Part],
) -> Result<()> {
    let parts: Vec<Value> = PARTS.iter().chain(more).map(before).collect();
    let list = list_of(&parts);
    let text = printed(&["--to", to], &list)?;
    // The rules that the text names for the outpost.
    let rules = text
        .lines()
        .filter_map(|line| line.strip_prefix("#       - "));
    let rules: Vec<Value> = rules.map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(!rules.is_empty(), "{text}");
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({ "name": "wiki.example.localhost", "rules": rules }))
        .start()?;
    if to == "traefik-annotations" {
        cluster.kubectl(&["create", "-f", "-"], Some(&list))?;
    }
    let mut objects = objects_of(&text)?;
    if !further.is_empty() {
        objects.extend(gateway()?);
    }
    // Its own check of being ready asks for what is open here.
    let _running = serve(cluster, &site, config, further, objects, &[])?;
    let client = Client::new()?;
    let protected = site.url("wiki", "/secret")?;
    until(
        "Traefik to have the routes",
        Duration::from_secs(60),
        || {
            let answer = client.fetch(Method::GET, &protected).send();
            let is_ready = answer.is_ok_and(|it| it.status() == StatusCode::UNAUTHORIZED);
            Ok(is_ready.then_some(()))
        },
    )?;
    let mut paths: Vec<&str> = PROTECTED.to_vec();
    let mut open: Vec<&str> = OPEN.to_vec();
    if !more.is_empty() {
        paths.push("/api/admin");
        open.push("/api/other");
    }
    let status = |path: &str| -> Result<StatusCode> {
        let request = client.fetch(Method::GET, &site.url("wiki", path)?);
        Ok(request.send()?.status())
    };
    for path in open {
        let status = status(path)?;
        ensure!(status == StatusCode::OK, "{path} was open: {status}");
    }
    for path in paths {
        let seen = site.wiki().len();
        let status = status(path)?;
        ensure!(
            status == StatusCode::UNAUTHORIZED,
            "{path} was protected: {status}"
        );
        assert_eq!(site.wiki().len(), seen, "the application got {path}");
    }
    Ok(())
}
