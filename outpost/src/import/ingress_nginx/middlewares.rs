//! The Middlewares of a host's routes, for Traefik's custom resources and the Gateway API.

use gatepost_base::Quoted;
use serde_json::{Map, Value, json};
use url::Url;

use super::headers;
use super::host_plan::HostPlan;
use super::ingress::Ingress;
use super::json::insert;
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
    reads_forwarded_for: bool,
) -> Vec<(String, Value)> {
    let mut middlewares = Vec::new();
    let name = format!("gatepost-{}", plan.host);
    if let Some(redirect) = app_root(plan).filter(|_| location.reach.may_be_the_root()) {
        middlewares.push((format!("app-root.{name}"), redirect));
    }
    if !location.addresses.is_empty() {
        let same = plan
            .locations
            .iter()
            .position(|it| it.addresses == location.addresses);
        let mut list = json!({ "sourceRange": location.addresses });
        if reads_forwarded_for {
            // What the balancer says last, and nothing where Traefik does not trust it.
            insert(&mut list, "ipStrategy", json!({ "depth": 1 }));
        }
        let number = same.unwrap_or(at) + 1;
        middlewares.push((
            format!("addresses-{number}.{name}"),
            json!({ "ipAllowList": list }),
        ));
    }
    if let Some(redirect) = redirect(location.ingress) {
        middlewares.push((format!("redirect-{}.{name}", at + 1), redirect));
    }
    middlewares.push((
        format!("remove-headers.{name}"),
        set_headers(&of_clients(plan, settings)),
    ));
    middlewares.push((name.clone(), gate(plan, settings)));
    if let Some(host) = location.ingress.set("upstream-vhost") {
        let spec = set_headers(&json!({ "Host": host }));
        middlewares.push((format!("upstream-host-{}.{name}", at + 1), spec));
    }
    let target = location.ingress.set("rewrite-target");
    let target = target.filter(|target| *target != location.path.text());
    if let Some((regex, replacement)) = target.and_then(|it| rewrite(location.path.text(), it)) {
        let spec = json!({ "replacePathRegex": { "regex": regex, "replacement": replacement } });
        middlewares.push((format!("rewrite-{}.{name}", at + 1), spec));
        if let Some(prefix) = location.ingress.set("x-forwarded-prefix") {
            let spec = set_headers(&json!({ "X-Forwarded-Prefix": prefix }));
            middlewares.push((format!("prefix-{}.{name}", at + 1), spec));
        }
    }
    middlewares
}

/// Returns where nginx redirected everybody who asked for the host's front page, before all else: one
/// Ingress says so for the whole host.
fn app_root(plan: &HostPlan<'_>) -> Option<Value> {
    let mut locations = plan.locations.iter();
    let path = locations.find_map(|it| it.ingress.set("app-root"))?;
    Some(json!({ "redirectRegex": {
        "regex": r"^(https?://[^/]+)/+(?:\?.*)?$",
        "replacement": format!("${{1}}{path}"),
        "permanent": false,
    } }))
}

/// Headers that nginx set to values of its own, so that applications may trust them: Traefik hands on
/// what a client says in them.
const OF_NGINX: [&str; 6] = [
    "Proxy",
    "X-Forwarded-Scheme",
    "X-Original-Forwarded-For",
    "X-Original-Forwarded-Host",
    "X-Original-URI",
    "X-Scheme",
];

/// Returns the headers that a client may not send, with what the application gets in their place.
fn of_clients(plan: &HostPlan<'_>, settings: &Settings) -> Value {
    let mut headers = Map::new();
    // The plugin removes what a client sends under the names that it knows, and the outpost's answer
    // replaces the rest.
    for name in plan
        .unknown_headers
        .iter()
        .filter(|_| !settings.forward_auth)
    {
        headers.insert(name.clone(), json!(""));
    }
    for name in OF_NGINX {
        let is_scheme = plan.https && name.ends_with("Scheme");
        headers.insert(name.to_owned(), json!(if is_scheme { "https" } else { "" }));
    }
    headers.into()
}

fn set_headers(headers: &Value) -> Value {
    json!({ "headers": { "customRequestHeaders": headers } })
}

/// Returns where nginx redirected everybody, before it asked for a session.
fn redirect(ingress: &Ingress) -> Option<Value> {
    let (target, is_permanent) = redirect_target(ingress)?;
    let (target, end) = match target.strip_suffix("$request_uri") {
        Some(target) => (target, "${1}"),
        None => (target, ""),
    };
    Some(json!({ "redirectRegex": {
        "regex": "^https?://[^/]+(.*)$",
        "replacement": format!("{target}{end}"),
        "permanent": is_permanent,
    } }))
}

/// Returns where an Ingress redirects, and whether for good. Of the two annotations, the controller
/// reads the temporary one first.
fn redirect_target(ingress: &Ingress) -> Option<(&str, bool)> {
    let temporary = ingress
        .set("temporal-redirect")
        .map(|target| (target, false));
    temporary.or_else(|| {
        ingress
            .set("permanent-redirect")
            .map(|target| (target, true))
    })
}

/// Returns why what an Ingress says of the request or the answer is no Middleware.
pub(super) fn unfit_for_a_middleware(ingress: &Ingress) -> Option<String> {
    if let Some((target, _)) = redirect_target(ingress) {
        let plain = target.strip_suffix("$request_uri").unwrap_or(target);
        let is_address = Url::parse(plain).is_ok_and(|url| url.has_host());
        if !is_address || plain.contains('$') {
            return Some(format!(
                "it redirects to {}, which is no address, or has more of nginx's variables than \
                 `$request_uri` at its end: write the Middleware `redirectRegex` by hand",
                Quoted(target)
            ));
        }
    }
    for key in ["app-root", "x-forwarded-prefix"] {
        let needs = key == "app-root" || ingress.set("rewrite-target").is_some();
        if let Some(path) = ingress
            .set(key)
            .filter(|path| needs && !is_plain_path(path))
        {
            return Some(format!(
                "`{key}` {} is more than a path: write the Middleware by hand",
                Quoted(path)
            ));
        }
    }
    let host = ingress.set("upstream-vhost")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (!host.chars().all(plain)).then(|| {
        format!(
            "`upstream-vhost` {} is no name of a host: write the Middleware `headers` by hand",
            Quoted(host)
        )
    })
}

/// Returns whether a text is a path in which no character has a meaning to nginx or Traefik.
fn is_plain_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    text.starts_with('/') && text.chars().all(plain)
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
    if !plan.rules.is_empty() {
        let rules = plan.rules.iter().map(Rule::value).collect();
        insert(&mut plugin, "rules", traefik::rules_of_middleware(rules));
    }
    json!({ "plugin": { "gatepost": plugin } })
}
