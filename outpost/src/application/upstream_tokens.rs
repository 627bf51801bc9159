//! The provider's tokens of a user in headers for the application (`upstreamTokens`).
//!
//! They come from the session's record in the store, and from nothing that the browser has: a cookie
//! with a token would be a credential for the provider's other services in every copy of it.

use gatepost_base::Secret;
use gatepost_policy::HeaderName as OwnName;
use gatepost_session::NumericDate;
use gatepost_store::SessionRecord;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::capabilities::{TokenHeaders, id_claims};
use gatepost_oidc::numeric_date;

/// Seconds before its end at which an access token is replaced. Half a minute is enough for what the
/// application does with it during the request.
const EARLY_SECONDS: u64 = 30;

/// Of the lifetime of a token that is short, the part before its end at which it is replaced.
const EARLY_PART: u64 = 3;

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
                let value = format!("Bearer {}", token.expose());
                Some((AUTHORIZATION, sensitive(&value)?))
            }
            AccessTokenHeader::Named(name) => header(name, token),
        }
    }

    /// Returns whether the access token is to be replaced.
    fn is_access_token_due(&self, session: &SessionRecord, now: NumericDate) -> bool {
        if self.access.is_none() {
            return false;
        }
        match &session.access_token {
            // A session from before the application got tokens.
            None => true,
            Some(access) => access
                .ends
                .is_some_and(|ends| now >= renewed_from(session.last_validated, ends)),
        }
    }

    /// Returns whether the ID token is to be replaced. One that a renewal did not replace is not
    /// asked for again: not every provider issues one then (OpenID Connect Core 1.0 §12.2).
    fn is_id_token_due(&self, session: &SessionRecord, now: NumericDate) -> bool {
        if self.id.is_none() {
            return false;
        }
        let claims = id_claims(session);
        let (issued, ends) = (date(&claims, "iat"), date(&claims, "exp"));
        issued.zip(ends).is_some_and(|(issued, ends)| {
            let is_of_last_time = issued.plus_seconds(2 * EARLY_SECONDS) >= session.last_validated;
            is_of_last_time && now >= renewed_from(issued, ends)
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

    fn are_due(&self, session: &SessionRecord, now: NumericDate) -> bool {
        session.refresh_token.is_some()
            && now >= session.last_validated.plus_seconds(PAUSE_SECONDS)
            && (self.is_access_token_due(session, now) || self.is_id_token_due(session, now))
    }

    fn own_authorization(&self) -> bool {
        self.access == Some(AccessTokenHeader::Authorization)
    }
}

/// Returns from when on a token is replaced that was issued and ends at these times.
fn renewed_from(issued: NumericDate, ends: NumericDate) -> NumericDate {
    let lifetime = ends.seconds_since(issued);
    let early = EARLY_SECONDS.min(lifetime / EARLY_PART);
    NumericDate::from_seconds(ends.as_seconds().saturating_sub(early))
}

fn date(claims: &Map<String, Value>, name: &str) -> Option<NumericDate> {
    claims.get(name).and_then(numeric_date)
}

fn header(name: &OwnName, token: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
    Some((name, sensitive(token.expose())?))
}

/// Returns a value that no `Debug` shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
