use serde_json::Value;
use url::Url;

use super::*;

fn settings(form: Form, forward_auth: bool) -> Settings {
    let outpost = Url::parse("http://gatepost.gatepost.svc:9000").expect("a URL");
    Settings::new(
        form,
        &["nginx".to_owned()],
        outpost,
        forward_auth,
        gateway(),
    )
    .expect("settings")
}

fn gateway() -> Gateway {
    "traefik/web/websecure".parse().expect("a Gateway")
}

fn read(text: &str) -> Result<Documents, Vec<String>> {
    let input = Input {
        name: "cluster.yaml".to_owned(),
        text: text.to_owned(),
    };
    let config_map = match text.contains("ConfigMap") {
        true => ConfigMap::Expected,
        false => ConfigMap::None,
    };
    Documents::read(&[input], &config_map)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn imported(text: &str, form: Form) -> Imported {
    let documents = read(text).expect("documents");
    import(&documents, &settings(form, false)).expect("YAML")
}

/// An Ingress with these lines of annotations, for this path.
fn ingress(annotations: &[(&str, &str)], path: &str) -> String {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(key, value)| {
            let prefix = if key.contains('/') {
                ""
            } else {
                "nginx.ingress.kubernetes.io/"
            };
            (format!("{prefix}{key}"), (*value).into())
        })
        .collect();
    serde_json::json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "wiki", "namespace": "apps", "annotations": annotations },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{ "hosts": ["wiki.example.com"], "secretName": "wiki-tls" }],
            "rules": [{ "host": "wiki.example.com", "http": { "paths": [{
                "path": path,
                "pathType": "Prefix",
                "backend": { "service": { "name": "wiki", "port": { "number": 80 } } },
            }] } }],
        },
    })
    .to_string()
}

const URL: (&str, &str) = ("auth-url", "http://oauth2-proxy.auth.svc:4180/oauth2/auth");
const FORMS: [Form; 3] = [Form::Annotations, Form::Crds, Form::Gateway];

fn objects(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    objects.into_iter().filter(|it| !it.is_null()).collect()
}

/// Checks that every route to an application has Gatepost's Middleware, or the annotation.
fn assert_protected(text: &str) {
    for object in objects(text) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let is_outposts = object["metadata"]["namespace"] == "gatepost";
        match object["kind"].as_str() {
            Some("Middleware") => {}
            _ if is_outposts => {
                let backend = object.to_string();
                assert!(!backend.contains(r#""name":"wiki""#), "{backend}");
            }
            Some("Ingress") => {
                let annotations = &object["metadata"]["annotations"];
                assert_eq!(
                    annotations["nginx.ingress.kubernetes.io/auth-url"],
                    "http://gatepost.gatepost.svc:9000/akprox/auth/traefik",
                    "{name}"
                );
            }
            Some("IngressRoute") => {
                for route in object["spec"]["routes"].as_array().expect("routes") {
                    let names = route["middlewares"].to_string();
                    assert!(names.contains("gatepost-wiki.example.com"), "{route}");
                }
            }
            Some("HTTPRoute") => {
                for rule in object["spec"]["rules"].as_array().expect("rules") {
                    let names = rule["filters"].to_string();
                    assert!(names.contains("gatepost-wiki.example.com"), "{rule}");
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_route_that_is_printed_is_protected() {
    let text = ingress(&[URL], "/");
    for form in FORMS {
        for forward_auth in [false, true] {
            let documents = read(&text).expect("documents");
            let imported = import(&documents, &settings(form, forward_auth)).expect("YAML");
            assert_eq!((imported.expressed, imported.refused.len()), (1, 0));
            assert_protected(&imported.text);
            assert!(imported.text.contains("CHANGE-ME"), "{}", imported.text);
        }
    }
}

#[test]
fn what_cannot_be_expressed_is_a_comment_and_no_object() {
    let every: [&[(&str, &str)]; 10] = [
        &[("auth-url", " ")],
        &[URL, ("configuration-snippet", "auth_request off;")],
        &[URL, ("auth-snippet", "return 403;")],
        &[URL, ("server-snippet", "location /x { return 200; }")],
        &[URL, ("denylist-source-range", "10.0.0.0/8")],
        &[URL, ("enable-modsecurity", "true")],
        &[URL, ("auth-tls-match-cn", "CN=x")],
        &[URL, ("ssl-passthrough", "true")],
        &[("auth-type", "basic"), ("auth-secret", "wiki-users")],
        &[("ingress.kubernetes.io/auth-url", "http://x/oauth2/auth")],
    ];
    let not_by_routes: [&[(&str, &str)]; 4] = [
        &[URL, ("auth-type", "basic"), ("auth-secret", "wiki-users")],
        &[URL, ("auth-tls-secret", "apps/ca")],
        &[URL, ("canary", "true")],
        &[URL, ("backend-protocol", "FCGI")],
    ];
    for form in FORMS {
        let further = if form == Form::Annotations {
            &[][..]
        } else {
            &not_by_routes
        };
        for annotations in every.iter().chain(further) {
            let imported = imported(&ingress(annotations, "/"), form);
            assert_eq!(imported.expressed, 0, "{annotations:?}");
            assert_eq!(imported.refused.len(), 1, "{annotations:?}");
            assert_eq!(
                objects(&imported.text),
                Vec::<Value>::new(),
                "{annotations:?}"
            );
            assert!(
                imported.text.contains("PROTECTED, AND NOT PART"),
                "{annotations:?}"
            );
        }
        for path in ["/a`) || Path(`/", "no-slash", "/a\nb"] {
            let imported = imported(&ingress(&[URL], path), form);
            assert_eq!(objects(&imported.text), Vec::<Value>::new(), "{path}");
        }
    }
    for annotations in not_by_routes {
        assert_protected(&imported(&ingress(annotations, "/"), Form::Annotations).text);
    }
}

#[test]
fn a_host_is_one_name() {
    let text = ingress(&[URL], "/");
    for (host, said) in [
        ("*.example.com", "mode: domain"),
        ("", "without a host"),
        ("wiki.example.com`) || Host(`x", "not a host name"),
    ] {
        let text = text.replace(
            r#""host":"wiki.example.com""#,
            &format!(r#""host":"{host}""#),
        );
        for form in FORMS {
            let imported = imported(&text, form);
            assert!(imported.refused[0].contains(said), "{:?}", imported.refused);
            assert_eq!(objects(&imported.text), Vec::<Value>::new(), "{host}");
        }
    }
}

#[test]
fn global_authentication_protects_what_does_not_say_no() {
    let controller = r#"{"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ingress-nginx-controller"},
        "data": {"global-auth-url": "http://authelia.auth.svc/api/authz/auth-request"}}"#;
    for (annotations, expressed, refused, said) in [
        (&[][..], 1, 0, "was Authelia"),
        (&[("enable-global-auth", "true")], 1, 0, "was Authelia"),
        (
            &[("enable-global-auth", "no idea")],
            0,
            1,
            "neither `true` nor `false`",
        ),
        (
            &[("enable-global-auth", "false")],
            0,
            0,
            "open: nothing protects wiki.example.com",
        ),
        (
            &[("enable-global-auth", "false"), URL],
            1,
            0,
            "was oauth2-proxy",
        ),
    ] {
        let text = format!("{controller}\n---\n{}", ingress(annotations, "/"));
        let imported = imported(&text, Form::Crds);
        assert_eq!(
            (imported.expressed, imported.refused.len()),
            (expressed, refused)
        );
        assert!(imported.text.contains(said), "{}", imported.text);
        assert_protected(&imported.text);
    }
    // Without the ConfigMap it is not known what protects it.
    let input = Input {
        name: "cluster.yaml".to_owned(),
        text: ingress(&[], "/"),
    };
    let errors = Documents::read(&[input], &ConfigMap::Expected).expect_err("no ConfigMap");
    assert_eq!(errors, [ImportError::NoConfigMap]);
    let open = imported(&ingress(&[], "/"), Form::Crds);
    assert_eq!((open.expressed, open.refused.len()), (0, 0));
    assert!(open.text.contains("open: nothing"), "{}", open.text);
}

#[test]
fn the_service_in_use_is_recognised_and_its_secrets_are_not_shown() {
    for (url, name) in [
        (
            "http://a.b.svc/oauth2/auth?allowed_groups=staff",
            "oauth2-proxy",
        ),
        ("https://$host/oauth2/auth", "oauth2-proxy"),
        ("http://authelia/api/verify?rd=x", "Authelia"),
        (
            "http://ak-outpost:9000/outpost.goauthentik.io/auth/nginx",
            "authentik",
        ),
        ("https://vouch.example.com/validate", "Vouch"),
        (
            "http://gatepost.gatepost.svc:9000/akprox/auth?nginx",
            "Gatepost",
        ),
        ("http://name:hush@own.svc/check?token=hush", "does not know"),
    ] {
        let imported = imported(&ingress(&[("auth-url", url)], "/"), Form::Crds);
        let was = imported
            .text
            .lines()
            .find(|line| line.contains("auth-url: was"));
        assert!(
            was.is_some_and(|line| line.contains(name)),
            "{url}: {was:?}"
        );
        assert!(!imported.text.contains("hush"), "{}", imported.text);
    }
    let groups = ingress(
        &[("auth-url", "http://x/oauth2/auth?allowed_groups=staff")],
        "/",
    );
    let text = imported(&groups, Form::Crds).text;
    assert!(text.contains("`allowed_groups=staff`"), "{text}");
}

#[test]
fn what_clients_send_in_a_header_of_the_old_service_is_removed() {
    let text = ingress(
        &[
            URL,
            (
                "auth-response-headers",
                "X-Auth-Request-User, X-Vouch-User,Authorization",
            ),
        ],
        "/",
    );
    let plugin = imported(&text, Form::Crds).text;
    assert!(plugin.contains("X-Vouch-User: \"\""), "{plugin}");
    assert!(plugin.contains("Authorization: \"\""), "{plugin}");
    assert!(!plugin.contains("X-Auth-Request-User: "), "{plugin}");
    let annotations = imported(&text, Form::Annotations).text;
    let listed = annotations
        .lines()
        .find(|line| line.contains("X-Auth-Username,"));
    assert!(
        listed.is_some_and(|line| line.contains("X-Vouch-User")),
        "{annotations}"
    );
}

#[test]
fn a_comment_ends_at_no_line_of_the_input() {
    let url = "http://x/oauth2/auth?a\n---\nkind: Secret";
    let imported = imported(
        &ingress(&[("auth-url", url), ("x\ny: z", "1")], "/"),
        Form::Crds,
    );
    let kinds: Vec<Value> = objects(&imported.text)
        .iter()
        .map(|object| object["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["Middleware", "Middleware", "IngressRoute", "IngressRoute"]
    );
}

#[test]
fn paths_are_matched_as_before() {
    for (annotations, path, rule) in [
        (&[URL][..], "/", "PathPrefix(`/`)"),
        (&[URL], "/a/", "(Path(`/a`) || PathPrefix(`/a/`))"),
        (
            &[URL, ("use-regex", "true")],
            "/a/.*",
            "PathRegexp(`(?i)^/a/.*`)",
        ),
        (
            &[URL, ("rewrite-target", "/$1")],
            "/a/(.*)",
            "PathRegexp(`(?i)^/a/(.*)`)",
        ),
    ] {
        let text = imported(&ingress(annotations, path), Form::Crds).text;
        let routes = objects(&text);
        let route = routes
            .iter()
            .find(|it| it["kind"] == "IngressRoute")
            .expect("a route");
        let expected = format!("Host(`wiki.example.com`) && {rule}");
        assert_eq!(route["spec"]["routes"][0]["match"], expected);
        assert_eq!(route["spec"]["tls"]["secretName"], "wiki-tls");
        assert_eq!(route["spec"]["entryPoints"][0], "websecure");
    }
}

#[test]
fn lists_and_other_objects() {
    let item = ingress(&[URL], "/");
    let own: Value = serde_json::from_str(&item).expect("JSON");
    let bare = serde_json::json!({ "metadata": own["metadata"], "spec": own["spec"] });
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": [own] });
    let typed = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressList", "items": [bare],
    });
    for text in [item.clone(), list.to_string(), typed.to_string()] {
        assert_eq!(imported(&text, Form::Crds).expressed, 1, "{text}");
    }
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: x}, data: {auth: aHVzaA==}}";
    let text = imported(&format!("{secret}\n---\n{item}"), Form::Crds).text;
    assert!(!text.contains("aHVzaA"), "{text}");
    assert!(text.contains("1 of kind Secret"), "{text}");
}

#[test]
fn a_mistake_is_named_with_its_place_and_without_the_lines_around() {
    let cases = [
        ("kind: [\npassword: hush", "cluster.yaml: "),
        ("- 1", "document 1: not an object"),
        ("a: b", "document 1: it has no `kind`"),
        ("{kind: List}", "document 1: a list without `items`"),
        (
            "{kind: List, items: [{apiVersion: networking.k8s.io/v1, kind: Ingress}]}",
            "document 1, item 1: an Ingress without `metadata`",
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: w, annotations: {a: true}}}",
            "`w`: the annotation `a` is not a text: quote it",
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: w}, spec: {rules: [{http: {paths: [{path: /}]}}]}}",
            "`w`: `spec`: missing field `pathType`",
        ),
        (
            "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: w}}",
            "an old form of Ingress",
        ),
    ];
    for (text, said) in cases {
        let errors = read(text).expect_err(text);
        assert!(errors[0].contains(said), "{errors:?}");
        assert!(!errors.concat().contains("hush"), "{errors:?}");
    }
}

mod annotations;
mod hosts;
mod protected;
mod requests;

/// Where Traefik asks the outpost, no plugin removes what clients may not say.
#[test]
fn no_client_names_the_user_where_traefik_asks_the_outpost() {
    let documents = read(&ingress(&[URL], "/")).expect("documents");
    for form in [Form::Crds, Form::Gateway] {
        let imported = import(&documents, &settings(form, true)).expect("YAML");
        let objects = objects(&imported.text);
        let mut asking = objects.iter().map(|it| &it["spec"]["forwardAuth"]);
        let asks = asking.find(|it| it.is_object()).expect("a Middleware");
        let pattern = asks["authResponseHeadersRegex"]
            .as_str()
            .expect("a pattern");
        let pattern = regex::Regex::new(pattern).expect("a pattern");
        for name in [
            "X-Webauth-Role",
            "X_Vouch_User",
            "Remote-User",
            "X-Auth-Username",
        ] {
            assert!(pattern.is_match(name), "{name}");
        }
        assert!(!pattern.is_match("Accept"));
    }
}
