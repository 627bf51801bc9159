//! As much of the Docker Engine API as Traefik's docker provider asks for: containers and their
//! labels, on a unix socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::server::Server;

/// The version of the API that is spoken, and its oldest.
const API_VERSION: &str = "1.44";

/// A container that is running.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An engine with these containers, all of them at 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct DockerApi {
    _server: Server,
}

impl DockerApi {
    /// Listens on a unix socket.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub fn start(socket: &Path, containers: Vec<Container>) -> Result<Self> {
        // The client puts the version that it has settled on in front of the path.
        let routes = Router::new()
            .route("/version", get(version))
            .route("/containers/json", get(list))
            .route("/containers/{id}/json", get(inspect))
            .route("/events", get(events));
        let router = Router::new()
            .route("/_ping", get(ping))
            .nest("/v1.44", routes)
            .with_state(Arc::new(containers));
        let socket = socket.to_owned();
        let server = Server::start("docker API", move || UnixListener::bind(socket), router)?;
        Ok(Self { _server: server })
    }
}

type Containers = State<Arc<Vec<Container>>>;

async fn ping() -> impl IntoResponse {
    ([("Api-Version", API_VERSION), ("Ostype", "linux")], "OK")
}

async fn version() -> Json<Value> {
    Json(json!({
        "Version": "27.0.0",
        "ApiVersion": API_VERSION,
        "MinAPIVersion": API_VERSION,
        "Os": "linux",
        "Arch": "amd64",
    }))
}

async fn list(State(containers): Containers) -> Json<Value> {
    let summary = |container: &Container| json!({ "Id": container.name, "State": "running" });
    Json(containers.iter().map(summary).collect())
}

async fn inspect(
    State(containers): Containers,
    Segments(id): Segments<String>,
) -> Result<Json<Value>, StatusCode> {
    let container = containers.iter().find(|container| container.name == id);
    let container = container.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({
        "Id": container.name,
        "Name": format!("/{}", container.name),
        "State": { "Status": "running", "Running": true },
        "Config": { "Labels": container.labels },
        "HostConfig": { "NetworkMode": "gatepost_default" },
        "NetworkSettings": {
            // As images say, whatever the labels say of a port.
            "Ports": { "80/tcp": null },
            "Networks": { "gatepost_default": { "NetworkID": "1", "IPAddress": "127.0.0.1" } },
        },
    })))
}

/// Sends no event, for as long as a client listens.
async fn events() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<String, Infallible>>())
}
