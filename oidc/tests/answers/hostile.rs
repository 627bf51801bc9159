//! Hostile answers, tokens and documents.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_oidc::{
    AuthorizationOptions, ClientKey, ProviderSettings, StaticProvider, UnverifiedLogoutToken,
};
use openidconnect::{ClientSecret, IssuerUrl, RedirectUrl};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use crate::double::{
    CLIENT, Double, ISSUER, claims, client_key, discovered, discovery, finish, header, now,
    public_key, settings, sign, sign_with, signed_part, token_response, undiscovered,
};

/// A MAC of the wrong length, by a stranger who knows only public things, ends in a refusal: a
/// library may take bytes of another length for a fault of its caller's.
#[tokio::test]
async fn a_mac_of_any_length_is_refused_without_a_panic() {
    let mut document = discovery();
    document["id_token_signing_alg_values_supported"] = json!(["HS256"]);
    let double = Double::new();
    let settings = ProviderSettings {
        client_secret: Some(ClientSecret::new("hush".into())),
        static_provider: Some(StaticProvider {
            document,
            other_issuers: Vec::new(),
            asked_as: None,
            insecure: false,
        }),
        ..settings()
    };
    let provider = discovered(&double, settings).await;
    let logout = json!({
        "iss": ISSUER, "aud": CLIENT, "jti": "1", "iat": now(), "sub": "alice-id",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let header = json!({"alg": "HS256"});
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"hush");
    let signed = signed_part(&header, &claims());
    let mac = ring::hmac::sign(&key, signed.as_bytes());
    let whole = mac.as_ref();
    for (case, mac, accepted) in [
        ("the MAC", whole.to_vec(), true),
        ("nothing", Vec::new(), false),
        ("one byte", vec![0], false),
        ("its beginning", whole[..31].to_vec(), false),
        ("one byte more", [whole, &[0]].concat(), false),
        ("much more", vec![0; 4_096], false),
        ("another", vec![0; 32], false),
    ] {
        let encoded = URL_SAFE_NO_PAD.encode(&mac);
        let token = format!("{signed}.{encoded}");
        double.answer("/token", &token_response(&token));
        let finished = finish(&provider).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");
        let token = format!("{}.{encoded}", signed_part(&header, &logout));
        let token = UnverifiedLogoutToken::parse(&token).expect("a token");
        let verified = provider.verify_logout_token(&token).await;
        verified.expect_err(case);
    }
}

/// A provider whose document names another server's token endpoint gets no assertion that this
/// server would accept.
#[tokio::test]
async fn an_assertion_is_not_for_another_server_than_gets_it() {
    let (pem, _) = client_key();
    for (token_endpoint, audience) in [
        (format!("{ISSUER}/token"), format!("{ISSUER}/token")),
        (
            "https://honest.example/token".to_owned(),
            format!("{ISSUER}/par"),
        ),
    ] {
        let double = Double::new();
        let mut document = discovery();
        document["token_endpoint"] = json!(token_endpoint);
        document["pushed_authorization_request_endpoint"] = json!(format!("{ISSUER}/par"));
        document["require_pushed_authorization_requests"] = json!(true);
        double.answer("/.well-known/openid-configuration", &document);
        let settings = ProviderSettings {
            client_key: Some(Arc::new(
                ClientKey::parse(pem.as_bytes(), None).expect("a key"),
            )),
            ..settings()
        };
        let provider = discovered(&double, settings).await;
        let redirect_uri = RedirectUrl::new("https://app.example.com/callback".to_owned());
        let _ = provider
            .authorize(
                redirect_uri.expect("a URL"),
                AuthorizationOptions::default(),
            )
            .await;
        let requests = double.requests.lock().expect("no panic");
        let pushed = requests.iter().find(|r| r.uri().path() == "/par");
        let form = url::form_urlencoded::parse(pushed.expect("pushed").body());
        let mut form = form.into_owned();
        let (_, assertion) = form
            .find(|(name, _)| name == "client_assertion")
            .expect("an assertion");
        let claims = assertion.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["aud"], json!(audience), "{token_endpoint}");
    }
}

/// The browser carries `max_age`, so a user can take it out: the relying party checks what came of
/// it (Core 1.0 §3.1.3.7 step 13).
#[tokio::test]
async fn a_maximum_age_is_checked_whatever_the_browser_asked_for() {
    for (case, max_age, auth_time, accepted) in [
        ("fresh", "300", json!(now() - 10), true),
        ("old", "300", json!(now() - 86_400), false),
        (
            "a minute apart, by the clocks",
            "300",
            json!(now() - 350),
            true,
        ),
        ("missing", "300", Value::Null, false),
        ("no time", "300", json!("now"), false),
        ("from the future", "300", json!(now() + 300), true),
        ("no number", "soon", json!(now()), false),
        ("at once", "0", json!(now()), true),
    ] {
        let double = Double::new();
        let mut claims = claims();
        claims["auth_time"] = auth_time;
        double.sign_in(&claims);
        let settings = ProviderSettings {
            authorization_parameters: vec![("max_age".into(), max_age.into())],
            ..settings()
        };
        let finished = finish(&*discovered(&double, settings).await).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");
    }
}

/// Settings that name tenants let in those alone, also at a provider that has no such thing.
#[tokio::test]
async fn tenants_need_an_issuer_with_a_place_for_them() {
    let double = Double::new();
    let settings = ProviderSettings {
        tenants: vec!["t1".into()],
        ..settings()
    };
    let provider = undiscovered(&double, settings);
    let error = provider.discover().await.expect_err("not of tenants");
    let error = error.to_string();
    assert!(
        error.contains("tenants") && error.contains("{tenantid}"),
        "{error}"
    );
}

/// Entra ID has one key set for all tenants, in which each key says whose tokens it signs.
#[tokio::test]
async fn a_key_of_one_issuer_signs_no_token_of_another() {
    let double = Double::new();
    let mut document = discovery();
    document["issuer"] = json!(format!("{ISSUER}/{{tenantid}}/v2.0"));
    double.answer("/common/v2.0/.well-known/openid-configuration", &document);
    let settings = ProviderSettings {
        issuer: IssuerUrl::new(format!("{ISSUER}/common/v2.0")).expect("a URL"),
        tenants: vec!["t1".into(), "t2".into()],
        ..settings()
    };
    let mut claims = claims();
    claims["iss"] = json!(format!("{ISSUER}/t1/v2.0"));
    double.sign_in(&claims);
    for (case, of_key, accepted) in [
        ("of no issuer", Value::Null, true),
        ("of any", json!(format!("{ISSUER}/{{tenantid}}/v2.0")), true),
        ("of this one", json!(format!("{ISSUER}/t1/v2.0")), true),
        ("of another", json!(format!("{ISSUER}/t2/v2.0")), false),
        (
            "of any elsewhere",
            json!("https://x.example/{tenantid}/v2.0"),
            false,
        ),
        (
            "of a path below",
            json!("https://id.example.com/{tenantid}"),
            false,
        ),
        ("no text", json!(7), false),
    ] {
        let mut key = public_key();
        key["issuer"] = of_key;
        let mut other = public_key();
        other["kid"] = json!("other");
        double.answer("/keys", &json!({"keys": [key, other]}));
        let finished = finish(&*discovered(&double, settings.clone()).await).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");
    }
}

/// A key set without a key is a fault at the provider, and no reason to forget those that are known.
#[tokio::test]
async fn keys_stay_where_the_provider_has_none_for_a_while() {
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key");
    let header_of_other = json!({"alg": "EdDSA", "kid": "new"});
    let unknown = |claims: &Value| sign_with(&other, &header_of_other, claims);
    let double = Double::new();
    let provider = discovered(&double, settings()).await;
    for (case, set) in [
        ("empty", json!({"keys": []})),
        ("unusable", json!({"keys": [{"kty": "oct", "k": "AA"}, 7]})),
    ] {
        double.answer("/keys", &set);
        double.answer("/token", &token_response(&unknown(&claims())));
        finish(&provider).await.expect_err(case);
        double.answer("/token", &token_response(&sign(&header(), &claims())));
        finish(&provider).await.expect(case);
        let new = undiscovered(&double, settings());
        let error = new.discover().await.expect_err(case).to_string();
        assert!(error.contains("no key"), "{error}");
    }
}

/// Core 1.0 §5.3.2: userinfo may be a JWT, and then its signature counts.
#[tokio::test]
async fn signed_userinfo_is_of_the_provider_and_for_this_client() {
    let key = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key");
    let by_another = |claims: &Value| sign_with(&key, &header(), claims);
    let userinfo = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "alice-id", "groups": ["admins"],
    });
    let with = |member: &str, value: Value| {
        let mut userinfo = userinfo.clone();
        userinfo[member] = value;
        userinfo
    };
    let unsigned = format!("{}.", signed_part(&json!({"alg": "none"}), &userinfo));
    for (case, answer, accepted) in [
        ("signed", sign(&header(), &userinfo), true),
        ("by another key", by_another(&userinfo), false),
        ("by none", unsigned, false),
        (
            "of another issuer",
            sign(&header(), &with("iss", json!("https://x.example"))),
            false,
        ),
        (
            "for another client",
            sign(&header(), &with("aud", json!("other"))),
            false,
        ),
        (
            "of another user",
            sign(&header(), &with("sub", json!("bob-id"))),
            false,
        ),
    ] {
        let double = Double::new();
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove("groups");
        double.sign_in(&claims);
        double.answer_raw("/userinfo", 200, answer.into_bytes());
        let finished = finish(&*discovered(&double, settings()).await).await;
        let groups = finished.map(|signed_in| signed_in.identity.groups);
        match groups {
            Ok(groups) => assert!(accepted && groups == ["admins"], "{case}: {groups:?}"),
            Err(error) => assert!(!accepted, "{case}: {error}"),
        }
    }
}
