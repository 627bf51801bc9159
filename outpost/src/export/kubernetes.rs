//! Objects for Traefik on Kubernetes.

use serde_json::{Map, Value, json};

use super::dynamic::{entries, server};

/// Returns middlewares and IngressRoutes. The first label of an upstream's host is the name of its
/// service, the second its namespace.
pub fn objects(dynamic: &Value) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut document = |kind: &str, name: &str, spec: Value| {
        documents.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": object_name(name)},
            "spec": spec,
        }));
    };
    for (name, middleware) in entries(dynamic, "middlewares") {
        document("Middleware", name, middleware.clone());
    }
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        let Some(url) = url else {
            continue;
        };
        let host = url.host_str().unwrap_or_default();
        let mut labels = host.split('.');
        let mut own = Map::from_iter([
            ("name".to_owned(), json!(labels.next())),
            ("port".to_owned(), json!(url.port_or_known_default())),
        ]);
        if let Some(namespace) = labels.next() {
            own.insert("namespace".to_owned(), json!(namespace));
        }
        let middlewares: Vec<Value> = router
            .get("middlewares")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| json!({"name": object_name(name)}))
            .collect();
        let mut route = Map::from_iter([
            ("kind".to_owned(), json!("Rule")),
            (
                "match".to_owned(),
                router.get("rule").cloned().unwrap_or_default(),
            ),
            ("services".to_owned(), json!([own])),
        ]);
        if !middlewares.is_empty() {
            route.insert("middlewares".to_owned(), middlewares.into());
        }
        let mut spec = Map::from_iter([("routes".to_owned(), json!([route]))]);
        for key in ["entryPoints", "tls"] {
            if let Some(value) = router.get(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
        document("IngressRoute", name, spec.into());
    }
    documents
}

/// Returns a name in the form that Kubernetes accepts (RFC 1123).
pub(super) fn object_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || c == '-' => c.to_ascii_lowercase(),
            _ => '-',
        })
        .collect();
    name.trim_matches('-').to_owned()
}
