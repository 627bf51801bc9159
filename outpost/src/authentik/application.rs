//! What an application has from authentik beyond the keys of a configuration file.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatepost_session::KeyRing;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::skip::SkipPaths;
use crate::store::Secret;

/// What authentik says of an application that a file cannot.
#[derive(Clone, Debug)]
pub struct FromAuthentik {
    /// Its own keys: its provider's cookie secret.
    pub keys: KeyRing,
    /// The entry of a keys file that is this key, for the plugin.
    pub keys_entry: Secret,
    /// For how long its sessions last, in seconds.
    pub lifetime: Option<u64>,
    /// The paths that need no session.
    pub skip: SkipPaths,
    /// What signs people in at the upstream, if anything.
    pub basic: Option<UpstreamBasic>,
    /// Whether credentials in `Authorization` are for the outpost.
    pub intercepts_authorization: bool,
}

/// Which attributes of a person are the credentials at the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamBasic {
    /// The attribute that is the user name; without it, the e-mail address.
    pub user_attribute: String,
    /// The attribute that is the password.
    pub password_attribute: String,
}

const JWT: HeaderName = HeaderName::from_static("x-authentik-jwt");

impl FromAuthentik {
    /// The headers that come of the ID token and so of the store: none of this has a place in a
    /// cookie.
    pub fn told_by_id_token(&self, id_token: Option<&Secret>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let Some(id_token) = id_token else {
            return headers;
        };
        let mut push = |name: HeaderName, text: &str| {
            if let Ok(mut value) = HeaderValue::from_str(text) {
                value.set_sensitive(true);
                headers.push((name, value));
            }
        };
        push(JWT, id_token.expose());
        let basic = self.basic.as_ref();
        if let Some(credentials) = basic.and_then(|basic| basic.credentials(id_token)) {
            let encoded = STANDARD.encode(credentials.expose());
            push(AUTHORIZATION, &format!("Basic {encoded}"));
        }
        headers
    }
}

impl UpstreamBasic {
    /// `user:password`; `None` where the person has no password for the upstream.
    fn credentials(&self, id_token: &Secret) -> Option<Secret> {
        // Verified when the session was opened, and kept by nobody but the outpost since.
        let payload = id_token.expose().split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let attributes = claims.pointer("/ak_proxy/user_attributes");
        let attribute = |name: &str| Some(attributes?.get(name)?.as_str()?.to_owned());
        let password = attribute(&self.password_attribute)?;
        let user = attribute(&self.user_attribute)
            .or_else(|| Some(claims.get("email")?.as_str()?.to_owned()))?;
        // RFC 7617 §2: the first colon ends the user name.
        (!user.contains(':')).then(|| Secret::new(format!("{user}:{password}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_the_attributes_that_authentik_names() {
        let basic = UpstreamBasic {
            user_attribute: "app_user".to_owned(),
            password_attribute: "app_password".to_owned(),
        };
        for (case, claims, expected) in [
            (
                "both",
                json!({"ak_proxy": {"user_attributes": {"app_user": "u", "app_password": "p:w"}}}),
                Some("u:p:w"),
            ),
            (
                "the e-mail address for a name",
                json!({"email": "e@x", "ak_proxy": {"user_attributes": {"app_password": "p"}}}),
                Some("e@x:p"),
            ),
            (
                "no password",
                json!({"email": "e@x", "ak_proxy": {"user_attributes": {"app_user": "u"}}}),
                None,
            ),
            (
                "a name with a colon",
                json!({"ak_proxy": {"user_attributes": {"app_user": "u:x", "app_password": "p"}}}),
                None,
            ),
            ("no attributes", json!({"email": "e@x"}), None),
        ] {
            let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
            let token = Secret::new(format!("e30.{payload}.x"));
            let credentials = basic.credentials(&token);
            let credentials = credentials.as_ref().map(Secret::expose);
            assert_eq!(credentials, expected, "{case}");
        }
        assert!(
            basic
                .credentials(&Secret::new("not a token".to_owned()))
                .is_none()
        );
    }
}
