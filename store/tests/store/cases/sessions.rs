//! Inserting, finding, changing and sweeping sessions.

use gatepost_base::{Device, DeviceKey, Secret};
use gatepost_store::{SessionRecord, SessionSelector};

use crate::*;

for_every_store!(
    a_session_is_found_until_it_ends,
    a_full_store_ends_the_session_that_was_unused_for_longest,
    a_sweep_removes_idle_and_ended_sessions,
    a_late_renewal_does_not_replace_a_later_one,
    a_session_is_bound_to_its_first_device_for_good,
    a_store_accepts_writes,
);

async fn a_session_is_found_until_it_ends(fixture: &Fixture) {
    let store = fixture.store();
    store
        .insert(record(1, "alice", 10))
        .await
        .expect("inserted");
    let found = store.find(&id(1)).await.expect("found");
    assert_eq!(found.as_deref(), Some(&record(1, "alice", 10)));
    assert_eq!(store.find(&id(2)).await.expect("found"), None);

    let touch = async |now, until| store.touch(&id(1), at(now), at(until)).await;
    for (now, until) in [(20, 30), (15, 25)] {
        let touched = touch(now, until).await.expect("touched");
        let touched = touched.expect("a session");
        assert_eq!(touched.last_seen, at(20), "no time moves back");
        assert_eq!(touched.window_ends, at(30));
        assert_eq!(touched.refresh_token, record(1, "alice", 10).refresh_token);
    }
    let renewed = SessionRecord {
        refresh_token: Some(Secret::new("next".into())),
        ..record(1, "alice", 10)
    };
    assert!(store.update(renewed).await.expect("updated"));
    let found = store.find(&id(1)).await.expect("found").expect("a session");
    assert_eq!(found.last_seen, at(20), "no time moves back");
    assert_eq!(found.window_ends, at(30));
    assert_eq!(found.refresh_token, Some(Secret::new("next".into())));

    let one = end_request(SessionSelector::Id(id(1)));
    for count in [1, 0] {
        let outcome = store.end(&one).await.expect("ended");
        assert_eq!(outcome.ended.len(), count);
    }
    // Row B2: no cookie may be issued for it.
    assert_eq!(touch(40, 50).await.expect("touched"), None);
    let late = store.update(record(1, "alice", 40)).await;
    assert!(!late.expect("updated"), "an ended session does not return");
    assert_eq!(store.find(&id(1)).await.expect("found"), None);
}

async fn a_full_store_ends_the_session_that_was_unused_for_longest(fixture: &Fixture) {
    let store = fixture.store();
    let sessions = [(1, 30), (2, 10), (3, 20), (4, 40)];
    let sessions = sessions.map(|(number, seen)| record(number, "alice", seen));
    insert_all(&*store, sessions).await;
    assert_eq!(ids(&*store).await, [id(1), id(3), id(4)]);
}

async fn a_sweep_removes_idle_and_ended_sessions(fixture: &Fixture) {
    let store = fixture.store();
    insert_all(&*store, [record(1, "alice", 10), record(2, "bob", 50)]).await;
    let sweep = async |now| store.sweep(at(now), IDLE).await.expect("swept");
    assert_eq!(sweep(109).await, 2);
    assert_eq!(sweep(110).await, 1);
    let touched = store.touch(&id(2), at(149), at(160)).await;
    assert!(touched.expect("touched").is_some());
    assert_eq!(sweep(248).await, 1);
    assert_eq!(sweep(LIFETIME).await, 0);
    let outcome = store.end(&end_request(subject("bob"))).await;
    assert_eq!(outcome.expect("ended").ended, []);
}

/// Row B2: a replica that could not save what the provider said does so later, when another may have
/// asked the provider again.
async fn a_late_renewal_does_not_replace_a_later_one(fixture: &Fixture) {
    let store = fixture.store();
    store
        .insert(record(1, "alice", 10))
        .await
        .expect("inserted");
    for (validated, token, kept) in [
        (20, "second", "second"),
        (15, "late", "second"),
        (20, "of the same second", "of the same second"),
        (30, "third", "third"),
    ] {
        let renewed = SessionRecord {
            refresh_token: Some(Secret::new(token.into())),
            last_validated: at(validated),
            ..record(1, "alice", 10)
        };
        assert!(store.update(renewed).await.expect("updated"), "{token}");
        let found = store.find(&id(1)).await.expect("found").expect("a session");
        assert_eq!(found.refresh_token, Some(Secret::new(kept.into())));
    }
}

async fn a_session_is_bound_to_its_first_device_for_good(fixture: &Fixture) {
    let store = fixture.store();
    let device = |x: &str, bound| Device {
        key: DeviceKey::Es256 {
            x: x.to_owned(),
            y: "y".to_owned(),
        },
        bound,
    };
    let write = async |device| store.write_device(&id(1), &device).await.expect("written");
    assert!(!write(device("first", false)).await, "there is no session");
    let before = record(1, "alice", 10);
    store.insert(before.clone()).await.expect("inserted");
    let stored = async || {
        let found = store.find(&id(1)).await.expect("found").expect("a session");
        found.device.clone()
    };

    assert!(write(device("first", false)).await);
    assert_eq!(stored().await, Some(device("first", false)));
    assert!(!write(device("second", true)).await);
    assert_eq!(stored().await, Some(device("first", false)));
    // What was read before it was registered, and is saved since.
    assert!(store.update(before.clone()).await.expect("updated"));
    assert_eq!(stored().await, Some(device("first", false)));
    assert!(write(device("first", true)).await);
    assert_eq!(stored().await, Some(device("first", true)));
    assert!(write(device("first", false)).await);
    assert_eq!(stored().await, Some(device("first", true)));

    // What was read before it was bound, and is saved since.
    let late = [None, Some(device("first", false))];
    for (validated, late) in (20..).zip(late) {
        let renewed = SessionRecord {
            last_validated: at(validated),
            device: late,
            ..before.clone()
        };
        assert!(store.update(renewed).await.expect("updated"));
        let found = store.find(&id(1)).await.expect("found").expect("a session");
        assert_eq!(found.device, Some(device("first", true)));
        assert_eq!(found.last_validated, at(validated));
    }
    let one = end_request(SessionSelector::Id(id(1)));
    assert_eq!(store.end(&one).await.expect("ended").ended.len(), 1);
    assert!(!write(device("first", true)).await, "it does not return");
}

async fn a_store_accepts_writes(fixture: &Fixture) {
    let store = fixture.store();
    store.check_writable(at(10)).await.expect("writable");
    store.check_writable(at(20)).await.expect("writable");
    assert_eq!(store.advice().await.expect("advice"), None);
    assert!(store.is_available());
}
