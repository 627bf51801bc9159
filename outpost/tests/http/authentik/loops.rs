//! Replicas without a common store.

use super::*;

/// The browser has a good session, and comes again and again: another replica does not have it.
#[tokio::test]
async fn a_loop_between_replicas_ends_on_a_page_that_names_the_memory_store() {
    let world = world(json!({})).await;
    let mut alice = signed_in(&world, APP).await;
    let start = format!("https://{APP}/outpost.goauthentik.io/start?rd=/x");
    for _ in 0..15 {
        let reply = alice.load(&start).await;
        if reply.status != 302 {
            let body = reply.expect(400).body;
            assert!(body.contains("memory store"), "{body}");
            return;
        }
    }
    panic!("browsers give up after some 20 redirects");
}
