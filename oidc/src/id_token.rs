//! Verifying ID tokens (OpenID Connect Core 1.0 §3.1.3.7).

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientSecret, NonceVerifier,
    SignatureVerificationError,
};

use crate::claims::ClaimMap;
use crate::discovery;
use crate::exchange::SignInError;
use crate::metadata::IdToken;
use crate::provider::{Discovered, KEYS_REFETCH_AFTER, Provider};

/// How far an ID token's `iat` may lie in the future, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;

impl Provider {
    /// Fetches the keys again unless that was done a short while ago, and keeps them. What cannot
    /// be fetched leaves the old ones.
    pub(crate) async fn refetch_keys(&self, found: Arc<Discovered>) -> Arc<Discovered> {
        let mut fetched = self.keys_fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < KEYS_REFETCH_AFTER) {
            // Another sign-in may have fetched them while this one waited.
            return self.discovered.load_full().unwrap_or(found);
        }
        *fetched = Some(Instant::now());
        let provider = self.settings.name.as_str();
        match discovery::fetch_keys(&self.settings, &found.metadata, &self.http).await {
            Ok(keys) => {
                tracing::info!(
                    provider,
                    "fetched the provider's keys again for an unknown key id"
                );
                let metadata = found.metadata.clone().set_jwks(keys);
                let fresh = Arc::new(Discovered {
                    at: found.at,
                    ..Discovered::new(&self.settings, metadata)
                });
                self.discovered.store(Some(Arc::clone(&fresh)));
                fresh
            }
            Err(error) => {
                tracing::warn!(provider, %error, "cannot fetch the provider's keys");
                found
            }
        }
    }

    /// The client secret where ID tokens have a MAC with it, and then no other signature counts.
    fn mac_secret(&self, found: &Discovered) -> Option<&ClientSecret> {
        let by_mac = found.algorithms == [CoreJwsSigningAlgorithm::HmacSha256];
        self.settings.client_secret.as_ref().filter(|_| by_mac)
    }

    fn verifier<'f>(&self, found: &'f Discovered) -> CoreIdTokenVerifier<'f> {
        let client_id = self.settings.client_id.clone();
        let issuer = self.settings.issuer.clone();
        let verifier = match self.mac_secret(found) {
            Some(secret) => CoreIdTokenVerifier::new_confidential_client(
                client_id,
                secret.clone(),
                issuer,
                CoreJsonWebKeySet::default(),
            ),
            None => CoreIdTokenVerifier::new_public_client(client_id, issuer, found.keys.clone()),
        };
        verifier
            .set_allowed_algs(found.algorithms.iter().cloned())
            .set_issue_time_verifier_fn(|issued: DateTime<Utc>| {
                if issued > Utc::now() + TimeDelta::seconds(CLOCK_SKEW_SECONDS) {
                    Err("it was issued in the future: compare the clocks".to_owned())
                } else {
                    Ok(())
                }
            })
    }
}

pub(crate) type IdClaims = openidconnect::IdTokenClaims<ClaimMap, CoreGenderClaim>;

/// Verifies an ID token, with keys that are fetched anew if the provider may have changed them.
pub(crate) async fn verified(
    provider: &Provider,
    found: Arc<Discovered>,
    id_token: &IdToken,
    nonce: impl NonceVerifier + Copy,
) -> Result<(Arc<Discovered>, IdClaims), SignInError> {
    match verify(provider, &found, id_token, nonce) {
        Err(SignInError::IdToken(error)) if is_unknown_key(&error) => {
            // The provider may have a new key since it was last asked.
            let found = provider.refetch_keys(found).await;
            let claims = verify(provider, &found, id_token, nonce)?;
            Ok((found, claims))
        }
        outcome => Ok((found, outcome?)),
    }
}

/// Verifies an ID token (OpenID Connect Core 1.0 §3.1.3.7).
fn verify(
    provider: &Provider,
    found: &Discovered,
    id_token: &IdToken,
    nonce: impl NonceVerifier,
) -> Result<IdClaims, SignInError> {
    let verifier = provider.verifier(found);
    let claims = id_token
        .claims(&verifier, nonce)
        .map_err(SignInError::IdToken)?;
    // Locally unique and never reassigned (§2), which nothing is not.
    if claims.subject().is_empty() {
        return Err(SignInError::NoSubject);
    }
    // The library leaves `azp` out; step 5 says it must be us where it is there.
    if claims
        .authorized_party()
        .is_some_and(|azp| *azp != provider.settings.client_id)
    {
        return Err(SignInError::AuthorizedParty);
    }
    Ok(claims.clone())
}

/// Checks that the ID token is of this access token (OpenID Connect Core 1.0 §3.1.3.8).
pub(crate) fn verify_access_token(
    provider: &Provider,
    found: &Discovered,
    id_token: &IdToken,
    claims: &IdClaims,
    access_token: &AccessToken,
) -> Result<(), SignInError> {
    let Some(expected) = claims.access_token_hash() else {
        return Ok(());
    };
    let verifier = provider.verifier(found);
    let refused = |_| SignInError::AccessTokenHash;
    let algorithm = id_token.signing_alg().map_err(refused)?;
    let mac_key;
    let key = match provider.mac_secret(found) {
        Some(secret) => {
            mac_key = symmetric_key(secret).ok_or(SignInError::AccessTokenHash)?;
            &mac_key
        }
        None => id_token.signing_key(&verifier).map_err(refused)?,
    };
    let actual = AccessTokenHash::from_token(access_token, algorithm, key)
        .map_err(|_| SignInError::AccessTokenHash)?;
    if actual == *expected {
        Ok(())
    } else {
        Err(SignInError::AccessTokenHash)
    }
}

/// A client secret as a key (RFC 7518 §6.4).
fn symmetric_key(secret: &ClientSecret) -> Option<CoreJsonWebKey> {
    let k = URL_SAFE_NO_PAD.encode(secret.secret());
    serde_json::from_value(serde_json::json!({"kty": "oct", "k": k})).ok()
}

fn is_unknown_key(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::CryptoError(_)
                | SignatureVerificationError::AmbiguousKeyId(_)
        )
    )
}
