//! Values that may be used once.

use crate::*;

for_every_store!(a_value_is_used_once);

async fn a_value_is_used_once(fixture: &Fixture) {
    let store = fixture.store();
    for (value, is_first) in [("a", true), ("a", false), ("b", true)] {
        let was_used = store.was_used(value, at(10)).await;
        assert_eq!(was_used.expect("asked"), !is_first, "{value}");
        let used = store.use_once(value, at(10), at(20)).await;
        assert_eq!(used.expect("used"), is_first, "{value}");
    }
}

/// Redis expires values by its own clock.
#[tokio::test]
async fn a_value_that_has_expired_is_usable_again() {
    for fixture in [Fixture::memory(), Fixture::embedded()] {
        let store = fixture.store();
        for (now, expires) in [(10, 20), (20, 30)] {
            assert!(!store.was_used("a", at(now)).await.expect("asked"));
            let used = store.use_once("a", at(now), at(expires)).await;
            assert!(used.expect("used"), "at {now}");
            assert!(store.was_used("a", at(now)).await.expect("asked"));
        }
    }
}
