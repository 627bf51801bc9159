//! Tells whether two programs have the same rules, without showing them: `gatepost check` compares
//! those of a plugin with the outpost's.

use alloc::string::{String, ToString as _};

/// The fingerprint of a rule or of a public path: FNV-1a with 64 bits over its parts. Every program
/// computes the same for what means the same.
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

    /// Adds a part, of this kind.
    #[inline(never)]
    pub(crate) fn add(&mut self, kind: u8, part: &[u8]) {
        self.add_byte(kind);
        for byte in part {
            self.add_byte(*byte);
        }
        // No text has it, and all other parts are of one length.
        self.add_byte(0xff);
    }

    fn add_byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    /// Appends it to a text of many.
    #[inline(never)]
    pub(crate) fn append_to(&self, text: &mut String) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&self.0.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::String;

    use serde_json::{Value, json};

    use crate::config::{self, Fields, Problems, policy};
    use crate::decide::Policy;

    fn read(settings: &Value) -> Policy {
        let problems = Problems::new();
        let settings = config::Value::from(settings);
        let mut fields = Fields::of(&settings, "", &problems).expect("a section");
        let policy = policy(&mut fields);
        fields.finish();
        assert!(problems.is_empty(), "{:?}", problems.take());
        policy
    }

    fn of_rule(rule: &Value) -> String {
        read(&json!({ "rules": [rule] })).fingerprints_of_rules()
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
                json!({ "require": { "maxAge": 300, "groups": "b, a" } }),
            ),
        ] {
            assert_eq!(of_rule(&one), of_rule(&other));
        }
    }

    #[test]
    fn public_paths_and_preflights_have_a_fingerprint_each() {
        let all = read(&json!({ "public": "/a,GET=/a,/a/*", "allowPreflight": true }));
        let all = all.fingerprints_of_paths();
        let all: BTreeSet<&str> = all.split(',').collect();
        assert_eq!(all.len(), 4);
        let one = read(&json!({ "public": ["GET=/a"] })).fingerprints_of_paths();
        assert!(all.contains(&*one), "{one}");
        assert_eq!(read(&json!({})).fingerprints_of_paths(), "");
        let two = json!([{ "deny": true }, { "signedIn": true }]);
        let two = read(&json!({ "rules": two })).fingerprints_of_rules();
        assert_eq!(two.split(',').count(), 2, "{two}");
    }

    /// The plugin is a program of 32 bits, and may be older than the outpost.
    #[test]
    fn a_fingerprint_stays_as_it_is() {
        let rule = json!({ "paths": ["GET=/a/*"], "methods": ["GET"], "networks": ["::1"],
            "require": { "groups": ["staff"] } });
        assert_eq!(of_rule(&rule), "9344145204574998989");
    }
}
