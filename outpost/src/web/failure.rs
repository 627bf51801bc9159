//! What can go wrong at an endpoint.

use std::net::IpAddr;
use std::sync::Arc;

use gatepost_policy::{OutpostPrefix, Unauthenticated};
use http::StatusCode;

use crate::applications::NoApplication;
use crate::authority::Authority;
use crate::limits::TooMany;
use crate::provider::{CredentialsError, LogoutTokenError, SignInError};
use crate::sessions::MintError;
use crate::store::StoreUnavailable;

/// Why an endpoint cannot do what it is for.
///
/// `Display` is for the log; [`Failure::text`] is all that a browser is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No application has this host.
    #[error("no application at this host: {}", host.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string))]
    UnknownHost {
        /// The host, as far as it could be understood.
        host: Option<Authority>,
    },
    /// What is configured for this host does not answer.
    #[error("{host}: {why}")]
    NotServed {
        /// The host.
        host: Authority,
        /// Why not.
        why: NoApplication,
    },
    /// There is nothing at this path.
    #[error("no such endpoint")]
    NotFound,
    /// The endpoint does not know this method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The request asks to go on in another protocol than WebSocket.
    #[error("the client asks for another protocol than WebSocket in `Upgrade`")]
    Upgrade,
    /// Who asks about another request is none of the trusted proxies.
    #[error("{peer} is not in `trustedProxies`, so what it says of a request is not believed")]
    UntrustedPeer {
        /// Who asked.
        peer: IpAddr,
    },
    /// A trusted proxy does not say which request it asks about.
    #[error("the proxy sent no usable {0}")]
    Forwarded(&'static str),
    /// What two headers say cannot both be true, so one of them is the client's.
    #[error(
        "`{0}` contradicts what the proxy asks about: it is the client's, or the proxy serves \
         another host than it asks about; have the proxy set each header that the outpost reads"
    )]
    Contradicted(&'static str),
    /// A proxy asks under the prefix of another application.
    #[error("the proxy asks under a prefix that is another application's: this one has `{own}`")]
    OtherPrefix {
        /// The prefix of the application that it asks about.
        own: OutpostPrefix,
    },
    /// nginx asks about the outpost's own path, which must have `auth_request off`.
    #[error("the proxy asks about the outpost's own path: exclude it from the subrequest")]
    OwnPathAsked,
    /// A subresource or a script asks for a sign-in.
    #[error("a sign-in was asked for by something that is not loading a page")]
    NotNavigation,
    /// Another site asks for a sign-out, or a form is not of this site.
    #[error("a sign-out was asked for by another site")]
    CrossSite,
    /// The callback belongs to no flow of this browser.
    #[error("the callback belongs to no sign-in of this browser, or to one that ended")]
    NoFlow,
    /// The callback's parameters cannot be understood.
    #[error("the callback's parameters cannot be understood")]
    MalformedCallback,
    /// The callback came to another provider's address than the sign-in began at.
    #[error("the callback came to the redirect URI of another provider than the sign-in's")]
    OtherProvider,
    /// The provider refused, in its own words.
    #[error("the provider refused: {code:?} {description:?}")]
    ProviderRefused {
        /// The error code (OpenID Connect Core 1.0 §3.1.2.6).
        code: String,
        /// What the provider adds.
        description: Option<String>,
    },
    /// The sign-in could not be finished.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// A session could not be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The client has to wait.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// What should be a logout token is none that holds.
    #[error("a logout token was refused: {0}")]
    LogoutToken(#[from] LogoutTokenError),
    /// The provider could not be asked about credentials.
    #[error("credentials cannot be checked: {0}")]
    Credentials(Arc<CredentialsError>),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The flow could not be put into a cookie.
    #[error("the sign-in's state cannot be kept")]
    FlowNotKept,
    /// The browser keeps coming back: what the outpost issues is not accepted.
    #[error("redirect loop: {0}")]
    Loop(LoopCause),
    /// The decision hangs on groups that nobody has any more.
    #[error("the decision hangs on groups that the store no longer has")]
    Undecidable,
}

/// Why a browser keeps coming back, as far as what it has with it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopCause {
    /// No session cookie, although it was given some.
    #[error(
        "the browser does not send the session cookie back: compare the address that it uses with \
         `externalUrl` (scheme and host) and `cookieDomain`, and see whether the proxy passes \
         `Set-Cookie` on"
    )]
    NotKept,
    /// One that this outpost accepts, so it is the proxy that does not.
    #[error(
        "the proxy does not accept what the outpost issues: compare keys, application name, cookie \
         name and clocks on both sides, and with `fallback: route` the word that routers match in \
         `X-Gatepost-Verdict` with the one that `gatepost check` prints"
    )]
    NotAccepted,
    /// One that this outpost does not accept itself.
    #[error(
        "the browser has a session cookie that is not of this outpost ({0}): does another answer here?"
    )]
    Foreign(Unauthenticated),
}

impl LoopCause {
    /// The cause that the session of a browser in a loop points to.
    pub fn of(session: Result<(), Unauthenticated>) -> Self {
        match session {
            Ok(()) => Self::NotAccepted,
            Err(Unauthenticated::NoCookie) => Self::NotKept,
            Err(reason) => Self::Foreign(reason),
        }
    }
}

/// What a browser is told of a failure: short, stable, and without anything secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureText {
    /// A word for programs.
    pub code: &'static str,
    /// What happened.
    pub title: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

impl Failure {
    /// The status of the answer. Never one of success.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownHost { .. } | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UntrustedPeer { .. } | Self::NotNavigation => StatusCode::UNAUTHORIZED,
            Self::NotServed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forwarded(_)
            | Self::Contradicted(_)
            | Self::OtherPrefix { .. }
            | Self::NoFlow
            | Self::MalformedCallback
            | Self::OtherProvider
            | Self::Loop(_) => StatusCode::BAD_REQUEST,
            Self::OwnPathAsked | Self::CrossSite | Self::Undecidable | Self::Upgrade => {
                StatusCode::FORBIDDEN
            }
            Self::ProviderRefused { code, .. } if code == "access_denied" => StatusCode::FORBIDDEN,
            Self::LogoutToken(LogoutTokenError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ProviderRefused { .. } | Self::LogoutToken(_) => StatusCode::BAD_REQUEST,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::SignIn(SignInError::Unavailable(_) | SignInError::Unreachable { .. })
            | Self::Credentials(_)
            | Self::Store(_)
            | Self::Mint(MintError::Store(_) | MintError::Provider(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::SignIn(
                SignInError::CodeRefused | SignInError::Refused(_) | SignInError::ResponseIssuer,
            ) => StatusCode::BAD_REQUEST,
            Self::SignIn(_) => StatusCode::BAD_GATEWAY,
            Self::Mint(_) | Self::FlowNotKept => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What a browser is told.
    pub fn text(&self) -> FailureText {
        let text = |code, title, advice| FailureText {
            code,
            title,
            advice,
        };
        match self {
            Self::UnknownHost { .. } => text(
                "unknown_host",
                "No application here",
                "Nothing is set up for this address. Check the address, or ask its operator.",
            ),
            Self::NotFound => text(
                "not_found",
                "Page not found",
                "Check the address, or go back to where you came from.",
            ),
            Self::MethodNotAllowed | Self::Upgrade => text(
                "method_not_allowed",
                "Not possible this way",
                "Go back and try the link again.",
            ),
            Self::UntrustedPeer { .. }
            | Self::Forwarded(_)
            | Self::Contradicted(_)
            | Self::OtherPrefix { .. }
            | Self::NotServed { .. }
            | Self::OwnPathAsked => text(
                "proxy_misconfigured",
                "This site's sign-in is not set up correctly",
                "Ask the operator of this site to look into the sign-in service's log.",
            ),
            Self::NotNavigation => text(
                "sign_in_required",
                "You need to sign in",
                "Reload the page to sign in.",
            ),
            Self::CrossSite => text(
                "cross_site",
                "You are still signed in",
                "Another site tried to sign you out. To sign out, use the link in the application.",
            ),
            Self::NoFlow => text(
                "no_flow",
                "This sign-in has ended",
                "It took too long, was finished in another tab, or your browser does not keep \
                 cookies for this site. Open the application again to sign in.",
            ),
            Self::MalformedCallback => text(
                "malformed_callback",
                "This is not an answer to a sign-in",
                "Open the application again to sign in.",
            ),
            Self::OtherProvider => text(
                "other_provider",
                "This answer is not of the service that you chose",
                "Open the application again to sign in. If this happens again, tell the operator of \
                 this site.",
            ),
            Self::ProviderRefused { code, .. } if code == "access_denied" => text(
                "access_denied",
                "The sign-in was cancelled or refused",
                "Open the application again to try once more, or ask for access.",
            ),
            Self::ProviderRefused { .. } => text(
                "provider_refused",
                "The sign-in was refused",
                "Open the application again. If that does not help, ask the operator of this site.",
            ),
            Self::SignIn(SignInError::Unavailable(_) | SignInError::Unreachable { .. })
            | Self::Credentials(_)
            | Self::Mint(MintError::Provider(_)) => text(
                "provider_unavailable",
                "The sign-in service cannot be reached",
                "Wait a moment and reload the page. Those who are signed in can go on working.",
            ),
            Self::TooMany(_) => text(
                "too_many_requests",
                "Too many requests",
                "Too much has come from your network in a short time. Wait a moment and reload the \
                 page.",
            ),
            // The code that OpenID Connect Back-Channel Logout 1.0 §2.8 names.
            Self::LogoutToken(_) => text(
                "invalid_request",
                "This is not a logout token that holds",
                "The log of the sign-in service says why.",
            ),
            Self::SignIn(_) => text(
                "sign_in_failed",
                "The sign-in did not work",
                "Open the application again. If that does not help, ask the operator of this site.",
            ),
            Self::Store(_) | Self::Mint(MintError::Store(_)) => text(
                "store_unavailable",
                "Sessions cannot be looked up",
                "Wait a moment and reload the page.",
            ),
            Self::Mint(_) | Self::FlowNotKept => text(
                "internal",
                "Something went wrong",
                "Try again in a moment. If that does not help, ask the operator of this site.",
            ),
            Self::Loop(LoopCause::NotKept) => text(
                "redirect_loop_cookie",
                "Your browser does not keep the session",
                "Allow cookies for this site. If they are allowed, ask the operator of this site to compare \
                 the address in your browser, its scheme too, with `externalUrl` and `cookieDomain`.",
            ),
            Self::Loop(LoopCause::Foreign(_)) => text(
                "redirect_loop_keys",
                "Your session is of another sign-in service",
                "Ask the operator of this site whether two sign-in services answer here whose keys, \
                 application names, providers or clocks differ.",
            ),
            Self::Loop(LoopCause::NotAccepted) => text(
                "redirect_loop",
                "You are signed in, but the application does not take it",
                "This cannot be mended from here: the proxy in front of the application and the \
                 sign-in service disagree. Ask the operator of this site to compare their keys, \
                 application names, cookie names and clocks.",
            ),
            Self::Undecidable => text(
                "undecidable",
                "Your access cannot be decided",
                "Sign out and in again. If that does not help, ask the operator of this site.",
            ),
        }
    }

    /// After how many seconds it is worth coming again, where that is so.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(too_many) => Some(too_many.retry_after),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        }
    }

    /// Whether an operator has to do something about it.
    pub fn is_operators(&self) -> bool {
        match self {
            Self::UnknownHost { .. }
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Upgrade
            | Self::NotNavigation
            | Self::CrossSite
            | Self::NoFlow
            | Self::MalformedCallback
            | Self::OtherProvider
            | Self::TooMany(_)
            | Self::LogoutToken(_)
            | Self::ProviderRefused { .. } => false,
            Self::UntrustedPeer { .. }
            | Self::Forwarded(_)
            | Self::Contradicted(_)
            | Self::OtherPrefix { .. }
            | Self::NotServed { .. }
            | Self::OwnPathAsked
            | Self::SignIn(_)
            | Self::Credentials(_)
            | Self::Mint(_)
            | Self::Store(_)
            | Self::FlowNotKept
            | Self::Loop(_)
            | Self::Undecidable => true,
        }
    }
}
