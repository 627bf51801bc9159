//! A store that goes away in the middle of a registration or of a renewal, after any of its answers.

use super::*;

/// More than the requests to the store of a registration or a renewal.
const MOST: u32 = 30;

/// Sends a request while the store answers so many times and then no more. Returns the answer, and
/// whether the store was there throughout.
async fn while_it_answers(
    world: &World,
    times: u32,
    send: impl AsyncFnOnce() -> Reply,
) -> (Reply, bool) {
    let answers = &world.store.answers;
    *answers.lock().expect("a number") = Some(times);
    let reply = send().await;
    let left = answers.lock().expect("a number").take();
    (reply, left != Some(0))
}

#[tokio::test]
async fn a_registration_goes_on_after_each_step_of_the_store() {
    for times in 0..MOST {
        let world = World::with(PREFER).await;
        let mut browser = world.browser();
        let reply = browser.sign_in(START).await.expect(302);
        let challenge = registration_challenge(&reply);
        let (key, thief) = (DeviceKey::new(), DeviceKey::new());
        let proof = key.registration(&challenge);
        let send = async || register(&mut browser.clone(), &proof).await;
        let (reply, was_there) = while_it_answers(&world, times, send).await;
        if was_there {
            reply.expect(200);
            return;
        }
        if reply.status != StatusCode::OK {
            // 4xx would have the browser give up.
            assert!(reply.status.is_server_error(), "{times}: {reply:?}");
            let reply = register(&mut browser, &proof).await.expect(200);
            assert!(!reply.sets_session(), "{times}");
        }
        // However far the first attempt came, the key is the browser's.
        let proof = thief.registration(&challenge);
        register(&mut browser, &proof).await.expect(403);
    }
    panic!("a registration asks the store {MOST} times");
}

#[tokio::test]
async fn a_first_proof_goes_on_after_each_step_of_the_store_and_helps_no_copy() {
    // Without and with a question to the provider, whose answer is written too.
    for minutes in [0, 11] {
        for times in 0.. {
            assert!(times < MOST, "a renewal asks the store {MOST} times");
            let case = format!("after {minutes} minutes, {times} answers");
            let world = World::with(PREFER).await;
            let mut bound = Bound::register(&world).await;
            let mut copy = bound.browser.clone();
            world.wait(minutes * MINUTE);
            let challenge = bound.challenge().await;
            let proof = bound.key.proof(&challenge);
            let id = bound.id.clone();
            let send = async || refresh(&mut bound.browser, &id, Some(&proof)).await;
            let (reply, was_there) = while_it_answers(&world, times, send).await;
            if reply.status != StatusCode::OK {
                assert!(reply.status.is_server_error(), "{case}: {reply:?}");
                assert!(!reply.sets_session(), "{case}: {reply:?}");
                // The browser's next attempt, with a challenge of its own.
                let reply = bound.refresh().await.expect(200);
                assert!(reply.sets_session(), "{case}: {reply:?}");
            }
            world.wait(12 * MINUTE);
            let reply = copy.load(START).await;
            assert!(!reply.sets_session(), "{case}: {reply:?}");
            for asked in [Asked::load(HOST, "/x"), Asked::fetch(HOST, "/x")] {
                let reply = asked.by(&copy).ask(&world, "auth/traefik").await;
                assert!(!reply.sets_session(), "{case}: {reply:?}");
            }
            assert!(bound.refresh().await.expect(200).sets_session(), "{case}");
            if was_there {
                break;
            }
        }
    }
}

/// The browser asks the provider for a session that is not bound, and binds it meanwhile.
#[tokio::test]
async fn a_silent_renewal_takes_no_place_of_a_session_that_was_bound_meanwhile() {
    let world = World::with(PREFER).await;
    world.provider.issue_no_refresh_tokens();
    let mut bound = Bound::register(&world).await;
    world.wait(11 * MINUTE);
    let silent = bound.browser.load(START).await.expect(302);
    let sent = crate::browser::query(silent.location());
    assert_eq!(sent["prompt"], "none");
    let late = world.provider.authorize(silent.location());
    bound.refresh().await.expect(200);
    let reply = bound.browser.load(late.as_str()).await.expect(302);
    assert!(!reply.sets_session(), "{reply:?}");
    let view = bound.browser.fetch(SESSION).await.expect(200).json();
    assert_eq!(view["deviceBound"], true, "{view}");
    bound.refresh().await.expect(200);
}
