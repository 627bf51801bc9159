//! What objects of one kind have in common.

use serde_json::{Map, Value, json};

use super::super::host_plan::HostPlan;
use super::super::json::insert;
use super::super::settings::Settings;

pub(super) fn metadata(name: &str, namespace: Option<&str>) -> Map<String, Value> {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(namespace) = namespace {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata
}

pub(super) fn traefik(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({
        "apiVersion": "traefik.io/v1alpha1",
        "kind": kind,
        "metadata": metadata(name, namespace),
        "spec": spec,
    })
}

pub(super) fn gateway_object(name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(name, namespace),
        "spec": spec,
    })
}

pub(super) fn entry_points(host: &HostPlan<'_>) -> [&'static str; 1] {
    [if host.https { "websecure" } else { "web" }]
}

pub(super) fn parents(plan: &HostPlan<'_>, settings: &Settings) -> Value {
    let gateway = &settings.gateway;
    let mut parent = json!({ "namespace": gateway.namespace, "name": gateway.name });
    if let (true, Some(section)) = (plan.https, &gateway.section) {
        insert(&mut parent, "sectionName", json!(section));
    }
    json!([parent])
}
