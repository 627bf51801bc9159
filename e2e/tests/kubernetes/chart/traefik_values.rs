//! Our values for Traefik's own chart, with which it loads the plugin.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Site, built, layout};
use serde_json::Value;

use crate::accepted::pods;
use crate::served::{objects_of, serve_by, shown};
use crate::suite::LeftOut;
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "chart::traefik_values::start_real_traefik",
        run: start_real_traefik,
    },
    Test {
        name: "chart::traefik_values::fit_traefik_s_own_chart",
        run: fit_traefik_s_own_chart,
    },
];

fn values_file() -> PathBuf {
    layout::root().join("deploy/helm/traefik-values.yaml")
}

/// Traefik itself, with the arguments and the mounts that these values give it. Kubernetes mounts a
/// ConfigMap or a Secret as a folder of links.
fn start_real_traefik(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(values_file())?)?;
    let root = site.folder().join("pod");
    for mount in values["additionalVolumeMounts"]
        .as_array()
        .context("mounts")?
    {
        let at = mount["mountPath"].as_str().context("a path")?;
        let at = root.join(at.trim_start_matches('/'));
        mounted(&at, &contents(&site, &mount["name"])?)?;
    }
    let arguments = arguments(cluster, &site, &values, &root)?;
    let traefik = Traefik::of_arguments(&site, root, arguments);
    let objects = shown(&site, "plugin-single")?;
    let _running = serve_by(cluster, &site, traefik, objects, &["wiki"])?;
    checks::single(&site)
}

/// The files of a volume, with the names that they have there.
fn contents(site: &Site, volume: &Value) -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(match volume.as_str() {
        Some("gatepost-plugin") => vec![
            ("plugin.wasm", built::plugin()?),
            (".traefik.yml", layout::root().join(".traefik.yml")),
        ],
        Some("gatepost-keys") => vec![("gatepost.keys", site.folder().join("keys/gatepost.keys"))],
        _ => anyhow::bail!("{volume} is a volume of no test"),
    })
}

/// Lays out a folder as a kubelet does, which replaces all files at once by turning `..data` round.
fn mounted(at: &Path, files: &[(&str, PathBuf)]) -> Result<()> {
    let version = "..2026_11_27_00_00_00.1234567890";
    fs::create_dir_all(at.join(version))?;
    symlink(version, at.join("..data"))?;
    for (name, file) in files {
        fs::copy(file, at.join(version).join(name))?;
        symlink(format!("..data/{name}"), at.join(name))?;
    }
    Ok(())
}

/// What Traefik's chart writes of these values, for this machine: an entry point, the cluster, and where
/// the mounts are.
fn arguments(cluster: &Cluster, site: &Site, values: &Value, root: &Path) -> Result<Vec<String>> {
    let mut arguments = vec![
        format!("--entryPoints.web.address=127.0.0.1:{}", site.ports().web),
        format!(
            "--entryPoints.websecure.address=127.0.0.1:{}",
            site.ports().extra
        ),
        "--global.checkNewVersion=false".to_owned(),
        "--log.level=INFO".to_owned(),
    ];
    let further = values["additionalArguments"].as_array();
    for argument in further.context("arguments")? {
        let argument = argument.as_str().context("an argument")?;
        arguments.push(argument.replace("=/etc/", &format!("={}/etc/", root.display())));
    }
    flags("--experimental", &values["experimental"], &mut arguments);
    // Of the providers in these values, the chart starts this one without being asked.
    let path = "--providers.kubernetesCRD";
    flags(path, &values["providers"]["kubernetesCRD"], &mut arguments);
    flags(path, &cluster.traefik_access(), &mut arguments);
    Ok(arguments)
}

fn flags(path: &str, value: &Value, into: &mut Vec<String>) {
    let text = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string())
    };
    match value {
        Value::Object(section) => {
            for (key, value) in section {
                flags(&format!("{path}.{key}"), value, into);
            }
        }
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(text).collect();
            into.push(format!("{path}={}", list.join(",")));
        }
        // The chart's own word for whether there is such a provider.
        _ if path.ends_with(".enabled") => {}
        value => into.push(format!("{path}={}", text(value))),
    }
}

/// Traefik's chart with our values gives Traefik the plugin and its mount.
///
/// `GATEPOST_TRAEFIK_CHART` names the folder of the chart, which no package registry has.
fn fit_traefik_s_own_chart(cluster: &Cluster) -> Result<()> {
    let Some(chart) = std::env::var_os("GATEPOST_TRAEFIK_CHART") else {
        let reason = "GATEPOST_TRAEFIK_CHART does not name Traefik's chart";
        return Err(LeftOut(reason.to_owned()).into());
    };
    cluster.restricted_namespace("traefik")?;
    let values = values_file();
    let text = cluster.helm(&[
        "template",
        "traefik",
        &chart.to_string_lossy(),
        "-n",
        "traefik",
        "-f",
        &values.to_string_lossy(),
    ])?;
    let objects = objects_of(&text)?;
    let pod = pods(&objects)?.into_iter().next().context("a pod")?;
    let applied = cluster.apply(vec![pod.clone()])?;
    let container = &pod["spec"]["containers"][0];
    let arguments = container["args"].to_string();
    for expected in [
        "--experimental.localPlugins.gatepost.moduleName=github.com/gatepost/gatepost",
        "--experimental.localPlugins.gatepost.settings.mounts=/etc/gatepost/keys:/keys:ro",
        "--experimental.abortonpluginfailure=true",
        "--providers.kubernetescrd.safeNaming=true",
    ] {
        assert!(arguments.contains(expected), "{expected}: {arguments}");
    }
    let mounts = container["volumeMounts"].to_string();
    for expected in [
        "/plugins-local/src/github.com/gatepost/gatepost",
        "/etc/gatepost/keys",
    ] {
        assert!(mounts.contains(expected), "{expected}: {mounts}");
    }
    applied.remove()
}
