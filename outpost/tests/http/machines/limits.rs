//! Who pays for invalid credentials of machine clients.

use super::*;

#[tokio::test]
async fn guesses_do_not_reach_the_provider_for_long() {
    let world = world("machines: basic").await;
    for n in 0..10 {
        call(&world, &basic("robot", &format!("guess {n}")))
            .await
            .expect(401);
    }
    let asked = asked_by_programs(&world);
    // A password that was refused before is not checked again, whichever client sends it.
    call(&world, &basic("robot", "guess 3")).await.expect(401);
    let reply = call(&world, &basic("robot", "guess 10")).await.expect(429);
    assert!(reply.header("retry-after").is_some());
    let nginx = Asked::fetch(API, "/").with("Authorization", &basic("robot", "guess 11"));
    nginx.ask(&world, "auth/nginx").await.expect(401);
    assert_eq!(asked_by_programs(&world), asked);
    call(&world, &basic("another", "guess")).await.expect(401);
    assert_eq!(asked_by_programs(&world), asked + 1);
}

/// Sends credentials as a client at an address does, through a proxy that says so.
async fn call_from(world: &World, client: &str, credentials: &str) -> Reply {
    let asked = Asked::fetch(API, "/v1").with("Authorization", credentials);
    let asked = asked.with("X-Forwarded-For", client);
    asked.ask(world, "auth/traefik").await
}

/// Row C: invalid credentials count against the client that sends them, and no other.
#[tokio::test]
async fn a_client_that_guesses_is_refused_and_no_other_is() {
    let world = world("machines: basic").await;
    let owner = basic("robot", "r0b:t&pass");
    // Everyone tries the owner's name, one client many others.
    for (client, name) in [("192.0.2.1", "robot"), ("192.0.2.2", "")] {
        let mut refused = 0;
        while refused < 100 {
            let name = match name {
                "" => format!("name-{refused}"),
                name => name.to_owned(),
            };
            let guess = basic(&name, &format!("guess {refused}"));
            let reply = call_from(&world, client, &guess).await;
            if reply.status == StatusCode::TOO_MANY_REQUESTS {
                let seconds = reply.header("retry-after").map(str::parse::<u64>);
                assert!(matches!(seconds, Some(Ok(1..=61))), "{reply:#?}");
                break;
            }
            reply.expect(401);
            refused += 1;
        }
        assert!((10..=30).contains(&refused), "{client}: {refused}");
    }
    for number in 0..100 {
        let client = format!("198.51.100.{number}");
        let guess = basic("robot", &format!("another guess {number}"));
        call_from(&world, &client, &guess).await.expect(401);
    }
    let asked = asked_by_programs(&world);
    call_from(&world, "192.0.2.2", &owner).await.expect(429);
    assert_eq!(asked_by_programs(&world), asked, "not even asked about");
    call_from(&world, "192.0.2.9", &owner).await.expect(200);
    // What held once does so again, wherever it comes from.
    world.wait(301);
    call_from(&world, "192.0.2.2", &owner).await.expect(200);
}

/// Row C: a token that a provider is asked about is a guess as well.
#[tokio::test]
async fn made_up_tokens_do_not_reach_the_provider_for_long() {
    let world = world("machines: bearer, machineTokens: {introspect: true}").await;
    world.provider.script().introspection = json!({"active": false});
    for number in 0..30 {
        let token = format!("Bearer made-up-{number}");
        call_from(&world, "192.0.2.1", &token).await.expect(401);
    }
    let asked = asked_by_programs(&world);
    let token = "Bearer made-up-30";
    call_from(&world, "192.0.2.1", token).await.expect(429);
    assert_eq!(asked_by_programs(&world), asked);
    call_from(&world, "192.0.2.2", token).await.expect(401);
}

/// A signature that is verified here costs the outpost work, and its sender nothing.
#[tokio::test]
async fn forged_tokens_are_not_verified_for_long_and_expired_ones_do_not_count() {
    let world = world("machines: bearer").await;
    let token = world.provider.access_token(|_| ());
    let (signed, _) = token.rsplit_once('.').expect("a signature");
    let forged = |n: u64| {
        let signature = format!("{:064}{n:020}", 0);
        format!("Bearer {signed}.{signature}")
    };
    let expired = |n: u64| {
        let token = world.provider.access_token(move |claims| {
            claims["exp"] = json!(1_000_000 + n);
        });
        format!("Bearer {token}")
    };
    let good = format!("Bearer {token}");
    for n in 0..40 {
        let credentials = expired(n);
        call_from(&world, "192.0.2.1", &credentials)
            .await
            .expect(401);
    }
    for n in 0..30 {
        call_from(&world, "192.0.2.1", &forged(n)).await.expect(401);
    }
    call_from(&world, "192.0.2.1", &forged(30))
        .await
        .expect(429);
    // Another client goes on, and so does the same one with a token that was valid before.
    call_from(&world, "192.0.2.2", &good).await.expect(200);
    call_from(&world, "192.0.2.1", &good).await.expect(200);
}

/// Row C: what a reload puts in place knows what held before it.
#[tokio::test]
async fn a_reload_forgets_no_attempt_and_no_credentials_that_held() {
    let world = world("machines: basic").await;
    let owner = basic("robot", "r0b:t&pass");
    call(&world, &owner).await.expect(200);
    let reload = |settings: &str| {
        let yaml = configuration(&world.provider, KEY_A, &applications(settings));
        let config = Config::parse(&yaml, []).expect("a configuration");
        world.outpost.reconfigure(&config).expect("redeployed");
    };
    // What changes nothing asks nothing again.
    reload("machines: basic");
    call(&world, &owner).await.expect(200);
    assert_eq!(asked_by_programs(&world), 1);
    for number in 0..10 {
        let guess = basic("robot", &format!("guess {number}"));
        call(&world, &guess).await.expect(401);
    }
    reload("machines: basic, machineTokens: {cache: 1m}");
    call(&world, &basic("robot", "guess")).await.expect(429);
    call(&world, &owner).await.expect(200);
}
