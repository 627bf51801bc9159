//! What a store in memory adds.

use gatepost_store::StoreSettings;

use crate::{KEYS, at, lost, recovery, ring};

/// Row B1: a process that kept its sessions in memory lost them, and also which it had ended.
#[tokio::test]
async fn a_store_in_memory_begins_with_the_revocation_of_everything_before_it() {
    let settings = StoreSettings::Memory { max_sessions: 3 };
    let store = gatepost_store::open(&settings, &ring(&KEYS), recovery()).expect("a store");
    let revocations = store.revocations(at(50)).await.expect("revocations");
    assert_eq!(revocations, [lost()]);
}
