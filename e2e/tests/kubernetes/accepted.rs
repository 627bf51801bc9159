//! What the API server accepts: every manifest as `kubectl apply` sends it, validated strictly, with
//! warnings taken for errors.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::doubles::kube_api::app_service;
use gatepost_e2e::layout;
use serde_json::{Value, json};

use crate::Test;
use crate::served::objects_of;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "accepted::every_manifest",
        run: every_manifest,
    },
    Test {
        name: "accepted::the_base_under_the_standard_restricted",
        run: base,
    },
    Test {
        name: "accepted::no_typo_and_no_privilege",
        run: no_typo_and_no_privilege,
    },
    Test {
        name: "accepted::apply_drops_a_key_without_a_value",
        run: a_key_without_a_value,
    },
];

/// The files of `deploy/kubernetes/` that are applied one by one.
fn manifest_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["traefik", "ingress-nginx", "policies"] {
        for file in fs::read_dir(layout::root().join("deploy/kubernetes").join(folder))? {
            files.push(file?.path());
        }
    }
    files.sort();
    Ok(files)
}

fn every_manifest(cluster: &Cluster) -> Result<()> {
    for namespace in ["gatepost", "traefik", "ingress-nginx"] {
        cluster.restricted_namespace(namespace)?;
    }
    let files = manifest_files()?;
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file)?;
        let objects = serde_saphyr::from_multiple::<Value>(&text)?;
        let applied = cluster.apply(objects);
        let applied = applied.with_context(|| file.display().to_string())?;
        applied.remove()?;
    }
    Ok(())
}

/// The base as kustomize renders it, and the Pods that its Deployment would have.
fn base(cluster: &Cluster) -> Result<()> {
    cluster.restricted_namespace("base")?;
    let folder = layout::root().join("deploy/kubernetes/base");
    let rendered = cluster.kubectl(&["kustomize", &folder.to_string_lossy()], None)?;
    let mut objects = objects_of(&rendered)?;
    let kinds: Vec<&str> = objects
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert!(kinds.contains(&"NetworkPolicy"), "{kinds:?}");
    objects.extend(pods(&objects)?);
    for object in &mut objects {
        object["metadata"]["namespace"] = json!("base");
    }
    cluster.apply(objects)?.remove()
}

/// Returns the Pods of the Deployments among these objects, which no controller of the cluster
/// makes.
pub(crate) fn pods(objects: &[Value]) -> Result<Vec<Value>> {
    let mut pods = Vec::new();
    for object in objects.iter().filter(|it| it["kind"] == "Deployment") {
        let template = object.pointer("/spec/template").context("a template")?;
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        let name = object["metadata"]["name"].as_str().context("a name")?;
        pod["metadata"]["name"] = json!(format!("{name}-0"));
        if let Some(namespace) = object["metadata"].get("namespace") {
            pod["metadata"]["namespace"] = namespace.clone();
        }
        pods.push(pod);
    }
    ensure!(!pods.is_empty(), "there is no Deployment");
    Ok(pods)
}

/// That the other tests notice what they are there to notice.
fn no_typo_and_no_privilege(cluster: &Cluster) -> Result<()> {
    cluster.restricted_namespace("strict")?;
    let text = fs::read_to_string(layout::root().join(Path::new(
        "deploy/kubernetes/traefik/forward-auth-single.yaml",
    )))?;
    let text = text.replace("trustForwardHeader", "trustForwardedHeader");
    let refused = cluster.apply(objects_of(&text)?);
    let refused = format!("{:#}", refused.expect_err("a typo"));
    assert!(refused.contains("unknown field"), "{refused}");
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "root", "namespace": "strict" },
        "spec": { "containers": [{ "name": "root", "image": "root" }] },
    });
    let mut service = app_service("before");
    service["metadata"]["namespace"] = json!("strict");
    let refused = cluster.apply(vec![service, pod]);
    let refused = format!("{:#}", refused.expect_err("a pod of root"));
    assert!(refused.contains("violates PodSecurity"), "{refused}");
    // What was accepted before it is of no other test.
    let services = cluster.kubectl(&["get", "services", "-n", "strict", "-o", "name"], None)?;
    assert_eq!(services, "");
    Ok(())
}

/// Row A11: what `docs/rules.md` says of each way to apply a rule with nothing under it. Without the
/// key the plugin sees no rule; with it, the plugin admits nobody.
fn a_key_without_a_value(cluster: &Cluster) -> Result<()> {
    let middleware = |require: Value, networks: Value| {
        json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "Middleware",
            "metadata": { "name": "empty", "namespace": "default" },
            "spec": { "plugin": { "gatepost": {
                "application": "wiki",
                "keysFile": "/keys/gatepost.keys",
                "require": require,
                "rules": [{ "paths": ["/*"], "networks": networks, "public": true }],
            } } },
        })
    };
    let filled = middleware(json!({ "groups": ["staff"] }), json!(["192.0.2.0/24"]));
    let empty = middleware(Value::Null, Value::Null).to_string();
    let stored = || -> Result<(bool, bool)> {
        let get = ["get", "middlewares.traefik.io", "empty", "-o", "json"];
        let object: Value = serde_json::from_str(&cluster.kubectl(&get, None)?)?;
        let has = |at: &str| {
            object
                .pointer(&format!("/spec/plugin/gatepost/{at}"))
                .is_some()
        };
        Ok((has("require"), has("rules/0/networks")))
    };
    let applied = cluster.apply(vec![filled])?;
    ensure!(stored()? == (true, true), "the whole rule");
    for (arguments, kept) in [
        (&["apply", "-f", "-"][..], false),
        (
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            true,
        ),
        (&["replace", "-f", "-"], true),
    ] {
        cluster.kubectl(arguments, Some(&empty))?;
        let stored = stored()?;
        ensure!(stored == (kept, kept), "{arguments:?}: {stored:?}");
    }
    applied.remove()
}
