//! API keys of machine clients.

use gatepost_store::{ApiKeyId, ApiKeyRecord, ApiKeyUsage, StoredApiKey};

use crate::*;

for_every_store!(
    a_key_is_found_until_it_is_removed,
    the_usage_of_a_key_adds_up,
    keys_are_listed_by_their_ends,
    a_key_outlives_the_key_that_sealed_it,
    a_new_key_of_the_ring_can_be_taken_back,
    a_key_that_no_key_of_the_ring_opens_is_there,
);

fn key_id(number: u8) -> ApiKeyId {
    ApiKeyId::parse(&format!("key{number:09}")).expect("an id")
}

pub(crate) fn key(number: u8, ends: u64) -> ApiKeyRecord {
    ApiKeyRecord {
        id: key_id(number),
        subject: "ci".into(),
        email: Some("ci@example.com".into()),
        groups: vec!["deploy".into()],
        applications: vec!["wiki".into(), "api".into()],
        mac_key: Secret::new(format!("key {number}")),
        mac: Secret::new(format!("mac {number}")),
        created: at(5),
        ends: at(ends),
        usage: ApiKeyUsage::default(),
    }
}

async fn found(store: &dyn Store, number: u8) -> Option<ApiKeyRecord> {
    let found = store.find_api_key(&key_id(number)).await.expect("asked");
    found.map(|key| key.record.expect("readable"))
}

async fn listed(store: &dyn Store, limit: usize) -> Vec<ApiKeyRecord> {
    let listed = store.api_keys(limit).await.expect("listed").into_iter();
    listed.map(|key| key.record.expect("readable")).collect()
}

async fn insert(store: &dyn Store, key: ApiKeyRecord) {
    store.insert_api_key(key).await.expect("inserted");
}

async fn a_key_is_found_until_it_is_removed(fixture: &Fixture) {
    let store = fixture.store();
    insert(&*store, key(1, 100)).await;
    assert_eq!(found(&*store, 1).await, Some(key(1, 100)));
    assert_eq!(found(&*store, 2).await, None);
    for was_there in [true, false] {
        let removed = store.remove_api_key(&key_id(1)).await;
        assert_eq!(removed.expect("removed"), was_there);
        assert_eq!(found(&*store, 1).await, None);
    }
    assert_eq!(store.api_keys(10).await.expect("listed"), []);
}

async fn the_usage_of_a_key_adds_up(fixture: &Fixture) {
    let store = fixture.store();
    insert(&*store, key(1, 100)).await;
    // Replicas report in any order.
    for (number, count, last) in [(1, 2, 20), (1, 3, 10), (2, 1, 30)] {
        let last = Some(at(last));
        note(&*store, [(number, ApiKeyUsage { count, last })]).await;
    }
    let usage = ApiKeyUsage {
        count: 5,
        last: Some(at(20)),
    };
    assert_eq!(found(&*store, 1).await.expect("a key").usage, usage);
    assert_eq!(found(&*store, 2).await, None, "never created");
    // A key that was removed does not come back by its use.
    store.remove_api_key(&key_id(1)).await.expect("removed");
    insert(&*store, key(3, 100)).await;
    note(&*store, [(1, usage), (3, usage), (2, usage)]).await;
    assert_eq!(found(&*store, 1).await, None);
    assert_eq!(found(&*store, 3).await.expect("a key").usage, usage);
}

/// Notes the usage of keys, and checks that nothing is left to write.
async fn note(store: &dyn Store, usage: impl IntoIterator<Item = (u8, ApiKeyUsage)>) {
    let usage = usage.into_iter();
    let mut used = usage
        .map(|(number, usage)| (key_id(number), usage))
        .collect();
    store.note_api_key_usage(&mut used).await.expect("noted");
    assert!(used.is_empty(), "{used:?}");
}

/// A Redis ends keys by its own clock, and has a test of its own.
#[tokio::test]
async fn keys_that_have_ended_leave_a_store_of_this_process() {
    for fixture in [Fixture::memory(), Fixture::embedded()] {
        let store = fixture.store();
        insert(&*store, key(1, 20)).await;
        insert(&*store, key(2, 21)).await;
        store.sweep(at(20), IDLE).await.expect("swept");
        assert_eq!(listed(&*store, 10).await, [key(2, 21)]);
        assert_eq!(found(&*store, 2).await, Some(key(2, 21)));
    }
}

async fn keys_are_listed_by_their_ends(fixture: &Fixture) {
    let store = fixture.store();
    for (number, ends) in [(1, 30), (2, 10), (3, 20)] {
        insert(&*store, key(number, ends)).await;
    }
    assert_eq!(listed(&*store, 2).await, [key(2, 10), key(3, 20)]);
    assert_eq!(store.api_keys(usize::MAX).await.expect("listed").len(), 3);
}

/// An API key lasts for months, and a key of the ring may be replaced before its end.
async fn a_key_outlives_the_key_that_sealed_it(fixture: &Fixture) {
    let store = fixture.store();
    let [a, b] = KEYS;
    store.use_keys(&ring(&[a]));
    insert(&*store, key(1, 100)).await;
    store.use_keys(&ring(&[b, a]));
    store.sweep(at(10), IDLE).await.expect("swept");
    store.use_keys(&ring(&[b]));
    assert_eq!(found(&*store, 1).await, Some(key(1, 100)));
}

/// An operator goes back to the old ring, or another replica has it still.
async fn a_new_key_of_the_ring_can_be_taken_back(fixture: &Fixture) {
    let store = fixture.store();
    insert(&*store, key(1, 100)).await;
    let [a, b] = KEYS;
    for rings in [[vec![b, a], vec![a]], [vec![a, b], vec![b]]] {
        for ring in rings {
            store.use_keys(&self::ring(&ring));
            store.sweep(at(10), IDLE).await.expect("swept");
            assert_eq!(found(&*store, 1).await, Some(key(1, 100)), "{ring:?}");
        }
    }
}

/// Such a key is no unknown one, and an operator can remove it.
async fn a_key_that_no_key_of_the_ring_opens_is_there(fixture: &Fixture) {
    if !fixture.seals() {
        return;
    }
    let store = fixture.store();
    let [a, b] = KEYS;
    store.use_keys(&ring(&[a]));
    insert(&*store, key(1, 100)).await;
    store.use_keys(&ring(&[b]));
    store.sweep(at(10), IDLE).await.expect("swept");
    let unreadable = StoredApiKey {
        id: key_id(1),
        record: None,
    };
    let found = store.find_api_key(&key_id(1)).await.expect("asked");
    assert_eq!(found.as_ref(), Some(&unreadable));
    let listed = store.api_keys(10).await.expect("listed");
    assert_eq!(listed, [unreadable]);
    let removed = store.remove_api_key(&key_id(1)).await;
    assert!(removed.expect("removed"));
    assert_eq!(store.api_keys(10).await.expect("listed"), []);
}
