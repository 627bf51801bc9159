//! What the page about bound sessions says of their limits.

use super::*;

/// What a copy can do after its window, and all that it can.
#[tokio::test]
async fn a_copy_whose_window_has_ended_signs_out_and_does_nothing_else() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let mut copy = bound.browser.clone();
    world.wait(10 * MINUTE);
    bound.refresh().await.expect(200);
    world.wait(6 * MINUTE);
    copy.fetch(SESSION).await.expect(401);
    let beside = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Dest", "empty"),
    ];
    let reply = copy
        .request(Method::GET, &format!("{SESSION}?renew"), &beside)
        .await;
    assert!(!reply.sets_session(), "{reply:?}");
    let id = bound.id.clone();
    refresh(&mut copy, &id, None).await.expect(403);
    assert!(bound.refresh().await.expect(200).sets_session());

    copy.load(SIGN_OUT).await;
    assert!(ends(&refresh(&mut bound.browser, &id, None).await));
}

/// An operator turns it off again, and bound sessions are worth nothing more to a thief.
#[tokio::test]
async fn turned_off_again_a_bound_session_stays_bound() {
    let world = World::with(PREFER).await;
    let bound = Bound::sign_in(&world).await;
    let off = world.replica_with("session: {deviceBound: off}").await;
    let Bound { browser, key, id } = bound;
    let mut copy = browser.clone().at(&off);
    let mut bound = Bound {
        browser: browser.at(&off),
        key,
        id,
    };
    world.wait(14 * MINUTE + 45);
    let reply = copy.load(START).await;
    assert!(leads_to_provider(&off, &reply), "{reply:?}");
    assert!(!reply.sets_session());
    assert!(bound.refresh().await.expect(200).sets_session());
}

/// Browsers ask the site itself who may bind its sessions. No other host speaks for it.
#[tokio::test]
async fn the_sites_own_host_alone_says_which_origins_bind_its_sessions() {
    const ASKED: &str = "/.well-known/device-bound-sessions";
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    let reply = browser.fetch(&format!("https://example.org{ASKED}")).await;
    let expected = json!({"registering_origins": ["https://auth.example.org"]});
    assert_eq!(reply.expect(200).json(), expected);
    for host in [
        "auth.example.org",
        "wiki.example.org",
        "example.org.evil.example",
        "app.example.com",
        "example.com",
        "evil.example",
    ] {
        let reply = browser.fetch(&format!("https://{host}{ASKED}")).await;
        assert!(!reply.status.is_success(), "{host}: {reply:?}");
    }
    // The browsers of sessions from before may still ask.
    let off = world.replica_with("session: {deviceBound: off}").await;
    let mut browser = off.browser();
    let reply = browser.fetch(&format!("https://example.org{ASKED}")).await;
    assert_eq!(reply.expect(200).json(), expected);
}
