//! Traefik's dynamic configuration: routers, middlewares and services that follow from the
//! applications.
//!
//! The text changes only when its content does, since every reload makes Traefik build the plugin
//! again. Keys are never part of it: Traefik shows its configuration in its API and its
//! debug log.

use gatepost_policy::config::{INNER_NETWORKS, MOST_RULES_IN_A_LIST};
use gatepost_policy::{HeaderRules, OutpostPrefix};
use gatepost_session::cookie::MAX_CHUNKS;
use serde_json::{Map, Value, json};
use url::Url;

use super::settings::{PluginKeys, PluginSettings, TraefikSettings};
use crate::application::ApplicationSettings;
use crate::device_bound::DeviceBound;
use crate::origin::Mode;
use crate::pages::{Brand, MAX_ANSWER_BYTES};
use crate::trusted_proxies::TrustedProxies;

/// Where browsers ask which origins may bind sessions of a whole site to devices.
const DEVICE_ORIGINS: &str = "/.well-known/device-bound-sessions";

/// The service of the outpost.
pub(super) const OUTPOST: &str = "gatepost-outpost";

/// Returns Traefik's dynamic configuration: routers for the applications that name an upstream, and
/// a middleware for every application. `device_bound` says whether sessions are bound to devices
/// where an application does not say it; `proxies` are those that the outpost trusts.
pub(crate) fn dynamic_configuration(
    applications: &[ApplicationSettings],
    settings: &TraefikSettings,
    brand: &Brand,
    device_bound: DeviceBound,
    proxies: &TrustedProxies,
) -> Value {
    let mut routers = Map::new();
    let mut middlewares = Map::new();
    let mut services = Map::new();
    for application in applications {
        let name = object_name(application);
        let own = middleware(settings, application, brand, proxies);
        middlewares.insert(name.clone(), own);
        for (at, route) in application.routes.iter().enumerate() {
            let id = route_name(&name, at);
            let rule = format!("Host(`{}`)", route.host);
            let mut app = router(settings, application, &rule, &id);
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
            let mut rule = outpost_rule(own_host, &application.prefix);
            let is_application = application
                .routes
                .iter()
                .any(|route| route.host.as_str() == own_host);
            if matches!(application.mode, Mode::Domain(_)) && !is_application {
                rule = own_host_rule(own_host, &application.prefix);
                // Whatever the path, the outpost is asked for no other one, and so for nothing
                // under `auth`.
                let (id, path) = (elsewhere_name(&name), format!("{}/", application.prefix));
                let rest = format!("Host(`{own_host}`)");
                let mut rest = router(settings, application, &rest, OUTPOST);
                rest.insert("middlewares".into(), json!([id]));
                routers.insert(id.clone(), rest.into());
                middlewares.insert(id, json!({"replacePath": {"path": path}}));
            }
            routers.insert(
                outpost_name(&name),
                router(settings, application, &rule, OUTPOST).into(),
            );
            let binds = application.device_bound.unwrap_or(device_bound) != DeviceBound::Off;
            if let (true, Mode::Domain(domain)) = (binds, &application.mode) {
                // There browsers ask whether the outpost may bind sessions of the whole site.
                let rule = format!("Host(`{}`) && Path(`{DEVICE_ORIGINS}`)", domain.as_str());
                routers.insert(
                    device_name(&name),
                    router(settings, application, &rule, OUTPOST).into(),
                );
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

/// Returns the same for a host that is the outpost's own, whose front page says who is signed in.
fn own_host_rule(host: &str, prefix: &OutpostPrefix) -> String {
    format!(
        "Host(`{host}`) && (Path(`/`) || PathPrefix(`{prefix}/`)) && !PathPrefix(`{prefix}/auth`)"
    )
}

fn router(
    settings: &TraefikSettings,
    application: &ApplicationSettings,
    rule: &str,
    service: &str,
) -> Map<String, Value> {
    let mut router = Map::new();
    router.insert("rule".into(), rule.into());
    router.insert("service".into(), service.into());
    if !settings.entry_points.is_empty() {
        router.insert("entryPoints".into(), json!(settings.entry_points));
    }
    // A router with TLS has no request without, which browsers send to a site on http.
    if application.external.is_https() {
        match &settings.cert_resolver {
            Some(resolver) => {
                router.insert("tls".into(), json!({"certResolver": resolver}));
            }
            None if settings.tls => {
                router.insert("tls".into(), json!({}));
            }
            None => {}
        }
    }
    router
}

fn middleware(
    settings: &TraefikSettings,
    application: &ApplicationSettings,
    brand: &Brand,
    proxies: &TrustedProxies,
) -> Value {
    match settings
        .plugin
        .as_ref()
        .filter(|_| !application.needs_outpost())
    {
        Some(plugin) => {
            let settings = plugin_settings(plugin, application, proxies);
            json!({"plugin": {(plugin.name.as_str()): settings}})
        }
        None => json!({"forwardAuth": forward_auth_of(settings, application, brand)}),
    }
}

/// Returns the plugin's settings: where it reads the outpost's folder, that and no more.
fn plugin_settings(
    plugin: &PluginSettings,
    application: &ApplicationSettings,
    proxies: &TrustedProxies,
) -> Value {
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
    if let Some(rules) = settings.get_mut("rules") {
        *rules = rules_of_middleware(rules.take());
    }
    // What is a proxy to the outpost is no client to the plugin, as with the outpost's folder. Inner
    // networks are none to it unless it is told otherwise.
    if application.policy.rules.ask_for_networks() && proxies.reach_beyond(INNER_NETWORKS) {
        let inner = INNER_NETWORKS.split(',').map(String::from);
        let all: Vec<String> = inner.chain(proxies.networks()).collect();
        settings.insert("trustedProxies".into(), all.into());
    }
    if let Some(path) = &plugin.revoked_file {
        settings.insert("revokedFile".into(), path.as_str().into());
    }
    settings.into()
}

/// Returns rules as the plugin takes them from a middleware: many as one text.
pub(crate) fn rules_of_middleware(rules: Value) -> Value {
    let are_many = rules
        .as_array()
        .is_some_and(|list| list.len() > MOST_RULES_IN_A_LIST);
    if are_many {
        rules.to_string().into()
    } else {
        rules
    }
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
        &application.headers,
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

/// Returns the settings of a middleware that asks at `address`, lets no client say what these rules
/// own, and renews session cookies of these names.
pub(crate) fn forward_auth(
    address: &str,
    headers: &[&str],
    rules: &HeaderRules,
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
        // Traefik removes what matches from the client's request, and adds only what the outpost says.
        "authResponseHeadersRegex": rules.owned_pattern(),
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

/// Returns the name of the router, and of its middleware, that leads the rest of the outpost's own host to
/// its page that says that there is nothing.
pub(super) fn elsewhere_name(name: &str) -> String {
    format!("{}-elsewhere", outpost_name(name))
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
mod tests;
