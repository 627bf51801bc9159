//! Tells whether two programs have the same rules, without showing them: `gatepost check` compares
//! those of a plugin with the outpost's.

use alloc::string::{String, ToString as _};

/// The fingerprint of a rule or of a public path: FNV-1a with 64 bits over its parts, each behind its
/// length. Every program computes the same for what means the same.
///
/// It finds what an operator has written differently. It need not resist an attacker: who can change
/// the rules of a plugin can change its answers too.
#[derive(Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Returns the fingerprint of nothing.
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a part, which starts with a word that says what it is.
    #[inline(never)]
    pub(crate) fn add(&mut self, word: &str, part: &[u8]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        for bytes in [word.as_bytes(), &length, part] {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    /// Returns it as a text.
    pub(crate) fn to_text(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::String;

    use serde_json::{Value, json};

    use crate::config::{Fields, Problems, policy};
    use crate::decide::Policy;

    fn read(settings: &Value) -> Policy {
        let problems = Problems::new();
        let mut fields = Fields::of(settings, "", &problems).expect("a section");
        let policy = policy(&mut fields);
        fields.finish();
        assert!(problems.is_empty(), "{:?}", problems.take());
        policy
    }

    fn of_rule(rule: &Value) -> String {
        let own = read(&json!({ "rules": [rule] })).fingerprints_of_rules();
        own.into_iter().next().expect("a rule")
    }

    /// Row A14: whatever decides counts, and nothing else.
    #[test]
    fn rules_with_one_fingerprint_mean_the_same() {
        let different = [
            json!({ "deny": true }),
            json!({ "signedIn": true }),
            json!({ "paths": ["/a"], "deny": true }),
            json!({ "paths": ["/a"], "public": true }),
            json!({ "paths": ["/a"], "signedIn": true }),
            json!({ "paths": ["/a/*"], "public": true }),
            json!({ "paths": ["/a/"], "public": true }),
            json!({ "paths": ["/A"], "public": true }),
            json!({ "paths": ["GET=/a"], "public": true }),
            json!({ "paths": ["/a"], "methods": ["GET"], "public": true }),
            json!({ "methods": ["GET"], "public": true }),
            json!({ "methods": ["GET", "PUT"], "public": true }),
            json!({ "paths": ["/a", "/b"], "public": true }),
            json!({ "paths": ["/a"], "networks": ["10.0.0.0/8"], "public": true }),
            json!({ "paths": ["/a"], "networks": ["10.0.0.0/9"], "public": true }),
            json!({ "paths": ["/a"], "networks": ["10.0.0.0/8", "::1"], "public": true }),
            json!({ "require": { "groups": ["a"] } }),
            json!({ "require": { "groups": ["b"] } }),
            json!({ "require": { "all": { "groups": ["a"] } } }),
            json!({ "require": { "not": { "groups": ["a"] } } }),
            json!({ "require": { "users": ["a"] } }),
            json!({ "require": { "groups": ["a"], "deviceBound": true } }),
            json!({ "require": { "groups": ["a"], "maxAge": "5m" } }),
            json!({ "require": { "claims": { "a": ["b", "c"] } } }),
            json!({ "require": { "claims": { "a": ["bc"] } } }),
        ];
        let all: BTreeSet<String> = different.iter().map(of_rule).collect();
        assert_eq!(all.len(), different.len());
        for (one, other) in [
            (
                json!({ "name": "x", "paths": ["/a"], "deny": true }),
                json!({ "paths": ["/a"], "deny": true }),
            ),
            (
                json!({ "networks": ["10.0.0.1"], "deny": true }),
                json!({ "networks": ["10.0.0.1/32"], "deny": "true" }),
            ),
            (
                json!({ "require": { "groups": ["a", "b"], "maxAge": "5m" } }),
                json!({ "require": { "groups": "a, b", "maxAge": 300 } }),
            ),
        ] {
            assert_eq!(of_rule(&one), of_rule(&other));
        }
    }

    #[test]
    fn public_paths_and_preflights_have_a_fingerprint_each() {
        let all = read(&json!({ "public": "/a,GET=/a,/a/*", "allowPreflight": true }));
        let all: BTreeSet<String> = all.fingerprints_of_paths().into_iter().collect();
        assert_eq!(all.len(), 4);
        let some = read(&json!({ "public": ["GET=/a"] })).fingerprints_of_paths();
        assert!(some.iter().all(|own| all.contains(own)), "{some:?}");
        assert_eq!(read(&json!({})).fingerprints_of_paths(), [""; 0]);
    }

    /// The plugin is a program of 32 bits, and may be older than the outpost.
    #[test]
    fn a_fingerprint_stays_as_it_is() {
        let rule = json!({ "paths": ["GET=/a/*"], "methods": ["GET"], "networks": ["::1"],
            "require": { "groups": ["staff"] } });
        assert_eq!(of_rule(&rule), "12227467132756880858");
    }
}
