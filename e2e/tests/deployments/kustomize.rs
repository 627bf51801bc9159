//! The kustomize base of `deploy/kubernetes/base/`, as far as that needs no cluster.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::layout;
use gatepost_e2e::tools::{PythonPackage, Tool as _};
use serde_json::{Value, json};

/// The oldest version of Kubernetes that the base is for, and the newest that there is a schema of.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// Returns every manifest of the base with the labels that kustomize adds.
fn manifests() -> Result<Vec<Value>> {
    let folder = layout::root().join("deploy/kubernetes/base");
    let read = |name: &str| -> Result<Vec<Value>> {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_saphyr::from_multiple(&text).with_context(|| format!("parse {name}"))
    };
    let base = read("kustomization.yaml")?;
    let base = base.first().context("a document")?;
    let labels = base.pointer("/labels/0/pairs").context("labels")?;
    let names = base.get("resources").and_then(Value::as_array);
    let mut objects = Vec::new();
    for name in names.context("resources")? {
        objects.extend(read(name.as_str().context("a name")?)?);
    }
    for object in &mut objects {
        if object.get("kind").is_some_and(|kind| kind == "Deployment")
            && let Some(Value::Object(spec)) = object.get_mut("spec")
        {
            spec.insert("selector".to_owned(), json!({ "matchLabels": labels }));
            let template = spec.get_mut("template").and_then(Value::as_object_mut);
            let template = template.context("a template")?;
            template.insert("metadata".to_owned(), json!({ "labels": labels }));
        }
    }
    Ok(objects)
}

#[test]
#[ignore = "needs kubernetes-validate: cargo xtask test"]
fn every_manifest_fits_the_schemas_of_kubernetes() -> Result<()> {
    let python = PythonPackage::KUBERNETES_VALIDATE.locate()?;
    let folder = tempfile::tempdir()?;
    let objects = manifests()?;
    let mut files = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        let file = folder.path().join(format!("{at}.yaml"));
        fs::write(&file, serde_saphyr::to_string(object)?)?;
        files.push(file);
    }
    for version in VERSIONS {
        let output = Command::new(python.with_file_name("kubernetes-validate"))
            .args(["--strict", "--kubernetes-version", version])
            .args(&files)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{version}: {said}{complained}");
    }
    Ok(())
}

#[test]
fn the_base_scales_survives_drains_and_is_reached_by_who_needs_it() -> Result<()> {
    let objects = manifests()?;
    let kinds: BTreeSet<_> = objects
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    for kind in [
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    let of = |kind: &str| objects.iter().find(|it| it["kind"] == kind);
    let name = &of("Deployment").context("a deployment")?["metadata"]["name"];
    let scaled = of("HorizontalPodAutoscaler").context("an autoscaler")?;
    assert_eq!(&scaled["spec"]["scaleTargetRef"]["name"], name);
    let least = scaled["spec"]["minReplicas"].as_u64();
    assert!(least >= Some(2), "a drain leaves one: {least:?}");
    Ok(())
}

/// Readiness without the store: with it, an outage of Redis takes every pod out of service, and with
/// them the users who are signed in.
#[test]
fn the_store_holds_up_a_first_start_and_no_pod_that_serves() -> Result<()> {
    let objects = manifests()?;
    let deployment = objects.iter().find(|it| it["kind"] == "Deployment");
    let container =
        &deployment.context("a Deployment")?["spec"]["template"]["spec"]["containers"][0];
    for (probe, path) in [
        ("startupProbe", "/readyz/store"),
        ("readinessProbe", "/readyz/applications"),
        ("livenessProbe", "/healthz"),
    ] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
    let chart = layout::root().join("deploy/helm/gatepost/templates/deployment.yaml");
    let chart = fs::read_to_string(chart)?;
    let base = fs::read_to_string(layout::root().join("deploy/kubernetes/base/deployment.yaml"))?;
    let probes = |text: &str| -> Option<String> {
        let from = text.find("          # A first start needs the store")?;
        let to = text.find("          lifecycle:")?;
        text.get(from..to).map(str::to_owned)
    };
    assert!(probes(&base).is_some());
    assert_eq!(probes(&chart), probes(&base), "chart and base");
    Ok(())
}

/// The chart can only use files of its own folder, so it has copies.
#[test]
fn the_chart_has_the_alerts_and_the_dashboard_of_deploy() -> Result<()> {
    for (copy, original) in [
        ("gatepost.rules.yaml", "prometheus/gatepost.rules.yaml"),
        ("gatepost.json", "grafana/gatepost.json"),
    ] {
        let deploy = layout::root().join("deploy");
        let original = fs::read_to_string(deploy.join(original))?;
        let path = deploy.join("helm/gatepost/files").join(copy);
        if std::env::var_os("GATEPOST_UPDATE_DOCS").is_some() {
            fs::write(&path, &original)?;
        }
        let copied = fs::read_to_string(&path)?;
        let name = path.display();
        assert!(
            copied == original,
            "{name}: run with GATEPOST_UPDATE_DOCS=1"
        );
    }
    Ok(())
}

/// What a client may say for itself is of every manifest.
#[test]
fn the_chart_asks_as_the_manifests_do() -> Result<()> {
    let deploy = layout::root().join("deploy");
    let chart = fs::read_to_string(deploy.join("helm/gatepost/templates/traefik.yaml"))?;
    for file in ["forward-auth-single", "gateway-forward-auth-single"] {
        let manifest = deploy.join(format!("kubernetes/traefik/{file}.yaml"));
        let manifest = fs::read_to_string(manifest)?;
        let line = manifest
            .lines()
            .find(|line| line.contains("trustForwardHeader"));
        let line = line.with_context(|| file)?.trim();
        assert!(chart.contains(line), "{file}: {line}");
    }
    Ok(())
}
