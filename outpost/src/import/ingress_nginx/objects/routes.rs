//! The routes to the applications.

use serde_json::{Value, json};

use super::super::host_plan::HostPlan;
use super::super::ingress::Service;
use super::super::json::insert;
use super::super::location::Location;
use super::super::upstream::scheme_of;

/// Above what the length of another provider's rule can be.
const BASE: usize = 100_000;

/// Returns a route of an IngressRoute. The Service is reached by a ServersTransport, if one is named.
pub(super) fn route(
    plan: &HostPlan<'_>,
    at: usize,
    location: &Location<'_>,
    middlewares: &[&str],
    transport: Option<&str>,
) -> Value {
    let middlewares: Vec<Value> = middlewares.iter().map(|it| json!({ "name": it })).collect();
    let mut rule = format!("Host(`{}`)", plan.host);
    if let Some(paths) = location.reach.rule() {
        rule = format!("{rule} && {paths}");
    }
    if plan.differs_by_address() {
        // What nginx decoded before it chose.
        rule = format!("{rule} && !PathRegexp(`%`)");
    }
    let mut route = json!({
        "kind": "Rule",
        "match": rule,
        "priority": BASE + plan.locations.len() - at,
        "middlewares": middlewares,
    });
    if let Some(service) = &location.path.backend.service {
        let mut service = json!({
            "name": service.name,
            "port": port(service),
            "scheme": scheme_of(location.ingress),
        });
        if let Some(transport) = transport {
            insert(&mut service, "serversTransport", json!(transport));
        }
        insert(&mut route, "services", json!([service]));
    }
    route
}

fn port(service: &Service) -> Value {
    match service.port.number {
        Some(number) => json!(number),
        None => json!(service.port.name),
    }
}

/// Returns a rule of an HTTPRoute.
pub(super) fn http_rule(location: &Location<'_>, middlewares: &[&str]) -> Value {
    let filter = |name: &&str| {
        json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": "traefik.io", "kind": "Middleware", "name": name },
        })
    };
    let filters: Vec<Value> = middlewares.iter().map(filter).collect();
    let (kind, value, _) = location.reach.path_match();
    let path = json!({ "type": kind, "value": value });
    let mut rule = json!({ "matches": [{ "path": path }], "filters": filters });
    if let Some(service) = &location.path.backend.service {
        let service = json!({ "name": service.name, "port": port(service) });
        insert(&mut rule, "backendRefs", json!([service]));
    }
    rule
}
