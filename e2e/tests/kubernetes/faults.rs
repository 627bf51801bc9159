//! What real Traefik makes of what is wrong in the cluster: the outpost away, a Middleware missing, a
//! route of another namespace. Each answer is the one that the documentation names.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::{Applied, Cluster};
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::header::HOST;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::served::{FORWARD_AUTH, PLUGIN, serve, serve_with, shown};
use crate::{Test, checks, filters};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "faults::no_outpost_is_there",
        run: no_outpost,
    },
    Test {
        name: "faults::gateway_filters_that_are_broken",
        run: gateway_filters,
    },
    Test {
        name: "faults::gateway_route_of_another_namespace",
        run: gateway_route_of_another_namespace,
    },
];

/// For Traefik to see a change of the cluster.
const SEEN: Duration = Duration::from_secs(60);

const GATEWAY: &[&str] = &["kubernetesGateway"];

/// Without endpoints, Traefik drops the route to the outpost unless it is told to keep it, and the
/// application's gets its requests.
fn no_outpost(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "plugin-single")?;
    let drops = json!({ "providers": { "kubernetesCRD": { "allowEmptyServices": false } } });
    let config = (PLUGIN, &drops);
    let _running = serve_with(cluster, &site, config, &[], objects, &["wiki"])?;
    let slice = ["endpointslice", "gatepost-1", "-n", "gatepost"];
    let was = cluster.kubectl(&[&["get", "-o", "json"], &slice[..]].concat(), None)?;
    cluster.kubectl(&[&["delete"], &slice[..]].concat(), None)?;
    let client = Client::new()?;
    for path in ["/akprox/start?rd=/", "/akprox/callback", "/akprox/sign_out"] {
        let page = until_answered(&site, &client, path, StatusCode::SERVICE_UNAVAILABLE)?;
        ensure!(page.body.contains("no outpost is running"), "{}", page.body);
        ensure!(page.header("retry-after").is_some(), "{path}");
    }
    ensure!(site.wiki().is_empty(), "the application was reached");
    // With its return, the page goes away.
    let mut slice: Value = serde_json::from_str(&was)?;
    for key in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "managedFields",
    ] {
        let metadata = slice["metadata"].as_object_mut();
        metadata.context("metadata")?.remove(key);
    }
    cluster.kubectl(&["apply", "-f", "-"], Some(&slice.to_string()))?;
    until_answered(&site, &client, "/akprox/ping", StatusCode::NO_CONTENT)?;
    Ok(())
}

/// Loads a page of the wiki until Traefik answers with this status.
fn until_answered(site: &Site, client: &Client, path: &str, status: StatusCode) -> Result<Answer> {
    let mut last = None;
    let answered = until(&format!("{path}: {status}"), SEEN, || {
        let request = client.page_load(Method::GET, &site.url("wiki", path)?);
        let answer = Answer::read(request.send()?)?;
        last = Some(answer.status);
        Ok((answer.status == status).then_some(answer))
    });
    answered.with_context(|| format!("the last answer was {last:?}"))
}

/// The route's Middleware and what a request then gets. The application gets none.
fn gateway_filters(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let _running = serve(cluster, &site, PLUGIN, GATEWAY, objects, &["wiki"])?;
    let client = Client::new()?;
    let plugin = |settings: Value| json!({ "plugin": { "gatepost": settings } });
    let forward_auth = |address: &str| json!({ "forwardAuth": { "address": address } });
    let right = || json!({ "application": "wiki", "keysFile": "/keys/gatepost.keys" });
    let with = |key: &str, value: Value| {
        let mut settings = right();
        settings[key] = value;
        plugin(settings)
    };
    let outpost = "http://gatepost.gatepost.svc:9000/akprox/auth/traefik";
    for (case, spec, status) in [
        ("the plugin as it should be", plugin(right()), 302),
        ("an unknown key", with("aplication", json!("wiki")), 503),
        ("no keys", with("keysFile", json!("/keys/none")), 503),
        (
            "an unknown plugin",
            json!({ "plugin": { "gatekeeper": right() } }),
            404,
        ),
        ("forwardAuth as it should be", forward_auth(outpost), 302),
        (
            "no such outpost",
            forward_auth("http://gatepost:9000/akprox/auth/traefik"),
            500,
        ),
        (
            "two kinds",
            json!({ "forwardAuth": { "address": outpost }, "plugin": { "gatepost": right() } }),
            404,
        ),
    ] {
        middleware(cluster, "default", &spec)?;
        let status = StatusCode::from_u16(status)?;
        until_answered(&site, &client, "/", status).context(case)?;
    }
    let missing = ["delete", "middlewares.traefik.io", "wiki-gatepost"];
    cluster.kubectl(&missing, None)?;
    until_answered(&site, &client, "/", StatusCode::NOT_FOUND).context("no Middleware")?;
    // An `extensionRef` has no namespace: a Middleware of another namespace is not found. One that is made
    // after it is: a watch delivers in order.
    middleware(cluster, "gatepost", &plugin(right()))?;
    let _marker = until_middlewares_are_seen(cluster, &site, &client)?;
    until_answered(&site, &client, "/", StatusCode::NOT_FOUND).context("elsewhere")?;
    cluster.kubectl(
        &[
            "delete",
            "middlewares.traefik.io",
            "wiki-gatepost",
            "-n",
            "gatepost",
        ],
        None,
    )?;
    middleware(cluster, "default", &plugin(right()))?;
    until_answered(&site, &client, "/", StatusCode::FOUND).context("mended")?;
    ensure!(site.wiki().is_empty(), "the application was reached");
    Ok(())
}

/// Waits until Traefik knows all Middlewares that were made before: a route with one that is made now
/// redirects.
fn until_middlewares_are_seen<'c>(
    cluster: &'c Cluster,
    site: &Site,
    client: &Client,
) -> Result<Applied<'c>> {
    const HOST_NAME: &str = "marker.example.com";
    let rule = json!({
        "filters": [filters::middleware("marker")],
        "backendRefs": filters::backend("wiki"),
    });
    let marker = cluster.apply(vec![
        json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "Middleware",
            "metadata": { "name": "marker", "namespace": "default" },
            "spec": { "redirectRegex": {
                "regex": ".*", "replacement": "https://elsewhere.example.com/",
            } },
        }),
        filters::http_route("default", "marker", HOST_NAME, &rule),
    ])?;
    until("the marker", SEEN, || {
        let request = client.page_load(Method::GET, &site.url("wiki", "/")?);
        let status = request.header(HOST, HOST_NAME).send()?.status();
        Ok((status == StatusCode::FOUND).then_some(()))
    })?;
    Ok(marker)
}

/// Makes the Middleware of the route this one.
fn middleware(cluster: &Cluster, namespace: &str, spec: &Value) -> Result<()> {
    let middleware = json!({
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": { "name": "wiki-gatepost", "namespace": namespace },
        "spec": spec,
    });
    replace(cluster, &middleware)
}

/// Puts this object in the place of what there is.
fn replace(cluster: &Cluster, object: &Value) -> Result<()> {
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    cluster.kubectl(&arguments, Some(&object.to_string()))?;
    Ok(())
}

/// Who may attach a route to the Gateway takes over a longer path of any host, with the cookies that
/// browsers send there; and reaches no Service of another namespace.
fn gateway_route_of_another_namespace(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    cluster.restricted_namespace("guest")?;
    let objects = shown(&site, "gateway-forward-auth-single")?;
    let find = |kind: &str| {
        let found = objects.iter().find(|it| it["kind"] == kind);
        found.with_context(|| kind.to_owned()).cloned()
    };
    let (mut gateway, hosts) = (
        find("Gateway")?,
        find("HTTPRoute")?["spec"]["hostnames"].clone(),
    );
    gateway["spec"]["listeners"][0]["port"] = json!(site.ports().web);
    let _running = serve(cluster, &site, FORWARD_AUTH, GATEWAY, objects, &["wiki"])?;
    let elsewhere = json!({
        "type": "RequestRedirect",
        "requestRedirect": { "hostname": "guest.example.com", "statusCode": 301 },
    });
    let rule = |path: &str, rest: Value| {
        let mut rule = json!({ "matches": [{ "path": { "type": "Exact", "value": path } }] });
        if let (Some(rule), Value::Object(rest)) = (rule.as_object_mut(), rest) {
            rule.extend(rest);
        }
        rule
    };
    let wiki = json!([{ "name": "wiki", "namespace": "default", "port": 80 }]);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "guest", "namespace": "guest" },
        "spec": {
            "parentRefs": [{ "name": "web", "namespace": "traefik" }],
            "hostnames": hosts,
            "rules": [
                rule("/open", json!({ "backendRefs": wiki })),
                rule("/akprox/callback/main", json!({ "filters": [elsewhere] })),
                rule("/reports", json!({ "filters": [elsewhere] })),
            ],
        },
    });
    let external = json!({ "type": "ExternalAuth", "externalAuth": { "protocol": "HTTP" } });
    let mut experimental = route.clone();
    experimental["spec"]["rules"] = json!([rule("/", json!({ "filters": [external] }))]);
    let refused = cluster.apply(vec![experimental]);
    let refused = format!("{:#}", refused.expect_err("of the experimental channel"));
    ensure!(refused.contains("externalAuth"), "{refused}");
    let _route = cluster.apply(vec![route])?;
    let client = Client::new()?;
    // Without a ReferenceGrant in `default`.
    until_answered(&site, &client, "/open", StatusCode::INTERNAL_SERVER_ERROR)?;
    for path in ["/reports", "/akprox/callback/main"] {
        until_answered(&site, &client, path, StatusCode::MOVED_PERMANENTLY)?;
    }
    let expression = json!({
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["default", "gatepost"],
    });
    gateway["spec"]["listeners"][0]["allowedRoutes"]["namespaces"] = json!({
        "from": "Selector",
        "selector": { "matchExpressions": [expression] },
    });
    replace(cluster, &gateway)?;
    for path in ["/reports", "/open"] {
        until_answered(&site, &client, path, StatusCode::FOUND)?;
    }
    // The outpost has the path again, and knows no such provider.
    until_answered(
        &site,
        &client,
        "/akprox/callback/main",
        StatusCode::NOT_FOUND,
    )?;
    ensure!(site.wiki().is_empty(), "the application was reached");
    Ok(())
}
