//! What a provider may answer: a member that is not used never matters, one that is used and
//! invalid is named, and what security rests on has to be right.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

mod double;
mod hostile;
mod keys;
mod requests;

use gatepost_oidc::{IdTokenError, SignInError, SignedIn};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use double::{
    CLIENT, Double, ISSUER, claims, discovered, discovery, finish, header, settings, sign,
    token_response, undiscovered,
};

/// Signs in at a provider whose ID token has these claims changed.
async fn with_claims(change: impl FnOnce(&mut Value)) -> Result<SignedIn, SignInError> {
    let double = Double::new();
    let mut claims = claims();
    change(&mut claims);
    double.sign_in(&claims);
    finish(&*discovered(&double, settings()).await).await
}

/// Signs in at a provider whose ID token has no groups, so that this userinfo is asked for them.
async fn with_userinfo(userinfo: &Value) -> Result<SignedIn, SignInError> {
    let double = Double::new();
    let mut claims = claims();
    members(&mut claims).remove("groups");
    double.sign_in(&claims);
    double.answer("/userinfo", userinfo);
    finish(&*discovered(&double, settings()).await).await
}

fn members(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("an object")
}

#[tokio::test]
async fn claims_that_are_not_used_may_be_anything() {
    for (claim, value) in [
        ("updated_at", json!("2024-05-01T10:00:00.000Z")),
        ("locale", json!(7)),
        ("locale", json!({"country": "US", "language": "en"})),
        ("name", json!(["Alice"])),
        ("picture", json!({"url": "x"})),
        ("address", json!("Rabbit Hole 1")),
        ("amr", json!("pwd")),
        ("phone_number", json!(441_632)),
        ("phone_number_verified", json!("no")),
        ("birthdate", json!(null)),
        ("auth_time", json!("yesterday")),
        ("auth_time", json!(u64::MAX)),
        ("c_hash", json!(7)),
        ("website", json!("")),
        ("zoneinfo", json!([])),
    ] {
        // In the ID token, and in userinfo, which is asked for the groups.
        let in_id_token = with_claims(|claims| claims[claim] = value.clone()).await;
        let mut userinfo = json!({"sub": "alice-id", "groups": ["staff"]});
        userinfo[claim] = value.clone();
        let in_userinfo = with_userinfo(&userinfo).await;
        for signed_in in [in_id_token, in_userinfo] {
            let identity = signed_in.expect(claim).identity;
            assert_eq!(identity.subject, "alice-id", "{claim}: {value}");
            assert_eq!(identity.email.as_deref(), Some("alice@example.com"));
            assert_eq!(identity.groups, ["staff"], "{claim}: {value}");
            assert!(identity.auth_time.is_none(), "{claim}: {value}");
        }
    }
    let unverified = with_claims(|claims| claims["email_verified"] = json!(1)).await;
    assert!(unverified.expect("signed in").identity.email.is_none());
}

#[tokio::test]
async fn claims_that_security_rests_on_have_to_be_right() {
    let cases: &[(&str, Value, IdTokenError)] = &[
        (
            "iss",
            json!("https://else.example"),
            IdTokenError::Issuer("https://else.example".into()),
        ),
        ("iss", json!([ISSUER]), IdTokenError::Claim("iss")),
        ("sub", json!(7), IdTokenError::Claim("sub")),
        ("sub", json!(""), IdTokenError::Claim("sub")),
        (
            "aud",
            json!("other"),
            IdTokenError::Audience(vec!["other".into()]),
        ),
        ("aud", json!({CLIENT: 1}), IdTokenError::Audience(vec![])),
        ("exp", json!(1), IdTokenError::Expired),
        ("exp", json!("2099-01-01"), IdTokenError::Claim("exp")),
        ("exp", json!(1e300), IdTokenError::Claim("exp")),
        ("iat", json!(null), IdTokenError::Claim("iat")),
        (
            "iat",
            json!(9_000_000_000_u64),
            IdTokenError::IssuedInFuture,
        ),
        ("nonce", json!("other"), IdTokenError::Nonce),
        ("nonce", json!(null), IdTokenError::Claim("nonce")),
        (
            "azp",
            json!("other"),
            IdTokenError::AuthorizedParty("other".into()),
        ),
        ("azp", json!([CLIENT]), IdTokenError::Claim("azp")),
        ("at_hash", json!("eHh4"), IdTokenError::AccessTokenHash),
        ("at_hash", json!(7), IdTokenError::Claim("at_hash")),
    ];
    for (claim, value, expected) in cases {
        match with_claims(|claims| claims[*claim] = value.clone()).await {
            Err(SignInError::IdToken(error)) => assert_eq!(error, *expected, "{claim}: {value}"),
            other => panic!("{claim}: {value}: {other:?}"),
        }
    }
}

/// `aud` with other audiences besides the client.
#[tokio::test]
async fn further_audiences_need_azp_or_the_operators_trust() {
    for (case, aud, azp, trusted, accepted) in [
        (
            "the client alone, in a list",
            json!([CLIENT]),
            None,
            &[][..],
            true,
        ),
        (
            "Zitadel's project",
            json!([CLIENT, "project"]),
            None,
            &["project"],
            true,
        ),
        ("azp", json!([CLIENT, "other"]), Some(CLIENT), &[], true),
        ("neither", json!([CLIENT, "other"]), None, &[], false),
        (
            "one of two",
            json!([CLIENT, "project", "other"]),
            None,
            &["project"],
            false,
        ),
        (
            "azp is another",
            json!([CLIENT, "project"]),
            Some("project"),
            &["project"],
            false,
        ),
        (
            "without the client",
            json!(["project"]),
            Some(CLIENT),
            &["project"],
            false,
        ),
    ] {
        let double = Double::new();
        let mut claims = claims();
        claims["aud"] = aud;
        if let Some(azp) = azp {
            claims["azp"] = json!(azp);
        }
        double.sign_in(&claims);
        let mut settings = settings();
        settings.trusted_audiences = trusted.iter().map(|own| (*own).to_owned()).collect();
        let finished = finish(&*discovered(&double, settings).await).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");
    }
}

#[tokio::test]
async fn a_token_response_is_read_as_far_as_it_is_used() {
    let good = token_response(&sign(&header(), &claims()));
    for (case, change) in [
        ("expires_in is a text", json!({"expires_in": "3600"})),
        ("no type", json!({"token_type": null})),
        ("scope is a list", json!({"scope": ["openid"]})),
        ("no refresh token", json!({"refresh_token": null})),
        ("an empty refresh token", json!({"refresh_token": ""})),
    ] {
        let double = Double::new();
        let mut response = good.clone();
        members(&mut response).extend(change.as_object().expect("members").clone());
        double.answer("/token", &response);
        let finished = finish(&*discovered(&double, settings()).await).await;
        finished.expect(case);
    }
    for (change, named) in [
        (json!({"id_token": 7}), "`id_token` is a number"),
        (json!({"access_token": []}), "`access_token` is a list"),
        (json!({"refresh_token": {}}), "`refresh_token` is an object"),
        (json!({"token_type": "DPoP"}), "not a bearer token"),
        (json!({"id_token": null}), "no ID token"),
    ] {
        let double = Double::new();
        let mut response = good.clone();
        members(&mut response).extend(change.as_object().expect("members").clone());
        double.answer("/token", &response);
        let finished = finish(&*discovered(&double, settings()).await).await;
        let error = finished.expect_err(named).to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

/// Discovers a provider whose document has these members.
async fn discover(change: Value) -> Result<(), String> {
    let double = Double::new();
    let mut document = discovery();
    members(&mut document).extend(change.as_object().expect("members").clone());
    double.answer("/.well-known/openid-configuration", &document);
    let provider = undiscovered(&double, settings());
    let found = provider.discover().await;
    found.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_discovery_document_is_read_as_far_as_it_is_used() {
    for change in [
        json!({"op_tos_uri": ""}),
        json!({"end_session_endpoint": ""}),
        json!({"userinfo_endpoint": null}),
        json!({"introspection_endpoint": ""}),
        json!({"claims_parameter_supported": "true"}),
        json!({"authorization_response_iss_parameter_supported": null}),
        json!({"request_parameter_supported": null}),
        json!({"response_types_supported": "code"}),
        json!({"subject_types_supported": 7}),
        json!({"id_token_signing_alg_values_supported": null}),
        json!({"id_token_signing_alg_values_supported": ["none", "made up", "rs256"]}),
        json!({"token_endpoint_auth_methods_supported": "client_secret_basic"}),
    ] {
        assert_eq!(discover(change.clone()).await, Ok(()), "{change}");
    }
    for (change, named) in [
        (
            json!({"authorization_endpoint": null}),
            "`authorization_endpoint` is missing",
        ),
        (json!({"token_endpoint": ""}), "`token_endpoint` is missing"),
        (
            json!({"jwks_uri": ["x"]}),
            "`jwks_uri` is a list instead of a text",
        ),
        (
            json!({"userinfo_endpoint": "/userinfo"}),
            "`userinfo_endpoint` is a text instead of an",
        ),
        (
            json!({"issuer": "https://else.example"}),
            "says `https://else.example`",
        ),
        (
            json!({"id_token_signing_alg_values_supported": ["HS256"]}),
            "HS256, is not accepted",
        ),
        (
            json!({"end_session_endpoint": "data:text/html,x"}),
            "neither http nor https",
        ),
        (
            json!({"token_endpoint": "http://id.example.com/token"}),
            "is not https",
        ),
    ] {
        let error = discover(change.clone()).await.expect_err(named);
        assert!(error.contains(named), "{change}: {error}");
    }
}

#[tokio::test]
async fn userinfo_may_be_json_or_a_signed_token_of_any_media_type() {
    let mut claims = claims();
    members(&mut claims).remove("groups");
    let said = json!({"sub": "alice-id", "groups": ["admins"], "updated_at": {}});
    let of_others = json!({"sub": "alice-id", "aud": "other", "groups": ["admins"]});
    for (case, body, accepted) in [
        ("JSON", said.to_string(), true),
        ("a byte order mark", format!("\u{feff}{said}"), true),
        ("a signed token", sign(&header(), &said), true),
        (
            "a token without signature",
            {
                let token = sign(&json!({"alg": "none"}), &said);
                let (signed, _) = token.rsplit_once('.').expect("parts");
                format!("{signed}.")
            },
            false,
        ),
        (
            "a token for another client",
            sign(&header(), &of_others),
            false,
        ),
        (
            "another user",
            json!({"sub": "mallory-id"}).to_string(),
            false,
        ),
        ("nobody", json!({"groups": ["admins"]}).to_string(), false),
        ("no object", "[]".to_owned(), false),
    ] {
        let double = Double::new();
        double.sign_in(&claims);
        double.answer_raw("/userinfo", 200, body.into_bytes());
        let finished = finish(&*discovered(&double, settings()).await).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");
        if let Ok(signed_in) = finished {
            assert_eq!(signed_in.identity.groups, ["admins"], "{case}");
        }
    }
}

/// Generates any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!(CLIENT)),
        Just(json!(ISSUER)),
        Just(json!("alice-id")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

/// The members of a document that are read, one of which becomes anything.
const MEMBERS: [(&str, &[&str]); 5] = [
    (
        "claims",
        &[
            "iss",
            "sub",
            "aud",
            "azp",
            "exp",
            "iat",
            "nonce",
            "at_hash",
            "sid",
            "groups",
            "name",
            "email",
            "email_verified",
            "preferred_username",
            "acr",
            "amr",
            "auth_time",
        ],
    ),
    ("header", &["alg", "kid", "typ", "crit"]),
    (
        "/token",
        &[
            "access_token",
            "token_type",
            "refresh_token",
            "id_token",
            "error",
        ],
    ),
    ("/userinfo", &["sub", "groups", "email"]),
    ("/keys", &["keys"]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Any JSON leads to a session of the user that the ID token names, or to a refusal that says
    /// why.
    #[test]
    fn any_json_is_a_session_or_a_named_refusal(
        place in 0..MEMBERS.len(), member in any::<prop::sample::Index>(), value in any_json(),
        whole in any::<bool>(),
    ) {
        let (document, names) = MEMBERS[place];
        let member = names[member.index(names.len())];
        let change = |mut good: Value| {
            if whole {
                return value.clone();
            }
            good[member] = value.clone();
            good
        };
        let double = Double::new();
        let mut token = claims();
        let mut head = header();
        match document {
            "claims" => token = change(token),
            "header" => head = change(head),
            "/userinfo" => {
                token["groups"] = Value::Null;
                double.answer(document, &change(json!({"sub": "alice-id", "groups": ["a"]})));
            }
            _ => {}
        }
        let response = token_response(&sign(&head, &token));
        double.answer("/token", &if document == "/token" { change(response) } else { response });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let finished = runtime.expect("a runtime").block_on(async {
            let provider = discovered(&double, settings()).await;
            if document == "/keys" {
                double.answer("/keys", &change(json!({"keys": [double::public_key()]})));
                if let Err(error) = provider.discover().await {
                    return Err(error.to_string());
                }
            }
            finish(&provider).await.map_err(|error| error.to_string())
        });
        match finished {
            Ok(signed_in) => {
                let subject = signed_in.identity.subject;
                prop_assert_eq!(Some(subject.as_str()), token["sub"].as_str());
                prop_assert!(!subject.is_empty());
            }
            Err(reason) => prop_assert!(reason.len() > 20, "{}", reason),
        }
    }
}
