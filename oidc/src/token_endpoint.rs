//! The token endpoint: a code, or a refresh token, for the tokens of a person.

use std::time::Duration;

use http::StatusCode;
use openidconnect::AccessToken;
use serde_json::{Map, Value};

use crate::exchange::SignInError;
use crate::form::{Answer, Form, TOKEN_ENDPOINT};
use crate::json::{self, DocumentError, optional_text};
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
        let members = json::parse(&answer.body);
        members
            .and_then(|members| Self::of(&members))
            .map_err(|error| {
                let reason = format!("not a token response: {error}");
                NoTokens::Unreadable(unreadable(reason))
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
            refresh: secret("refresh_token")?,
            id: secret("id_token")?,
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
            reason: "its access token is missing, or not a bearer token (RFC 6750 §2.1)".to_owned(),
        })
    }
}

impl Provider {
    /// Asks the token endpoint.
    pub(crate) async fn tokens(&self, found: &Discovered, form: Form) -> Result<Tokens, NoTokens> {
        let client = self.client(found).map_err(NoTokens::Unreadable)?;
        let answer = self
            .post(
                &found.metadata.token_endpoint,
                TOKEN_ENDPOINT,
                &client,
                form,
            )
            .await;
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
                prop_assert!(kind.is_empty() || kind.eq_ignore_ascii_case("bearer"));
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
