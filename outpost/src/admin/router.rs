//! The routes of the metrics listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use serde_json::json;

use super::admin_error::AdminError;
use super::health;
use super::protocol::{MAX_REQUEST_BYTES, PATH};
use super::sessions;
use crate::compat::{AUTHENTIK_PING, AUTHENTIK_PING_WITH_SLASH};
use crate::runtime::Outpost;
use crate::telemetry::metrics::Metrics;

/// The media type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every request shares.
#[derive(Clone)]
struct Admin {
    outpost: Arc<Outpost>,
    metrics: Metrics,
}

/// Returns the service of the metrics listener.
///
/// - `/healthz`: the process runs. It checks nothing that the outpost depends on, since a restart
///   would not bring a provider back.
/// - `/readyz`: sign-ins work; `/readyz/applications` (they are known), `/readyz/store` and
///   `/readyz/providers` each check one part. Users who are signed in go on without store and
///   providers, so a load balancer asks `/readyz/applications`: taking every outpost out of service
///   for Redis or a provider would cause an outage.
/// - `/metrics`: Prometheus' text format.
/// - `/sessions`: what `gatepost session` and `gatepost key` ask. It answers only clients that have
///   the keys.
/// - `/traefik`: what Traefik's HTTP provider polls. Here, since it shows every application.
pub fn router(outpost: Arc<Outpost>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(AUTHENTIK_PING, get(ping))
        .route(AUTHENTIK_PING_WITH_SLASH, get(ping))
        .route("/readyz", get(readiness))
        .route("/readyz/{part}", get(readiness_of))
        .route("/metrics", get(exposition))
        .route("/traefik", get(traefik_configuration))
        .route(PATH, post(administer))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(Admin { outpost, metrics })
}

fn status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Answers authentik's health checks, by which a rolling update waits for an outpost: 204 once the
/// applications are known.
async fn ping(State(admin): State<Admin>) -> StatusCode {
    if health::applications(&admin.outpost).ready {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, String) {
    let applications = health::applications(&admin.outpost);
    let store = health::store(&admin.outpost).await;
    let providers = health::providers(&admin.outpost);
    let ready = applications.ready && store.ready && providers.ready;
    let shown = json!({
        "ready": ready,
        "applications": applications.shown,
        "store": store.shown,
        "providers": providers.shown,
    });
    (status(ready), format!("{shown}\n"))
}

async fn readiness_of(State(admin): State<Admin>, Path(part): Path<String>) -> Response {
    let part = match part.as_str() {
        "applications" => health::applications(&admin.outpost),
        "store" => health::store(&admin.outpost).await,
        "providers" => health::providers(&admin.outpost),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    (status(part.ready), format!("{}\n", part.shown)).into_response()
}

async fn exposition(State(admin): State<Admin>) -> ([(HeaderName, &'static str); 1], String) {
    for provider in &admin.outpost.snapshot().providers {
        crate::telemetry::metrics::set_provider_available(
            &provider.settings().name,
            provider.is_answering(),
        );
    }
    ([(CONTENT_TYPE, PROMETHEUS)], admin.metrics.render())
}

async fn traefik_configuration(
    State(admin): State<Admin>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    match &admin.outpost.snapshot().traefik {
        Some(text) => Ok(([(CONTENT_TYPE, "application/json")], text.clone())),
        None => Err(StatusCode::NOT_FOUND),
    }
}

async fn administer(State(admin): State<Admin>, request: String) -> (StatusCode, String) {
    match sessions::answer(&admin.outpost, &request).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => {
            let status = match &error {
                AdminError::Refused => StatusCode::FORBIDDEN,
                AdminError::InvalidSessionId => StatusCode::BAD_REQUEST,
                AdminError::Store(_) | AdminError::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n"))
        }
    }
}
