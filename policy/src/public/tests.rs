use super::path::MAX_PATH_BYTES;
use super::*;
use alloc::string::ToString;
use proptest::prelude::*;
use std::format;

fn public(patterns: &[&str], method: &str, target: &str) -> bool {
    PublicPaths::parse(patterns.iter().copied())
        .expect("patterns")
        .contains(method.as_bytes(), target.as_bytes())
}

#[test]
fn patterns_within_others_are_found() {
    for (own, others, expected) in [
        (
            &["/a", "/b/*"][..],
            &["/a", "/b/c", "/b/c/*", "/b/*"][..],
            true,
        ),
        (&["/a"], &[], true),
        (&[], &["/a"], false),
        (&["/a"], &["/a/"], false),
        (&["/a/*"], &["/a"], false),
        (&["/a/*"], &["/*"], false),
        (&["/a/b"], &["/a/*"], false),
        (&["GET=/a"], &["GET=/a"], true),
        (&["GET=/a"], &["/a"], false),
        (&["GET=/a"], &["POST=/a"], false),
        (&["/a"], &["GET=/a"], true),
        (&["/img/*.png"], &["/img/a*.png", "/img/b.png"], true),
        (&["/img/*.png"], &["/img/*"], false),
        (&["/img/a*.png"], &["/img/*.png"], false),
        (&["/u/*/avatar"], &["/u/7/avatar", "/u/*x/avatar"], true),
        (&["/u/*/avatar"], &["/u/*/*"], false),
        (&["/*"], &["/a", "/a/*", "/"], true),
    ] {
        let parse = |all: &[&str]| PublicPaths::parse(all.iter().copied()).expect("patterns");
        let (own, others) = (parse(own), parse(others));
        assert_eq!(own.covers(&others), expected, "{own:?} {others:?}");
    }
}

proptest! {
    /// Row B9: a router's patterns are in the place of the application's where none is beyond
    /// them, so what they match must be public there.
    #[test]
    fn nothing_within_opens_more(
        own in patterns(),
        others in patterns(),
        method in prop::sample::select(&["GET", "POST"][..]),
        path in "(/[ab]{0,2}){1,3}",
    ) {
        let parse = |all: &[String]| {
            PublicPaths::parse(all.iter().map(String::as_str)).expect("patterns")
        };
        let (own, others) = (parse(&own), parse(&others));
        if own.covers(&others) {
            let open = |paths: &PublicPaths| {
                paths.contains(method.as_bytes(), path.as_bytes())
            };
            prop_assert!(!open(&others) || open(&own), "{own:?} {others:?}");
        }
    }
}

/// Generates lists of patterns of few characters, which often cover each other.
fn patterns() -> impl Strategy<Value = Vec<String>> {
    let pattern = "(GET=)?(/[ab*]{1,2}){1,3}|/[*]";
    prop::collection::vec(pattern, 0..3)
}

#[test]
fn an_example_is_public_itself() {
    for (patterns, expected) in [
        (&[][..], None),
        (&["/public/*"], Some(("GET", "/public/x"))),
        (&["/*"], Some(("GET", "/x"))),
        (&["/"], Some(("GET", "/"))),
        (&["/img/*.png"], Some(("GET", "/img/x.png"))),
        (&["POST=/hook"], Some(("POST", "/hook"))),
        (&["POST=/hook", "GET=/feed"], Some(("GET", "/feed"))),
    ] {
        let public = PublicPaths::parse(patterns.iter().copied()).expect("patterns");
        let example = public.example();
        let shown = example
            .as_ref()
            .map(|(method, path)| (*method, path.as_str()));
        assert_eq!(shown, expected);
        if let Some((method, path)) = example {
            assert!(
                public.contains(method.as_bytes(), path.as_bytes()),
                "{path}"
            );
        }
    }
}

#[test]
fn patterns_have_the_text_that_they_were_parsed_of() {
    let written = [
        "/a",
        "/",
        "/*",
        "/a/*",
        "/u/*/avatar",
        "GET=/hook",
        "GET=/*",
        "/\u{e9}*",
    ];
    let public = PublicPaths::parse(written).expect("patterns");
    assert!(public.texts().eq(written));
}

#[test]
fn patterns_match_what_their_text_says() {
    let cases = [
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz?verbose=1", true),
        ("/healthz", "/healthz/", false),
        ("/healthz", "/HEALTHZ", false),
        ("/", "/", true),
        ("/", "/x", false),
        ("/*", "/any/thing", true),
        ("/static/*", "/static/app.css", true),
        ("/static/*", "/static/a/b/c", true),
        ("/static/*", "/static/", true),
        ("/static/*", "/static", false),
        ("/static/*", "/staticx", false),
        ("/users/*/avatar", "/users/7/avatar", true),
        ("/users/*/avatar", "/users/7/8/avatar", false),
        ("/users/*/avatar", "/users//avatar", false),
        ("/img/*.png", "/img/a.b.png", true),
        ("/img/*.png", "/img/a/b.png", false),
        ("/img/a*b*c", "/img/aXbYbZc", true),
        ("/img/a*b*c", "/img/aXbYbZ", false),
        ("/a b", "/a%20b", true),
        ("/straße/*", "/stra%C3%9Fe/1", true),
        ("/api/*/status", "/api/private?path=/status", false),
    ];
    for (pattern, target, expected) in cases {
        assert_eq!(
            public(&[pattern], "GET", target),
            expected,
            "{pattern} {target}"
        );
    }
}

#[test]
fn a_method_in_front_limits_the_pattern_to_it() {
    for (method, expected) in [
        ("GET", true),
        ("HEAD", false),
        ("POST", false),
        ("get", false),
    ] {
        assert_eq!(
            public(&["GET=/hook"], method, "/hook"),
            expected,
            "{method}"
        );
    }
    assert!(
        public(&["/a=b"], "GET", "/a=b"),
        "an equal sign in a path is no method"
    );
}

#[test]
fn a_path_that_servers_read_differently_is_never_public() {
    // Origins: CVE-2025-32431, -47952, -66490, CVE-2026-41059, CVE-2021-32637 and their kin.
    for target in [
        "/public/../admin",
        "/public/./../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..%5cadmin",
        "/public/%5c..%5cadmin",
        "/public/%2e%2e%2fadmin",
        "/public/%252e%252e/admin",
        "/public/%25%32%66..",
        "/public/..;/admin",
        "/public;x=/../admin",
        "/public/x;/../../admin",
        "/public/x;jsessionid=1",
        "/public/x%3b",
        "/public/x%00/../../admin",
        "/public/%00",
        "/public/x%3f",
        "/public/secret%23/bar",
        "/public/secret#/bar",
        "//public/x",
        "/public//x",
        "/public//../admin",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%u002e",
        "/public/\\..\\admin",
        "/public/é",
        "/public/ x",
        "/public/..%20/admin",
        "/public/..%20",
        "/public/.../admin",
        "/public/.%20./admin",
        "/public/%20../admin",
        "/public/x./admin",
        "/public/x%20/admin",
        "/public/x.",
        "/public/%20",
        "/public/..%09/admin",
        "/public/%EF%BC%8E%EF%BC%8E/admin",
        "/public/%E2%80%A4%E2%80%A4/admin",
        "/public/%E2%80%A5/admin",
        "/public/%E3%80%82%E3%80%82/admin",
        "/public/%EF%BD%A1%EF%BD%A1/admin",
        "/public/..%EF%BC%8Fadmin",
        "/public/..%E2%88%95admin",
        "/public/..%E2%81%84admin",
        "/public/..%EF%BC%BCadmin",
        "/public/..%E2%A7%B5admin",
        "/public/..%C2%A5admin",
        "/public/..%EF%BC%9B/admin",
        "/public/..%CD%BE/admin",
        "/public/..%C2%A0/admin",
        "/public/.%E2%80%8B./admin",
        "/public/.%C2%AD./admin",
        "/public/..%EF%BB%BF/admin",
        "/public/\u{7f}",
        "/public/%0d%0a",
        "/public/%C2%85",
        "/public/%",
        "/public/%2",
        "/public/%zz",
        "/public/%+1",
        "/public/.",
        "/public/..",
        "http://evil.example/public/x",
        "public/x",
        "*",
        "",
        "?/public/x",
    ] {
        assert!(!public(&["/public/*", "/*"], "GET", target), "{target}");
    }
}

/// The characters whose compatibility form (NFKC or NFKD of Unicode 15) is a blank or holds one
/// of `.`, `/`, `\`, `%`, `;`, `?` and `#`.
#[test]
fn no_character_becomes_another_that_counts() {
    for folded in [
        '\u{a0}'..='\u{a0}',
        '\u{37e}'..='\u{37e}',
        '\u{2000}'..='\u{200a}',
        '\u{2024}'..='\u{2026}',
        '\u{202f}'..='\u{202f}',
        '\u{2047}'..='\u{2049}',
        '\u{205f}'..='\u{205f}',
        '\u{2100}'..='\u{2101}',
        '\u{2105}'..='\u{2106}',
        '\u{2488}'..='\u{249b}',
        '\u{3000}'..='\u{3000}',
        '\u{33c2}'..='\u{33c2}',
        '\u{33c7}'..='\u{33c7}',
        '\u{33d8}'..='\u{33d8}',
        '\u{fe14}'..='\u{fe14}',
        '\u{fe16}'..='\u{fe16}',
        '\u{fe19}'..='\u{fe19}',
        '\u{fe30}'..='\u{fe30}',
        '\u{fe52}'..='\u{fe6a}',
        '\u{ff03}'..='\u{ff3c}',
        '\u{1f100}'..='\u{1f100}',
    ] {
        for character in folded {
            let target: String = format!("/public/{character}")
                .bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect();
            let target = target.replace("%2f", "/");
            assert!(!public(&["/public/*"], "GET", &target), "{character:?}");
        }
    }
    for kept in [
        "/public/Jörg – “Größe” 日本語.html",
        "/public/.well-known/x",
        "/public/a.b c",
    ] {
        let target: String = kept.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let target = target.replace("%2f", "/");
        assert!(public(&["/public/*"], "GET", &target), "{kept}");
    }
}

#[test]
fn a_pattern_that_could_never_match_is_refused() {
    for pattern in [
        "",
        "x",
        "*",
        "/a?b",
        "/a#b",
        "/a//b",
        "/a/../b",
        "/a;b",
        "/a%20b",
        "get=/x",
        "/a./b",
        "/a /b",
        "/a\u{ff0e}b",
    ] {
        let error = PublicPaths::parse([pattern]).expect_err(pattern);
        assert!(
            error.to_string().starts_with(&format!("`{pattern}`: ")),
            "{error}"
        );
    }
}

#[test]
fn a_huge_path_is_decided() {
    let target = format!("/{}", "a/".repeat(50_000));
    assert!(!public(
        &["/a*a*a*a*b", "/*/*/x", "/users/*"],
        "GET",
        &target
    ));
    for length in [MAX_PATH_BYTES - 1, 100_000] {
        let segment = format!("/{}", "a".repeat(length));
        assert!(!public(&["/*a*a*a*a*b"], "GET", &segment), "{length}");
        let taken = public(&["/*"], "GET", &segment);
        assert_eq!(taken, length < MAX_PATH_BYTES, "{length}");
    }
}
