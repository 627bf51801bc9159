//! Access tokens of machine clients.
//!
//! A JWT is verified here (RFC 9068 §4). The provider is asked about other tokens (RFC 7662), or
//! about every one where the settings say so.

use gatepost_session::{CLOCK_SKEW_SECONDS, NumericDate};
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Map, Value};

use crate::algorithm;
use crate::claims::ClaimSources;
use crate::error::SignInError;
use crate::json::{text, time};
use crate::jwt::{Outline, Typ, UnverifiedJwt, is_for};
use crate::named_claim::NamedClaim;
use crate::provider::{Provider, Unavailable};
use crate::settings::AccessTokenSettings;
use gatepost_base::{Identity, Secret};

/// The longest token that is read, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The user or client that holds an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user or client.
    pub identity: Identity,
    /// When the token was issued; `None` where the provider does not say (RFC 7662 §2.2).
    pub issued: Option<NumericDate>,
    /// When it expires.
    pub expires: NumericDate,
    /// The claims of the token, or of the provider's response about it.
    pub claims: Map<String, Value>,
}

/// Why credentials are refused. For the log: a client must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not a token.
    #[error("malformed")]
    Malformed,
    /// It is not a JWT, and introspection is off.
    #[error("not a JWT: with `machineTokens.introspect` the provider is asked about it")]
    Opaque,
    /// It is another kind of token, by its claims or the provider's response.
    #[error("`typ`, `token_use` or `token_type` says that it is another kind of token")]
    Type,
    /// It is an ID token, which grants no access.
    #[error("an ID token instead of an access token")]
    IdToken,
    /// It is valid only together with a key (RFC 7800), and came without a proof by that key.
    #[error("bound to a key (`cnf`), and sent without a proof by that key")]
    Bound,
    /// It is valid only together with a certificate (RFC 8705 §3), and came with another or none.
    #[error(
        "bound to a client certificate (`cnf.x5t#S256`), and the request has another, or none from a \
         trusted proxy (`clientCertificateHeader`)"
    )]
    Certificate,
    /// It came with a proof by a key, and is not bound to any.
    #[error("sent with a proof by a key, and bound to none (`cnf.jkt`)")]
    NotBound,
    /// Another provider issued it.
    #[error("`iss` is not a provider of the application")]
    Issuer,
    /// Its algorithm is not accepted.
    #[error("`alg` is not one that is accepted")]
    Algorithm,
    /// No key of the provider verifies its signature.
    #[error("no key of the provider verifies its signature")]
    Signature,
    /// It is for another audience.
    #[error("`aud` names none of `machineTokens.audience`")]
    Audience,
    /// It is for none of the audiences of a further issuer.
    #[error("`aud` names none of `audience` of its issuer")]
    IssuerAudience,
    /// It was issued to a client that is not allowed.
    #[error("`client_id` or `azp` is not one of `machineTokens.clients`")]
    Client,
    /// It has expired, is not valid yet, or its times are missing.
    #[error("`exp`, `nbf` or `iat` is missing, past or in the future")]
    Time,
    /// It is older than a session may become.
    #[error("older than `session.lifetime`")]
    Old,
    /// It has no subject.
    #[error("`sub` is missing")]
    Subject,
    /// It was issued to the outpost, or does not say to whom, and an application gets the outpost's.
    #[error(
        "`client_id` or `azp` is the outpost's own client or missing, and an application gets such \
         tokens (`upstreamTokens.accessToken`)"
    )]
    HandedOn,
    /// The provider says that it is not active.
    #[error("the provider says that it is not active")]
    Inactive,
    /// The provider issues no token for the credentials.
    #[error("the provider refuses the credentials")]
    Credentials,
    /// The caller ended the subject's sessions after it was issued.
    #[error("its subject was signed out after it was issued")]
    Revoked,
}

/// Why credentials have no holder.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// They are invalid.
    #[error("credentials refused: {0}")]
    Refused(#[from] Refusal),
    /// The provider could not be asked, so they may be valid.
    #[error(transparent)]
    NotAnswered(#[from] SignInError),
}

impl From<Unavailable> for CredentialsError {
    fn from(unavailable: Unavailable) -> Self {
        Self::NotAnswered(unavailable.into())
    }
}

/// What an application requires of a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules<'a> {
    /// Which tokens are accepted.
    pub settings: &'a AccessTokenSettings,
    /// The claims that the identity takes beyond the standard ones.
    pub extra: &'a [NamedClaim],
    /// What its client has proved to have.
    pub proved: Proved<'a>,
    /// Whether the caller has just got it from the provider, so that no other client has it.
    pub is_fresh: bool,
    /// How old a token may be, in seconds.
    pub max_age: u64,
    /// The current time.
    pub now: NumericDate,
}

/// What a client has proved to have besides its token, each by its thumbprint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proved<'a> {
    /// The key of a proof (RFC 9449).
    pub key: Option<&'a str>,
    /// A certificate (RFC 8705).
    pub certificate: Option<&'a str>,
}

/// Returns the issuer that an access token names, where it is a JWT that names one. Nothing is
/// verified: it says which provider to ask, and nothing more.
pub fn unverified_issuer(token: &Secret) -> Option<String> {
    let token = UnverifiedJwt::parse(token.expose(), MAX_TOKEN_BYTES)?;
    token.text("iss").map(str::to_owned)
}

impl Provider {
    /// Returns the holder of an access token.
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

    /// Checks everything but the signature.
    fn check(
        &self,
        token: &UnverifiedJwt<'_>,
        rules: TokenRules<'_>,
    ) -> Result<(Holder, Algorithm), Refusal> {
        self.check_kind(&token.header.typ, &token.claims)?;
        let algorithm = token.header.accepted(&algorithm::signatures());
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

    /// Checks a token before the provider is asked about it.
    ///
    /// A provider that calls a token active says that it issued it, and not which kind it is: some
    /// say so of ID tokens too. So a JWT has to be an access token here too.
    pub(crate) fn check_before_introspection(&self, token: &str) -> Result<(), Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        match Outline::of(token) {
            Outline::Opaque => Ok(()),
            Outline::Unreadable => Err(Refusal::Malformed),
            Outline::Jwt { header, claims } => {
                self.check_kind(&header.typ, &claims)?;
                self.check_issuer(&claims)
            }
        }
    }

    /// Checks that a JWT is an access token: an application that receives ID tokens could use them
    /// at others.
    fn check_kind(&self, typ: &Typ, claims: &Map<String, Value>) -> Result<(), Refusal> {
        // RFC 9068 §2.1. Older providers leave `typ` out.
        match typ {
            Typ::Missing => {}
            Typ::Is(kind) if kind.eq_ignore_ascii_case("JWT") => {}
            Typ::Is(kind) if kind.eq_ignore_ascii_case("at+jwt") => return Ok(()),
            Typ::Is(_) | Typ::Invalid => return Err(Refusal::Type),
        }
        check_says_no_other_kind(claims)?;
        // A token for this client needs a claim that only access tokens have.
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

    /// Checks verified claims, and returns the holder.
    pub(crate) fn holder_of(
        &self,
        claims: Map<String, Value>,
        rules: TokenRules<'_>,
    ) -> Result<Holder, Refusal> {
        let TokenRules { settings, now, .. } = rules;
        check_binding(&claims, rules.proved)?;
        let own = self.settings();
        if !rules.is_fresh {
            check_is_not_handed_on(&claims, &own.handed_on)?;
        }
        self.check_issuer(&claims)?;
        check_are_times(&claims)?;
        let client = text(&claims, "client_id");
        let party = text(&claims, "azp");
        let for_us = |audience: &str| match claims.get("aud") {
            // The response may have no `aud` (RFC 7662 §2.2).
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
            // Two names of one thing: RFC 9068 §2.2, and OpenID Connect Core 1.0 §2.
            (Some(client), Some(party)) if client != party => return Err(Refusal::Client),
            (Some(client), _) | (None, Some(client)) if allowed(client) => {}
            (None, None) if settings.clients.is_empty() => {}
            _ => return Err(Refusal::Client),
        }
        let times = times(&claims, now, rules.max_age)?;
        let subject = text(&claims, "sub").ok_or(Refusal::Subject)?;
        let sources = ClaimSources(vec![&claims]);
        let mut identity = sources.identity(&self.wanted(rules.extra), subject);
        if let (None, Some(claim)) = (&identity.preferred_username, &settings.name_claim) {
            identity.preferred_username = match claim.as_str() {
                // Without one that is unverified.
                "email" => identity.email.clone(),
                claim => text(&claims, claim).map(str::to_owned),
            };
        }
        Ok(Holder {
            identity,
            issued: times.issued,
            expires: times.expires,
            claims,
        })
    }
}

/// Checks that a client has proved to have everything that its token is bound to (RFC 7800 §3): a key
/// (RFC 9449 §7.1), a certificate (RFC 8705 §3), or both. A token that is bound in a further way is
/// refused, and so is a token that came with a proof by a key and is bound to none. A certificate may
/// come with any token: a proxy may ask every client for one.
pub(crate) fn check_binding(
    claims: &Map<String, Value>,
    proved: Proved<'_>,
) -> Result<(), Refusal> {
    let Some(confirmation) = claims.get("cnf") else {
        return match proved.key {
            Some(_) => Err(Refusal::NotBound),
            None => Ok(()),
        };
    };
    let members = confirmation.as_object().filter(|all| !all.is_empty());
    let members = members.ok_or(Refusal::Bound)?;
    if proved.key.is_some() && !members.contains_key("jkt") {
        return Err(Refusal::NotBound);
    }
    for (method, thumbprint) in members {
        let (proved, refusal) = match method.as_str() {
            "jkt" => (proved.key, Refusal::Bound),
            "x5t#S256" => (proved.certificate, Refusal::Certificate),
            _ => return Err(Refusal::Bound),
        };
        if proved.is_none() || thumbprint.as_str() != proved {
            return Err(refusal);
        }
    }
    Ok(())
}

/// Refuses a token that an application gets to call services in a user's name: with it, the
/// application could act as that user at other applications. `clients` are those whose tokens
/// applications get. A token has to say to which client it was issued: in a claim of RFC 9068 or
/// OpenID Connect, or as Entra ID (`appid`) and Okta (`cid`) do.
pub(crate) fn check_is_not_handed_on(
    claims: &Map<String, Value>,
    clients: &[String],
) -> Result<(), Refusal> {
    if clients.is_empty() {
        return Ok(());
    }
    let names = ["client_id", "azp", "appid", "cid"];
    let mut named = names.into_iter().filter_map(|name| claims.get(name));
    let is_other = |client: &Value| {
        let client = client.as_str().filter(|client| !client.is_empty());
        client.is_some_and(|client| !clients.iter().any(|own| own == client))
    };
    match named.next() {
        Some(first) if is_other(first) && named.all(is_other) => Ok(()),
        Some(_) | None => Err(Refusal::HandedOn),
    }
}

/// When a token was issued, and until when it counts.
pub(crate) struct Times {
    pub(crate) issued: Option<NumericDate>,
    pub(crate) expires: NumericDate,
}

/// Checks that the times are valid where they are there: an invalid one is not an absent one.
fn check_are_times(claims: &Map<String, Value>) -> Result<(), Refusal> {
    let odd = |claim: &str| claims.contains_key(claim) && time(claims, claim).is_none();
    if ["iat", "nbf", "exp"].into_iter().any(odd) {
        return Err(Refusal::Time);
    }
    Ok(())
}

/// Checks `iat`, `nbf` and `exp`, and that a token is not older than `max_age` seconds.
pub(crate) fn times(
    claims: &Map<String, Value>,
    now: NumericDate,
    max_age: u64,
) -> Result<Times, Refusal> {
    check_are_times(claims)?;
    let said = time(claims, "iat");
    let issued = said.unwrap_or(now);
    let expires = time(claims, "exp").map(|expires| expires.plus_seconds(CLOCK_SKEW_SECONDS));
    let begins = time(claims, "nbf").map_or(issued, |nbf| nbf.max(issued));
    if begins > now.plus_seconds(CLOCK_SKEW_SECONDS)
        || expires.is_some_and(|expires| expires <= now)
    {
        return Err(Refusal::Time);
    }
    if now.seconds_since(issued) > max_age {
        return Err(Refusal::Old);
    }
    let last = issued.plus_seconds(max_age);
    Ok(Times {
        issued: said,
        expires: expires.map_or(last, |expires| expires.min(last)),
    })
}

/// Checks that neither the claims of a JWT nor a response to an introspection request say that a
/// token is another kind of token.
pub(crate) fn check_says_no_other_kind(claims: &Map<String, Value>) -> Result<(), Refusal> {
    // Claims of ID tokens (OpenID Connect Core 1.0 §2, §3.3.2.11) and of logout tokens.
    const OTHERS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    if OTHERS.iter().any(|claim| claims.contains_key(*claim)) {
        return Err(Refusal::IdToken);
    }
    // Keycloak names the kind in `typ`, Cognito and Hydra in `token_use`. In a response,
    // `token_type` is that of RFC 6749 §5.1, but some name the kind there.
    for (claim, own) in [
        ("typ", ["Bearer", "at+jwt"]),
        ("token_use", ["access", "access_token"]),
        ("token_type", ["Bearer", "access_token"]),
    ] {
        let Some(kind) = claims.get(claim) else {
            continue;
        };
        // Of a token that is bound to a key, some say this (RFC 9449 §5).
        let of_bound = claims.contains_key("cnf").then_some("DPoP");
        let is_own = kind.as_str().is_some_and(|kind| {
            let mut own = own.iter().copied().chain(of_bound);
            own.any(|own| own.eq_ignore_ascii_case(kind))
        });
        if !is_own {
            return Err(Refusal::Type);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_needs_everything_that_it_is_bound_to() {
        let key = Some("k");
        let certificate = Some("c");
        let jkt = json!({"jkt": "k"});
        let x5t = json!({"x5t#S256": "c"});
        let both = json!({"jkt": "k", "x5t#S256": "c"});
        for (confirmation, key, certificate, expected) in [
            (Value::Null, None, None, Err(Refusal::Bound)),
            (json!({}), None, certificate, Err(Refusal::Bound)),
            (json!("c"), None, certificate, Err(Refusal::Bound)),
            (jkt.clone(), key, None, Ok(())),
            (jkt.clone(), key, certificate, Ok(())),
            (jkt.clone(), Some("x"), None, Err(Refusal::Bound)),
            (jkt, None, certificate, Err(Refusal::Bound)),
            (x5t.clone(), None, certificate, Ok(())),
            (x5t.clone(), None, Some("x"), Err(Refusal::Certificate)),
            (x5t.clone(), None, None, Err(Refusal::Certificate)),
            (x5t, key, certificate, Err(Refusal::NotBound)),
            (both.clone(), key, certificate, Ok(())),
            (both.clone(), key, None, Err(Refusal::Certificate)),
            (both, None, certificate, Err(Refusal::Bound)),
            (
                json!({"x5t#S256": null}),
                None,
                None,
                Err(Refusal::Certificate),
            ),
            (
                json!({"x5t#S256": "c", "kid": "1"}),
                None,
                certificate,
                Err(Refusal::Bound),
            ),
        ] {
            let mut claims = Map::new();
            claims.insert("cnf".to_owned(), confirmation.clone());
            let proved = Proved { key, certificate };
            let checked = check_binding(&claims, proved);
            assert_eq!(checked, expected, "{confirmation} {proved:?}");
        }
        let unbound = Map::new();
        for (key, certificate, expected) in [
            (None, None, Ok(())),
            (None, certificate, Ok(())),
            (key, certificate, Err(Refusal::NotBound)),
        ] {
            let proved = Proved { key, certificate };
            assert_eq!(check_binding(&unbound, proved), expected, "{proved:?}");
        }
    }
}
