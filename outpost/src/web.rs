//! The endpoints.
//!
//! Fail closed by construction: every endpoint returns an [`Answer`], whose [`Outcome`] has no
//! default and no conversion from nothing. A request may go upstream only with
//! [`Outcome::Pass`], which is made from a permit of the shared policy and nothing else; any
//! other outcome, whatever it says to the browser, has a status that no proxy takes for consent
//! ([`Answer::into_response`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use gatepost_policy::Presentation;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, StatusCode};
use tracing::Instrument as _;

use crate::outpost::{Deployment, Outpost};
use crate::pages::{Language, Reader};
use crate::telemetry::metrics::{self, Timings};
use crate::telemetry::traces;
use gatepost_base::contained::{Panicked, contained};

mod backchannel_logout;
mod callback;
mod choice;
mod correlation;
mod denied;
mod endpoint;
mod failure;
mod forward_auth;
mod loops;
mod machine;
mod outcome;
mod question;
mod session;
mod sign_out;
mod start;
mod visit;

use correlation::Correlation;
use endpoint::NO_ENDPOINT;
pub use endpoint::{Dialect, Endpoint, OwnEndpoint};
pub use failure::{Failure, LoopCause};
pub use outcome::{Answer, Channel, Outcome, Pass};
pub use question::Question;
pub use visit::Visit;

/// The service of the public listener.
///
/// One fallback and no routes: which endpoint a path means is decided by [`Endpoint::of`], for the
/// request itself and for the one that a proxy asks about.
pub fn router(outpost: Arc<Outpost>) -> Router {
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
    let deployment = service.outpost.deployment();
    let correlation = Correlation::of(&parts.headers);
    let visit = Visit::direct(
        &parts,
        peer.ip(),
        &deployment.trusted_proxies,
        &deployment.applications,
    );
    let span = traces::request(&parts.method, &parts.headers, visit.has_trusted_peer());
    let lines = correlation.span(traces::trace_id(&span).as_deref());
    let work = respond(&service, &deployment, &visit, &parts, body)
        .instrument(span.clone())
        .instrument(lines);
    let mut response = contained(work)
        .await
        .unwrap_or_else(|Panicked| lost_to_a_bug());
    traces::answered(&span, response.status());
    response.headers_mut().extend(correlation.header());
    response
}

/// The answer to a request of which nothing is left that could answer it.
fn lost_to_a_bug() -> Response {
    metrics::failed("panic");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Answers one request. No endpoint but one reads a body.
async fn respond(
    service: &Service,
    deployment: &Deployment,
    visit: &Visit<'_>,
    parts: &http::request::Parts,
    body: Body,
) -> Response {
    let begun = Instant::now();
    let site = Site {
        outpost: &service.outpost,
        deployment,
    };
    let applications = &deployment.applications;
    let found = Endpoint::of(visit.target_str(), applications, visit.host());
    let named = found.map_or(NO_ENDPOINT, Endpoint::name);
    traces::routed(&parts.method, named);
    let (channel, presentation, answer) = match found {
        Some(Endpoint::Auth(question)) => {
            let (presentation, answer) = site.forward_auth(question, visit, parts).await;
            let channel = Channel::ForwardAuth(question.dialect);
            (channel, presentation, answer)
        }
        Some(Endpoint::Own(endpoint)) => (
            Channel::Direct,
            visit.presentation(),
            Box::pin(site.own_endpoint(endpoint, visit)).await,
        ),
        Some(Endpoint::BackchannelLogout) => (
            Channel::Direct,
            Presentation::Data,
            site.backchannel_logout(visit, parts, body).await,
        ),
        Some(Endpoint::Ping) => (Channel::Direct, visit.presentation(), Outcome::Alive.into()),
        None => (Channel::Direct, visit.presentation(), site.elsewhere(visit)),
    };
    if let Some(verdict) = answer.outcome.verdict() {
        traces::decided(verdict);
    }
    let reader = Reader {
        pages: &deployment.pages,
        language: Language::accepted(visit.header_text("accept-language")),
    };
    let response = answer.into_response(channel, presentation, reader);
    service.timings.note(named, begun.elapsed());
    response
}

/// An outpost with the configuration of the moment.
#[derive(Clone, Copy)]
struct Site<'a> {
    outpost: &'a Outpost,
    deployment: &'a Deployment,
}

impl Site<'_> {
    async fn own_endpoint(self, endpoint: OwnEndpoint, visit: &Visit<'_>) -> Answer {
        if let Some(peer) = visit.untrusted_forwarder() {
            self.deployment.untrusted_peer_warning.note(peer);
        }
        if endpoint != OwnEndpoint::Session
            && let Err(too_many) = self.deployment.limits.count(visit.client())
        {
            return Failure::from(too_many).into();
        }
        let application = match visit.application(&self.deployment.applications) {
            Ok(application) => application,
            Err(failure) => return failure.into(),
        };
        traces::is_for(application.audience.as_str());
        let allowed = match endpoint {
            OwnEndpoint::Start | OwnEndpoint::Session => {
                matches!(*visit.method(), Method::GET | Method::HEAD)
            }
            // A HEAD would use the code up.
            OwnEndpoint::Callback => *visit.method() == Method::GET,
            OwnEndpoint::SignOut => matches!(*visit.method(), Method::GET | Method::POST),
        };
        if !allowed {
            return Failure::MethodNotAllowed.into();
        }
        match endpoint {
            OwnEndpoint::Start => self.start(application, visit).await,
            OwnEndpoint::Callback => self.callback(application, visit).await,
            OwnEndpoint::SignOut => self.sign_out(application, visit).await,
            OwnEndpoint::Session => self.session(application, visit).await,
        }
    }

    /// What lies outside of the prefixes: nothing, but the start page of an outpost that has a
    /// host of its own.
    fn elsewhere(self, visit: &Visit<'_>) -> Answer {
        match visit.application(&self.deployment.applications) {
            Ok(application)
                if visit.path() == "/"
                    && *visit.method() == Method::GET
                    && matches!(application.mode, crate::origin::Mode::Domain(_))
                    && visit
                        .host()
                        .is_some_and(|h| h.host() == application.external.host()) =>
            {
                let origin = application.external.origin();
                Outcome::Redirect {
                    to: format!("{origin}{}/session", application.prefix),
                }
                .into()
            }
            Ok(_) => Failure::NotFound.into(),
            Err(failure) => failure.into(),
        }
    }
}
