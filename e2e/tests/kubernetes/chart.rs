//! The Helm chart: what it renders, on the real API server.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, layout};
use gatepost_session::KeyRing;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::accepted::pods;
use crate::served::{FORWARD_AUTH, PLUGIN, Running, objects_of, serve};
use crate::suite::LeftOut;
use crate::{Test, checks};

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
        name: "chart::a_user_signs_in_by_plugin_and_ingress_route",
        run: |cluster| {
            let site = checks::site("deploy/outpost/single.yaml").start()?;
            let _running = installed(cluster, &site, PLUGIN, &[], &json!({}))?;
            checks::single(&site)
        },
    },
    Test {
        name: "chart::a_user_signs_in_by_forward_auth_and_http_route",
        run: |cluster| {
            let values = json!({
                "mode": "forwardAuth",
                "routes": "httpRoute",
                "parentRefs": [{ "name": "web", "namespace": "traefik" }],
            });
            let site = checks::site("deploy/outpost/single.yaml").start()?;
            let further = ["kubernetesGateway"];
            let _running = installed(cluster, &site, FORWARD_AUTH, &further, &values)?;
            checks::single(&site)
        },
    },
    Test {
        name: "chart::a_user_signs_in_to_a_domain",
        run: |cluster| {
            let site = checks::site("deploy/outpost/domain.yaml").start()?;
            let _running = installed(cluster, &site, PLUGIN, &[], &json!({}))?;
            checks::domain(&site)
        },
    },
    Test {
        name: "chart::only_the_proxy_asks_under_a_prefix_of_two_segments",
        run: only_the_proxy_asks,
    },
    Test {
        name: "chart::no_client_names_the_user_by_forward_auth",
        run: no_client_names_the_user,
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
pub(crate) fn rendered(cluster: &Cluster, values: &str, settings: &[&str]) -> Result<Vec<Value>> {
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

pub(crate) fn example(name: &str) -> String {
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

/// An upgrade signs no user out, and neither does a release that is removed and installed again.
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

/// Row 61, where the outpost has a host of its own: Traefik routes no client to the addresses at which
/// proxies ask, and each other path to the outpost.
fn only_the_proxy_asks(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .applications(&json!({ "outpostPrefix": "/sso/v2" }))
        .start()?;
    let _running = installed(cluster, &site, PLUGIN, &[], &json!({}))?;
    let url = site.url("auth", "/")?;
    let is_outposts = |path: &str| -> Result<bool> {
        let mut connection = RawConnection::connect(site.ports().web)?;
        connection.request(
            &format!("GET {path}"),
            &[("Host", url.authority()), ("Connection", "close")],
        )?;
        // The outpost gives each request an id, and Traefik's own 404 has none.
        Ok(connection.head()?.header("x-request-id").is_some())
    };
    for path in [
        "/",
        "/sso/v2/start",
        "/sso/v2/session",
        "/sso/v2/callback/main",
    ] {
        assert!(is_outposts(path)?, "{path}");
    }
    for prefix in ["/sso/v2", "/akprox", "/outpost.goauthentik.io"] {
        for path in [
            "auth/traefik",
            "auth/caddy",
            "auth/nginx",
            "auth/envoy",
            "auth/envoy/x",
            "auth?nginx",
            "auth?traefik",
            "x/../auth/envoy/x",
            "/auth/envoy/x",
            "%61uth/envoy/x",
        ] {
            let path = format!("{prefix}/{path}");
            assert!(!is_outposts(&path)?, "{path}");
        }
    }
    let client = Client::new()?;
    let journey = client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// Row A9, where the application receives none of the usual headers: then Traefik has to remove them all
/// the same, in any spelling, except what `keep` names. Its static configuration is not the one that
/// removes other spellings.
fn no_client_names_the_user(cluster: &Cluster) -> Result<()> {
    let headers = json!({
        "preset": "none",
        "set": { "X-Wiki-User": "preferred_username" },
        "keep": ["X-Vouch-User", "X-Webauth-User"],
    });
    let site = checks::site("deploy/outpost/single.yaml")
        // Renewals are not the subject.
        .outpost(&json!({ "session": { "renewAfter": "40m" } }))
        .applications(&json!({
            "headers": headers,
            "public": ["/public/*", "POST=/hook"],
        }))
        .start()?;
    let traefik = json!({ "mode": "forwardAuth" });
    let _running = installed(cluster, &site, PLUGIN, &[], &traefik)?;
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let refused = [
        "X-Wiki-User",
        "X_Wiki_User",
        "X.Wiki-User",
        "X-Auth-Username",
        "x_auth_groups",
        "X-Forwarded-User",
        "X_Forwarded_Email",
        "X-Forwarded-Login",
        "Remote-User",
        "Remote_Groups",
        // Of a family of which one is kept.
        "X-Webauth-Email",
        "X-Webauth-Use",
        "X-Webauth-Users",
        "X-Webauth-Role",
        "X_WEBAUTH_GROUPS",
        "X-Vouch-Idp-Claims-Groups",
        "X-Authentik-Username",
        "X-Pomerium-Claim-Email",
        "X-Gatepost-Verdict",
        "X-Original-URL",
        "X_Rewrite_URL",
        "SCRIPT_NAME",
        "X-Script-Name",
        // `public` has a pattern for one method.
        "X-HTTP-Method-Override",
    ];
    let kept = ["X-Vouch-User", "X-Webauth-User"];
    for path in ["/", "/public/logo"] {
        let request = client.fetch(Method::GET, &site.url("wiki", path)?);
        let names = refused.iter().chain(&kept);
        let request = names.fold(request, |request, name| request.header(*name, "mallory"));
        assert_eq!(request.send()?.status(), StatusCode::OK, "{path}");
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        let mut said: Vec<&str> = seen
            .headers
            .iter()
            .filter(|(_, values)| values.iter().any(|value| value == "mallory"))
            .map(|(name, _)| name.as_str())
            .collect();
        said.sort_unstable();
        assert_eq!(said, ["x-vouch-user", "x-webauth-user"], "{path}");
        assert_eq!(seen.header("x-wiki-user"), Some("alice"), "{path}");
    }
    Ok(())
}

/// Traefik takes it out, in any spelling: the outpost's answer does not have it.
fn header_of_api_keys(cluster: &Cluster) -> Result<()> {
    let settings = [
        "config.applications[0].machines={apiKey}",
        "config.applications[0].apiKeyHeader=X-Wiki-Key",
    ];
    let objects = rendered(cluster, &example("gateway"), &settings)?;
    let wiki = objects
        .iter()
        .find(|it| it["kind"] == "Middleware" && it["metadata"]["name"] == "gatepost-wiki");
    let asks = &wiki.context("a Middleware")?["spec"]["forwardAuth"];
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
        let wiki = objects
            .iter()
            .find(|it| it["kind"] == "Middleware" && it["metadata"]["name"] == "gatepost-wiki");
        let plugin = &wiki.context("a Middleware")?["spec"]["plugin"]["gatepost"];
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

/// Runs the outpost of this site with the chart's ConfigMap, and Traefik with the chart's routes.
fn installed<'c>(
    cluster: &'c Cluster,
    site: &Site,
    config: &str,
    further: &[&str],
    traefik: &Value,
) -> Result<Running<'c>> {
    let file = site.folder().join("values.json");
    fs::write(&file, values(site, traefik)?.to_string())?;
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
    serve(cluster, site, config, further, routes, &["wiki"])
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
    let host = |name: &str| -> Result<String> {
        let url = site.url(name, "/")?;
        Ok(url.host_str().context("a host")?.to_owned())
    };
    let mut settings = json!({
        "enabled": true,
        "entryPoints": ["web"],
        "tls": null,
        "services": match own["applications"][0]["mode"].as_str() {
            Some("domain") => json!({ "intranet": { "namespace": "default", "hosts": {
                host("wiki")?: { "name": "wiki", "port": 80 },
                host("files")?: { "name": "files", "port": 80 },
            } } }),
            _ => json!({ "wiki": { "namespace": "default", "name": "wiki", "port": 80 } }),
        },
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

/// The Gateway that HTTPRoutes attach to, with its class.
pub(crate) fn gateway() -> Result<Vec<Value>> {
    let path = layout::root().join("deploy/kubernetes/traefik/gateway-plugin-single.yaml");
    let mut objects = objects_of(&fs::read_to_string(path)?)?;
    objects.retain(|it| it["kind"] == "Gateway" || it["kind"] == "GatewayClass");
    ensure!(objects.len() == 2, "a Gateway and its class");
    Ok(objects)
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
