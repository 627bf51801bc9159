//! The service of the public listener: for each request its id, its spans, the time that it takes, and
//! a response whatever happens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use tracing::Instrument as _;

use super::context::Context;
use super::endpoint::{Endpoint, NO_ENDPOINT};
use super::request::ForwardedRequest;
use super::request_id::RequestId;
use super::response::respond_with;
use super::routing::route;
use crate::pages::{FailureCode, Language, Reader};
use crate::runtime::{Outpost, Snapshot};
use crate::telemetry::metrics::{self, Timings};
use crate::telemetry::traces;
use gatepost_base::contained::{Panicked, contained};

/// Returns the service of the public listener.
///
/// One fallback and no routes: [`Endpoint::of`] decides which endpoint a path belongs to, for the
/// request itself and for the one that a proxy asks about.
pub fn router(outpost: Arc<Outpost>) -> Router {
    let failures = FailureCode::ALL.iter().map(|code| code.as_str());
    metrics::start_at_zero(failures.chain([PANIC]));
    let service = Service {
        outpost,
        timings: Arc::new(Timings::of_requests(Endpoint::names())),
    };
    Router::new().fallback(serve).with_state(service)
}

/// What every request shares.
#[derive(Clone)]
struct Service {
    outpost: Arc<Outpost>,
    /// How long requests take, by endpoint.
    timings: Arc<Timings>,
}

async fn serve(
    State(service): State<Service>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let snapshot = service.outpost.snapshot();
    let request_id = RequestId::of(&parts.headers);
    let request = ForwardedRequest::direct(
        &parts,
        peer.ip(),
        &snapshot.trusted_proxies,
        &snapshot.applications,
    );
    let span = traces::request(&parts.method, &parts.headers, request.has_trusted_peer());
    let lines = request_id.span(traces::trace_id(&span).as_deref());
    let work = respond(&service, &snapshot, &request, &parts, body)
        .instrument(span.clone())
        .instrument(lines);
    let mut response = contained(work).await.unwrap_or_else(|Panicked| panicked());
    traces::answered(&span, response.status());
    response.headers_mut().extend(request_id.header());
    response
}

/// The reason of such failures in metrics. No page shows it, so that it is no code of a failure.
const PANIC: &str = "panic";

/// Returns the response to a request whose handler panicked.
fn panicked() -> Response {
    metrics::failed(PANIC);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Responds to one request.
async fn respond(
    service: &Service,
    snapshot: &Snapshot,
    request: &ForwardedRequest<'_>,
    parts: &http::request::Parts,
    body: Body,
) -> Response {
    let begun = Instant::now();
    let context = Context {
        outpost: &service.outpost,
        snapshot,
    };
    let applications = &snapshot.applications;
    let endpoint = Endpoint::of(request.target_str(), applications, request.host());
    let name = endpoint.map_or(NO_ENDPOINT, Endpoint::name);
    traces::routed(&parts.method, name);
    let routed = route(context, endpoint, request, parts, body).await;
    if let Some(verdict) = routed.reply.outcome.verdict() {
        traces::decided(verdict);
    }
    let reader = Reader {
        pages: &snapshot.pages,
        language: Language::accepted(request.header_text("accept-language")),
    };
    let response = respond_with(routed.reply, routed.channel, routed.presentation, reader);
    service.timings.note(name, begun.elapsed());
    response
}
