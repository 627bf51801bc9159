//! Why a request is decided as it is, in words, for an operator.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use gatepost_session::Current;

use crate::decide::Policy;
use crate::request::Request;
use crate::require::Require;

/// A rule that has a part in the decision on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The name or the number of the rule; `None` for the short form, `public` and `require`.
    pub rule: Option<String>,
    /// What it does with the request.
    pub effect: String,
    /// What the user of the session lacks for it.
    pub lacking: Vec<String>,
}

impl Policy {
    /// Returns the rules that have a part in the decision on a request, in their order. Several have
    /// one where servers may read the request in different ways: then all of them must be satisfied.
    pub fn why(&self, request: &impl Request, session: Option<Current<'_>>) -> Vec<Reason> {
        let asked = self.ask(request, &request.method());
        let reason = |at: Option<usize>, effect: &str| Reason {
            rule: at.map(|at| self.rules.label(at)),
            effect: effect.to_string(),
            lacking: Vec::new(),
        };
        if asked.denied.is_some() {
            return Vec::from([reason(asked.denied, "refuses every client")]);
        }
        if asked.open {
            return Vec::from([reason(asked.public, "needs no session")]);
        }
        let of_users = asked.requires().map(|(at, require)| Reason {
            effect: in_words(require),
            lacking: session.map_or_else(Vec::new, |session| {
                require.lacking(session.claims(), session.at())
            }),
            ..reason(*at, "")
        });
        let mut reasons: Vec<Reason> = of_users.collect();
        if asked.is_public() {
            reasons.push(reason(asked.public, "needs no session"));
        }
        reasons
    }
}

fn in_words(require: &Require) -> String {
    match require.in_words() {
        None => String::from("needs any session"),
        Some(words) => ["needs ", &words].concat(),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            None => write!(f, "`public` and `require`: {}", self.effect)?,
            Some(rule) => write!(f, "rule `{rule}`: {}", self.effect)?,
        }
        if self.lacking.is_empty() {
            return Ok(());
        }
        write!(f, "; missing: {}", self.lacking.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fields, Problems, Value, policy};
    use crate::decide::double::{NOW, authentic, claims};
    use crate::request::double::Sent;
    use serde_json::json;
    use std::format;

    #[test]
    fn each_rule_that_has_a_part_is_named_with_what_is_missing() {
        let settings = json!({
            "rules": [
                {"name": "closed", "paths": ["/internal/*"], "deny": true},
                {"name": "health", "paths": ["/healthz"], "public": true},
                {"paths": ["/Admin/*"], "require": {"groups": ["admins"], "maxAge": "5m"}},
                {"name": "lounge", "paths": ["/lounge/*"], "signedIn": true},
            ],
            "require": {"all": {"groups": ["staff"]}, "not": {"claims": {"contractor": true}}},
        });
        let settings = Value::from(&settings);
        let problems = Problems::new();
        let mut fields = Fields::of(&settings, "", &problems).expect("a section");
        let policy = policy(&mut fields);
        assert!(problems.is_empty());
        let session = authentic(&claims("alice@example.com"));
        let session = session.current(NOW, 0).expect("in force");
        for (target, expected) in [
            ("/internal/x", "rule `closed`: refuses every client"),
            ("/healthz", "rule `health`: needs no session"),
            ("/lounge/x", "rule `lounge`: needs any session"),
            (
                "/Admin/x",
                "rule `3`: needs group:admins & maxAge:300; missing: group:admins, maxAge:300",
            ),
            (
                "/admin/x",
                "rule `3`: needs group:admins & maxAge:300; missing: group:admins, maxAge:300 | \
                 `public` and `require`: needs group:staff & not claim:contractor:true; missing: \
                 group:staff, not claim:contractor:true",
            ),
        ] {
            let reasons = policy.why(&Sent::new("GET", target), Some(session));
            let said: Vec<String> = reasons.iter().map(|reason| format!("{reason}")).collect();
            assert_eq!(said.join(" | "), expected, "{target}");
        }
    }
}
