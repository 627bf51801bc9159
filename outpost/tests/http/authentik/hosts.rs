//! Hosts that no provider has.

use super::*;

/// With one provider alone, authentik's outposts answer at every host. An application answers at its
/// own host and port here, and the page says what to set.
#[tokio::test]
async fn another_host_than_the_only_providers_is_refused_and_the_page_says_what_to_set() {
    let world = world(json!({})).await;
    Asked::load(APP, "/")
        .ask(&world, "auth/traefik")
        .await
        .expect(302);
    for host in ["other.example.com", "app.example.com:8443"] {
        let reply = Asked::load(host, "/").ask(&world, "auth/traefik").await;
        let reply = reply.expect(404);
        assert!(reply.body.contains("External host"), "{}", reply.body);
    }
}
