use std::collections::HashSet;

use super::*;
use crate::fixture::{KEYS, application, deployment};

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

fn pending(state: &str, target: &str, application: &Application) -> PendingSignIn {
    PendingSignIn {
        state: CsrfToken::new(state.to_owned()),
        nonce: Nonce::new("the nonce".to_owned()),
        code_verifier: PkceCodeVerifier::new("the verifier".to_owned()),
        return_to: ReturnTo::parse(target, application).expect("a target"),
    }
}

/// A browser's flow cookies after these `Set-Cookie` lines.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn keep(&mut self, lines: Vec<String>) {
        for line in lines {
            let (name, rest) = line.split_once('=').expect("a cookie");
            let value = rest.split(';').next().expect("a value");
            self.0.retain(|(own, _)| own != name);
            if !line.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn line(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("; ")
    }
}

fn begin(jar: &mut Jar, state: &str, name: &str, now: NumericDate) {
    let (application, keys) = (application(name), deployment(&KEYS).flow_keys);
    let line = jar.line();
    let flows = FlowCookies::find([line.as_str()], &application, &keys);
    let lines = flows
        .begin(&pending(state, "/a?b#c", &application), now)
        .expect("sealed");
    jar.keep(lines);
}

fn take(
    line: &str,
    state: &str,
    name: &str,
    keys: &[&str],
    now: NumericDate,
) -> Option<PendingSignIn> {
    let (application, keys) = (application(name), deployment(keys).flow_keys);
    FlowCookies::find([line], &application, &keys).take(state, now)
}

#[test]
fn a_flow_comes_back_as_it_was_kept() {
    let mut jar = Jar::default();
    begin(&mut jar, "state", "wiki", NOW);
    let flow = take(&jar.line(), "state", "wiki", &KEYS, NOW.plus_seconds(599)).expect("a flow");
    assert_eq!(flow.nonce.secret(), "the nonce");
    assert_eq!(flow.code_verifier.secret(), "the verifier");
    assert_eq!(flow.return_to.as_str(), "https://app.example.com/a?b#c");
}

#[test]
fn the_cookie_is_confined_and_shows_nothing() {
    let (application, keys) = (application("wiki"), deployment(&KEYS).flow_keys);
    let flows = FlowCookies::find([], &application, &keys);
    let lines = flows
        .begin(&pending("state", "/secret-path", &application), NOW)
        .expect("sealed");
    assert_eq!(lines.len(), 1);
    let (pair, attributes) = lines[0].split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/akprox; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(pair.starts_with("__Secure-gatepost-flow-"), "{pair}");
    for secret in ["state", "nonce", "verifier", "secret-path"] {
        assert!(!pair.contains(secret), "{pair}");
    }
    let again = flows
        .begin(&pending("state", "/secret-path", &application), NOW)
        .expect("sealed");
    assert_ne!(lines, again, "sealed with a nonce of its own");
    let plain = crate::fixture::application("plain");
    let flows = FlowCookies::find([], &plain, &keys);
    let lines = flows
        .begin(&pending("state", "/", &plain), NOW)
        .expect("sealed");
    assert!(
        lines[0].contains("Path=/sso;") && !lines[0].contains("Secure"),
        "{}",
        lines[0]
    );
}

#[test]
fn the_longest_target_fits_a_cookie() {
    let (application, keys) = (application("wiki"), deployment(&KEYS).flow_keys);
    let target = format!("/{}", "a".repeat(2_047));
    let long = PendingSignIn {
        code_verifier: PkceCodeVerifier::new("v".repeat(43)),
        ..pending(&"s".repeat(43), &target, &application)
    };
    let lines = FlowCookies::find([], &application, &keys)
        .begin(&long, NOW)
        .expect("sealed");
    assert!(lines[0].len() < 4_096, "{}", lines[0].len());
}

#[test]
fn a_flow_is_refused_anywhere_but_where_it_began() {
    let mut jar = Jar::default();
    begin(&mut jar, "state", "wiki", NOW);
    let line = jar.line();
    let (name, value) = line.split_once('=').expect("a pair");
    let moved = format!("{}={value}", name_of(&application("wiki"), "other"));
    let flipped = {
        let mut bytes = value.as_bytes().to_vec();
        let last = bytes.len() - 5;
        bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
        format!("{name}={}", String::from_utf8(bytes).expect("text"))
    };
    let later = NOW.plus_seconds(600);
    for (case, line, state, app, now) in [
        ("no cookie", "", "state", "wiki", NOW),
        ("another state", &*line, "other", "wiki", NOW),
        ("another state's cookie", &*moved, "other", "wiki", NOW),
        ("another application", &*line, "state", "intranet", NOW),
        ("expired", &*line, "state", "wiki", later),
        ("changed", &*flipped, "state", "wiki", NOW),
        ("no state", &*line, "", "wiki", NOW),
    ] {
        assert!(take(line, state, app, &KEYS, now).is_none(), "{case}");
    }
}

#[test]
fn any_key_of_the_ring_opens_and_no_other() {
    let mut jar = Jar::default();
    begin(&mut jar, "state", "wiki", NOW);
    let line = jar.line();
    let (a, b) = (KEYS[0], KEYS[1]);
    assert!(
        take(&line, "state", "wiki", &[b, a], NOW).is_some(),
        "rotated"
    );
    assert!(take(&line, "state", "wiki", &[b], NOW).is_none(), "retired");
    let same_id = b.replacen("b:", "a:", 1);
    assert!(
        take(&line, "state", "wiki", &[&same_id], NOW).is_none(),
        "another key of that id"
    );
}

#[test]
fn tabs_do_not_disturb_each_other_and_the_oldest_flow_makes_room() {
    let mut jar = Jar::default();
    for (seconds, state) in ["1", "2", "3", "4", "5", "6", "7"].into_iter().enumerate() {
        begin(
            &mut jar,
            state,
            "wiki",
            NOW.plus_seconds(u64::try_from(seconds).expect("small")),
        );
        assert!(jar.0.len() <= MAX_FLOWS, "{}", jar.line());
    }
    let kept: Vec<&str> = ["1", "2", "3", "4", "5", "6", "7"]
        .into_iter()
        .filter(|state| take(&jar.line(), state, "wiki", &KEYS, NOW).is_some())
        .collect();
    assert_eq!(kept, ["3", "4", "5", "6", "7"]);

    jar.0
        .push(("__Secure-gatepost-flow-junk".into(), "x".into()));
    begin(&mut jar, "8", "wiki", NOW.plus_seconds(8));
    assert!(
        !jar.line().contains("junk"),
        "what cannot be opened goes first: {}",
        jar.line()
    );
}

#[test]
fn states_nonces_and_verifiers_are_long_and_never_the_same() {
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        for text in [
            CsrfToken::new_random_len(32).into_secret(),
            Nonce::new_random_len(32).secret().clone(),
            openidconnect::PkceCodeChallenge::new_random_sha256()
                .1
                .into_secret(),
        ] {
            assert!(text.len() >= 43, "{text}");
            assert!(seen.insert(text));
        }
    }
}
