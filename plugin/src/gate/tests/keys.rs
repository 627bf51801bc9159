//! Where keys come from, and which keys serve no request.

use super::*;

#[test]
fn keys_that_the_documentation_shows_serve_nobody() {
    let shown = "mine:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
    let both = format!("{KEY_A}\n{shown}\n");
    let ring = KeyRing::parse_published(shown).expect("a ring");
    let sent = cookie_of(&ring, &claims());
    for settings in [
        json!({"application": "wiki", "keys": [KEY_A, shown]}),
        json!({"application": "wiki", "keysFile": "/keys/gatepost"}),
        json!({"application": "wiki", "keysEnv": "GATEPOST_KEYS"}),
    ] {
        let mut host = Double::at(NOW)
            .with("Cookie", &sent)
            .with_file("/keys/gatepost", &both);
        host.env.insert("GATEPOST_KEYS".into(), both.clone());
        let mut gate = Gate::new(settings.to_string().as_bytes(), &host);
        assert_eq!(gate.handle(&host), Flow::Responded, "{settings}");
        assert_eq!(host.status(), Some(503), "{settings}");
        let log = host.log.borrow().join(" ");
        let named = log.contains("key `mine` is published in Gatepost's documentation");
        assert!(named && !log.contains("QkNERUZ"), "{log}");
    }
}

#[test]
fn keys_rotate_while_requests_are_served() {
    let settings = json!({"application": "wiki", "keysFile": "/keys/gatepost"}).to_string();
    let old = cookie_signed_by(KEY_A, &claims());
    let new = cookie_signed_by(KEY_B, &claims());
    let file = |content: &str| Double::at(NOW).with_file("/keys/gatepost", content);
    let mut gate = Gate::new(settings.as_bytes(), &file(KEY_A));
    let mut passes = |seconds: u64, content: Option<&str>, sent: &str| {
        let host = match content {
            Some(content) => file(content),
            None => Double::at(NOW),
        };
        host.now.set(NOW + seconds);
        let host = host.with("Cookie", sent);
        let passes = gate.handle(&host) == Flow::Continue;
        (passes, host.log.take().join(" "))
    };

    let both = format!("{KEY_B}\n{KEY_A}\n");
    assert_eq!(passes(0, Some(KEY_A), &old), (true, String::new()));
    assert!(
        !passes(9, Some(&both), &new).0,
        "not looked at again before ten seconds"
    );
    assert_eq!(
        passes(10, Some(&both), &new),
        (true, "Info: keys in force: b, a".into())
    );
    assert!(
        passes(11, Some(&both), &old).0,
        "the old key still verifies"
    );
    let (still, log) = passes(20, Some("b:short"), &old);
    assert!(
        still && log.contains("stay in force"),
        "a wrong file leaves the ring: {log}"
    );
    let (still, log) = passes(30, None, &old);
    assert!(
        still && log.contains("stay in force"),
        "so does a missing one: {log}"
    );
    assert!(
        !passes(40, Some(KEY_B), &old).0,
        "retired, also for remembered cookies"
    );
    assert!(passes(41, Some(KEY_B), &new).0);
}

#[test]
fn a_missing_keys_file_is_tried_again() {
    let settings = json!({"application": "wiki", "keysFile": "/keys/gatepost"}).to_string();
    let host = Double::at(NOW);
    let mut gate = Gate::new(settings.as_bytes(), &host);
    assert!(host.log.borrow()[0].contains("/keys/gatepost cannot be read"));
    let sent = cookie(&claims());
    let before = Double::at(NOW).with("Cookie", &sent);
    assert_eq!(gate.handle(&before), Flow::Responded);
    assert_eq!(before.status(), Some(503));
    let after = Double::at(NOW + 1)
        .with("Cookie", &sent)
        .with_file("/keys/gatepost", KEY_A);
    assert_eq!(gate.handle(&after), Flow::Continue);
}

/// A ring that is read in part would lack the keys at its end: their sessions would be refused
/// without a reason.
#[test]
fn a_keys_file_that_is_too_large_is_refused_and_not_cut() {
    let settings = json!({"application": "wiki", "keysFile": "/keys/gatepost"}).to_string();
    for (comment, served) in [
        (8_192 - KEY_A.len() - 1, true),
        (8_192 - KEY_A.len(), false),
    ] {
        let content = format!("#{}\n{KEY_A}", "x".repeat(comment - 1));
        let host = Double::at(NOW)
            .with("Cookie", &cookie(&claims()))
            .with_file("/keys/gatepost", &content);
        let outcome = Gate::new(settings.as_bytes(), &host).handle(&host);
        assert_eq!(outcome == Flow::Continue, served, "{} bytes", content.len());
        let log = host.log.borrow().join(" ");
        assert_eq!(log.contains("larger than 8192 bytes"), !served, "{log}");
    }
}

#[test]
fn keys_come_from_the_environment() {
    let settings = json!({"application": "wiki", "keysEnv": "GATEPOST_KEYS"}).to_string();
    let mut host = Double::at(NOW).with("Cookie", &cookie(&claims()));
    host.env.insert("GATEPOST_KEYS".into(), KEY_A.into());
    assert_eq!(
        Gate::new(settings.as_bytes(), &host).handle(&host),
        Flow::Continue
    );
}
