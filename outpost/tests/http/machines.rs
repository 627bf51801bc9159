//! Programs, which bring credentials in the place of a session.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost::config::Config;
use gatepost_store::SessionSelector;
use serde_json::{Value, json};

use crate::browser::Reply;
use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::provider::CLIENT_ID;
use crate::world::{KEY_A, World, configuration, now};

mod api_keys;
mod certificates;
mod challenges;
mod dpop;
mod limits;
mod registration;
mod resource;
mod revoked;

const API: &str = "api.example.com";

/// Starts an outpost with `api`, which has the further settings `more`.
async fn world(more: &str) -> World {
    World::with(&applications(more)).await
}

fn applications(more: &str) -> String {
    format!(
        "
applications:
  - {{name: api, externalUrl: 'https://{API}', public: ['/public/*'], require: {{groups: [staff]}},
     {more}}}
  - {{name: app, externalUrl: 'https://app.example.com'}}
"
    )
}

const BEARER: &str = "machines: bearer";

async fn call(world: &World, credentials: &str) -> Reply {
    let asked = Asked::fetch(API, "/v1").with("Authorization", credentials);
    asked.ask(world, "auth/traefik").await
}

async fn bring(world: &World, token: &str) -> Reply {
    call(world, &format!("Bearer {token}")).await
}

/// Sends a request to the outpost itself, through a proxy that it trusts.
async fn send(
    world: &World,
    method: &str,
    host: &str,
    target: &str,
    (header, value): (&str, &str),
    body: &str,
) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("Host", host)
        .header("X-Forwarded-Proto", "https")
        .header(header, value)
        .body(Body::from(body.to_owned()))
        .expect("a request");
    world.send_from("127.0.0.1:4000", request).await
}

/// Returns credentials for `Authorization`.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn asked_by_programs(world: &World) -> usize {
    world.provider.script().asked_by_programs.len()
}

#[tokio::test]
async fn a_token_of_the_provider_lets_a_program_in_through_every_proxy() {
    let world = world(BEARER).await;
    let token = world.provider.access_token(|claims| {
        claims["preferred_username"] = json!("robot");
    });
    for dialect in DIALECTS {
        let asked = Asked::fetch(API, "/v1").with("Authorization", &format!("bearer {token}"));
        let reply = asked.ask(&world, dialect).await.expect(200);
        for (name, value) in [
            ("X-Auth-Username", "robot"),
            ("X-Auth-Groups", "staff"),
            ("X-Forwarded-User", "robot-id"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{dialect} {name}");
        }
        assert!(reply.set_cookies().is_empty(), "{dialect}");
        // Who takes the header over from the answer takes the token away.
        let kept = reply.header("authorization").unwrap_or_default();
        assert_eq!(kept, "", "{dialect}");
    }
    // Where nothing is allowed, nothing is.
    let asked = Asked::fetch("app.example.com", "/v1");
    let reply = asked
        .with("Authorization", &format!("Bearer {token}"))
        .ask(&world, "auth/traefik")
        .await
        .expect(401);
    let challenge = reply.header("www-authenticate");
    assert_eq!(challenge, Some("Gatepost realm=\"app\""));
}

#[tokio::test]
async fn every_other_token_is_refused_without_saying_why() {
    let world = world(BEARER).await;
    let provider = &world.provider;
    let now = now();
    let with = |name: &'static str, value: Value| {
        provider.access_token(move |claims| claims[name] = value)
    };
    let without = |name: &'static str| {
        provider.access_token(move |claims| {
            claims.as_object_mut().expect("claims").remove(name);
        })
    };
    let typed = |typ: &str, change: &dyn Fn(&mut Value)| {
        let mut claims = provider.access_claims();
        change(&mut claims);
        provider.sign(
            &json!({"alg": "EdDSA", "kid": "key-1", "typ": typ}),
            &claims,
        )
    };
    let good = with("scope", json!("api"));
    let another = with("scope", json!("more"));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let (_, signature) = another.rsplit_once('.').expect("three parts");
    let unsigned = |alg: &str| {
        let token = provider.sign(
            &json!({"alg": alg, "kid": "key-1"}),
            &provider.access_claims(),
        );
        format!("{}.", token.rsplit_once('.').expect("three parts").0)
    };
    for (case, token) in [
        ("another audience", with("aud", json!("other"))),
        ("no audience and another client", without("aud")),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("no issuer", without("iss")),
        ("expired", with("exp", json!(now - 31))),
        ("no end", without("exp")),
        ("not yet", with("nbf", json!(now + 60))),
        ("from the future", with("iat", json!(now + 60))),
        ("no age", without("iat")),
        ("ancient", with("iat", json!(now - 25 * 3_600))),
        ("no subject", without("sub")),
        ("bound to a key", with("cnf", json!({"jkt": "x"}))),
        ("two clients", with("azp", json!("somebody"))),
        ("a logout token", typed("logout+jwt", &|_| ())),
        ("our own cookie's type", typed("gatepost+jwt", &|_| ())),
        (
            "an ID token",
            typed("JWT", &|claims| claims["nonce"] = json!("n")),
        ),
        (
            "one without nonce",
            typed("JWT", &|claims| {
                let claims = claims.as_object_mut().expect("claims");
                claims.remove("scope");
                claims.remove("client_id");
            }),
        ),
        (
            "Keycloak's",
            typed("JWT", &|claims| claims["typ"] = json!("ID")),
        ),
        ("another token's signature", format!("{signed}.{signature}")),
        ("no signature", format!("{signed}.")),
        ("alg none", unsigned("none")),
        ("a MAC", unsigned("HS256")),
        (
            "critical extensions",
            provider.sign(
                &json!({"alg": "EdDSA", "kid": "key-1", "crit": ["x"]}),
                &provider.access_claims(),
            ),
        ),
        ("no JWT", "opaque-token".to_owned()),
        ("nothing", String::new()),
        ("two", format!("{good}, Bearer {good}")),
    ] {
        let reply = bring(&world, &token).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{case}");
        let challenge = "Bearer realm=\"api\", error=\"invalid_token\"";
        assert_eq!(reply.header("www-authenticate"), Some(challenge), "{case}");
        let body =
            "{\"error\":\"invalid_credentials\",\"message\":\"the credentials are invalid\"}";
        assert_eq!(reply.body, body, "{case}");
        assert!(reply.header("x-forwarded-user").is_none(), "{case}");
    }
    bring(&world, &good).await.expect(200);
    bring(&world, &typed("JWT", &|_| ())).await.expect(200);
    bring(&world, &typed("application/AT+JWT", &|_| ()))
        .await
        .expect(200);
    let late = with("exp", json!(now - 10));
    bring(&world, &late).await.expect(200);
}

#[tokio::test]
async fn rules_hold_for_programs_and_public_paths_stay_public() {
    let world = world(BEARER).await;
    let outsider = world
        .provider
        .access_token(|claims| claims["groups"] = json!([]));
    let reply = bring(&world, &outsider).await.expect(403);
    assert!(reply.body.contains("denied"), "{}", reply.body);
    // The plugin's own rule counts too, where it leaves the request to the outpost.
    let staff = format!("Bearer {}", world.provider.access_token(|_| ()));
    for (rule, status) in [("any=group:staff", 200), ("any=group:admins", 403)] {
        let asked = Asked::fetch(API, "/v1").with("Authorization", &staff);
        let asked = asked.with("X-Gatepost-Require", rule);
        let reply = asked.ask(&world, "auth/traefik").await;
        assert_eq!(reply.status.as_u16(), status, "{rule}");
    }
    for credentials in [format!("Bearer {outsider}"), "Bearer nonsense".to_owned()] {
        let asked = Asked::fetch(API, "/public/x").with("Authorization", &credentials);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        assert!(reply.header("x-forwarded-user").is_none());
        assert_eq!(reply.header("authorization"), Some(&*credentials));
    }
}

#[tokio::test]
async fn a_session_decides_and_the_credentials_next_to_it_are_passed_on() {
    let world = world(BEARER).await;
    let browser = signed_in(&world, API).await;
    let token = world.provider.access_token(|_| ());
    for credentials in [format!("Bearer {token}"), "Bearer nonsense".to_owned()] {
        for dialect in DIALECTS {
            let asked = Asked::fetch(API, "/v1").with("Authorization", &credentials);
            let reply = asked.by(&browser).ask(&world, dialect).await.expect(200);
            assert_eq!(reply.header("x-auth-username"), Some("alice"), "{dialect}");
            assert_eq!(
                reply.header("authorization"),
                Some(&*credentials),
                "{dialect}"
            );
        }
    }
}

#[tokio::test]
async fn audience_and_clients_are_those_of_the_settings() {
    let world = world(
        "machines: [bearer], machineTokens: {audience: 'https://api.example.com,other',
         clients: robot, nameClaim: client_id}",
    )
    .await;
    let token = |audience: Value, client: &str| {
        let client = client.to_owned();
        world.provider.access_token(move |claims| {
            claims["aud"] = audience;
            claims["client_id"] = json!(client);
        })
    };
    let own = json!(["x", "https://api.example.com"]);
    let reply = bring(&world, &token(own.clone(), "robot"))
        .await
        .expect(200);
    assert_eq!(reply.header("x-auth-username"), Some("robot"));
    bring(&world, &token(json!("other"), "robot"))
        .await
        .expect(200);
    bring(&world, &token(json!(CLIENT_ID), "robot"))
        .await
        .expect(401);
    bring(&world, &token(own, "somebody")).await.expect(401);
}

#[tokio::test]
async fn a_valid_token_is_trusted_for_a_while_and_never_beyond_its_end() {
    let world = world("machines: [bearer], machineTokens: {cache: 10m}").await;
    let token = world.provider.access_token(|_| ());
    bring(&world, &token).await.expect(200);
    // Its key is gone, which has no effect while the result of the check is used.
    world.provider.script().key = (2, "key-2");
    world.provider.script().down = true;
    world.wait(200);
    bring(&world, &token).await.expect(200);
    world.wait(200);
    bring(&world, &token).await.expect(401);
}

#[tokio::test]
async fn a_valid_token_is_accepted_where_no_check_is_kept() {
    let world = world("machines: [bearer], machineTokens: {cache: 0s}").await;
    let token = world.provider.access_token(|_| ());
    bring(&world, &token).await.expect(200);
    bring(&world, &token).await.expect(200);
}

#[tokio::test]
async fn a_new_key_is_fetched_once_for_an_unknown_key_id() {
    let world = world(BEARER).await;
    world.provider.script().key = (2, "key-2");
    let token = world.provider.access_token(|_| ());
    bring(&world, &token).await.expect(200);
    let fetches = world.provider.script().key_fetches;
    world.provider.script().key = (3, "key-3");
    for n in 0..5 {
        let forged = world
            .provider
            .access_token(move |claims| claims["n"] = json!(n));
        bring(&world, &forged).await.expect(401);
    }
    assert_eq!(world.provider.script().key_fetches, fetches);
}

#[tokio::test]
async fn credentials_that_the_provider_cannot_check_are_refused() {
    let world = World::without_provider(&format!(
        "applications: [{{name: api, externalUrl: 'https://{API}', machines: [bearer, basic]}}]"
    ))
    .await;
    let token = world.provider.access_token(|_| ());
    let reply = bring(&world, &token).await.expect(503);
    assert!(reply.header("retry-after").is_some());
    world.find_provider().await;
    bring(&world, &token).await.expect(200);
    let credentials = basic("robot", "r0b:t&pass");
    world.provider.script().down = true;
    call(&world, &credentials).await.expect(503);
    world.provider.script().down = false;
    call(&world, &credentials).await.expect(200);
    // Credentials that were checked before are still accepted.
    world.provider.script().down = true;
    call(&world, &credentials).await.expect(200);
}

#[tokio::test]
async fn a_clients_id_and_secret_are_exchanged_for_a_token() {
    let world = world(
        "machines: [basic], machineTokens: {scopes: [api, more],
         parameters: {resource: 'https://api.example.com'}}",
    )
    .await;
    let credentials = basic("robot", "r0b:t&pass");
    for dialect in DIALECTS {
        let asked = Asked::fetch(API, "/v1").with("Authorization", &credentials);
        let reply = asked.ask(&world, dialect).await.expect(200);
        assert_eq!(reply.header("x-forwarded-user"), Some("robot-id"));
    }
    {
        let script = world.provider.script();
        let [form] = script.asked_by_programs.as_slice() else {
            panic!("asked once: {:?}", script.asked_by_programs);
        };
        for (name, value) in [
            ("grant_type", "client_credentials"),
            ("scope", "api more"),
            ("resource", "https://api.example.com"),
        ] {
            assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
    let reply = call(&world, &basic("robot", "wrong")).await.expect(401);
    let challenge = "Basic realm=\"api\", charset=\"UTF-8\"";
    assert_eq!(reply.header("www-authenticate"), Some(challenge));
    // The token's end is not that of the check.
    // Time passes during the test as well.
    world.wait(240);
    call(&world, &credentials).await.expect(200);
    assert_eq!(asked_by_programs(&world), 2);
    world.wait(61);
    call(&world, &credentials).await.expect(200);
    assert_eq!(asked_by_programs(&world), 3);
    // A bearer is not what this application takes.
    let token = world.provider.access_token(|_| ());
    let reply = bring(&world, &token).await.expect(401);
    assert!(
        reply
            .header("www-authenticate")
            .is_some_and(|c| c.starts_with("Gatepost"))
    );
}

#[tokio::test]
async fn a_persons_name_and_password_are_exchanged_in_our_name() {
    let world = world("machines: basic, machineTokens: {grant: password}").await;
    call(&world, &basic("robot", "r0b:t&pass"))
        .await
        .expect(200);
    call(&world, &basic("robot", "wrong")).await.expect(401);
    let forms = world.provider.script().asked_by_programs.clone();
    assert_eq!(forms[0]["grant_type"], "password");
    assert_eq!(forms[0]["username"], "robot");
}

#[tokio::test]
async fn a_token_that_comes_back_must_hold_too() {
    let world = world("machines: basic").await;
    world.provider.script().access_token = Box::new(|claims| claims["aud"] = json!("other"));
    call(&world, &basic("robot", "r0b:t&pass"))
        .await
        .expect(401);
}

#[tokio::test]
async fn many_requests_at_the_same_time_ask_once() {
    let world = world("machines: basic").await;
    let credentials = basic("robot", "r0b:t&pass");
    let calls = (0..20).map(|_| call(&world, &credentials));
    for reply in futures_util::future::join_all(calls).await {
        reply.expect(200);
    }
    assert_eq!(asked_by_programs(&world), 1);
}

#[tokio::test]
async fn the_provider_is_asked_about_tokens_where_the_settings_say_so() {
    let world = world("machines: bearer, machineTokens: {introspect: 'true', cache: 30s}").await;
    let active = |change: &dyn Fn(&mut Value)| {
        let mut claims = world.provider.access_claims();
        claims["active"] = json!(true);
        change(&mut claims);
        world.provider.script().introspection = claims;
    };
    bring(&world, "unknown").await.expect(401);
    active(&|_| ());
    bring(&world, "opaque").await.expect(200);
    bring(&world, "opaque").await.expect(200);
    assert_eq!(asked_by_programs(&world), 2);
    assert_eq!(
        world.provider.script().asked_by_programs[1]["token"],
        "opaque"
    );
    // Withdrawn, which is noticed when the check is not believed any more.
    world.provider.script().introspection = json!({"active": false});
    bring(&world, "opaque").await.expect(200);
    world.wait(31);
    bring(&world, "opaque").await.expect(401);
    for (at, (case, change)) in [
        (
            "another audience",
            (|c| c["aud"] = json!("other")) as fn(&mut Value),
        ),
        ("another issuer", |c| {
            c["iss"] = json!("https://evil.example")
        }),
        ("expired", |c| c["exp"] = json!(1)),
        ("no audience and another client", |c| c["aud"] = Value::Null),
        ("a text for a flag", |c| c["active"] = json!("true")),
    ]
    .into_iter()
    .enumerate()
    {
        active(&change);
        let reply = bring(&world, &format!("case-{at}")).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{case}");
    }
}

#[tokio::test]
async fn tokens_of_a_user_who_is_signed_out_everywhere_are_refused() {
    let world = world(BEARER).await;
    let token = world.provider.access_token(|_| ());
    bring(&world, &token).await.expect(200);
    let which = SessionSelector::Subject {
        issuer: world.provider.issuer.clone(),
        subject: "robot-id".into(),
    };
    let times = world.outpost.snapshot().times;
    world
        .outpost
        .sessions
        .revoker()
        .revoke(&which, &times)
        .await
        .expect("ended");
    bring(&world, &token).await.expect(401);
    // Also when every window of a session that was open then has ended.
    let revocations = world.outpost.sessions.revoker().revocations();
    let now = world.outpost.clock.now();
    revocations.remove_expired(now.plus_seconds(times.window + 3_600));
    world.wait(60);
    bring(&world, &token).await.expect(401);
    let fresh = world.provider.access_token(|claims| {
        claims["iat"] = json!(now.as_seconds() + 40);
    });
    bring(&world, &fresh).await.expect(200);
}

#[tokio::test]
async fn the_application_sees_the_credentials_where_it_is_to() {
    let world = world("machines: bearer, machineTokens: {forward: true}").await;
    let credentials = format!("Bearer {}", world.provider.access_token(|_| ()));
    for dialect in DIALECTS {
        let asked = Asked::fetch(API, "/").with("Authorization", &credentials);
        let reply = asked.ask(&world, dialect).await.expect(200);
        assert_eq!(
            reply.header("authorization"),
            Some(&*credentials),
            "{dialect}"
        );
    }
}

/// Caddy writes the name of its placeholder where the response lacks a header that it takes over.
#[tokio::test]
async fn caddy_gets_an_authorization_for_every_request_that_passes() {
    let world = world(BEARER).await;
    let alice = signed_in(&world, API).await;
    for (dialect, expected) in [("auth/caddy", Some("")), ("auth/traefik", None)] {
        for asked in [
            Asked::fetch(API, "/public/x"),
            Asked::fetch(API, "/v1").by(&alice),
        ] {
            let reply = asked.ask(&world, dialect).await.expect(200);
            assert_eq!(reply.header("authorization"), expected, "{dialect}");
        }
        let own = Asked::fetch(API, "/v1").by(&alice);
        let own = own.with("Authorization", "Bearer of-the-app");
        let reply = own.ask(&world, dialect).await.expect(200);
        assert_eq!(reply.header("authorization"), Some("Bearer of-the-app"));
    }
}
