//! What a provider says, from the token endpoint to the last claim: no byte of it ends the process,
//! and none is taken for more than it says.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::forward_auth::{Asked, signed_in};
use crate::provider::{CLIENT_ID, Raw, Script};
use crate::world::{KEY_A, World, configuration};

const HOST: &str = "app.example.com";
const START: &str = "https://app.example.com/akprox/start";

/// Changes of the token response.
type Change = fn(&mut Value);

/// A change to the provider's behaviour.
type Setting = fn(&mut Script);

/// Row C: nothing in a token response ends the process, and a bearer token that no header could
/// carry is refused before it comes near one.
#[tokio::test]
async fn no_token_response_ends_the_process() {
    let cases: &[(&str, Change)] = &[
        ("a line break", |r| r["access_token"] = json!("a\r\nX: y")),
        ("a zero byte", |r| r["access_token"] = json!("a\0b")),
        ("beyond ASCII", |r| r["access_token"] = json!("tök€n")),
        ("a blank", |r| r["access_token"] = json!("a b")),
        ("nothing in it", |r| r["access_token"] = json!("")),
        ("no text", |r| r["access_token"] = json!(["x"])),
        ("another type of token", |r| r["token_type"] = json!("DPoP")),
        ("a type that is no text", |r| r["token_type"] = json!({})),
        ("an ID token that is no text", |r| r["id_token"] = json!(7)),
        ("an ID token of blanks", |r| r["id_token"] = json!(" . . ")),
        ("no object", |r| *r = json!(["access_token"])),
        ("a number", |r| *r = json!(1e300)),
    ];
    let world = World::new().await;
    for (case, change) in cases {
        world.provider.script().token_response = Box::new(*change);
        let reply = world.browser().sign_in(START).await;
        assert!(!reply.sets_session(), "{case}");
        assert_eq!(
            reply.status,
            StatusCode::BAD_GATEWAY,
            "{case}: {}",
            reply.body
        );
    }
    // An error response is a refusal, also with a token in it.
    world.provider.script().token_response =
        Box::new(|r| r["error"] = json!("invalid_request\u{1b}[2J"));
    let reply = world.browser().sign_in(START).await.expect(400);
    assert!(!reply.sets_session());
    // Invalid members that a sign-in does not use do not make it fail.
    for change in [
        (|r| r["expires_in"] = json!(-1e300)) as Change,
        |r| r["expires_in"] = json!("soon"),
        |r| r["scope"] = json!([{}]),
        |r| r["refresh_token"] = json!(""),
        |r| r["token_type"] = json!("bearer"),
    ] {
        world.provider.script().token_response = Box::new(change);
        let reply = world.browser().sign_in(START).await.expect(302);
        assert!(reply.sets_session());
    }
}

/// Row C: nothing in userinfo, the claims of an ID token, the keys or discovery ends the process.
#[tokio::test]
async fn no_claim_or_key_ends_the_process() {
    let cases: &[(&str, Setting)] = &[
        ("an invalid year", |s| {
            s.claims = Box::new(|c| c["exp"] = json!(1e300));
        }),
        ("a time before time", |s| {
            s.claims = Box::new(|c| c["iat"] = json!(i64::MIN));
        }),
        ("nothing but depth", |s| {
            s.userinfo_answer = Some((200, JSON, DEEP));
        }),
        ("userinfo as another type", |s| {
            s.userinfo_answer = Some((200, &[("content-type", "application/jwt")], "a.b.c"));
        }),
        ("userinfo twice", |s| {
            let twice = r#"{"sub": "alice-id", "sub": "alice-id", "groups": []}"#;
            s.userinfo_answer = Some((200, JSON, twice));
        }),
        ("userinfo without a subject", |s| {
            s.userinfo = json!({"sub": "", "groups": []});
        }),
        ("a modulus of nothing", |s| with_key(s, "AA", "AQAB")),
        ("a modulus of one", |s| with_key(s, "AQ", "AQ")),
        ("no modulus", |s| with_key(s, "", "")),
        ("an exponent without end", |s| {
            with_key(s, "_____w", "__________________8")
        }),
    ];
    for (case, setting) in cases {
        let world = World::new().await;
        setting(&mut world.provider.script());
        let reply = world.browser().sign_in(START).await;
        assert!(!reply.sets_session(), "{case}: {reply:?}");
        assert_eq!(
            reply.status,
            StatusCode::BAD_GATEWAY,
            "{case}: {}",
            reply.body
        );
    }
    let world = World::without_provider("").await;
    for (endpoint, url) in [
        ("authorization_endpoint", "javascript:alert(1)"),
        ("end_session_endpoint", "data:text/html,x"),
        ("jwks_uri", "file:///etc/passwd"),
        ("token_endpoint", "mailto:a@b"),
    ] {
        world.provider.script().discovery = Box::new(move |d| d[endpoint] = json!(url));
        let snapshot = world.outpost.snapshot();
        let error = snapshot.providers[0].discover().await;
        error.expect_err(endpoint);
    }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Deeper than any reader goes.
const DEEP: &str = concat!(
    r#"{"sub": "alice-id", "groups": "#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
);

/// Publishes an RSA key of these parts, which an ID token names that it has not signed.
fn with_key(script: &mut Script, n: &'static str, e: &'static str) {
    script.header = Box::new(|header| header["alg"] = json!("RS256"));
    script.keys = Box::new(move |keys| {
        keys["keys"] = json!([{"kty": "RSA", "use": "sig", "kid": "key-1", "n": n, "e": e}]);
    });
}

/// Row A12: an address and whether it is verified come from one source, and an address that the
/// provider has not verified is passed to no application unless a key allows it.
#[tokio::test]
async fn an_address_is_passed_on_only_with_its_own_verification() {
    let cases: &[(&str, Change, Value, Option<&str>)] = &[
        (
            "verified",
            |_| (),
            json!({"sub": "alice-id", "groups": []}),
            Some("alice@example.com"),
        ),
        (
            "the word is on another address",
            |c| c["email_verified"] = Value::Null,
            json!({"sub": "alice-id", "groups": [], "email": "a@b.example", "email_verified": true}),
            Some("a@b.example"),
        ),
        (
            "unverified",
            |c| c["email_verified"] = json!(false),
            json!({"sub": "alice-id", "groups": []}),
            None,
        ),
        (
            "unverified as a text",
            |c| c["email_verified"] = json!("false"),
            json!({"sub": "alice-id", "groups": [], "email": "a@b.example", "email_verified": true}),
            None,
        ),
        (
            "a word on none",
            |c| c["email_verified"] = Value::Null,
            json!({"sub": "alice-id", "groups": [], "email_verified": true}),
            None,
        ),
        (
            "a provider that never says",
            |c| c["email_verified"] = Value::Null,
            json!({"sub": "alice-id", "groups": []}),
            Some("alice@example.com"),
        ),
    ];
    for (case, claims, userinfo, address) in cases {
        let world = World::new().await;
        world.provider.script().claims = Box::new(*claims);
        world.provider.script().userinfo = userinfo.clone();
        let browser = signed_in(&world, HOST).await;
        let asked = Asked::load(HOST, "/").by(&browser);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        assert_eq!(reply.header("x-forwarded-email"), *address, "{case}");
        let rule = asked.with("X-Gatepost-Require", "any=emailDomain:example.com");
        let reply = rule.ask(&world, "auth/traefik").await;
        let admitted = *address == Some("alice@example.com");
        let status = if admitted { 200 } else { 403 };
        assert_eq!(reply.status.as_u16(), status, "{case}");
    }
}

/// Row A12: the key `unverifiedEmail`.
#[tokio::test]
async fn an_operator_can_pass_unverified_addresses_on_but_no_rule_matches_them() {
    let provider = crate::provider::Provider::start().await;
    let yaml = crate::world::configuration(&provider, crate::world::KEY_A, "")
        .replace("{name: main,", "{name: main, unverifiedEmail: accept,");
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    world.provider.script().claims = Box::new(|claims| claims["email_verified"] = json!(false));
    let browser = signed_in(&world, HOST).await;
    let asked = Asked::load(HOST, "/").by(&browser);
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-forwarded-email"), Some("alice@example.com"));
    let rule = asked.with("X-Gatepost-Require", "any=email:alice%40example.com");
    rule.ask(&world, "auth/traefik").await.expect(403);
}

/// Row C: an empty subject or issuer is refused.
#[tokio::test]
async fn an_empty_subject_or_issuer_is_refused() {
    let world = World::new().await;
    world.provider.script().claims = Box::new(|claims| claims["sub"] = json!(""));
    world.provider.script().userinfo = json!({"sub": "", "groups": ["admins"]});
    let reply = world.browser().sign_in(START).await.expect(502);
    assert!(!reply.sets_session());
    world.provider.script().claims = Box::new(|claims| claims["iss"] = json!(""));
    world.browser().sign_in(START).await.expect(502);
}

/// Returns an outpost that asked its provider about two sessions, one after the other, and the
/// outpost's replies: the provider responds to the first request with `answer`.
async fn renewed(answer: Raw) -> (World, Vec<(StatusCode, bool)>) {
    let world = World::with("session: {refreshAfter: 60s, grace: 1h}").await;
    let (mut alice, mut bob) = (world.browser(), world.browser());
    alice.sign_in(START).await.expect(302);
    bob.sign_in(START).await.expect(302);
    let kept = world.provider.script().refresh_token.clone();
    world.wait(11 * 60);
    world.provider.script().refresh_answer = Some(answer);
    let mut outcomes = Vec::new();
    let reply = alice.load(START).await.expect(302);
    outcomes.push((reply.status, reply.sets_session()));
    world.provider.script().refresh_answer = None;
    world.provider.script().refresh_token = kept;
    let reply = bob.load(START).await.expect(302);
    outcomes.push((reply.status, reply.sets_session()));
    (world, outcomes)
}

/// Row B3: a refusal of one user ends that user's session, and no other.
#[tokio::test]
async fn a_refusal_of_the_person_ends_their_session_and_no_other() {
    let cases: &[Raw] = &[
        (400, JSON, r#"{"error": "invalid_grant"}"#),
        (400, JSON, r#"{"error": "interaction_required"}"#),
        (
            400,
            JSON,
            r#"{"error": "consent_required", "error_description": "\r\n"}"#,
        ),
        (400, JSON, r#"{"error": "login_required"}"#),
        (400, JSON, r#"{"error": "account_selection_required"}"#),
        (401, JSON, r#"{"error": "invalid_token"}"#),
        (403, JSON, r#"{"error": "access_denied"}"#),
        (200, JSON, r#"{"error": "invalid_grant"}"#),
    ];
    for answer in cases {
        let (world, outcomes) = renewed(*answer).await;
        assert!(!outcomes[0].1, "{answer:?}: the session ends");
        assert!(outcomes[1].1, "{answer:?}: another goes on");
        let asked = world.provider.script().refreshes;
        assert_eq!(asked, 2, "{answer:?}: and the provider is asked about it");
    }
}

/// Row B3: if the response says nothing about a session, the session goes on for its grace, and the
/// provider is asked about others.
#[tokio::test]
async fn a_response_that_says_nothing_about_a_session_ends_no_session() {
    let cases: &[Raw] = &[
        (400, JSON, r#"{"error": "invalid_request"}"#),
        (400, JSON, r#"{"error": "invalid_scope"}"#),
        (400, JSON, r#"{"error": "unauthorized_client"}"#),
        (401, JSON, r#"{"error": "invalid_client"}"#),
        (404, &[], ""),
        (405, &[], ""),
        (200, &[("content-type", "text/html")], "<h1>Hello</h1>"),
        (200, JSON, r#"{"access_token": "x"}"#),
        (200, JSON, "[]"),
        (200, JSON, r#"{"error": ["invalid_grant"]}"#),
    ];
    for answer in cases {
        let (world, outcomes) = renewed(*answer).await;
        assert!(outcomes[0].1, "{answer:?}: the session goes on");
        assert!(outcomes[1].1, "{answer:?}: another goes on");
        let asked = world.provider.script().refreshes;
        assert_eq!(asked, 2, "{answer:?}: the provider is asked about others");
    }
}

/// Row B3: an unavailable provider is not asked again for a while, or for the time that it names.
#[tokio::test]
async fn a_provider_that_is_away_is_asked_by_one_and_left_alone_by_the_others() {
    let cases: &[Raw] = &[
        (500, &[], ""),
        (502, JSON, r#"{"error": "invalid_grant"}"#),
        (503, &[("retry-after", "120")], ""),
        (429, &[("retry-after", "later")], "slow"),
        (400, JSON, r#"{"error": "temporarily_unavailable"}"#),
        (400, JSON, r#"{"error": "slow_down"}"#),
    ];
    for answer in cases {
        let (world, outcomes) = renewed(*answer).await;
        assert!(outcomes[0].1 && outcomes[1].1, "{answer:?}: both go on");
        let asked = world.provider.script().refreshes;
        assert_eq!(asked, 1, "{answer:?}: and one has asked");
    }
}

/// Row B7: the claims of a refreshed ID token are not lost when userinfo fails.
#[tokio::test]
async fn newer_groups_of_the_id_token_count_though_userinfo_fails() {
    let cases: &[Raw] = &[(500, &[], ""), (401, &[], ""), (200, JSON, "{{")];
    for answer in cases {
        let more = "session: {refreshAfter: 60s}
applications:
  - {name: app, externalUrl: 'https://app.example.com', headers: {set: {X-Team: team}}}
";
        let world = World::with(more).await;
        world.provider.script().claims = Box::new(|claims| claims["groups"] = json!(["admins"]));
        world.provider.script().userinfo = json!({"sub": "alice-id", "team": "red"});
        let mut browser = signed_in(&world, HOST).await;
        world.provider.script().claims = Box::new(|claims| {
            claims["groups"] = json!([]);
            claims["email_verified"] = json!(false);
        });
        world.provider.script().userinfo_answer = Some(*answer);
        world.wait(11 * 60);
        assert!(browser.load(START).await.expect(302).sets_session());
        let asked = Asked::load(HOST, "/").by(&browser);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        assert_eq!(reply.header("x-auth-groups"), None, "{answer:?}");
        assert_eq!(reply.header("x-forwarded-email"), None, "{answer:?}");
        // Claims that the response does not contain are kept.
        assert_eq!(reply.header("x-auth-username"), Some("alice"), "{answer:?}");
        assert_eq!(reply.header("x-team"), Some("red"), "{answer:?}");
        // The new refresh token was kept.
        world.wait(11 * 60);
        world.provider.script().userinfo_answer = None;
        assert!(browser.load(START).await.expect(302).sets_session());
        assert_eq!(world.provider.script().refreshes, 2);
    }
}

/// Row A13: a token about which the provider is asked has to be of the same kind as one that is
/// verified here.
#[tokio::test]
async fn a_token_that_is_active_but_no_access_token_is_refused() {
    let api = "api.example.com";
    let more = format!(
        "
applications:
  - {{name: api, externalUrl: 'https://{api}', machines: bearer,
     machineTokens: {{introspect: 'true'}}}}
"
    );
    let world = World::with(&more).await;
    let base = world.provider.access_claims();
    let jwt = |typ: Option<&str>, change: Change| {
        let mut claims = base.clone();
        change(&mut claims);
        let mut header = json!({"alg": "EdDSA", "kid": "key-1"});
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        world.provider.sign(&header, &claims)
    };
    let id_token: Change = |c| {
        *c = json!({"iss": c["iss"], "sub": "alice-id", "aud": CLIENT_ID, "iat": c["iat"],
            "exp": c["exp"]});
    };
    let unknown = |token: &str, algorithm: &str| {
        use base64::Engine as _;
        let header = json!({"alg": algorithm}).to_string();
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
        let (_, rest) = token.split_once('.').expect("parts");
        format!("{header}.{rest}")
    };
    let with_nonce = jwt(Some("JWT"), |c| c["nonce"] = json!("n"));
    let tokens = [
        ("an ID token with a nonce", with_nonce.clone(), false),
        (
            "an ID token of an unknown algorithm",
            unknown(&with_nonce, "Ed25519ph"),
            false,
        ),
        (
            "an ID token without a nonce",
            jwt(Some("JWT"), id_token),
            false,
        ),
        ("at_hash", jwt(None, |c| c["at_hash"] = json!("x")), false),
        ("events", jwt(None, |c| c["events"] = json!({})), false),
        ("a logout token", jwt(Some("logout+jwt"), |_| ()), false),
        ("dpop", jwt(Some("application/dpop+jwt"), |_| ()), false),
        (
            "Keycloak's refresh token",
            jwt(None, |c| c["typ"] = json!("Refresh")),
            false,
        ),
        (
            "Cognito's ID token",
            jwt(None, |c| c["token_use"] = json!("id")),
            false,
        ),
        (
            "another issuer",
            jwt(None, |c| c["iss"] = json!("https://e.example")),
            false,
        ),
        ("no claims", jwt(None, |c| *c = json!([])), false),
        ("an access token", jwt(Some("at+jwt"), |_| ()), true),
        ("an older access token", jwt(Some("JWT"), |_| ()), true),
        ("no JWT", "opaque".to_owned(), true),
        ("no JWT with dots", "a.b.c".to_owned(), true),
    ];
    let bring = async |token: &str| {
        let asked = Asked::fetch(api, "/").with("Authorization", &format!("Bearer {token}"));
        let reply = asked.ask(&world, "auth/traefik").await;
        assert!([200, 401].contains(&reply.status.as_u16()), "{reply:?}");
        reply.status == StatusCode::OK
    };
    for (case, token, is_accepted) in &tokens {
        let mut answer = base.clone();
        answer["active"] = json!(true);
        world.provider.script().introspection = answer;
        assert_eq!(bring(token).await, *is_accepted, "{case}");
    }
    // The introspection response for an opaque token.
    let answers: &[(&str, Change, bool)] = &[
        ("nonce", |a| a["nonce"] = json!("n"), false),
        ("typ", |a| a["typ"] = json!("ID"), false),
        (
            "typ that is no text",
            |a| a["typ"] = json!(["Bearer"]),
            false,
        ),
        (
            "a refresh token",
            |a| a["token_type"] = json!("refresh_token"),
            false,
        ),
        (
            "token_use",
            |a| a["token_use"] = json!("refresh_token"),
            false,
        ),
        ("no subject", |a| a["sub"] = json!(""), false),
        (
            "of an issuer without a name",
            |a| a["iss"] = json!(""),
            false,
        ),
        ("an invalid end", |a| a["exp"] = json!("never"), false),
        ("an end beyond time", |a| a["exp"] = json!(1e300), false),
        ("an invalid beginning", |a| a["nbf"] = json!({}), false),
        ("Bearer", |a| a["token_type"] = json!("bearer"), true),
        ("Keycloak", |a| a["typ"] = json!("Bearer"), true),
        ("Hydra", |a| a["token_use"] = json!("access_token"), true),
        (
            "a part of a second",
            |a| {
                a["exp"] = json!(a["exp"].as_f64().expect("a number") + 0.5);
            },
            true,
        ),
    ];
    for (at, (case, change, holds)) in answers.iter().enumerate() {
        let mut answer = base.clone();
        answer["active"] = json!(true);
        change(&mut answer);
        world.provider.script().introspection = answer;
        assert_eq!(bring(&format!("opaque-{at}")).await, *holds, "{case}");
    }
}

#[tokio::test]
async fn a_provider_is_reached_at_an_address_that_its_document_does_not_name() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let internal = format!("http://{}", listener.local_addr().expect("an address"));
    // A name that nothing resolves: whatever the outpost asks, it asks at the internal address.
    let issuer = "https://id.gatepost.invalid".to_owned();
    let provider = crate::provider::Provider::serve(listener, issuer.clone());
    let setting = format!("{{name: main, internalUrl: '{internal}',");
    let yaml = configuration(&provider, KEY_A, "").replace("{name: main,", &setting);
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let mut browser = world.browser();
    let start = browser.load(START).await.expect(302);
    assert!(
        start
            .location()
            .starts_with(&format!("{issuer}/authorize?"))
    );
    let callback = world.provider.authorize(start.location());
    let reply = browser.load(callback.as_str()).await.expect(302);
    assert!(reply.sets_session());
    // What tokens and the document say is checked as ever.
    world.provider.script().discovery = Box::new(|d| d["issuer"] = json!("http://keycloak:8080"));
    let known = &world.outpost.snapshot().providers[0];
    let error = known.discover().await.expect_err("another issuer");
    assert!(error.to_string().contains("issuer mismatch"), "{error}");
}
