//! Sign-ins that are under way: what has to survive the browser's trip to the provider.
//!
//! Everything is in an encrypted cookie, one for each flow, so that tabs do not disturb each
//! other, any replica can finish what another began, and nobody who does not come back leaves
//! anything behind. The cookie's name is derived from `state`, so a callback finds its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use gatepost_session::{KeyId, KeyRing, NumericDate, Purpose};
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::application::Application;
use crate::return_to::ReturnTo;

#[cfg(test)]
mod tests;

/// How long a person may take at the provider, in seconds.
const LIFETIME_SECONDS: u64 = 600;

/// The most flows that one browser has under way for an application. Beyond it the oldest is
/// dropped: requests with many cookies are refused by servers.
pub const MAX_FLOWS: usize = 5;

const NONCE_BYTES: usize = 24;

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
    exp: NumericDate,
}

/// Seals and opens flow cookies.
pub struct FlowKeys(Vec<(KeyId, XChaCha20Poly1305)>);

impl FlowKeys {
    /// The keys that a ring derives for flows: the first seals, all open.
    pub fn new(ring: &KeyRing) -> Self {
        let cipher = |bytes: &[u8; 32]| XChaCha20Poly1305::new(&Key::from(*bytes));
        Self(
            ring.derive(Purpose::Flow)
                .iter()
                .map(|key| (key.id().clone(), cipher(key.expose_bytes())))
                .collect(),
        )
    }

    fn seal(&self, name: &str, plaintext: &[u8]) -> Option<String> {
        let (id, cipher) = self.0.first()?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        // The name is authenticated, so a cookie cannot be moved to another flow.
        let payload = Payload {
            msg: plaintext,
            aad: name.as_bytes(),
        };
        let ciphertext = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&ciphertext);
        Some(format!("{id}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    fn open(&self, name: &str, value: &str) -> Option<Vec<u8>> {
        // A key id may have dots, base64url has none.
        let (id, sealed) = value.rsplit_once('.')?;
        let (_, cipher) = self.0.iter().find(|(own, _)| own.as_str() == id)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: name.as_bytes(),
        };
        cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

impl std::fmt::Debug for FlowKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlowKeys(redacted)")
    }
}

/// The flow cookies of one request for one application.
pub struct FlowCookies<'a> {
    application: &'a Application,
    keys: &'a FlowKeys,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> FlowCookies<'a> {
    /// Finds them among the values of the `Cookie` header lines.
    pub fn find(
        lines: impl IntoIterator<Item = &'a str>,
        application: &'a Application,
        keys: &'a FlowKeys,
    ) -> Self {
        let prefix = name_prefix(application);
        let pairs = lines
            .into_iter()
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
            .filter(|(name, _)| name.starts_with(prefix))
            .collect();
        Self {
            application,
            keys,
            pairs,
        }
    }

    /// Whether the browser has any flow under way.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The `Set-Cookie` lines that keep a new flow, and drop the oldest if there are too many.
    ///
    /// `None` when the operating system has no randomness or the flow does not fit a cookie.
    pub fn begin(&self, flow: &PendingSignIn, now: NumericDate) -> Option<Vec<String>> {
        let name = name_of(self.application, flow.state.secret());
        let sealed = Sealed {
            application: self.application.audience.to_string(),
            provider: self.application.provider.settings().issuer.to_string(),
            state: flow.state.secret().clone(),
            nonce: flow.nonce.secret().clone(),
            verifier: flow.code_verifier.secret().clone(),
            rd: flow.return_to.as_str().to_owned(),
            exp: now.plus_seconds(LIFETIME_SECONDS),
        };
        let value = self.keys.seal(&name, &serde_json::to_vec(&sealed).ok()?)?;
        let mut lines = vec![self.line(&name, &value, LIFETIME_SECONDS)];
        lines.extend(self.surplus(now).map(|name| self.line(name, "", 0)));
        Some(lines)
    }

    /// The flow that a callback with this `state` finishes, if this browser began it here for
    /// this application and its provider, and not too long ago.
    pub fn take(&self, state: &str, now: NumericDate) -> Option<PendingSignIn> {
        let name = name_of(self.application, state);
        let sealed = self
            .pairs
            .iter()
            .filter(|(own, _)| *own == name)
            .take(2)
            .find_map(|(_, value)| self.open(&name, value))?;
        let right = bool::from(sealed.state.as_bytes().ct_eq(state.as_bytes()))
            && sealed.application == self.application.audience.as_str()
            && sealed.provider == self.application.provider.settings().issuer.as_str()
            && now < sealed.exp;
        if !right {
            return None;
        }
        let return_to = ReturnTo::parse(&sealed.rd, self.application)
            .unwrap_or_else(|| ReturnTo::fallback(self.application));
        Some(PendingSignIn {
            state: CsrfToken::new(sealed.state),
            nonce: Nonce::new(sealed.nonce),
            code_verifier: PkceCodeVerifier::new(sealed.verifier),
            return_to,
        })
    }

    /// The `Set-Cookie` line that ends the flow of this `state`, if the request carries it.
    pub fn end(&self, state: &str) -> Option<String> {
        let name = name_of(self.application, state);
        self.pairs
            .iter()
            .any(|(own, _)| *own == name)
            .then(|| self.line(&name, "", 0))
    }

    /// The flows to drop so that one more makes [`MAX_FLOWS`]: first those that cannot be opened,
    /// then the oldest.
    fn surplus(&self, now: NumericDate) -> impl Iterator<Item = &'a str> {
        let mut flows: Vec<(Option<NumericDate>, &'a str)> = self
            .pairs
            .iter()
            .map(|(name, value)| {
                let expiry = self.open(name, value).map(|sealed| sealed.exp);
                (expiry.filter(|expiry| now < *expiry), *name)
            })
            .collect();
        flows.sort_unstable();
        let surplus = (flows.len() + 1).saturating_sub(MAX_FLOWS);
        flows.into_iter().take(surplus).map(|(_, name)| name)
    }

    fn open(&self, name: &str, value: &str) -> Option<Sealed> {
        let plaintext = self.keys.open(name, value)?;
        serde_json::from_slice(&plaintext).ok()
    }

    fn line(&self, name: &str, value: &str, max_age: u64) -> String {
        let secure = if self.application.cookie.secure {
            "; Secure"
        } else {
            ""
        };
        let path = &self.application.prefix;
        format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}")
    }
}

fn name_prefix(application: &Application) -> &'static str {
    if application.cookie.secure {
        "__Secure-gatepost-flow-"
    } else {
        "gatepost-flow-"
    }
}

/// The name of the cookie of one flow. Derived by a hash, so that the name alone, which lands in
/// more logs than a value, does not give `state` away.
fn name_of(application: &Application, state: &str) -> String {
    let digest = Sha256::digest(state.as_bytes());
    let short: Vec<u8> = digest.iter().copied().take(12).collect();
    format!(
        "{}{}",
        name_prefix(application),
        URL_SAFE_NO_PAD.encode(short)
    )
}
