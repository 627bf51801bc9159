//! Credentials of machine clients, where an application has several providers.

use super::*;

async fn call(two: &Two, credentials: &str) -> Reply {
    let asked = Asked::fetch(HOST, "/v1").with("Authorization", credentials);
    asked.ask(&two.world, "auth/traefik").await
}

fn asked_by_programs(two: &Two) -> (usize, usize) {
    let at = |provider: &Provider| provider.script().asked_by_programs.len();
    (at(two.corporate()), at(&two.partners))
}

#[tokio::test]
async fn a_programs_token_is_for_the_provider_that_it_names_alone() {
    for more in [
        ", machines: bearer",
        ", machines: bearer, machineTokens: {introspect: true}",
    ] {
        let two = Two::unfound(more).await;
        two.world.find_provider().await;
        let asks = more.contains("introspect");
        for (provider, kid) in [(two.corporate(), "key-1"), (&two.partners, "key-2")] {
            let mut claims = provider.access_claims();
            claims["active"] = json!(true);
            provider.script().introspection = claims;
            let before = asked_by_programs(&two);
            let token = provider.access_token(|_| ());
            let reply = call(&two, &format!("Bearer {token}")).await.expect(200);
            assert_eq!(
                reply.header("x-auth-issuer"),
                Some(&*provider.issuer),
                "{kid}"
            );
            let after = asked_by_programs(&two);
            let own = usize::from(asks);
            let expected = if kid == "key-1" {
                (before.0 + own, before.1)
            } else {
                (before.0, before.1 + own)
            };
            assert_eq!(after, expected, "{more} {kid}");
        }
        // One says that it is the other's: the one that it names knows nothing of it.
        let before = asked_by_programs(&two);
        two.corporate().script().introspection = json!({"active": false});
        let corporate = two.corporate().issuer.clone();
        let forged = two
            .partners
            .access_token(|claims| claims["iss"] = json!(corporate));
        call(&two, &format!("Bearer {forged}")).await.expect(401);
        assert_eq!(asked_by_programs(&two).1, before.1, "{more}");
        // A stranger's is shown to neither.
        let before = asked_by_programs(&two);
        let foreign = two.partners.access_token(|claims| {
            claims["iss"] = json!("https://id.example.net");
        });
        call(&two, &format!("Bearer {foreign}")).await.expect(401);
        assert_eq!(asked_by_programs(&two), before, "{more}");
    }
}

#[tokio::test]
async fn what_does_not_say_whose_it_is_is_shown_to_one_provider_only() {
    for (named, expected) in [("", (2, 0)), ("provider: partners, ", (0, 2))] {
        let two = Two::unfound(&format!(
            ", machines: [bearer, basic], machineTokens: {{{named}introspect: true}}"
        ))
        .await;
        two.world.find_provider().await;
        call(&two, "Bearer opaque").await.expect(401);
        call(&two, "Basic cm9ib3Q6d3Jvbmc=").await.expect(401);
        assert_eq!(asked_by_programs(&two), expected, "{named}");
        // It being away changes nothing.
        for provider in [two.corporate(), &two.partners] {
            provider.script().down = true;
        }
        call(&two, "Bearer opaque2").await.expect(503);
        for provider in [two.corporate(), &two.partners] {
            provider.script().down = false;
        }
        assert_eq!(asked_by_programs(&two), expected, "{named}");
    }
}
