//! Assertions: what an application verifies by itself.

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::assertion::{Algorithm, AssertionKeys};
use gatepost_session::{Claims, KeyRing, SessionId};
use gatepost_signing::Signer;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::{Browser, Reply, session_value};
use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::provider::Provider;
use crate::world::{KEY_A, World, configuration, now};

const APP: &str = "app.example.com";
const HEADER: &str = "X-Gatepost-Assertion";

/// An outpost with keys for assertions.
struct Asserting {
    world: World,
    folder: TempDir,
}

/// Returns the settings that have `app` assert, and what else `app` has.
fn settings(folder: &TempDir, more: &str) -> String {
    let keys = folder.path().join("assertion.keys");
    if !keys.exists() {
        let made =
            Algorithm::ALL.map(|algorithm| AssertionKeys::generate(algorithm).expect("a key"));
        let text = made.each_ref().map(|key| key.as_str()).join("\n");
        std::fs::write(&keys, text).expect("written");
    }
    format!(
        "
assertionKeysFile: {}
applications:
  - {{name: app, externalUrl: 'https://{APP}', public: ['/public/*'], assertion: {{}}{more}}}
  - {{name: app2, externalUrl: 'https://app2.example.com',
      assertion: {{algorithm: EdDSA, header: cloudflare, claims: [email]}}}}
",
        keys.display()
    )
}

impl Asserting {
    async fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::with(&settings(&folder, more)).await;
        Self { world, folder }
    }

    async fn jwks(&self) -> Value {
        jwks(&self.world).await
    }
}

async fn get(world: &World, method: Method, host: &str, target: &str) -> Reply {
    let request = Request::builder().method(method).uri(target);
    let request = request.header("Host", host).body(Body::empty());
    world
        .send_from("192.0.2.1:5000", request.expect("a request"))
        .await
}

async fn jwks(world: &World) -> Value {
    // By whatever name the application's network has for the outpost.
    let reply = get(world, Method::GET, "outpost:9000", "/akprox/jwks.json").await;
    reply.expect(200).json()
}

/// Returns the claims of an assertion that one of these keys signed.
#[track_caller]
fn verified(jwks: &Value, token: &str) -> Value {
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let (signed, signature) = token.rsplit_once('.').expect("a JWT");
    let (header, payload) = signed.split_once('.').expect("a JWT");
    let header: Value = serde_json::from_slice(&part(header)).expect("JSON");
    let mut keys = jwks["keys"].as_array().expect("keys").iter();
    let key = keys
        .find(|key| key["kid"] == header["kid"])
        .expect("a known key");
    assert_eq!(key["alg"], header["alg"]);
    assert!(key.get("d").is_none(), "a private key");
    let of = |name: &str| part(key[name].as_str().unwrap_or_default());
    let verified = match key["alg"].as_str() {
        Some("ES256") => {
            let point = [&[4][..], &of("x"), &of("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed.as_bytes(), &part(signature))
        }
        _ => UnparsedPublicKey::new(&ED25519, of("x")).verify(signed.as_bytes(), &part(signature)),
    };
    assert!(verified.is_ok(), "the signature does not verify");
    serde_json::from_slice(&part(payload)).expect("JSON")
}

fn assertion(reply: &Reply, header: &str) -> Option<String> {
    let mut values = reply.headers.get_all(header).iter();
    let value = values.next().map(|value| value.to_str().expect("text"));
    assert!(values.next().is_none(), "two values");
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Returns the `Cookie` line of a browser.
fn cookie(browser: &Browser<'_>, host: &str) -> String {
    let url = url::Url::parse(&format!("https://{host}/")).expect("a URL");
    browser.cookie_line(&url)
}

#[tokio::test]
async fn an_application_gets_a_signed_statement_about_its_user_from_every_dialect() {
    let asserting = Asserting::with("").await;
    let world = &asserting.world;
    let keys = asserting.jwks().await;
    let alice = signed_in(world, APP).await;
    for dialect in DIALECTS {
        let spoofed = Asked::fetch(APP, "/x").with(HEADER, "eyJhbGciOiJub25lIn0.e30.");
        let reply = spoofed.by(&alice).ask(world, dialect).await.expect(200);
        let claims = verified(&keys, &assertion(&reply, HEADER).expect(dialect));
        let now = now();
        let (iat, exp) = (claims["iat"].as_u64(), claims["exp"].as_u64());
        assert!(
            iat.is_some_and(|iat| iat <= now && iat + 60 > now),
            "{claims}"
        );
        assert_eq!(exp, iat.map(|iat| iat + 900), "the window's end");
        for (name, value) in [
            ("iss", json!("https://app.example.com/akprox")),
            ("aud", json!("app")),
            ("sub", json!("alice-id")),
            ("idp", json!(world.provider.issuer)),
            ("email", json!("alice@example.com")),
            ("preferred_username", json!("alice")),
            ("groups", json!(["staff", "admins"])),
        ] {
            assert_eq!(claims[name], value, "{dialect} {name}");
        }
        assert!(claims.get("grp_more").is_none() && claims.get("sid").is_none());
    }
    // Another application: its own audience, algorithm, header and claims.
    let alice = signed_in(world, "app2.example.com").await;
    let asked = Asked::fetch("app2.example.com", "/x").by(&alice);
    let reply = asked.ask(world, "auth/traefik").await.expect(200);
    let token = assertion(&reply, "Cf-Access-Jwt-Assertion").expect("an assertion");
    let claims = verified(&keys, &token);
    assert_eq!(
        (&claims["aud"], &claims["email"]),
        (&json!("app2"), &json!("alice@example.com"))
    );
    assert!(claims.get("groups").is_none() && claims.get("preferred_username").is_none());
    assert_eq!(assertion(&reply, HEADER), None);
}

/// Whatever is not an admitted request with a session has no assertion, and not the client's.
#[tokio::test]
async fn no_client_sends_its_own_assertion() {
    let asserting = Asserting::with("").await;
    let world = &asserting.world;
    for dialect in DIALECTS {
        for (target, status) in [("/public/x", 200), ("/x", 401)] {
            let asked = Asked::fetch(APP, target).with(HEADER, "a.b.c");
            let reply = asked.ask(world, dialect).await.expect(status);
            assert_eq!(assertion(&reply, HEADER), None, "{dialect} {target}");
            // These proxies keep the client's where the response has none.
            if status == 200 && (dialect == "auth/caddy" || dialect == "auth/envoy") {
                assert_eq!(reply.header(HEADER), Some(""), "{dialect}");
            }
        }
    }
}

/// A program that has the session keys, as a proxy does, can make a cookie up. The outpost must not
/// sign what that says.
#[tokio::test]
async fn nothing_is_signed_that_only_a_cookie_says() {
    let asserting = Asserting::with("").await;
    let world = &asserting.world;
    let keys = asserting.jwks().await;
    let alice = signed_in(world, APP).await;
    let asked = Asked::fetch(APP, "/x").by(&alice);
    let reply = asked.ask(world, "auth/traefik").await.expect(200);
    let own = verified(&keys, &assertion(&reply, HEADER).expect("an assertion"));
    let ring = KeyRing::parse(KEY_A).expect("a ring");
    let verifier = gatepost_session::Verifier::new(
        &ring,
        gatepost_session::Audience::new("app").expect("a name"),
    );
    let line = cookie(&alice, APP);
    let real = verifier.authenticate(session_value(&line).as_bytes());
    let real = real.expect("alice's");
    let forge = |claims: Claims| {
        let token = Signer::new(&ring).sign(&claims).expect("signed");
        format!("__Host-gatepost={token}")
    };
    let bob = Claims {
        sub: "bob-id".into(),
        email: Some("bob@example.com".into()),
        ext: Default::default(),
        ..real.claims_at_issue().clone()
    };
    for (case, target, forged) in [
        ("alice's session", "/x", bob.clone()),
        (
            "alice's session where none is renewed",
            "/public/x",
            bob.clone(),
        ),
        (
            "no session",
            "/x",
            Claims {
                sid: SessionId::from_random([7; 24]),
                ..bob
            },
        ),
    ] {
        for dialect in DIALECTS {
            let asked = Asked::fetch(APP, target).with("Cookie", &forge(forged.clone()));
            let reply = asked.ask(world, dialect).await;
            if let Some(token) = assertion(&reply, HEADER) {
                let claims = verified(&keys, &token);
                assert_eq!(claims["sub"], own["sub"], "{case}");
                assert_eq!(claims["email"], own["email"], "{case}");
            }
        }
    }
}

/// A provider that is asked for a claim of the reserved name, or that has one, signs nothing.
#[tokio::test]
async fn a_providers_claim_is_not_taken_for_an_assertion() {
    let asserting = Asserting::with(", headers: {set: {X-Department: department}}").await;
    let world = &asserting.world;
    world.provider.script().claims = Box::new(|claims| {
        claims["gatepost_assertion"] = json!("forged");
        claims["department"] = json!("7");
    });
    let keys = asserting.jwks().await;
    let alice = signed_in(world, APP).await;
    let asked = Asked::fetch(APP, "/x").by(&alice);
    let reply = asked.ask(world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("X-Department"), Some("7"));
    verified(&keys, &assertion(&reply, HEADER).expect("an assertion"));
}

/// An application that acts on the absence of a group must know that the list is not all.
#[tokio::test]
async fn groups_that_no_cookie_has_room_for_are_left_out_and_that_is_said() {
    let many = |count: usize| {
        (0..count)
            .map(|at| format!("group-{at:04}"))
            .collect::<Vec<_>>()
    };
    // The browser's cookie alone would have room for these.
    for (count, fits) in [(300, true), (800, false)] {
        let asserting = Asserting::with(", require: {groups: [group-0001]}").await;
        let world = &asserting.world;
        world.provider.script().claims =
            Box::new(move |claims| claims["groups"] = json!(many(count)));
        let keys = asserting.jwks().await;
        let alice = signed_in(world, APP).await;
        let asked = Asked::fetch(APP, "/x").by(&alice);
        let reply = asked.ask(world, "auth/traefik").await.expect(200);
        let claims = verified(&keys, &assertion(&reply, HEADER).expect("an assertion"));
        if fits {
            assert_eq!(claims["groups"], json!(many(count)));
            assert!(claims.get("grp_more").is_none());
        } else {
            assert_eq!(claims["groups"], json!(["group-0001"]));
            assert_eq!(claims["grp_more"], true);
        }
    }
    // Names that a rule needs, and that do not fit twice: the log says what is wrong.
    let long: Vec<String> = many(120)
        .iter()
        .map(|name| format!("{name}-{}", "x".repeat(80)))
        .collect();
    let rule = format!(", require: {{groups: [{}]}}", long.join(", "));
    for (more, status) in [("", 500), ("  claims: [email]", 302)] {
        let folder = tempfile::tempdir().expect("a folder");
        let own = settings(&folder, &rule).replacen(
            "assertion: {}",
            &format!("assertion: {{{more}}}"),
            1,
        );
        let world = World::with(&own).await;
        let long = long.clone();
        world.provider.script().claims = Box::new(move |claims| claims["groups"] = json!(long));
        let mut alice = world.browser();
        let reply = alice.sign_in(&format!("https://{APP}/akprox/start")).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    }
}

/// The outpost asks the store for a group that the cookie has no room for, and not the provider: what it
/// signs then holds no longer than the cookie does.
#[tokio::test]
async fn no_assertion_outlives_the_cookie_of_its_session() {
    let names: Vec<String> = (0..800).map(|at| format!("group-{at:04}")).collect();
    let asserting = Asserting::with(", require: {groups: [group-0001]}").await;
    let world = &asserting.world;
    world.provider.script().claims = Box::new(move |claims| claims["groups"] = json!(names));
    let keys = asserting.jwks().await;
    let alice = signed_in(world, APP).await;
    let begun = now();
    // The fetch is too early for a renewal.
    world.wait(200);
    let asked = Asked::fetch(APP, "/x").with("X-Gatepost-Require", "any=group:group-0700");
    let reply = asked.by(&alice).ask(world, "auth/traefik").await;
    let reply = reply.expect(200);
    assert!(!reply.sets_session());
    let claims = verified(&keys, &assertion(&reply, HEADER).expect("an assertion"));
    assert_eq!(claims["groups"], json!(["group-0001", "group-0700"]));
    let ends = claims["exp"].as_u64().expect("a time");
    assert!(ends <= begun + 900, "{} seconds more", ends - begun - 900);
}

/// Sessions of before the setting go on, and have an assertion from the next request on.
#[tokio::test]
async fn a_session_from_before_gets_an_assertion_at_its_next_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = settings(&folder, "");
    let before = World::with(&own.replacen(", assertion: {}", "", 1)).await;
    let alice = signed_in(&before, APP).await;
    let asked = || Asked::load(APP, "/x").by(&alice);
    let reply = asked().ask(&before, "auth/traefik").await.expect(200);
    assert_eq!(assertion(&reply, HEADER), None);
    let after = before.replica_with(&own).await;
    for dialect in ["auth/traefik", "auth/nginx"] {
        let reply = asked().ask(&after, dialect).await.expect(200);
        let token = assertion(&reply, HEADER).expect("an assertion");
        verified(&jwks(&after).await, &token);
        assert!(reply.sets_session(), "{dialect}");
    }
}

/// After a leak, the applications refuse what the old key signed: users need one of the new key, and no
/// sign-in. Where the old key is still there, no user needs another.
#[tokio::test]
async fn a_session_gets_an_assertion_of_the_new_key_where_the_old_one_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = settings(&folder, "");
    let file = folder.path().join("assertion.keys");
    let before = World::with(&own).await;
    let alice = signed_in(&before, APP).await;
    let asked = || Asked::fetch(APP, "/x").by(&alice);
    let old = std::fs::read_to_string(&file).expect("keys");
    let new = Algorithm::ALL.map(|algorithm| AssertionKeys::generate(algorithm).expect("a key"));
    let new = new.each_ref().map(|key| key.as_str()).join("\n");
    let other_algorithm = own.replacen("assertion: {}", "assertion: {algorithm: EdDSA}", 1);
    for (case, keys, settings, is_due) in [
        (
            "in front of the old one",
            format!("{new}\n{old}"),
            &own,
            false,
        ),
        ("alone", new.clone(), &own, true),
        ("another algorithm", old.clone(), &other_algorithm, true),
    ] {
        std::fs::write(&file, keys).expect("written");
        let after = before.replica_with(settings).await;
        for dialect in ["auth/traefik", "auth/nginx"] {
            let reply = asked().ask(&after, dialect).await.expect(200);
            assert_eq!(reply.sets_session(), is_due, "{case} {dialect}");
            let token = assertion(&reply, HEADER).expect(case);
            let claims = verified(&jwks(&after).await, &token);
            assert_eq!(claims["preferred_username"], "alice", "{case}");
        }
    }
}

/// A token of one application is invalid at another, and ends with the window.
#[tokio::test]
async fn a_session_that_has_ended_gets_no_further_assertion() {
    let asserting = Asserting::with("").await;
    let world = &asserting.world;
    let mut alice = signed_in(world, APP).await;
    let line = cookie(&alice, APP);
    alice.load(&format!("https://{APP}/akprox/sign_out")).await;
    let asked = Asked::fetch(APP, "/x").with("Cookie", &line);
    let reply = asked.ask(world, "auth/traefik").await.expect(401);
    assert_eq!(assertion(&reply, HEADER), None);
}

#[tokio::test]
async fn machine_clients_have_assertions_too() {
    let asserting = Asserting::with(", machines: [bearer]").await;
    let world = &asserting.world;
    let token = world.provider.access_token(|_| {});
    let asked = Asked::program(APP, "/x").with("Authorization", &format!("Bearer {token}"));
    let reply = asked.ask(world, "auth/traefik").await.expect(200);
    let claims = verified(
        &asserting.jwks().await,
        &assertion(&reply, HEADER).expect("an assertion"),
    );
    assert_eq!(claims["aud"], "app");
    assert_eq!(claims["sub"].as_str(), reply.header("X-Forwarded-User"));
    let now = now();
    assert!(
        claims["exp"]
            .as_u64()
            .is_some_and(|exp| exp > now && exp <= now + 900)
    );
}

#[tokio::test]
async fn everyone_can_read_the_public_keys_and_no_private_one() {
    let asserting = Asserting::with("").await;
    for (host, method, status) in [
        (APP, Method::GET, 200),
        ("unknown.example.net", Method::GET, 200),
        (APP, Method::HEAD, 200),
        (APP, Method::OPTIONS, 204),
        (APP, Method::POST, 405),
    ] {
        let reply = get(&asserting.world, method, host, "/akprox/jwks.json").await;
        let reply = reply.expect(status);
        assert!(!reply.body.contains("\"d\""), "{}", reply.body);
    }
    let private = std::fs::read_to_string(asserting.folder.path().join("assertion.keys"));
    let shown = asserting.jwks().await.to_string();
    let private = private.expect("read");
    let mut lines = private.lines().filter(|line| !line.starts_with('-'));
    assert!(lines.all(|line| !shown.contains(line)));
    let provider = Provider::start().await;
    let yaml = configuration(&provider, KEY_A, "");
    let none = World::configured(provider, &yaml);
    get(&none, Method::GET, APP, "/akprox/jwks.json")
        .await
        .expect(404);
}

/// What `docs/assertion.md` says of the cookie's length.
#[tokio::test]
async fn a_cookie_grows_by_what_the_page_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = settings(&folder, "");
    let mut lengths = Vec::new();
    for assertion in [
        "",
        ", assertion: {claims: []}",
        ", assertion: {claims: [email]}",
        ", assertion: {}",
    ] {
        for groups in [2, 20] {
            let world = World::with(&own.replacen(", assertion: {}", assertion, 1)).await;
            world.provider.script().claims = Box::new(move |claims| {
                let names = (0..groups).map(|at| format!("department-{at:02}"));
                claims["groups"] = names.collect::<Vec<_>>().into();
            });
            let alice = signed_in(&world, APP).await;
            lengths.push(session_value(&cookie(&alice, APP)).len());
        }
    }
    let [
        few,
        many,
        none_few,
        none_many,
        email_few,
        email_many,
        all_few,
        all_many,
    ] = lengths[..]
    else {
        panic!("{lengths:?}")
    };
    eprintln!("{lengths:?}");
    // Two groups: 700 bytes more; without groups, twenty make no difference to that.
    assert!((500..=800).contains(&(all_few - few)), "{lengths:?}");
    assert_eq!(email_few - few, email_many - many);
    assert_eq!(none_few - few, none_many - many);
    assert!(email_few > none_few && all_few > email_few);
    // A group is in it twice, once in base64 of base64.
    assert!(all_many - many > all_few - few);
}
