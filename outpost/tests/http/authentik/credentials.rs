//! Credentials in `Authorization`: authentik's, or the application's own.

use super::*;

/// The credentials that the provider accepts.
const ROBOT: (&str, &str) = ("robot", "r0b:t&pass");

/// Credentials of which authentik knows nothing.
const OWN: (&str, &str) = ("app-user", "app-password");

/// Starts an outpost whose provider says that every token is the robot's.
async fn world_with_robot(changes: Value) -> World {
    let world = world(changes).await;
    world.provider.script().introspection = json!({
        "active": true, "sub": "robot-id", "aud": CLIENT_ID, "preferred_username": "robot",
    });
    world
}

#[tokio::test]
async fn a_path_that_needs_no_session_has_the_identity_of_a_machine_client() {
    let world = world_with_robot(json!({})).await;
    let (user, password) = ROBOT;
    let reply = fetch(&world, SKIPPED, &basic(user, password))
        .await
        .expect(200);
    assert_eq!(reply.header("x-authentik-username"), Some("robot"));
    let (user, password) = OWN;
    let reply = fetch(&world, SKIPPED, &basic(user, password))
        .await
        .expect(200);
    assert_eq!(reply.header("x-authentik-username"), None);
    let handed_on = reply.header("authorization");
    assert_eq!(
        handed_on,
        Some(&*basic(user, password)),
        "the application's own"
    );
}

/// The application's own credentials on a page load are no reason for a password box.
#[tokio::test]
async fn unknown_credentials_on_a_page_load_begin_a_sign_in() {
    let world = world(json!({})).await;
    let (user, password) = OWN;
    // Further attempts are not asked about, and still no answer for a browser.
    for attempt in 0..20 {
        let reply = load(&world, "/page", &basic(user, password)).await;
        let reply = reply.expect(302);
        let location = reply.location();
        assert!(location.contains("/start?rd="), "{attempt}: {location}");
        assert_eq!(reply.header("www-authenticate"), None, "{attempt}");
    }
    let reply = fetch(&world, "/api", &basic(user, password)).await;
    assert!(matches!(reply.status.as_u16(), 401 | 429), "{reply:?}");
}

#[tokio::test]
async fn without_interception_credentials_count_and_are_not_required() {
    let world = world_with_robot(json!({"intercept_header_auth": false})).await;
    let (user, password) = ROBOT;
    for credentials in [basic(user, password), "Bearer of-authentik".to_owned()] {
        let reply = fetch(&world, "/api", &credentials).await.expect(200);
        assert_eq!(reply.header("x-authentik-username"), Some("robot"));
    }
    let (user, password) = OWN;
    world.provider.script().introspection = json!({"active": false});
    for credentials in [basic(user, password), "Bearer another".to_owned()] {
        let reply = fetch(&world, "/api", &credentials).await.expect(401);
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Gatepost "), "{challenge}");
        load(&world, "/page", &credentials).await.expect(302);
        // A user with a session keeps the application's credentials.
        let alice = signed_in(&world, APP).await;
        let asked = Asked::fetch(APP, "/api").with("Authorization", &credentials);
        let reply = asked
            .by(&alice)
            .ask(&world, "auth/traefik")
            .await
            .expect(200);
        assert_eq!(reply.header("authorization"), Some(&*credentials));
        assert_eq!(reply.header("x-authentik-username"), Some("alice"));
    }
}

/// Both addresses of authentik name one issuer: a client gets its token at the internal one, and
/// browsers go to the public one.
#[tokio::test]
async fn a_token_of_the_internal_address_is_accepted_besides_the_public_one() {
    let public = ("AUTHENTIK_HOST_BROWSER", "https://id.example.com");
    let provider = Provider::start().await;
    provider.script().secret_in_form = true;
    let path = "/application/o/app/";
    let internal = format!("{}{path}", provider.issuer);
    let changes = json!({"oidc_configuration": {"issuer": internal}});
    let app = application(&provider, changes);
    let world = world_of(provider, vec![app], &[public]).await;
    for (issuer, status) in [
        (internal, 200),
        (format!("https://id.example.com{path}"), 200),
        (format!("https://evil.example.com{path}"), 401),
    ] {
        let token = world
            .provider
            .access_token(|claims| claims["iss"] = json!(issuer));
        world.provider.script().introspection = json!({
            "active": true, "iss": issuer, "sub": "robot-id", "aud": CLIENT_ID,
        });
        let bearer = format!("Bearer {token}");
        let reply = fetch(&world, "/api", &bearer).await;
        assert_eq!(reply.status.as_u16(), status, "{issuer}: {}", reply.body);
    }
}
