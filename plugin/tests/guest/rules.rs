//! The table of rules, by the built guest and by the same code natively.

use serde_json::{Value, json};

use super::exchange::token::token;
use super::exchange::{NOW, Request, native_gate, natively};
use super::host::Plugin;
use super::{KEY, settings};

/// Returns the table.
pub(crate) fn table() -> Value {
    serde_json::from_str(include_str!("../../../testdata/rules.json")).expect("JSON")
}

/// Returns the session of a user of the table.
pub(crate) fn session_of(user: &Value) -> String {
    token(KEY, |claims| {
        claims["groups"] = user["groups"].clone();
        let ago = user["authenticatedAgo"].as_u64().expect("seconds");
        claims["auth_time"] = json!(NOW - ago);
        claims["acr"] = user["acr"].clone();
        let more = user["claims"].as_object().into_iter().flatten();
        claims["ext"] = more
            .map(|(name, value)| (name.clone(), Value::from(as_text(value))))
            .collect();
    })
}

/// Returns a claim as the outpost puts it into a session.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) => {
            let entries: Vec<&str> = entries.iter().filter_map(Value::as_str).collect();
            entries.join("|")
        }
        other => other.to_string(),
    }
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn each_case_of_the_table_is_decided_as_it_says() {
    let table = table();
    let plugin = Plugin::built();
    let mut native = table["application"].clone();
    native["trustedProxies"] = json!(["192.0.2.1"]);
    let mut as_text = native.clone();
    as_text["rules"] = as_text["rules"].to_string().into();
    for application in [native, as_text] {
        let settings = settings(&application);
        let mut guest = plugin.start(&settings);
        let mut gate = native_gate(&settings);
        for case in table["cases"].as_array().expect("cases") {
            let text = |key: &str| case[key].as_str();
            let request = Request::new(
                text("method").expect("a method"),
                text("target").expect("a target"),
            );
            let request = request
                .from(text("client").unwrap_or("127.0.0.1"))
                .with("X-Auth-Username", "mallory");
            let request = match text("user") {
                Some(user) => {
                    let token = session_of(&table["users"][user]);
                    request.with("Cookie", format!("__Host-gatepost={token}"))
                }
                None => request,
            };
            let outcome = guest.handle(&request).expect("no trap");
            assert_eq!(outcome, natively(&mut gate, &request), "{case}");
            let named = outcome.lines("x-auth-username");
            let (next, status, names) = match text("expected").expect("a decision") {
                "anonymous" => (true, 0, &[][..]),
                "passes" => (true, 0, &["alice"][..]),
                "sign-in" => (false, 401, &["mallory"][..]),
                // An authentication would do.
                "denied" if case["stepUp"] == true => (false, 401, &["mallory"][..]),
                "denied" => (false, 403, &["mallory"][..]),
                other => panic!("{other}"),
            };
            assert_eq!((outcome.next, outcome.status), (next, status), "{case}");
            if next {
                assert_eq!(named, names, "{case}");
            }
            if text("client").is_some() {
                // The connection is that of a proxy in front, which names a client.
                let request = request.with("X-Forwarded-For", "127.0.0.2");
                let outcome = guest.handle(&request).expect("no trap");
                assert_eq!((outcome.next, outcome.status), (false, 401), "{case}");
            }
            if case["stepUp"] == true {
                let body: Value = serde_json::from_slice(&outcome.body).expect("JSON");
                assert_eq!(body["error"], "insufficient_user_authentication", "{case}");
            } else if let Some(rule) = text("rule") {
                let body: Value = serde_json::from_slice(&outcome.body).expect("JSON");
                let rule = if rule.is_empty() { "require" } else { rule };
                // A client that is not signed in learns no names.
                let shown = text("user").map(|_| rule);
                assert_eq!(body["rule"], json!(shown), "{case}");
            }
        }
    }
}
