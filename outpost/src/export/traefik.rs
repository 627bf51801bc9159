//! Traefik's dynamic configuration: routers, middlewares and services that follow from the
//! applications.
//!
//! The text changes only when its content does, since every reload makes Traefik build the plugin
//! again. Keys are never part of it: Traefik shows its configuration in its API and its
//! debug log.

use gatepost_policy::config::MOST_RULES_IN_A_LIST;
use gatepost_policy::{HeaderRules, OutpostPrefix};
use gatepost_session::cookie::MAX_CHUNKS;
use serde_json::{Map, Value, json};
use url::Url;

use super::settings::{PluginKeys, PluginSettings, TraefikSettings};
use crate::application::ApplicationSettings;
use crate::device_bound::DeviceBound;
use crate::origin::Mode;
use crate::pages::{Brand, MAX_ANSWER_BYTES};

/// Where browsers ask which origins may bind sessions of a whole site to devices.
const DEVICE_ORIGINS: &str = "/.well-known/device-bound-sessions";

/// The service of the outpost.
pub(super) const OUTPOST: &str = "gatepost-outpost";

/// Returns Traefik's dynamic configuration: routers for the applications that name an upstream, and
/// a middleware for every application. `device_bound` says whether sessions are bound to devices
/// where an application does not say it.
pub fn dynamic_configuration(
    applications: &[ApplicationSettings],
    settings: &TraefikSettings,
    brand: &Brand,
    device_bound: DeviceBound,
) -> Value {
    let mut routers = Map::new();
    let mut middlewares = Map::new();
    let mut services = Map::new();
    for application in applications {
        let name = object_name(application);
        middlewares.insert(name.clone(), middleware(settings, application, brand));
        for (at, route) in application.routes.iter().enumerate() {
            let id = route_name(&name, at);
            let rule = format!("Host(`{}`)", route.host);
            let mut app = router(settings, &rule, &id);
            app.insert("middlewares".into(), json!([name]));
            routers.insert(id.clone(), app.into());
            services.insert(
                id.clone(),
                json!({"loadBalancer": {"servers": [{"url": route.upstream.as_str()}]}}),
            );
        }
        // The longer rule wins over the application's. An application without a route is one that
        // other providers route: then they route its outpost too.
        let own_host = application.external.host();
        if !application.routes.is_empty() {
            let rule = outpost_rule(own_host, &application.prefix);
            routers.insert(outpost_name(&name), router(settings, &rule, OUTPOST).into());
            let binds = application.device_bound.unwrap_or(device_bound) != DeviceBound::Off;
            if let (true, Mode::Domain(domain)) = (binds, &application.mode) {
                // There browsers ask whether the outpost may bind sessions of the whole site.
                let rule = format!("Host(`{}`) && Path(`{DEVICE_ORIGINS}`)", domain.as_str());
                routers.insert(device_name(&name), router(settings, &rule, OUTPOST).into());
            }
            services.insert(
                OUTPOST.into(),
                json!({"loadBalancer": {"servers": [{"url": settings.outpost_url.as_str()}]}}),
            );
        }
    }
    // Traefik refuses sections that are there but empty.
    let mut http = Map::new();
    for (key, section) in [
        ("routers", routers),
        ("middlewares", middlewares),
        ("services", services),
    ] {
        if !section.is_empty() {
            http.insert(key.into(), section.into());
        }
    }
    json!({"http": http})
}

/// Returns the rule of the router that leads to the outpost. No client asks in the proxy's place, also
/// not under a prefix that begins as this one.
pub(crate) fn outpost_rule(host: &str, prefix: &OutpostPrefix) -> String {
    format!("Host(`{host}`) && PathPrefix(`{prefix}/`) && !PathPrefix(`{prefix}/auth`)")
}

fn router(settings: &TraefikSettings, rule: &str, service: &str) -> Map<String, Value> {
    let mut router = Map::new();
    router.insert("rule".into(), rule.into());
    router.insert("service".into(), service.into());
    if !settings.entry_points.is_empty() {
        router.insert("entryPoints".into(), json!(settings.entry_points));
    }
    match &settings.cert_resolver {
        Some(resolver) => {
            router.insert("tls".into(), json!({"certResolver": resolver}));
        }
        None if settings.tls => {
            router.insert("tls".into(), json!({}));
        }
        None => {}
    }
    router
}

fn middleware(
    settings: &TraefikSettings,
    application: &ApplicationSettings,
    brand: &Brand,
) -> Value {
    // Only the outpost knows tokens, so Traefik has to ask it.
    let has_tokens = application.capabilities.token_headers.is_some();
    match settings.plugin.as_ref().filter(|_| !has_tokens) {
        Some(plugin) => {
            json!({"plugin": {(plugin.name.as_str()): plugin_settings(plugin, application)}})
        }
        None => json!({"forwardAuth": forward_auth_of(settings, application, brand)}),
    }
}

/// Returns the plugin's settings: where it reads the outpost's folder, that and no more.
fn plugin_settings(plugin: &PluginSettings, application: &ApplicationSettings) -> Value {
    let keys = match &plugin.keys {
        PluginKeys::StateDir(path) => {
            return json!({"application": application.audience.as_str(), "stateDir": path});
        }
        PluginKeys::File(path) => ("keysFile", path),
        PluginKeys::Env(name) => ("keysEnv", name),
    };
    let mut settings = shared_settings(application);
    settings.insert("application".into(), application.audience.as_str().into());
    settings.insert(keys.0.into(), keys.1.as_str().into());
    if let Some(Value::Array(rules)) = settings.get("rules")
        && rules.len() > MOST_RULES_IN_A_LIST
    {
        let rules = Value::from(rules.as_slice()).to_string();
        settings.insert("rules".into(), rules.into());
    }
    if let Some(path) = &plugin.revoked_file {
        settings.insert("revokedFile".into(), path.as_str().into());
    }
    settings.into()
}

/// Returns the settings that the plugin shares with the outpost, as the operator wrote them, and
/// those that follow from where browsers reach the application.
pub(super) fn shared_settings(application: &ApplicationSettings) -> Map<String, Value> {
    let mut settings = application.shared.clone();
    if !application.external.is_https() {
        settings.insert("plainHttp".into(), true.into());
    }
    if let Mode::Domain(_) = application.mode {
        settings.insert("mode".into(), "domain".into());
        settings.insert("outpostUrl".into(), application.external.origin().into());
    }
    settings
}

fn forward_auth_of(
    settings: &TraefikSettings,
    application: &ApplicationSettings,
    brand: &Brand,
) -> Value {
    let mut headers = answered_headers(&application.headers);
    if application.takes_authorization_over() {
        // And with `Authorization`: the outpost's own, or the client's unless that was for the outpost.
        headers.push("Authorization");
    }
    forward_auth(
        &question(&settings.outpost_url, &application.prefix),
        &headers,
        &[application.cookie_name.as_str()],
        // Traefik allocates as much for each request.
        MAX_ANSWER_BYTES + brand.more_bytes(),
    )
}

/// Returns the URL at which Traefik asks an outpost.
pub(crate) fn question(outpost: &Url, prefix: &OutpostPrefix) -> String {
    let base = outpost.as_str().trim_end_matches('/');
    format!("{base}{prefix}/auth/traefik")
}

/// Returns the headers of the outpost's answer that the application gets.
pub(crate) fn answered_headers(rules: &HeaderRules) -> Vec<&str> {
    let names = rules.names().map(|name| name.as_str());
    // The outpost answers with the request's cookies except Gatepost's.
    let with_cookies = names.chain(["Cookie"]);
    // And without these: Traefik then removes the client's headers of these names.
    with_cookies.chain(rules.withheld()).collect()
}

/// Returns the settings of a middleware that asks at `address`, and renews session cookies of these
/// names.
pub(crate) fn forward_auth(
    address: &str,
    headers: &[&str],
    cookies: &[&str],
    answer_bytes: usize,
) -> Value {
    let mut with_chunks = Vec::new();
    for &cookie in cookies {
        with_chunks.push(cookie.to_owned());
        with_chunks.extend((0..MAX_CHUNKS).map(|index| format!("{cookie}.{index}")));
    }
    json!({
        "address": address,
        // Traefik describes the request that it received itself, not the one that the client
        // claims.
        "trustForwardHeader": false,
        "maxResponseBodySize": answer_bytes,
        "authResponseHeaders": headers,
        "addAuthCookiesToResponse": with_chunks,
    })
}

/// Returns the name of an application's middleware, and of its first router and service.
pub(super) fn object_name(application: &ApplicationSettings) -> String {
    format!("gatepost-{}", identifier(application.audience.as_str()))
}

/// Returns the name of the router and the service of a route.
pub(super) fn route_name(name: &str, at: usize) -> String {
    match at {
        0 => name.to_owned(),
        at => format!("{name}-{at}"),
    }
}

/// Returns the name of the router to what browsers ask before they bind sessions of a whole site.
pub(super) fn device_name(name: &str) -> String {
    format!("{}-device", outpost_name(name))
}

/// Returns the name of the router that leads to the outpost.
pub(super) fn outpost_name(name: &str) -> String {
    format!("{name}-outpost")
}

/// Returns a name as Traefik accepts it in references, where `@` precedes a provider's name.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use gatepost_policy::config::{self, Fields, Problems};

    const BASE: &str = "
keys: ['a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
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
        let config = Config::parse(&format!("{BASE}\n{traefik}"), []).expect("right");
        let served = || {
            let settings = config.traefik.as_ref().expect("configured");
            let of_all = config.device_bound;
            dynamic_configuration(&config.applications, settings, &config.brand, of_all).to_string()
        };
        let text = served();
        assert!(
            !text.contains("hush") && !text.contains("QkNERUZ"),
            "{text}"
        );
        assert_eq!(served(), text, "stable");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The chart has no other way to know it.
    #[test]
    fn the_chart_writes_as_many_rules_as_a_list_as_the_plugin_takes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/gatepost/templates");
        let file = format!("{folder}/traefik.yaml");
        let template = std::fs::read_to_string(file).expect("the template");
        let line = format!("(gt (len $settings.rules) {MOST_RULES_IN_A_LIST})");
        assert_eq!(template.matches(&line).count(), 1, "{template}");
        assert_eq!(template.matches("(len $settings.rules)").count(), 1);
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
                "Host(`auth.example.org`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
                "Host(`wiki.example.com`)",
                "Host(`wiki.example.com`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
            ]
        );
        assert!(
            http["middlewares"]["gatepost-elsewhere"].is_object(),
            "for others to refer to"
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
                "keys": ["a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE="],
                "providers": [{"name": "main", "issuer": "https://id.example.com", "clientId": "g"}],
                "applications": [{
                    "name": "wiki", "externalUrl": "https://wiki.example.com",
                    "upstream": "http://wiki:80", "rules": rules,
                }],
                "traefik": {
                    "outpostUrl": "http://outpost:9000", "plugin": "gatepost", "pluginKeysFile": "/k",
                },
            });
            let config = Config::parse(&config.to_string(), []).expect("right");
            let settings = config.traefik.as_ref().expect("configured");
            let (applications, of_all) = (&config.applications, config.device_bound);
            let served = dynamic_configuration(applications, settings, &config.brand, of_all);
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
            ("machines", json!(["bearer", "apiKey"])),
            ("apiKeyHeader", json!("X-Wiki-Key")),
            ("headers", json!({"preset": "none"})),
        ];
        // Whatever a decision is made by is among them.
        let problems = Problems::new();
        let mut fields = Fields::of_keys(&[], "", &problems);
        let _ = config::policy(&mut fields);
        for key in fields.asked() {
            assert!(shared.iter().any(|(own, _)| own == key), "{key}");
        }
        let mut application = json!({
            "name": "wiki", "externalUrl": "https://wiki.example.com", "upstream": "http://wiki:80",
        });
        for (key, value) in &shared {
            application[*key] = value.clone();
        }
        let text = json!({
            "keys": ["a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE="],
            "providers": [{"name": "main", "issuer": "https://id.example.com", "clientId": "g"}],
            "applications": [application],
            "traefik": {
                "outpostUrl": "http://outpost:9000", "plugin": "gatepost", "pluginKeysFile": "/k",
            },
        });
        let config = Config::parse(&text.to_string(), []).expect("right");
        let settings = config.traefik.as_ref().expect("configured");
        let of_all = config.device_bound;
        let served = dynamic_configuration(&config.applications, settings, &config.brand, of_all);
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
        let helpers = read("templates/_helpers.tpl");
        let spelled = helpers
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
}
