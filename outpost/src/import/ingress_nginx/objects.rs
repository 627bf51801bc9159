//! The objects to apply.

use std::collections::BTreeSet;

use gatepost_policy::OutpostPrefix;
use serde_json::{Map, Value, json};

use super::addresses;
use super::annotations::{EXTERNAL, scheme, value_for_traefik};
use super::documents::Documents;
use super::headers;
use super::host_plan::HostPlan;
use super::ingress::{Ingress, PREFIX, PathType, Service};
use super::location::Location;
use super::middlewares;
use super::order::RULES_OF_A_ROUTE;
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

/// Above what the length of another provider's rule can be.
const BASE: usize = 100_000;

/// Returns what takes the place of the Ingresses, without the routes to the outpost.
pub(super) fn of_hosts(
    plans: &[HostPlan<'_>],
    documents: &Documents,
    settings: &Settings,
) -> Vec<Value> {
    if settings.form == Form::Annotations {
        let mut all: Vec<&Ingress> = Vec::new();
        for ingress in plans.iter().flat_map(HostPlan::printed) {
            if !all.iter().any(|known| std::ptr::eq(*known, ingress)) {
                all.push(ingress);
            }
        }
        let print = |it: &Ingress| ingress(it, plans, documents, settings);
        return all.into_iter().map(print).collect();
    }
    let mut objects = Objects::default();
    for plan in plans {
        objects.add_host(plan, documents, settings);
    }
    objects.all
}

#[derive(Debug, Default)]
struct Objects {
    all: Vec<Value>,
    names: BTreeSet<(String, String, String)>,
}

impl Objects {
    fn add(&mut self, kind: &str, name: &str, namespace: Option<&str>, object: Value) {
        let namespace = namespace.unwrap_or_default().to_owned();
        if self
            .names
            .insert((kind.to_owned(), namespace, name.to_owned()))
        {
            self.all.push(object);
        }
    }

    /// Adds a host's routes, in the namespaces of their Services.
    fn add_host(&mut self, plan: &HostPlan<'_>, documents: &Documents, settings: &Settings) {
        let forwarded = documents.controller.reads_forwarded_for();
        let mut namespaces: Vec<(Option<&str>, Vec<Value>)> = Vec::new();
        for (at, location) in plan.locations.iter().enumerate() {
            let namespace = location.ingress.namespace.as_deref();
            let chain = middlewares::of_location(plan, at, location, settings, forwarded);
            for (name, spec) in &chain {
                let object = traefik("Middleware", name, namespace, spec);
                self.add("Middleware", name, namespace, object);
            }
            let names: Vec<&str> = chain.iter().map(|(name, _)| &**name).collect();
            let route = match settings.form {
                Form::Gateway => http_rule(location, &names),
                _ => {
                    if unverified(location) {
                        let spec = json!({ "insecureSkipVerify": true });
                        let object = traefik("ServersTransport", UNVERIFIED, namespace, &spec);
                        self.add("ServersTransport", UNVERIFIED, namespace, object);
                    }
                    route(plan, at, location, &names)
                }
            };
            match namespaces.iter_mut().find(|(known, _)| *known == namespace) {
                Some((_, routes)) => routes.push(route),
                None => namespaces.push((namespace, vec![route])),
            }
        }
        for (namespace, routes) in namespaces {
            let name = format!("app-{}", plan.host);
            if settings.form == Form::Gateway {
                for (at, rules) in routes.chunks(RULES_OF_A_ROUTE).enumerate() {
                    let name = match at {
                        0 => name.clone(),
                        at => format!("part-{}.{name}", at + 1),
                    };
                    let spec = json!({
                        "parentRefs": parents(plan, settings),
                        "hostnames": [plan.host],
                        "rules": rules,
                    });
                    self.add(
                        "HTTPRoute",
                        &name,
                        namespace,
                        gateway_object(&name, namespace, &spec),
                    );
                }
                continue;
            }
            let mut spec = json!({ "entryPoints": entry_points(plan), "routes": routes });
            if plan.https {
                insert(&mut spec, "tls", tls(plan, namespace));
            }
            self.add(
                "IngressRoute",
                &name,
                namespace,
                traefik("IngressRoute", &name, namespace, &spec),
            );
        }
    }
}

/// Returns the certificate of a host's routes in a namespace. By the name in the handshake, Traefik
/// finds that of another namespace.
fn tls(plan: &HostPlan<'_>, namespace: Option<&str>) -> Value {
    let printed = plan.printed();
    let own = printed
        .iter()
        .filter(|it| it.namespace.as_deref() == namespace);
    let mut secrets = own.filter_map(|it| it.tls_of(plan.host)?.secret_name.as_ref());
    match secrets.next() {
        Some(name) => json!({ "secretName": name }),
        None => json!({}),
    }
}

/// Returns the routes to the outpost, one for each host.
pub(super) fn of_the_outpost(plans: &[HostPlan<'_>], settings: &Settings) -> Vec<Value> {
    plans.iter().map(|plan| outpost(plan, settings)).collect()
}

/// Returns the Ingress with its authentication at the outpost.
fn ingress(
    own: &Ingress,
    plans: &[HostPlan<'_>],
    documents: &Documents,
    settings: &Settings,
) -> Value {
    let mut annotations = Map::new();
    for (key, value) in &own.annotations {
        if key == "kubectl.kubernetes.io/last-applied-configuration" {
            continue;
        }
        let nginx_key = key.strip_prefix(PREFIX);
        let value = match nginx_key {
            // `kubectl apply` leaves what an object has and a file does not, unless it made it.
            Some(own) if EXTERNAL.iter().any(|(external, _)| *external == own) => "",
            Some("whitelist-source-range")
                if own.annotation("allowlist-source-range").is_some() =>
            {
                ""
            }
            Some(key) => value_for_traefik(own, key, value),
            None => value,
        };
        annotations.insert(key.clone(), json!(value));
    }
    let has_list = ["allowlist-source-range", "whitelist-source-range"];
    let everywhere = addresses::list(documents.controller.source_range());
    if !everywhere.is_empty() && !has_list.iter().any(|key| own.annotation(key).is_some()) {
        annotations.insert(
            format!("{PREFIX}allowlist-source-range"),
            json!(everywhere.join(",")),
        );
    }
    let of_own = |plan: &&HostPlan<'_>| own.hosts().any(|host| host == plan.host);
    let unknown = plans
        .iter()
        .filter(of_own)
        .flat_map(|plan| &plan.unknown_headers);
    annotations.insert(
        format!("{PREFIX}auth-url"),
        json!(settings.outpost.question),
    );
    annotations.insert(
        format!("{PREFIX}auth-response-headers"),
        json!(headers::answered(unknown).join(",")),
    );
    let mut metadata = metadata(&own.name, own.namespace.as_deref());
    if let Some(labels) = own.object.get("metadata").and_then(|it| it.get("labels")) {
        metadata.insert("labels".into(), labels.clone());
    }
    metadata.insert("annotations".into(), annotations.into());
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": own.object.get("spec").cloned().unwrap_or_default(),
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

/// The ServersTransport for Services on https, whose certificates nginx did not verify.
const UNVERIFIED: &str = "gatepost-unverified";

fn scheme_of(location: &Location<'_>) -> Option<&'static str> {
    scheme(
        location
            .ingress
            .annotation("backend-protocol")
            .unwrap_or_default(),
    )
}

fn unverified(location: &Location<'_>) -> bool {
    let verifies = location.ingress.set("proxy-ssl-verify") == Some("on");
    scheme_of(location) == Some("https") && !verifies
}

/// Returns a route of an IngressRoute.
fn route(plan: &HostPlan<'_>, at: usize, location: &Location<'_>, middlewares: &[&str]) -> Value {
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
            "scheme": scheme_of(location),
        });
        if unverified(location) {
            insert(&mut service, "serversTransport", json!(UNVERIFIED));
        }
        insert(&mut route, "services", json!([service]));
    }
    route
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

/// Returns a rule of an HTTPRoute.
fn http_rule(location: &Location<'_>, middlewares: &[&str]) -> Value {
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

fn parents(plan: &HostPlan<'_>, settings: &Settings) -> Value {
    let gateway = &settings.gateway;
    let mut parent = json!({ "namespace": gateway.namespace, "name": gateway.name });
    if let (true, Some(section)) = (plan.https, &gateway.section) {
        insert(&mut parent, "sectionName", json!(section));
    }
    json!([parent])
}

/// Returns the route to the outpost at a host.
fn outpost(host: &HostPlan<'_>, settings: &Settings) -> Value {
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
            let mut spec = json!({ "rules": [{ "host": host.host, "http": { "paths": paths } }] });
            let printed = host.printed();
            let mut classes = printed.iter().map(|it| &it.spec.ingress_class_name);
            if classes.any(|class| class.as_deref() == Some(&*settings.class)) {
                insert(&mut spec, "ingressClassName", json!(settings.class));
            } else {
                let annotations = json!({ "kubernetes.io/ingress.class": settings.class });
                metadata.insert("annotations".to_owned(), annotations);
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
                "parentRefs": parents(host, settings),
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
