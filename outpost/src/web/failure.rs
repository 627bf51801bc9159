//! The failures of the endpoints.

use std::net::IpAddr;
use std::sync::Arc;

use gatepost_policy::{InvalidDemand, OutpostPrefix, Unauthenticated};
use http::StatusCode;

use crate::application::NoApplication;
use crate::compat::Conventions;
use crate::device_bound::InvalidProof;
use crate::machine_clients::CheckError;
use crate::origin::HostPort;
use crate::pages::FailureCode;
use crate::rate_limit::TooMany;
use crate::sessions::{IssueError, RevalidationError};
use gatepost_base::Quoted;
use gatepost_oidc::{LogoutTokenError, SignInError};
use gatepost_store::StoreUnavailable;

/// Why an endpoint cannot answer a request.
///
/// `Display` is for the log; [`Failure::code`] is all that a browser learns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The request names no valid host.
    #[error("the request names no valid host")]
    NoHost,
    /// No application has this host.
    #[error("no application at this host: {host}; {}", host_is_set_by(*conventions))]
    UnknownHost {
        /// The host.
        host: HostPort,
        /// The conventions of the applications, which say where an operator sets a host.
        conventions: Conventions,
    },
    /// The application at this host is not served.
    #[error("{host}: {why}")]
    NotServed {
        /// The host.
        host: HostPort,
        /// Why not.
        why: NoApplication,
    },
    /// There is no endpoint at this path.
    #[error("no such endpoint")]
    NotFound,
    /// There is no endpoint at this path under the prefix, as where an operator has misspelt the address
    /// at which a proxy asks.
    #[error("no such endpoint: {}", Quoted(path))]
    NoSuchPath {
        /// The path, without its query.
        path: String,
    },
    /// The endpoint does not allow this method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The request asks to upgrade to another protocol than WebSocket.
    #[error("the client asks for another protocol than WebSocket in `Upgrade`")]
    Upgrade,
    /// The peer that asks about another request is not a trusted proxy.
    #[error(
        "{peer} is not in `trustedProxies`, so its forwarded headers are ignored: add it if it is a proxy of yours"
    )]
    UntrustedPeer {
        /// The peer.
        peer: IpAddr,
    },
    /// A trusted proxy does not say which request it asks about.
    #[error("the proxy sent no valid {0}")]
    Forwarded(&'static str),
    /// Two headers contradict each other, so one of them is the client's.
    #[error(
        "`{0}` contradicts the request that the proxy asks about: the client sent it, or the proxy \
         serves another host than it asks about; have the proxy set each header that the outpost reads"
    )]
    Contradicted(&'static str),
    /// What a proxy demands takes too long to apply.
    #[error(
        "`X-Gatepost-Require` has {}: name fewer in the plugin's rules; without a plugin in front, a client \
         sent it",
        InvalidDemand::TooLong
    )]
    TooMuchDemanded,
    /// No proxy asks in this dialect, by the configuration.
    #[error("a question at `{0}`, which `askedBy` does not name")]
    NotAskedBy(&'static str),
    /// The question is a client's own request, which a router has taken to the outpost.
    #[error(
        "a client asks at `{endpoint}` in a proxy's place (its `{sign}` says so): have the proxy \
         route no client to `auth/*`; or if this is Envoy, have it leave that header out \
         (`allowed_headers`), or name it in `askedBy`"
    )]
    AskedByClient {
        /// The endpoint.
        endpoint: &'static str,
        /// The header that shows it.
        sign: &'static str,
    },
    /// A proxy asks under the prefix of another application.
    #[error("the proxy asks under another application's prefix: this application has `{own}`")]
    OtherPrefix {
        /// The prefix of the application that it asks about.
        own: OutpostPrefix,
    },
    /// nginx asks about the outpost's own path, which must have `auth_request off`.
    #[error("the proxy asks about the outpost's own path: exclude it from the subrequest")]
    OwnPathAsked,
    /// A subresource or a script asks for a sign-in.
    #[error("a script or a subresource asked for a sign-in: only a page load can")]
    NotNavigation,
    /// Another site asks for a sign-out or a renewal, or a form is not of this site.
    #[error("another site asked for a sign-out or a renewal")]
    CrossSite,
    /// The callback belongs to no flow of this browser.
    #[error("the callback belongs to no sign-in of this browser, or to one that ended")]
    NoFlow,
    /// The callback's parameters are invalid.
    #[error("the callback's parameters are invalid")]
    MalformedCallback,
    /// The callback came to the redirect URI of another provider than the sign-in's.
    #[error("the callback came to the redirect URI of another provider than the sign-in's")]
    OtherProvider,
    /// The provider refused, in its own words.
    #[error(
        "the provider refused the sign-in: {}{}",
        Quoted(code),
        description.as_ref().map_or_else(String::new, |words| format!(", {}", Quoted(words)))
    )]
    ProviderRefused {
        /// The error code (OpenID Connect Core 1.0 §3.1.2.6).
        code: String,
        /// The provider's description of the error.
        description: Option<String>,
    },
    /// The sign-in failed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No session could be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A browser's proof for its session proves nothing, or cannot be judged now.
    #[error("{0}")]
    Device(#[from] DeviceFailure),
    /// The session would have to be bound to a device, and its browser has not done it.
    #[error("the browser has not bound the session to its device, which `deviceBound` requires")]
    NotBound,
    /// The browser has not bound the session to its device, and a rule asks for it.
    #[error("the browser has not bound the session to its device, which a rule asks for")]
    RuleNotBound,
    /// As [`Self::RuleNotBound`], and the browser has posted a form.
    #[error(
        "a form was not delivered: the session is not bound to a device, which a rule asks for"
    )]
    FormNotBound,
    /// A user has authenticated again, and the provider says less than what a rule asks for.
    #[error(
        "step-up failed: the provider's answer lacks the `acr`, `amr` or `auth_time` that a rule asks \
         for; compare the rule with the provider's settings"
    )]
    StepUp,
    /// Another user has authenticated than the one whose authentication does not suffice.
    #[error("step-up failed: another user has authenticated at the provider")]
    OtherUser,
    /// The browser may be about to bind the session.
    #[error("the browser has yet to bind the session to its device")]
    Binding,
    /// The client has to wait.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The logout token is invalid.
    #[error("the logout token is invalid: {0}")]
    LogoutToken(#[from] LogoutTokenError),
    /// The provider could not be asked about credentials.
    #[error("credentials cannot be checked: {0}")]
    Credentials(Arc<CheckError>),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The flow does not fit a cookie.
    #[error("the sign-in's state cannot be stored in a cookie")]
    FlowNotKept,
    /// The browser is in a redirect loop: its sessions are not accepted.
    #[error("redirect loop: {0}")]
    Loop(LoopCause),
    /// The decision depends on groups that are missing from the cookie and the store.
    #[error("the decision depends on groups that the store no longer has")]
    Undecidable,
}

/// Why a browser cannot bind its session to its device, or renew it with a proof.
///
/// A browser forgets a session at a response of 4xx, and tries again after one of 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFailure {
    /// Another site's page sent the request.
    #[error("another site sent the request")]
    CrossSite,
    /// A registration without a proof.
    #[error("the registration has no proof")]
    NoProof,
    /// A renewal that names no session.
    #[error("the renewal names no session")]
    NoSession,
    /// The proof is invalid.
    #[error("{0}")]
    Proof(InvalidProof),
    /// The challenge is not one of this outpost for this session, has expired or was used.
    #[error("the challenge is not one for this session, has expired, or was used")]
    Challenge,
    /// The browser's cookie is that of another session.
    #[error("the browser's cookie is that of another session")]
    OtherSession,
    /// Another key was registered for the session before.
    #[error("another device has registered its key for the session")]
    OtherDevice,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// There is no answer yet.
    #[error("the session cannot be renewed now")]
    Pending,
}

/// Why a browser is in a redirect loop, as far as its session cookie shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopCause {
    /// The browser has no session cookie, although the outpost has set some.
    #[error(
        "the browser does not send the session cookie back: compare the address that it uses with \
         `externalUrl` (scheme and host) and `cookieDomain`, and see whether the proxy passes \
         `Set-Cookie` on"
    )]
    NotKept,
    /// The outpost accepts the cookie, so the proxy does not.
    #[error(
        "the proxy does not accept the cookies of the outpost: compare keys, application name, cookie \
         name and clocks on both sides; over plain http, the plugin in its long form needs `plainHttp: \
         true`; and with `fallback: route` compare the word that routers match in `X-Gatepost-Verdict` \
         with the one that `gatepost check` prints"
    )]
    NotAccepted,
    /// The outpost accepts the cookie, and its store may not be the one that has the session.
    #[error(
        "the store does not have the session of the browser's cookie, or another replica's does: \
         sessions are in the memory of one process, and several replicas need one store \
         (`store.kind: redis`)"
    )]
    NotShared,
    /// The outpost does not accept the cookie itself.
    #[error(
        "the browser has the session cookie of another outpost ({0}): does another answer here?"
    )]
    Foreign(Unauthenticated),
}

/// Returns what an operator sets so that an application answers at a host.
fn host_is_set_by(conventions: Conventions) -> &'static str {
    match conventions {
        Conventions::Gatepost => {
            "an application answers at the host and port of its `externalUrl`, or below its \
             `cookieDomain`"
        }
        Conventions::Authentik => {
            "an application answers at the host and port of its provider's External host in \
             authentik, or at domain level below its cookie domain, also where there is one provider \
             alone: set the address that browsers use there, or give it a provider of its own"
        }
    }
}

impl From<RevalidationError> for Failure {
    fn from(error: RevalidationError) -> Self {
        match error {
            RevalidationError::Store(error) => Self::Store(error),
            RevalidationError::Provider(error) => Self::SignIn(error),
        }
    }
}

impl LoopCause {
    /// Returns the cause of a loop in which the browser has this session.
    pub fn of(session: Result<(), Unauthenticated>) -> Self {
        match session {
            Ok(()) => Self::NotAccepted,
            Err(Unauthenticated::NoCookie) => Self::NotKept,
            Err(reason) => Self::Foreign(reason),
        }
    }

    fn code(self) -> FailureCode {
        match self {
            Self::NotKept => FailureCode::RedirectLoopCookie,
            Self::Foreign(_) => FailureCode::RedirectLoopKeys,
            Self::NotShared => FailureCode::RedirectLoopStore,
            Self::NotAccepted => FailureCode::RedirectLoop,
        }
    }
}

/// What follows from a failure.
struct Class {
    /// Never one of success.
    status: StatusCode,
    code: FailureCode,
    whose: Whose,
}

/// Who has to act.
#[derive(PartialEq)]
enum Whose {
    /// The client, its user, or nobody.
    Clients,
    Operators,
}

impl Failure {
    /// Returns the status of the response. Never one of success.
    pub fn status(&self) -> StatusCode {
        self.class().status
    }

    /// Returns the code that pages, answers to scripts and metrics show.
    pub fn code(&self) -> FailureCode {
        self.class().code
    }

    /// Returns whether an operator has to act.
    pub fn is_operators(&self) -> bool {
        self.class().whose == Whose::Operators
    }

    /// Returns after how many seconds to try again, where that may help.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(too_many) => Some(too_many.retry_after),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        use FailureCode as Code;
        use Whose::{Clients, Operators};
        let (status, code, whose) = match self {
            Self::NoHost | Self::UnknownHost { .. } => {
                (StatusCode::NOT_FOUND, Code::UnknownHost, Clients)
            }
            Self::NotFound | Self::NoSuchPath { .. } | Self::NotAskedBy(_) => {
                (StatusCode::NOT_FOUND, Code::NotFound, Clients)
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                Code::MethodNotAllowed,
                Clients,
            ),
            Self::Upgrade => (StatusCode::FORBIDDEN, Code::MethodNotAllowed, Clients),
            Self::NotNavigation => (StatusCode::UNAUTHORIZED, Code::SignInRequired, Clients),
            Self::CrossSite => (StatusCode::FORBIDDEN, Code::CrossSite, Clients),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                Clients,
            ),
            // How the proxy is set up.
            Self::UntrustedPeer { .. } => (
                StatusCode::UNAUTHORIZED,
                Code::ProxyMisconfigured,
                Operators,
            ),
            Self::Forwarded(_)
            | Self::Contradicted(_)
            | Self::TooMuchDemanded
            | Self::OtherPrefix { .. } => {
                (StatusCode::BAD_REQUEST, Code::ProxyMisconfigured, Operators)
            }
            Self::AskedByClient { .. } | Self::OwnPathAsked => {
                (StatusCode::FORBIDDEN, Code::ProxyMisconfigured, Operators)
            }
            Self::NotServed {
                why: NoApplication::NotKnownYet(_),
                ..
            } => (StatusCode::SERVICE_UNAVAILABLE, Code::NotReady, Operators),
            Self::NotServed { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::ProxyMisconfigured,
                Operators,
            ),
            // The sign-in.
            Self::NoFlow => (StatusCode::BAD_REQUEST, Code::NoFlow, Clients),
            Self::MalformedCallback => (StatusCode::BAD_REQUEST, Code::MalformedCallback, Clients),
            Self::OtherProvider => (StatusCode::BAD_REQUEST, Code::OtherProvider, Clients),
            Self::ProviderRefused { code, .. } if code == "access_denied" => {
                (StatusCode::FORBIDDEN, Code::AccessDenied, Clients)
            }
            Self::ProviderRefused { .. } => {
                (StatusCode::BAD_REQUEST, Code::ProviderRefused, Clients)
            }
            Self::SignIn(SignInError::Unavailable(_) | SignInError::Unreachable { .. })
            | Self::Credentials(_)
            | Self::Issue(IssueError::Provider(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::ProviderUnavailable,
                Operators,
            ),
            Self::SignIn(
                SignInError::CodeRefused
                | SignInError::ClientRefused(_)
                | SignInError::Refused(_)
                | SignInError::ResponseIssuer,
            ) => (StatusCode::BAD_REQUEST, Code::SignInFailed, Operators),
            Self::SignIn(_) => (StatusCode::BAD_GATEWAY, Code::SignInFailed, Operators),
            Self::Loop(cause) => (StatusCode::BAD_REQUEST, cause.code(), Operators),
            Self::LogoutToken(LogoutTokenError::Unavailable(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::InvalidRequest,
                Clients,
            ),
            Self::LogoutToken(_) => (StatusCode::BAD_REQUEST, Code::InvalidRequest, Clients),
            // The session.
            Self::Store(_) | Self::Issue(IssueError::Store(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::StoreUnavailable,
                Operators,
            ),
            Self::Issue(_) | Self::FlowNotKept => {
                (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, Operators)
            }
            Self::Undecidable => (StatusCode::FORBIDDEN, Code::Undecidable, Operators),
            Self::Device(DeviceFailure::Pending) => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::Device, Clients)
            }
            Self::Device(_) => (StatusCode::FORBIDDEN, Code::Device, Clients),
            Self::NotBound => (StatusCode::FORBIDDEN, Code::NotBound, Clients),
            Self::RuleNotBound => (StatusCode::FORBIDDEN, Code::RuleNotBound, Clients),
            Self::FormNotBound => (StatusCode::FORBIDDEN, Code::FormNotBound, Clients),
            Self::Binding => (StatusCode::FORBIDDEN, Code::Binding, Clients),
            Self::StepUp => (StatusCode::FORBIDDEN, Code::StepUp, Clients),
            Self::OtherUser => (StatusCode::FORBIDDEN, Code::OtherUser, Clients),
        };
        Class {
            status,
            code,
            whose,
        }
    }
}
