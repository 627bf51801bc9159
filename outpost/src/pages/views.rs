//! The values that the pages show, which the endpoints fill in.

use serde::Serialize;

/// Declares the codes of failures, their words, and the list of all.
macro_rules! failure_codes {
    ($($(#[$doc:meta])* $code:ident = $word:literal,)*) => {
        /// The code of a failure: the key of its texts in the language files, the word in an
        /// answer to a script, and a label of a metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FailureCode {
            $($(#[$doc])* $code,)*
        }

        impl FailureCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// Returns the code as text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)*
                }
            }
        }
    };
}

failure_codes! {
    /// No application has this host.
    UnknownHost = "unknown_host",
    /// There is no endpoint at this path.
    NotFound = "not_found",
    /// The endpoint does not take this method or protocol.
    MethodNotAllowed = "method_not_allowed",
    /// The proxy or the application is not configured correctly.
    ProxyMisconfigured = "proxy_misconfigured",
    /// A script or subresource asked for a sign-in.
    SignInRequired = "sign_in_required",
    /// Another site asked for a sign-out.
    CrossSite = "cross_site",
    /// The callback belongs to no sign-in of this browser.
    NoFlow = "no_flow",
    /// The callback's parameters are invalid.
    MalformedCallback = "malformed_callback",
    /// The callback came to another provider's redirect URI.
    OtherProvider = "other_provider",
    /// The user cancelled the sign-in, or the provider refused access.
    AccessDenied = "access_denied",
    /// The provider refused the sign-in.
    ProviderRefused = "provider_refused",
    /// The provider cannot be reached.
    ProviderUnavailable = "provider_unavailable",
    /// The applications are not known yet.
    NotReady = "not_ready",
    /// The provider's answer is invalid.
    SignInFailed = "sign_in_failed",
    /// The session store cannot be reached.
    StoreUnavailable = "store_unavailable",
    /// The client has reached its rate limit.
    TooManyRequests = "too_many_requests",
    /// The outpost failed.
    Internal = "internal",
    /// The proxy does not accept the outpost's sessions.
    RedirectLoop = "redirect_loop",
    /// The browser does not return the session cookie.
    RedirectLoopCookie = "redirect_loop_cookie",
    /// The session cookie is another outpost's.
    RedirectLoopKeys = "redirect_loop_keys",
    /// The session may be in another replica's memory.
    RedirectLoopStore = "redirect_loop_store",
    /// The groups that the decision needs are missing.
    Undecidable = "undecidable",
    /// A browser's proof that it is on the device of its session is invalid.
    Device = "device_proof",
    /// The application requires a session that is bound to a device, and this one is not.
    NotBound = "device_not_bound",
    /// A rule requires a session that is bound to a device, and this one is not.
    RuleNotBound = "device_rule",
    /// A form was posted with a session that is not bound to a device, as a rule requires.
    FormNotBound = "device_form",
    /// A user has authenticated again, and the provider says less than what a rule asks for.
    StepUp = "step_up_failed",
    /// Another user has authenticated than the one who is signed in.
    OtherUser = "other_user",
    /// The browser may be binding the session to its device at this moment.
    Binding = "device_binding",
    /// The logout token is invalid (OpenID Connect Back-Channel Logout 1.0 §2.8 names this code).
    InvalidRequest = "invalid_request",
}

/// The providers that a user may choose from.
#[derive(Debug)]
pub struct Choice {
    /// The name of the application.
    pub application: String,
    /// Its providers: the one that this browser used last, then the others in their order.
    pub offers: Vec<Offer>,
}

/// A provider that a user may choose.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The provider's title.
    pub title: String,
    /// The URL that starts a sign-in there.
    pub url: String,
    /// Whether this browser used it last.
    pub last_used: bool,
    /// Whether it is reachable, as far as is known.
    pub available: bool,
}

/// A user who is signed in and whom the application does not admit, or a page that is closed to every
/// client.
#[derive(Debug)]
pub struct Denied {
    /// The name of the application.
    pub application: String,
    /// The user's name; `None` where the page is closed and the client is not signed in.
    pub signed_in_as: Option<String>,
    /// The URL that signs out, to return as another user.
    pub sign_out_url: String,
    /// The application's rule in words, where the outpost's own rule refuses.
    pub rule: Option<String>,
    /// The name or the number of the rule of the list that refuses.
    pub rule_name: Option<String>,
}

/// What users may see of their own session. No token is part of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The name of the application.
    pub application: String,
    /// The provider's title, where the operator gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's issuer.
    pub issuer: String,
    /// The subject at the provider.
    pub subject: String,
    /// The name with which the user signs in.
    pub username: Option<String>,
    /// The full name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// When the user signed in, in seconds since the epoch.
    pub signed_in_at: u64,
    /// From when a page load renews the cookie.
    pub renews_at: u64,
    /// Until when proxies accept the cookie without asking.
    pub window_ends_at: u64,
    /// When the session ends at the latest.
    pub ends_at: u64,
    /// Whether the session is bound to the device of this browser.
    pub device_bound: bool,
    /// The URL that signs out.
    pub sign_out: String,
}
