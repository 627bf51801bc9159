//! What an application gets of a request, and a client of an answer, besides the decision.

use super::hosts::{imported_all, part};
use super::*;

const ROUTES: [Form; 2] = [Form::Crds, Form::Gateway];

/// Returns the Middlewares of the only route of a host, in their order.
fn chain(text: &str) -> Vec<Value> {
    let objects = objects(text);
    let is_apps = |it: &&Value| it["metadata"]["name"] == "app-wiki.example.com";
    let route = objects.iter().find(is_apps).expect("a route");
    let route = &route["spec"][match route["kind"] == "HTTPRoute" {
        true => "rules",
        false => "routes",
    }][0];
    let names: Vec<&Value> = match &route["filters"] {
        Value::Array(filters) => filters
            .iter()
            .map(|it| &it["extensionRef"]["name"])
            .collect(),
        _ => {
            let names = route["middlewares"].as_array().expect("Middlewares");
            names.iter().map(|it| &it["name"]).collect()
        }
    };
    let of = |name: &Value| {
        let named = objects
            .iter()
            .find(|it| it["kind"] == "Middleware" && it["metadata"]["name"] == *name);
        named.expect("a Middleware")["spec"].clone()
    };
    names.into_iter().map(of).collect()
}

fn is_gate(spec: &Value) -> bool {
    spec.get("plugin").is_some()
}

#[test]
fn no_client_sends_what_nginx_itself_said() {
    for form in ROUTES {
        let text = imported_all(&[part("wiki", &[URL], "/", "Prefix")], form).text;
        let chain = chain(&text);
        let headers = &chain[0]["headers"]["customRequestHeaders"];
        for name in ["Proxy", "X-Original-Forwarded-For", "X-Original-URI"] {
            assert_eq!(headers[name], "", "{name}: {headers}");
        }
        for name in ["X-Scheme", "X-Forwarded-Scheme"] {
            assert_eq!(headers[name], "https", "{name}: {headers}");
        }
        assert!(is_gate(&chain[1]), "{chain:?}");
    }
}

#[test]
fn the_application_gets_the_host_of_upstream_vhost_after_the_decision() {
    for form in ROUTES {
        let annotations = [URL, ("upstream-vhost", "inner.example.com")];
        let text = imported_all(&[part("wiki", &annotations, "/", "Prefix")], form).text;
        let chain = chain(&text);
        assert!(is_gate(&chain[1]), "{chain:?}");
        let headers = &chain[2]["headers"]["customRequestHeaders"];
        assert_eq!(headers["Host"], "inner.example.com");
        for vhost in ["$host", "a b", "x`y"] {
            let annotations = [URL, ("upstream-vhost", vhost)];
            let parts = [part("wiki", &annotations, "/", "Prefix")];
            assert_eq!(imported_all(&parts, form).expressed, 0, "{vhost}");
        }
    }
}

#[test]
fn a_path_that_redirected_redirects() {
    for form in ROUTES {
        for (key, target, replacement, is_permanent) in [
            ("permanent-redirect", "https://e.org", "https://e.org", true),
            (
                "temporal-redirect",
                "https://e.org$request_uri",
                "https://e.org${1}",
                false,
            ),
        ] {
            let annotations = [URL, (key, target)];
            let text = imported_all(&[part("wiki", &annotations, "/", "Prefix")], form).text;
            let chain = chain(&text);
            let redirect = &chain[0]["redirectRegex"];
            assert_eq!(redirect["replacement"], replacement);
            assert_eq!(redirect["permanent"], is_permanent);
            assert!(is_gate(&chain[2]), "{chain:?}");
        }
        for target in ["/elsewhere", "https://$host/x", "https://e.org/$1"] {
            let annotations = [URL, ("permanent-redirect", target)];
            let parts = [part("wiki", &annotations, "/", "Prefix")];
            assert_eq!(imported_all(&parts, form).expressed, 0, "{target}");
        }
    }
}

/// With the PROXY protocol, the client's address is that of the connection, and no header has it.
#[test]
fn addresses_are_read_where_the_balancer_says_them() {
    for (settings, depth) in [
        (&["use-proxy-protocol"][..], Value::Null),
        (&["use-forwarded-headers"], 1.into()),
        (
            &["use-forwarded-headers", "use-proxy-protocol"],
            Value::Null,
        ),
        (&[], Value::Null),
    ] {
        let data: serde_json::Map<String, Value> = settings
            .iter()
            .map(|key| ((*key).to_owned(), "true".into()))
            .collect();
        let controller = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "ingress-nginx-controller" }, "data": data,
        });
        let annotations = [URL, ("allowlist-source-range", "192.0.2.0/24")];
        let parts = [controller, part("wiki", &annotations, "/", "Prefix")];
        let chain = chain(&imported_all(&parts, Form::Crds).text);
        let list = &chain[0]["ipAllowList"];
        assert_eq!(list["ipStrategy"]["depth"], depth, "{settings:?}: {list}");
    }
}

#[test]
fn a_host_with_tls_is_at_the_listener_for_it() {
    let text = imported_all(&[part("wiki", &[URL], "/", "Prefix")], Form::Gateway).text;
    assert!(text.contains("the Secret apps/wiki-tls"), "{text}");
    let routes = objects(&text)
        .into_iter()
        .filter(|it| it["kind"] == "HTTPRoute");
    let sections: Vec<Value> = routes
        .map(|it| it["spec"]["parentRefs"][0]["sectionName"].clone())
        .collect();
    assert_eq!(sections, ["websecure", "websecure"]);
    for text in ["traefik", "traefik/", "a/b/", "/web", "a/b/c/d", "a//c"] {
        assert!(text.parse::<Gateway>().is_err(), "{text}");
    }
}

#[test]
fn what_nginx_served_at_http_has_a_line() {
    let annotations = [
        URL,
        ("ssl-redirect", "false"),
        ("server-alias", "b.example.com"),
    ];
    for form in ROUTES {
        let text = imported_all(&[part("wiki", &annotations, "/", "Prefix")], form).text;
        assert!(text.contains("nginx served http too"), "{text}");
        assert!(!text.contains("ingress-nginx redirected http"), "{text}");
        assert!(text.contains("server-alias: NOT taken over"), "{text}");
    }
}
