//! The page, followed: its commands as they stand there, in their order, in a shell.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::IngressController;
use gatepost_e2e::tools::{self, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, built, layout};
use serde_json::json;

use super::BEFORE;
use crate::served::{PLUGIN, lay_out, objects_of, traefik};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::page::its_commands_lead_to_a_sign_in",
    run: followed,
}];

fn followed(cluster: &Cluster) -> Result<()> {
    let page = layout::root().join("docs/proxies/out-of-ingress-nginx.md");
    let page = fs::read_to_string(page)?;
    let blocks = page.split("```sh\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|it| it.split("```").next()).collect();
    let [import, apply, check] = blocks[..] else {
        anyhow::bail!("the page has other commands: {blocks:?}");
    };

    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "name": "wiki.example.localhost",
            "public": [],
            "require": { "groups": ["staff"] },
        }))
        .start()?;
    let mut objects = objects_of(&site.fitted_in_cluster(BEFORE)?)?;
    cluster.restricted_namespace("ingress-nginx")?;
    let data = json!({ "allow-snippet-annotations": "false" });
    objects.push(IngressController::config_map(&data));
    let _laid_out = lay_out(cluster, &site, objects)?;

    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let clients = tools::KubernetesClients.locate()?;
    symlink(clients.kubectl, at.join("kubectl"))?;
    symlink(built::gatepost()?.get_program(), at.join("gatepost"))?;
    symlink(
        site.folder().join("gatepost.yaml"),
        at.join("gatepost.yaml"),
    )?;
    run(cluster, at, import)?;
    // The comments ask for it.
    let printed = at.join("traefik.yaml");
    let text = fs::read_to_string(&printed)?;
    ensure!(text.contains("CHANGE-ME"), "{text}");
    fs::write(&printed, text.replace("CHANGE-ME", "staff"))?;
    run(cluster, at, apply)?;
    let _traefik = traefik(cluster, &site, (PLUGIN, &json!({})), &[])?.start(&["wiki"])?;
    let url = site.url("wiki", "/")?;
    let shown = "https://wiki.example.com/";
    ensure!(check.contains(shown), "{check}");
    let said = run(cluster, at, &check.replace(shown, url.as_str()))?;
    let journey = Client::new()?.sign_in(&url, &ALICE)?;
    assert_eq!(journey.landed.status, 200, "{journey}: {said}");
    run(cluster, at, "kubectl delete -f traefik.yaml")?;
    Ok(())
}

/// Runs commands in this folder, which has the programs.
fn run(cluster: &Cluster, folder: &Path, commands: &str) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-eo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .context("bash")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{commands}{said}");
    Ok(said)
}
