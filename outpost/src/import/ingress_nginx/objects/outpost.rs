//! The route to the outpost at a host.

use gatepost_policy::OutpostPrefix;
use serde_json::{Value, json};

use super::super::host_plan::HostPlan;
use super::super::ingress::PathType;
use super::super::json::insert;
use super::super::settings::{Form, Settings};
use super::shape::{entry_points, gateway_object, metadata, parents, traefik};
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

/// Returns the route to the outpost at a host.
pub(super) fn outpost(host: &HostPlan<'_>, settings: &Settings) -> Value {
    let name = format!("gatepost-{}", host.host);
    match settings.form {
        Form::Annotations => by_annotations(&name, host, settings),
        Form::Crds => by_crds(&name, host, settings),
        Form::Gateway => by_gateway(&name, host, settings),
    }
}

/// Returns the paths with the words of a kind of object for a whole path and for its beginning.
fn paths(
    exact: &'static str,
    prefix: &'static str,
) -> impl Iterator<Item = (String, &'static str)> {
    let outpost = OutpostPrefix::default();
    PATHS.into_iter().map(move |(path, kind)| {
        let is_exact = kind == PathType::Exact;
        (
            format!("{outpost}{path}"),
            if is_exact { exact } else { prefix },
        )
    })
}

fn by_annotations(name: &str, host: &HostPlan<'_>, settings: &Settings) -> Value {
    let (service, port) = (&settings.outpost.name, settings.outpost.port);
    let backend = json!({ "service": { "name": service, "port": { "number": port } } });
    let paths: Vec<Value> = paths("Exact", "Prefix")
        .map(|(path, kind)| json!({ "path": path, "pathType": kind, "backend": backend }))
        .collect();
    let mut metadata = metadata(name, Some(&settings.outpost.namespace));
    let mut spec = json!({ "rules": [{ "host": host.host, "http": { "paths": paths } }] });
    let printed = host.printed();
    // The field, where the cluster has such an IngressClass.
    let mut fields = printed
        .iter()
        .filter_map(|it| it.spec.ingress_class_name.as_deref());
    let field = fields.find(|class| settings.has_class(Some(class)));
    let mut annotations = printed.iter().filter_map(|it| it.class());
    if let Some(class) = field {
        insert(&mut spec, "ingressClassName", json!(class));
    } else if let Some(class) = annotations.next() {
        let annotations = json!({ "kubernetes.io/ingress.class": class });
        metadata.insert("annotations".to_owned(), annotations);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
    })
}

fn by_crds(name: &str, host: &HostPlan<'_>, settings: &Settings) -> Value {
    let mut spec = json!({
        "entryPoints": entry_points(host),
        "routes": [{
            "kind": "Rule",
            "match": outpost_rule(host.host, &OutpostPrefix::default()),
            "priority": ABOVE_ALL,
            "services": [{ "name": settings.outpost.name, "port": settings.outpost.port }],
        }],
    });
    if host.https {
        // By the name in the handshake, Traefik finds the certificate of the application's route.
        insert(&mut spec, "tls", json!({}));
    }
    traefik(
        "IngressRoute",
        name,
        Some(&settings.outpost.namespace),
        &spec,
    )
}

fn by_gateway(name: &str, host: &HostPlan<'_>, settings: &Settings) -> Value {
    let matches: Vec<Value> = paths("Exact", "PathPrefix")
        .map(|(path, kind)| json!({ "path": { "type": kind, "value": path } }))
        .collect();
    let spec = json!({
        "parentRefs": parents(host, settings),
        "hostnames": [host.host],
        "rules": [{
            "matches": matches,
            "backendRefs": [{ "name": settings.outpost.name, "port": settings.outpost.port }],
        }],
    });
    gateway_object(name, Some(&settings.outpost.namespace), &spec)
}
