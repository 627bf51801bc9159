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

/// Traefik may stand behind a translation of addresses, which sets no header: then each client comes
/// from an address of the nodes.
#[test]
fn an_inner_address_is_the_clients_only_where_the_proxies_are_known() {
    let settings = |more: &str, rule: &str| {
        format!(
            r#"{{"application": "wiki", "keysFile": "/keys/gatepost", {more} "rules": [{rule}]}}"#
        )
    };
    let open = r#"{"networks": ["10.0.0.0/8", "fd00::/8"], "public": true}"#;
    let closed = r#"{"networks": ["198.51.100.0/24"], "deny": true}"#;
    let known = r#""trustedProxies": ["10.9.0.0/16"],"#;
    for (more, rule, peer, expected) in [
        ("", open, "10.0.3.7:4711", Flow::Responded),
        ("", open, "[fd00::7]:4711", Flow::Responded),
        (known, open, "10.0.3.7:4711", Flow::Continue),
        (known, open, "[fd00::7]:4711", Flow::Continue),
        (known, open, "10.9.3.7:4711", Flow::Responded),
        ("", closed, "10.0.3.7:4711", Flow::Responded),
        ("", closed, "127.0.0.1:4711", Flow::Responded),
        (known, closed, "10.9.3.7:4711", Flow::Responded),
        (known, closed, "10.0.3.7:4711", Flow::Continue),
    ] {
        let settings = settings(more, rule);
        let mut host = Double::at(NOW)
            .with_file("/keys/gatepost", KEY_A)
            .with_peer(peer);
        if rule == closed {
            host = host.with("Cookie", &cookie(&claims()));
        }
        let flow = Gate::new(settings.as_bytes(), &host).handle(&host);
        assert_eq!(flow, expected, "{settings} {peer}");
    }
}
