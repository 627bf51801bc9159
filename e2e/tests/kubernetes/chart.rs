//! The Helm chart: what it renders, on the real API server.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Site, layout};
use gatepost_session::KeyRing;
use serde_json::{Value, json};

use crate::accepted::pods;
use crate::served::{FORWARD_AUTH, PLUGIN, objects_of, serve};
use crate::{LeftOut, Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "chart::every_example_is_accepted",
        run: every_example,
    },
    Test {
        name: "chart::keys_are_made_once_and_kept",
        run: keys,
    },
    Test {
        name: "chart::wrong_values_are_refused",
        run: wrong_values,
    },
    Test {
        name: "chart::a_user_signs_in_by_plugin_and_ingress_route",
        run: |cluster| signs_in(cluster, PLUGIN, &[], &json!({})),
    },
    Test {
        name: "chart::a_user_signs_in_by_forward_auth_and_http_route",
        run: |cluster| {
            let values = json!({
                "mode": "forwardAuth",
                "routes": "httpRoute",
                "parentRefs": [{ "name": "web", "namespace": "traefik" }],
            });
            signs_in(cluster, FORWARD_AUTH, &["kubernetesGateway"], &values)
        },
    },
    Test {
        name: "chart::traefik_s_own_chart_loads_the_plugin",
        run: traefik_s_chart,
    },
];

/// The namespaces of the examples.
const NAMESPACES: [&str; 4] = ["gatepost", "traefik", "wiki", "intranet"];

fn chart() -> PathBuf {
    layout::root().join("deploy/helm/gatepost")
}

/// The objects of the chart with this file of values and these settings, hooks included.
fn rendered(cluster: &Cluster, values: &str, settings: &[&str]) -> Result<Vec<Value>> {
    let chart = chart();
    let chart = chart.to_string_lossy();
    let mut arguments = vec!["template", "gatepost", &*chart, "-n", "gatepost"];
    arguments.extend(["-f", values]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let mut objects = objects_of(&cluster.helm(&arguments)?)?;
    for object in &mut objects {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.entry("namespace").or_insert("gatepost".into());
        }
    }
    Ok(objects)
}

fn example(name: &str) -> String {
    let path = chart().join(format!("ci/{name}-values.yaml"));
    path.to_string_lossy().into_owned()
}

fn every_example(cluster: &Cluster) -> Result<()> {
    for namespace in NAMESPACES {
        cluster.restricted_namespace(namespace)?;
    }
    let chart = chart();
    for file in fs::read_dir(chart.join("ci"))? {
        let values = file?.path();
        let values = values.to_string_lossy();
        let folder = chart.to_string_lossy();
        cluster.helm(&["lint", "--strict", &folder, "-f", &values])?;
        let mut objects = rendered(cluster, &values, &[])?;
        // The Pods of the Deployment; the one of `helm test` is there.
        objects.extend(pods(&objects)?);
        let applied = cluster.apply(objects);
        applied.with_context(|| values.to_string())?.remove()?;
    }
    let objects = rendered(cluster, &example("plugin"), &[])?;
    for kind in [
        "HorizontalPodAutoscaler",
        "IngressRoute",
        "Middleware",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "ServiceMonitor",
    ] {
        let there = objects.iter().any(|object| object["kind"] == kind);
        assert!(there, "{kind}");
    }
    Ok(())
}

/// An upgrade signs nobody out, and neither does a release that is removed and installed again.
fn keys(cluster: &Cluster) -> Result<()> {
    for namespace in NAMESPACES {
        cluster.restricted_namespace(namespace)?;
    }
    let chart = chart();
    let chart = chart.to_string_lossy();
    let values = example("plugin");
    let helm = |verb: &str| {
        let arguments = [verb, "gatepost", &*chart, "-n", "gatepost", "-f", &values];
        cluster.helm(&arguments)
    };
    let key = |namespace: &str| {
        let path = "jsonpath={.data.gatepost\\.keys}";
        let arguments = [
            "get",
            "secret",
            "gatepost-keys",
            "-n",
            namespace,
            "-o",
            path,
        ];
        cluster.kubectl(&arguments, None)
    };
    helm("install")?;
    let first = key("gatepost")?;
    let text = String::from_utf8(STANDARD.decode(&first)?)?;
    let ring = KeyRing::parse(&text)?;
    assert_eq!(ring.key_ids().count(), 1);
    assert_eq!(key("traefik")?, first, "the plugin's copy");
    helm("upgrade")?;
    assert_eq!(key("gatepost")?, first, "after an upgrade");
    cluster.helm(&["uninstall", "gatepost", "-n", "gatepost"])?;
    assert_eq!(key("gatepost")?, first, "after a removal");
    helm("install")?;
    assert_eq!(key("gatepost")?, first, "after it was installed again");
    assert_eq!(key("traefik")?, first, "the plugin's copy");
    cluster.helm(&["uninstall", "gatepost", "-n", "gatepost"])?;
    for namespace in ["gatepost", "traefik"] {
        cluster.kubectl(
            &["delete", "secret", "gatepost-keys", "-n", namespace],
            None,
        )?;
    }
    Ok(())
}

fn wrong_values(cluster: &Cluster) -> Result<()> {
    for (file, setting, expected) in [
        ("minimal", "replica=2", "'replica' not allowed"),
        ("minimal", "replicas=two", "want integer"),
        ("minimal", "replicas=2", "is for one replica"),
        (
            "minimal",
            "store.kind=redis",
            "name the Secret with the URL",
        ),
        (
            "minimal",
            "config.providers=null",
            "config.providers is missing",
        ),
        (
            "minimal",
            "config.providers[0].clientSecret=hush",
            "use clientSecretFile",
        ),
        (
            "minimal",
            "config.keys[0]=k:hush",
            "use keys.existingSecret",
        ),
        (
            "gateway",
            "store.redis.url=redis://:hush@redis:6379",
            "has a password",
        ),
        (
            "gateway",
            "traefik.parentRefs=null",
            "traefik.parentRefs is missing",
        ),
        (
            "gateway",
            "keys.copyTo[0]=traefik",
            "copy keys.existingSecret",
        ),
        (
            "plugin",
            "traefik.services.wiki.port=null",
            "'/traefik/services/wiki/port': got null, want integer",
        ),
    ] {
        let refused = rendered(cluster, &example(file), &[setting]);
        let refused = refused
            .err()
            .with_context(|| format!("{setting} is taken"))?;
        let refused = format!("{refused:#}");
        assert!(refused.contains(expected), "{setting}: {refused}");
    }
    Ok(())
}

/// A user signs in by the routes of the chart, at an outpost that runs with the chart's ConfigMap.
fn signs_in(cluster: &Cluster, config: &str, further: &[&str], traefik: &Value) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let file = site.folder().join("values.json");
    fs::write(&file, values(&site, traefik)?.to_string())?;
    let objects = rendered(cluster, &file.to_string_lossy(), &[])?;
    let map = objects.iter().find(|it| it["kind"] == "ConfigMap");
    let map = map.context("a ConfigMap")?["data"]["gatepost.yaml"].as_str();
    let map: Value = serde_saphyr::from_str(map.context("the configuration")?)?;
    site.change_outpost(|config| {
        // What is of this machine: paths, and where it listens.
        for (key, value) in map.as_object().context("keys")? {
            if !["listen", "store", "keysFile", "log"].contains(&key.as_str()) {
                config[key] = value.clone();
            }
        }
        Ok(())
    })?;
    let mut routes: Vec<Value> = objects
        .into_iter()
        .filter(|it| {
            let kind = it["kind"].as_str().unwrap_or_default();
            ["Middleware", "IngressRoute", "HTTPRoute", "Service"].contains(&kind)
        })
        .collect();
    assert!(routes.len() >= 4, "{routes:?}");
    if !further.is_empty() {
        routes.extend(gateway()?);
    }
    let _running = serve(cluster, &site, config, further, routes, &["wiki"])?;
    checks::single(&site)
}

/// Values of the chart with the configuration of this site.
fn values(site: &Site, traefik: &Value) -> Result<Value> {
    let text = fs::read_to_string(site.folder().join("gatepost.yaml"))?;
    let mut own: Value = serde_json::from_str(&text)?;
    let secret = site.folder().join("client-secret");
    for provider in own["providers"].as_array_mut().context("providers")? {
        let provider = provider.as_object_mut().context("a provider")?;
        if let Some(Value::String(text)) = provider.remove("clientSecret") {
            fs::write(&secret, text)?;
            provider.insert("clientSecretFile".into(), json!(secret));
        }
    }
    let mut settings = json!({
        "enabled": true,
        "entryPoints": ["web"],
        "tls": null,
        "services": { "wiki": { "namespace": "default", "name": "wiki", "port": 80 } },
    });
    for (key, value) in traefik.as_object().context("settings")? {
        settings[key] = value.clone();
    }
    Ok(json!({
        "fullnameOverride": "gatepost",
        "keys": { "existingSecret": "gatepost-keys" },
        "store": { "kind": "memory" },
        "replicas": 1,
        "traefik": settings,
        "config": {
            "session": own["session"],
            "trustedProxies": own["trustedProxies"],
            "providers": own["providers"],
            "applications": own["applications"],
        },
    }))
}

/// The Gateway that the manifests show.
fn gateway() -> Result<Vec<Value>> {
    let path = "deploy/kubernetes/traefik/gateway-plugin-single.yaml";
    let objects = objects_of(&fs::read_to_string(layout::root().join(path))?)?;
    let is_gateway = |it: &Value| {
        let kind = it["kind"].as_str().unwrap_or_default();
        ["Gateway", "GatewayClass"].contains(&kind)
    };
    Ok(objects.into_iter().filter(is_gateway).collect())
}

/// Traefik's chart with our values gives Traefik the plugin and its mount.
///
/// `GATEPOST_TRAEFIK_CHART` names the folder of the chart, which no package registry has.
fn traefik_s_chart(cluster: &Cluster) -> Result<()> {
    let Some(chart) = std::env::var_os("GATEPOST_TRAEFIK_CHART") else {
        let reason = "GATEPOST_TRAEFIK_CHART does not name Traefik's chart";
        return Err(LeftOut(reason.to_owned()).into());
    };
    cluster.restricted_namespace("traefik")?;
    let values = layout::root().join("deploy/helm/traefik-values.yaml");
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
