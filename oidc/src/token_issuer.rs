//! An issuer of machine clients' tokens at which no user signs in, such as the API server of a
//! Kubernetes cluster (service account tokens).
//!
//! Nothing but its keys is asked of it. Every token has to name an audience that the settings name:
//! such an issuer signs tokens for many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use gatepost_base::Secret;
use tokio::sync::Mutex;

use crate::access_token::{
    self, CredentialsError, Holder, MAX_TOKEN_BYTES, Proved, Refusal, check_is_not_handed_on,
    check_says_no_other_kind,
};
use crate::algorithm;
use crate::claims::{ClaimSources, Wanted};
use crate::discovery;
use crate::http_client::{Http, HttpClient};
use crate::issuer_settings::TokenIssuerSettings;
use crate::json::text;
use crate::jwt::UnverifiedJwt;
use crate::key_set::KeySet;
use crate::named_claim::NamedClaim;
use crate::provider::{KEYS_REFETCH_AFTER, MAX_AGE, REFRESH_AFTER, Unavailable};

/// How often keys are fetched at most while there are none.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An issuer, and its keys as far as they are known.
#[derive(Debug)]
pub struct TokenIssuer {
    settings: TokenIssuerSettings,
    http: Http,
    keys: ArcSwapOption<KeySet>,
    /// When fetching the keys was last tried. The task that holds this lock fetches.
    tried: Mutex<Option<Instant>>,
}

/// What an application requires of a token.
#[derive(Clone, Copy, Debug)]
pub struct IssuedTokenRules<'a> {
    /// The claims that the identity takes beyond the standard ones.
    pub extra: &'a [NamedClaim],
    /// What its client has proved to have.
    pub proved: Proved<'a>,
    /// How old a token may be, in seconds.
    pub max_age: u64,
    /// The current time.
    pub now: gatepost_session::NumericDate,
}

impl TokenIssuer {
    /// Creates an issuer. Its keys are fetched for the first token.
    pub fn new(settings: TokenIssuerSettings, http: Arc<dyn HttpClient>) -> Self {
        Self {
            settings,
            http: Http(http),
            keys: ArcSwapOption::empty(),
            tried: Mutex::default(),
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &TokenIssuerSettings {
        &self.settings
    }

    /// Returns the holder of a token.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn holder(
        &self,
        token: &Secret,
        rules: IssuedTokenRules<'_>,
    ) -> Result<Holder, CredentialsError> {
        let token = UnverifiedJwt::parse(token.expose(), MAX_TOKEN_BYTES);
        let token = token.ok_or(Refusal::Malformed)?;
        let holder = self.check(&token, rules)?;
        let algorithm = token.header.accepted(&algorithm::signatures());
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        let keys = self.keys(None).await?;
        let Err(error) = token.verify_with(&algorithm, &keys) else {
            return Ok(holder);
        };
        let fresh = self.keys(Some(&keys)).await?;
        let verified = if Arc::ptr_eq(&keys, &fresh) {
            Err(error)
        } else {
            token.verify_with(&algorithm, &fresh)
        };
        verified.map_err(|error| {
            tracing::info!(issuer = self.settings.issuer, %error, "a token was refused");
            Refusal::Signature
        })?;
        Ok(holder)
    }

    /// Checks everything but the signature.
    fn check(
        &self,
        token: &UnverifiedJwt<'_>,
        rules: IssuedTokenRules<'_>,
    ) -> Result<Holder, Refusal> {
        let settings = &self.settings;
        let claims = &token.claims;
        if !token.header.typ.is_missing_or(&["JWT", "at+jwt"]) {
            return Err(Refusal::Type);
        }
        check_says_no_other_kind(claims)?;
        access_token::check_binding(claims, rules.proved)?;
        if token.text("iss") != Some(settings.issuer.as_str()) {
            return Err(Refusal::Issuer);
        }
        check_is_not_handed_on(claims, &settings.handed_on)?;
        if !settings.audience.iter().any(|own| token.is_for(own)) {
            return Err(Refusal::IssuerAudience);
        }
        if token.time("iat").is_none() || token.time("exp").is_none() {
            return Err(Refusal::Time);
        }
        let times = access_token::times(claims, rules.now, rules.max_age)?;
        let subject = text(claims, "sub").ok_or(Refusal::Subject)?;
        let wanted = Wanted {
            issuer: &settings.issuer,
            claims: &settings.claims,
            extra: rules.extra,
            unverified_email: false,
        };
        Ok(Holder {
            identity: ClaimSources(vec![claims]).identity(&wanted, subject),
            issued: times.issued,
            expires: times.expires,
            claims: claims.clone(),
        })
    }

    /// Returns the keys: others than `unfit`, where none of those fits, unless the keys were fetched a
    /// short while ago.
    async fn keys(&self, unfit: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, Unavailable> {
        let is_wanted = |set: &Arc<KeySet>| {
            set.age() >= REFRESH_AFTER || unfit.is_some_and(|unfit| Arc::ptr_eq(unfit, set))
        };
        let known = self.keys.load_full();
        if let Some(set) = known.filter(|set| !is_wanted(set)) {
            return Ok(set);
        }
        let mut tried = self.tried.lock().await;
        // Another token may have brought others meanwhile.
        let known = self.keys.load_full();
        let pause = match &known {
            Some(_) => KEYS_REFETCH_AFTER,
            None => RETRY_AFTER,
        };
        let may_ask = tried.is_none_or(|at| at.elapsed() >= pause);
        if may_ask && known.as_ref().is_none_or(is_wanted) {
            *tried = Some(Instant::now());
            match discovery::issuer_keys(&self.settings, &self.http).await {
                Ok(set) => self.keys.store(Some(Arc::new(set))),
                Err(error) => {
                    let issuer = self.settings.issuer.as_str();
                    tracing::warn!(issuer, %error, "cannot fetch the keys of a token issuer");
                    if known.is_some_and(|set| set.age() >= MAX_AGE) {
                        self.keys.store(None);
                    }
                }
            }
        }
        self.keys.load_full().ok_or(Unavailable)
    }
}
