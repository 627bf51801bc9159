//! The Middlewares of a route, for Traefik's custom resources and the Gateway API.

use serde_json::{Map, Value, json};

use super::plan::{HostPlan, Plan};
use super::settings::Settings;
use crate::export::traefik;
use crate::pages::MAX_ANSWER_BYTES;

/// The group that no user has, until the operator names another.
pub(super) const NO_GROUP: &str = "CHANGE-ME";

/// Returns the names and contents of the Middlewares of a host's routes, in the order in which they
/// apply.
pub(super) fn of_host(
    plan: &Plan<'_>,
    host: &HostPlan<'_>,
    settings: &Settings,
) -> Vec<(String, Value)> {
    let mut middlewares = Vec::new();
    let name = &plan.ingress.name;
    if !plan.addresses.is_empty() {
        let spec = json!({ "ipAllowList": { "sourceRange": plan.addresses } });
        middlewares.push((format!("{name}-addresses"), spec));
    }
    if settings.forward_auth {
        middlewares.push((gate(host), forward_auth(plan, settings)));
        return middlewares;
    }
    if !plan.unknown_headers.is_empty() {
        // The plugin removes what a client sends under the names that it knows.
        let empty = |header: &String| (header.clone(), json!(""));
        let removed: Map<String, Value> = plan.unknown_headers.iter().map(empty).collect();
        let spec = json!({ "headers": { "customRequestHeaders": removed } });
        middlewares.push((format!("{name}-remove-headers"), spec));
    }
    let spec = json!({ "plugin": { "gatepost": {
        "application": host.host,
        "keysFile": "/keys/gatepost.keys",
        "require": { "groups": [NO_GROUP] },
    } } });
    middlewares.push((gate(host), spec));
    middlewares
}

/// Returns the name of the Middleware that protects a host.
fn gate(host: &HostPlan<'_>) -> String {
    format!("gatepost-{}", host.host)
}

fn forward_auth(plan: &Plan<'_>, settings: &Settings) -> Value {
    let headers = plan.answered_headers();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let cookies = ["__Host-gatepost", "gatepost"];
    let question = &settings.outpost.question;
    json!({
        "forwardAuth": traefik::forward_auth(question, &headers, &cookies, MAX_ANSWER_BYTES),
    })
}
