//! The token endpoint: a code, or a refresh token, for the tokens of a person.

use std::time::Duration;

use http::StatusCode;
use openidconnect::AccessToken;
use serde::Deserialize;

use crate::exchange::SignInError;
use crate::form::{Answer, Form, TOKEN_ENDPOINT};
use crate::metadata::IdToken;
use crate::provider::{Discovered, Provider};
use gatepost_base::Secret;

/// The tokens of a person, of which nothing has been verified.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// For userinfo, where it can be shown there.
    access: Option<AccessToken>,
    /// For renewing, where there is one.
    pub(crate) refresh: Option<Secret>,
    /// Says who it is.
    pub(crate) id: Option<Secret>,
}

/// A token response (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3), as far as it matters here.
/// A member that stands twice is refused.
#[derive(Deserialize)]
struct Response {
    access_token: String,
    token_type: String,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    id_token: Option<String>,
}

/// Why the token endpoint gives nothing.
#[derive(Debug)]
pub(crate) enum NoTokens {
    /// It does not answer, or says that it cannot answer anybody now.
    Away {
        /// In words for the log.
        error: SignInError,
        /// For how long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It refuses, with a code (RFC 6749 §5.2) and perhaps words.
    Refused {
        /// The code.
        code: String,
        /// What it adds.
        words: String,
    },
    /// Its answer says nothing that could be understood.
    Unreadable(SignInError),
}

impl Tokens {
    /// Reads an answer of the token endpoint.
    fn read(answer: &Answer) -> Result<Self, NoTokens> {
        let status = answer.status;
        let unreadable = |reason: String| SignInError::Unreadable {
            endpoint: TOKEN_ENDPOINT,
            reason,
        };
        let away = |reason: String| NoTokens::Away {
            error: unreadable(reason),
            retry_after: answer.retry_after(),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(away(format!("it answers {status}")));
        }
        // Some refuse with a status of success.
        match answer.refusal() {
            Some((code, _)) if is_everybodys(&code) => {
                return Err(away(format!("it answers {status}: {code:?}")));
            }
            Some((code, words)) => return Err(NoTokens::Refused { code, words }),
            None if status != StatusCode::OK => {
                let reason = format!("it answers {status}");
                return Err(NoTokens::Unreadable(unreadable(reason)));
            }
            None => {}
        }
        if !answer.may_be_json() {
            let reason = "its `Content-Type` is not application/json".to_owned();
            return Err(NoTokens::Unreadable(unreadable(reason)));
        }
        let response: Response = serde_json::from_slice(&answer.body).map_err(|error| {
            // The error itself is left out: it may quote a token.
            let place = (error.line(), error.column());
            let reason = format!("no token response, at line {}, column {}", place.0, place.1);
            NoTokens::Unreadable(unreadable(reason))
        })?;
        let said = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
        // A client must not use a token of a type that it does not understand (RFC 6749 §7.1).
        let usable =
            response.token_type.eq_ignore_ascii_case("bearer") && is_bearer(&response.access_token);
        Ok(Self {
            access: usable.then(|| AccessToken::new(response.access_token)),
            refresh: said(response.refresh_token),
            id: said(response.id_token),
        })
    }

    /// The access token.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreadable`] for one that cannot be shown to userinfo.
    pub(crate) fn access(&self) -> Result<&AccessToken, SignInError> {
        self.access.as_ref().ok_or_else(|| SignInError::Unreadable {
            endpoint: TOKEN_ENDPOINT,
            reason: "its access token is no bearer token (RFC 6750 §2.1)".to_owned(),
        })
    }

    /// The ID token taken apart; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreadable`] for what is no ID token.
    pub(crate) fn id_token(&self) -> Option<Result<IdToken, SignInError>> {
        let text = self.id.as_ref()?.expose();
        Some(text.parse().map_err(|_| SignInError::Unreadable {
            endpoint: TOKEN_ENDPOINT,
            reason: "its `id_token` is no ID token".to_owned(),
        }))
    }
}

impl Provider {
    /// Asks the token endpoint.
    pub(crate) async fn tokens(&self, found: &Discovered, form: Form) -> Result<Tokens, NoTokens> {
        let Some(url) = found.metadata.token_endpoint() else {
            return Err(NoTokens::Unreadable(SignInError::Unreadable {
                endpoint: TOKEN_ENDPOINT,
                reason: "missing".to_owned(),
            }));
        };
        let client = self.client(found);
        let answer = self.post(url.url(), TOKEN_ENDPOINT, &client, form).await;
        let answer = answer.map_err(|error| NoTokens::Away {
            error,
            retry_after: None,
        })?;
        Tokens::read(&answer)
    }
}

/// Whether a code says that the provider cannot answer anybody now: of the token endpoint
/// (RFC 8628 §3.5), and of the authorization endpoint (RFC 6749 §4.1.2.1), which some use here too.
fn is_everybodys(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable" | "server_error" | "slow_down"
    )
}

/// Whether an access token can be shown in `Authorization`: anything else would be no header, or
/// another one than the provider meant (RFC 6750 §2.1, of which some have further characters).
fn is_bearer(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<Tokens, NoTokens> {
        Tokens::read(&Answer::of(StatusCode::OK, body.to_vec()))
    }

    proptest! {
        #[test]
        fn an_access_token_that_is_kept_can_be_shown(token in "\\PC*|.*", kind in "(?i)bearer|.*") {
            let body = serde_json::json!({"access_token": token, "token_type": kind});
            let tokens = read(body.to_string().as_bytes()).expect("tokens");
            if let Ok(access) = tokens.access() {
                let header = format!("Bearer {}", access.secret());
                prop_assert!(HeaderValue::from_str(&header).is_ok());
                prop_assert!(kind.eq_ignore_ascii_case("bearer"));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            status in 100_u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            let _ = Tokens::read(&Answer::of(status, body));
        }
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        let body = br#"{"access_token": "a", "token_type": "Bearer", "access_token": "b"}"#;
        assert!(matches!(read(body), Err(NoTokens::Unreadable(_))));
    }

    #[test]
    fn no_token_is_shown() {
        let body = br#"{"access_token": "hush1", "token_type": "Bearer", "refresh_token": "hush2",
            "id_token": "hush3"}"#;
        let shown = format!("{:?}", read(body));
        assert!(!shown.contains("hush"), "{shown}");
        let body = br#"{"access_token": "hush1", "token_type": "hush", "id_token": {}}"#;
        let shown = format!("{:?}", read(body));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
