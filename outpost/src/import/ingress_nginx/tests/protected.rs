//! What nginx protected is never printed open, where nginx reads an Ingress otherwise than it looks.

use super::hosts::{imported_all, part, rules};
use super::*;

/// Returns why these are refused; each form must print nothing of them.
fn refused(parts: &[Value], forms: &[Form]) -> String {
    let mut refused = Vec::new();
    for form in forms {
        let imported = imported_all(parts, *form);
        assert_eq!(
            objects(&imported.text),
            Vec::<Value>::new(),
            "{form:?}: {parts:?}"
        );
        refused.extend(imported.refused);
    }
    assert!(!refused.is_empty(), "{parts:?}");
    refused.join("\n")
}

/// The same Ingress with this class in the field, or none.
fn of_class(mut part: Value, class: Option<&str>) -> Value {
    part["spec"]["ingressClassName"] = class.into();
    part
}

#[test]
fn a_canary_that_traefik_takes_for_an_ingress_is_refused() {
    for (flag, said) in [
        ("1", "takes `canary` for set only where it is `true`"),
        ("t", "takes `canary` for set only where it is `true`"),
        ("true\n", "neither `true` nor `false`"),
        ("yes", "neither `true` nor `false`"),
    ] {
        let parts = [
            part("wiki", &[URL], "/", "Prefix"),
            part("beta", &[("canary", flag)], "/beta", "Prefix"),
        ];
        let reasons = refused(&parts, &[Form::Annotations]);
        assert!(reasons.contains(said), "{reasons}");
    }
    let parts = [
        part("wiki", &[URL], "/", "Prefix"),
        part("beta", &[("canary", "TRUE")], "/", "Prefix"),
    ];
    assert_eq!(imported_all(&parts, Form::Annotations).expressed, 1);
}

#[test]
fn what_another_class_or_none_protects_is_not_opened() {
    let open = part("open", &[], "/", "Prefix");
    let own = part("x", &[URL], "/x", "Prefix");
    let everything = part("x", &[URL], "/", "Prefix");
    let admin = part("admin", &[URL], "/admin", "Prefix");
    let others = [
        of_class(admin.clone(), Some("nginx-internal")),
        of_class(
            part("admin", &[("auth-type", "basic")], "/admin", "Prefix"),
            Some("nginx-internal"),
        ),
        of_class(admin.clone(), None),
    ];
    for other in others {
        let reasons = refused(&[open.clone(), own.clone(), other], &FORMS);
        assert!(reasons.contains("it has this host"), "{reasons}");
    }
    // Regular expressions of another class may be those of the host.
    let regexes = part("static", &[("use-regex", "true")], "/static", "Prefix");
    let regexes = of_class(regexes, Some("nginx-internal"));
    let reasons = refused(&[open, own, regexes.clone()], &FORMS);
    assert!(reasons.contains("it has this host"), "{reasons}");
    // Another service may let in other users.
    let admins = ("auth-url", "http://x/oauth2/auth?allowed_groups=admins");
    let admins = part("admin", &[admins], "/admin", "Prefix");
    let admins = of_class(admins, Some("nginx-internal"));
    refused(&[everything.clone(), admins], &FORMS);
    // A host that asks the same service everywhere opens nothing.
    for harmless in [of_class(admin, Some("nginx-internal")), regexes] {
        let imported = imported_all(&[everything.clone(), harmless], Form::Crds);
        assert_eq!(imported.expressed, 1, "{:?}", imported.refused);
    }
}

#[test]
fn nginx_reads_the_class_in_the_field_first() {
    let own = part("x", &[URL], "/x", "Prefix");
    let annotated = [("kubernetes.io/ingress.class", "nginx")];
    let other = of_class(part("open", &annotated, "/", "Prefix"), Some("traefik"));
    let text = imported_all(&[own.clone(), other], Form::Crds).text;
    assert!(!text.contains("public: true"), "{text}");
    let annotated = [URL, ("kubernetes.io/ingress.class", "traefik")];
    let own_twice = part("x", &annotated, "/x", "Prefix");
    assert_eq!(
        imported_all(std::slice::from_ref(&own_twice), Form::Crds).expressed,
        1
    );
    let reasons = refused(&[own_twice], &[Form::Annotations]);
    assert!(reasons.contains("names two classes"), "{reasons}");
}

#[test]
fn an_open_regular_expression_is_for_no_path_more() {
    for path in ["/(.+)", "/.+", "/pub/(.+)"] {
        let kind = "ImplementationSpecific";
        let parts = [
            part("open", &[("use-regex", "true")], path, kind),
            part("root", &[URL], "/", "Prefix"),
        ];
        let reasons = refused(&parts, &FORMS);
        assert!(
            reasons.contains("cannot be said in Gatepost's rules"),
            "{reasons}"
        );
        // One that is protected may be for more.
        let parts = [
            part("own", &[URL, ("use-regex", "true")], path, kind),
            part("open", &[], "/", "Prefix"),
        ];
        assert_eq!(imported_all(&parts, Form::Crds).expressed, 1, "{path}");
    }
}

#[test]
fn a_flag_that_is_neither_yes_nor_no_is_refused() {
    for (key, value) in [
        ("use-regex", "true\n"),
        ("use-regex", " true"),
        ("enable-global-auth", "false\n"),
        ("enable-modsecurity", "on"),
        ("ssl-passthrough", "yes"),
    ] {
        let parts = [
            part("open", &[(key, value)], "/pub", "Prefix"),
            part("root", &[URL], "/", "Prefix"),
        ];
        refused(&parts, &FORMS);
    }
}

#[test]
fn a_rewriting_to_the_path_itself_is_refused() {
    for kind in ["Prefix", "Exact"] {
        let parts = [
            part("pub", &[("rewrite-target", "/public")], "/public", kind),
            part("open", &[], "/", "Prefix"),
            part("admin", &[URL], "/admin", "Exact"),
        ];
        let reasons = refused(&parts, &FORMS);
        assert!(reasons.contains("rewrite-target"), "{reasons}");
    }
}

/// Only its paths of a host make regular expressions of it.
#[test]
fn a_host_is_not_read_by_the_paths_of_another() {
    let mut two = part("open", &[("rewrite-target", "/")], "/", "Prefix");
    let mut other = two["spec"]["rules"][0].clone();
    other["host"] = "other.example.com".into();
    other["http"]["paths"][0]["path"] = "/y".into();
    two["spec"]["rules"]
        .as_array_mut()
        .expect("rules")
        .push(other);
    let parts = [two, part("admin", &[URL], "/admin", "Exact")];
    let rules = rules(&imported_all(&parts, Form::Crds).text);
    assert_eq!(rules[0]["paths"], serde_json::json!(["/admin"]));
}

#[test]
fn no_name_is_that_of_another_hosts_object() {
    let rewritten = [
        URL,
        ("rewrite-target", "/$1"),
        ("auth-response-headers", "X-Own"),
    ];
    let addresses = ("allowlist-source-range", "192.0.2.0/24");
    let mut hosts = vec!["wiki".to_owned(), "part-2.app-wiki".to_owned()];
    for middle in ["rewrite-1", "addresses-1", "remove-headers", "2"] {
        hosts.push(format!("wiki-{middle}"));
        hosts.push(format!("{middle}.wiki"));
        hosts.push(format!("{middle}.gatepost-wiki"));
    }
    let mut parts = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        let annotations = [rewritten[0], rewritten[1], rewritten[2], addresses];
        let mut part = part(&format!("p{at}"), &annotations, "/a/(.*)", "Prefix");
        part["spec"]["rules"][0]["host"] = host.as_str().into();
        let paths = part["spec"]["rules"][0]["http"]["paths"].as_array_mut();
        let paths = paths.expect("paths");
        for number in 0..20 {
            let mut path = paths[0].clone();
            path["path"] = format!("/b{number}/(.*)").into();
            paths.push(path);
        }
        parts.push(part);
    }
    // Addresses, headers, the gate, and 21 rewritten paths; the routes, of which an HTTPRoute has 16; and
    // that to the outpost.
    for (form, of_a_host) in [(Form::Crds, 24 + 1 + 1), (Form::Gateway, 24 + 2 + 1)] {
        let imported = imported_all(&parts, form);
        assert_eq!(imported.refused, Vec::<String>::new());
        let objects = objects(&imported.text);
        assert_eq!(objects.len(), hosts.len() * of_a_host);
        let names: std::collections::BTreeSet<String> = objects
            .iter()
            .map(|it| format!("{} {}", it["kind"], it["metadata"]))
            .collect();
        assert_eq!(names.len(), objects.len());
        for host in &hosts {
            let gate = objects.iter().find(|it| {
                it["kind"] == "Middleware" && it["metadata"]["name"] == format!("gatepost-{host}")
            });
            let gate = gate.expect("a gate");
            assert!(gate["spec"]["plugin"]["gatepost"].is_object(), "{gate}");
        }
    }
}

#[test]
fn the_controllers_list_of_headers_holds_beside_an_ingresss_own() {
    let controller = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "ingress-nginx-controller" },
        "data": {
            "global-auth-url": "http://x/oauth2/auth",
            "global-auth-response-headers": "X-Department",
        },
    });
    let own = part(
        "wiki",
        &[("auth-response-headers", "X-Other")],
        "/",
        "Prefix",
    );
    let text = imported_all(&[controller, own], Form::Crds).text;
    for header in ["X-Department: \"\"", "X-Other: \"\""] {
        assert!(text.contains(header), "{text}");
    }
}

#[test]
fn one_of_two_ways_in_is_refused() {
    let any = ("satisfy", "any");
    let list = ("whitelist-source-range", "192.0.2.0/24");
    let reasons = refused(&[part("wiki", &[URL, any, list], "/", "Prefix")], &FORMS);
    assert!(reasons.contains("WITHOUT asking"), "{reasons}");
    let annotations = [URL, any, ("auth-type", "basic")];
    let reasons = refused(&[part("wiki", &annotations, "/", "Prefix")], &FORMS);
    assert!(reasons.contains("WITHOUT asking"), "{reasons}");
    for annotations in [&[URL, any][..], &[URL, list, ("satisfy", "all")]] {
        let parts = [part("wiki", annotations, "/", "Prefix")];
        assert_eq!(imported_all(&parts, Form::Crds).expressed, 1);
    }
}

#[test]
fn what_makes_traefiks_rules_longer_opens_no_other_path() {
    let alias = ("server-alias", "other.example.com");
    let parts = [
        part("wiki", &[URL, alias], "/", "Prefix"),
        part("open", &[], "/open", "Prefix"),
    ];
    let reasons = refused(&parts, &[Form::Annotations]);
    assert!(reasons.contains("server-alias"), "{reasons}");
    assert_eq!(imported_all(&parts[..1], Form::Annotations).expressed, 1);
    for by in ["canary-by-header", "canary-by-cookie"] {
        let parts = [
            part("wiki", &[URL], "/", "Prefix"),
            part("open", &[], "/open", "Prefix"),
            part("beta", &[("canary", "true"), (by, "beta")], "/", "Prefix"),
        ];
        let reasons = refused(&parts, &[Form::Annotations]);
        assert!(reasons.contains(by), "{reasons}");
    }
    // Two characters of a quoted rule for a backslash: longer than what is longer to nginx.
    let kind = "ImplementationSpecific";
    let parts = [
        part("open", &[], "/public-text", kind),
        part("wiki", &[URL, ("use-regex", "true")], r"/p\.b\.i\.c", kind),
    ];
    let reasons = refused(&parts, &[Form::Annotations]);
    assert!(reasons.contains("nginx prefers"), "{reasons}");
}

#[test]
fn a_path_that_only_redirects_is_open_to_no_application() {
    let redirects = [
        ("use-regex", "true"),
        ("permanent-redirect", "https://e.org"),
    ];
    let parts = [
        part("wiki", &[URL], "/", "Prefix"),
        part("old", &redirects, "/old/(.*)", "ImplementationSpecific"),
    ];
    for form in FORMS {
        let text = imported_all(&parts, form).text;
        assert!(text.contains("applications:"), "{text}");
        for public in ["public: true", r#""public":true"#] {
            assert!(!text.contains(public), "{text}");
        }
    }
}

#[test]
fn no_other_service_answers_in_the_outposts_place() {
    for list in ["404", "404, 500,503", "401", "302", "400-499", "503"] {
        let parts = [part(
            "wiki",
            &[URL, ("custom-http-errors", list)],
            "/",
            "Prefix",
        )];
        assert_eq!(
            imported_all(&parts, Form::Annotations).expressed,
            0,
            "{list}"
        );
        assert_eq!(imported_all(&parts, Form::Crds).expressed, 1, "{list}");
    }
}

#[test]
fn an_open_host_with_a_wildcard_alias_meets_the_protected_hosts_below() {
    for (alias, is_printed) in [
        ("*.example.com", false),
        ("other.example.org,*.example.com", false),
        ("wiki.*", false),
        ("*.example.org", true),
        ("own.example.com", true),
    ] {
        let mut open = part("open", &[("server-alias", alias)], "/", "Prefix");
        open["spec"]["rules"][0]["host"] = "open.example.com".into();
        let parts = [part("wiki", &[URL], "/", "Prefix"), open];
        for form in [Form::Annotations, Form::Gateway] {
            let imported = imported_all(&parts, form);
            assert_eq!(imported.expressed == 1, is_printed, "{alias}: {imported:?}");
        }
        assert_eq!(imported_all(&parts, Form::Crds).expressed, 1, "{alias}");
    }
}

#[test]
fn what_an_ingress_tells_its_service_makes_another_group() {
    for (key, value) in [
        ("auth-proxy-set-headers", "default/admins-alone"),
        ("auth-snippet", "proxy_set_header X-Required-Role admin;"),
        ("auth-method", "POST"),
    ] {
        for form in [Form::Annotations, Form::Crds, Form::Gateway] {
            let parts = [
                part("wiki", &[URL], "/", "Prefix"),
                part("admin", &[URL, (key, value)], "/admin", "Prefix"),
            ];
            let text = imported_all(&parts, form).text;
            assert!(text.contains("CHANGE-ME-2"), "{key}: {text}");
            let line = text.lines().find(|line| line.contains("was told"));
            let line = line.unwrap_or_else(|| panic!("{key}: {text}"));
            assert!(line.contains(key), "{line}");
        }
    }
}

#[test]
fn a_path_that_the_gateway_api_refuses_is_refused() {
    for path in ["/geheim-ä", "/a b", "/a//b", "/a/../b", "/a/."] {
        for kind in ["Prefix", "Exact"] {
            let parts = [part("wiki", &[URL], path, kind)];
            let imported = imported_all(&parts, Form::Gateway);
            assert_eq!(imported.expressed, 0, "{path}: {}", imported.text);
        }
    }
    let parts = [part("wiki", &[URL], "/a!$&'()*+,;=:@-._~", "Prefix")];
    assert_eq!(imported_all(&parts, Form::Gateway).expressed, 1);
}
