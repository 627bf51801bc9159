//! The Middlewares of a route, for Traefik's custom resources and the Gateway API.

use gatepost_session::cookie::MAX_CHUNKS;
use serde_json::{Map, Value, json};

use super::plan::{HostPlan, Plan, response_headers};
use super::settings::Settings;
use crate::pages::MAX_ANSWER_BYTES;

/// The group that admits nobody, until the operator names one.
pub(super) const NOBODY: &str = "CHANGE-ME";

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
        "require": { "groups": [NOBODY] },
    } } });
    middlewares.push((gate(host), spec));
    middlewares
}

/// Returns the name of the Middleware that protects a host.
fn gate(host: &HostPlan<'_>) -> String {
    format!("gatepost-{}", host.host)
}

fn forward_auth(plan: &Plan<'_>, settings: &Settings) -> Value {
    let mut headers = response_headers();
    headers.extend(plan.unknown_headers.iter().cloned());
    let mut cookies = Vec::new();
    for cookie in ["__Host-gatepost", "gatepost"] {
        cookies.push(cookie.to_owned());
        cookies.extend((0..MAX_CHUNKS).map(|index| format!("{cookie}.{index}")));
    }
    json!({ "forwardAuth": {
        "address": settings.outpost.question,
        "trustForwardHeader": false,
        "maxResponseBodySize": MAX_ANSWER_BYTES,
        "authResponseHeaders": headers,
        "addAuthCookiesToResponse": cookies,
    } })
}
