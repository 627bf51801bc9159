//! The Middlewares of a host's routes, for Traefik's custom resources and the Gateway API.

use serde_json::{Map, Value, json};

use super::headers;
use super::host_plan::HostPlan;
use super::location::{Location, rewrite};
use super::rules::{NO_GROUP, Rule};
use super::settings::Settings;
use crate::export::traefik;
use crate::pages::MAX_ANSWER_BYTES;

/// Returns the names and contents of the Middlewares of a location's route, in the order in which they
/// apply. What a name says besides the host is in front of it: behind it, it may be part of another
/// host's name.
pub(super) fn of_location(
    plan: &HostPlan<'_>,
    at: usize,
    location: &Location<'_>,
    settings: &Settings,
    is_behind_a_balancer: bool,
) -> Vec<(String, Value)> {
    let mut middlewares = Vec::new();
    let name = format!("gatepost-{}", plan.host);
    if !location.addresses.is_empty() {
        let same = plan
            .locations
            .iter()
            .position(|it| it.addresses == location.addresses);
        let mut list = json!({ "sourceRange": location.addresses });
        if let (true, Some(list)) = (is_behind_a_balancer, list.as_object_mut()) {
            // What the balancer says last, and nothing where Traefik does not trust it.
            list.insert("ipStrategy".to_owned(), json!({ "depth": 1 }));
        }
        let number = same.unwrap_or(at) + 1;
        middlewares.push((
            format!("addresses-{number}.{name}"),
            json!({ "ipAllowList": list }),
        ));
    }
    if !plan.unknown_headers.is_empty() && !settings.forward_auth {
        // The plugin removes what a client sends under the names that it knows.
        let empty = |header: &String| (header.clone(), json!(""));
        let removed: Map<String, Value> = plan.unknown_headers.iter().map(empty).collect();
        let spec = json!({ "headers": { "customRequestHeaders": removed } });
        middlewares.push((format!("remove-headers.{name}"), spec));
    }
    middlewares.push((name.clone(), gate(plan, settings)));
    let target = location.ingress.set("rewrite-target");
    let target = target.filter(|target| *target != location.path.text());
    if let Some((regex, replacement)) = target.and_then(|it| rewrite(location.path.text(), it)) {
        let spec = json!({ "replacePathRegex": { "regex": regex, "replacement": replacement } });
        middlewares.push((format!("rewrite-{}.{name}", at + 1), spec));
    }
    middlewares
}

/// Returns the Middleware that protects a host.
fn gate(plan: &HostPlan<'_>, settings: &Settings) -> Value {
    if settings.forward_auth {
        let headers = headers::answered(&plan.unknown_headers);
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let cookies = ["__Host-gatepost", "gatepost"];
        let question = &settings.outpost.question;
        return json!({
            "forwardAuth": traefik::forward_auth(
                question, &headers, &headers::rules(), &cookies, MAX_ANSWER_BYTES,
            ),
        });
    }
    let mut plugin = json!({
        "application": plan.host,
        "keysFile": "/keys/gatepost.keys",
        "require": { "groups": [NO_GROUP] },
    });
    if let (false, Some(plugin)) = (plan.rules.is_empty(), plugin.as_object_mut()) {
        let rules = plan.rules.iter().map(Rule::value).collect();
        plugin.insert("rules".to_owned(), traefik::rules_of_middleware(rules));
    }
    json!({ "plugin": { "gatepost": plugin } })
}
