//! Docker labels for the services of a compose file.

use serde_json::{Map, Value, json};
use url::Url;

use super::dynamic::{entries, server};
use super::settings::TraefikSettings;

/// Returns labels for the services of a compose file, by the hosts that upstreams name.
pub(crate) fn services(settings: &TraefikSettings, dynamic: &Value) -> Value {
    let mut services: Map<String, Value> = Map::new();
    let host_of = |url: &Url| url.host_str().unwrap_or("app").to_owned();
    let outpost = host_of(&settings.outpost_url);
    let mut label = |host: &str, name: String, text: String| {
        let service = services
            .entry(host.to_owned())
            .or_insert_with(|| json!({"labels": {"traefik.enable": "true"}}));
        if let Some(labels) = service.get_mut("labels").and_then(Value::as_object_mut) {
            // Compose replaces `$NAME` by a variable.
            labels.insert(name, text.replace('$', "$$").into());
        }
    };
    for (name, service) in entries(dynamic, "services") {
        let Some(url) = server(service) else {
            continue;
        };
        let at = format!("traefik.http.services.{name}.loadbalancer.server");
        let port = url.port_or_known_default().unwrap_or(80).to_string();
        label(&host_of(&url), format!("{at}.port"), port);
        if url.scheme() == "https" {
            label(&host_of(&url), format!("{at}.scheme"), "https".to_owned());
            label(
                &host_of(&url),
                format!("traefik.http.services.{name}.loadbalancer.serverstransport"),
                format!("{name}@file"),
            );
        }
    }
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        let host = url.as_ref().map_or_else(|| outpost.clone(), host_of);
        for (path, text) in flat(router, false) {
            label(&host, format!("traefik.http.routers.{name}{path}"), text);
        }
    }
    // On the outpost, whose container runs whether or not the applications' do.
    for (name, middleware) in entries(dynamic, "middlewares") {
        for (path, text) in flat(middleware, false) {
            label(
                &outpost,
                format!("traefik.http.middlewares.{name}{path}"),
                text,
            );
        }
    }
    json!({"services": services})
}

/// Returns what Traefik's file provider has to have beside these labels, if anything: a ServersTransport for
/// each service with `https`. Traefik connects to the address of a container, which no certificate has, and
/// no label can say which name is in the certificate, or which authority has signed it.
pub(crate) fn transports(dynamic: &Value) -> Option<Value> {
    let transports: Map<String, Value> = entries(dynamic, "services")
        .filter_map(|(name, service)| {
            let url = server(service).filter(|url| url.scheme() == "https")?;
            Some((name.clone(), json!({"serverName": url.host_str()?})))
        })
        .collect();
    (!transports.is_empty()).then(|| json!({"http": {"serversTransports": transports}}))
}

/// Returns every leaf of a value with its path, in the form of labels: lists with commas, those of
/// sections and of the values of claims (`as_json`) as JSON, and empty sections as `true`.
fn flat(value: &Value, as_json: bool) -> Vec<(String, String)> {
    match value {
        Value::Object(section) if section.is_empty() => vec![(String::new(), "true".to_owned())],
        Value::Object(section) => section
            .iter()
            .flat_map(|(key, value)| {
                flat(value, as_json || key == "claims")
                    .into_iter()
                    .map(move |(path, text)| (format!(".{key}{path}"), text))
            })
            .collect(),
        // `rules` and the values of claims are read as one text, too.
        Value::Array(entries) if as_json || entries.iter().any(Value::is_object) => {
            vec![(String::new(), value.to_string())]
        }
        Value::Array(entries) => {
            let texts: Vec<String> = entries.iter().map(plain).collect();
            vec![(String::new(), texts.join(","))]
        }
        leaf => vec![(String::new(), plain(leaf))],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
