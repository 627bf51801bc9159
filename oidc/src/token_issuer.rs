//! An issuer of machine clients' tokens at which no user signs in, such as the API server of a
//! Kubernetes cluster (service account tokens).
//!
//! Nothing but its keys is asked of it. Every token has to name an audience that the settings name:
//! such an issuer signs tokens for many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_base::Secret;
use tokio::sync::Mutex;

use crate::access_token::{
    self, CredentialsError, Holder, MAX_TOKEN_BYTES, Refusal, check_says_no_other_kind,
};
use crate::algorithm;
use crate::claims::{ClaimSources, Wanted};
use crate::discovery;
use crate::http_client::{Http, HttpClient};
use crate::issuer_settings::{KeySource, TokenIssuerSettings};
use crate::json::text;
use crate::jwt::{Typ, UnverifiedJwt};
use crate::key_set::KeySet;
use crate::provider::Unavailable;

/// After how long the keys are fetched again.
const REFRESH_AFTER: Duration = Duration::from_secs(3_600);
/// For how long keys are used at most while they cannot be fetched again.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// How often they are fetched at most: for an unknown key, and where there are none.
const REFETCH_AFTER: Duration = Duration::from_secs(30);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An issuer, and its keys as far as they are known.
#[derive(Debug)]
pub struct TokenIssuer {
    settings: TokenIssuerSettings,
    http: Http,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    set: Option<Arc<KeySet>>,
    /// When they were last fetched.
    fetched: Option<Instant>,
    /// When that was last tried.
    tried: Option<Instant>,
}

/// What an application requires of a token.
#[derive(Clone, Copy, Debug)]
pub struct IssuedTokenRules<'a> {
    /// The claims that the identity takes beyond the standard ones.
    pub extra: &'a [String],
    /// How old a token may be, in seconds.
    pub max_age: u64,
    /// The current time.
    pub now: gatepost_session::NumericDate,
}

impl TokenIssuer {
    /// Creates an issuer. Its keys are fetched for the first token.
    pub fn new(settings: TokenIssuerSettings, http: Arc<dyn HttpClient>) -> Self {
        let set = match &settings.keys {
            KeySource::Given(document) => KeySet::parse(document).ok().map(Arc::new),
            KeySource::Discovery(_) | KeySource::Url(_) => None,
        };
        Self {
            settings,
            http: Http(http),
            keys: Mutex::new(Keys {
                set,
                ..Keys::default()
            }),
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
        let algorithm = token.header.algorithm.clone();
        let algorithm = algorithm.filter(|own| algorithm::signatures().contains(own));
        let algorithm = algorithm.filter(|_| !token.header.is_critical);
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        let keys = self.keys(None).await?;
        if token.verify_with(&algorithm, &keys).is_ok() {
            return Ok(holder);
        }
        let keys = self.keys(Some(&keys)).await?;
        token.verify_with(&algorithm, &keys).map_err(|error| {
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
        match &token.header.typ {
            Typ::Missing => {}
            Typ::Is(kind)
                if kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt") => {}
            Typ::Is(_) | Typ::Invalid => return Err(Refusal::Type),
        }
        check_says_no_other_kind(claims)?;
        if claims.contains_key("cnf") {
            return Err(Refusal::Bound);
        }
        if token.text("iss") != Some(settings.issuer.as_str()) {
            return Err(Refusal::Issuer);
        }
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
        let mut keys = self.keys.lock().await;
        if let (KeySource::Given(_), Some(set)) = (&self.settings.keys, &keys.set) {
            return Ok(Arc::clone(set));
        }
        let is_older = |at: Option<Instant>, age| at.is_none_or(|at| at.elapsed() >= age);
        let is_unfit = match (unfit, &keys.set) {
            // Another token may have brought others meanwhile.
            (Some(unfit), Some(set)) => Arc::ptr_eq(unfit, set),
            _ => false,
        };
        let pause = if keys.set.is_some() {
            REFETCH_AFTER
        } else {
            RETRY_AFTER
        };
        if (is_unfit || is_older(keys.fetched, REFRESH_AFTER)) && is_older(keys.tried, pause) {
            keys.tried = Some(Instant::now());
            match discovery::issuer_keys(&self.settings, &self.http).await {
                Ok(set) => {
                    keys.set = Some(Arc::new(set));
                    keys.fetched = keys.tried;
                }
                Err(error) => {
                    let issuer = self.settings.issuer.as_str();
                    tracing::warn!(issuer, %error, "cannot fetch the keys of a token issuer");
                    if is_older(keys.fetched, MAX_AGE) {
                        keys.set = None;
                    }
                }
            }
        }
        keys.set.clone().ok_or(Unavailable)
    }
}
