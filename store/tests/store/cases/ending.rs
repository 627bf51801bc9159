//! Tests which sessions end, and which revocations are logged.

use gatepost_store::{EndRequest, SessionRecord, SessionSelector};

use crate::*;

for_every_store!(
    sessions_end_by_id_subject_provider_session_and_altogether,
    an_ended_session_is_revoked_while_a_proxy_may_accept_its_cookie,
    an_unknown_session_is_revoked_on_request,
    a_delayed_request_spares_sessions_that_began_since,
);

async fn sessions_end_by_id_subject_provider_session_and_altogether(fixture: &Fixture) {
    for (case, selector, remaining) in [
        ("id", SessionSelector::Id(id(1)), vec![2, 3]),
        ("subject", subject("alice"), vec![3]),
        ("unknown subject", subject("carol"), vec![1, 2, 3]),
        (
            "provider session",
            provider_session("bob at work"),
            vec![1, 2],
        ),
        (
            "subject without provider session",
            without_provider_session("alice"),
            vec![2, 3],
        ),
        (
            "subject with one",
            without_provider_session("bob"),
            vec![1, 2, 3],
        ),
        ("all", SessionSelector::All, vec![]),
    ] {
        let store = fixture.store();
        let sessions = [(1, "alice"), (2, "alice"), (3, "bob")];
        let sessions = sessions.map(|(number, user)| record(number, user, 10));
        let sessions = sessions.map(|mut record| {
            record.provider_session.take_if(|_| record.id == id(1));
            record
        });
        insert_all(&*store, sessions).await;
        let outcome = store.end(&end_request(selector)).await.expect("ended");
        let expected: Vec<SessionId> = remaining.iter().map(|number| id(*number)).collect();
        assert_eq!(outcome.ended.len(), 3 - remaining.len(), "{case}");
        assert_eq!(ids(&*store).await, expected, "{case}");
    }
}

/// Checks row B1: the revocation of a removed session is logged in the same step.
async fn an_ended_session_is_revoked_while_a_proxy_may_accept_its_cookie(fixture: &Fixture) {
    let store = fixture.store();
    let revocations = async |now| store.revocations(at(now)).await.expect("revocations");
    // Their windows end at 80, 40 and 90.
    let sessions = [(1, 70), (2, 30), (3, 80)];
    let sessions = sessions.map(|(number, seen)| record(number, "alice", seen));
    insert_all(&*store, sessions).await;
    let revision = store.revocation_revision().await.expect("revision");
    // A full store ends session 2, whose window is over, and then session 1, whose window is not.
    store.insert(record(4, "bob", 75)).await.expect("inserted");
    assert_eq!(revocations(75).await, []);
    store.insert(record(5, "bob", 76)).await.expect("inserted");
    assert_eq!(revocations(76).await, [revoked(1, 80)]);
    let later = store.revocation_revision().await.expect("revision");
    assert_ne!(revision, later);

    let request = end_request(provider_session("alice at work"));
    let outcome = store.end(&request).await.expect("ended");
    assert_eq!(outcome.revocations, [revoked(3, 90)]);
    let all = revocations(76).await;
    assert!(all.contains(&revoked(3, 90)), "{all:?}");
}

/// Checks row B1: the store may have lost the session of a cookie.
async fn an_unknown_session_is_revoked_on_request(fixture: &Fixture) {
    let store = fixture.store();
    let one = |until: Option<u64>| EndRequest {
        unknown_until: until.map(at),
        ..end_request(SessionSelector::Id(id(1)))
    };
    for (until, expected) in [(None, vec![]), (Some(70), vec![revoked(1, 70)])] {
        let outcome = store.end(&one(until)).await.expect("ended");
        assert_eq!(outcome.ended, []);
        assert_eq!(outcome.revocations, expected);
        let all = store.revocations(at(50)).await.expect("revocations");
        assert_eq!(all, expected);
    }
    // For a session that the store knows, its own window counts.
    store
        .insert(record(1, "alice", 60))
        .await
        .expect("inserted");
    let outcome = store.end(&one(Some(99))).await.expect("ended");
    assert_eq!(outcome.revocations, [revoked(1, 70)]);
}

/// Checks a store that was away and gets the request late: it does not end sessions that began
/// since.
async fn a_delayed_request_spares_sessions_that_began_since(fixture: &Fixture) {
    for selector in [
        subject("alice"),
        provider_session("alice at work"),
        SessionSelector::All,
    ] {
        let store = fixture.store();
        let since = SessionRecord {
            created: at(52),
            ..record(2, "alice", 52)
        };
        insert_all(&*store, [record(1, "alice", 49), since]).await;
        let delayed = EndRequest {
            delayed: true,
            ..end_request(selector.clone())
        };
        let outcome = store.end(&delayed).await.expect("ended");
        assert_eq!(outcome.ended.len(), 1, "{selector:?}");
        assert_eq!(ids(&*store).await, [id(2)], "{selector:?}");
    }
}
