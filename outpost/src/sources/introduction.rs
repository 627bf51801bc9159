//! Introducing a new key: it verifies before it signs.

use std::time::{Duration, Instant};

use gatepost_session::{KeyId, KeyRing};

use crate::assertion::{Algorithm, AssertionKeys};

/// Keys of which the first signs and all verify.
pub(super) trait Keys: Sized {
    /// Returns the id of the first.
    fn first_id(&self) -> Option<String>;

    /// Returns the same keys with the one of this id in front, if it is among them.
    fn with_first(&self, id: &str) -> Option<Self>;
}

impl Keys for KeyRing {
    fn first_id(&self) -> Option<String> {
        self.key_ids().next().map(|id| id.as_str().to_owned())
    }

    fn with_first(&self, id: &str) -> Option<Self> {
        self.signing_with(&KeyId::new(id)?)
    }
}

/// The keys of assertions, of which the first of this algorithm signs.
pub(super) struct OfAlgorithm(pub(super) AssertionKeys, pub(super) Algorithm);

impl Keys for OfAlgorithm {
    fn first_id(&self) -> Option<String> {
        let first = self.0.signing(self.1);
        first.map(|key| key.id().to_owned())
    }

    fn with_first(&self, id: &str) -> Option<Self> {
        let keys = self.0.signing_with(id)?;
        Some(Self(keys, self.1))
    }
}

/// The key that signs, which may not yet be the first one of the ring.
#[derive(Clone, Debug)]
pub(super) struct FirstKey {
    signs: Option<String>,
    /// The next key to sign, and since when it is known.
    next: Option<(String, Instant)>,
    /// How long a key that is put in front only verifies: `keyIntroduction`.
    introduction: Duration,
}

impl FirstKey {
    /// Starts with the first key of the ring.
    pub(super) fn of(ring: &impl Keys, introduction: Duration) -> Self {
        Self {
            signs: ring.first_id(),
            next: None,
            introduction,
        }
    }

    /// Changes how long a new key only verifies, also for one that is being introduced.
    pub(super) fn introduce_for(&mut self, introduction: Duration) {
        self.introduction = introduction;
    }

    /// Returns whether a new key has been known for long enough to sign.
    pub(super) fn is_introduced(&self) -> bool {
        let known_for = |(_, since): &(String, Instant)| since.elapsed() >= self.introduction;
        self.next.as_ref().is_some_and(known_for)
    }

    /// Returns the ring in the order in which it is to be used now. With `unwritten`, plugins cannot
    /// have learnt of a new key, for which its time then begins again.
    pub(super) fn follow<K: Keys>(&mut self, ring: K, unwritten: Option<&str>) -> K {
        let is_introduced = self.is_introduced();
        let first = ring.first_id();
        let before = self.signs.as_ref().and_then(|id| ring.with_first(id));
        match (first, before) {
            (Some(first), Some(before)) if self.signs.as_ref() != Some(&first) => {
                match &mut self.next {
                    Some((next, _)) if *next == first && !is_introduced => return before,
                    Some((next, since)) if *next == first => {
                        if let Some(problem) = unwritten {
                            *since = Instant::now();
                            tracing::error!(
                                key = first,
                                "the new key does not sign yet, since plugins do not have it: \
                                 `stateDir` is not written: {problem}"
                            );
                            return before;
                        }
                        tracing::info!(key = first, "the new key signs from now on");
                    }
                    Some(_) | None => {
                        self.next = Some((first, Instant::now()));
                        return before;
                    }
                }
                self.signs = Some(first);
            }
            // The same as before, or the one before is gone: there is nothing to wait for.
            (first, _) => self.signs = first,
        }
        self.next = None;
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTRODUCTION: Duration = Duration::from_secs(15);

    fn ring(ids: &[&str]) -> KeyRing {
        let entry = |id: &&str| format!("{id}:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=");
        let entries: Vec<String> = ids.iter().map(entry).collect();
        KeyRing::parse(&entries.join("\n")).expect("a ring")
    }

    fn order(ring: &KeyRing) -> Vec<&str> {
        ring.key_ids().map(KeyId::as_str).collect()
    }

    #[test]
    fn a_new_key_verifies_before_it_signs() {
        let mut first = FirstKey::of(&ring(&["a"]), INTRODUCTION);
        for _ in 0..3 {
            let followed = first.follow(ring(&["c", "b", "a"]), None);
            assert_eq!(order(&followed), ["a", "c", "b"]);
            assert!(!first.is_introduced());
        }
        let introduced = Instant::now().checked_sub(INTRODUCTION);
        let Some((_, since)) = &mut first.next else {
            panic!("a key is introduced");
        };
        *since = introduced.expect("the machine has run for longer");
        assert!(first.is_introduced());
        // One that has become longer holds for this key too.
        first.introduce_for(INTRODUCTION * 2);
        assert!(!first.is_introduced());
        first.introduce_for(INTRODUCTION);
        assert_eq!(
            order(&first.follow(ring(&["c", "b", "a"]), None)),
            ["c", "b", "a"]
        );
        assert!(!first.is_introduced());
    }

    /// Row B8: plugins that could not learn of a key refuse what it signs.
    #[test]
    fn a_key_that_plugins_cannot_have_does_not_sign() {
        let mut first = FirstKey::of(&ring(&["a"]), INTRODUCTION);
        let mut follow = |unwritten, waited: bool| {
            if let Some((_, since)) = first.next.as_mut().filter(|_| waited) {
                *since = Instant::now().checked_sub(INTRODUCTION).expect("earlier");
            }
            let followed = first.follow(ring(&["b", "a"]), unwritten);
            (order(&followed).join(" "), first.is_introduced())
        };
        assert_eq!(follow(None, false), ("a b".to_owned(), false));
        assert_eq!(follow(Some("full"), true), ("a b".to_owned(), false));
        assert_eq!(follow(None, false), ("a b".to_owned(), false));
        assert_eq!(follow(None, true), ("b a".to_owned(), false));
        // The key before is gone: there is nothing to wait for.
        assert_eq!(order(&first.follow(ring(&["c"]), Some("full"))), ["c"]);
    }

    /// Another outpost, whose `jwks.json` an application reads, learns of a key before it signs.
    #[test]
    fn a_new_key_of_assertions_is_published_before_it_signs() {
        let made = || AssertionKeys::generate(Algorithm::Es256).expect("a key");
        let (old, new) = (made(), made());
        let before = AssertionKeys::parse(&old).expect("a key");
        let both = AssertionKeys::parse(&format!("{}\n{}", *new, *old)).expect("keys");
        let of = |keys: &AssertionKeys| OfAlgorithm(keys.clone(), Algorithm::Es256);
        let mut first = FirstKey::of(&of(&before), INTRODUCTION);
        let followed = first.follow(of(&both), None);
        assert_eq!(followed.first_id(), of(&before).first_id());
        assert_eq!(followed.0.jwks()["keys"].as_array().map(Vec::len), Some(2));
        if let Some((_, since)) = &mut first.next {
            *since = Instant::now().checked_sub(INTRODUCTION).expect("earlier");
        }
        let followed = first.follow(of(&both), None);
        assert_eq!(followed.first_id(), of(&both).first_id());
    }

    #[test]
    fn nothing_is_waited_for_where_the_key_before_is_gone_or_the_first_is_back() {
        let mut first = FirstKey::of(&ring(&["a"]), INTRODUCTION);
        assert_eq!(order(&first.follow(ring(&["b"]), None)), ["b"]);
        assert_eq!(order(&first.follow(ring(&["c", "b"]), None)), ["b", "c"]);
        assert_eq!(order(&first.follow(ring(&["b", "c"]), None)), ["b", "c"]);
        assert!(first.next.is_none());
    }
}
