//! Endings that are half done, that come while a session is renewed, and that are asked for again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gatepost::admin::{self, AdminRequest, AdminResponse};
use gatepost_base::SealingKeys;
use gatepost_session::revoked::{HEADER_BYTES, Header, InvalidList, is_revoked};
use gatepost_session::{Claims, KeyRing, NumericDate, Purpose, SessionId};
use gatepost_store::{Revocation, SessionSelector};
use serde_json::{Value, json};

use crate::backchannel_logout::{claims, header, log_out, with};
use crate::browser::{Browser, session_value};
use crate::world::{self, AT_ONCE, KEY_A, World, until};

const APP: &str = "https://app.example.com/";
const START: &str = "https://app.example.com/akprox/start";
const SIGN_OUT: &str = "https://app.example.com/akprox/sign_out";
const SESSION: &str = "https://app.example.com/akprox/session";

fn now() -> NumericDate {
    NumericDate::from_seconds(world::now())
}

/// Returns the claims of a browser's cookie.
fn claims_of(browser: &Browser<'_>) -> Claims {
    use base64::Engine as _;
    let line = browser.cookie_line(&APP.parse().expect("a URL"));
    let claims = session_value(&line).split('.').nth(1);
    let claims = claims.expect("a session");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    serde_json::from_slice(&claims.expect("base64url")).expect("claims")
}

/// Returns whether a plugin that has only the file would refuse the cookie with these claims.
fn plugins_refuse(world: &World, claims: &Claims) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let revocations = world.outpost.sessions.revoker().revocations();
    let written = revocations.write_if_changed(&path, gatepost_base::files::Readable::ByAll);
    assert!(written.expect("written"));
    let file = std::fs::read(&path).expect("the file");
    let header = Header::parse(&file[..HEADER_BYTES]).expect("a header");
    let read = |offset: u64, length: usize| -> Result<Vec<u8>, InvalidList> {
        let start = usize::try_from(offset).expect("small");
        Ok(file[start..file.len().min(start + length)].to_vec())
    };
    is_revoked(claims, header, read).expect("a list")
}

/// Makes the store lose every session, as a memory store does at a restart.
async fn forget_all(world: &World) {
    let later = now().plus_seconds(1_000_000);
    let times = world.outpost.snapshot().times;
    let left = world.outpost.store.sweep(later, times.idle).await;
    assert_eq!(left.expect("swept"), 0);
}

/// Row B1: the cookie itself says that there is a session.
#[tokio::test]
async fn signing_out_of_a_session_that_the_store_has_lost_revokes_it() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let cookie = claims_of(&browser);
    forget_all(&world).await;
    assert!(!plugins_refuse(&world, &cookie));
    browser.clone().load(SIGN_OUT).await.expect(302);
    assert!(plugins_refuse(&world, &cookie));
    // Asked for again and again, it is one entry.
    browser.load(SIGN_OUT).await;
    assert_eq!(world.outpost.sessions.revoker().revocations().len(), 1);
}

/// Row B1: without a response it is unknown whether the store has ended the session.
#[tokio::test]
async fn a_sign_out_whose_answer_is_lost_ends_the_session_and_can_be_asked_for_again() {
    for (case, goes_away) in [("before", true), ("after", false)] {
        let world = World::new().await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        let cookie = claims_of(&browser);
        let failing = if goes_away {
            &world.store.keeps_all
        } else {
            &world.store.loses_answers
        };
        failing.store(true, Ordering::Relaxed);
        browser.clone().load(SIGN_OUT).await.expect(503);
        assert!(plugins_refuse(&world, &cookie), "{case}");
        browser.clone().fetch(SESSION).await.expect(401);
        failing.store(false, Ordering::Relaxed);
        browser.clone().load(SIGN_OUT).await.expect(302);
        assert!(plugins_refuse(&world, &cookie), "{case}");
        let listed = world.outpost.store.list(10).await.expect("listed");
        assert_eq!(listed, [], "{case}");
        // For every replica, not only for this one.
        let revocations = world.outpost.store.revocations(now()).await;
        assert_ne!(revocations.expect("asked"), [], "{case}");
    }
}

/// Row B1: a logout token that names a session at the provider, whose first answer was lost.
#[tokio::test]
async fn a_repeated_logout_token_repairs_what_was_half_done() {
    let world = World::new().await;
    world.provider.script().claims = Box::new(|claims| claims["sid"] = json!("at-work"));
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let cookie = claims_of(&browser);
    let token = with(
        &with(&claims(&world, "1"), "sub", Value::Null),
        "sid",
        json!("at-work"),
    );
    world.store.loses_answers.store(true, Ordering::Relaxed);
    log_out(&world, &header(), &token).await.expect(503);
    world.store.loses_answers.store(false, Ordering::Relaxed);
    log_out(&world, &header(), &token).await.expect(200);
    let logged = world.outpost.store.revocations(now()).await.expect("asked");
    world.outpost.sessions.revoker().revocations().add(logged);
    assert!(plugins_refuse(&world, &cookie));
}

/// Row B1: an operator who asks again has the end written, whatever is left of the session.
#[tokio::test]
async fn a_repeated_revocation_by_an_operator_repairs_what_was_half_done() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let cookie = claims_of(&browser);
    forget_all(&world).await;
    let ring = KeyRing::from_entries([KEY_A]).expect("a ring");
    let keys = SealingKeys::new(&ring, Purpose::Operator);
    let id = cookie.sid.expose().to_owned();
    let question = admin::seal_request(&keys, now(), &AdminRequest::RevokeSession { id });
    let question = question.expect("sealed");
    let answer = admin::answer(&world.outpost, &question);
    let answer = admin::open_response(&keys, &answer.await.expect("answered"));
    assert_eq!(answer, Some(AdminResponse::Ended(0)));
    assert!(plugins_refuse(&world, &cookie));
}

/// Row B2: for every way in which a cookie is renewed.
#[tokio::test]
async fn a_renewal_that_waits_for_the_provider_makes_no_cookie_of_a_session_that_ends_meanwhile() {
    for (case, behind_proxy, elapsed) in [
        ("start, in the window", false, 700),
        ("start, after it", false, 1_000),
        ("forward auth, in the window", true, 700),
        ("forward auth, after it", true, 1_000),
    ] {
        let world = World::new().await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        let cookie = claims_of(&browser);
        world.wait(elapsed);
        let gate = world.provider.hold_exchanges();
        let mut renewing = browser.clone();
        let line = browser.cookie_line(&APP.parse().expect("a URL"));
        let asked = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.com"),
            ("X-Forwarded-Uri", "/x"),
            ("Cookie", line.as_str()),
        ];
        let renewal = async {
            if behind_proxy {
                world.ask("auth/traefik", &asked).await
            } else {
                renewing.load(START).await
            }
        };
        let sign_out = async {
            gate.reached().await;
            browser.clone().load(SIGN_OUT).await.expect(302);
            gate.open();
        };
        let (renewed, ()) = tokio::join!(renewal, sign_out);
        assert!(!renewed.sets_session(), "{case}: {renewed:?}");
        let refused = renewed.status.as_u16() == 401
            || renewed.location().starts_with(&world.provider.issuer);
        assert!(refused, "{case}: {renewed:?}");
        // A cookie whose window has ended is refused for that.
        let in_window = elapsed < 900;
        assert!(!in_window || plugins_refuse(&world, &cookie), "{case}");
        let listed = world.outpost.store.list(10).await.expect("listed");
        assert_eq!(listed, [], "{case}");
    }
}

/// Row B4: a replica that died with the right to renew does not delay users whose window is in
/// force.
#[tokio::test]
async fn whose_window_is_in_force_does_not_wait_for_another_replica() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.store.locked_elsewhere.store(true, Ordering::Relaxed);
    world.wait(700);
    let line = browser.cookie_line(&APP.parse().expect("a URL"));
    let asked = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example.com"),
        ("X-Forwarded-Uri", "/x"),
        ("Cookie", line.as_str()),
    ];
    let begun = Instant::now();
    let mut pages: Vec<Browser<'_>> = (0..4).map(|_| browser.clone()).collect();
    let pages = pages.iter_mut().map(|page| page.load(START));
    let proxied = (0..4).map(|_| world.ask("auth/traefik", &asked));
    let (pages, proxied) = tokio::join!(
        futures_util::future::join_all(pages),
        futures_util::future::join_all(proxied),
    );
    let waited = begun.elapsed();
    assert!(waited < AT_ONCE, "{waited:?}");
    for page in pages {
        assert_eq!(page.expect(302).location(), APP, "back where it came from");
    }
    for reply in proxied {
        reply.expect(200);
    }
    // A user whose window has ended waits, and all of that user's requests for the same renewal.
    world.wait(300);
    let mut after = browser.clone();
    let done = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.store.locked_elsewhere.store(false, Ordering::Relaxed);
    };
    let (reply, ()) = tokio::join!(after.load(START), done);
    assert!(reply.expect(302).sets_session());
    assert_eq!(world.provider.script().refreshes, 1);
}

/// Row B1: ending an unknown session id ends no other session.
#[tokio::test]
async fn an_unknown_session_id_ends_no_other_session() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let other = SessionSelector::Id(SessionId::from_random([7; 24]));
    let times = world.outpost.snapshot().times;
    let ended = world
        .outpost
        .sessions
        .revoker()
        .revoke(&other, &times)
        .await;
    assert_eq!(ended.expect("ended"), 0);
    browser.fetch(SESSION).await.expect(200);
}

/// Row B1: a process that was killed after it had written that a session is over, and before it had
/// removed the session.
#[tokio::test]
async fn a_session_whose_ending_was_half_done_is_over_when_its_revocation_is_forgotten() {
    for case in ["session", "everyone"] {
        let world = World::new().await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        let cookie = claims_of(&browser);
        let until = cookie.exp;
        let revocation = if case == "session" {
            let id = cookie.sid.expose().to_owned();
            Revocation::Session { id, until }
        } else {
            Revocation::All { at: now(), until }
        };
        let told = world.outpost.store.revoke(&[revocation]).await;
        told.expect("revoked");
        world.outpost.start();
        world.until_no_session_is_left(case).await;
        world.wait(900 + 62);
        let reply = browser.load(START).await.expect(302);
        let location = reply.location();
        assert!(location.starts_with(&world.provider.issuer), "{case}");
    }
}

/// Row B1: what one replica knows to be revoked, it tells a store that has forgotten it.
#[tokio::test]
async fn a_store_that_forgot_its_log_learns_it_again() {
    let world = World::new().await;
    let revoker = world.outpost.sessions.revoker();
    let subject = SessionSelector::Subject {
        issuer: world.provider.issuer.clone(),
        subject: "alice-id".into(),
    };
    let times = world.outpost.snapshot().times;
    revoker.revoke(&subject, &times).await.expect("ended");
    let before = world.outpost.store.revocations(now()).await.expect("told");
    assert_ne!(before, []);
    world.store.forget();
    let after = world.outpost.store.revocations(now()).await.expect("told");
    assert_eq!(after, []);
    world.outpost.start();
    let store = &world.outpost.store;
    until("the store to have the revocations", async || {
        store.revocations(now()).await.expect("told") == before
    })
    .await;
}

/// Row B1: a request that fails each time it is tried again keeps neither the others nor what other
/// replicas say from being known here.
#[tokio::test]
async fn a_request_that_cannot_be_made_up_for_stops_nothing_else() {
    let world = World::new().await;
    let revoker = world.outpost.sessions.revoker();
    let times = world.outpost.snapshot().times;
    world.store.keeps_all.store(true, Ordering::Relaxed);
    let failed = revoker.revoke(&SessionSelector::All, &times).await;
    failed.expect_err("the store keeps all");
    world.outpost.start();
    let of_another = Revocation::Session {
        id: SessionId::from_random([7; 24]).expose().to_owned(),
        until: now().plus_seconds(900),
    };
    let told = world
        .outpost
        .store
        .revoke(std::slice::from_ref(&of_another));
    told.await.expect("revoked");
    until("the revocation of another replica", async || {
        revoker.revocations().contains(&of_another)
    })
    .await;
}
