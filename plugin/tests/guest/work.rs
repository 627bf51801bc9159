//! How much the built guest executes for a verdict: a change that makes one dearer shows here.
//!
//! `cargo xtask bench --only guest` shows the same for more cases, and how often the host is
//! called.

use std::collections::BTreeMap;

use serde_json::json;

use super::exchange::{Request, token::token};
use super::host::Plugin;
use super::{KEY, session, settings, with_cookie};

/// The counts of the last change, in wasmi's units of fuel, by that of the two compilers which
/// gives the larger. A count may grow by [`TOLERANCE`]; write the new count down when it falls, or
/// when it has to grow.
const COUNTS: &[(&str, u64)] = &[
    ("seen before, 2 groups", 8_768),
    ("seen before, ten rules", 11_391),
    ("first time, 2 groups", 68_249),
    ("seen before, 200 groups", 24_462),
    ("first time, 200 groups", 387_623),
    ("seen before, an assertion", 11_500),
    ("first time, an assertion", 151_000),
    ("forged", 101_386),
    ("no cookie", 44_748),
    ("names of ours to remove", 49_566),
];

/// What a request of a known session may take at most where there are ten rules.
const MOST_WITH_RULES: u64 = 12_000;

/// In hundredths.
const TOLERANCE: u64 = 5;

/// Adds the headers of a page load in a browser, as the plugin receives them.
fn from_a_browser(request: Request) -> Request {
    let headers: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../testdata/bench/page-load.json"))
            .expect("headers");
    headers
        .iter()
        .fold(request, |request, (name, value)| request.with(name, value))
}

fn counted() -> Vec<(&'static str, u64)> {
    let plugin = Plugin::counted();
    let start = || plugin.start(&settings(&json!({})));
    let few = session(&token(KEY, |_| {}));
    let many = session(&token(KEY, |claims| {
        let names = (0..200).map(|n| format!("team-{n:03}"));
        claims["groups"] = names.chain(["staff".to_owned()]).collect();
    }));
    let other = session(&token(KEY, |claims| claims["sub"] = json!("5678")));
    let forged = session(&token(super::OTHER_KEY, |_| {}));
    let mut counts = Vec::new();
    for (first, again, request) in [
        ("first time, 2 groups", "seen before, 2 groups", few),
        ("first time, 200 groups", "seen before, 200 groups", many),
    ] {
        let mut guest = start();
        // Another user's browser of the same kind was there before.
        guest.work(&from_a_browser(other.clone()));
        let request = from_a_browser(request);
        counts.push((first, guest.work(&request)));
        counts.push((again, guest.work(&request)));
    }
    // An assertion of the usual length, which the guest hands on.
    let asserted =
        json!({ "headers": { "set": { "X-Gatepost-Assertion": "gatepost_assertion" } } });
    let mut guest = plugin.start(&settings(&asserted));
    guest.work(&from_a_browser(other));
    let request = from_a_browser(session(&token(KEY, |claims| {
        claims["ext"] = json!({ "gatepost_assertion": "e".repeat(600) });
    })));
    for case in ["first time, an assertion", "seen before, an assertion"] {
        counts.push((case, guest.work(&request)));
    }
    // The request is for the ninth of ten rules.
    let mut table = super::rules::table();
    let rules = table["application"]["rules"].as_array_mut().expect("rules");
    rules.truncate(10);
    let mut guest = plugin.start(&settings(&table["application"]));
    let mut request = from_a_browser(session(&token(KEY, |_| {})));
    request.target = b"/lounge/library/page?id=1".into();
    guest.work(&request);
    counts.push(("seen before, ten rules", guest.work(&request)));
    for (case, request) in [
        ("forged", forged),
        ("no cookie", with_cookie("theme=dark")),
        (
            "names of ours to remove",
            with_cookie("theme=dark")
                .with("X-Auth-Username", "mallory")
                .with("X_Auth_Groups", "admins"),
        ),
    ] {
        let mut guest = start();
        counts.push((case, guest.work(&from_a_browser(request))));
    }
    counts
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn a_verdict_takes_no_more_work_than_before() {
    let counts = counted();
    for (case, count) in &counts {
        println!("{count:9} {case}");
    }
    let with_rules = counts.iter().find(|(case, _)| case.ends_with("ten rules"));
    assert!(
        with_rules.is_some_and(|(_, count)| *count <= MOST_WITH_RULES),
        "ten rules take more than they may"
    );
    for (case, recorded) in COUNTS {
        let counted = counts.iter().find(|(own, _)| own == case);
        let (_, count) = counted.expect(case);
        let most = recorded + recorded * TOLERANCE / 100;
        assert!(*count <= most, "{case}: {count}, and before {recorded}");
    }
    assert_eq!(counts.len(), COUNTS.len(), "every case has its count");
}
