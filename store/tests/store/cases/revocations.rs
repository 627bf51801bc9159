//! The log of revocations.

use crate::*;

for_every_store!(
    a_store_that_begins_empty_revokes_what_was_before,
    a_revocation_is_in_the_log_until_it_expires,
);

/// Row B1: what a store had before it began empty, and which sessions of it were ended, is unknown.
async fn a_store_that_begins_empty_revokes_what_was_before(fixture: &Fixture) {
    let store = fixture.store();
    store.revocation_revision().await.expect("revision");
    let told = store.revocations(at(50)).await.expect("revocations");
    assert_eq!(told, [lost()]);
}

async fn a_revocation_is_in_the_log_until_it_expires(fixture: &Fixture) {
    let store = fixture.store();
    let revision = store.revocation_revision().await.expect("revision");
    let revocation = revoked(1, 100);
    store
        .revoke(std::slice::from_ref(&revocation))
        .await
        .expect("revoked");
    let later = store.revocation_revision().await.expect("revision");
    assert_ne!(revision, later);
    let expires = revocation.expires().as_seconds() - at(0).as_seconds();
    assert_eq!(
        revocations(&*store, 100).await,
        std::slice::from_ref(&revocation)
    );
    assert_eq!(revocations(&*store, expires).await, []);
    store.sweep(at(100), IDLE).await.expect("swept");
    assert_eq!(
        revocations(&*store, 100).await,
        std::slice::from_ref(&revocation)
    );
    store
        .sweep(revocation.expires(), IDLE)
        .await
        .expect("swept");
    assert_eq!(revocations(&*store, 0).await, []);
}
