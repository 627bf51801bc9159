//! What an application has beyond the keys of a configuration file.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::Secret;
use gatepost_session::{KeyRing, NumericDate};
use gatepost_store::SessionRecord;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::skip_paths::SkipPaths;
use crate::compat::Conventions;

/// What an application has beyond the keys of a configuration file, where the source of the
/// configuration provides it. A file provides only the headers from tokens.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// Which addresses and proxy recipes the application is used with.
    pub conventions: Conventions,
    /// Keys of its own, in place of the configuration's.
    pub keys: Option<OwnKeys>,
    /// Seconds that its sessions last, in place of the configuration's.
    pub lifetime: Option<u64>,
    /// The paths that need no session.
    pub skip_paths: SkipPaths,
    /// Makes further headers from the tokens of a user.
    pub token_headers: Option<Arc<dyn TokenHeaders>>,
}

/// The keys of one application.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    /// Signs and verifies its sessions.
    pub ring: KeyRing,
    /// The same as an entry of a keys file, for its plugin.
    pub entry: Secret,
}

/// Whether the tokens of a session are to be renewed for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenNeed {
    /// They need not.
    None,
    /// They are to be, and those that the application has hold meanwhile.
    Soon,
    /// They are to be, and the application lacks one until then.
    Now,
}

/// Makes headers for the application from the tokens of a user, which have no place in a cookie.
pub trait TokenHeaders: fmt::Debug + Send + Sync {
    /// Returns the headers for a verified access token and the claims about its holder.
    fn of_token(
        &self,
        access_token: &Secret,
        claims: &Map<String, Value>,
    ) -> Vec<(HeaderName, HeaderValue)>;

    /// Returns the headers for a session of the store, whose ID token was verified when it was put
    /// there.
    fn of_session(
        &self,
        session: &SessionRecord,
        now: NumericDate,
    ) -> Vec<(HeaderName, HeaderValue)>;

    /// Returns whether the tokens of a session are to be renewed at the provider for the
    /// application's sake, although the session itself is not due.
    fn need(&self, session: &SessionRecord, now: NumericDate) -> TokenNeed;

    /// Returns whether an access token is in one of these headers for an application that uses it at
    /// other services.
    fn hand_on_access_tokens(&self) -> bool;

    /// Returns the names of the headers that a plugin in front has to know (`upstreamTokens`), the
    /// access token's first, as it lists them.
    fn names_for_plugin(&self) -> String;

    /// Returns whether `Authorization` is one of these headers, so that the application gets it from
    /// no client.
    fn own_authorization(&self) -> bool;
}

impl Capabilities {
    /// Returns whether the application gets `Authorization` from the outpost, and from no client.
    pub fn sets_authorization(&self) -> bool {
        let tokens = self.token_headers.as_ref();
        tokens.is_some_and(|tokens| tokens.own_authorization())
    }
}

/// Returns the claims of a session's ID token.
pub(crate) fn id_claims(session: &SessionRecord) -> Map<String, Value> {
    let payload = session.id_token.expose().split('.').nth(1);
    let claims = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    claims.unwrap_or_default()
}
