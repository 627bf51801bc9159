//! Step-up where an application has several providers: the user's own is asked.

use super::*;

/// Has a provider say this class of its users from now on.
fn says(provider: &Provider, class: &'static str) {
    provider.script().claims = Box::new(move |claims| claims["acr"] = class.into());
}

#[tokio::test]
async fn the_users_own_provider_is_asked_whatever_a_link_names() {
    let rules = ", rules: [{paths: ['/vault/*'], require: {acr: [gold]}}]";
    let two = Two::unfound(rules).await;
    two.world.find_provider().await;
    let mut browser = two.world.browser();
    says(&two.partners, "silver");
    let reply = two.sign_in(&mut browser, PARTNERS).await;
    reply.expect(302);
    for more in ["", "&provider=corporate", "&provider=partners"] {
        let start = format!("{START}?rd=%2Fvault%2Fx&step_up=GET{more}");
        let reply = browser.load(&start).await.expect(302);
        let location = reply.location();
        assert!(location.starts_with(&two.partners.issuer), "{location}");
        assert!(location.contains("acr_values=gold"), "{location}");
    }
    says(&two.partners, "gold");
    let start = format!("{START}?rd=%2Fvault%2Fx&step_up=GET");
    let reply = two.sign_in(&mut browser, &start).await.expect(302);
    assert_eq!(reply.location(), format!("https://{HOST}/vault/x"));
    assert_eq!(two.exchanges(), (0, 2));
    let asked = Asked::fetch(HOST, "/vault/x").by(&browser);
    asked.ask(&two.world, "auth/traefik").await.expect(200);
}
