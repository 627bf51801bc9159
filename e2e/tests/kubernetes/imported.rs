//! The way out of ingress-nginx: what `gatepost import ingress-nginx` prints, applied as it is to the
//! real API server, and served by real Traefik with the sign-in and everything else.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, Site, built};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::chart::sign_in::gateway;
use crate::served::{FORWARD_AUTH, INGRESS_NGINX, PLUGIN, objects_of, serve};
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
];

const BEFORE: &str = "deploy/kubernetes/ingress-nginx/oauth2-proxy.yaml";

fn imported(cluster: &Cluster, config: &str, further: &[&str], to: &[&str]) -> Result<()> {
    // The name that the import gives it.
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({ "name": "wiki.example.localhost" }))
        .start()?;
    let before = site.folder().join("before.yaml");
    fs::write(&before, site.fitted_in_cluster(BEFORE)?)?;
    let before = before.to_string_lossy();
    let start = &["import", "ingress-nginx", "--no-configmap"][..];
    let arguments = [start, to, &[&before]].concat();
    let output = built::gatepost()?.args(&arguments).output()?;
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {complained}");
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains("was oauth2-proxy"), "{text}");
    // What the text asks for: who may enter.
    let mut objects = objects_of(&text.replace("CHANGE-ME", "staff"))?;
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
