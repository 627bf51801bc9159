//! What an application gets of a request, and a client of an answer, besides the decision.

use super::hosts::{imported_all, part};
use super::*;

const ROUTES: [Form; 2] = [Form::Crds, Form::Gateway];

/// Returns the Middlewares of the only route of a host, in their order.
fn chain(text: &str) -> Vec<Value> {
    let objects = objects(text);
    let is_apps = |it: &&Value| it["metadata"]["name"] == "app-wiki.example.com";
    let route = objects.iter().find(is_apps).expect("a route");
    let routes = if route["kind"] == "HTTPRoute" {
        "rules"
    } else {
        "routes"
    };
    let route = &route["spec"][routes][0];
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
        let expected = serde_json::json!({
            "Proxy": "",
            "X-Forwarded-Scheme": "https",
            "X-Original-Forwarded-For": "",
            "X-Original-Forwarded-Host": "",
            "X-Original-URI": "",
            "X-Scheme": "https",
        });
        assert_eq!(*headers, expected);
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
    let annotations = [URL, ("ssl-redirect", "false")];
    for form in ROUTES {
        let text = imported_all(&[part("wiki", &annotations, "/", "Prefix")], form).text;
        assert!(text.contains("nginx served http too"), "{text}");
        assert!(!text.contains("ingress-nginx redirected http"), "{text}");
    }
}

#[test]
fn the_front_page_redirects_before_all_else() {
    for form in ROUTES {
        let app = ("app-root", "/start");
        let list = ("allowlist-source-range", "192.0.2.0/24");
        let text = imported_all(&[part("wiki", &[URL, app, list], "/", "Prefix")], form).text;
        let redirect = &chain(&text)[0]["redirectRegex"];
        assert_eq!(redirect["replacement"], "${1}/start");
        // No other path is `/`.
        let text = imported_all(&[part("wiki", &[URL, app], "/wiki", "Prefix")], form).text;
        assert!(!text.contains("redirectRegex"), "{text}");
        for path in ["start", "/$1", "/a b", "https://elsewhere.example"] {
            let parts = [part("wiki", &[URL, ("app-root", path)], "/", "Prefix")];
            assert_eq!(imported_all(&parts, form).expressed, 0, "{path}");
        }
    }
}

#[test]
fn the_application_gets_the_prefix_of_a_rewritten_path_alone() {
    let prefix = ("x-forwarded-prefix", "/wiki");
    for form in ROUTES {
        let target = ("rewrite-target", "/$1");
        let parts = [part("wiki", &[URL, prefix, target], "/wiki/(.*)", "Prefix")];
        let chain = chain(&imported_all(&parts, form).text);
        assert!(is_gate(&chain[1]), "{chain:?}");
        let headers = &chain[3]["headers"]["customRequestHeaders"];
        assert_eq!(headers["X-Forwarded-Prefix"], "/wiki");
        let text = imported_all(&[part("wiki", &[URL, prefix], "/", "Prefix")], form).text;
        assert!(!text.contains("X-Forwarded-Prefix: /wiki"), "{text}");
        let group = ("x-forwarded-prefix", "/$1");
        let parts = [part("wiki", &[URL, group, target], "/wiki/(.*)", "Prefix")];
        assert_eq!(imported_all(&parts, form).expressed, 0);
    }
}

#[test]
fn a_service_shows_the_certificate_that_nginx_asked_for() {
    let https = ("backend-protocol", "HTTPS");
    let secret = ("proxy-ssl-secret", "apps/upstream");
    let name = ("proxy-ssl-name", "upstream.apps.svc");
    let verify = ("proxy-ssl-verify", "on");
    let transport = |annotations: &[(&str, &str)]| -> Value {
        let parts = [part("wiki", annotations, "/", "Prefix")];
        let text = imported_all(&parts, Form::Crds).text;
        let mut all = objects(&text).into_iter();
        let transport = all.find(|it| it["kind"] == "ServersTransport");
        let transport = transport.unwrap_or_else(|| panic!("none in {text}"));
        let used = format!(
            "serversTransport: {}",
            transport["metadata"]["name"].as_str().expect("a name")
        );
        assert!(text.contains(&used), "{used}: {text}");
        transport["spec"].clone()
    };
    assert_eq!(
        transport(&[URL, https, secret, name, verify]),
        serde_json::json!({
            "certificatesSecrets": ["upstream"],
            "rootCAs": [{ "secret": "upstream" }],
            "serverName": "upstream.apps.svc",
        })
    );
    assert_eq!(
        transport(&[URL, https, secret]),
        serde_json::json!({ "certificatesSecrets": ["upstream"], "insecureSkipVerify": true })
    );
    // Without the Secret, nginx reads none of the others.
    let unverified = serde_json::json!({ "insecureSkipVerify": true });
    assert_eq!(transport(&[URL, https, name, verify]), unverified);
    for annotations in [
        &[URL, https, secret, verify][..],
        &[URL, https, ("proxy-ssl-secret", "others/upstream")],
        &[URL, https, ("proxy-ssl-secret", "upstream")],
    ] {
        let parts = [part("wiki", annotations, "/", "Prefix")];
        assert_eq!(
            imported_all(&parts, Form::Crds).expressed,
            0,
            "{annotations:?}"
        );
    }
    let parts = [
        part("wiki", &[URL, https, secret, name, verify], "/", "Prefix"),
        part("other", &[URL, https], "/other", "Prefix"),
    ];
    let refused = imported_all(&parts, Form::Crds).refused.join("\n");
    assert!(refused.contains("differ in `proxy-ssl-"), "{refused}");
}

#[test]
fn an_alias_is_a_host_like_the_other() {
    let alias = (
        "server-alias",
        "b.example.com, c.example.com,~^d,b.example.com",
    );
    let parts = [
        part("wiki", &[URL, alias], "/", "Prefix"),
        part("open", &[], "/open", "Prefix"),
    ];
    let mut other = part("other", &[], "/", "Prefix");
    other["spec"]["rules"][0]["host"] = "c.example.com".into();
    for form in ROUTES {
        let all = [&parts[..], std::slice::from_ref(&other)].concat();
        let imported = imported_all(&all, form);
        assert_eq!((imported.expressed, imported.refused.len()), (2, 0));
        let text = imported.text;
        for name in ["app-b.example.com", "gatepost-b.example.com"] {
            assert!(
                objects(&text)
                    .iter()
                    .any(|it| it["metadata"]["name"] == name),
                "{name}: {text}"
            );
        }
        assert!(text.contains("#   - name: b.example.com"), "{text}");
        for (name, reason) in [
            ("c.example.com", "is a host of"),
            ("~^d", "is not the name"),
        ] {
            assert!(
                text.contains(&format!("server-alias: NOT taken over: `{name}` {reason}")),
                "{text}"
            );
            assert!(!text.contains(&format!("app-{name}")), "{text}");
        }
    }
}
