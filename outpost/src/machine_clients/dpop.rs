//! A client's proof that it has the key to which its access token is bound (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::{Secret, hex};
use gatepost_oidc::numeric_date;
use gatepost_session::{CLOCK_SKEW_SECONDS, NumericDate};
use gatepost_store::{Store, StoreUnavailable};
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::key_proof::{COORDINATE_BYTES, KeyProof, NotAProof, PublicKey};

/// The longest `jti`, in bytes.
const MAX_ID_BYTES: usize = 256;

/// How long after `iat` a proof is accepted, in seconds.
const MAX_AGE_SECONDS: u64 = 60;

/// How far the clock of a client may be ahead, in seconds.
const MAX_AHEAD_SECONDS: u64 = 30;

/// The parts of a request that its proof must name.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedProof<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL, without a query.
    pub url: &'a Url,
    /// The access token.
    pub token: &'a Secret,
    /// The time.
    pub now: NumericDate,
}

/// A proof that says what it must of a request. Whether its key has signed it is not known.
#[derive(Debug)]
pub struct UnverifiedDpopProof<'t> {
    proof: KeyProof<'t, Map<String, Value>>,
    key: PublicKey,
    valid: DpopProof,
}

/// A proof that is valid for one request, unless it was used before.
#[derive(Debug)]
pub struct DpopProof {
    key: String,
    /// What the store remembers it by.
    mark: String,
    expires: NumericDate,
}

/// Why a proof proves nothing. For the log: the client learns only that it is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDpopProof {
    /// The request has no proof, or several.
    #[error("the request has no `DPoP` header, or several")]
    Missing,
    /// It is longer than a proof can be.
    #[error("longer than a proof can be")]
    TooLong,
    /// It is not a JWS of a proof.
    #[error("not a signed JWT with `typ` dpop+jwt, `jwk`, `jti`, `htm`, `htu`, `iat` and `ath`")]
    Malformed,
    /// Its algorithm is not one of [`DpopProof::ALGORITHMS`].
    #[error("its algorithm is not one that is accepted")]
    Algorithm,
    /// Its key cannot be used, is not for its algorithm, or is private.
    #[error("its `jwk` is not a public key for its algorithm")]
    Key,
    /// The key did not sign it.
    #[error("not signed by its key")]
    Signature,
    /// It is for another method.
    #[error("`htm` is another method")]
    Method,
    /// It is for another URL.
    #[error("`htu` is another URL")]
    Url,
    /// It is for another token.
    #[error("`ath` is of another token")]
    Token,
    /// It was made too long ago, or in the future.
    #[error("`iat` is past or in the future")]
    Time,
    /// It was used before.
    #[error("used before (`jti`)")]
    Used,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Es256,
    Rs256,
    EdDsa,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: Number,
    ath: String,
}

impl From<NotAProof> for InvalidDpopProof {
    fn from(reason: NotAProof) -> Self {
        match reason {
            NotAProof::TooLong => Self::TooLong,
            NotAProof::Malformed => Self::Malformed,
        }
    }
}

impl DpopProof {
    /// The algorithms of proofs.
    pub const ALGORITHMS: [&'static str; 4] = ["ES256", "RS256", "EdDSA", "Ed25519"];

    /// Parses a proof, and checks that it is for this request: all that costs nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidDpopProof`].
    pub fn parse<'t>(
        text: &'t str,
        expected: &ExpectedProof<'_>,
    ) -> Result<UnverifiedDpopProof<'t>, InvalidDpopProof> {
        let proof = KeyProof::<Map<String, Value>>::parse(text, "dpop+jwt")?;
        let algorithm = match proof.algorithm.as_str() {
            "ES256" => Algorithm::Es256,
            "RS256" => Algorithm::Rs256,
            // RFC 9864 calls it by the name of its curve.
            "EdDSA" | "Ed25519" => Algorithm::EdDsa,
            _ => return Err(InvalidDpopProof::Algorithm),
        };
        let key = public_key(&proof.jwk, algorithm).ok_or(InvalidDpopProof::Key)?;
        let claims: Claims = proof.claims().ok_or(InvalidDpopProof::Malformed)?;
        let expires = claims.check(expected)?;
        let thumbprint = key.thumbprint();
        let mark = Sha256::digest(format!("{thumbprint} {}", claims.jti));
        let valid = Self {
            mark: format!("dpop {}", hex(mark.iter())),
            key: thumbprint,
            expires,
        };
        Ok(UnverifiedDpopProof { proof, key, valid })
    }

    /// Returns the thumbprint of the key that made it (RFC 7638), as `cnf.jkt` has it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Marks it as used, for all replicas. Returns false where it was used before.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`], and then it is not known.
    pub async fn use_once(
        &self,
        store: &dyn Store,
        now: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        // The store, or a replica, may have a clock that is ahead, by which the mark ends.
        let expires = self.expires.plus_seconds(CLOCK_SKEW_SECONDS);
        store.use_once(&self.mark, now, expires).await
    }
}

impl UnverifiedDpopProof<'_> {
    /// Returns the thumbprint of the key that is to have made it.
    pub fn key(&self) -> &str {
        &self.valid.key
    }

    /// Verifies that its key has signed it. [`DpopProof::use_once`] says whether it was used before, and
    /// the token says whether it is bound to [`DpopProof::key`].
    ///
    /// # Errors
    ///
    /// [`InvalidDpopProof`].
    pub fn verify(self) -> Result<DpopProof, InvalidDpopProof> {
        let signature = self.proof.signature();
        let signature = signature.ok_or(InvalidDpopProof::Malformed)?;
        if !self.key.has_signed(self.proof.signed, &signature) {
            return Err(InvalidDpopProof::Signature);
        }
        Ok(self.valid)
    }
}

impl Claims {
    /// Checks that the proof is for this request, and returns until when it is accepted.
    fn check(&self, expected: &ExpectedProof<'_>) -> Result<NumericDate, InvalidDpopProof> {
        if self.jti.is_empty() || self.jti.len() > MAX_ID_BYTES {
            return Err(InvalidDpopProof::Malformed);
        }
        if self.htm != expected.method {
            return Err(InvalidDpopProof::Method);
        }
        let url = Url::parse(&self.htu).map_err(|_| InvalidDpopProof::Url)?;
        // RFC 9449 §4.3: without query and fragment, in the normal form of each.
        let is_same = url.origin() == expected.url.origin() && url.path() == expected.url.path();
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !is_same || !is_plain || url.cannot_be_a_base() {
            return Err(InvalidDpopProof::Url);
        }
        let token = Sha256::digest(expected.token.expose());
        if self.ath != URL_SAFE_NO_PAD.encode(token) {
            return Err(InvalidDpopProof::Token);
        }
        let made = Value::Number(self.iat.clone());
        let made = numeric_date(&made).ok_or(InvalidDpopProof::Time)?;
        let latest = expected.now.plus_seconds(MAX_AHEAD_SECONDS);
        let expires = made.plus_seconds(MAX_AGE_SECONDS);
        if made > latest || expires <= expected.now {
            return Err(InvalidDpopProof::Time);
        }
        Ok(expires)
    }
}

/// Reads a public key (RFC 7517, RFC 7518 §6, RFC 8037 §2) for this algorithm.
fn public_key(jwk: &Map<String, Value>, algorithm: Algorithm) -> Option<PublicKey> {
    // A client that sends its private key has shown it to each log on the way.
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if private.iter().any(|member| jwk.contains_key(*member)) {
        return None;
    }
    let text = |member: &str| jwk.get(member)?.as_str();
    let bytes = |member: &str| URL_SAFE_NO_PAD.decode(text(member)?).ok();
    let coordinate = |member| bytes(member).filter(|bytes| bytes.len() == COORDINATE_BYTES);
    match (algorithm, text("kty")?) {
        (Algorithm::Es256, "EC") if text("crv") == Some("P-256") => Some(PublicKey::P256 {
            x: coordinate("x")?,
            y: coordinate("y")?,
        }),
        (Algorithm::EdDsa, "OKP") if text("crv") == Some("Ed25519") => Some(PublicKey::Ed25519 {
            x: coordinate("x")?,
        }),
        (Algorithm::Rs256, "RSA") => Some(PublicKey::Rsa {
            n: bytes("n")?,
            e: bytes("e")?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 9449 §7.1.
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
        oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
        WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
        c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
        OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

    #[test]
    fn the_request_of_the_standard_is_verified() {
        let url = Url::parse("https://resource.example.org/protectedresource").expect("a URL");
        let token = Secret::new(TOKEN.to_owned());
        let expected = ExpectedProof {
            method: "GET",
            url: &url,
            token: &token,
            now: NumericDate::from_seconds(1_562_262_618),
        };
        let proof = DpopProof::parse(PROOF, &expected).expect("for the request");
        let proof = proof.verify().expect("valid");
        // The thumbprint of RFC 9449 §6.1.
        assert_eq!(proof.key(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        let late = NumericDate::from_seconds(1_562_262_618 + 60);
        let late = ExpectedProof {
            now: late,
            ..expected
        };
        let refused = DpopProof::parse(PROOF, &late).expect_err("late");
        assert_eq!(refused, InvalidDpopProof::Time);
    }

    /// The example of RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_of_a_key_is_that_of_the_standard() {
        let jwk = serde_json::json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR\
                  1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0\
                  h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91\
                  CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44\
                  -csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        let jwk = jwk.as_object().expect("an object");
        let key = public_key(jwk, Algorithm::Rs256).expect("a key");
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
