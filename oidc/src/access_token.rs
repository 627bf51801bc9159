//! Access tokens that programs bring: who holds one, and whether it is for an application here.
//!
//! A JWT is verified here (RFC 9068 §4); about any other token, or where the settings say so about
//! every one, the provider is asked (RFC 7662).

use gatepost_session::{CLOCK_SKEW_SECONDS, NumericDate};
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Map, Value};

use crate::algorithm;
use crate::claims::ClaimSources;
use crate::exchange::SignInError;
use crate::json::{text, time};
use crate::jwt::{Outline, Typ, UnverifiedJwt, is_for};
use crate::provider::{Provider, Unavailable};
use crate::settings::AccessTokenSettings;
use gatepost_base::{Identity, Secret};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Whom an access token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who it is.
    pub identity: Identity,
    /// When the token was made, or the provider last said that it is good.
    pub issued: NumericDate,
    /// When it ends.
    pub expires: NumericDate,
    /// Everything that the provider says of it.
    pub claims: Map<String, Value>,
}

/// Why credentials are refused. For the log: a client must not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not what the scheme says.
    #[error("not understood")]
    Malformed,
    /// No JWT, and the provider is not to be asked about others.
    #[error("no JWT: the provider is asked about others with `machineTokens.introspect`")]
    Opaque,
    /// A token of another kind, by what it or the provider says.
    #[error("`typ`, `token_use` or `token_type` says that it is another kind of token")]
    Type,
    /// An ID token, which says who signed in somewhere and gives no right.
    #[error("an ID token, and no access token")]
    IdToken,
    /// It is of use to the holder of a key alone, which nothing here asks for.
    #[error("bound to a key (`cnf`)")]
    Bound,
    /// Of another provider.
    #[error("`iss` is no provider of the application")]
    Issuer,
    /// Signed in a way that is not accepted.
    #[error("`alg` is not one that is accepted")]
    Algorithm,
    /// Signed by no key of the provider.
    #[error("no key of the provider signed it")]
    Signature,
    /// Meant for somebody else.
    #[error("`aud` names none of `machineTokens.audience`")]
    Audience,
    /// Given to a client that is not allowed.
    #[error("`client_id` or `azp` is not one of `machineTokens.clients`")]
    Client,
    /// Past, not yet, or without its times.
    #[error("`exp`, `nbf` or `iat` is missing, past or not yet")]
    Time,
    /// Older than a session may become.
    #[error("older than `session.lifetime`")]
    Old,
    /// About nobody.
    #[error("`sub` is missing")]
    Nobody,
    /// The provider says that it is none, or none any more.
    #[error("the provider says that it is not active")]
    Inactive,
    /// The provider gives no token for these credentials.
    #[error("the provider refuses the credentials")]
    Credentials,
    /// The subject's sessions were ended after it was made.
    #[error("its subject was signed out after it was made")]
    Revoked,
}

/// Why nobody stands behind credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// They do not hold.
    #[error("credentials refused: {0}")]
    Refused(#[from] Refusal),
    /// The provider could not be asked, which says nothing of them.
    #[error(transparent)]
    NotAnswered(#[from] SignInError),
}

impl From<Unavailable> for CredentialsError {
    fn from(unavailable: Unavailable) -> Self {
        Self::NotAnswered(unavailable.into())
    }
}

/// What an application asks of a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules<'a> {
    /// The settings.
    pub settings: &'a AccessTokenSettings,
    /// The claims beyond the standard ones that are wanted.
    pub extra: &'a [String],
    /// How old a token may be, in seconds.
    pub max_age: u64,
    /// The time.
    pub now: NumericDate,
}

/// The issuer that an access token names, where it is a JWT that names one. Nothing of it has been
/// checked: it says whom to ask, and nothing more.
pub fn unverified_issuer(token: &Secret) -> Option<String> {
    let token = UnverifiedJwt::parse(token.expose(), MAX_TOKEN_BYTES)?;
    token.text("iss").map(str::to_owned)
}

impl Provider {
    /// Says who holds an access token.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn holder(
        &self,
        token: &Secret,
        rules: TokenRules<'_>,
    ) -> Result<Holder, CredentialsError> {
        if rules.settings.introspect {
            return self.introspected(token, rules).await;
        }
        let token = UnverifiedJwt::parse(token.expose(), MAX_TOKEN_BYTES).ok_or(Refusal::Opaque)?;
        let (holder, algorithm) = self.check(&token, rules)?;
        let found = self.discovered()?;
        match self.verify_signature(&token, &algorithm, found).await {
            Ok(_) => Ok(holder),
            Err(error) => {
                tracing::info!(provider = self.settings.name, %error, "an access token was refused");
                Err(Refusal::Signature.into())
            }
        }
    }

    /// The checks that take no key.
    fn check(
        &self,
        token: &UnverifiedJwt<'_>,
        rules: TokenRules<'_>,
    ) -> Result<(Holder, Algorithm), Refusal> {
        self.check_kind(&token.header.typ, &token.claims)?;
        let accepted = algorithm::signatures();
        let algorithm = token.header.algorithm.clone();
        let algorithm = algorithm.filter(|own| accepted.contains(own));
        let algorithm = algorithm.filter(|_| !token.header.is_critical);
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        if !token.text("iss").is_some_and(|iss| self.issues_as(iss)) {
            return Err(Refusal::Issuer);
        }
        if token.time("iat").is_none() || token.time("exp").is_none() {
            return Err(Refusal::Time);
        }
        let holder = self.holder_of(token.claims.clone(), rules)?;
        Ok((holder, algorithm))
    }

    /// The checks of a token about which the provider is asked, before it is.
    ///
    /// That the provider calls a token active says that it is one of its own, and not of which
    /// kind: some say so of ID tokens too. So a JWT has to be of the same kind here as where it is
    /// verified.
    pub(crate) fn check_before_introspection(&self, token: &str) -> Result<(), Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let Some(outline) = Outline::of(token) else {
            return Ok(());
        };
        let Outline { header, claims } = outline.ok_or(Refusal::Malformed)?;
        self.check_kind(&header.typ, &claims)?;
        self.check_issuer(&claims)
    }

    /// Checks that a JWT is an access token: applications get to see ID tokens, and could use them
    /// at others.
    fn check_kind(&self, typ: &Typ, claims: &Map<String, Value>) -> Result<(), Refusal> {
        // RFC 9068 §2.1; older providers say nothing.
        match typ {
            Typ::Missing => {}
            Typ::Is(kind) if kind.eq_ignore_ascii_case("JWT") => {}
            Typ::Is(kind) if kind.eq_ignore_ascii_case("at+jwt") => return Ok(()),
            Typ::Is(_) | Typ::Invalid => return Err(Refusal::Type),
        }
        check_says_no_other_kind(claims)?;
        // One for this client needs something that only access tokens have.
        let has = |claim: &&str| claims.contains_key(*claim);
        let says_its_kind = claims.contains_key("typ") || claims.contains_key("token_use");
        if is_for(claims, self.settings().client_id.as_str())
            && !says_its_kind
            && !["scope", "scp", "client_id"].iter().any(has)
        {
            return Err(Refusal::IdToken);
        }
        Ok(())
    }

    /// Checks that `iss` is the provider's, where it is there.
    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        match claims.get("iss") {
            Some(iss) if !iss.as_str().is_some_and(|iss| self.issues_as(iss)) => {
                Err(Refusal::Issuer)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The checks that are the same whoever has verified the claims.
    pub(crate) fn holder_of(
        &self,
        claims: Map<String, Value>,
        rules: TokenRules<'_>,
    ) -> Result<Holder, Refusal> {
        let TokenRules { settings, now, .. } = rules;
        if claims.contains_key("cnf") {
            return Err(Refusal::Bound);
        }
        let own = self.settings();
        self.check_issuer(&claims)?;
        // What cannot be read is not absent.
        let odd = |claim: &str| claims.contains_key(claim) && time(&claims, claim).is_none();
        if ["iat", "nbf", "exp"].into_iter().any(odd) {
            return Err(Refusal::Time);
        }
        let client = text(&claims, "client_id");
        let party = text(&claims, "azp");
        let for_us = |audience: &str| match claims.get("aud") {
            // The provider may say nothing of a token but whose it is (RFC 7662 §2.2).
            None => client == Some(audience),
            Some(_) => is_for(&claims, audience),
        };
        let meant = if settings.audience.is_empty() {
            for_us(own.client_id.as_str())
        } else {
            settings.audience.iter().any(|audience| for_us(audience))
        };
        if !meant {
            return Err(Refusal::Audience);
        }
        let allowed = |client: &str| {
            settings.clients.is_empty() || settings.clients.iter().any(|own| own == client)
        };
        match (client, party) {
            // RFC 9068 §2.2 has the one, OpenID Connect Core 1.0 §2 the other, for the same.
            (Some(client), Some(party)) if client != party => return Err(Refusal::Client),
            (Some(client), _) | (None, Some(client)) if allowed(client) => {}
            (None, None) if settings.clients.is_empty() => {}
            _ => return Err(Refusal::Client),
        }
        let issued = time(&claims, "iat").unwrap_or(now);
        let expires = time(&claims, "exp");
        let begins = time(&claims, "nbf").map_or(issued, |nbf| nbf.max(issued));
        if begins > now.plus_seconds(CLOCK_SKEW_SECONDS)
            || expires.is_some_and(|expires| expires.plus_seconds(CLOCK_SKEW_SECONDS) <= now)
        {
            return Err(Refusal::Time);
        }
        if now.seconds_since(issued) > rules.max_age {
            return Err(Refusal::Old);
        }
        let subject = text(&claims, "sub").ok_or(Refusal::Nobody)?;
        let sources = ClaimSources(vec![&claims]);
        let mut identity = sources.identity(&self.wanted(rules.extra), subject);
        if let (None, Some(claim)) = (&identity.preferred_username, &settings.name_claim) {
            identity.preferred_username = match claim.as_str() {
                // Only where it may be relied on.
                "email" => identity.email.clone(),
                claim => text(&claims, claim).map(str::to_owned),
            };
        }
        let last = issued.plus_seconds(rules.max_age);
        Ok(Holder {
            identity,
            issued,
            expires: expires
                .map_or(last, |expires| expires.plus_seconds(CLOCK_SKEW_SECONDS))
                .min(last),
            claims,
        })
    }
}

/// Checks that neither the claims of a JWT nor the answer of an introspection say that a token is
/// of another kind than an access token.
pub(crate) fn check_says_no_other_kind(claims: &Map<String, Value>) -> Result<(), Refusal> {
    // What only ID tokens have (OpenID Connect Core 1.0 §2, §3.3.2.11), and logout tokens.
    const OTHERS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    if OTHERS.iter().any(|claim| claims.contains_key(*claim)) {
        return Err(Refusal::IdToken);
    }
    // Keycloak says in `typ` what a token is, Cognito and Hydra in `token_use`, and in an answer
    // `token_type` is that of RFC 6749 §5.1, where some name the kind instead.
    for (claim, own) in [
        ("typ", ["Bearer", "at+jwt"]),
        ("token_use", ["access", "access_token"]),
        ("token_type", ["Bearer", "access_token"]),
    ] {
        let Some(kind) = claims.get(claim) else {
            continue;
        };
        let is_own = kind
            .as_str()
            .is_some_and(|kind| own.iter().any(|own| own.eq_ignore_ascii_case(kind)));
        if !is_own {
            return Err(Refusal::Type);
        }
    }
    Ok(())
}
