//! What a store in Redis adds.

use gatepost_store::{
    ApiKeyStore as _, RedisStore, RedisTls, Revocation, RevocationLog as _, SessionSelector,
    SessionStore as _, Store as _, UsedOnce as _,
};

use crate::cases::api_keys;
use crate::redis_server::RedisServer;
use crate::*;

/// Returns a store on this server of a process whose clock stands at this second.
fn open(server: &RedisServer, now: u64) -> RedisStore {
    let recovery = Recovery {
        clock: Clock::new(move || at(now)),
        lifetime: LIFETIME,
    };
    let tls = RedisTls::default();
    RedisStore::new(
        &server.url(),
        &tls,
        "gatepost:",
        100,
        &ring(&KEYS),
        recovery,
    )
}

fn command(words: &str) -> Vec<Vec<u8>> {
    words.split(' ').map(|word| word.into()).collect()
}

fn lost_at(now: u64) -> Revocation {
    Revocation::Lost {
        at: at(now),
        until: at(now + LIFETIME),
    }
}

/// Row B1: a Redis that was emptied, or that restarted without its data, does not know which
/// sessions were ended. The outposts that run notice it, and so does one that starts.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn an_emptied_redis_revokes_what_was_before() {
    for (case, is_revoked_first) in [("looked at", false), ("revoked in", true)] {
        let server = RedisServer::start();
        let first = open(&server, 10);
        first.revocation_revision().await.expect("revision");
        first
            .insert(record(1, "alice", 20))
            .await
            .expect("inserted");
        // Another start on what is there revokes nothing.
        let second = open(&server, 30);
        let before = second.revocation_revision().await.expect("revision");
        let told = second.revocations(at(30)).await.expect("revocations");
        assert_eq!(told, [lost_at(10)], "{case}");

        server.run(&command("FLUSHALL"));
        let mut expected = vec![lost_at(30)];
        if is_revoked_first {
            let request = EndRequest {
                unknown_until: Some(at(90)),
                ..end_request(SessionSelector::Id(id(1)))
            };
            second.end(&request).await.expect("ended");
            expected.insert(0, revoked(1, 90));
        }
        let after = second.revocation_revision().await.expect("revision");
        assert_ne!(before, after, "{case}");
        for store in [&first, &second, &open(&server, 40)] {
            store.revocation_revision().await.expect("revision");
            let mut told = store.revocations(at(40)).await.expect("revocations");
            told.sort();
            assert_eq!(told, expected, "{case}");
        }
    }
}

/// The log of an emptied store differs from one that has nothing to say: it never expires.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_log_in_which_everything_has_expired_is_not_taken_for_a_lost_one() {
    let server = RedisServer::start();
    let store = open(&server, 10);
    store.revoke(&[revoked(1, 20)]).await.expect("revoked");
    let late = 10 + LIFETIME + 1_000;
    store.sweep(at(late), IDLE).await.expect("swept");
    let told = async |store: &RedisStore| {
        store.revocation_revision().await.expect("revision");
        store.revocations(at(0)).await.expect("revocations")
    };
    assert_eq!(told(&store).await, []);
    assert_eq!(told(&open(&server, late)).await, []);

    // An earlier version let the list expire, and counted its changes beside it.
    server.run(&command("DEL gatepost:revoked"));
    server.run(&command("SET gatepost:revision 7"));
    assert_eq!(told(&open(&server, late)).await, []);
    // Once: from then on the list itself says that the store has not lost it.
    server.run(&command("DEL gatepost:revoked"));
    assert_eq!(told(&open(&server, late)).await, [lost_at(late)]);
}

/// Row B1: an ending that comes while a sign-in writes its session finds the index alone.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_session_that_an_ending_has_not_found_is_in_the_list_of_all() {
    let server = RedisServer::start();
    let store = open(&server, 0);
    insert_all(&store, [record(1, "alice", 60)]).await;
    // As if the ending had come before the session, and the session after it.
    let key = format!("gatepost:session:{}", id(1).expose());
    server.run(&command(&format!("RENAME {key} aside")));
    store
        .end(&end_request(subject("alice")))
        .await
        .expect("ended");
    assert_eq!(store.list(10).await.expect("listed"), []);
    server.run(&command(&format!("RENAME aside {key}")));
    store.touch(&id(1), at(61), at(71)).await.expect("touched");
    assert_eq!(ids(&store).await, [id(1)]);
    store.sweep(at(62), LIFETIME).await.expect("swept");
    assert_eq!(store.find(&id(1)).await.expect("found"), None);
}

/// A full Redis takes no more sessions, but ends those that it has.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn sessions_end_in_a_redis_whose_memory_is_full() {
    let server = RedisServer::start();
    let store = open(&server, 0);
    insert_all(&store, [record(1, "alice", 60), record(2, "bob", 60)]).await;
    server.run(&command("CONFIG SET maxmemory 1"));
    store.insert(record(3, "bob", 60)).await.expect_err("full");
    store
        .end(&end_request(subject("alice")))
        .await
        .expect("ended");
    store.sweep(at(62), LIFETIME).await.expect("swept");
    assert_eq!(ids(&store).await, [id(2)]);
    assert!(store.revocations(at(50)).await.expect("told").len() > 1);
}

/// An operator's request and a provider's logout token are used once, and a key is revoked, in a full
/// Redis too. What clients can send without end is refused there.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn keys_are_revoked_in_a_redis_whose_memory_is_full() {
    let server = RedisServer::start();
    let store = open(&server, 0);
    let key = api_keys::key(1, 100);
    store.insert_api_key(key.clone()).await.expect("inserted");
    server.run(&command("CONFIG SET maxmemory 1"));
    let inserted = store.insert_api_key(api_keys::key(2, 100)).await;
    inserted.expect_err("full");
    let expires = at(4_000_000_000);
    let of_client = store.use_once("proof", at(50), expires).await;
    of_client.expect_err("full");
    for is_first in [true, false] {
        let used = store.use_once_to_end("request", at(50), expires).await;
        assert_eq!(used.expect("used"), is_first);
    }
    assert!(store.was_used("request", at(50)).await.expect("told"));
    let revocation = Revocation::ApiKey {
        id: key.id.to_string(),
        until: expires,
    };
    store.revoke(&[revocation]).await.expect("revoked");
    assert!(store.remove_api_key(&key.id).await.expect("removed"));
    assert_eq!(store.find_api_key(&key.id).await.expect("found"), None);
}

/// What cannot be read is one session or one entry, and keeps no other from its end.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn what_cannot_be_read_stops_nothing_else() {
    for damage in [
        "HSET KEY open soon seen later",
        "HSET KEY body x",
        "HDEL KEY open",
        "SET KEY x",
    ] {
        let server = RedisServer::start();
        let store = open(&server, 0);
        store.revocation_revision().await.expect("revision");
        for number in 1..4 {
            let last_seen = 50 + u64::from(number);
            let record = record(number, "alice", last_seen);
            store.insert(record).await.expect("inserted");
        }
        let key = format!("gatepost:session:{}", id(1).expose());
        server.run(&command(&damage.replace("KEY", &key)));
        let entry = r#"ZADD gatepost:revoked 9999999999 {"what":"of_a_later_version"}"#;
        server.run(&command(entry));
        assert_eq!(ids(&store).await, [id(2), id(3)], "{damage}");
        let told = store.revocations(at(50)).await.expect("revocations");
        assert_eq!(told, [lost_at(0)], "{damage}");
        let request = end_request(provider_session("alice at work"));
        let outcome = store.end(&request).await.expect("ended");
        assert!(outcome.ended.len() >= 2, "{damage}");
        assert_eq!(store.sweep(at(62), 1).await.expect("swept"), 0, "{damage}");
        assert_eq!(store.find(&id(1)).await.expect("found"), None, "{damage}");
    }
}

/// The clocks of replicas differ. A key that is in force and in no list is one that no operator can
/// revoke.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_sweep_of_a_replica_whose_clock_is_ahead_hides_no_api_key() {
    let server = RedisServer::start();
    let store = open(&server, 0);
    let ends = 4_000_000_000;
    for number in [1, 2] {
        let key = api_keys::key(number, ends);
        store.insert_api_key(key).await.expect("inserted");
    }
    // Redis has ended it.
    server.run(&command("DEL gatepost:apikey:key000000002"));
    store.sweep(at(ends + 60), IDLE).await.expect("swept");
    // Were it in the list still, it would be seen again.
    server.run(&command("HSET gatepost:apikey:key000000002 body x"));
    let listed = store.api_keys(usize::MAX).await.expect("listed");
    let listed: Vec<_> = listed.into_iter().map(|key| key.id).collect();
    assert_eq!(listed, [api_keys::key(1, ends).id]);
}
