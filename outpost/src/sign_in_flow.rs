//! Sign-ins under way: the state that has to survive the redirect to the provider.
//!
//! Everything is in an encrypted cookie, one for each flow, so that tabs do not disturb each other,
//! any replica can finish what another began, and a user who does not come back leaves nothing
//! behind. The cookie's name is derived from `state`, so a callback finds its own.
//!
//! The cookie is large, so it is sent to the outpost's paths only. That rules out the `__Host-`
//! prefix, without which another host of the domain could set a flow of its own and so sign a user
//! in as another. Over TLS a second cookie with that prefix, which no other host can set, therefore
//! says that this browser began the flow here.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::NumericDate;
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::application::Application;
use crate::application::ReturnTo;
use gatepost_base::SealingKeys;
use gatepost_oidc::{AuthorizationRequest, Provider};

pub mod long_targets;
#[cfg(test)]
mod tests;

/// How long a user may take at the provider, in seconds.
const LIFETIME_SECONDS: u32 = 600;

/// The most flows that one browser has under way for an application. Beyond it the oldest is
/// dropped: requests with many cookies are refused by servers.
pub const MAX_FLOWS: usize = 5;

/// A sign-in that waits for its callback. Consumed when its code is exchanged, so state, nonce and
/// code verifier serve once.
#[derive(Debug)]
pub struct PendingSignIn {
    /// Binds the callback to this browser (RFC 6749 §10.12).
    pub state: CsrfToken,
    /// Binds the ID token to this flow (OpenID Connect Core 1.0 §3.1.2.1).
    pub nonce: Nonce,
    /// Binds the code to this flow (RFC 7636).
    pub code_verifier: PkceCodeVerifier,
    /// Where the browser goes afterwards.
    pub return_to: ReturnTo,
    /// Whether the provider is to show no page: a session is renewed, and does not begin.
    pub silent: bool,
    /// How long ago it began, in seconds.
    pub age: u64,
}

impl PendingSignIn {
    /// Returns what to keep of an authorization request until its callback.
    pub fn new(request: AuthorizationRequest, return_to: ReturnTo, silent: bool) -> Self {
        let AuthorizationRequest {
            url: _,
            state,
            nonce,
            verifier,
        } = request;
        Self {
            state,
            nonce,
            code_verifier: verifier,
            return_to,
            silent,
            age: 0,
        }
    }
}

/// The plaintext of a flow cookie.
#[derive(Serialize, Deserialize)]
struct Sealed {
    application: String,
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    rd: String,
    #[serde(default)]
    silent: bool,
    exp: NumericDate,
}

/// The flow cookies of one request for one application.
pub struct FlowCookies<'a> {
    application: &'a Application,
    keys: &'a SealingKeys,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> FlowCookies<'a> {
    /// Finds them among the cookies of a request.
    pub fn find(
        cookies: impl IntoIterator<Item = (&'a str, &'a str)>,
        application: &'a Application,
        keys: &'a SealingKeys,
    ) -> Self {
        let flow = |(name, _): &(&str, &str)| {
            name.starts_with(flow_prefix(application)) || name.starts_with(MARK_PREFIX)
        };
        let pairs = cookies.into_iter().filter(flow).collect();
        Self {
            application,
            keys,
            pairs,
        }
    }

    /// Returns the `Set-Cookie` lines that store a new flow, and drop the oldest if there are too
    /// many.
    ///
    /// `None` when the operating system has no randomness or the flow does not fit a cookie.
    pub fn begin(
        &self,
        provider: &Provider,
        flow: &PendingSignIn,
        now: NumericDate,
    ) -> Option<Vec<String>> {
        let id = id_of(flow.state.secret());
        let name = self.name(&id);
        let sealed = Sealed {
            application: self.application.audience().to_string(),
            provider: provider.settings().issuer.to_string(),
            state: flow.state.secret().clone(),
            nonce: flow.nonce.secret().clone(),
            verifier: flow.code_verifier.secret().clone(),
            // What does not fit is kept by `LongTargets`.
            rd: match flow.return_to.fits_a_cookie() {
                true => flow.return_to.as_str().to_owned(),
                false => ReturnTo::fallback(self.application).as_str().to_owned(),
            },
            silent: flow.silent,
            exp: now.plus_seconds(LIFETIME_SECONDS.into()),
        };
        let value = self
            .keys
            .seal_text(&name, &serde_json::to_vec(&sealed).ok()?)?;
        let mut lines = self.lines(&id, Some(&value));
        lines.extend(self.surplus(now).flat_map(|id| self.lines(id, None)));
        Some(lines)
    }

    /// Returns the flow that a callback with this `state` finishes, if this browser began it here
    /// for this application and one of its providers, and not too long ago; and that provider,
    /// which alone may finish it.
    pub fn take(
        &self,
        state: &str,
        now: NumericDate,
    ) -> Option<(&'a Arc<Provider>, PendingSignIn)> {
        let id = id_of(state);
        let name = self.name(&id);
        if self.application.cookie().secure && self.values(&mark_name(&id)).next().is_none() {
            return None;
        }
        // More than one means tampering; only a few are tried, to bound the work.
        let sealed = self
            .values(&name)
            .take(4)
            .find_map(|value| self.open(&name, value))?;
        let provider = self.application.providers().of_issuer(&sealed.provider)?;
        let right = bool::from(sealed.state.as_bytes().ct_eq(state.as_bytes()))
            && sealed.application == self.application.audience().as_str()
            && now < sealed.exp;
        if !right {
            return None;
        }
        let return_to = ReturnTo::parse(&sealed.rd, self.application)
            .unwrap_or_else(|| ReturnTo::fallback(self.application));
        let pending = PendingSignIn {
            state: CsrfToken::new(sealed.state),
            nonce: Nonce::new(sealed.nonce),
            code_verifier: PkceCodeVerifier::new(sealed.verifier),
            return_to,
            silent: sealed.silent,
            age: u64::from(LIFETIME_SECONDS).saturating_sub(sealed.exp.seconds_since(now)),
        };
        Some((provider, pending))
    }

    /// Returns the `Set-Cookie` lines that end the flow of this `state`, if the request carries it.
    pub fn end(&self, state: &str) -> Vec<String> {
        let id = id_of(state);
        let carried = self.values(&self.name(&id)).next().is_some();
        if carried {
            self.lines(&id, None)
        } else {
            Vec::new()
        }
    }

    /// Returns the flows to drop so that one more makes [`MAX_FLOWS`]: first those that cannot be
    /// opened, then the oldest.
    fn surplus(&self, now: NumericDate) -> impl Iterator<Item = &'a str> {
        let prefix = flow_prefix(self.application);
        let mut flows: Vec<(Option<NumericDate>, &'a str)> = self
            .pairs
            .iter()
            .filter_map(|(name, value)| {
                let id = name.strip_prefix(prefix)?;
                let expiry = self.open(name, value).map(|sealed| sealed.exp);
                Some((expiry.filter(|expiry| now < *expiry), id))
            })
            .collect();
        flows.sort_unstable();
        let surplus = (flows.len() + 1).saturating_sub(MAX_FLOWS);
        flows.into_iter().take(surplus).map(|(_, id)| id)
    }

    /// Returns the values of the cookies of that name.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(own, _)| *own == name)
            .map(|(_, value)| *value)
    }

    fn open(&self, name: &str, value: &str) -> Option<Sealed> {
        let plaintext = self.keys.open_text(name, value)?;
        serde_json::from_slice(&plaintext).ok()
    }

    /// Returns the `Set-Cookie` lines that set a flow to a value, or remove it.
    fn lines(&self, id: &str, value: Option<&str>) -> Vec<String> {
        let max_age = if value.is_some() { LIFETIME_SECONDS } else { 0 };
        let line = |name: &str, value: &str, path: &str| {
            self.application.own_cookie(name, value, path, max_age)
        };
        let name = self.name(id);
        let path = self.application.flow_path();
        let flow = value.unwrap_or_default();
        if self.application.cookie().secure {
            let mark = if value.is_some() { "1" } else { "" };
            vec![line(&name, flow, path), line(&mark_name(id), mark, "/")]
        } else {
            vec![line(&name, flow, path)]
        }
    }

    fn name(&self, id: &str) -> String {
        format!("{}{id}", flow_prefix(self.application))
    }
}

/// The prefix of the cookie that marks a flow as begun here.
const MARK_PREFIX: &str = "__Host-gatepost-flow-";

fn mark_name(id: &str) -> String {
    format!("{MARK_PREFIX}{id}")
}

/// Returns the prefix of a flow's cookie.
fn flow_prefix(application: &Application) -> &'static str {
    if application.cookie().secure {
        "__Secure-gatepost-flow-"
    } else {
        "gatepost-flow-"
    }
}

/// Returns the id of a flow, which the names of its cookies have. It is a hash, so that a name,
/// which is in more logs than a value, does not reveal `state`.
fn id_of(state: &str) -> String {
    let digest = Sha256::digest(state.as_bytes());
    let short: Vec<u8> = digest.iter().copied().take(12).collect();
    URL_SAFE_NO_PAD.encode(short)
}
