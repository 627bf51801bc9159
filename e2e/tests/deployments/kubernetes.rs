//! IngressRoutes and Middlewares, read by Traefik's kubernetesCRD provider from a double of the
//! API server.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::doubles::kube_api::KubeApi;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Client, Service, Site, forge, layout, until};
use jsonschema::Validator;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::checks;

fn manifests(text: &str) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple(text)?)
}

/// Starts Traefik with this static configuration, in a cluster with these manifests.
fn start(
    site: &Site,
    static_file: &str,
    manifests_file: &str,
    hosts: &[&str],
) -> Result<(Service, KubeApi)> {
    start_with_objects(site, static_file, manifests_file, &[], hosts)
}

/// Starts Traefik as [`start`] does, in a cluster that has these objects besides.
fn start_with_objects(
    site: &Site,
    static_file: &str,
    manifests_file: &str,
    others: &[Value],
    hosts: &[&str],
) -> Result<(Service, KubeApi)> {
    let mut objects = manifests(&site.fitted(manifests_file, &[])?)?;
    for object in &mut objects {
        if let Some(Value::Object(plugin)) = object.pointer_mut("/spec/plugin/gatepost") {
            plugin.insert("public".into(), json!(checks::PUBLIC));
        }
    }
    objects.extend_from_slice(others);
    let cluster = KubeApi::of_site(site, objects)?;
    Ok((start_traefik(site, &cluster, static_file, hosts)?, cluster))
}

/// Starts Traefik with this static configuration in this cluster.
fn start_traefik(
    site: &Site,
    cluster: &KubeApi,
    static_file: &str,
    hosts: &[&str],
) -> Result<Service> {
    Traefik::new(site, static_file)?
        .configure(&json!({ "providers": { "kubernetesCRD": cluster.traefik_access() } }))
        .start(hosts)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _running = start(
        &site,
        "deploy/traefik/static/kubernetes-plugin.yaml",
        "deploy/kubernetes/traefik/plugin-single.yaml",
        &["wiki"],
    )?;
    checks::single(&site)
}

/// Row A11: a rule with nothing under it comes as null, and must not be read as no rule. (Traefik's
/// file provider leaves such a key out before the plugin could see it.)
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_rule_with_nothing_under_it_admits_no_user() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    for rule in [
        json!(null),
        json!({}),
        json!({ "groups": null }),
        json!({ "groups": [] }),
    ] {
        let mut objects =
            manifests(&site.fitted("deploy/kubernetes/traefik/plugin-single.yaml", &[])?)?;
        for object in &mut objects {
            if let Some(Value::Object(plugin)) = object.pointer_mut("/spec/plugin/gatepost") {
                plugin.insert("require".into(), rule.clone());
            }
        }
        let cluster = KubeApi::of_site(&site, objects)?;
        let static_file = "deploy/traefik/static/kubernetes-plugin.yaml";
        let traefik = start_traefik(&site, &cluster, static_file, &[])?;
        let cookie = forge::valid(&site.keys().ring()?, "wiki")?;
        let page = site.url("wiki", "/")?;
        let client = Client::new()?;
        until(
            "the plugin to refuse its settings",
            Duration::from_secs(60),
            || {
                let request = client.fetch(Method::GET, &page);
                let request = request.header("Cookie", format!("gatepost={cookie}"));
                // Until Traefik has read everything, nothing is there.
                let status = request.send().map(|answer| answer.status());
                if let Ok(StatusCode::OK) = status {
                    bail!("{rule}: a user was let in");
                }
                let refused = matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE));
                Ok(refused.then_some(()))
            },
        )?;
        let log = traefik.output();
        assert!(log.contains("require"), "{rule}: {log}");
        assert_eq!(site.wiki().len(), 0, "{rule}");
        drop(cluster);
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _running = start(
        &site,
        "deploy/traefik/static/kubernetes-plugin.yaml",
        "deploy/kubernetes/traefik/plugin-domain.yaml",
        &["wiki", "files"],
    )?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _running = start(
        &site,
        "deploy/traefik/static/kubernetes-plugin.yaml",
        "deploy/kubernetes/traefik/route-single.yaml",
        &["wiki"],
    )?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _running = start(
        &site,
        "deploy/traefik/static/kubernetes-forward-auth.yaml",
        "deploy/kubernetes/traefik/forward-auth-single.yaml",
        &["wiki"],
    )?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _running = start(
        &site,
        "deploy/traefik/static/kubernetes-forward-auth.yaml",
        "deploy/kubernetes/traefik/forward-auth-domain.yaml",
        &["wiki", "files"],
    )?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// Row A6: an object in another namespace takes the place of none of ours, whatever its name and
/// its namespace's make together.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_other_namespace_takes_a_middleware_s_place() -> Result<()> {
    for (static_file, manifests_file, own) in [
        (
            "deploy/traefik/static/kubernetes-plugin.yaml",
            "deploy/kubernetes/traefik/plugin-single.yaml",
            "wiki-gatepost",
        ),
        (
            "deploy/traefik/static/kubernetes-plugin.yaml",
            "deploy/kubernetes/traefik/route-single.yaml",
            "ask-outpost",
        ),
    ] {
        // `default` and `ask-outpost` make what `default-ask` and `outpost` make.
        let others: Vec<Value> = format!("default-{own}")
            .match_indices('-')
            .map(|(at, _)| {
                let joined = format!("default-{own}");
                let (namespace, name) = joined.split_at(at);
                json!({
                    "apiVersion": "traefik.io/v1alpha1",
                    "kind": "Middleware",
                    "metadata": { "namespace": namespace, "name": name.trim_start_matches('-') },
                    "spec": { "headers": { "customRequestHeaders": { "X-Auth-Username": "mallory" } } },
                })
            })
            .filter(|object| object.pointer("/metadata/namespace") != Some(&json!("default")))
            .collect();
        let site = checks::site("deploy/outpost/single.yaml").start()?;
        let running = start_with_objects(&site, static_file, manifests_file, &others, &["wiki"])?;
        let client = Client::new()?;
        let page = site.url("wiki", "/admin")?;
        let status = client.fetch(Method::GET, &page).send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{manifests_file}");
        assert_eq!(site.wiki(), [], "{manifests_file}: the app was reached");
        drop(running);
    }
    Ok(())
}

/// Rows A6 and A12: each static configuration that reads custom resources names objects apart, and
/// gives no namespace of applications the Services of other providers.
#[test]
fn every_shown_provider_of_custom_resources_keeps_namespaces_apart() -> Result<()> {
    let mut found = 0;
    for file in fs::read_dir(layout::root().join("deploy/traefik/static"))? {
        let path = file?.path();
        let config: Value = serde_saphyr::from_str(&fs::read_to_string(&path)?)?;
        if let Some(provider) = config.pointer("/providers/kubernetesCRD") {
            let safe = provider.get("safeNaming");
            assert_eq!(safe, Some(&json!(true)), "{}", path.display());
            // `[]` is as unset.
            let own = provider.get("crossProviderNamespaces");
            assert_eq!(own, Some(&json!(["traefik"])), "{}", path.display());
            found += 1;
        }
    }
    assert!(found >= 2, "{found} files");
    Ok(())
}

/// As `kubectl apply` validates: types, required fields, and no field that the definition does
/// not have.
#[test]
fn manifests_fit_the_custom_resource_definitions() -> Result<()> {
    let schemas = layout::root().join("testdata/kubernetes/crds");
    let folder = layout::root().join("deploy/kubernetes/traefik");
    let schema = |name: &str| -> Result<Validator> {
        let path = schemas.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(jsonschema::validator_for(&closed(serde_json::from_str(
            &text,
        )?))?)
    };
    let routes = schema("ingressroutes.json")?;
    let middlewares = schema("middlewares.json")?;
    for file in [
        "plugin-single.yaml",
        "plugin-domain.yaml",
        "route-single.yaml",
        "forward-auth-single.yaml",
        "forward-auth-domain.yaml",
    ] {
        let mut validated = 0;
        for object in manifests(&fs::read_to_string(folder.join(file))?)? {
            let schema = match object.get("kind").and_then(Value::as_str) {
                Some("IngressRoute") => &routes,
                Some("Middleware") => &middlewares,
                _ => continue,
            };
            let problems: Vec<String> = schema
                .iter_errors(&object)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{file}: {problems:#?}");
            validated += 1;
        }
        assert!(validated >= 2, "{file} has {validated} custom resources");
    }
    let typo = json!({ "apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {},
        "spec": { "forwardAuth": { "adress": "http://gatepost.gatepost.svc:9000" } } });
    assert!(!middlewares.is_valid(&typo), "the schema notices a typo");
    Ok(())
}

/// Returns a definition's schema that forbids fields that it does not name.
fn closed(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let open = [
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            ]
            .into_iter()
            .any(|key| fields.contains_key(key));
            let closes = !open && fields.get("properties").is_some_and(Value::is_object);
            let mut fields: Map<String, Value> = fields
                .into_iter()
                .map(|(key, value)| (key, closed(value)))
                .collect();
            if closes {
                fields.insert("additionalProperties".into(), false.into());
            }
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(closed).collect()),
        other => other,
    }
}
