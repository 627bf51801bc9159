//! The objects to apply.

use std::collections::BTreeSet;

use gatepost_policy::OutpostPrefix;
use serde_json::{Map, Value, json};

use super::annotations::{EXTERNAL, scheme};
use super::ingress::{HttpPath, PREFIX, PathType, Service};
use super::middlewares;
use super::plan::{HostPlan, Plan};
use super::settings::{Form, Settings};
use crate::export::traefik::outpost_rule;

/// The paths of the outpost that clients use. Not that at which a proxy asks.
const PATHS: [(&str, PathType); 10] = [
    ("/start", PathType::Exact),
    ("/callback", PathType::Prefix),
    ("/sign_out", PathType::Exact),
    ("/session", PathType::Exact),
    ("/device", PathType::Prefix),
    ("/oauth-protected-resource", PathType::Exact),
    ("/oauth", PathType::Prefix),
    ("/backchannel_logout", PathType::Exact),
    ("/jwks.json", PathType::Exact),
    ("/ping", PathType::Exact),
];

/// A rule of a path can be no longer, so the outpost's route wins.
const ABOVE_ALL: u32 = 1_000_000;

/// The objects so far.
#[derive(Debug, Default)]
pub(super) struct Objects {
    middlewares: BTreeSet<(String, String)>,
}

impl Objects {
    /// Returns what takes the place of an Ingress.
    pub(super) fn of_application(&mut self, plan: &Plan<'_>, settings: &Settings) -> Vec<Value> {
        if settings.form == Form::Annotations {
            return vec![ingress(plan, settings)];
        }
        let mut objects = Vec::new();
        let namespace = plan.ingress.namespace.as_deref();
        for (at, host) in plan.hosts.iter().enumerate() {
            let chain = middlewares::of_host(plan, host, settings);
            let names: Vec<&str> = chain.iter().map(|(name, _)| &**name).collect();
            let name = match at {
                0 => plan.ingress.name.clone(),
                at => format!("{}-{}", plan.ingress.name, at + 1),
            };
            let route = match settings.form {
                Form::Gateway => http_route(plan, host, &names, settings),
                _ => ingress_route(plan, host, &names),
            };
            for (name, spec) in &chain {
                let key = (namespace.unwrap_or_default().to_owned(), name.clone());
                if self.middlewares.insert(key) {
                    objects.push(traefik("Middleware", name, namespace, spec));
                }
            }
            objects.push(match settings.form {
                Form::Gateway => gateway_object(&name, namespace, &route),
                _ => traefik("IngressRoute", &name, namespace, &route),
            });
        }
        objects
    }

    /// Returns the routes to the outpost, one for each host.
    pub(super) fn of_the_outpost(&self, plans: &[Plan<'_>], settings: &Settings) -> Vec<Value> {
        let mut hosts = BTreeSet::new();
        let mut objects = Vec::new();
        for plan in plans {
            for host in &plan.hosts {
                if hosts.insert(host.host) {
                    objects.push(outpost(plan, host, settings));
                }
            }
        }
        objects
    }
}

/// Returns the Ingress with its authentication at the outpost.
fn ingress(plan: &Plan<'_>, settings: &Settings) -> Value {
    let mut annotations: Map<String, Value> = plan
        .ingress
        .annotations
        .iter()
        .filter(|(key, _)| {
            let replaced = |(own, _): &(&str, &str)| key.strip_prefix(PREFIX) == Some(own);
            !EXTERNAL.iter().any(replaced)
                && *key != "kubectl.kubernetes.io/last-applied-configuration"
        })
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    annotations.insert(
        format!("{PREFIX}auth-url"),
        json!(settings.outpost.question),
    );
    annotations.insert(
        format!("{PREFIX}auth-response-headers"),
        json!(plan.answered_headers().join(",")),
    );
    let given = plan.ingress.object.get("metadata");
    let mut metadata = metadata(&plan.ingress.name, plan.ingress.namespace.as_deref());
    if let Some(labels) = given.and_then(|it| it.get("labels")) {
        metadata.insert("labels".into(), labels.clone());
    }
    metadata.insert("annotations".into(), annotations.into());
    let mut spec = plan.ingress.object.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("defaultBackend");
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
    })
}

fn metadata(name: &str, namespace: Option<&str>) -> Map<String, Value> {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(namespace) = namespace {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata
}

fn traefik(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({
        "apiVersion": "traefik.io/v1alpha1",
        "kind": kind,
        "metadata": metadata(name, namespace),
        "spec": spec,
    })
}

fn gateway_object(name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(name, namespace),
        "spec": spec,
    })
}

fn is_regex(plan: &Plan<'_>) -> bool {
    plan.ingress.says_yes("use-regex") || plan.ingress.annotation("rewrite-target").is_some()
}

fn ingress_route(plan: &Plan<'_>, host: &HostPlan<'_>, middlewares: &[&str]) -> Value {
    let middlewares: Vec<Value> = middlewares.iter().map(|it| json!({ "name": it })).collect();
    let protocol = plan
        .ingress
        .annotation("backend-protocol")
        .unwrap_or_default();
    let mut routes = Vec::new();
    for path in &host.paths {
        let mut rule = format!("Host(`{}`)", host.host);
        if let Some(paths) = path_rule(path, is_regex(plan)) {
            rule = format!("{rule} && {paths}");
        }
        let mut route = json!({ "kind": "Rule", "match": rule, "middlewares": middlewares });
        if let Some(service) = &path.backend.service {
            let service = json!({
                "name": service.name,
                "port": port(service),
                "scheme": scheme(protocol),
            });
            insert(&mut route, "services", json!([service]));
        }
        routes.push(route);
    }
    let mut spec = json!({ "entryPoints": entry_points(host), "routes": routes });
    if let Some(tls) = plan.ingress.tls_of(host.host) {
        let tls = match &tls.secret_name {
            Some(name) => json!({ "secretName": name }),
            None => json!({}),
        };
        insert(&mut spec, "tls", tls);
    }
    spec
}

/// Adds a key to an object.
fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn entry_points(host: &HostPlan<'_>) -> [&'static str; 1] {
    [if host.https { "websecure" } else { "web" }]
}

fn port(service: &Service) -> Value {
    match service.port.number {
        Some(number) => json!(number),
        None => json!(service.port.name),
    }
}

/// Returns Traefik's rule for a path, as its own provider for ingress-nginx writes it.
fn path_rule(path: &HttpPath, regex: bool) -> Option<String> {
    let text = &path.path;
    if text.is_empty() {
        return None;
    }
    if path.path_type == PathType::Exact {
        return Some(format!("Path(`{text}`)"));
    }
    if regex {
        return Some(format!("PathRegexp(`(?i)^{text}`)"));
    }
    if text == "/" || path.path_type == PathType::ImplementationSpecific {
        return Some(format!("PathPrefix(`{text}`)"));
    }
    let text = text.trim_end_matches('/');
    Some(format!("(Path(`{text}`) || PathPrefix(`{text}/`))"))
}

fn http_route(
    plan: &Plan<'_>,
    host: &HostPlan<'_>,
    middlewares: &[&str],
    settings: &Settings,
) -> Value {
    let filter = |name: &&str| {
        json!({
            "type": "ExtensionRef",
            "extensionRef": { "group": "traefik.io", "kind": "Middleware", "name": name },
        })
    };
    let filters: Vec<Value> = middlewares.iter().map(filter).collect();
    let mut rules = Vec::new();
    for path in &host.paths {
        let value = if path.path.is_empty() {
            "/"
        } else {
            &path.path
        };
        let path_match = match path.path_type {
            PathType::Exact => json!({ "type": "Exact", "value": value }),
            _ if is_regex(plan) => {
                json!({ "type": "RegularExpression", "value": format!("(?i)^{value}") })
            }
            _ => json!({ "type": "PathPrefix", "value": value }),
        };
        let mut rule = json!({ "matches": [{ "path": path_match }], "filters": filters });
        if let Some(service) = &path.backend.service {
            let service = json!({ "name": service.name, "port": port(service) });
            insert(&mut rule, "backendRefs", json!([service]));
        }
        rules.push(rule);
    }
    json!({ "parentRefs": parents(settings), "hostnames": [host.host], "rules": rules })
}

fn parents(settings: &Settings) -> Value {
    let (namespace, name) = &settings.gateway;
    json!([{ "namespace": namespace, "name": name }])
}

/// Returns the route to the outpost at a host.
fn outpost(plan: &Plan<'_>, host: &HostPlan<'_>, settings: &Settings) -> Value {
    let (service, port) = (&settings.outpost.name, settings.outpost.port);
    let namespace = Some(settings.outpost.namespace.as_str());
    let name = format!("gatepost-{}", host.host);
    let prefix = OutpostPrefix::default();
    match settings.form {
        Form::Annotations => {
            let backend = json!({ "service": { "name": service, "port": { "number": port } } });
            let path = |(path, kind): (&str, PathType)| {
                let kind = if kind == PathType::Exact {
                    "Exact"
                } else {
                    "Prefix"
                };
                json!({ "path": format!("{prefix}{path}"), "pathType": kind, "backend": backend })
            };
            let paths: Vec<Value> = PATHS.into_iter().map(path).collect();
            let mut metadata = metadata(&name, namespace);
            let class = plan.ingress.annotations.get("kubernetes.io/ingress.class");
            if let Some(class) = class {
                let annotations = json!({ "kubernetes.io/ingress.class": class });
                metadata.insert("annotations".to_owned(), annotations);
            }
            let mut spec = json!({ "rules": [{ "host": host.host, "http": { "paths": paths } }] });
            if let Some(class) = &plan.ingress.spec.ingress_class_name {
                insert(&mut spec, "ingressClassName", json!(class));
            }
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": metadata,
                "spec": spec,
            })
        }
        Form::Crds => {
            let mut spec = json!({
                "entryPoints": entry_points(host),
                "routes": [{
                    "kind": "Rule",
                    "match": outpost_rule(host.host, &prefix),
                    "priority": ABOVE_ALL,
                    "services": [{ "name": service, "port": port }],
                }],
            });
            if host.https {
                // By the name in the handshake, Traefik finds the certificate of the application's route.
                insert(&mut spec, "tls", json!({}));
            }
            traefik("IngressRoute", &name, namespace, &spec)
        }
        Form::Gateway => {
            let path = |(path, kind): (&str, PathType)| {
                let kind = if kind == PathType::Exact {
                    "Exact"
                } else {
                    "PathPrefix"
                };
                json!({ "path": { "type": kind, "value": format!("{prefix}{path}") } })
            };
            let matches: Vec<Value> = PATHS.into_iter().map(path).collect();
            let spec = json!({
                "parentRefs": parents(settings),
                "hostnames": [host.host],
                "rules": [{
                    "matches": matches,
                    "backendRefs": [{ "name": service, "port": port }],
                }],
            });
            gateway_object(&name, namespace, &spec)
        }
    }
}
