//! The headers that identify the user to the application.

use super::*;

#[tokio::test]
async fn a_path_that_needs_no_session_has_the_identity_of_a_signed_in_user() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let reply = Asked::load(APP, SKIPPED).by(&alice);
    let reply = reply.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-authentik-username"), Some("alice"));
    assert!(reply.header("x-authentik-jwt").is_some());
    let reply = Asked::load(APP, SKIPPED).ask(&world, "auth/traefik").await;
    let reply = reply.expect(200);
    for (name, value) in &reply.headers {
        let identity = name.as_str().starts_with("x-authentik-")
            && !name.as_str().starts_with("x-authentik-meta-");
        assert!(!identity || value.is_empty(), "{name}: {value:?}");
    }
}

#[tokio::test]
async fn a_path_that_needs_no_session_is_open_while_the_store_is_away() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let away = &world.store.away;
    away.store(true, std::sync::atomic::Ordering::Relaxed);
    for asked in [
        Asked::load(APP, SKIPPED).by(&alice),
        Asked::load(APP, SKIPPED),
    ] {
        asked.ask(&world, "auth/traefik").await.expect(200);
    }
}

/// The access token, which authentik's userinfo and introspection accept, and not the ID token.
#[tokio::test]
async fn the_token_of_a_user_is_the_access_token_and_is_renewed_with_the_session() {
    let world = world_with(
        json!({}),
        &[
            ("GATEPOST_SESSION_WINDOW", "60"),
            ("GATEPOST_SESSION_REFRESH_AFTER", "60"),
        ],
    )
    .await;
    let alice = signed_in(&world, APP).await;
    let token = async || {
        let asked = Asked::fetch(APP, "/x").by(&alice);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        let token = reply.header("x-authentik-jwt");
        token.expect("a token").to_owned()
    };
    assert_eq!(token().await, "the-access-token");
    world.provider.script().token_response = Box::new(|response| {
        response["access_token"] = json!("the-next-access-token");
    });
    world.wait(120);
    assert_eq!(token().await, "the-next-access-token");
    assert_eq!(world.provider.script().refreshes, 1);
    // What an application does with it: it calls another one in the user's name.
    world.provider.script().introspection = json!({
        "active": true, "sub": "alice-id", "aud": CLIENT_ID, "preferred_username": "alice",
    });
    let bearer = format!("Bearer {}", token().await);
    let reply = fetch(&world, "/api", &bearer).await.expect(200);
    assert_eq!(reply.header("x-authentik-username"), Some("alice"));
    assert_eq!(
        reply.header("x-authentik-jwt"),
        Some("the-next-access-token")
    );
    let asked = world
        .provider
        .script()
        .asked_by_programs
        .pop()
        .expect("asked");
    assert_eq!(asked["token"], "the-next-access-token");
}

/// It is a credential, and the cookie is what the browser and documented recipes see.
#[tokio::test]
async fn the_access_token_is_in_no_cookie() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let url = format!("https://{APP}/x").parse().expect("a URL");
    let cookies = alice.cookie_line(&url);
    assert!(!cookies.contains("the-access-token"));
    let parts: Vec<&str> = cookies.split(['=', '.', ';']).map(str::trim).collect();
    let decoded = parts
        .iter()
        .filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let decoded: Vec<String> = decoded
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .collect();
    assert!(
        decoded.iter().any(|text| text.contains("alice")),
        "the claims"
    );
    assert!(!decoded.iter().any(|text| text.contains("the-access-token")));
}
