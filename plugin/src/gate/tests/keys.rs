//! Keys with which everybody can sign.

use super::*;

/// Everybody can make sessions with one.
#[test]
fn keys_that_the_documentation_shows_serve_nobody() {
    let shown = "mine:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
    let both = format!("{KEY_A}\n{shown}\n");
    let sent = cookie_signed_by(shown, &claims());
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
        let named = log.contains("key `mine` is an example that everybody can read");
        assert!(named && !log.contains("QkNERUZ"), "{log}");
    }
}
