//! From the bytes of a cookie to a session that may be acted on.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::base64;
use gatepost_scan::constant_time::same_bytes;
use subtle::{Choice, ConditionallySelectable as _};

use crate::claims::{Audience, Claims, NumericDate, SessionId};
use crate::cookie::{CHUNK_BYTES, Candidates, MAX_CHUNKS};
use crate::keyring::{DerivedKeys, KeyRing, Purpose};
use crate::mac::{MAC_BYTES, Mac};
use crate::token::{Parts, encoded_header};

/// What begins the text behind [`Verifier::vouch`]. No payload has a space, so the code is that of no
/// cookie.
const VOUCHER: &[u8] = b" voucher ";

/// The length of a voucher before it is encoded, in bytes: 128 bits, which no client guesses.
const VOUCHER_BYTES: usize = 16;

/// The longest cookie value that is looked at, in bytes: the content of the largest number of
/// chunks.
pub const MAX_TOKEN_BYTES: usize = CHUNK_BYTES * MAX_CHUNKS;

/// How far a session's `iat` may lie in the future by default, in seconds: the clocks of the
/// outpost's and the proxy's machines differ. Nothing is allowed on `exp`.
pub const CLOCK_SKEW_SECONDS: u64 = 30;

/// Opens session cookies of one audience.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    audience: Audience,
    /// Empty for any issuer.
    issuers: Vec<String>,
}

#[derive(Clone)]
struct VerifyingKey {
    encoded_header: String,
    /// Has absorbed the header and the dot behind it, so that only the payload is left to hash.
    mac: Mac,
}

impl Verifier {
    /// Makes a verifier for sessions of `audience` signed by any key of the ring.
    pub fn new(ring: &KeyRing, audience: Audience) -> Self {
        Self::with_keys(&ring.derive(Purpose::Session), audience)
    }

    /// Makes a verifier for sessions of `audience` signed by any of these keys, which a ring has
    /// derived for [`Purpose::Session`].
    pub fn with_keys(keys: &DerivedKeys, audience: Audience) -> Self {
        let mut own = Vec::new();
        for key in keys.iter() {
            let encoded_header = encoded_header(key.id());
            let mac = key.mac().begun_with(encoded_header.as_bytes());
            own.push(VerifyingKey {
                encoded_header,
                mac: mac.begun_with(b"."),
            });
        }
        Self {
            keys: own,
            audience,
            issuers: Vec::new(),
        }
    }

    /// Accepts only sessions of this provider, and of those that this was said of before, compared
    /// exactly as text.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuers.push(issuer.to_owned());
        self
    }

    /// Checks that a key of the ring made this cookie for this audience.
    ///
    /// Says nothing about time: [`Authentic::current`] does.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why not, for logs and tests. The client must not learn which.
    pub fn authenticate(&self, token: &[u8]) -> Result<Authentic, OpenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(OpenError::TooLong);
        }
        self.authenticate_own(token)
    }

    /// Does as [`Self::authenticate`] for a token of any length: one that this program has signed
    /// itself, and that no client had.
    ///
    /// # Errors
    ///
    /// As [`Self::authenticate`], but for [`OpenError::TooLong`].
    pub fn authenticate_own(&self, token: &[u8]) -> Result<Authentic, OpenError> {
        let parts = Parts::split(token).ok_or(OpenError::Malformed)?;
        let mac = base64::decode_array(parts.mac).ok_or(OpenError::Malformed)?;
        self.check_mac(&parts, &mac)?;
        let payload = base64::decode(parts.payload).ok_or(OpenError::Claims)?;
        let claims = Claims::read(&payload).ok_or(OpenError::Claims)?;
        if claims.aud != self.audience.as_str() {
            return Err(OpenError::Audience);
        }
        if !self.issuers.is_empty() && !self.issuers.contains(&claims.iss) {
            return Err(OpenError::Issuer);
        }
        Ok(Authentic { claims })
    }

    /// Returns the first of a request's candidates that is authentic and, as the caller says, in
    /// force; where none is, the first that is authentic. One that is over must not hide another
    /// after it.
    ///
    /// # Errors
    ///
    /// Why the last candidate is not authentic; `None` where there is no candidate.
    pub fn choose(
        &self,
        candidates: &Candidates<'_>,
        in_force: impl Fn(&Authentic) -> bool,
    ) -> Result<Authentic, Option<OpenError>> {
        let (mut over, mut reason) = (None, None);
        for value in candidates.values() {
            match self.authenticate(&value) {
                Ok(authentic) if in_force(&authentic) => return Ok(authentic),
                Ok(authentic) => over = over.or(Some(authentic)),
                Err(error) => reason = Some(error),
            }
        }
        over.ok_or(reason)
    }

    /// Returns a word by which a link of a session's own browser says that it was not made by another
    /// site: only who has the keys knows it, and it serves this session and this text alone.
    #[inline(never)]
    pub fn vouch(&self, session: &SessionId, text: &str) -> String {
        let key = self.keys.first();
        key.map_or_else(String::new, |key| key.vouch(session, text))
    }

    /// Returns whether [`Self::vouch`] has returned this word for the session and the text, with any
    /// key of the ring.
    pub fn has_vouched(&self, session: &SessionId, text: &str, word: &str) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| {
            let own = key.vouch(session, text);
            bool::from(same_bytes(own.as_bytes(), word.as_bytes()))
        })
    }

    /// Looks for the key by comparing encoded headers, all of them and in constant time, and
    /// computes one MAC whether or not there is one, so the duration reveals nothing.
    fn check_mac(&self, parts: &Parts<'_>, mac: &[u8; MAC_BYTES]) -> Result<(), OpenError> {
        let mut known = Choice::from(0);
        let mut index = 0_u32;
        for (at, key) in (0_u32..).zip(&self.keys) {
            let same = same_bytes(key.encoded_header.as_bytes(), parts.header);
            index.conditional_assign(&at, same);
            known |= same;
        }
        let key = usize::try_from(index)
            .ok()
            .and_then(|index| self.keys.get(index))
            .ok_or(OpenError::Forged)?;
        if bool::from(known & key.mac.verifies(parts.payload, mac)) {
            Ok(())
        } else {
            Err(OpenError::Forged)
        }
    }
}

impl VerifyingKey {
    fn vouch(&self, session: &SessionId, text: &str) -> String {
        let parts = [VOUCHER, session.expose().as_bytes(), b" ", text.as_bytes()];
        let code = self.mac.compute(&parts);
        base64::encode(
            code.first_chunk::<VOUCHER_BYTES>()
                .unwrap_or(&[0; VOUCHER_BYTES]),
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({}, {} keys)", self.audience, self.keys.len())
    }
}

/// A session cookie that a holder of a key made for this audience, at some time.
///
/// Only a [`Verifier`] makes one, from a MAC that it has checked. It is not permission to act: its
/// window may have ended, and then it is no more than the key to a session in the outpost's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentic {
    claims: Claims,
}

impl Authentic {
    /// Returns the session in force at `now`.
    ///
    /// # Errors
    ///
    /// [`WindowError`] when its window has ended or has not begun; `skew_seconds` is how far the
    /// issuing clock may be ahead (usually [`CLOCK_SKEW_SECONDS`]).
    pub fn current(&self, now: NumericDate, skew_seconds: u64) -> Result<Current<'_>, WindowError> {
        let begins = self
            .claims
            .nbf
            .map_or(self.claims.iat, |nbf| nbf.max(self.claims.iat));
        if begins > now.plus_seconds(skew_seconds) {
            Err(WindowError::NotYet)
        } else if now >= self.claims.exp {
            Err(WindowError::Ended)
        } else {
            Ok(Current {
                claims: &self.claims,
                now,
            })
        }
    }

    /// Returns the session's key in the store, whatever the time.
    pub fn session_id(&self) -> &SessionId {
        &self.claims.sid
    }

    /// Returns the claims as they were when the cookie was made, whatever the time: for showing and
    /// for logging. Decisions take a [`Current`].
    pub fn claims_at_issue(&self) -> &Claims {
        &self.claims
    }
}

/// A session in force: authentic, for this audience, and within its window.
///
/// Only [`Authentic::current`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    claims: &'a Claims,
    now: NumericDate,
}

impl<'a> Current<'a> {
    /// Returns the claims of the session.
    pub fn claims(&self) -> &'a Claims {
        self.claims
    }

    /// Returns whether a page load should renew the cookie now.
    pub fn renewal_due(&self) -> bool {
        self.now >= self.claims.rnw
    }

    /// Returns whether the window is in its last quarter, in which a renewal must not wait any more.
    pub fn is_near_its_end(&self) -> bool {
        let window = self.claims.exp.seconds_since(self.claims.iat);
        self.claims.exp.seconds_since(self.now) <= window / 4
    }

    /// Returns the time at which it was found to be in force, by which rules say how long ago the
    /// user authenticated.
    pub fn at(&self) -> NumericDate {
        self.now
    }
}

/// Why bytes are not a session cookie of this audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// Not three parts, or the last is not the base64url of 32 bytes.
    Malformed,
    /// No key of the ring signed it: an unknown key id, another header, or a wrong MAC.
    Forged,
    /// Authentic, but its payload is not a set of [`Claims`].
    Claims,
    /// Authentic, but for another application.
    Audience,
    /// Authentic, but from another provider than those that are accepted.
    Issuer,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than a session cookie can be",
            Self::Malformed => "not a compact JWS with a 32-byte MAC",
            Self::Forged => "not signed by a key of the ring",
            Self::Claims => "signed, but its claims cannot be read",
            Self::Audience => "signed, but for another application",
            Self::Issuer => "signed, but for another provider",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why an authentic session is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// `exp` has come.
    Ended,
    /// `iat` or `nbf` lies in the future: the clocks differ by more than is allowed.
    NotYet,
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "its window has ended",
            Self::NotYet => "it was made in the future: compare the clocks of outpost and proxy",
        })
    }
}

impl core::error::Error for WindowError {}
