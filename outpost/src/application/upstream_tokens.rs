//! The provider's tokens of a user in headers for the application (`upstreamTokens`).
//!
//! They come from the session's record in the store, and from nothing that the browser has: a cookie
//! with a token would be a credential for the provider's other services in every copy of it.

use std::sync::Once;

use gatepost_base::Secret;
use gatepost_policy::HeaderName as OwnName;
use gatepost_session::NumericDate;
use gatepost_store::SessionRecord;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::capabilities::{TokenHeaders, TokenNeed, id_claims};
use gatepost_oidc::numeric_date;

/// How a plugin names the header that it leaves to the outpost.
const AUTHORIZATION_NAME: &str = "Authorization";

/// Seconds before its end at which an access token is replaced. Half a minute is enough for what the
/// application does with it during the request.
const EARLY_SECONDS: u64 = 30;

/// Of the lifetime of a token that is short, the part before its end at which it is replaced.
const EARLY_PART: u64 = 3;

/// The longest token that goes on, in bytes: proxies and applications refuse requests with more, and
/// the user would be locked out.
const MAX_BYTES: usize = 12 * 1024;

/// The least seconds between two renewals for the sake of tokens, whatever their lifetime.
const PAUSE_SECONDS: u64 = 5;

/// Which headers carry the tokens of a user to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTokens {
    /// The header of the access token.
    pub access: Option<AccessTokenHeader>,
    /// The header of the ID token.
    pub id: Option<OwnName>,
}

/// The header of the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokenHeader {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Authorization,
    /// The token alone, in a header of this name.
    Named(OwnName),
}

impl UpstreamTokens {
    /// Returns the headers with a name of their own, which no client may send.
    pub fn names(&self) -> impl Iterator<Item = &OwnName> {
        let access = self.access.iter().filter_map(|access| match access {
            AccessTokenHeader::Authorization => None,
            AccessTokenHeader::Named(name) => Some(name),
        });
        access.chain(&self.id)
    }

    fn of_access_token(&self, token: &Secret) -> Option<(HeaderName, HeaderValue)> {
        match self.access.as_ref()? {
            AccessTokenHeader::Authorization => {
                if is_too_long(token) {
                    return None;
                }
                let value = format!("Bearer {}", token.expose());
                Some((AUTHORIZATION, sensitive(&value)?))
            }
            AccessTokenHeader::Named(name) => header(name, token),
        }
    }

    /// Returns whether the access token is to be replaced.
    fn needs_access_token(&self, session: &SessionRecord, now: NumericDate) -> TokenNeed {
        if self.access.is_none() {
            return TokenNeed::None;
        }
        match &session.access_token {
            // A session from before the application got tokens.
            None => TokenNeed::Now,
            Some(access) => access.ends.map_or(TokenNeed::None, |ends| {
                // The last renewal brought none, or this one would end later.
                if ends <= session.last_validated {
                    return TokenNeed::None;
                }
                TokenNeed::of(session.last_validated, ends, now)
            }),
        }
    }

    /// Returns whether the ID token is to be replaced. One that a renewal did not replace is not
    /// asked for again: not every provider issues one then (OpenID Connect Core 1.0 §12.2).
    fn needs_id_token(&self, session: &SessionRecord, now: NumericDate) -> TokenNeed {
        if self.id.is_none() {
            return TokenNeed::None;
        }
        let claims = id_claims(session);
        let times = date(&claims, "iat").zip(date(&claims, "exp"));
        times.map_or(TokenNeed::None, |(issued, ends)| {
            // By the provider's clock, which may be behind.
            let tolerance = (ends.seconds_since(issued) / 2).max(2 * EARLY_SECONDS);
            match issued.plus_seconds(tolerance) >= session.last_validated {
                true => TokenNeed::of(issued, ends, now),
                false => TokenNeed::None,
            }
        })
    }
}

impl TokenHeaders for UpstreamTokens {
    /// A machine client's own token goes on. It has no ID token.
    fn of_token(
        &self,
        access_token: &Secret,
        _claims: &Map<String, Value>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        self.of_access_token(access_token).into_iter().collect()
    }

    /// A token that has ended is left out: no service would accept it.
    fn of_session(
        &self,
        session: &SessionRecord,
        now: NumericDate,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let access = session.access_token.as_ref();
        let access = access.filter(|access| access.ends.is_none_or(|ends| now < ends));
        let access = access.and_then(|access| self.of_access_token(&access.token));
        let id = self.id.as_ref().filter(|_| {
            let ends = date(&id_claims(session), "exp");
            ends.is_some_and(|ends| now < ends)
        });
        let id = id.and_then(|name| header(name, &session.id_token));
        access.into_iter().chain(id).collect()
    }

    fn need(&self, session: &SessionRecord, now: NumericDate) -> TokenNeed {
        let pause = session.last_validated.plus_seconds(PAUSE_SECONDS);
        if session.refresh_token.is_none() || now < pause {
            return TokenNeed::None;
        }
        let access = self.needs_access_token(session, now);
        access.max(self.needs_id_token(session, now))
    }

    fn hand_on_access_tokens(&self) -> bool {
        self.access.is_some()
    }

    fn names_for_plugin(&self) -> String {
        let access = self.access.iter().map(|access| match access {
            AccessTokenHeader::Authorization => AUTHORIZATION_NAME,
            AccessTokenHeader::Named(name) => name.as_str(),
        });
        let id = self.id.iter().map(OwnName::as_str);
        access.chain(id).collect::<Vec<_>>().join(",")
    }

    fn own_authorization(&self) -> bool {
        self.access == Some(AccessTokenHeader::Authorization)
    }
}

impl TokenNeed {
    /// Returns the need of a token that was issued and ends at these times.
    fn of(issued: NumericDate, ends: NumericDate, now: NumericDate) -> Self {
        let lifetime = ends.seconds_since(issued);
        let early = EARLY_SECONDS.min(lifetime / EARLY_PART);
        if now >= ends {
            Self::Now
        } else if now.plus_seconds(early) >= ends {
            Self::Soon
        } else {
            Self::None
        }
    }
}

fn date(claims: &Map<String, Value>, name: &str) -> Option<NumericDate> {
    claims.get(name).and_then(numeric_date)
}

fn header(name: &OwnName, token: &Secret) -> Option<(HeaderName, HeaderValue)> {
    if is_too_long(token) {
        return None;
    }
    let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
    Some((name, sensitive(token.expose())?))
}

/// Returns whether a token is too long to go on, and says so once.
fn is_too_long(token: &Secret) -> bool {
    static SAID: Once = Once::new();
    let bytes = token.expose().len();
    let is_too_long = bytes > MAX_BYTES;
    if is_too_long {
        SAID.call_once(|| {
            tracing::warn!(
                bytes,
                most = MAX_BYTES,
                "a token is too long for a header: the application goes without such tokens \
                 (`upstreamTokens`); have the provider put less into them, such as fewer groups"
            );
        });
    }
    is_too_long
}

/// Returns a value that no `Debug` shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
