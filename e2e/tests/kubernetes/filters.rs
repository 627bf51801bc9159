//! What real Traefik makes of an HTTPRoute whose rule has something besides our filter, or has it in the wrong
//! place: each row of the table in `docs/proxies/gateway-api.md`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
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

/// What a stranger got, and which applications saw the request.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    wiki: usize,
    files: usize,
}

fn beside(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, "gateway-plugin-single")?;
    let further = ["kubernetesGateway"];
    let _running = serve(cluster, &site, PLUGIN, &further, objects, &["wiki"])?;
    let extension = |group: &str, kind: &str, name: &str| {
        json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": group, "kind": kind, "name": name },
        })
    };
    let ours = || extension("traefik.io", "Middleware", "wiki-gatepost");
    let missing = || extension("traefik.io", "Middleware", "missing");
    let mirror = || {
        json!({
            "type": "RequestMirror",
            "requestMirror": { "backendRef": { "name": "files", "port": 80 } },
        })
    };
    let redirect = || {
        json!({
            "type": "RequestRedirect",
            "requestRedirect": { "hostname": "elsewhere.example.com", "statusCode": 301 },
        })
    };
    let rewrite = || {
        json!({
            "type": "URLRewrite",
            "urlRewrite": { "path": { "type": "ReplaceFullPath", "replaceFullPath": "/public/x" } },
        })
    };
    let cors = || {
        json!({
            "type": "CORS",
            "cors": { "allowOrigins": ["https://evil.example"], "allowMethods": ["POST"] },
        })
    };
    let wiki = || json!([{ "name": "wiki", "port": 80 }]);
    let with = |filters: Value| json!({ "filters": filters, "backendRefs": wiki() });
    let cases: Vec<(&str, Value, u16, usize)> = vec![
        ("ours", with(json!([ours()])), 302, 0),
        ("no filter", with(json!([])), 200, 1),
        (
            "another group",
            with(json!([extension(
                "example.com",
                "Middleware",
                "wiki-gatepost"
            )])),
            500,
            0,
        ),
        (
            "another kind",
            with(json!([extension(
                "traefik.io",
                "IngressRoute",
                "wiki-gatepost"
            )])),
            500,
            0,
        ),
        (
            "ours, then a missing one",
            with(json!([ours(), missing()])),
            404,
            0,
        ),
        (
            "a missing one, then ours",
            with(json!([missing(), ours()])),
            404,
            0,
        ),
        (
            "ours, then a mirror",
            with(json!([ours(), mirror()])),
            500,
            0,
        ),
        (
            "a mirror, then ours",
            with(json!([mirror(), ours()])),
            500,
            0,
        ),
        (
            "ours, then a redirect",
            json!({ "filters": [ours(), redirect()] }),
            302,
            0,
        ),
        (
            "a redirect, then ours",
            json!({ "filters": [redirect(), ours()] }),
            301,
            0,
        ),
        (
            "ours, then a rewrite",
            with(json!([ours(), rewrite()])),
            302,
            0,
        ),
        (
            "a rewrite, then ours",
            with(json!([rewrite(), ours()])),
            200,
            1,
        ),
        ("ours, then CORS", with(json!([ours(), cors()])), 500, 0),
        ("CORS, then ours", with(json!([cors(), ours()])), 500, 0),
        (
            "ours at the backend",
            json!({ "backendRefs": [{ "name": "wiki", "port": 80, "filters": [ours()] }] }),
            302,
            0,
        ),
    ];
    let numbered = cases.iter().enumerate();
    let routes: Vec<Value> = numbered
        .map(|(at, (_, rule, ..))| http_route("default", &format!("case-{at}"), &host(at), rule))
        .collect();
    let _routes = cluster.apply(routes)?;
    let client = Client::new()?;
    until("the routes", SEEN, || {
        Ok((got(&site, &client, Method::GET, &host(1))?.status == 200).then_some(()))
    })?;
    gatepost_e2e::pass(Duration::from_secs(3));
    let mut others = Vec::new();
    for (at, (case, _, status, wiki)) in cases.iter().enumerate() {
        let found = got(&site, &client, Method::GET, &host(at))?;
        let expected = Got {
            status: *status,
            wiki: *wiki,
            // No mirror is asked.
            files: 0,
        };
        if found != expected {
            others.push(format!("{case}: {found:?}, not {expected:?}"));
        }
        if case.contains("mirror") {
            let post = got(&site, &client, Method::POST, &host(at))?;
            if post.wiki + post.files > 0 {
                others.push(format!("{case}: POST {post:?}"));
            }
        }
        if case.contains("CORS") {
            let request = client.bare(Method::OPTIONS, &site.url("wiki", "/private")?);
            let request = request.header(HOST, host(at));
            let request = request.header("Origin", "https://evil.example");
            let before = site.wiki().len();
            let answer = request
                .header("Access-Control-Request-Method", "POST")
                .send()?;
            let reached = site.wiki().len() > before;
            let status = answer.status().as_u16();
            if reached || status != 500 {
                others.push(format!("{case}: a preflight got {status}, {reached}"));
            }
        }
    }
    ensure!(others.is_empty(), "{others:#?}");
    Ok(())
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
        "filters": [{
            "type": "ExtensionRef",
            "extensionRef": { "group": "traefik.io", "kind": "Middleware", "name": "wiki-gatepost" },
        }],
        "backendRefs": [{ "name": "wiki", "port": 80 }],
    });
    let theirs = |further: Value| {
        let mut rule = json!({ "backendRefs": [{ "name": "own", "port": 80 }] });
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
    // Of two rules that match alike, the route that was made first.
    gatepost_e2e::pass(Duration::from_millis(1500));
    let later = cluster.apply(vec![
        http_route("guest", "a-later", "same.example.com", &theirs(json!({}))),
        http_route("guest", "b-header", "same.example.com", &theirs(headers)),
        http_route("guest", "own", "own.example.com", &theirs(json!({}))),
    ])?;
    let client = Client::new()?;
    until("the neighbour's own route", SEEN, || {
        Ok((got(&site, &client, Method::GET, "own.example.com")?.status == 200).then_some(()))
    })?;
    gatepost_e2e::pass(Duration::from_secs(3));
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
    let before = (site.wiki().len(), site.files().len());
    let request = client.page_load(method, &site.url("wiki", "/private")?);
    let answer = request.header(HOST, host).body("a=1").send();
    let answer = Answer::read(answer.context("an answer")?)?;
    // A mirror is asked beside.
    gatepost_e2e::pass(Duration::from_millis(100));
    Ok(Got {
        status: answer.status.as_u16(),
        wiki: site.wiki().len() - before.0,
        files: site.files().len() - before.1,
    })
}

fn http_route(namespace: &str, name: &str, host: &str, rule: &Value) -> Value {
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
