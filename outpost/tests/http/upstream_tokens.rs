//! The provider's tokens in headers for the application.

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;

use crate::browser::{Browser, Reply};
use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::machines::basic;
use crate::provider::CLIENT_ID;
use crate::world::{AT_ONCE, World};

const APP: &str = "app.example.com";

const IN_AUTHORIZATION: &str =
    "upstreamTokens: {accessToken: Authorization, idToken: X-Id-Token}, machines: [bearer, basic]";

const NAMED: &str = "upstreamTokens: {accessToken: X-Forwarded-Access-Token, idToken: X-Id-Token}";

async fn world(more: &str) -> World {
    World::with(&settings(more)).await
}

fn settings(more: &str) -> String {
    format!(
        "
session: {{window: 20m, renewAfter: 19m, refreshAfter: 1h}}
applications:
  - {{name: app, externalUrl: 'https://{APP}', public: ['/public/*'], {more}}}
"
    )
}

fn token<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.header(name).filter(|value| !value.is_empty())
}

/// Returns the answer about a script's request that may go on.
async fn fetch(world: &World, user: &Browser<'_>) -> Reply {
    let asked = Asked::fetch(APP, "/x").by(user);
    asked.ask(world, "auth/traefik").await.expect(200)
}

/// Returns the access token that goes on with a script's request.
async fn access(world: &World, user: &Browser<'_>) -> Option<String> {
    let reply = fetch(world, user).await;
    token(&reply, "x-forwarded-access-token").map(str::to_owned)
}

/// Has the provider issue another access token from now on.
fn issue_the_next(world: &World) {
    world.provider.script().token_response = Box::new(|response| {
        response["access_token"] = json!("the-next-access-token");
    });
}

#[tokio::test]
async fn a_signed_in_user_s_tokens_go_on_through_every_proxy() {
    for (settings, header, expected) in [
        (IN_AUTHORIZATION, "authorization", "Bearer the-access-token"),
        (NAMED, "x-forwarded-access-token", "the-access-token"),
    ] {
        let world = world(settings).await;
        let alice = signed_in(&world, APP).await;
        for dialect in DIALECTS {
            for path in ["/x", "/public/x"] {
                // Whatever the client sends under these names.
                let asked = Asked::fetch(APP, path)
                    .by(&alice)
                    .with("Authorization", "Digest of-the-client")
                    .with("X-Forwarded-Access-Token", "of-the-client")
                    .with("X-Id-Token", "of-the-client");
                let reply = asked.ask(&world, dialect).await.expect(200);
                let case = format!("{dialect} {path} {settings}");
                assert_eq!(token(&reply, header), Some(expected), "{case}");
                let id = token(&reply, "x-id-token").expect("an ID token");
                assert_eq!(id.split('.').count(), 3, "{case}");
                let lines = reply.headers.get_all(header).iter().count();
                assert_eq!(lines, 1, "{case}");
                assert!(
                    !format!("{:?}", reply.headers).contains("of-the-client"),
                    "{case}"
                );
                assert!(!reply.body.contains("access-token"), "{case}");
            }
        }
    }
}

/// A client names its own token on a path where it is not signed in.
#[tokio::test]
async fn no_client_s_header_goes_on_where_no_user_is_signed_in() {
    let world = world(IN_AUTHORIZATION).await;
    for dialect in DIALECTS {
        for credentials in [
            "Bearer of-the-client",
            "Basic b2Y6dGhlLWNsaWVudA==",
            "Digest x",
        ] {
            let asked = Asked::fetch(APP, "/public/x")
                .with("Authorization", credentials)
                .with("X-Id-Token", "of-the-client");
            let reply = asked.ask(&world, dialect).await.expect(200);
            let case = format!("{dialect} {credentials}");
            assert_eq!(token(&reply, "authorization"), None, "{case}");
            assert_eq!(token(&reply, "x-id-token"), None, "{case}");
            // Envoy and Caddy keep what the response does not name.
            if ["auth/envoy", "auth/caddy"].contains(&dialect) {
                assert_eq!(reply.header("authorization"), Some(""), "{case}");
                assert_eq!(reply.header("x-id-token"), Some(""), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_tokens_are_in_no_cookie_and_on_no_page() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let world = world(IN_AUTHORIZATION).await;
    let mut alice = signed_in(&world, APP).await;
    let url = format!("https://{APP}/x").parse().expect("a URL");
    let cookies = alice.cookie_line(&url);
    let decoded: String = cookies
        .split(['=', '.', ';'])
        .filter_map(|part| URL_SAFE_NO_PAD.decode(part.trim()).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(decoded.contains("alice"), "{decoded}");
    assert!(!decoded.contains("access-token") && !cookies.contains("access-token"));
    let page = alice.load(&format!("https://{APP}/akprox/session")).await;
    let page = page.expect(200);
    assert!(!page.body.contains("access-token") && token(&page, "authorization").is_none());
}

/// Machine clients that authenticate by `Authorization`: their own token goes on, and nothing else
/// that proves who they are does.
#[tokio::test]
async fn a_machine_client_s_own_token_goes_on_and_no_other_credentials() {
    let world = world(IN_AUTHORIZATION).await;
    let ask = async |credentials: String, dialect| {
        let asked = Asked::fetch(APP, "/v1").with("Authorization", &credentials);
        asked.ask(&world, dialect).await.expect(200)
    };
    let bearer = world.provider.access_token(|_| ());
    let (name, password) = world.provider.script().program;
    let basic = basic(name, password);
    for dialect in DIALECTS {
        let reply = ask(format!("bearer {bearer}"), dialect).await;
        let expected = format!("Bearer {bearer}");
        assert_eq!(
            token(&reply, "authorization"),
            Some(&*expected),
            "{dialect}"
        );
        assert_eq!(token(&reply, "x-id-token"), None, "{dialect}");
        // A password is exchanged for a token, and that is what the application gets.
        let reply = ask(basic.clone(), dialect).await;
        let sent = token(&reply, "authorization").expect("a token");
        assert!(sent.starts_with("Bearer ey"), "{dialect} {sent}");
    }
}

#[tokio::test]
async fn a_token_that_ends_soon_is_replaced_before_it_goes_on() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    issue_the_next(&world);
    let access = async || {
        let reply = fetch(&world, &alice).await;
        // The window is not longer for it.
        assert!(!reply.sets_session());
        token(&reply, "x-forwarded-access-token").map(str::to_owned)
    };
    world.wait(260);
    assert_eq!(access().await.as_deref(), Some("the-access-token"));
    assert_eq!(world.provider.script().refreshes, 0);
    world.wait(15);
    assert_eq!(access().await.as_deref(), Some("the-next-access-token"));
    for _ in 0..5 {
        assert_eq!(access().await.as_deref(), Some("the-next-access-token"));
    }
    assert_eq!(world.provider.script().refreshes, 1);
}

/// What a provider says that a token is good for is its word, also where that makes no sense.
#[tokio::test]
async fn a_short_lifetime_does_not_make_every_request_ask_the_provider() {
    for expires_in in [json!(0), json!(1), json!(20), json!(null), json!("soon")] {
        let world = world("upstreamTokens: {accessToken: X-Token}").await;
        let said = expires_in.clone();
        world.provider.script().token_response =
            Box::new(move |response| response["expires_in"] = said.clone());
        let alice = signed_in(&world, APP).await;
        world.wait(6);
        for _ in 0..8 {
            fetch(&world, &alice).await;
        }
        let refreshes = world.provider.script().refreshes;
        assert!(refreshes <= 1, "{expires_in}: {refreshes}");
    }
}

#[tokio::test]
async fn while_the_provider_is_away_a_token_goes_on_as_long_as_it_holds() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    world.provider.script().refresh_answer = Some((503, &[], ""));
    world.wait(280);
    let reply = fetch(&world, &alice).await;
    assert_eq!(
        token(&reply, "x-forwarded-access-token"),
        Some("the-access-token")
    );
    assert!(token(&reply, "x-id-token").is_some());
    world.wait(30);
    let reply = fetch(&world, &alice).await;
    // The user is signed in, and the application learns of that alone.
    assert_eq!(token(&reply, "x-auth-username"), Some("alice"));
    assert_eq!(token(&reply, "x-forwarded-access-token"), None);
    assert_eq!(token(&reply, "x-id-token"), None);
}

#[tokio::test]
async fn while_the_store_is_away_a_user_goes_on_without_tokens() {
    let world = world(IN_AUTHORIZATION).await;
    let alice = signed_in(&world, APP).await;
    world.store.away.store(true, Ordering::Relaxed);
    for dialect in DIALECTS {
        let asked = Asked::fetch(APP, "/x")
            .by(&alice)
            .with("Authorization", "Digest of-the-client");
        let reply = asked.ask(&world, dialect).await.expect(200);
        assert_eq!(token(&reply, "x-auth-username"), Some("alice"), "{dialect}");
        assert_eq!(token(&reply, "authorization"), None, "{dialect}");
    }
}

#[tokio::test]
async fn a_session_that_the_provider_ends_meanwhile_is_over() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    world.provider.script().refresh_answer = Some((
        400,
        &[("Content-Type", "application/json")],
        r#"{"error": "invalid_grant"}"#,
    ));
    world.wait(275);
    let asked = Asked::fetch(APP, "/x").by(&alice);
    let reply = asked.ask(&world, "auth/traefik").await.expect(401);
    assert_eq!(token(&reply, "x-forwarded-access-token"), None);
}

#[tokio::test]
async fn sessions_from_before_get_tokens_with_their_next_renewal_at_the_provider() {
    let world = world("cookieGroups: []").await;
    let alice = signed_in(&world, APP).await;
    let now = world.replica_with(&settings(NAMED)).await;
    now.wait(10);
    let sent = access(&now, &alice).await;
    assert_eq!(sent.as_deref(), Some("the-access-token"));
    assert_eq!(world.provider.script().refreshes, 1);
}

#[tokio::test]
async fn many_requests_at_once_renew_a_token_once() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    issue_the_next(&world);
    // Past its end, so that each request has to wait for the next one.
    world.wait(305);
    let ask = || access(&world, &alice);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    for token in [a, b, c, d] {
        assert_eq!(token.as_deref(), Some("the-next-access-token"));
    }
    assert_eq!(world.provider.script().refreshes, 1);
}

/// Signs a user in ten times. A request of each that waited a short while, two seconds, would take twice
/// as long as all of them may.
async fn ten_sessions(world: &World) -> Vec<Browser<'_>> {
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(signed_in(world, APP).await);
    }
    sessions
}

/// A replica that renews may have died: a token that holds is enough meanwhile.
#[tokio::test]
async fn a_request_does_not_wait_for_another_replica_while_its_token_holds() {
    let world = world(NAMED).await;
    let sessions = ten_sessions(&world).await;
    world.store.locked_elsewhere.store(true, Ordering::Relaxed);
    world.wait(275);
    let begun = Instant::now();
    for alice in &sessions {
        let sent = access(&world, alice).await;
        assert_eq!(sent.as_deref(), Some("the-access-token"));
    }
    let waited = begun.elapsed();
    assert!(waited < AT_ONCE, "{waited:?}");
}

/// The provider takes the connection and says nothing: the user goes on without the token that has
/// ended, and later requests do not wait again.
#[tokio::test]
async fn no_request_waits_long_for_a_token() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    let _gate = world.provider.hold_exchanges();
    world.wait(305);
    // Ten that waited again would take twice as long.
    for requests in [0..1, 1..11] {
        let begun = Instant::now();
        for request in requests {
            let reply = fetch(&world, &alice).await;
            assert_eq!(token(&reply, "x-auth-username"), Some("alice"), "{request}");
            assert_eq!(token(&reply, "x-forwarded-access-token"), None, "{request}");
        }
        let waited = begun.elapsed();
        assert!(waited < AT_ONCE, "{waited:?}");
    }
}

/// The store knows that the session is valid. A token is no reason to have the browser wait.
#[tokio::test]
async fn a_page_load_after_the_window_does_not_wait_long_for_a_token() {
    let world = world(NAMED).await;
    let alice = signed_in(&world, APP).await;
    let _gate = world.provider.hold_exchanges();
    world.wait(21 * 60);
    let begun = Instant::now();
    let asked = Asked::load(APP, "/x").by(&alice);
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    let waited = begun.elapsed();
    assert!(waited < AT_ONCE, "{waited:?}");
    assert!(reply.sets_session());
}

/// An application without the access token does not wait for one.
#[tokio::test]
async fn the_end_of_a_token_that_the_application_does_not_get_is_no_reason_to_wait() {
    let world = world("upstreamTokens: {idToken: X-Id-Token}").await;
    world.provider.script().claims = Box::new(|claims| {
        let issued = claims["iat"].as_i64().expect("a time");
        claims["exp"] = json!(issued + 900);
    });
    let sessions = ten_sessions(&world).await;
    world.store.locked_elsewhere.store(true, Ordering::Relaxed);
    world.wait(880);
    let begun = Instant::now();
    for alice in &sessions {
        let reply = fetch(&world, alice).await;
        assert!(token(&reply, "x-id-token").is_some());
    }
    let waited = begun.elapsed();
    assert!(waited < AT_ONCE, "{waited:?}");
}

/// What came with an ID token that is not the provider's, or is of another access token.
#[tokio::test]
async fn an_access_token_beside_an_invalid_id_token_is_not_handed_on() {
    for (claim, value) in [("aud", "other"), ("at_hash", "of-another")] {
        let world = world(NAMED).await;
        let alice = signed_in(&world, APP).await;
        issue_the_next(&world);
        world.provider.script().claims = Box::new(move |claims| claims[claim] = json!(value));
        world.wait(275);
        let sent = access(&world, &alice).await;
        assert_eq!(sent.as_deref(), Some("the-access-token"), "{claim}");
        assert_eq!(world.provider.script().refreshes, 1, "{claim}");
        world.wait(30);
        assert_eq!(access(&world, &alice).await, None, "{claim}");
    }
}

/// `board` gets the tokens of its users, and is not to be one of them at `wiki`.
#[tokio::test]
async fn an_application_cannot_use_a_user_s_token_at_another_application() {
    let board = "upstreamTokens: {accessToken: Authorization}";
    for (introspect, typ, shows, allowed) in [
        (false, "at+jwt", board, 401),
        (false, "JWT", board, 401),
        (true, "at+jwt", board, 401),
        // No other application has these tokens.
        (
            false,
            "at+jwt",
            "upstreamTokens: {idToken: X-Id-Token}",
            200,
        ),
        (true, "at+jwt", "cookieGroups: []", 200),
    ] {
        for audience in [CLIENT_ID, "https://wiki.example.com"] {
            let world = World::with(&format!(
                "
applications:
  - {{name: board, externalUrl: 'https://board.example.com', {shows}}}
  - {{name: wiki, externalUrl: 'https://{APP}', machines: [bearer, basic],
     machineTokens: {{introspect: {introspect}, audience: '{audience}', grant: password}}}}
"
            ))
            .await;
            let ask = async |client: [Option<&str>; 4]| {
                let mut claims = world.provider.access_claims();
                let members = claims.as_object_mut().expect("claims");
                members.remove("client_id");
                members.insert("aud".to_owned(), json!(audience));
                let names = ["client_id", "azp", "appid", "cid"];
                for (name, client) in names.into_iter().zip(client) {
                    if let Some(client) = client {
                        members.insert(name.to_owned(), json!(client));
                    }
                }
                let header = json!({"alg": "EdDSA", "kid": "key-1", "typ": typ});
                let token = world.provider.sign(&header, &claims);
                claims["active"] = json!(true);
                world.provider.script().introspection = claims;
                let asked =
                    Asked::fetch(APP, "/v1").with("Authorization", &format!("Bearer {token}"));
                asked.ask(&world, "auth/traefik").await.status.as_u16()
            };
            let case = format!("{introspect} {typ} {shows} {audience}");
            for own in [
                [Some(CLIENT_ID), None, None, None],
                [None, Some(CLIENT_ID), None, None],
                [Some(CLIENT_ID), Some(CLIENT_ID), None, None],
                [None, None, Some(CLIENT_ID), None],
                [None, None, None, Some(CLIENT_ID)],
            ] {
                assert_eq!(ask(own).await, allowed, "{case} {own:?}");
            }
            // It does not say whose it is.
            assert_eq!(ask([None; 4]).await, allowed, "{case}");
            let robot = [Some("robot"), None, None, None];
            assert_eq!(ask(robot).await, 200, "{case}");
            // The outpost's own client asks for these.
            world.provider.script().access_token = Box::new(move |claims| {
                claims["client_id"] = json!(CLIENT_ID);
                claims["aud"] = json!(audience);
            });
            if !introspect {
                let (name, password) = world.provider.script().program;
                let asked = Asked::fetch(APP, "/v1").with("Authorization", &basic(name, password));
                asked.ask(&world, "auth/traefik").await.expect(200);
            }
        }
    }
}

/// Asked again with each request, the provider would learn nothing new of the session.
#[tokio::test]
async fn a_provider_that_replaces_no_access_token_is_asked_once() {
    for was_without in [false, true] {
        let before = world(if was_without {
            "cookieGroups: []"
        } else {
            NAMED
        })
        .await;
        let alice = signed_in(&before, APP).await;
        let world = before.replica_with(&settings(NAMED)).await;
        world.provider.script().token_response = Box::new(|response| {
            let members = response.as_object_mut().expect("members");
            members.remove("access_token");
        });
        world.wait(305);
        for _ in 0..4 {
            assert_eq!(access(&world, &alice).await, None);
            world.wait(6);
        }
        assert_eq!(world.provider.script().refreshes, 1, "{was_without}");
    }
}

/// A request that no server takes would lock the user out.
#[tokio::test]
async fn a_token_that_is_too_long_for_a_header_is_left_out() {
    let world = world(NAMED).await;
    world.provider.script().claims =
        Box::new(|claims| claims["padding"] = json!("x".repeat(13_000)));
    let alice = signed_in(&world, APP).await;
    let reply = fetch(&world, &alice).await;
    assert_eq!(token(&reply, "x-id-token"), None);
    let access = token(&reply, "x-forwarded-access-token");
    assert_eq!(access, Some("the-access-token"));
}

#[tokio::test]
async fn an_id_token_of_a_provider_whose_clock_is_behind_is_replaced_before_it_ends() {
    let world = world("upstreamTokens: {idToken: X-Id-Token}").await;
    world.provider.script().claims = Box::new(|claims| {
        let now = claims["iat"].as_i64().expect("a time");
        (claims["iat"], claims["exp"]) = (json!(now - 120), json!(now + 180));
    });
    let alice = signed_in(&world, APP).await;
    world.wait(160);
    fetch(&world, &alice).await;
    assert_eq!(world.provider.script().refreshes, 1);
}
