//! The Helm chart: what it renders, on the real API server.

pub(crate) mod keys;
pub(crate) mod redis;
pub(crate) mod sign_in;
pub(crate) mod traefik_values;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::layout;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::Test;
use crate::accepted::pods;
use crate::served::objects_of;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "chart::every_example_is_accepted",
        run: every_example,
    },
    Test {
        name: "chart::names_that_look_like_numbers_are_names",
        run: names_that_look_like_numbers,
    },
    Test {
        name: "chart::an_application_s_name_fits_objects",
        run: names_of_applications,
    },
    Test {
        name: "chart::an_autoscaler_keeps_the_pods_that_there_are",
        run: autoscaler,
    },
    Test {
        name: "chart::the_policy_is_for_the_pod_of_helm_test_too",
        run: policy_of_the_check,
    },
    Test {
        name: "chart::no_application_gets_the_header_of_api_keys",
        run: header_of_api_keys,
    },
    Test {
        name: "chart::the_plugin_knows_sites_on_http",
        run: plain_http,
    },
    Test {
        name: "chart::browsers_find_whether_sessions_of_a_domain_may_be_bound",
        run: device_bound,
    },
];

/// Makes the namespaces of the examples.
fn make_namespaces(cluster: &Cluster) -> Result<()> {
    for namespace in ["gatepost", "traefik", "wiki", "intranet"] {
        cluster.restricted_namespace(namespace)?;
    }
    Ok(())
}

fn chart() -> String {
    let folder = layout::root().join("deploy/helm/gatepost");
    folder.to_string_lossy().into_owned()
}

/// The chart with the example `plugin` in the namespace `gatepost`, until this is dropped.
struct Release<'c> {
    cluster: &'c Cluster,
    name: &'static str,
}

impl<'c> Release<'c> {
    fn install(cluster: &'c Cluster, name: &'static str, settings: &[&str]) -> Result<Self> {
        make_namespaces(cluster)?;
        let release = Self { cluster, name };
        release.helm("install", settings)?;
        Ok(release)
    }

    /// Runs a command of Helm's that renders the chart.
    fn helm(&self, verb: &str, further: &[&str]) -> Result<String> {
        let (chart, values) = (chart(), example("plugin"));
        let arguments = [verb, self.name, &chart, "-n", "gatepost", "-f", &values];
        self.cluster.helm(&[&arguments[..], further].concat())
    }

    fn uninstall(&self) -> Result<()> {
        let arguments = ["uninstall", self.name, "-n", "gatepost"];
        self.cluster.helm(&arguments).map(drop)
    }
}

impl Drop for Release<'_> {
    /// Removes what the next test would find; the chart leaves the keys.
    fn drop(&mut self) {
        let _ = self.uninstall();
        for namespace in ["gatepost", "traefik"] {
            for secret in ["gatepost-keys", "scaled-gatepost-keys"] {
                let arguments = ["delete", "secret", secret, "-n", namespace];
                let _ = self.cluster.kubectl(&arguments, None);
            }
        }
    }
}

/// Returns the outpost's configuration of the chart's objects.
pub(crate) fn configuration(objects: &[Value]) -> Result<Value> {
    let map = objects.iter().find(|it| it["kind"] == "ConfigMap");
    let text = map.context("a ConfigMap")?["data"]["gatepost.yaml"].as_str();
    Ok(serde_saphyr::from_str(text.context("the configuration")?)?)
}

/// The objects of the chart with this file of values and these settings, hooks included.
pub(crate) fn rendered(cluster: &Cluster, values: &str, settings: &[&str]) -> Result<Vec<Value>> {
    release(cluster, ("gatepost", "gatepost"), values, settings)
}

/// The same for a release of this name in this namespace.
fn release(
    cluster: &Cluster,
    (name, namespace): (&str, &str),
    values: &str,
    settings: &[&str],
) -> Result<Vec<Value>> {
    let chart = chart();
    let mut arguments = vec!["template", name, &*chart, "-n", namespace];
    arguments.extend(["-f", values]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let mut objects = objects_of(&cluster.helm(&arguments)?)?;
    for object in &mut objects {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.entry("namespace").or_insert(namespace.into());
        }
    }
    Ok(objects)
}

/// The Middleware of this name.
fn middleware<'o>(objects: &'o [Value], name: &str) -> Result<&'o Value> {
    let mut middlewares = objects.iter().filter(|it| it["kind"] == "Middleware");
    let found = middlewares.find(|it| it["metadata"]["name"] == name);
    found.with_context(|| format!("a Middleware {name}"))
}

pub(crate) fn example(name: &str) -> String {
    format!("{}/ci/{name}-values.yaml", chart())
}

fn every_example(cluster: &Cluster) -> Result<()> {
    make_namespaces(cluster)?;
    let chart = chart();
    for file in fs::read_dir(Path::new(&chart).join("ci"))? {
        let values = file?.path();
        let values = values.to_string_lossy();
        cluster.helm(&["lint", "--strict", &chart, "-f", &values])?;
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

/// YAML reads `1e3` and `0123` as numbers, and `on` as true. The name of a release is a commit's id in
/// many a preview, and some of these are numbers.
fn names_that_look_like_numbers(cluster: &Cluster) -> Result<()> {
    for namespace in ["1e3", "on"] {
        cluster.restricted_namespace(namespace)?;
    }
    let mut values = json!({
        "nameOverride": "123",
        "keys": { "copyTo": ["on"] },
        "secrets": ["0123"],
        "store": { "redis": { "existingSecret": "1e4", "key": "1e5", "caSecret": "on" } },
        "service": { "tlsSecret": "1e6" },
        "serviceAccount": { "name": "123" },
        "podLabels": { "tier": "1e7" },
        "commonLabels": { "team": "on" },
        "networkPolicy": {
            "enabled": true,
            "from": ["1e3"],
            "metricsFrom": ["on"],
            "egress": [{ "ports": [{ "port": 6379 }] }],
        },
        "traefik": {
            "enabled": true,
            "entryPoints": ["1e3"],
            "parentRefs": [{ "name": "1e3", "namespace": "on" }],
            "services": { "1e3": { "namespace": "on", "name": "1e3", "port": 80 } },
        },
        "config": {
            "trustedProxies": ["10.0.0.0/8"],
            "providers": [{ "name": "1e3", "issuer": "https://id.example.com", "clientId": "123" }],
            "applications": [{
                "name": "1e3",
                "externalUrl": "https://wiki.example.com",
                "cookieName": "123",
                "headers": { "set": { "123": "email" } },
                "assertion": { "header": "1e3" },
            }],
        },
    });
    for (mode, routes) in [
        ("plugin", "ingressRoute"),
        ("forwardAuth", "httpRoute"),
        ("forwardAuth", "ingressRoute"),
    ] {
        values["traefik"]["mode"] = mode.into();
        values["traefik"]["routes"] = routes.into();
        let file = NamedTempFile::new()?;
        fs::write(file.path(), values.to_string())?;
        for name in ["1234", "12345e7", "gate.post"] {
            let file = file.path().to_string_lossy();
            let mut objects = release(cluster, (name, "1e3"), &file, &[])?;
            objects.extend(pods(&objects)?);
            let applied = cluster.apply(objects);
            let applied = applied.with_context(|| format!("{name}, {mode}, {routes}"))?;
            applied.remove()?;
        }
    }
    Ok(())
}

/// The outpost takes names that no object of Kubernetes may have: the chart writes them as
/// `gatepost export kubernetes` does.
fn names_of_applications(cluster: &Cluster) -> Result<()> {
    make_namespaces(cluster)?;
    let settings = [
        "config.applications[0].name=My_Wiki",
        "traefik.enabled=true",
    ];
    let objects = rendered(cluster, &example("minimal"), &settings)?;
    let middleware = middleware(&objects, "gatepost-my-wiki")?;
    let plugin = &middleware["spec"]["plugin"]["gatepost"];
    assert_eq!(plugin["application"], "My_Wiki", "{middleware}");
    cluster.apply(objects)?.remove()
}

/// An autoscaler that is switched on at a running release begins at one pod, unless the chart keeps
/// what is there.
fn autoscaler(cluster: &Cluster) -> Result<()> {
    let of_four = ["--set", "autoscaling.enabled=false,replicas=4"];
    let release = Release::install(cluster, "scaled", &of_four)?;
    let replicas = || {
        let deployment = ["get", "deployment", "scaled-gatepost", "-n", "gatepost"];
        let path = ["-o", "jsonpath={.spec.replicas}"];
        cluster.kubectl(&[&deployment[..], &path].concat(), None)
    };
    assert_eq!(replicas()?, "4");
    release.helm("upgrade", &[])?;
    assert_eq!(replicas()?, "4", "the autoscaler has not acted yet");
    // As the autoscaler does.
    let scale = ["scale", "deployment", "scaled-gatepost", "-n", "gatepost"];
    cluster.kubectl(&[&scale[..], &["--replicas=5"]].concat(), None)?;
    release.helm("upgrade", &[])?;
    assert_eq!(replicas()?, "5", "after a further upgrade");
    Ok(())
}

/// Else the test would find ways to Redis and providers that the outpost does not have. No Service leads
/// requests to this pod.
fn policy_of_the_check(cluster: &Cluster) -> Result<()> {
    make_namespaces(cluster)?;
    let mut objects = rendered(cluster, &example("plugin"), &[])?;
    let outposts = pods(&objects)?;
    objects.extend(outposts);
    let selector = |kind: &str, at: &str| -> Result<String> {
        let object = objects.iter().find(|object| object["kind"] == kind);
        let labels = object.and_then(|object| object.pointer(at)?.as_object());
        let labels = labels.with_context(|| format!("{at} of a {kind}"))?.iter();
        let terms = labels.map(|(name, value)| {
            let value = value.as_str().context("a text")?;
            Ok(format!("{name}={value}"))
        });
        Ok(terms.collect::<Result<Vec<_>>>()?.join(","))
    };
    let policy = selector("NetworkPolicy", "/spec/podSelector/matchLabels")?;
    let service = selector("Service", "/spec/selector")?;
    let applied = cluster.apply(objects)?;
    let selected = |labels: &str| -> Result<(usize, bool)> {
        let arguments = ["get", "pods", "-n", "gatepost", "-o", "name", "-l", labels];
        let said = cluster.kubectl(&arguments, None)?;
        Ok((said.lines().count(), said.contains("pod/gatepost-check")))
    };
    assert_eq!(selected(&policy)?, (2, true), "{policy}");
    assert_eq!(selected(&service)?, (1, false), "{service}");
    applied.remove()
}

/// Traefik takes it out, in any spelling: the outpost's answer does not have it.
fn header_of_api_keys(cluster: &Cluster) -> Result<()> {
    let settings = [
        "config.applications[0].machines={apiKey}",
        "config.applications[0].apiKeyHeader=X-Wiki-Key",
    ];
    let objects = rendered(cluster, &example("gateway"), &settings)?;
    let asks = &middleware(&objects, "gatepost-wiki")?["spec"]["forwardAuth"];
    let named = asks["authResponseHeaders"].as_array().context("headers")?;
    assert!(named.contains(&json!("X-Wiki-Key")), "{asks}");
    let pattern = asks["authResponseHeadersRegex"].as_str();
    let pattern = pattern.context("a pattern")?;
    assert!(pattern.contains("|x.wiki.key"), "{pattern}");
    Ok(())
}

/// Without `plainHttp`, the plugin takes no cookie that a browser sends to such a site.
fn plain_http(cluster: &Cluster) -> Result<()> {
    for (url, expected) in [
        ("http://wiki.lan", json!(true)),
        ("https://wiki.lan", Value::Null),
    ] {
        let setting = format!("config.applications[0].externalUrl={url}");
        let objects = rendered(cluster, &example("plugin"), &[&setting])?;
        let wiki = middleware(&objects, "gatepost-wiki")?;
        let plugin = &wiki["spec"]["plugin"]["gatepost"];
        assert_eq!(plugin["plainHttp"], expected, "{url}");
    }
    Ok(())
}

/// A browser asks at the domain itself, which is no host of the outpost's.
fn device_bound(cluster: &Cluster) -> Result<()> {
    const MATCH: &str = "Host(`example.org`) && Path(`/.well-known/device-bound-sessions`)";
    for (setting, expected) in [
        ("config.session.deviceBound=prefer", 1),
        ("config.session.deviceBound=require", 1),
        ("config.applications[1].deviceBound=prefer", 1),
        ("config.applications[0].deviceBound=prefer", 0),
        // As YAML reads a plain `off`.
        ("config.session.deviceBound=false", 0),
        (
            "config.session.deviceBound=prefer,config.applications[1].deviceBound=false",
            0,
        ),
    ] {
        let objects = rendered(cluster, &example("plugin"), &[setting])?;
        let routes = objects
            .iter()
            .filter(|it| it["spec"]["routes"][0]["match"] == MATCH);
        assert_eq!(routes.count(), expected, "{setting}");
    }
    Ok(())
}
