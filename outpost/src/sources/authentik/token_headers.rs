//! The headers that authentik's outposts make of a token and its claims: the token itself, credentials
//! for the upstream, and those that an attribute of the user names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_policy::HeaderRules;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::application::{TokenHeaders, TokenNeed, id_claims};
use gatepost_base::Secret;
use gatepost_session::NumericDate;
use gatepost_store::SessionRecord;

/// The headers that authentik's outposts make of a token and its claims.
#[derive(Clone, Debug)]
pub(super) struct AuthentikHeaders {
    /// The attributes that are credentials for the upstream, if any.
    pub(super) basic: Option<UpstreamBasic>,
    /// The application's headers: no attribute of a user may set one of them, or one in which
    /// another system names the user.
    pub(super) rules: HeaderRules,
}

/// Which attributes of a person are the credentials at the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UpstreamBasic {
    /// The attribute that is the user name; without it, the e-mail address.
    pub(super) user_attribute: String,
    /// The attribute that is the password.
    pub(super) password_attribute: String,
}

const JWT: HeaderName = HeaderName::from_static("x-authentik-jwt");

/// The prefixes of headers that no attribute of a user may set.
const PROTECTED: [&str; 11] = [
    "forwarded",
    "max-forwards",
    "proxy-",
    "set-cookie",
    "via",
    "x-auth-",
    "x-authentik-",
    "x-forwarded-",
    "x-gatepost-",
    "x-original-",
    "x-real-ip",
];

/// The most further headers of one person.
const MAX_ADDITIONAL: usize = 32;

impl TokenHeaders for AuthentikHeaders {
    fn of_token(
        &self,
        token: &Secret,
        claims: &Map<String, Value>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let mut push = |name: HeaderName, text: &str| {
            if let Ok(mut value) = HeaderValue::from_str(text) {
                value.set_sensitive(true);
                headers.push((name, value));
            }
        };
        push(JWT, token.expose());
        let basic = self.basic.as_ref();
        if let Some(credentials) = basic.and_then(|basic| basic.credentials(claims)) {
            let encoded = STANDARD.encode(credentials.expose());
            push(AUTHORIZATION, &format!("Basic {encoded}"));
        }
        for (name, text) in additional(claims, &self.rules) {
            push(name, &text);
        }
        headers
    }

    fn of_session(
        &self,
        session: &SessionRecord,
        _now: NumericDate,
    ) -> Vec<(HeaderName, HeaderValue)> {
        // A session of an earlier version has no access token.
        let access = session.access_token.as_ref();
        let token = access.map_or(&session.id_token, |access| &access.token);
        self.of_token(token, &id_claims(session))
    }

    /// As at authentik's own outposts, tokens are renewed with their session.
    fn need(&self, _session: &SessionRecord, _now: NumericDate) -> TokenNeed {
        TokenNeed::None
    }

    /// The token says who the user is (`X-authentik-jwt`), as at authentik's own outposts, where an
    /// application's tokens count at that application alone.
    fn hand_on_access_tokens(&self) -> bool {
        false
    }

    /// A plugin has no such settings.
    fn names_for_plugin(&self) -> String {
        String::new()
    }

    /// Without credentials for the upstream, the application gets those of the client.
    fn own_authorization(&self) -> bool {
        false
    }
}

/// Returns a user's attributes.
fn attributes(claims: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let own = claims.get("ak_proxy")?;
    own.get("user_attributes")?.as_object()
}

/// Returns the headers that an attribute of the user names.
///
/// Users may be allowed to write their own attributes, so a header that names a user or the origin
/// of a request is ignored.
fn additional(claims: &Map<String, Value>, rules: &HeaderRules) -> Vec<(HeaderName, String)> {
    let named = attributes(claims).and_then(|attributes| attributes.get("additionalHeaders"));
    let named = named.and_then(Value::as_object).into_iter().flatten();
    named
        .filter_map(|(name, value)| {
            let name = gatepost_policy::HeaderName::new(name).ok()?;
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            let is_protected = PROTECTED
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix))
                || rules.owns(name.as_str().as_bytes());
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            (!is_protected && !text.is_empty() && text.trim() == text).then_some((name, text))
        })
        .take(MAX_ADDITIONAL)
        .collect()
}

impl UpstreamBasic {
    /// Returns `user:password`; `None` where the user has no password for the upstream.
    fn credentials(&self, claims: &Map<String, Value>) -> Option<Secret> {
        let attribute = |name: &str| Some(attributes(claims)?.get(name)?.as_str()?.to_owned());
        let password = attribute(&self.password_attribute)?;
        let user = attribute(&self.user_attribute)
            .or_else(|| Some(claims.get("email")?.as_str()?.to_owned()))?;
        // RFC 7617 §2: the first colon ends the user name.
        (!user.contains(':')).then(|| Secret::new(format!("{user}:{password}")))
    }
}

#[cfg(test)]
mod tests {
    use gatepost_policy::{HeaderSettings, Preset};
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
            let claims = claims.as_object().expect("claims");
            let credentials = basic.credentials(claims);
            let credentials = credentials.as_ref().map(Secret::expose);
            assert_eq!(credentials, expected, "{case}");
        }
    }

    #[test]
    fn headers_of_an_attribute_say_nothing_about_who_it_is() {
        let claims = json!({"ak_proxy": {"user_attributes": {"additionalHeaders": {
            "X-Team": "blue", "x-level": 3, "X-Beta": true,
            "X-authentik-username": "root", "x-AUTHENTIK-groups": "admins",
            "X-Auth-Username": "root", "X-Forwarded-User": "root", "X-Forwarded-For": "127.0.0.1",
            "X-Real-Ip": "127.0.0.1", "Authorization": "Basic x", "Cookie": "a=b", "Host": "x",
            "Remote-User": "root", "X-Remote-User": "root", "X-WEBAUTH-USER": "root",
            "Cf-Access-Authenticated-User-Email": "root", "OIDC-Sub": "root",
            "X-Userinfo": "root", "X-Vouch-User": "root",
            "X_Authentik_Username": "root", "X-Gatepost-Verdict": "allow", "Forwarded": "for=x",
            "X-List": ["a"], "X-Nothing": null, "X-Empty": "", "X-Blank": " a",
        }}}});
        let rules = HeaderRules::new(HeaderSettings::of(Preset::Authentik, "wiki"));
        let found = additional(claims.as_object().expect("claims"), &rules);
        let found: Vec<_> = found
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let expected = [("x-beta", "true"), ("x-team", "blue"), ("x-level", "3")];
        assert_eq!(found, expected);
        for claims in [
            json!({}),
            json!({"ak_proxy": {"user_attributes": {"additionalHeaders": 1}}}),
        ] {
            assert!(additional(claims.as_object().expect("claims"), &rules).is_empty());
        }
    }
}
