//! Chooses the handler of a request.

use axum::body::Body;
use gatepost_policy::{Presentation, Request as _, asks_for_websocket};
use http::{Method, request};

use super::context::Context;
use super::endpoint::{Endpoint, OwnEndpoint};
use super::failure::Failure;
use super::handlers::{
    assertion_keys, authorization_server, backchannel_logout, callback, client_registration,
    device, forward_auth, renewal, resource_metadata, session, sign_out, start,
};
use super::outcome::{Channel, Outcome, Reply};
use super::request::ForwardedRequest;
use super::subrequest::Subrequest;
use crate::compat::{self, Conventions};
use crate::dialect::Dialect;
use crate::origin::Mode;
use crate::telemetry::traces;

/// The most characters of a path that are logged.
const MOST_OF_A_PATH: usize = 100;

/// A reply, and how it leaves.
pub(super) struct Routed {
    pub(super) channel: Channel,
    pub(super) presentation: Presentation,
    pub(super) reply: Reply,
}

/// Has the handler of `endpoint` answer a request. Only those of logout tokens, of callbacks and of the
/// registration of clients read a body.
pub(super) async fn route(
    context: Context<'_>,
    endpoint: Option<Endpoint<'_>>,
    request: &ForwardedRequest<'_>,
    parts: &request::Parts,
    body: Body,
) -> Routed {
    let presentation = request.presentation();
    let reply = match endpoint {
        Some(Endpoint::Auth(subrequest)) => {
            return route_subrequest(context, subrequest, request, parts).await;
        }
        Some(Endpoint::Own(endpoint)) => {
            let form = Some((parts, body));
            Box::pin(own_endpoint(context, endpoint, request, form)).await
        }
        Some(Endpoint::BackchannelLogout) => {
            return Routed {
                channel: Channel::Direct,
                presentation: Presentation::Data,
                reply: backchannel_logout::answer(context, request, parts, body).await,
            };
        }
        Some(Endpoint::DeviceOrigins) => device::origins(context, request),
        Some(Endpoint::AssertionKeys) => assertion_keys::answer(context, request),
        Some(Endpoint::Ping) => Outcome::Alive.into(),
        None => elsewhere(context, request),
    };
    Routed {
        channel: Channel::Direct,
        presentation,
        reply,
    }
}

/// Answers a proxy that asks about a request, as the sender of that request expects it.
async fn route_subrequest<'a>(
    context: Context<'_>,
    subrequest: Subrequest<'a>,
    asking: &ForwardedRequest<'a>,
    parts: &'a request::Parts,
) -> Routed {
    let channel = Channel::ForwardAuth(subrequest.dialect);
    let (applications, askers) = (&context.snapshot.applications, &context.snapshot.askers);
    let described = subrequest
        .check_asked_by_proxy(asking, askers)
        .and_then(|()| subrequest.asked_about(asking, parts, applications));
    match described {
        Ok(request) => {
            let reply = answer_subrequest(context, subrequest, &request).await;
            Routed {
                channel,
                presentation: request.presentation(),
                reply: match subrequest.takes_cookies_over(applications) {
                    true => reply,
                    false => reply.without_cookies_of_clients(),
                },
            }
        }
        Err(failure) => Routed {
            channel,
            presentation: asking.presentation(),
            reply: failure.into(),
        },
    }
}

/// Answers a proxy: one of the outpost's own endpoints does where the proxy sends their paths here
/// too, the rule of the application otherwise.
async fn answer_subrequest(
    context: Context<'_>,
    subrequest: Subrequest<'_>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let dialect = subrequest.dialect;
    let application = match request.application(&context.snapshot.applications) {
        Ok(application) => application,
        Err(failure) => return failure.into(),
    };
    let Some(host) = request.host() else {
        return Failure::NoHost.into();
    };
    traces::record_application(application.audience().as_str());
    if !compat::is_shared_prefix(subrequest.prefix)
        && subrequest.prefix != application.prefix().as_str()
    {
        return Failure::OtherPrefix {
            own: application.prefix().clone(),
        }
        .into();
    }
    if request
        .header("upgrade")
        .is_some_and(|upgrade| !asks_for_websocket(&upgrade))
    {
        return Failure::Upgrade.into();
    }
    if !Endpoint::is_outposts(request.target_str(), application) {
        return forward_auth::answer(context, dialect, application, host, request).await;
    }
    // Where a proxy sends every path here, the browser's own endpoints answer in place, so that no
    // second route to the outpost is needed.
    match Endpoint::at(request.target_str(), application) {
        // Recipes for authentik route one generation of paths past the subrequest and get callbacks
        // on the other: `start`, where they send a refused request, takes them.
        Some(Endpoint::Own(OwnEndpoint::Callback))
            if dialect == Dialect::Nginx && application.conventions() == Conventions::Authentik =>
        {
            Outcome::sign_in(application, host, request).into()
        }
        _ if dialect == Dialect::Nginx => Failure::OwnPathAsked.into(),
        // What answers with success would be taken for consent: these need a route of their own.
        Some(Endpoint::Own(
            OwnEndpoint::Session
            | OwnEndpoint::Renewal
            | OwnEndpoint::DeviceRegistration
            | OwnEndpoint::DeviceRefresh
            | OwnEndpoint::ResourceMetadata
            | OwnEndpoint::AuthorizationServer
            | OwnEndpoint::ClientRegistration,
        ))
        | None => Failure::NotFound.into(),
        // Boxed because it is rare: its future would enlarge that of every request.
        Some(Endpoint::Own(endpoint)) => {
            // The proxy keeps the body of the request that it asks about.
            let reply = Box::pin(own_endpoint(context, endpoint, request, None)).await;
            if reply.registration.is_some() {
                application.note_unbindable();
            }
            reply
        }
        Some(
            Endpoint::Auth(_)
            | Endpoint::BackchannelLogout
            | Endpoint::DeviceOrigins
            | Endpoint::AssertionKeys
            | Endpoint::Ping,
        ) => Failure::NotFound.into(),
    }
}

/// Answers a browser at one of the outpost's own endpoints. `form` is what it may have posted.
async fn own_endpoint(
    context: Context<'_>,
    endpoint: OwnEndpoint,
    request: &ForwardedRequest<'_>,
    form: Option<(&request::Parts, Body)>,
) -> Reply {
    if let Some(peer) = request.untrusted_forwarder() {
        context.snapshot.untrusted_peer_warning.note(peer);
    }
    // A browser takes 429 for the end of a session that is bound to its device, and renewing one
    // costs no more than looking at it.
    let is_counted = match endpoint {
        OwnEndpoint::Start
        | OwnEndpoint::Callback
        | OwnEndpoint::SignOut
        | OwnEndpoint::Renewal
        | OwnEndpoint::ClientRegistration => true,
        OwnEndpoint::Session
        | OwnEndpoint::DeviceRegistration
        | OwnEndpoint::DeviceRefresh
        | OwnEndpoint::ResourceMetadata
        | OwnEndpoint::AuthorizationServer => false,
    };
    if is_counted && let Err(too_many) = context.snapshot.limits.count(request.client()) {
        return Failure::from(too_many).into();
    }
    let application = match request.application(&context.snapshot.applications) {
        Ok(application) => application,
        Err(failure) => return failure.into(),
    };
    traces::record_application(application.audience().as_str());
    let form = match form {
        Some((parts, body))
            if endpoint == OwnEndpoint::Callback && *request.method() == Method::POST =>
        {
            return callback::receive(context, application, request, parts, body).await;
        }
        form => form,
    };
    let allowed = match endpoint {
        OwnEndpoint::Start | OwnEndpoint::Session => {
            matches!(*request.method(), Method::GET | Method::HEAD)
        }
        // A HEAD would consume the code.
        OwnEndpoint::Callback | OwnEndpoint::Renewal => *request.method() == Method::GET,
        OwnEndpoint::SignOut => matches!(*request.method(), Method::GET | Method::POST),
        OwnEndpoint::DeviceRegistration | OwnEndpoint::DeviceRefresh => {
            *request.method() == Method::POST
        }
        OwnEndpoint::ClientRegistration => {
            matches!(*request.method(), Method::POST | Method::OPTIONS)
        }
        OwnEndpoint::ResourceMetadata | OwnEndpoint::AuthorizationServer => {
            matches!(
                *request.method(),
                Method::GET | Method::HEAD | Method::OPTIONS
            )
        }
    };
    if !allowed {
        return Failure::MethodNotAllowed.into();
    }
    match endpoint {
        OwnEndpoint::Start => start::answer(context, application, request).await,
        OwnEndpoint::Callback => callback::answer(context, application, request).await,
        OwnEndpoint::SignOut => sign_out::answer(context, application, request).await,
        OwnEndpoint::Session => session::answer(context, application, request).await,
        OwnEndpoint::Renewal => renewal::answer(context, application, request).await,
        OwnEndpoint::DeviceRegistration => device::register(context, application, request).await,
        OwnEndpoint::DeviceRefresh => device::refresh(context, application, request).await,
        OwnEndpoint::ResourceMetadata => resource_metadata::answer(context, application, request),
        OwnEndpoint::AuthorizationServer => authorization_server::answer(application, request),
        OwnEndpoint::ClientRegistration => {
            client_registration::answer(application, request, form).await
        }
    }
}

/// Answers a request outside of the prefixes: there is nothing but the start page of an outpost that
/// has a host of its own.
fn elsewhere(context: Context<'_>, request: &ForwardedRequest<'_>) -> Reply {
    match request.application(&context.snapshot.applications) {
        Ok(application)
            if request.path() == "/"
                && *request.method() == Method::GET
                && matches!(application.mode(), Mode::Domain(_))
                && request
                    .host()
                    .is_some_and(|h| h.host() == application.external().host()) =>
        {
            let origin = application.external().origin();
            Outcome::Redirect {
                to: format!("{origin}{}/session", application.prefix()),
            }
            .into()
        }
        // Elsewhere a path is an application's, and may hold a secret of it.
        Ok(application) if Endpoint::is_outposts(request.target_str(), application) => {
            Failure::NoSuchPath {
                path: request.path().chars().take(MOST_OF_A_PATH).collect(),
            }
            .into()
        }
        Ok(_) => Failure::NotFound.into(),
        Err(failure) => failure.into(),
    }
}
