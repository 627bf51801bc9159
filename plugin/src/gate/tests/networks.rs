//! Rules for the networks of clients.

use super::*;

/// Traefik leaves the header to its trusted peers alone, so it shows that another proxy asks.
#[test]
fn a_request_of_another_proxy_has_no_known_address() {
    let settings = |rule: &str| {
        format!(r#"{{"application": "wiki", "keysFile": "/keys/gatepost", "rules": [{rule}]}}"#)
    };
    let open = settings(r#"{"networks": ["192.0.2.0/24"], "public": true}"#);
    let closed = settings(r#"{"networks": ["198.51.100.0/24"], "deny": true}"#);
    for (settings, forwarded, session, expected) in [
        (&open, None, false, Flow::Continue),
        (&open, Some("198.51.100.1"), false, Flow::Responded),
        (&closed, None, true, Flow::Continue),
        (&closed, Some("192.0.2.7"), true, Flow::Responded),
    ] {
        let mut host = Double::at(NOW).with_file("/keys/gatepost", KEY_A);
        if let Some(addresses) = forwarded {
            host = host.with("X-Forwarded-For", addresses);
        }
        if session {
            host = host.with("Cookie", &cookie(&claims()));
        }
        let flow = Gate::new(settings.as_bytes(), &host).handle(&host);
        assert_eq!(flow, expected, "{settings} {forwarded:?}");
    }
}
