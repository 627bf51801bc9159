//! Programs with a token of a user who has not authenticated as a rule asks.

use super::*;

const API: &str = "applications:
  - {name: api, externalUrl: 'https://api.example.com', require: {acr: [gold], maxAge: 5m},
     machines: [bearer, basic]}";

#[tokio::test]
async fn a_token_is_challenged_and_a_password_is_refused() {
    let world = World::with(API).await;
    let call = async |credentials: &str| {
        let asked = Asked::program("api.example.com", "/v1").with("Authorization", credentials);
        asked.ask(&world, "auth/traefik").await
    };
    let at = now();
    for (claims, status) in [
        (json!({"acr": "gold", "auth_time": at}), 200),
        (json!({"acr": "silver", "auth_time": at}), 401),
        (json!({"acr": "gold", "auth_time": at - 600}), 401),
        (json!({"acr": "gold"}), 401),
        (json!({}), 401),
    ] {
        let token = world.provider.access_token(|own| {
            for (name, value) in claims.as_object().expect("an object") {
                own[name] = value.clone();
            }
        });
        let reply = call(&format!("Bearer {token}")).await.expect(status);
        if status == 401 {
            let challenge = reply.header("www-authenticate").expect("a challenge");
            let beginning = "Bearer realm=\"api\", error=\"insufficient_user_authentication\"";
            assert!(challenge.starts_with(beginning), "{challenge}");
            let answer = reply.json();
            assert_eq!(answer["error"], "insufficient_user_authentication");
        }
    }
    call(&format!("Basic {}", "cm9ib3Q6cjBiOnQmcGFzcw=="))
        .await
        .expect(403);
}
