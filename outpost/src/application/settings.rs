//! The settings of an application, as a source of configuration fills them.

use std::path::PathBuf;

use gatepost_oidc::{AccessTokenSettings, TokenIssuerSettings, TokenRequest};
use gatepost_policy::{HeaderRules, OutpostPrefix, Policy};
use gatepost_session::Audience;
use gatepost_session::cookie::CookieName;
use gatepost_signing::CrossSite;
use serde_json::{Map, Value};
use url::Url;

use super::capabilities::Capabilities;
use super::public_client::PublicClient;
use super::resource::ProtectedResource;
use crate::assertion::AssertionSettings;
use crate::device_bound::DeviceBound;
use crate::origin::{ExternalUrl, Mode, is_bare};

/// The settings of one application.
#[derive(Clone, Debug)]
pub struct ApplicationSettings {
    /// Its name, which is the audience of its sessions.
    pub audience: Audience,
    /// One host, or all hosts of a domain.
    pub mode: Mode,
    /// Where browsers reach it; in domain mode, where they reach the outpost.
    pub external: ExternalUrl,
    /// In domain mode, the ports besides that of `external` to which a sign-in leads back.
    pub ports: Vec<u16>,
    /// The names of its providers, of which there is one at least.
    pub providers: Vec<String>,
    /// The path under which the outpost answers.
    pub prefix: OutpostPrefix,
    /// The name of its cookie.
    pub cookie_name: CookieName,
    /// Whether browsers send its cookies with requests that other sites cause.
    pub cross_site: CrossSite,
    /// Which requests are allowed.
    pub policy: Policy,
    /// The identity headers that the application gets.
    pub headers: HeaderRules,
    /// Whether the application gets the session cookie.
    pub forward_cookie: bool,
    /// The groups, besides those of the policy, that a cookie without room for all groups keeps.
    /// Where it is set, no other policy names more.
    pub cookie_groups: Option<Vec<String>>,
    /// Which sessions a user ends by signing out.
    pub sign_out: SignOutScope,
    /// The statement about the user that the application verifies itself, if it wants one.
    pub assertion: Option<AssertionSettings>,
    /// Whether its sessions are bound to devices; `None` means as the configuration says of all.
    pub device_bound: Option<DeviceBound>,
    /// How credentials of machine clients are checked, where the policy allows any.
    pub machine_clients: Option<MachineClientSettings>,
    /// The upstreams that a proxy's exported configuration routes to.
    pub routes: Vec<Route>,
    /// The keys that the plugin shares with the outpost, as they were written.
    pub shared: Map<String, Value>,
    /// What its source provides beyond these keys.
    pub capabilities: Capabilities,
}

impl ApplicationSettings {
    /// Returns whether its proxy takes `Authorization` over from the outpost's response: the client's
    /// may be for the outpost alone, or the outpost sets it.
    pub fn takes_authorization_over(&self) -> bool {
        self.machine_clients.is_some() || self.capabilities.sets_authorization()
    }

    /// Returns whether a plugin that cannot ask the outpost would fail this application: only the
    /// outpost knows tokens, and whether a machine client is who it says.
    pub fn needs_outpost(&self) -> bool {
        self.machine_clients.is_some() || self.capabilities.token_headers.is_some()
    }
}

/// Which sessions a user ends by signing out at an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignOutScope {
    /// The session of the browser at this application.
    #[default]
    Session,
    /// All sessions of the user at this outpost: at every application, in every browser.
    Everywhere,
}

/// An application that is configured and cannot be served. It keeps its names, so that no
/// application with a wider name answers in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// Its name where it is configured.
    pub name: String,
    /// Why it cannot be served, as a text for the operator.
    pub reason: String,
    /// Its host name and port, as far as they are known.
    pub host: Option<(String, Option<u16>)>,
    /// Its cookie domain, in domain mode.
    pub domain: Option<String>,
}

/// How an application's providers check the credentials of machine clients, and how long the
/// outcome is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineClientSettings {
    /// The name of the provider that checks credentials which name no issuer; `None` means the
    /// application's first.
    pub provider: Option<String>,
    /// Which access tokens are accepted.
    pub tokens: AccessTokenSettings,
    /// The name that tokens have for the application, which the outpost tells clients.
    pub resource: Option<ProtectedResource>,
    /// The client of the provider that the outpost hands to clients which register.
    pub public_client: Option<PublicClient>,
    /// Further issuers of tokens, none of which is the issuer of a provider.
    pub issuers: Vec<MachineIssuer>,
    /// How a name and a password are exchanged for an access token.
    pub exchange: TokenRequest,
    /// Seconds that a check of credentials is trusted at most.
    pub cache: u64,
    /// Whether the application gets the credentials.
    pub forward: bool,
    /// What becomes of a request without a session whose credentials are invalid.
    pub invalid_credentials: InvalidCredentials,
}

/// An issuer of machine clients' tokens at which no user signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineIssuer {
    /// Which of its tokens are accepted.
    pub tokens: TokenIssuerSettings,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// The file with the token that the issuer wants to see before it shows its keys. It is read for
    /// each request, since such tokens are replaced often.
    pub token_file: Option<PathBuf>,
}

/// What becomes of a request without a session whose credentials are invalid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidCredentials {
    /// It is refused with a challenge.
    #[default]
    Refuse,
    /// A page load begins a sign-in, since the credentials may be the application's own. Other
    /// requests are refused with a challenge.
    SignInOnPageLoad,
    /// As without credentials: a page load begins a sign-in, and other requests are
    /// unauthenticated.
    Ignore,
}

/// A host and the upstream that answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The host.
    pub host: String,
    /// Where the proxy reaches the upstream.
    pub upstream: Url,
}

impl Route {
    /// Returns whether a URL is a scheme, a host and a port, as that of an upstream has to be: nginx puts a
    /// path in it before that of the request (`/base` and `/x` become `/basex`), a path that no rule was
    /// asked about, and Traefik leaves it out.
    pub(crate) fn is_upstream(url: &Url) -> bool {
        is_bare(url)
    }
}
