//! The plugin as it is built, in a WebAssembly runtime, under requests that mean harm.
//!
//! These tests show: no request traps the guest, none makes its memory grow beyond what the request
//! itself takes, none leaves anything behind for the next one, and the guest decides as the same
//! code does natively.

// Helpers of tests may panic like the tests themselves; clippy exempts only the latter.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice
)]

mod exchange;
mod host;
mod payloads;
mod rules;
mod work;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use self::exchange::token::token;
use self::exchange::{NOW, Request, native_gate, natively};
use self::host::{Guest, Plugin};

const KEY: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const OTHER_KEY: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=";

/// Traefik's limit on a request's header, in bytes.
const HEADER_LIMIT: usize = 1024 * 1024;

/// How many requests guest and native gate are compared on, for each variant of the settings.
const CASES: usize = 500;

/// The largest size of a guest, in pages of 64 KiB, whatever one request contains: a few copies of
/// [`HEADER_LIMIT`].
const MAX_PAGES: usize = 96;

/// What a guest may take after usual requests, in pages.
const USUAL_PAGES: usize = 3;

fn good() -> String {
    token(KEY, |_| {})
}

fn settings(more: &Value) -> String {
    let mut settings = json!({
        "application": "wiki",
        "keys": KEY,
        "public": ["/public/*"],
        "require": { "groups": ["staff"] },
    });
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        settings.extend(more.clone());
    }
    settings.to_string()
}

/// Returns a request in which only the cookie is unusual.
fn with_cookie(cookie: impl AsRef<[u8]>) -> Request {
    Request::new("GET", "/x").with("Cookie", cookie)
}

fn session(token: &str) -> Request {
    with_cookie(format!("__Host-gatepost={token}"))
}

/// Asserts that a guest answers usual requests as if nothing had happened before.
fn assert_unharmed(guest: &mut Guest, after: &str) {
    let known = guest.handle(&session(&good())).expect(after);
    assert!(known.next, "{after}");
    assert_eq!(known.lines("x-auth-username"), ["alice"], "{after}");
    let anonymous = guest.handle(&Request::new("GET", "/x")).expect(after);
    assert!(!anonymous.next, "{after}");
    assert_eq!(anonymous.status, 401, "{after}");
    assert!(anonymous.lines("x-auth-username").is_empty(), "{after}");
}

fn hostile_requests() -> Vec<(&'static str, Request)> {
    let good = good();
    let many_headers = (0..10_000).fold(Request::new("GET", "/x"), |request, n| {
        request.with(format!("X-Junk-{n}"), "x")
    });
    let separators = "!#$%&'*+.^_`|~-";
    let every_spelling = separators
        .chars()
        .flat_map(|first| separators.chars().map(move |second| (first, second)))
        .fold(
            Request::new("GET", "/public/x"),
            |request, (first, second)| {
                request.with(format!("X{first}Auth{second}Username"), "mallory")
            },
        );
    vec![
        ("10,000 headers", many_headers),
        ("every spelling of a name of ours", every_spelling),
        (
            "a cookie as long as the limit",
            with_cookie(format!("__Host-gatepost={}", "A".repeat(HEADER_LIMIT))),
        ),
        (
            "other cookies as long as the limit",
            with_cookie(format!(
                "x={}; __Host-gatepost={good}",
                "A".repeat(HEADER_LIMIT)
            )),
        ),
        (
            "20,000 cookies",
            with_cookie("a=b; ".repeat(20_000) + "__Host-gatepost=x"),
        ),
        (
            "10,000 sessions",
            with_cookie(format!("__Host-gatepost={}; ", &good[..60]).repeat(10_000)),
        ),
        (
            "10,000 lines of cookies",
            (0..10_000).fold(Request::new("GET", "/x"), |request, _| {
                request.with("Cookie", "__Host-gatepost=x.y.z")
            }),
        ),
        (
            "99,999,999 chunks announced",
            with_cookie("__Host-gatepost.0=x; __Host-gatepost.99999999=y"),
        ),
        (
            "bytes that are no UTF-8",
            with_cookie(b"\xff\xfe=\xc0\xaf; __Host-gatepost=\x80\xff"),
        ),
        (
            "names that are no UTF-8",
            Request::new("GET", "/x")
                .with(b"\xff\xfe".as_slice(), "x")
                .with(b"x\xc3auth\x28username", "mallory"),
        ),
        (
            "an empty name",
            Request::new("GET", "/x").with_name_only(b""),
        ),
        (
            "an empty name with a value",
            Request::new("GET", "/x").with("", "x"),
        ),
        (
            "a name without lines",
            Request::new("GET", "/x").with_name_only(b"cookie"),
        ),
        (
            "a name alone of ours",
            Request::new("GET", "/x").with_name_only(b"x_auth_username"),
        ),
        (
            "NULs in a value",
            with_cookie(b"a=\0; __Host-gatepost=\0\0\0"),
        ),
        (
            "NULs in a name",
            Request::new("GET", "/x").with(b"a\0b\0x-auth-username".as_slice(), "mallory"),
        ),
        (
            "a target of 1 MiB",
            Request::new("GET", &format!("/{}", "a/".repeat(HEADER_LIMIT / 2))),
        ),
        (
            "a target of escapes",
            Request::new(
                "GET",
                &format!("/public/{}", "%2e%2e%2f".repeat(HEADER_LIMIT / 9)),
            ),
        ),
        ("a target of bytes", {
            let mut request = Request::new("GET", "/x").with("Sec-Fetch-Mode", "navigate");
            request.target = (0..=255).collect();
            request
        }),
        ("no target", Request::new("GET", "")),
        ("an asterisk", Request::new("OPTIONS", "*")),
        ("no method", Request::new("", "/x")),
        (
            "a method of 1 MiB",
            Request::new(&"M".repeat(HEADER_LIMIT), "/x"),
        ),
        (
            "no host, no header",
            Request {
                method: b"GET".into(),
                target: b"/x".into(),
                ..Request::default()
            },
        ),
        (
            "Connection as long as the limit",
            Request::new("GET", "/public/x")
                .with("Connection", "x-auth-username, ".repeat(HEADER_LIMIT / 17)),
        ),
        (
            "a token of dots",
            with_cookie(format!("__Host-gatepost={}", ".".repeat(100_000))),
        ),
        (
            "a name of brackets, signed",
            session(&token(KEY, |claims| {
                claims["name"] = json!("[".repeat(10_000))
            })),
        ),
        (
            "1,000 groups, signed",
            session(&token(KEY, |claims| {
                claims["groups"] = (0..1_000).map(|n| json!(format!("staff{n}"))).collect();
            })),
        ),
    ]
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn no_request_traps_the_guest_or_changes_the_next_answer() {
    let plugin = Plugin::built();
    let mut reused = plugin.start(&settings(&json!({})));
    for (case, request) in hostile_requests() {
        let mut fresh = plugin.start(&settings(&json!({})));
        let first = fresh.handle(&request).expect(case);
        let again = reused.handle(&request).expect(case);
        assert_eq!(first, again, "{case}: a guest that is used again");
        let native = natively(&mut native_gate(&settings(&json!({}))), &request);
        assert_eq!(first, native, "{case}: the same code natively");
        assert!(
            !first.next || first.lines("x-auth-username") != ["mallory"],
            "{case}"
        );
        let pages = fresh.pages();
        assert!(pages <= MAX_PAGES, "{case}: {pages} pages");
        println!("{pages:3} pages after {case}");
        assert_unharmed(&mut fresh, case);
        assert_unharmed(&mut reused, case);
    }
    let pages = reused.pages();
    assert!(pages <= MAX_PAGES, "all of them: {pages} pages");
    println!("{pages:3} pages after all of them in one guest");
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn usual_requests_leave_a_guest_small() {
    let plugin = Plugin::built();
    let mut guest = plugin.start(&settings(&json!({})));
    // Stack, constants and the heap's arena share it: see `plugin/wasi/src/allocator.rs`.
    assert_eq!(guest.pages(), 1, "a guest that has served no request");
    for person in 0..200 {
        let name = format!("user{person}");
        let token = token(KEY, |claims| claims["preferred_username"] = json!(name));
        let outcome = guest.handle(&session(&token)).expect("no trap");
        assert_eq!(outcome.lines("x-auth-username"), [name]);
        guest.response(false).expect("no trap");
    }
    let pages = guest.pages();
    println!("{pages:3} pages after sessions of 200 people");
    assert!(pages <= USUAL_PAGES, "{pages} pages");
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn a_cookie_that_does_not_fit_the_buffer_is_not_the_one_before() {
    let plugin = Plugin::built();
    let mut guest = plugin.start(&settings(&json!({})));
    let padded = |length: usize| with_cookie(format!("junk={}", "A".repeat(length)));
    for length in [2_000, 2_040, 2_047, 2_048, 2_049, 4_096, 70_000, 900_000] {
        let alice = guest.handle(&session(&good())).expect("no trap");
        assert!(alice.next, "{length}");
        let junk = guest.handle(&padded(length)).expect("no trap");
        assert!(!junk.next && junk.status == 401, "{length} bytes of junk");
        assert!(junk.lines("x-auth-username").is_empty(), "{length}");
    }
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn a_response_that_breaks_off_ends_in_a_trap_that_harms_nothing() {
    let plugin = Plugin::built();
    let mut guest = plugin.start(&settings(&json!({})));
    for _ in 0..3 {
        assert!(guest.handle(&session(&good())).expect("no trap").next);
        assert!(guest.response(true).is_err(), "the host must notice");
        assert_unharmed(&mut guest, "a response that broke off");
    }
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn settings_that_cannot_be_served_neither_trap_nor_serve() {
    let plugin = Plugin::built();
    let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let nested_objects = |levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let cases = [
        ("none", String::new()),
        ("no JSON", "\u{0}\u{1}".into()),
        ("lists as deep as may be", nested(8)),
        ("lists one deeper", nested(9)),
        ("lists 100,000 deep", nested(100_000)),
        ("maps as deep as may be", nested_objects(8)),
        ("maps 100 deep", nested_objects(100)),
        ("of another kind", "[1,2,3]".into()),
        ("a short key", settings(&json!({ "keys": "k:c2hvcnQ=" }))),
        (
            "a key that the documentation shows",
            settings(&json!({ "keys": "k:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=" })),
        ),
        ("a wrong pattern", settings(&json!({ "public": "/a/../b" }))),
        ("an unknown key", settings(&json!({ "publik": "/*" }))),
        (
            "a list of 100,000",
            settings(&json!({ "revoked": vec!["x"; 100_000], "x": 1 })),
        ),
        (
            "a rule with nothing under it",
            settings(&json!({ "require": null })),
        ),
        (
            "a file that is not there",
            json!({ "application": "wiki", "keysFile": "/keys/k" }).to_string(),
        ),
    ];
    for (case, settings) in cases {
        let mut guest = plugin.start(&settings);
        for request in [session(&good()), Request::new("GET", "/public/x")] {
            let outcome = guest.handle(&request).expect(case);
            assert!(!outcome.next, "{case}");
            assert_eq!(outcome.status, 503, "{case}");
        }
        let log = guest.log().join("\n");
        assert!(log.contains("503 until this is mended"), "{case}: {log}");
        assert!(
            log.lines().all(|line| line.len() < 1_000),
            "{case}: a line too long"
        );
    }
}

/// The duration of a refusal shows a client neither which byte of a MAC was right nor which keys
/// there are.
#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn a_forged_session_is_as_much_work_wherever_it_is_wrong() {
    let good = good();
    let (signed, mac) = good.rsplit_once('.').expect("a MAC");
    // The last character has bits that are no part of the MAC.
    let wrong_at = |at: usize| {
        let other = if mac.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{signed}.{}{other}{}", &mac[..at], &mac[at + 1..])
    };
    let wrong_from = |at: usize| {
        let flipped = mac[at..mac.len() - 1]
            .chars()
            .map(|own| if own == 'A' { 'B' } else { 'A' });
        let end = &mac[mac.len() - 1..];
        format!(
            "{signed}.{}{}{end}",
            &mac[..at],
            flipped.collect::<String>()
        )
    };
    let mut guest = Plugin::counted().start(&settings(&json!({})));
    let known = session(&good);
    // Each refusal follows the one thing, so that the guest's memory is laid out alike.
    let mut refused = |forged: &str| {
        guest.work(&known);
        guest.work(&session(forged))
    };
    // The first of its kind is logged, and the next ones find memory as it stays.
    for _ in 0..4 {
        refused(&wrong_at(0));
    }
    let expected = refused(&wrong_at(0));
    assert!(expected > 1_000, "something is counted: {expected}");
    for at in 0..mac.len() - 1 {
        let one = refused(&wrong_at(at));
        assert_eq!(one, expected, "wrong in character {at}");
        let rest = refused(&wrong_from(at));
        assert_eq!(rest, expected, "wrong from character {at}");
    }
    let unknown_key = token(&OTHER_KEY.replacen("a:", "b:", 1), |_| {});
    assert_eq!(refused(&unknown_key), expected, "an unknown key id");
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn the_guest_needs_no_randomness_no_network_and_no_buffers() {
    for import in Plugin::built().imports() {
        for forbidden in [
            "enable_features",
            "read_body",
            "random",
            "sock",
            "poll",
            "thread",
            "unlink",
            "rename",
            "remove_dir",
        ] {
            assert!(!import.contains(forbidden), "{import}");
        }
    }
}

/// Generates cookies: as servers and attackers send them, and near misses.
fn cookies() -> impl Strategy<Value = Vec<u8>> {
    let good = good();
    let (front, back) = good.split_at(good.len() / 2);
    let pieces: Vec<Vec<u8>> = [
        format!("__Host-gatepost={good}"),
        format!("__Host-gatepost={}", token(OTHER_KEY, |_| {})),
        format!(
            "__Host-gatepost={}",
            token(KEY, |c| c["aud"] = json!("wiki2"))
        ),
        format!("__Host-gatepost={}", token(KEY, |c| c["exp"] = json!(NOW))),
        format!("__Host-gatepost={}", token(KEY, |c| c["rnw"] = json!(NOW))),
        format!(
            "__Host-gatepost={}",
            token(KEY, |c| c["groups"] = json!([]))
        ),
        format!(
            "__Host-gatepost={}",
            token(KEY, |c| {
                c["groups"] = json!([]);
                c["grp_more"] = json!(true);
            })
        ),
        format!(
            "__Host-gatepost={}",
            token(KEY, |c| {
                c["preferred_username"] = json!("a\r\nX-Evil: 1");
            })
        ),
        format!("__Host-gatepost.0={front}"),
        format!("__Host-gatepost.1={back}"),
        format!("__Host-gatepost.7={back}"),
        format!("gatepost={good}"),
        format!("__Host-gatepost=\"{good}\""),
        "__Host-gatepost=".into(),
        "__Host-gatepost".into(),
        "=".into(),
        "theme=dark".into(),
    ]
    .map(String::into_bytes)
    .into();
    let separator = prop_oneof![
        4 => Just(b"; ".to_vec()),
        1 => Just(b";".to_vec()),
        1 => Just(b", ".to_vec()),
        1 => vec(any::<u8>(), 0..3),
    ];
    vec((prop::sample::select(pieces), separator), 0..5).prop_map(|parts| {
        let mut line = Vec::new();
        for (piece, separator) in parts {
            line.extend(piece);
            line.extend(separator);
        }
        line
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let method = prop_oneof![
        4 => Just("GET".to_owned()),
        1 => "(HEAD|POST|OPTIONS|get|[A-Z]{0,3})",
    ];
    let target = prop_oneof![
        3 => "/(public/|x|akprox/start|)(a|\\.\\.|%2e|%2[fF]|/|;|%00|\\?b=1|%){0,4}",
        1 => "[ -~]{0,12}",
    ];
    let name = prop_oneof![
        "[xX][-_.~!][aA]uth[-_.~!](username|Groups)",
        "x[-_]forwarded[-_](user|email|proto|Preferred_Username)",
        "x[-_.]gatepost[-_.]verdict",
        "(accept|sec-fetch-mode|connection|upgrade|origin|access-control-request-method|host|)",
        "[a-z]{0,6}",
    ];
    let value = prop_oneof![
        "(mallory|allow|navigate|cors|text/html|http|https|ws|close, X-Auth-Username|x_auth[.]username)",
        "[ -~]{0,12}",
    ];
    let lines = vec(cookies(), 0..3);
    (method, target, vec((name, value), 0..6), lines).prop_map(
        |(method, target, headers, lines)| {
            let request = headers
                .into_iter()
                .fold(Request::new(&method, &target), |request, (name, value)| {
                    request.with(name, value)
                });
            lines.into_iter().fold(request, |request, line| {
                request.with("Cookie", without_nul(line))
            })
        },
    )
}

/// Removes NUL from a line: no server, Go's included, passes one on, and the host's interface ends
/// values with it.
fn without_nul(mut line: Vec<u8>) -> Vec<u8> {
    line.retain(|byte| *byte != 0);
    line
}

/// Returns the next request that `source` makes up.
fn made_up(source: &mut TestRunner) -> Request {
    let request = requests().new_tree(source);
    request.expect("a request").current()
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn the_guest_decides_as_the_same_code_does_natively() {
    let plugin = Plugin::built();
    let variants = [
        json!({}),
        json!({ "fallback": "route" }),
        json!({ "fallback": "route", "trustedProxies": ["192.0.2.1"], "rules": [
            { "paths": ["/x*"], "methods": ["GET"], "networks": ["127.0.0.1"], "public": true },
            { "paths": ["/public/a*"], "require": { "groups": ["board"], "maxAge": "1m" } },
        ] }),
        json!({ "mode": "domain", "outpostUrl": "https://auth.example.com", "cookieName": "__Host-gatepost" }),
        json!({ "forwardCookie": true, "allowPreflight": true, "headers": { "preset": "authentik" } }),
    ];
    for variant in variants {
        let settings = settings(&variant);
        let mut guest = plugin.start(&settings);
        let mut gate = native_gate(&settings);
        // Guest and gate go through one request after another: the comparison includes the memory
        // of both.
        let mut source = TestRunner::default();
        for _ in 0..CASES {
            let request = made_up(&mut source);
            let outcome = guest.handle(&request);
            let outcome = outcome.unwrap_or_else(|trap| panic!("{trap}: {variant}: {request:?}"));
            assert_eq!(
                outcome,
                natively(&mut gate, &request),
                "{variant}: {request:?}"
            );
        }
    }
}

/// What a gate remembers of earlier requests changes no answer.
#[test]
fn a_gate_that_is_used_again_answers_as_a_new_one() {
    for variant in [
        json!({}),
        json!({ "fallback": "route" }),
        json!({ "forwardCookie": true, "cookieName": "__Host-gatepost" }),
    ] {
        let settings = settings(&variant);
        let mut used = native_gate(&settings);
        let mut source = TestRunner::default();
        for _ in 0..CASES {
            let request = made_up(&mut source);
            let expected = natively(&mut native_gate(&settings), &request);
            // The second time from memory, as far as it can be.
            for _ in 0..2 {
                let outcome = natively(&mut used, &request);
                assert_eq!(outcome, expected, "{variant}: {request:?}");
            }
        }
    }
}
