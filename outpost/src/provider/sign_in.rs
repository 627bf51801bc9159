//! Signing a person in at a provider: the authorization code flow with PKCE.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreIdTokenVerifier, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, ClaimsVerificationError, ClientSecret,
    CsrfToken, Nonce, NonceVerifier, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    SignatureVerificationError, SubjectIdentifier, UserInfoClaims, UserInfoError,
};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::claims::{ClaimMap, ClaimSources, Wanted};
use super::http::HttpError;
use super::post::Form;
use super::tokens::{NoTokens, Tokens};
use super::unchecked::text;
use super::{
    CoreGenderClaim, Discovered, IdToken, KEYS_REFETCH_AFTER, Provider, Unavailable, discovery,
};
use crate::config::{SignOut, UnverifiedEmail};
use crate::flow::PendingSignIn;
use crate::return_to::ReturnTo;
use gatepost_base::{Identity, Secret};

/// How far an ID token's `iat` may lie in the future, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A person whom the provider has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who it is.
    pub identity: Identity,
    /// The session's id at the provider, if it names one.
    pub provider_session: Option<String>,
    /// For renewing, if the provider gave one.
    pub refresh_token: Option<Secret>,
    /// The ID token, for signing out.
    pub id_token: Secret,
}

/// Why a sign-in cannot be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The provider has not been found.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The provider did not answer.
    #[error("the provider's {endpoint} does not answer: {source}")]
    Unreachable {
        /// The endpoint that was asked.
        endpoint: &'static str,
        /// Why not.
        source: HttpError,
    },
    /// The token endpoint refused the code: it was used before, or it is too old.
    #[error("the token endpoint refused the code")]
    CodeRefused,
    /// The token endpoint refused the client.
    #[error("the token endpoint refused: {0:?}")]
    Refused(String),
    /// An endpoint's answer cannot be read.
    #[error("the answer of the provider's {endpoint} cannot be read: {reason}")]
    Unreadable {
        /// The endpoint that was asked.
        endpoint: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// There is no ID token in the token response: the `openid` scope was not granted.
    #[error("the token response has no ID token: is this client allowed the `openid` scope?")]
    NoIdToken,
    /// The ID token does not hold.
    #[error("the ID token was refused: {0}")]
    IdToken(#[source] ClaimsVerificationError),
    /// The ID token was issued to another client.
    #[error("the ID token was issued to another client (`azp`)")]
    AuthorizedParty,
    /// The ID token is about nobody.
    #[error("the ID token has an empty `sub`")]
    NoSubject,
    /// The ID token is of another access token.
    #[error("the ID token is not of this access token (`at_hash`)")]
    AccessTokenHash,
    /// What userinfo says is not of the same person.
    #[error("userinfo was refused: {0}")]
    UserInfo(#[source] ClaimsVerificationError),
    /// The answer came from another provider (RFC 9207).
    #[error("the callback's `iss` is not this provider's issuer, or is missing")]
    ResponseIssuer,
}

impl Provider {
    /// Begins a sign-in: what to keep for the callback, and the URL to send the browser to.
    /// A silent one asks nobody anything: it works for whoever is signed in at the provider.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] while the provider has not been found.
    pub fn begin(
        &self,
        redirect_uri: RedirectUrl,
        return_to: ReturnTo,
        silent: bool,
    ) -> Result<(Url, PendingSignIn), Unavailable> {
        let found = self.discovered()?;
        // 256 bits each from the operating system's generator, by the library.
        let (challenge, code_verifier) = PkceCodeChallenge::new_random_sha256();
        let state = CsrfToken::new_random_len(32);
        let nonce = Nonce::new_random_len(32);
        let client = found.client.clone().set_redirect_uri(redirect_uri);
        let (state_sent, nonce_sent) = (state.clone(), nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state_sent,
                move || nonce_sent,
            )
            .add_scopes(self.settings.scopes.iter().cloned())
            .set_pkce_challenge(challenge);
        if silent {
            request = request.add_prompt(CoreAuthPrompt::None);
        }
        let (url, ..) = request.url();
        Ok((
            url,
            PendingSignIn {
                state,
                nonce,
                code_verifier,
                return_to,
                silent,
            },
        ))
    }

    /// Checks the `iss` of an authorization response (RFC 9207 §2.4).
    ///
    /// # Errors
    ///
    /// [`SignInError::ResponseIssuer`] when it is another's, or missing although the provider says
    /// that it sends one.
    pub fn check_response_issuer(&self, iss: Option<&str>) -> Result<(), SignInError> {
        let promised = self
            .discovered()?
            .metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        match iss {
            Some(iss) if iss == self.settings.issuer.as_str() => Ok(()),
            None if !promised => Ok(()),
            Some(_) | None => Err(SignInError::ResponseIssuer),
        }
    }

    /// Exchanges a code, verifies what comes back, and says who it is. `extra` names the claims
    /// beyond the standard ones that are wanted.
    ///
    /// # Errors
    ///
    /// [`SignInError`].
    pub async fn finish(
        &self,
        code: AuthorizationCode,
        nonce: Nonce,
        code_verifier: PkceCodeVerifier,
        redirect_uri: RedirectUrl,
        extra: &[String],
    ) -> Result<SignedIn, SignInError> {
        let found = self.discovered()?;
        let tokens = self
            .exchange(&found, &code, &code_verifier, &redirect_uri)
            .await?;
        let access_token = tokens.access()?;
        let id_token = tokens.id_token().ok_or(SignInError::NoIdToken)??;
        let (found, claims) = verified(self, found, &id_token, &nonce).await?;
        verify_access_token(self, &found, &id_token, &claims, access_token)?;

        let subject = claims.subject().to_string();
        let id_claims = as_map(&claims);
        let wanted = self.wanted(extra);
        let lacking = ClaimSources(vec![&id_claims]).lacks(&wanted);
        let userinfo = if lacking && found.metadata.userinfo_endpoint().is_some() {
            self.user_info(&found, access_token, &subject).await?
        } else {
            Map::new()
        };
        let sources = ClaimSources(vec![&id_claims, &userinfo]);
        Ok(SignedIn {
            identity: sources.identity(&wanted, &subject),
            provider_session: text(&id_claims, "sid").map(str::to_owned),
            refresh_token: tokens.refresh,
            id_token: tokens.id.ok_or(SignInError::NoIdToken)?,
        })
    }

    /// What is wanted of a person's claims.
    pub(super) fn wanted<'w>(&'w self, extra: &'w [String]) -> Wanted<'w> {
        Wanted {
            issuer: self.settings.issuer.as_str(),
            groups: &self.settings.groups_claim,
            extra,
            unverified_email: self.settings.unverified_email == UnverifiedEmail::Accept,
        }
    }

    /// Where to send the browser to sign out at the provider too (RP-Initiated Logout 1.0 §2), if
    /// the provider can be asked and the settings say so.
    pub fn sign_out_url(&self, id_token: Option<&Secret>, return_to: &str) -> Option<Url> {
        if self.settings.sign_out == SignOut::LocalOnly {
            return None;
        }
        let found = self.discovered.load_full()?;
        let mut url = found
            .metadata
            .additional_metadata()
            .end_session_endpoint
            .clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(id_token) = id_token {
                query.append_pair("id_token_hint", id_token.expose());
            }
            query
                .append_pair("client_id", self.settings.client_id.as_str())
                .append_pair("post_logout_redirect_uri", return_to);
        }
        Some(url)
    }

    async fn exchange(
        &self,
        found: &Discovered,
        code: &AuthorizationCode,
        code_verifier: &PkceCodeVerifier,
        redirect_uri: &RedirectUrl,
    ) -> Result<Tokens, SignInError> {
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", code.secret())
            .with("redirect_uri", redirect_uri.as_str())
            .with("code_verifier", code_verifier.secret());
        self.tokens(found, form).await.map_err(|none| match none {
            NoTokens::Refused { code, .. } if code == "invalid_grant" => SignInError::CodeRefused,
            NoTokens::Refused { code, words } => SignInError::Refused(format!("{code}: {words}")),
            NoTokens::Away { error, .. } | NoTokens::Unreadable(error) => error,
        })
    }

    pub(super) async fn user_info(
        &self,
        found: &Discovered,
        access_token: &AccessToken,
        subject: &str,
    ) -> Result<Map<String, Value>, SignInError> {
        const ENDPOINT: &str = "userinfo endpoint";
        let unreadable = |reason: String| SignInError::Unreadable {
            endpoint: ENDPOINT,
            reason,
        };
        let claims: UserInfoClaims<ClaimMap, CoreGenderClaim> = found
            .client
            .user_info(
                access_token.clone(),
                Some(SubjectIdentifier::new(subject.to_owned())),
            )
            .map_err(|error| unreadable(error.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(|error: UserInfoError<HttpError>| match error {
                UserInfoError::Request(source) => SignInError::Unreachable {
                    endpoint: ENDPOINT,
                    source,
                },
                UserInfoError::ClaimsVerification(error) => SignInError::UserInfo(error),
                UserInfoError::Response(status, ..) => unreadable(format!("it answers {status}")),
                UserInfoError::Parse(error) => unreadable(format!("at {}", error.path())),
                _ => unreadable("it cannot be read".to_owned()),
            })?;
        Ok(as_map(&claims))
    }

    /// Fetches the keys again unless that was done a short while ago, and keeps them. What cannot
    /// be fetched leaves the old ones.
    pub(super) async fn refetch_keys(&self, found: Arc<Discovered>) -> Arc<Discovered> {
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

pub(super) type IdClaims = openidconnect::IdTokenClaims<ClaimMap, CoreGenderClaim>;

/// Verifies an ID token, with keys that are fetched anew if the provider may have changed them.
pub(super) async fn verified(
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
fn verify_access_token(
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

/// Verified claims as one map, so that every claim is read in one way.
pub(super) fn as_map(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}
