//! Several Ingresses on one host: it is printed wholly, behind Gatepost, or refused wholly.

use super::*;

/// An Ingress of `wiki.example.com` with this name, annotations, path and its type.
pub(super) fn part(name: &str, annotations: &[(&str, &str)], path: &str, kind: &str) -> Value {
    let mut object: Value = serde_json::from_str(&ingress(annotations, path)).expect("JSON");
    object["metadata"]["name"] = name.into();
    object["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = kind.into();
    object
}

pub(super) fn imported_all(parts: &[Value], form: Form) -> Imported {
    let text: Vec<String> = parts.iter().map(Value::to_string).collect();
    imported(&text.join("\n---\n"), form)
}

/// Returns the rules of the plugin.
pub(super) fn rules(text: &str) -> Value {
    let objects = objects(text);
    let mut plugins = objects.iter().map(|it| &it["spec"]["plugin"]["gatepost"]);
    let plugin = plugins.find(|it| it.is_object()).expect("a plugin");
    plugin["rules"].clone()
}

/// Returns the matches of the application's routes, from the first that is asked to the last.
fn matches(text: &str) -> Vec<String> {
    let mut routes = Vec::new();
    for object in objects(text) {
        if object["kind"] == "IngressRoute" && object["metadata"]["namespace"] != "gatepost" {
            routes.extend(object["spec"]["routes"].as_array().expect("routes").clone());
        }
    }
    routes.sort_by_key(|route| std::cmp::Reverse(route["priority"].as_u64()));
    let rule = |route: &Value| route["match"].as_str().expect("a rule").to_owned();
    routes.iter().map(rule).collect()
}

#[test]
fn an_open_path_is_behind_gatepost_and_named() {
    let parts = [
        part("wiki", &[URL], "/", "Prefix"),
        part("public", &[], "/public", "Prefix"),
    ];
    for form in FORMS {
        let imported = imported_all(&parts, form);
        assert_eq!((imported.expressed, imported.refused.len()), (1, 0));
        assert_protected(&imported.text);
        let rule = r#"{"paths":["/public","/public/*"],"public":true}"#;
        assert!(imported.text.contains(rule), "{}", imported.text);
    }
    let text = imported_all(&parts, Form::Crds).text;
    assert_eq!(rules(&text)[0]["public"], true);
}

#[test]
fn what_is_open_around_a_protected_path_leaves_it_protected() {
    for (path, kind, protected) in [
        ("/api/admin", "Exact", vec!["/api/admin"]),
        ("/admin", "Prefix", vec!["/admin", "/admin/*"]),
        (
            "/admin",
            "ImplementationSpecific",
            vec!["/admin*", "/admin*/*"],
        ),
    ] {
        let parts = [
            part("open", &[], "/", "Prefix"),
            part("admin", &[URL], path, kind),
        ];
        for form in FORMS {
            let imported = imported_all(&parts, form);
            assert_eq!(imported.refused, Vec::<String>::new(), "{path}");
            assert_protected(&imported.text);
        }
        let text = imported_all(&parts, Form::Crds).text;
        let expected = serde_json::json!([
            { "paths": protected, "require": { "groups": ["CHANGE-ME"] } },
            { "paths": ["/*"], "public": true },
        ]);
        assert_eq!(rules(&text), expected, "{path}");
    }
}

#[test]
fn traefik_chooses_as_nginx_does_or_the_host_is_refused() {
    let parts = [
        part("api", &[URL], "/api", "Prefix"),
        part("admin", &[URL], "/api/admin", "Exact"),
    ];
    let crds = matches(&imported_all(&parts, Form::Crds).text);
    assert!(crds[0].ends_with("Path(`/api/admin`)"), "{crds:?}");
    let annotations = imported_all(&parts, Form::Annotations);
    assert_eq!(objects(&annotations.text), Vec::<Value>::new());
    assert!(
        annotations.refused[0].contains("nginx prefers"),
        "{:?}",
        annotations.refused
    );
    // A regular expression makes all of them so.
    let parts = [
        part(
            "open",
            &[("use-regex", "1")],
            "/static/.*",
            "ImplementationSpecific",
        ),
        part("admin", &[URL], "/admin", "Exact"),
    ];
    let text = imported_all(&parts, Form::Crds).text;
    let crds = matches(&text);
    assert!(crds[1].ends_with("PathRegexp(`(?i)^/admin`)"), "{crds:?}");
    assert_eq!(rules(&text)[0]["paths"], serde_json::json!(["/static/*"]));
    let refused = imported_all(&parts, Form::Annotations).refused;
    assert!(refused[0].contains("regular expression"), "{refused:?}");
}

#[test]
fn another_service_has_a_group_of_its_own() {
    let admins: (&str, &str) = ("auth-url", "http://x/oauth2/auth?allowed_groups=admins");
    let parts = [
        part(
            "wiki",
            &[URL, ("auth-response-headers", "X-Vouch-User")],
            "/",
            "Prefix",
        ),
        part(
            "api",
            &[admins, ("auth-response-headers", "X-Department")],
            "/api",
            "Prefix",
        ),
    ];
    let text = imported_all(&parts, Form::Crds).text;
    let expected = serde_json::json!([
        { "paths": ["/api", "/api/*"], "require": { "groups": ["CHANGE-ME-2"] } },
    ]);
    assert_eq!(rules(&text), expected);
    assert!(
        text.contains("CHANGE-ME-2 what the address said: `allowed_groups=admins`"),
        "{text}"
    );
    for header in ["X-Vouch-User: \"\"", "X-Department: \"\""] {
        assert!(text.contains(header), "{text}");
    }
}

#[test]
fn a_host_with_a_part_that_is_refused_is_refused() {
    let protective: [(&str, &str); 8] = [
        ("configuration-snippet", "auth_request off;"),
        ("auth-snippet", "if ($http_x_team = \"\") { return 403; }"),
        (
            "auth-snippet",
            "proxy_set_header X-Team a;\ndeny 10.0.0.0/8;",
        ),
        ("denylist-source-range", "10.0.0.0/8"),
        ("auth-tls-secret", "apps/ca"),
        ("enable-owasp-core-rules", "true"),
        ("auth-type", "basic"),
        ("other.prefix/auth-url", "http://x/oauth2/auth"),
    ];
    for form in FORMS {
        for annotation in protective {
            let parts = [
                part("wiki", &[URL], "/", "Prefix"),
                part("admin", &[annotation], "/admin", "Prefix"),
            ];
            let imported = imported_all(&parts, form);
            assert_eq!(imported.expressed, 0, "{annotation:?}");
            assert!(
                imported.refused[0].contains("apps/admin"),
                "{:?}",
                imported.refused
            );
            // And alone, it is not open.
            let imported = imported_all(&parts[1..], form);
            assert_eq!(imported.refused.len(), 1, "{annotation:?}");
        }
        let twice = [
            part("wiki", &[URL], "/", "Prefix"),
            part("other", &[], "/", "Prefix"),
        ];
        assert_eq!(imported_all(&twice, form).expressed, 0);
        let unreadable = [part(
            "wiki",
            &[URL, ("use-regex", "true")],
            "/(?!public).*",
            "Prefix",
        )];
        assert_eq!(imported_all(&unreadable, form).expressed, 0);
    }
    for key in ["rewrite-target", "upstream-vhost"] {
        let parts = [part("wiki", &[URL, (key, "/x")], "/", "Prefix")];
        assert_eq!(
            imported_all(&parts, Form::Annotations).expressed,
            0,
            "{key}"
        );
    }
}

#[test]
fn addresses_stay_with_their_paths() {
    let parts = [
        part("wiki", &[URL], "/", "Prefix"),
        part(
            "admin",
            &[
                URL,
                ("allowlist-source-range", "192.0.2.0/24"),
                ("whitelist-source-range", "0.0.0.0/0"),
            ],
            "/admin",
            "Prefix",
        ),
    ];
    let text = imported_all(&parts, Form::Crds).text;
    assert!(
        text.contains("192.0.2.0/24") && !text.contains("0.0.0.0/0"),
        "{text}"
    );
    // nginx decodes before it chooses a path.
    for rule in matches(&text) {
        assert!(rule.ends_with("&& !PathRegexp(`%`)"), "{rule}");
    }
    for form in [Form::Annotations, Form::Gateway] {
        assert_eq!(imported_all(&parts, form).expressed, 0);
    }
    let only = [part(
        "wiki",
        &[("whitelist-source-range", "192.0.2.0/24")],
        "/",
        "Prefix",
    )];
    for form in FORMS {
        assert_eq!(imported_all(&only, form).refused.len(), 1);
    }
}

#[test]
fn the_controllers_own_protection_is_never_left_out() {
    for setting in ["block-cidrs", "server-snippet", "enable-modsecurity"] {
        let controller = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "ingress-nginx-controller" }, "data": { (setting): "true" },
        });
        let imported = imported_all(
            &[controller, part("wiki", &[URL], "/", "Prefix")],
            Form::Crds,
        );
        assert_eq!(
            (imported.expressed, imported.refused.len()),
            (0, 1),
            "{setting}"
        );
    }
}

#[test]
fn other_classes_are_skipped() {
    let mut other = part("wiki", &[URL], "/", "Prefix");
    other["spec"]["ingressClassName"] = "traefik".into();
    let skipped = imported_all(&[other.clone()], Form::Crds);
    assert_eq!((skipped.expressed, skipped.refused.len()), (0, 0));
    let own = part("own", &[URL], "/own", "Prefix");
    assert_eq!(
        imported_all(&[own.clone(), other.clone()], Form::Crds).expressed,
        1
    );
    assert_eq!(
        imported_all(&[own, other.clone()], Form::Annotations).expressed,
        0
    );
    other["spec"]["ingressClassName"] = Value::Null;
    assert_eq!(imported_all(&[other], Form::Crds).refused.len(), 1);
}

#[test]
fn what_is_rewritten_is_rewritten_after_the_decision() {
    let annotations = [URL, ("rewrite-target", "/$2"), ("use-regex", "true")];
    let parts = [part(
        "wiki",
        &annotations,
        "/app(/|$)(.*)",
        "ImplementationSpecific",
    )];
    let text = imported_all(&parts, Form::Crds).text;
    let route = objects(&text)
        .into_iter()
        .find(|it| it["kind"] == "IngressRoute")
        .expect("a route");
    let names = route["spec"]["routes"][0]["middlewares"]
        .as_array()
        .expect("names")
        .clone();
    let names: Vec<&str> = names.iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "remove-headers.gatepost-wiki.example.com",
            "gatepost-wiki.example.com",
            "rewrite-1.gatepost-wiki.example.com"
        ]
    );
    assert!(text.contains("/${2}"), "{text}");
}

#[test]
fn the_outposts_address_has_no_secret() {
    for url in [
        "https://gatepost.gatepost.svc:9443",
        "http://a:b@gatepost.gatepost.svc:9000",
    ] {
        let url = Url::parse(url).expect("a URL");
        let refusal = Settings::new(Form::Crds, &[], url, false, gateway());
        assert!(refusal.is_err_and(|reason| !reason.contains("a:b")));
    }
}

#[test]
fn several_classes_of_one_controller_are_one_import() {
    let class = |name: &str, controller: &str| {
        serde_json::json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": { "name": name }, "spec": { "controller": controller },
        })
    };
    let mut admin = part("admin", &[URL], "/admin", "Prefix");
    admin["spec"]["ingressClassName"] = "internal".into();
    let imported = |other: &str, form: Form| {
        let parts = [
            part("wiki", &[], "/", "Prefix"),
            admin.clone(),
            class("nginx", "k8s.io/ingress-nginx"),
            class("internal", other),
        ];
        let text: Vec<String> = parts.iter().map(Value::to_string).collect();
        let documents = read(&text.join("\n---\n")).expect("documents");
        let mut settings = settings(form, false);
        settings.classes.push("internal".to_owned());
        import(&documents, &settings).expect("YAML")
    };
    for form in FORMS {
        let one = imported("k8s.io/ingress-nginx", form);
        assert_eq!(
            (one.expressed, one.refused.len()),
            (1, 0),
            "{:?}",
            one.refused
        );
        assert_protected(&one.text);
        let says = one.text.contains("of the classes internal, nginx");
        assert_eq!(says, form == Form::Annotations, "{}", one.text);
        // Another controller's settings may protect what these leave open.
        let two = imported("example.com/other", form);
        assert_eq!(two.expressed, 0, "{}", two.text);
        assert!(
            two.refused[0].contains("two controllers"),
            "{:?}",
            two.refused
        );
    }
}
