//! What Traefik gets.

use super::*;
use crate::config::Config;
use crate::export::tests::served;
use gatepost_policy::config::{self, Fields, Problems};

const BASE: &str = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g, clientSecret: hush}]
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki:8080
    public: [/healthz, '/static/*']
    require: {groups: [staff]}
  - name: intranet
    mode: domain
    externalUrl: https://auth.example.org
    cookieDomain: example.org
    upstreams: {chat.example.org: 'http://chat:80', git.example.org: 'http://git:3000'}
  - {name: elsewhere, externalUrl: 'https://other.example.com'}
";

fn configuration(traefik: &str) -> Value {
    configuration_of(&format!("{BASE}\n{traefik}"))
}

fn configuration_of(text: &str) -> Value {
    let config = Config::parse(text, []).expect("right");
    let served = || served(&config).to_string();
    let text = served();
    assert!(
        !text.contains("hush") && !text.contains("QkNERUZ"),
        "{text}"
    );
    assert_eq!(served(), text, "stable");
    serde_json::from_str(&text).expect("JSON")
}

/// Rules see the client's address as the outpost does.
#[test]
fn what_the_outpost_takes_for_a_proxy_is_no_client_to_the_plugin() {
    let rules = "rules: [{paths: ['/hook/*'], networks: [203.0.113.0/24], public: true}]";
    let plugin = "plugin: gatepost, pluginKeysFile: /keys/k";
    for (rules, proxies, expected) in [
        (rules, "[203.0.113.7, 10.1.2.3/8]", Some("203.0.113.7/32")),
        (rules, "['::ffff:203.0.113.0/120']", Some("203.0.113.0/24")),
        (rules, "['2001:db8::/32']", Some("2001:db8::/32")),
        // The plugin knows these by itself.
        (rules, "[10.1.2.0/24, '::1', 127.0.0.1]", None),
        (rules, "[]", None),
        ("public: [/x]", "[203.0.113.7]", None),
    ] {
        let text = BASE.replace("public: [/healthz, '/static/*']", rules);
        let traefik = format!("{{outpostUrl: 'http://outpost:9000', {plugin}}}");
        let text = format!("{text}\ntrustedProxies: {proxies}\ntraefik: {traefik}");
        let http = &configuration_of(&text)["http"];
        let settings = &http["middlewares"]["gatepost-wiki"]["plugin"]["gatepost"];
        let networks: Option<Vec<&str>> = settings["trustedProxies"]
            .as_array()
            .map(|all| all.iter().filter_map(Value::as_str).collect());
        match expected {
            None => assert_eq!(networks, None, "{proxies}"),
            Some(own) => {
                let networks = networks.expect(proxies);
                assert!(networks.contains(&own), "{networks:?}");
                // None of those is lost that the plugin has without the key.
                let inner = INNER_NETWORKS.split(',');
                assert!(inner.into_iter().all(|inner| networks.contains(&inner)));
            }
        }
    }
}

/// The chart has no other way to know it.
#[test]
fn the_chart_writes_as_many_rules_as_a_list_as_the_plugin_takes_and_its_inner_networks() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/helm/gatepost/templates"
    );
    let file = format!("{folder}/traefik.yaml");
    let template = std::fs::read_to_string(file).expect("the template");
    let line = format!("(gt (len $settings.rules) {MOST_RULES_IN_A_LIST})");
    assert_eq!(template.matches(&line).count(), 1, "{template}");
    assert_eq!(template.matches("(len $settings.rules)").count(), 1);
    let inner = format!("splitList \",\" \"{INNER_NETWORKS}\"");
    assert_eq!(template.matches(&inner).count(), 1, "{template}");
}

#[test]
fn every_upstream_has_a_router_behind_the_plugin_and_one_for_the_outpost() {
    let http = &configuration(
        "traefik: {outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginKeysFile: /keys/k, \
             entryPoints: [websecure], certResolver: le}",
    )["http"];
    let tls = json!({"certResolver": "le"});
    assert_eq!(
        http["routers"]["gatepost-wiki"],
        json!({
            "rule": "Host(`wiki.example.com`)", "service": "gatepost-wiki",
            "middlewares": ["gatepost-wiki"], "entryPoints": ["websecure"], "tls": tls,
        })
    );
    assert_eq!(
        http["routers"]["gatepost-wiki-outpost"],
        json!({
            "rule": "Host(`wiki.example.com`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
            "service": "gatepost-outpost", "entryPoints": ["websecure"], "tls": tls,
        })
    );
    assert_eq!(
        http["middlewares"]["gatepost-wiki"]["plugin"]["gatepost"],
        json!({
            "application": "wiki", "keysFile": "/keys/k", "public": ["/healthz", "/static/*"],
            "require": {"groups": ["staff"]},
        })
    );
    assert_eq!(
        http["middlewares"]["gatepost-intranet"]["plugin"]["gatepost"],
        json!({
            "application": "intranet", "keysFile": "/keys/k", "mode": "domain",
            "outpostUrl": "https://auth.example.org",
        })
    );
    let hosts: Vec<&str> = http["routers"]
        .as_object()
        .expect("routers")
        .values()
        .filter_map(|router| router["rule"].as_str())
        .collect();
    assert_eq!(
        hosts,
        [
            "Host(`chat.example.org`)",
            "Host(`git.example.org`)",
            "Host(`auth.example.org`) && (Path(`/`) || PathPrefix(`/akprox/`)) && !PathPrefix(`/akprox/auth`)",
            "Host(`auth.example.org`)",
            "Host(`wiki.example.com`)",
            "Host(`wiki.example.com`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
        ]
    );
    assert!(
        http["middlewares"]["gatepost-elsewhere"].is_object(),
        "for others to refer to"
    );
    // What else a user opens at the outpost's own host.
    let id = "gatepost-intranet-outpost-elsewhere";
    assert_eq!(http["routers"][id]["middlewares"], json!([id]));
    assert_eq!(http["routers"][id]["service"], "gatepost-outpost");
    assert_eq!(
        http["middlewares"][id],
        json!({"replacePath": {"path": "/akprox/"}})
    );
}

/// Its own router has all of that host.
#[test]
fn an_application_at_the_outposts_own_host_keeps_its_paths() {
    let text = BASE.replace("git.example.org: ", "auth.example.org: ");
    let text = format!("{text}\ntraefik: {{outpostUrl: 'http://outpost:9000'}}");
    let http = &configuration_of(&text)["http"];
    let rules: Vec<&str> = http["routers"]
        .as_object()
        .expect("routers")
        .values()
        .filter_map(|router| router["rule"].as_str())
        .filter(|rule| rule.contains("auth.example.org"))
        .collect();
    assert_eq!(
        rules,
        [
            "Host(`auth.example.org`)",
            "Host(`auth.example.org`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
        ]
    );
}

#[test]
fn browsers_reach_what_they_ask_before_they_bind_sessions_of_a_whole_site() {
    for (session, expected) in [
        ("", None),
        (
            "session: {deviceBound: prefer}",
            Some("Host(`example.org`) && Path(`/.well-known/device-bound-sessions`)"),
        ),
    ] {
        let http = &configuration(&format!(
            "traefik: {{outpostUrl: 'http://outpost:9000'}}\n{session}"
        ))["http"];
        let router = &http["routers"]["gatepost-intranet-outpost-device"];
        assert_eq!(router["rule"].as_str(), expected, "{session}");
        if expected.is_some() {
            assert_eq!(router["service"], "gatepost-outpost");
            assert_eq!(router.get("middlewares"), None);
        }
        assert!(
            http["routers"]
                .get("gatepost-wiki-outpost-device")
                .is_none()
        );
    }
}

/// The plugin refuses more as a list.
#[test]
fn many_rules_are_one_text() {
    let rule = |n| json!({"paths": [format!("/internal/{n}/*")], "deny": true});
    for (count, is_text) in [(1, false), (9, false), (10, true), (40, true)] {
        let rules: Value = (0..count).map(rule).collect();
        let config = json!({
            "keys": ["a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE="],
            "providers": [{"name": "main", "issuer": "https://id.example.com", "clientId": "g"}],
            "applications": [{
                "name": "wiki", "externalUrl": "https://wiki.example.com",
                "upstream": "http://wiki:80", "rules": rules,
            }],
            "traefik": {
                "outpostUrl": "http://outpost:9000", "plugin": "gatepost", "pluginKeysFile": "/k",
            },
        });
        let served = configuration_of(&config.to_string());
        let plugin = &served["http"]["middlewares"]["gatepost-wiki"]["plugin"]["gatepost"];
        let written = if is_text {
            json!(rules.to_string())
        } else {
            rules
        };
        assert_eq!(plugin["rules"], written, "{count}");
    }
}

#[test]
fn the_plugin_has_every_key_that_means_the_same_there() {
    let shared = [
        ("outpostPrefix", json!("/sso")),
        ("cookieName", json!("own")),
        ("forwardCookie", json!(true)),
        (
            "rules",
            json!([{"paths": ["/internal/*"], "deny": true}, {"require": {"all": {
                "claims": {"office": ["Bonn, Rhein", "Kiel"]},
            }}}]),
        ),
        ("public", json!(["/healthz"])),
        ("allowPreflight", json!(true)),
        (
            "require",
            json!({"all": {"users": ["alice"], "claims": {"office": ["Bonn, Rhein", "Kiel"]}}}),
        ),
        ("headers", json!({"preset": "none"})),
    ];
    // Whatever a decision is made by is among them.
    let problems = Problems::new();
    let mut fields = Fields::of_keys(&[], "", &problems);
    let _ = config::policy(&mut fields);
    for key in fields.asked() {
        // With these, Traefik asks the outpost.
        let is_of_machines = matches!(*key, "machines" | "apiKeyHeader");
        let is_shared = is_of_machines || shared.iter().any(|(own, _)| own == key);
        assert!(is_shared, "{key}");
    }
    let mut application = json!({
        "name": "wiki", "externalUrl": "https://wiki.example.com", "upstream": "http://wiki:80",
    });
    for (key, value) in &shared {
        application[*key] = value.clone();
    }
    let text = json!({
        "keys": ["a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE="],
        "providers": [{"name": "main", "issuer": "https://id.example.com", "clientId": "g"}],
        "applications": [application],
        "traefik": {
            "outpostUrl": "http://outpost:9000", "plugin": "gatepost", "pluginKeysFile": "/k",
        },
    });
    let config = Config::parse(&text.to_string(), []).expect("right");
    let settings = config.traefik.as_ref().expect("configured");
    let served = configuration_of(&text.to_string());
    let plugin = &served["http"]["middlewares"]["gatepost-wiki"]["plugin"]["gatepost"];
    for (key, value) in shared {
        assert_eq!(plugin[key], value, "{key}");
    }
    // Labels say the same, whose values are all texts.
    let labels = super::super::compose::services(settings, &served);
    let labels = labels["services"]["outpost"]["labels"].as_object();
    let mut from_labels = json!({});
    for (name, text) in labels.into_iter().flatten() {
        let prefix = "traefik.http.middlewares.gatepost-wiki.plugin.gatepost.";
        let Some(path) = name.strip_prefix(prefix) else {
            continue;
        };
        let mut at = &mut from_labels;
        for step in path.split('.') {
            at = &mut at[step];
        }
        *at = text.clone();
    }
    let policy_of = |settings: &Value| {
        let problems = Problems::new();
        let read = config::Value::from(settings);
        let mut fields = Fields::of(&read, "", &problems).expect("a section");
        let policy = config::policy(&mut fields);
        assert!(problems.is_empty(), "{problems:?} {settings}");
        format!("{policy:?}")
    };
    let own = format!("{:?}", config.applications[0].policy);
    assert_eq!(policy_of(plugin), own);
    assert_eq!(policy_of(&from_labels), own);
}

/// The chart writes the plugin's settings itself.
#[test]
fn the_chart_hands_the_plugin_every_key_that_decides() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/gatepost");
    let read = |file: &str| std::fs::read_to_string(root.join(file)).expect(file);
    let settings = read("templates/traefik.yaml");
    let picked = settings
        .lines()
        .find(|line| line.contains("$settings := pick"));
    let checks = read("templates/_validate.tpl");
    let spelled = checks
        .lines()
        .find(|line| line.contains("\"keys\" (list \"allowPreflight\""));
    let problems = Problems::new();
    let mut fields = Fields::of_keys(&[], "", &problems);
    let _ = config::policy(&mut fields);
    for key in fields.asked() {
        let quoted = format!("\"{key}\"");
        // The chart refuses `machines` with the plugin, and the other is for these.
        let handed = matches!(*key, "machines" | "apiKeyHeader")
            || picked.is_some_and(|line| line.contains(&quoted));
        assert!(handed, "{key}");
        assert!(spelled.is_some_and(|line| line.contains(&quoted)), "{key}");
    }
}

#[test]
fn without_the_plugin_traefik_asks_the_outpost() {
    let http = &configuration("traefik: {outpostUrl: 'http://outpost:9000/'}")["http"];
    let asks = &http["middlewares"]["gatepost-wiki"]["forwardAuth"];
    assert_eq!(asks["address"], "http://outpost:9000/akprox/auth/traefik");
    assert_eq!(asks["trustForwardHeader"], false);
    assert_eq!(asks["maxResponseBodySize"], MAX_ANSWER_BYTES);
    assert_eq!(asks["authResponseHeaders"][0], "X-Auth-Username");
    let headers = asks["authResponseHeaders"].as_array().expect("a list");
    for name in [
        "X-Forwarded-Groups",
        "Cookie",
        "Remote-User",
        "X-Auth-Request-Email",
        "X-Original-URL",
    ] {
        assert!(headers.contains(&json!(name)), "{name}: {headers:?}");
    }
    assert_eq!(asks["addAuthCookiesToResponse"][1], "__Host-gatepost.0");
    assert!(http["routers"]["gatepost-wiki"].get("tls").is_none());
}

/// Traefik refuses requests whose answer is longer, and allocates the size for every request.
#[test]
fn the_recipes_take_answers_as_long_as_they_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = 0;
    for folder in ["deploy/traefik/dynamic", "deploy/kubernetes/traefik"] {
        for file in std::fs::read_dir(root.join(folder)).expect(folder) {
            let path = file.expect("a file").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            let asks = text.matches("forwardAuth:").count();
            let size = format!("maxResponseBodySize: {MAX_ANSWER_BYTES}\n");
            assert_eq!(text.matches(&size).count(), asks, "{}", path.display());
            found += asks;
        }
    }
    assert!(found >= 7, "{found}");
    let chart = root.join("deploy/helm/gatepost/values.yaml");
    let chart = std::fs::read_to_string(chart).expect("a text");
    let size = format!("  maxResponseBodySize: {MAX_ANSWER_BYTES}\n");
    assert!(chart.contains(&size), "the chart");
}

#[test]
fn a_logo_makes_answers_longer() {
    let brand = Brand {
        logo: crate::pages::Logo::new(b"<svg/>"),
        ..Brand::default()
    };
    let pages = crate::pages::Pages::new(&brand).expect("templates");
    assert_eq!(
        pages.max_answer_bytes(),
        MAX_ANSWER_BYTES + brand.more_bytes()
    );
    assert!(brand.more_bytes() > 30);
}
