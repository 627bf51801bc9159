//! The token endpoint (RFC 6749 §3.2): tokens of a user, for a code or a refresh token.

use std::time::Duration;

use http::StatusCode;
use openidconnect::AccessToken;
use serde_json::{Map, Value};

use crate::error::SignInError;
use crate::form::{Answer, Form, TOKEN_ENDPOINT};
use crate::json::{self, DocumentError, optional_text};
use crate::provider::{Discovered, Provider};
use gatepost_base::{Quoted, Secret};

/// The tokens of a user, of which nothing has been verified.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// The access token, where it is a bearer token.
    access: Option<AccessToken>,
    /// For how many seconds the access token is valid, if the provider says it.
    expires_in: Option<u64>,
    /// The refresh token.
    pub(crate) refresh: Option<Secret>,
    /// The ID token.
    pub(crate) id: Option<Secret>,
}

/// An access token for an application that calls the provider in the user's name.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// For how many seconds it is valid, if the provider says it.
    pub expires_in: Option<u64>,
}

/// Why the token endpoint issues no tokens.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// It does not respond, or says that it cannot serve any client now.
    Away {
        /// The cause.
        error: SignInError,
        /// After what time it asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// It refuses (RFC 6749 §5.2).
    Refused {
        /// `error`.
        code: String,
        /// The cause, with the provider's words.
        error: SignInError,
    },
    /// It refuses, or something in between does, and does not say why.
    Unexplained(SignInError),
    /// Its response is invalid.
    Unreadable(SignInError),
}

impl Tokens {
    /// Reads a response of the token endpoint. `refused` returns the cause of a refusal by its code and words.
    fn read(
        answer: &Answer,
        refused: impl Fn(&str, &str) -> SignInError,
    ) -> Result<Self, TokenError> {
        let status = answer.status;
        let unreadable = |reason: String| SignInError::Unreadable {
            endpoint: TOKEN_ENDPOINT,
            reason,
        };
        let away = |reason: String| TokenError::Away {
            error: unreadable(reason),
            retry_after: answer.retry_after(),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(away(format!("it answers {status}")));
        }
        // Some providers refuse with a status of success.
        match answer.refusal() {
            Some((code, _)) if is_about_the_provider(&code) => {
                return Err(away(format!("it answers {status}: {}", Quoted(code))));
            }
            Some((code, words)) => {
                let error = refused(&code, &words);
                return Err(TokenError::Refused { code, error });
            }
            None if is_refusal(status) => {
                let reason = format!("it answers {status} without an `error`");
                return Err(TokenError::Unexplained(unreadable(reason)));
            }
            None if status != StatusCode::OK => {
                let reason = format!("it answers {status}");
                return Err(TokenError::Unreadable(unreadable(reason)));
            }
            None => {}
        }
        let members = json::parse(&answer.body);
        members
            .and_then(|members| Self::of(&members))
            .map_err(|error| {
                let reason = format!("not a token response: {error}");
                TokenError::Unreadable(unreadable(reason))
            })
    }

    /// Reads a token response (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3), as far as it
    /// matters here.
    fn of(members: &Map<String, Value>) -> Result<Self, DocumentError> {
        let secret = |name| {
            let text = optional_text(members, name)?;
            Ok(text.map(|text| Secret::new(text.to_owned())))
        };
        // A client must not use a token of a type that it does not understand (RFC 6749 §7.1).
        // Some providers leave the type out.
        let token_type = optional_text(members, "token_type")?;
        let is_usable = token_type.is_none_or(|own| own.eq_ignore_ascii_case("bearer"));
        let access = optional_text(members, "access_token")?;
        let access = access.filter(|token| is_usable && is_bearer(token));
        Ok(Self {
            access: access.map(|token| AccessToken::new(token.to_owned())),
            expires_in: members.get("expires_in").and_then(seconds),
            refresh: secret("refresh_token")?,
            id: secret("id_token")?,
        })
    }

    /// Returns the access token.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreadable`] where the access token is missing or cannot be sent to the
    /// userinfo endpoint.
    pub(crate) fn access(&self) -> Result<&AccessToken, SignInError> {
        self.access.as_ref().ok_or_else(|| SignInError::Unreadable {
            endpoint: TOKEN_ENDPOINT,
            reason: "its access token is missing, or not a bearer token (RFC 6750 §2.1)".to_owned(),
        })
    }

    /// Returns the access token for an application.
    ///
    /// # Errors
    ///
    /// As [`Self::access`].
    pub(crate) fn issued(&self) -> Result<IssuedToken, SignInError> {
        Ok(IssuedToken {
            token: Secret::new(self.access()?.secret().clone()),
            expires_in: self.expires_in,
        })
    }
}

impl Provider {
    /// Posts a form to the token endpoint.
    pub(crate) async fn tokens(
        &self,
        found: &Discovered,
        form: Form,
    ) -> Result<Tokens, TokenError> {
        let url = &found.metadata.token_endpoint;
        let client = self.client(found, url).map_err(TokenError::Unreadable)?;
        let answer = self.post(url, TOKEN_ENDPOINT, &client, form).await;
        let answer = answer.map_err(|error| TokenError::Away {
            error,
            retry_after: None,
        })?;
        Tokens::read(&answer, |code, words| self.refused(code, words))
    }
}

/// Returns whether a status refuses a grant (RFC 6749 §5.2; some answer 403). Others, such as 404 and
/// 405, say that no token endpoint has answered.
fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    )
}

/// Returns whether an error code says that the provider cannot serve any client now: those of the
/// token endpoint (RFC 8628 §3.5), and of the authorization endpoint (RFC 6749 §4.1.2.1), which some
/// use here too.
fn is_about_the_provider(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable" | "server_error" | "slow_down"
    )
}

/// Returns a number of seconds, which some providers write as a text or with a fraction. What is
/// neither is unknown, since the response is good without it (RFC 6749 §5.1).
fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    Some(Duration::try_from_secs_f64(number).ok()?.as_secs())
}

/// Returns whether an access token can be sent in `Authorization`: anything else would be an invalid
/// header, or another one than the provider meant (RFC 6750 §2.1, of which some have further characters).
fn is_bearer(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<Tokens, TokenError> {
        let answer = Answer::of(StatusCode::OK, body.to_vec());
        Tokens::read(&answer, |_, _| SignInError::CodeRefused)
    }

    proptest! {
        #[test]
        fn an_access_token_that_is_kept_can_be_shown(token in "\\PC*|.*", kind in "(?i)bearer|.*") {
            let body = serde_json::json!({"access_token": token, "token_type": kind});
            let tokens = read(body.to_string().as_bytes()).expect("tokens");
            if let Ok(access) = tokens.access() {
                let header = format!("Bearer {}", access.secret());
                prop_assert!(HeaderValue::from_str(&header).is_ok());
                prop_assert!(kind.is_empty() || kind.eq_ignore_ascii_case("bearer"));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            status in 100_u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            let _ = Tokens::read(&Answer::of(status, body), |_, _| SignInError::CodeRefused);
        }
    }

    #[test]
    fn the_time_of_an_access_token_is_read_as_providers_write_it() {
        for (written, expected) in [
            ("300", Some(300)),
            ("\"300\"", Some(300)),
            ("299.7", Some(299)),
            ("0", Some(0)),
            ("-1", None),
            ("1e400", None),
            ("\"soon\"", None),
            ("\"NaN\"", None),
            ("null", None),
            ("[300]", None),
        ] {
            let body = format!(r#"{{"access_token": "a", "expires_in": {written}}}"#);
            let issued = read(body.as_bytes())
                .ok()
                .and_then(|tokens| tokens.issued().ok());
            let seconds = issued.and_then(|issued| issued.expires_in);
            assert_eq!(seconds, expected, "{written}");
        }
    }

    #[test]
    fn a_duplicate_member_is_refused() {
        let body = br#"{"access_token": "a", "token_type": "Bearer", "access_token": "b"}"#;
        assert!(matches!(read(body), Err(TokenError::Unreadable(_))));
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
