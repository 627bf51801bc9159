//! Tests which sessions end, and which revocations are logged.

use gatepost_store::{EndRequest, Revocation, SessionRecord, SessionSelector};

use crate::*;

for_every_store!(
    sessions_end_by_id_subject_provider_session_and_altogether,
    an_ended_session_is_revoked_while_a_proxy_may_accept_its_cookie,
    an_unknown_session_is_revoked_on_request,
    a_delayed_request_spares_sessions_that_began_since,
    an_ending_that_was_half_done_is_finished_by_a_sweep,
    an_ending_that_was_half_done_long_ago_is_finished_too,
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
    let revocations = async |now| revocations(&*store, now).await;
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
    // No proxy knows the session at the provider, so the session here is named.
    let at_provider = Revocation::ProviderSession {
        issuer: "https://id.example.com".into(),
        session: "alice at work".into(),
        at: at(50),
        until: at(60),
    };
    assert_eq!(outcome.revocations, [at_provider, revoked(3, 90)]);
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
        assert_eq!(revocations(&*store, 50).await, expected);
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

/// Longer than any session of these tests is unused.
const NEVER_IDLE: u64 = 1_000_000;

/// Row B1: a process that is killed between the steps of an ending leaves what is in the log, and
/// still in the store.
async fn an_ending_that_was_half_done_is_finished_by_a_sweep(fixture: &Fixture) {
    let issuer = || "https://id.example.com".to_owned();
    let (at_50, until) = (at(50), at(90));
    for (case, revocation, remaining) in [
        ("id", revoked(1, 90), vec![2, 3]),
        (
            "subject",
            Revocation::Subject {
                issuer: issuer(),
                subject: "alice".into(),
                at: at_50,
                until,
            },
            vec![2, 3],
        ),
        (
            "provider session",
            Revocation::ProviderSession {
                issuer: issuer(),
                session: "alice at work".into(),
                at: at_50,
                until,
            },
            vec![2, 3],
        ),
        (
            "subject without provider session",
            Revocation::SubjectWithoutProviderSession {
                issuer: issuer(),
                subject: "bob".into(),
                at: at_50,
                until,
            },
            vec![1, 2],
        ),
        ("all", Revocation::All { at: at_50, until }, vec![2]),
        ("lost", Revocation::Lost { at: at_50, until }, vec![2]),
    ] {
        let store = fixture.store();
        // Session 1 began before the revocation, as did session 3, and session 2 since.
        let since = SessionRecord {
            created: at(51),
            ..record(2, "alice", 60)
        };
        let without = SessionRecord {
            provider_session: None,
            ..record(3, "bob", 60)
        };
        insert_all(&*store, [record(1, "alice", 60), since, without]).await;
        store.revoke(&[revocation]).await.expect("revoked");
        let left = store.sweep(at(61), NEVER_IDLE).await.expect("swept");
        let expected: Vec<SessionId> = remaining.iter().map(|number| id(*number)).collect();
        assert_eq!(ids(&*store).await, expected, "{case}");
        assert_eq!(left, remaining.len(), "{case}");
        // A cookie that was renewed since is refused by its name.
        let told = revocations(&*store, 61).await;
        for number in [1, 3]
            .into_iter()
            .filter(|number| !remaining.contains(number))
        {
            let is_named = told.contains(&revoked(number, 70)) || case == "id";
            assert!(is_named, "{case}: {told:?}");
        }
        // A sweep that has nothing to do changes nothing.
        let revision = store.revocation_revision().await.expect("revision");
        store.sweep(at(62), NEVER_IDLE).await.expect("swept");
        let later = store.revocation_revision().await.expect("revision");
        assert_eq!(revision, later, "{case}");
        assert_eq!(ids(&*store).await, expected, "{case}");
    }
}

/// Row B1: nothing ran until the revocation had expired.
async fn an_ending_that_was_half_done_long_ago_is_finished_too(fixture: &Fixture) {
    for revocation in [
        revoked(1, 90),
        Revocation::All {
            at: at(50),
            until: at(90),
        },
    ] {
        let store = fixture.store();
        insert_all(&*store, [record(1, "alice", 20)]).await;
        let told = store.revoke(std::slice::from_ref(&revocation));
        told.await.expect("revoked");
        let late = revocation.expires().plus_seconds(1);
        store.sweep(late, NEVER_IDLE).await.expect("swept");
        assert_eq!(ids(&*store).await, [], "{revocation:?}");
        assert_eq!(revocations(&*store, 0).await, [], "{revocation:?}");
    }
}
