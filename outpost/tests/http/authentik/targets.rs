//! Where a user comes to after signing in.

use super::*;

/// Such as the one that an application gets which is a SAML provider.
#[tokio::test]
async fn a_target_of_seven_kilobytes_is_kept() {
    let world = world(json!({})).await;
    let long = format!("/saml/sso?SAMLRequest={}", "fZJ%2B".repeat(1_200));
    for target in [&long[..1_000], &long] {
        let mut browser = world.browser();
        let reply = Asked::load(APP, target).ask(&world, "auth/traefik").await;
        let reply = browser.load(reply.expect(302).location()).await.expect(302);
        let longest = reply.set_cookies().iter().map(|line| line.len()).max();
        assert!(longest < Some(4096), "{longest:?}");
        let callback = world.provider.authorize(reply.location());
        let reply = browser.load(callback.as_str()).await.expect(302);
        assert_eq!(reply.location(), format!("https://{APP}{target}"));
    }
}
