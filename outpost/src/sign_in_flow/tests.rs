use std::collections::HashSet;

use super::*;
use crate::fixture::{KEYS, application, snapshot};

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

fn pending(state: &str, target: &str, application: &Application) -> PendingSignIn {
    PendingSignIn {
        state: CsrfToken::new(state.to_owned()),
        nonce: Nonce::new("the nonce".to_owned()),
        code_verifier: PkceCodeVerifier::new("the verifier".to_owned()),
        return_to: ReturnTo::parse(target, application).expect("a target"),
        purpose: Purpose::SignIn,
        restarts: 0,
        began: NOW,
    }
}

/// A browser's cookies.
#[derive(Clone, Default)]
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

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Begins a flow, and returns the jar.
    fn begin(mut self, state: &str, name: &str, now: NumericDate) -> Self {
        let (application, keys) = (application(name), snapshot(&KEYS[..1]).flow_keys);
        let flow = PendingSignIn {
            began: now,
            ..pending(state, "/a?b#c", &application)
        };
        let flows = FlowCookies::find(self.pairs(), &application, &keys);
        let lines = flows.begin(application.providers().first(), &flow);
        self.keep(lines.expect("sealed"));
        self
    }

    fn take(
        &self,
        state: &str,
        name: &str,
        keys: &[&str],
        now: NumericDate,
    ) -> Option<PendingSignIn> {
        let (application, keys) = (application(name), snapshot(keys).flow_keys);
        let flows = FlowCookies::find(self.pairs(), &application, &keys);
        flows.take(state, now).map(|(_, flow)| flow)
    }

    /// The value of one of the parts of a flow in several cookies.
    fn chunk(&self, at: usize) -> String {
        let name = chunk_name(&self.long(), at);
        let part = self.0.iter().find(|(own, _)| *own == name);
        part.expect("a part").1.clone()
    }

    /// The name of the flow in several cookies.
    fn long(&self) -> String {
        let first = self.0.iter().find_map(|(name, _)| name.strip_suffix(".1"));
        first.expect("a long flow").to_owned()
    }

    /// With one of the parts of a flow in several cookies changed; `None` drops it.
    fn changed_chunk(&self, at: usize, change: impl Fn(&str) -> Option<String>) -> Self {
        let changed = chunk_name(&self.long(), at);
        let pairs = self.0.iter().filter_map(|(name, value)| {
            if *name == changed {
                Some((name.clone(), change(value)?))
            } else {
                Some((name.clone(), value.clone()))
            }
        });
        Self(pairs.collect())
    }

    /// Changes the values of cookies whose name starts with `prefix`; `None` drops them.
    fn changed(&self, prefix: &str, change: impl Fn(&str) -> Option<(String, String)>) -> Self {
        let changed = self.0.iter().filter_map(|(name, value)| {
            if name.starts_with(prefix) {
                change(value)
            } else {
                Some((name.clone(), value.clone()))
            }
        });
        Self(changed.collect())
    }
}

#[test]
fn a_flow_comes_back_as_it_was_kept() {
    for name in ["wiki", "plain", "intranet"] {
        let jar = Jar::default().begin("state", name, NOW);
        let flow = jar
            .take("state", name, &KEYS, NOW.plus_seconds(2_099))
            .expect("a flow");
        assert_eq!(flow.nonce.secret(), "the nonce");
        assert_eq!(flow.code_verifier.secret(), "the verifier");
        assert!(flow.return_to.as_str().ends_with("/a?b#c"), "{name}");
    }
}

#[test]
fn a_step_up_comes_back_for_the_same_user_request_and_conditions() {
    let (wiki, keys) = (application("wiki"), snapshot(&KEYS[..1]).flow_keys);
    let conditions = LinkedConditions::from_text("all=claim:acr:gold%26&all=maxAge:60");
    let step_up = SteppingUp {
        session: SessionId::from_random([7; 24]),
        issuer: "https://id.example.com".into(),
        subject: "alice".into(),
        request: Some(AskedRequest {
            method: "POST".into(),
            is_from_anywhere: true,
            url: ReturnTo::parse("/vault/x", &wiki),
        }),
        conditions: Some(conditions.expect("conditions")),
        replaces: true,
    };
    let bare = SteppingUp {
        request: None,
        conditions: None,
        replaces: false,
        ..step_up.clone()
    };
    for step_up in [step_up, bare] {
        let flow = PendingSignIn {
            purpose: Purpose::StepUp(step_up.clone()),
            ..pending("state", "/a", &wiki)
        };
        let mut jar = Jar::default();
        let flows = FlowCookies::find([], &wiki, &keys);
        let lines = flows.begin(wiki.providers().first(), &flow);
        jar.keep(lines.expect("sealed"));
        let flow = jar.take("state", "wiki", &KEYS, NOW).expect("a flow");
        assert_eq!(flow.purpose, Purpose::StepUp(step_up));
    }
}

/// With the longest link of all.
#[test]
fn a_step_up_fits_cookies_that_browsers_keep() {
    let (wiki, keys) = (application("wiki"), snapshot(&KEYS[..1]).flow_keys);
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes));
    let conditions = ["all=claim:acr:", &"b".repeat(2_000)].concat();
    let flow = PendingSignIn {
        purpose: Purpose::StepUp(SteppingUp {
            session: SessionId::from_random([7; 24]),
            issuer: "https://id.example.com".into(),
            subject: "s".repeat(255),
            request: Some(AskedRequest {
                method: "POST".into(),
                is_from_anywhere: false,
                url: ReturnTo::parse(&path(990), &wiki),
            }),
            conditions: LinkedConditions::from_text(&conditions).ok(),
            replaces: true,
        }),
        ..pending("state", &path(6_000), &wiki)
    };
    let flows = FlowCookies::find([], &wiki, &keys);
    assert!(flows.begin(wiki.providers().first(), &flow).is_some());
}

#[test]
fn the_cookie_is_confined_and_shows_nothing() {
    let (wiki, keys) = (application("wiki"), snapshot(&KEYS[..1]).flow_keys);
    let begin = |application: &Application| {
        let flow = pending("state", "/secret-path", application);
        FlowCookies::find([], application, &keys)
            .begin(application.providers().first(), &flow)
            .expect("sealed")
    };
    let lines = begin(&wiki);
    let (pair, attributes) = lines[0].split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/akprox; Max-Age=2100; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(pair.starts_with("__Secure-gatepost-flow-"), "{pair}");
    let (mark, attributes) = lines[1].split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=2100; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(
        mark.starts_with("__Host-gatepost-flow-") && mark.ends_with("=1"),
        "{mark}"
    );
    assert_eq!(lines.len(), 2);
    for secret in ["state", "nonce", "verifier", "secret-path"] {
        assert!(
            !pair.contains(secret) && !mark.contains(secret),
            "{pair} {mark}"
        );
    }
    assert_ne!(lines, begin(&wiki), "sealed with a nonce of its own");

    let lines = begin(&application("plain"));
    assert_eq!(lines.len(), 1, "no prefix over plain http");
    assert!(
        lines[0].contains("Path=/sso;") && !lines[0].contains("Secure"),
        "{}",
        lines[0]
    );
}

/// Another host of the domain can set them, and no response removes them: they have a `Domain`.
#[test]
fn cookies_that_another_host_made_up_make_no_answer_large() {
    for (name, prefix) in [
        ("wiki", "__Secure-gatepost-flow-"),
        ("plain", "gatepost-flow-"),
    ] {
        let (application, keys) = (application(name), snapshot(&KEYS[..1]).flow_keys);
        let tossed: Vec<String> = (0..4_000).map(|at| format!("{prefix}{at:016}")).collect();
        let own = Jar::default().begin("own", name, NOW);
        let pairs = tossed
            .iter()
            .map(|name| (name.as_str(), "a"))
            .chain(own.pairs());
        let flows = FlowCookies::find(pairs, &application, &keys);
        let next = pending("next", "/", &application);
        let lines = flows
            .begin(application.providers().first(), &next)
            .expect("sealed");
        let dropped = lines.iter().filter(|line| line.contains("Max-Age=0"));
        assert_eq!(
            dropped.count(),
            if name == "wiki" { 0 } else { MAX_DROPPED }
        );
        assert!(flows.take("own", NOW).is_some());
    }
}

#[test]
fn the_longest_target_fits_cookies_that_browsers_keep() {
    let (application, keys) = (application("wiki"), snapshot(&KEYS[..1]).flow_keys);
    let target = format!("/{}", "a".repeat(9_000));
    let long = PendingSignIn {
        nonce: Nonce::new("n".repeat(43)),
        code_verifier: PkceCodeVerifier::new("v".repeat(43)),
        ..pending(&"s".repeat(43), &target, &application)
    };
    let lines = FlowCookies::find([], &application, &keys)
        .begin(application.providers().first(), &long)
        .expect("sealed");
    for line in &lines {
        assert!(line.len() < 4_096, "{}", line.len());
    }
    let mut jar = Jar::default().begin("other", "wiki", NOW);
    jar.keep(lines);
    let state = "s".repeat(43);
    let flow = jar.take(&state, "wiki", &KEYS, NOW).expect("a flow");
    assert!(flow.return_to.as_str().ends_with(&target));
    for (case, changed) in [
        ("a part is missing", jar.changed_chunk(1, |_| None)),
        (
            "a part is another's",
            jar.changed_chunk(2, |_| Some("x".repeat(3_600))),
        ),
        ("parts are exchanged", {
            let second = jar.chunk(1);
            jar.changed_chunk(0, |_| Some(second.clone()))
        }),
    ] {
        assert!(changed.take(&state, "wiki", &KEYS, NOW).is_none(), "{case}");
    }
    // The next flow drops it, with all its parts.
    let jar = jar.begin("next", "wiki", NOW.plus_seconds(1));
    assert!(
        jar.pairs().all(|(name, _)| !name.contains('.')),
        "{:?}",
        jar.0
    );
    assert!(jar.take("next", "wiki", &KEYS, NOW).is_some());
}

/// Where the cookies of a flow are gone, its `state` says where the user was going.
#[test]
fn a_note_opens_for_its_application_and_with_its_keys_alone() {
    let (wiki, keys) = (application("wiki"), snapshot(&KEYS[..1]).flow_keys);
    let state = |target: &str| {
        let return_to = ReturnTo::parse(target, &wiki).expect("a target");
        let note = Note {
            return_to,
            restarts: 2,
            step_up: Some(vec![("step_up".into(), "POST /form".into())]),
        };
        format!("random.{}", note.seal(&wiki, &keys).expect("sealed"))
    };
    let open = |state: &str, name: &str, keys: &SealingKeys| {
        let application = application(name);
        let flows = FlowCookies::find([], &application, keys);
        let note = flows.note(state)?;
        // Beside a long target there is no room for it, but for that it was there.
        let step_up = note.step_up.expect("a step-up");
        assert!(step_up.is_empty() || step_up[0].1 == "POST /form");
        Some((note.return_to.as_str().to_owned(), note.restarts))
    };
    let noted = state("/a?b=c");
    let expected = Some(("https://app.example.com/a?b=c".to_owned(), 2));
    assert_eq!(open(&noted, "wiki", &keys), expected);
    assert!(!noted.contains("app.example"), "{noted}");
    assert_eq!(open(&noted, "either", &keys), None, "another application");
    let others = snapshot(&KEYS[1..]).flow_keys;
    assert_eq!(open(&noted, "wiki", &others), None, "other keys");
    let mut changed = noted.clone();
    changed.truncate(noted.len() - 1);
    for state in [&*changed, "", ".", "random", "random.", "random.a.b"] {
        assert_eq!(open(state, "wiki", &keys), None, "{state}");
    }
    // A long target would make the URL of the provider too long.
    let long = state(&format!("/{}", "a".repeat(2_000)));
    assert!(long.len() < 200, "{long}");
    let home = Some(("https://app.example.com/".to_owned(), 2));
    assert_eq!(open(&long, "wiki", &keys), home);
}

#[test]
fn a_flow_knows_when_it_began() {
    let jar = Jar::default().begin("state", "wiki", NOW);
    let later = NOW.plus_seconds(600);
    let flow = jar.take("state", "wiki", &KEYS, later).expect("a flow");
    assert_eq!(flow.began, NOW);
}

#[test]
fn a_flow_is_refused_anywhere_but_where_it_began() {
    const FLOW: &str = "__Secure-";
    let jar = Jar::default().begin("state", "wiki", NOW);
    let other = Jar::default().begin("other", "wiki", NOW);
    let with = |mut a: Jar, b: &Jar| {
        a.0.extend(b.0.clone());
        a
    };
    let moved = jar.changed(FLOW, |value| {
        Some((
            format!("__Secure-gatepost-flow-{}", id_of("other")),
            value.to_owned(),
        ))
    });
    let mark_of_other = other.changed(FLOW, |_| None);
    let flipped = jar.changed(FLOW, |value| {
        let mut bytes = value.as_bytes().to_vec();
        let last = bytes.len() - 5;
        bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
        let name = format!("__Secure-gatepost-flow-{}", id_of("state"));
        Some((name, String::from_utf8(bytes).expect("text")))
    });
    let planted = jar.changed("__Host-", |_| None);
    let later = NOW.plus_seconds(2_100);
    for (case, jar, state, app, now) in [
        ("no cookie", &Jar::default(), "state", "wiki", NOW),
        ("another state", &jar, "other", "wiki", NOW),
        (
            "another flow's cookie",
            &with(moved, &mark_of_other),
            "other",
            "wiki",
            NOW,
        ),
        ("another application", &jar, "state", "intranet", NOW),
        ("expired", &jar, "state", "wiki", later),
        ("changed", &flipped, "state", "wiki", NOW),
        ("no state", &jar, "", "wiki", NOW),
        ("planted by another host", &planted, "state", "wiki", NOW),
        (
            "planted next to another flow",
            &with(planted.clone(), &other),
            "state",
            "wiki",
            NOW,
        ),
    ] {
        assert!(jar.take(state, app, &KEYS, now).is_none(), "{case}");
    }
    assert!(jar.take("state", "wiki", &KEYS, NOW).is_some());
}

#[test]
fn any_key_of_the_ring_opens_and_no_other() {
    let jar = Jar::default().begin("state", "wiki", NOW);
    let (a, b) = (KEYS[0], KEYS[1]);
    assert!(jar.take("state", "wiki", &[b, a], NOW).is_some(), "rotated");
    assert!(jar.take("state", "wiki", &[b], NOW).is_none(), "retired");
    let same_id = b.replacen("b:", "a:", 1);
    assert!(
        jar.take("state", "wiki", &[&same_id], NOW).is_none(),
        "another key of that id"
    );
}

#[test]
fn tabs_do_not_disturb_each_other_and_the_oldest_flow_makes_room() {
    let states: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
    let mut jar = Jar::default();
    for (seconds, state) in (0..).zip(&states) {
        jar = jar.begin(state, "wiki", NOW.plus_seconds(seconds));
        let size: usize = jar
            .pairs()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(size <= ROOM + 1_024, "{size}");
    }
    let kept: Vec<&String> = states
        .iter()
        .filter(|state| jar.take(state, "wiki", &KEYS, NOW).is_some())
        .collect();
    assert!(kept.len() >= 5, "{kept:?}");
    assert_eq!(
        kept,
        states.iter().skip(30 - kept.len()).collect::<Vec<_>>()
    );

    jar.0
        .push(("__Secure-gatepost-flow-junk".into(), "x".into()));
    jar.0
        .push(("__Secure-gatepost-flow-junk.3".into(), "x".into()));
    jar.0.push(("__Host-gatepost-flow-junk".into(), "1".into()));
    jar = jar.begin("31", "wiki", NOW.plus_seconds(31));
    assert!(
        jar.pairs().all(|(name, _)| !name.contains("junk")),
        "what cannot be opened goes first"
    );
}

#[test]
fn ending_a_flow_removes_both_its_cookies_and_no_others() {
    let mut jar = Jar::default()
        .begin("1", "wiki", NOW)
        .begin("2", "wiki", NOW);
    let (application, keys) = (application("wiki"), snapshot(&KEYS).flow_keys);
    let end = |jar: &Jar, state| FlowCookies::find(jar.pairs(), &application, &keys).end(state);
    assert!(end(&jar, "3").is_empty(), "none of this browser's");
    let lines = end(&jar, "1");
    jar.keep(lines);
    assert_eq!(jar.0.len(), 2);
    assert!(jar.take("2", "wiki", &KEYS, NOW).is_some());
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

/// The provider that began a flow finishes it, also where the application has others.
#[test]
fn a_flow_belongs_to_one_of_several_providers() {
    let (either, keys) = (application("either"), snapshot(&KEYS[..1]).flow_keys);
    for provider in either.providers().iter() {
        let mut jar = Jar::default();
        let flow = pending("state", "/a", &either);
        let lines = FlowCookies::find([], &either, &keys).begin(provider, &flow);
        jar.keep(lines.expect("sealed"));
        let flows = FlowCookies::find(jar.pairs(), &either, &keys);
        let (own, _) = flows.take("state", NOW).expect("a flow");
        assert!(Arc::ptr_eq(own, provider), "{}", provider.settings().name);
        // An application that has only the other provider has no such flow.
        let wiki = application("wiki");
        let elsewhere = FlowCookies::find(jar.pairs(), &wiki, &keys);
        assert!(elsewhere.take("state", NOW).is_none());
    }
}
