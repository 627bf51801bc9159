//! The service of the metrics listener: what machines of the operator ask, never the public.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use serde_json::{Map, Value, json};

use crate::compat::AUTHENTIK_PING;
use crate::operator::{self, Unanswered};
use crate::outpost::Outpost;
use crate::telemetry::metrics::Metrics;

/// How long the store may take to answer before it counts as away.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The media type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who answers on the metrics listener.
#[derive(Clone)]
struct Operations {
    outpost: Arc<Outpost>,
    metrics: Metrics,
}

/// The service of the metrics listener.
///
/// - `/healthz`: the process lives. Nothing that it depends on takes part: restarting the outpost
///   would not bring a provider back.
/// - `/readyz`: sign-ins work; `/readyz/store` and `/readyz/providers` say one half each. Without
///   a provider those who are signed in go on, so taking the outpost out of service then would
///   make an outage of what is none: a load balancer asks `/readyz/store`.
/// - `/metrics`: Prometheus' text format.
/// - `/sessions`: what `gatepost session` asks, for whoever has the keys alone.
/// - `/traefik`: what Traefik's HTTP provider polls. Here, since it shows every application.
pub(super) fn router(outpost: Arc<Outpost>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(AUTHENTIK_PING, get(|| async { StatusCode::NO_CONTENT }))
        .route("/readyz", get(readiness))
        .route("/readyz/{part}", get(readiness_of))
        .route("/metrics", get(exposition))
        .route("/traefik", get(traefik_configuration))
        .route(operator::PATH, post(answer_operator))
        .layer(DefaultBodyLimit::max(operator::MAX_QUESTION_BYTES))
        .with_state(Operations { outpost, metrics })
}

/// Whether a part works, and what to tell an operator of it.
struct Part {
    ready: bool,
    shown: Value,
}

async fn store(outpost: &Outpost) -> Part {
    // Something is written: what can only be read keeps no session.
    let check = outpost.store.check_writable(outpost.clock.now());
    let error = match tokio::time::timeout(STORE_TIMEOUT, check).await {
        Ok(Ok(())) => {
            return Part {
                ready: true,
                shown: json!({"available": true}),
            };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", STORE_TIMEOUT.as_secs()),
    };
    Part {
        ready: false,
        shown: json!({"available": false, "error": error}),
    }
}

fn providers(outpost: &Outpost) -> Part {
    let deployment = outpost.deployment();
    let shown: Map<String, Value> = deployment
        .providers
        .iter()
        .map(|provider| {
            let state = if provider.is_available() {
                json!({"available": true})
            } else {
                json!({"available": false, "error": provider.last_error()})
            };
            (provider.settings().name.clone(), state)
        })
        .collect();
    let mut all = deployment.providers.iter();
    Part {
        ready: all.all(|provider| provider.is_available()),
        shown: shown.into(),
    }
}

fn status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn readiness(State(operations): State<Operations>) -> (StatusCode, String) {
    let store = store(&operations.outpost).await;
    let providers = providers(&operations.outpost);
    let ready = store.ready && providers.ready;
    let shown = json!({"ready": ready, "store": store.shown, "providers": providers.shown});
    (status(ready), format!("{shown}\n"))
}

async fn readiness_of(State(operations): State<Operations>, Path(part): Path<String>) -> Response {
    let part = match part.as_str() {
        "store" => store(&operations.outpost).await,
        "providers" => providers(&operations.outpost),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    (status(part.ready), format!("{}\n", part.shown)).into_response()
}

async fn exposition(
    State(operations): State<Operations>,
) -> ([(HeaderName, &'static str); 1], String) {
    for provider in &operations.outpost.deployment().providers {
        crate::telemetry::metrics::provider_is(&provider.settings().name, provider.is_available());
    }
    ([(CONTENT_TYPE, PROMETHEUS)], operations.metrics.render())
}

async fn traefik_configuration(
    State(operations): State<Operations>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    match &operations.outpost.deployment().traefik {
        Some(text) => Ok(([(CONTENT_TYPE, "application/json")], text.clone())),
        None => Err(StatusCode::NOT_FOUND),
    }
}

async fn answer_operator(
    State(operations): State<Operations>,
    question: String,
) -> (StatusCode, String) {
    match operations.outpost.answer_operator(&question).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => {
            let status = match &error {
                Unanswered::Refused => StatusCode::FORBIDDEN,
                Unanswered::NotASession => StatusCode::BAD_REQUEST,
                Unanswered::Store(_) | Unanswered::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n"))
        }
    }
}
