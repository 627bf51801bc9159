//! What real Traefik makes of an HTTPRoute whose rule has something besides our filter, or has it in the wrong
//! place: each row of the table in `docs/proxies/gateway-api.md`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::{Applied, Cluster};
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::Method;
use reqwest::header::HOST;
use serde_json::{Value, json};

use crate::neighbours::{SEEN, own_service};
use crate::served::{PLUGIN, serve, shown};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "filters::beside_ours_let_no_stranger_in",
        run: beside,
    },
    Test {
        name: "filters::of_foreign_routes_are_not_ours",
        run: precedence,
    },
];

/// What a stranger got.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    /// How many requests reached the application.
    wiki: usize,
}

/// A rule of an HTTPRoute, and what a stranger gets by it.
struct Case {
    name: &'static str,
    rule: Value,
    status: u16,
    /// How many requests reach the application.
    wiki: usize,
}

fn beside(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let further = ["kubernetesGateway"];
    let _running = serve(cluster, &site, PLUGIN, &further, objects, &["wiki"])?;
    let cases = cases();
    let numbered = cases.iter().enumerate();
    let routes: Vec<Value> = numbered
        .map(|(at, case)| http_route("default", &format!("case-{at}"), &host(at), &case.rule))
        .collect();
    let _routes = cluster.apply(routes)?;
    let client = Client::new()?;
    let _marker = until_seen(cluster, &site, &client)?;
    let before = site.files().len();
    let mut others = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let (name, host) = (case.name, host(at));
        let found = got(&site, &client, Method::GET, &host)?;
        let expected = Got {
            status: case.status,
            wiki: case.wiki,
        };
        if found != expected {
            others.push(format!("{name}: {found:?}, not {expected:?}"));
        }
        if name.contains("mirror") {
            let post = got(&site, &client, Method::POST, &host)?;
            if post.wiki > 0 {
                others.push(format!("{name}: POST {post:?}"));
            }
        }
        if name.contains("CORS") {
            let found = preflight(&site, &client, &host)?;
            if found
                != (Got {
                    status: 500,
                    wiki: 0,
                })
            {
                others.push(format!("{name}: a preflight got {found:?}"));
            }
        }
    }
    // A mirror is asked beside a request, and so may come after it. No mirror is asked.
    ensure!(is_marker_served(&site, &client)?, "the marker is gone");
    let mirrored = site.files().len() - before - 1;
    ensure!(mirrored == 0, "{mirrored} requests were mirrored");
    ensure!(others.is_empty(), "{others:#?}");
    Ok(())
}

/// The rows of the table.
fn cases() -> Vec<Case> {
    let case = |name, rule, status, wiki| Case {
        name,
        rule,
        status,
        wiki,
    };
    let with = |filters: &[Value]| json!({ "filters": filters, "backendRefs": backend("wiki") });
    let (ours, missing) = (middleware("wiki-gatepost"), middleware("missing"));
    let other = |group, kind| with(&[extension(group, kind, "wiki-gatepost")]);
    let both = |one: &Value, other: &Value| with(&[one.clone(), other.clone()]);
    let alone = |filters: [&Value; 2]| json!({ "filters": filters });
    let at_backend = json!([{ "name": "wiki", "port": 80, "filters": [ours.clone()] }]);
    let (mirror, redirect, rewrite, cors) = (mirror(), redirect(), rewrite(), cors());
    vec![
        case("ours", with(std::slice::from_ref(&ours)), 302, 0),
        case("no filter", with(&[]), 200, 1),
        case("another group", other("example.com", "Middleware"), 500, 0),
        case("another kind", other("traefik.io", "IngressRoute"), 500, 0),
        case("ours, then a missing one", both(&ours, &missing), 404, 0),
        case("a missing one, then ours", both(&missing, &ours), 404, 0),
        case("ours, then a mirror", both(&ours, &mirror), 500, 0),
        case("a mirror, then ours", both(&mirror, &ours), 500, 0),
        case("ours, then a redirect", alone([&ours, &redirect]), 302, 0),
        case("a redirect, then ours", alone([&redirect, &ours]), 301, 0),
        case("ours, then a rewrite", both(&ours, &rewrite), 302, 0),
        case("a rewrite, then ours", both(&rewrite, &ours), 200, 1),
        case("ours, then CORS", both(&ours, &cors), 500, 0),
        case("CORS, then ours", both(&cors, &ours), 500, 0),
        case(
            "ours at the backend",
            json!({ "backendRefs": at_backend }),
            302,
            0,
        ),
    ]
}

pub(crate) fn backend(name: &str) -> Value {
    json!([{ "name": name, "port": 80 }])
}

fn extension(group: &str, kind: &str, name: &str) -> Value {
    json!({
        "type": "ExtensionRef",
        "extensionRef": { "group": group, "kind": kind, "name": name },
    })
}

pub(crate) fn middleware(name: &str) -> Value {
    extension("traefik.io", "Middleware", name)
}

fn mirror() -> Value {
    json!({
        "type": "RequestMirror",
        "requestMirror": { "backendRef": { "name": "files", "port": 80 } },
    })
}

fn redirect() -> Value {
    json!({
        "type": "RequestRedirect",
        "requestRedirect": { "hostname": "elsewhere.example.com", "statusCode": 301 },
    })
}

fn rewrite() -> Value {
    json!({
        "type": "URLRewrite",
        "urlRewrite": { "path": { "type": "ReplaceFullPath", "replaceFullPath": "/public/x" } },
    })
}

fn cors() -> Value {
    json!({
        "type": "CORS",
        "cors": { "allowOrigins": ["https://evil.example"], "allowMethods": ["POST"] },
    })
}

/// The host of a route that leads to `files` and has no filter.
const MARKER: &str = "marker.example.com";

/// Waits until Traefik serves all routes that were applied before: one that is applied after them
/// answers. A watch delivers in order, and Traefik makes one configuration of all routes that it knows.
fn until_seen<'c>(cluster: &'c Cluster, site: &Site, client: &Client) -> Result<Applied<'c>> {
    let rule = json!({ "backendRefs": backend("files") });
    let marker = cluster.apply(vec![http_route("default", "marker", MARKER, &rule)])?;
    until("the routes", SEEN, || {
        Ok(is_marker_served(site, client)?.then_some(()))
    })?;
    Ok(marker)
}

fn is_marker_served(site: &Site, client: &Client) -> Result<bool> {
    Ok(got(site, client, Method::GET, MARKER)?.status == 200)
}

/// Of routes that another namespace may attach: the more specific one has the request, and its own filters
/// or none.
fn precedence(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    cluster.restricted_namespace("guest")?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let further = ["kubernetesGateway"];
    let _running = serve(cluster, &site, PLUGIN, &further, objects, &["wiki"])?;
    let ours = json!({
        "filters": [middleware("wiki-gatepost")],
        "backendRefs": backend("wiki"),
    });
    let theirs = |further: Value| {
        let mut rule = json!({ "backendRefs": backend("own") });
        if let (Some(rule), Value::Object(further)) = (rule.as_object_mut(), further) {
            rule.extend(further);
        }
        rule
    };
    let headers = json!({ "matches": [{ "headers": [{ "name": "x-a", "value": "1" }] }] });
    let mut objects = own_service("files");
    objects.extend([
        http_route("default", "wide", "*.corp.example.com", &ours),
        http_route(
            "guest",
            "narrow",
            "wiki.corp.example.com",
            &theirs(json!({})),
        ),
        http_route("default", "first", "same.example.com", &ours),
    ]);
    let _routes = cluster.apply(objects)?;
    // Of two rules that match alike, the route that was made first, by times of whole seconds.
    gatepost_e2e::pass(Duration::from_millis(1500));
    let later = cluster.apply(vec![
        http_route("guest", "a-later", "same.example.com", &theirs(json!({}))),
        http_route("guest", "b-header", "same.example.com", &theirs(headers)),
    ])?;
    let client = Client::new()?;
    let _marker = until_seen(cluster, &site, &client)?;
    let mut others = Vec::new();
    for (case, host, header, expected) in [
        ("a wildcard", "other.corp.example.com", false, (302, 0)),
        ("a narrower host", "wiki.corp.example.com", false, (200, 1)),
        ("the same host", "same.example.com", false, (302, 0)),
        ("a header more", "same.example.com", true, (200, 1)),
    ] {
        let before = (site.wiki().len(), site.files().len());
        let mut request = client.page_load(Method::GET, &site.url("wiki", "/private")?);
        request = request.header(HOST, host);
        if header {
            request = request.header("x-a", "1");
        }
        let status = Answer::read(request.send()?)?.status.as_u16();
        ensure!(
            site.wiki().len() == before.0,
            "{case} reached the application"
        );
        let found = (status, site.files().len() - before.1);
        if found != expected {
            others.push(format!("{case}: {found:?}, not {expected:?}"));
        }
    }
    ensure!(others.is_empty(), "{others:#?}");
    later.remove()
}

fn host(at: usize) -> String {
    format!("case-{at}.example.com")
}

fn got(site: &Site, client: &Client, method: Method, host: &str) -> Result<Got> {
    let before = site.wiki().len();
    let request = client.page_load(method, &site.url("wiki", "/private")?);
    let answer = request.header(HOST, host).body("a=1").send();
    let answer = Answer::read(answer.context("an answer")?)?;
    Ok(Got {
        status: answer.status.as_u16(),
        wiki: site.wiki().len() - before,
    })
}

/// Has another site's page ask whether it may send a `POST`.
fn preflight(site: &Site, client: &Client, host: &str) -> Result<Got> {
    let before = site.wiki().len();
    let request = client.bare(Method::OPTIONS, &site.url("wiki", "/private")?);
    let answer = request
        .header(HOST, host)
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST")
        .send()?;
    Ok(Got {
        status: answer.status().as_u16(),
        wiki: site.wiki().len() - before,
    })
}

pub(crate) fn http_route(namespace: &str, name: &str, host: &str, rule: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "parentRefs": [{ "name": "web", "namespace": "traefik" }],
            "hostnames": [host],
            "rules": [rule],
        },
    })
}
