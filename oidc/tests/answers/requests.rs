//! The requests that the relying party sends to a provider.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::Secret;
use gatepost_oidc::{
    AskedAuthentication, AuthorizationOptions, ClientAuthentication, ClientKey, NonceCheck,
    Provider, ProviderSettings, SignInError, SignOutUrl, UnverifiedLogoutToken,
};
use openidconnect::{ClientSecret, IssuerUrl, RedirectUrl};
use serde_json::{Value, json};
use url::Url;

use crate::double::{
    CLIENT, Double, ISSUER, claims, client_key, discovered, discovery, finish, header, now,
    settings, sign, undiscovered,
};

fn pairs(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

async fn authorize(
    provider: &Provider,
    options: AuthorizationOptions<'_>,
) -> Result<Url, SignInError> {
    let redirect_uri = RedirectUrl::new("https://app.example.com/callback".to_owned());
    let request = provider.authorize(redirect_uri.expect("a URL"), options);
    request.await.map(|request| request.url)
}

/// Returns the form of the last request to this path.
fn posted(double: &Double, path: &str) -> HashMap<String, String> {
    let requests = double.requests.lock().expect("no panic");
    let mut requests = requests.iter().rev();
    let request = requests.find(|request| request.uri().path() == path);
    pairs(std::str::from_utf8(request.expect("a request").body()).expect("a form"))
}

fn owned(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    parameters.iter().map(owned).collect()
}

#[tokio::test]
async fn parameters_come_from_the_operator_or_an_allowed_caller() {
    let double = Double::new();
    let settings = ProviderSettings {
        authorization_parameters: owned(&[
            ("prompt", "consent"),
            ("access_type", "offline"),
            ("redirect_uri", "https://evil.example"),
            ("login_hint", "operator"),
        ]),
        caller_parameters: vec!["login_hint".into(), "state".into()],
        ..settings()
    };
    let provider = discovered(&double, settings).await;
    let from_link = owned(&[
        ("login_hint", "alice@example.com"),
        ("state", "fixed"),
        ("acr_values", "low"),
    ]);
    let options = AuthorizationOptions {
        parameters: &from_link,
        ..AuthorizationOptions::default()
    };
    let url = authorize(&provider, options).await.expect("a URL");
    let sent = pairs(url.query().expect("a query"));
    assert_eq!(sent["prompt"], "consent");
    assert_eq!(sent["access_type"], "offline");
    assert_eq!(sent["redirect_uri"], "https://app.example.com/callback");
    assert_eq!(sent["login_hint"], "alice@example.com");
    assert_ne!(sent["state"], "fixed");
    assert!(!sent.contains_key("acr_values"));
    let names: Vec<_> = url
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), unique.len(), "{names:?}");
}

/// What a rule asks for is in no link's or setting's hands, but a stricter `max_age` of the settings
/// counts. Where the rules name no class, that of the session is kept, whatever the settings have.
#[tokio::test]
async fn an_authentication_that_a_rule_asks_for_is_asked_for() {
    let asked = |values: &str, max_age, again| AskedAuthentication {
        acr_values: values.to_owned(),
        class_of_session: Some("of the session".to_owned()),
        max_age,
        again,
    };
    let of_settings = [
        ("prompt", "consent"),
        ("max_age", "60"),
        ("acr_values", "of the settings"),
    ];
    let all = &of_settings[..];
    let without_class = &of_settings[..2];
    for (asked, settings_have, expected) in [
        (asked("gold", Some(300), true), all, ["gold", "60", "login"]),
        (
            asked("gold silver", Some(30), false),
            all,
            ["gold silver", "30", "consent"],
        ),
        (
            asked("", None, true),
            all,
            ["of the session", "60", "login"],
        ),
        (
            asked("", Some(90), false),
            without_class,
            ["of the session", "60", "consent"],
        ),
        (
            asked("gold", None, false),
            without_class,
            ["gold", "60", "consent"],
        ),
    ] {
        let double = Double::new();
        let settings = ProviderSettings {
            authorization_parameters: owned(settings_have),
            caller_parameters: ["acr_values", "prompt", "login_hint", "ui_locales"]
                .map(str::to_owned)
                .into(),
            ..settings()
        };
        let provider = discovered(&double, settings).await;
        let from_link = owned(&[
            ("acr_values", "of the link"),
            ("prompt", "none"),
            ("login_hint", "mallory"),
            ("ui_locales", "de"),
        ]);
        let options = AuthorizationOptions {
            step_up: Some(&asked),
            login_hint: Some("alice"),
            parameters: &from_link,
            ..AuthorizationOptions::default()
        };
        let url = authorize(&provider, options).await.expect("a URL");
        let sent = |name| {
            let mut values = url.query_pairs().filter(|(own, _)| own == name);
            let value = values.next().map(|(_, value)| value.into_owned());
            assert!(values.next().is_none(), "{name} twice: {url}");
            value.expect(name)
        };
        let names = ["acr_values", "max_age", "prompt"];
        assert_eq!(names.map(sent), expected, "{asked:?}");
        let names = ["login_hint", "ui_locales"];
        assert_eq!(names.map(sent), ["alice", "de"]);
    }
}

#[tokio::test]
async fn a_silent_request_shows_no_page_and_says_whose_session_it_is() {
    let double = Double::new();
    let settings = ProviderSettings {
        authorization_parameters: owned(&[("prompt", "consent"), ("hd", "example.com")]),
        ..settings()
    };
    let provider = discovered(&double, settings).await;
    let (short, long) = (
        Secret::new("t".repeat(2_048)),
        Secret::new("t".repeat(2_049)),
    );
    for (hint, is_sent) in [(&short, true), (&long, false)] {
        let options = AuthorizationOptions {
            silent: true,
            id_token_hint: Some(hint),
            login_hint: Some("alice"),
            ..AuthorizationOptions::default()
        };
        let url = authorize(&provider, options).await.expect("a URL");
        let sent = pairs(url.query().expect("a query"));
        assert_eq!(sent["prompt"], "none");
        assert_eq!(sent["hd"], "example.com");
        assert_eq!(sent["login_hint"], "alice");
        assert_eq!(sent.contains_key("id_token_hint"), is_sent);
    }
}

/// RFC 9126.
#[tokio::test]
async fn a_request_is_pushed_where_the_provider_requires_it() {
    for (required, setting, is_pushed) in [
        (false, None, false),
        (true, None, true),
        (false, Some(true), true),
        (true, Some(false), false),
    ] {
        let double = Double::new();
        let mut document = discovery();
        document["pushed_authorization_request_endpoint"] = json!(format!("{ISSUER}/par"));
        document["require_pushed_authorization_requests"] = json!(required);
        double.answer("/.well-known/openid-configuration", &document);
        let answer = json!({"request_uri": "urn:x:1", "expires_in": 60});
        double.answer_raw("/par", 201, answer.to_string().into_bytes());
        let settings = ProviderSettings {
            client_secret: Some(ClientSecret::new("hush".into())),
            pushed_authorization: setting,
            ..settings()
        };
        let provider = discovered(&double, settings).await;
        let url = authorize(&provider, AuthorizationOptions::default()).await;
        let sent = pairs(url.expect("a URL").query().expect("a query"));
        assert_eq!(
            sent.contains_key("state"),
            !is_pushed,
            "{required} {setting:?}"
        );
        if is_pushed {
            assert_eq!(sent.len(), 2);
            assert_eq!(
                (&*sent["client_id"], &*sent["request_uri"]),
                (CLIENT, "urn:x:1")
            );
            let form = posted(&double, "/par");
            for name in ["state", "nonce", "code_challenge", "scope", "redirect_uri"] {
                assert!(form.contains_key(name), "{name}: {form:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_push_that_fails_is_named() {
    let double = Double::new();
    let mut document = discovery();
    document["pushed_authorization_request_endpoint"] = json!(format!("{ISSUER}/par"));
    document["require_pushed_authorization_requests"] = json!(true);
    double.answer("/.well-known/openid-configuration", &document);
    let provider = discovered(&double, settings()).await;
    for (status, body, named) in [
        (
            400,
            json!({"error": "invalid_request", "error_description": "no"}),
            "invalid_request: no",
        ),
        (201, json!({"expires_in": 60}), "`request_uri` is missing"),
        (201, json!([]), "not a JSON object"),
        (404, json!({}), "it answers 404"),
        (500, json!({}), "it answers 500"),
    ] {
        double.answer_raw("/par", status, body.to_string().into_bytes());
        let refused = authorize(&provider, AuthorizationOptions::default()).await;
        let error = refused.expect_err(named).to_string();
        assert!(error.contains(named), "{error}");
    }
}

/// Returns the header and claims of an assertion, whose signature another implementation verifies.
fn assertion(form: &HashMap<String, String>) -> (Value, Value, String, Vec<u8>) {
    let assertion = &form["client_assertion"];
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let parts: Vec<&str> = assertion.split('.').collect();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let json = |part| serde_json::from_slice(&decode(part)).expect("JSON");
    let signed = format!("{}.{}", parts[0], parts[1]);
    (json(parts[0]), json(parts[1]), signed, decode(parts[2]))
}

/// RFC 7523.
#[tokio::test]
async fn a_client_authenticates_by_an_assertion_of_its_own() {
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    let (pem, pair) = client_key();
    let key = ClientKey::parse(pem.as_bytes(), Some("2026".into())).expect("a key");
    assert!(!format!("{key:?}").contains("pair"));
    let double = Double::new();
    let settings = ProviderSettings {
        client_key: Some(Arc::new(key)),
        ..settings()
    };
    let provider = discovered(&double, settings).await;
    finish(&provider).await.expect("signed in");
    let first = posted(&double, "/token");
    assert_eq!(first["client_id"], CLIENT);
    assert!(!first.contains_key("client_secret"));
    let (head, body, signed, signature) = assertion(&first);
    assert_eq!(head, json!({"alg": "EdDSA", "typ": "JWT", "kid": "2026"}));
    assert_eq!(
        (&body["iss"], &body["sub"]),
        (&json!(CLIENT), &json!(CLIENT))
    );
    assert_eq!(body["aud"], json!(format!("{ISSUER}/token")));
    let expires = body["exp"].as_u64().expect("a time");
    assert!((now()..now() + 120).contains(&expires));
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
    public
        .verify(signed.as_bytes(), &signature)
        .expect("verified");
    finish(&provider).await.expect("signed in");
    let (_, again, ..) = assertion(&posted(&double, "/token"));
    assert_ne!(again["jti"], body["jti"]);
}

#[tokio::test]
async fn a_client_may_have_a_mac_of_its_secret_instead() {
    let double = Double::new();
    let settings = ProviderSettings {
        client_secret: Some(ClientSecret::new("hush".into())),
        client_authentication: Some(ClientAuthentication::SecretJwt),
        ..settings()
    };
    finish(&*discovered(&double, settings).await)
        .await
        .expect("signed in");
    let (head, _, signed, mac) = assertion(&posted(&double, "/token"));
    assert_eq!(head["alg"], json!("HS256"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"hush");
    ring::hmac::verify(&key, signed.as_bytes(), &mac).expect("verified");
}

#[tokio::test]
async fn keys_of_clients_are_of_a_supported_kind() {
    for (case, pem) in [
        ("nothing", String::new()),
        (
            "a certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into(),
        ),
        (
            "no key in it",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".into(),
        ),
    ] {
        ClientKey::parse(pem.as_bytes(), None).expect_err(case);
    }
}

#[tokio::test]
async fn a_nonce_may_be_missing_only_where_the_settings_say_so() {
    for (nonce, check, accepted) in [
        (json!(null), NonceCheck::Required, false),
        (json!(null), NonceCheck::IfPresent, true),
        (json!("another"), NonceCheck::IfPresent, false),
    ] {
        let double = Double::new();
        let mut claims = claims();
        claims["nonce"] = nonce.clone();
        double.sign_in(&claims);
        let settings = ProviderSettings {
            nonce: check,
            ..settings()
        };
        let finished = finish(&*discovered(&double, settings).await).await;
        assert_eq!(
            finished.is_ok(),
            accepted,
            "{nonce} {check:?}: {finished:?}"
        );
    }
}

/// Entra ID's `common`.
#[tokio::test]
async fn of_several_tenants_those_of_the_settings_sign_in() {
    let double = Double::new();
    let mut document = discovery();
    document["issuer"] = json!(format!("{ISSUER}/{{tenantid}}/v2.0"));
    double.answer("/common/v2.0/.well-known/openid-configuration", &document);
    let issuer = format!("{ISSUER}/common/v2.0");
    let settings = |tenants: &[&str]| ProviderSettings {
        issuer: IssuerUrl::new(issuer.clone()).expect("a URL"),
        tenants: tenants.iter().map(|own| (*own).to_owned()).collect(),
        ..settings()
    };
    let provider = discovered(&double, settings(&["t1", "t2"])).await;
    for (tenant, accepted) in [("t1", true), ("t2", true), ("t3", false), ("common", false)] {
        let mut claims = claims();
        claims["iss"] = json!(format!("{ISSUER}/{tenant}/v2.0"));
        double.sign_in(&claims);
        let finished = finish(&provider).await;
        assert_eq!(finished.is_ok(), accepted, "{tenant}: {finished:?}");
        if let Ok(signed_in) = finished {
            assert_eq!(signed_in.identity.issuer, issuer);
        }
    }
    // Without tenants, the template is another issuer.
    let provider = undiscovered(&double, settings(&[]));
    provider.discover().await.expect_err("another issuer");
}

#[tokio::test]
async fn discovery_may_be_at_an_internal_address() {
    let double = Double::new();
    let mut document = discovery();
    for endpoint in ["token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        let url = document[endpoint].as_str().expect("a URL");
        document[endpoint] = json!(url.replace("https://id.example.com", "http://id:8080"));
    }
    double.answer("/internal", &document);
    let settings = ProviderSettings {
        discovery_url: Some(Url::parse("http://id:8080/internal").expect("a URL")),
        ..settings()
    };
    finish(&*discovered(&double, settings.clone()).await)
        .await
        .expect("signed in");
    for (endpoint, url) in [
        ("authorization_endpoint", "http://id:8080/authorize"),
        ("token_endpoint", "http://elsewhere:8080/token"),
    ] {
        document[endpoint] = json!(url);
        double.answer("/internal", &document);
        let provider = undiscovered(&double, settings.clone());
        provider.discover().await.expect_err(endpoint);
    }
}

#[tokio::test]
async fn signing_out_leads_where_the_provider_or_the_operator_says() {
    let double = Double::new();
    let hint = Secret::new("t".repeat(2_049));
    let provider = discovered(&double, settings()).await;
    let url = provider.sign_out_url(Some(&hint), "https://app.example.com/");
    let sent = pairs(url.expect("a URL").query().expect("a query"));
    assert!(!sent.contains_key("id_token_hint"), "too long for a URL");
    assert_eq!(sent["client_id"], CLIENT);
    let template = "https://x.example/logout?client_id={clientId}&logout_uri={returnTo}";
    let settings = ProviderSettings {
        sign_out_url: SignOutUrl::parse(template),
        ..settings()
    };
    let provider = discovered(&double, settings).await;
    let url = provider.sign_out_url(Some(&hint), "https://app.example.com/?a&b");
    let url = url.expect("a URL");
    assert_eq!(url.host_str(), Some("x.example"));
    assert_eq!(
        pairs(url.query().expect("a query"))["logout_uri"],
        "https://app.example.com/?a&b"
    );
}

/// Ory Hydra's logout tokens have no `exp`.
#[tokio::test]
async fn a_logout_token_without_end_is_as_old_as_its_beginning() {
    let double = Double::new();
    let provider = discovered(&double, settings()).await;
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (case, iat, exp, accepted) in [
        ("fresh", now(), None, true),
        ("fresh, and not over", now(), Some(json!(now() + 60)), true),
        ("old", now() - 300, None, false),
        ("from the future", now() + 300, None, false),
        ("fresh and over", now(), Some(json!(now() - 120)), false),
        ("an end that is no time", now(), Some(json!("soon")), false),
    ] {
        let mut claims = json!({
            "iss": ISSUER, "aud": CLIENT, "jti": "1", "iat": iat, "sub": "alice-id", "sid": "s",
            "events": event,
        });
        if let Some(exp) = exp {
            claims["exp"] = exp;
        }
        let token = sign(&header(), &claims);
        let token = UnverifiedLogoutToken::parse(&token).expect("a token");
        let verified = provider.verify_logout_token(&token).await;
        assert_eq!(verified.is_ok(), accepted, "{case}: {verified:?}");
        if let Ok(logout) = verified {
            assert_eq!(logout.subject.as_deref(), Some("alice-id"));
            assert_eq!(logout.session.as_deref(), Some("s"));
        }
    }
}
