//! As much of the Kubernetes API as Traefik's providers ask for: lists of the objects in some
//! manifests, and watches in which nothing happens.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::server::{Server, listen_on};
use crate::site::Site;

/// A cluster with these objects, until it is dropped.
#[derive(Debug)]
pub struct KubeApi {
    _server: Server,
    port: u16,
}

impl KubeApi {
    /// Listens on a port of the site for a cluster with these objects and the Service of the
    /// outpost, in which the site's apps and its outpost are the pods.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`], or when one of the Services is of nothing in the site.
    pub fn of_site(site: &Site, mut objects: Vec<Value>) -> Result<Self> {
        objects.push(outpost_service());
        let ports = *site.ports();
        Self::start(ports.extra, &objects, |service| match service {
            "wiki" => Ok(ports.wiki),
            "files" => Ok(ports.files),
            "gatepost" => Ok(ports.outpost),
            other => bail!("no Service {other}"),
        })
    }

    /// Listens on a port of 127.0.0.1, without TLS.
    ///
    /// As a cluster does, it adds an EndpointSlice for each Service; `port` says on which port of
    /// 127.0.0.1 the pods of a Service listen.
    ///
    /// # Errors
    ///
    /// When the port is taken or a manifest lacks what every manifest has.
    pub fn start(at: u16, manifests: &[Value], port: impl Fn(&str) -> Result<u16>) -> Result<Self> {
        let mut objects = Vec::new();
        for manifest in manifests {
            let mut object = manifest.clone();
            let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
            let metadata = metadata.context("a manifest has metadata")?;
            metadata
                .entry("namespace")
                .or_insert_with(|| "default".into());
            metadata.insert("resourceVersion".into(), "1".into());
            if manifest.get("kind").and_then(Value::as_str) == Some("Service") {
                objects.push(endpoint_slice(metadata, &object_ports(manifest)?, &port)?);
            }
            objects.push(object);
        }
        let router = Router::new().fallback(serve).with_state(Arc::new(objects));
        let server = Server::start("Kubernetes API", || listen_on(at), router)?;
        Ok(Self {
            _server: server,
            port: at,
        })
    }

    /// Returns the settings by which one of Traefik's providers reads from here.
    pub fn traefik_access(&self) -> Value {
        json!({ "endpoint": format!("http://127.0.0.1:{}", self.port) })
    }
}

/// Returns the Service of an app.
pub fn app_service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] },
    })
}

/// Returns the outpost's Service, where the manifests of applications look for it.
fn outpost_service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "gatepost", "namespace": "gatepost" },
        "spec": { "ports": [{ "name": "http", "port": 9000 }] },
    })
}

fn object_ports(service: &Value) -> Result<Vec<Value>> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    Ok(ports.context("a Service has ports")?.clone())
}

/// Returns the addresses of the pods of a Service.
fn endpoint_slice(
    service: &Map<String, Value>,
    ports: &[Value],
    port: &impl Fn(&str) -> Result<u16>,
) -> Result<Value> {
    let name = service.get("name").and_then(Value::as_str);
    let name = name.context("a Service has a name")?;
    let ports = ports
        .iter()
        .map(|shown| {
            let name = shown.get("name").cloned().unwrap_or_else(|| "".into());
            Ok(json!({ "name": name, "port": port(service_name(service))?, "protocol": "TCP" }))
        })
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-1"),
            "namespace": service.get("namespace"),
            "resourceVersion": "1",
            "labels": { "kubernetes.io/service-name": name },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["127.0.0.1"], "conditions": { "ready": true } }],
        "ports": ports,
    }))
}

fn service_name(metadata: &Map<String, Value>) -> &str {
    metadata
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

async fn serve(
    State(objects): State<Arc<Vec<Value>>>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let asks = |key: &str| {
        let set = |(own, value): &(String, String)| own == key && matches!(&**value, "1" | "true");
        query.iter().any(set)
    };
    if asks("sendInitialEvents") {
        // What a server answers that knows no streaming lists: the client then lists and watches.
        let status = json!({
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": "Invalid",
            "code": 422,
            "message": "sendInitialEvents is not known here",
        });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(status)).into_response();
    }
    if asks("watch") {
        let nothing = futures_util::stream::pending::<Result<String, Infallible>>();
        let kind = [(header::CONTENT_TYPE, "application/json")];
        return (kind, Body::from_stream(nothing)).into_response();
    }
    let items: Vec<&Value> = objects
        .iter()
        .filter(|object| is_of(object, request.uri().path()))
        .collect();
    // Without a kind: the client knows which it has requested.
    Json(json!({ "metadata": { "resourceVersion": "1" }, "items": items })).into_response()
}

/// Returns whether a path lists objects of this kind: `/api/v1/services`,
/// `/apis/traefik.io/v1alpha1/namespaces/default/middlewares`.
fn is_of(object: &Value, path: &str) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let version = match text("apiVersion") {
        version if version.contains('/') => format!("/apis/{version}/"),
        version => format!("/api/{version}/"),
    };
    let kind = text("kind").to_ascii_lowercase();
    let plural = match kind.strip_suffix("ss") {
        Some(stem) => format!("/{stem}sses"),
        None => format!("/{kind}s"),
    };
    path.starts_with(&version) && path.ends_with(&plural)
}
