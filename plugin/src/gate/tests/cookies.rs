//! Which cookies are the session, and which the application gets.

use super::*;

/// Row A8: an application below a cookie domain does not get the domain's session, whole or in
/// parts, whether it has a session of its own or not.
#[test]
fn no_session_of_gateposts_reaches_the_application() {
    let others = "__Secure-gatepost=D; __Secure-gatepost.0=D; gatepost=P; gatepost.1=P; \
                  __Host-gatepost-flow-x=1";
    let own = cookie(&claims());
    for (settings, sent, expected) in [
        (
            json!({}),
            format!("a=1; {own}; {others}; b=2"),
            Some("a=1; b=2"),
        ),
        (json!({}), format!("{own}; {others}"), None),
        (
            json!({"public": "/*"}),
            format!("a=1; {others}"),
            Some("a=1"),
        ),
        (
            json!({"public": "/*"}),
            "a=1;  b=2".into(),
            Some("a=1;  b=2"),
        ),
        (
            json!({"forwardCookie": true}),
            format!("{others}; {own}; a=1"),
            Some(&*format!("{own}; a=1")),
        ),
        (
            json!({"cookieName": "wiki"}),
            format!("{}; {others}; a=1", own.replace("__Host-gatepost", "wiki")),
            Some("a=1"),
        ),
    ] {
        let mut gate = gate(settings.clone());
        // The second time from memory.
        for _ in 0..2 {
            let host = Double::at(NOW).with("Cookie", &sent);
            assert_eq!(gate.handle(&host), Flow::Continue, "{settings} {sent}");
            assert_eq!(
                host.header("Cookie").as_deref(),
                expected,
                "{settings} {sent}"
            );
        }
        let lines = Double::at(NOW).with("Cookie", &sent).with("Cookie", others);
        assert_eq!(gate.handle(&lines), Flow::Continue, "{settings} {sent}");
        assert_eq!(
            lines.header("Cookie").as_deref(),
            expected,
            "{settings} {sent}"
        );
    }
}

/// The first session in force counts: one that is over, or was ended, hides none behind it.
#[test]
fn a_session_that_is_over_does_not_hide_another_after_it() {
    let named = |number, seconds: u64| Claims {
        sid: SessionId::from_random([number; 24]),
        exp: NumericDate::from_seconds(NOW + seconds),
        preferred_username: Some(format!("user{number}")),
        ..claims()
    };
    let (ended, revoked, good) = (named(1, 0), named(2, 900), named(3, 900));
    let settings = json!({"revoked": revoked.sid.expose()});
    let token = |claims| cookie(claims).replace("__Host-gatepost=", "");
    let parts = |claims| {
        let token = token(claims);
        let (first, second) = token.split_at(token.len() / 2);
        format!("__Host-gatepost.0={first}; __Host-gatepost.1={second}")
    };
    for sent in [
        format!("{}; {}", cookie(&ended), cookie(&good)),
        format!("{}; {}", cookie(&revoked), cookie(&good)),
        format!(
            "{}; {}; {}",
            cookie(&ended),
            cookie(&revoked),
            cookie(&good)
        ),
        format!("{}; {}", cookie(&good), cookie(&ended)),
        format!("{}; {}", cookie(&ended), parts(&good)),
    ] {
        let mut gate = gate(settings.clone());
        for _ in 0..2 {
            let host = Double::at(NOW).with("Cookie", &sent);
            assert_eq!(gate.handle(&host), Flow::Continue, "{sent}");
            assert_eq!(
                host.header("X-Auth-Username").as_deref(),
                Some("user3"),
                "{sent}"
            );
        }
    }
    // The result for a line is not kept for ever.
    let soon = named(4, 10);
    let sent = format!("{}; {}", cookie(&soon), cookie(&good));
    let mut gate = gate(settings);
    for (seconds, user) in [(0, "user4"), (9, "user4"), (10, "user3"), (11, "user3")] {
        let host = Double::at(NOW + seconds).with("Cookie", &sent);
        assert_eq!(gate.handle(&host), Flow::Continue, "after {seconds} s");
        assert_eq!(
            host.header("X-Auth-Username").as_deref(),
            Some(user),
            "after {seconds} s"
        );
    }
}

#[test]
fn the_plain_cookie_name_counts_over_plain_http_only() {
    let sent = format!("a=1; {}", cookie(&claims()).replace("__Host-", ""));
    for (scheme, outcome) in [
        ("http", Flow::Continue),
        ("ws", Flow::Continue),
        ("https", Flow::Responded),
        ("wss", Flow::Responded),
        ("", Flow::Responded),
    ] {
        let host = Double::at(NOW)
            .with("Cookie", &sent)
            .with("X-Forwarded-Proto", scheme);
        let mut gate = gate(json!({"plainHttp": true}));
        assert_eq!(gate.handle(&host), outcome, "{scheme}");
        if outcome == Flow::Continue {
            assert_eq!(host.header("Cookie").as_deref(), Some("a=1"), "{scheme}");
        }
    }
}

/// Behind a load balancer that ends TLS and that Traefik does not trust, every request looks as if it
/// came over plain http, and a neighbouring host may have set the plain name.
#[test]
fn the_plain_cookie_name_counts_only_where_the_site_is_reached_over_plain_http() {
    let sent = cookie(&claims()).replace("__Host-", "");
    let domain =
        |scheme: &str| json!({"mode": "domain", "outpostUrl": format!("{scheme}://a.lan")});
    let (yes, no) = (Flow::Continue, Flow::Responded);
    for (settings, name, outcome) in [
        (json!({}), "wiki.example.com", no),
        (json!({}), "wiki.lan", no),
        (json!({}), "localhost.example.com", no),
        (json!({}), "xlocalhost", no),
        (json!({}), "127.0.0.1.example.com", no),
        (json!({}), "wiki.localhost:8080", yes),
        (json!({}), "LOCALHOST", yes),
        (json!({}), "127.0.0.1:8080", yes),
        (json!({}), "[::1]:8080", yes),
        (json!({"plainHttp": true}), "wiki.lan", yes),
        (json!({"plainHttp": false}), "wiki.localhost", no),
        (domain("http"), "wiki.lan", yes),
        (domain("https"), "wiki.localhost", no),
    ] {
        let host = Double::at(NOW)
            .with("Cookie", &sent)
            .with("X-Forwarded-Proto", "http")
            .with_host(name);
        assert_eq!(
            gate(settings.clone()).handle(&host),
            outcome,
            "{settings} {name}"
        );
    }
}

#[test]
fn the_application_sees_the_session_cookie_only_where_configured() {
    let sent = cookie(&claims());
    let host = Double::at(NOW).with("Cookie", &sent);
    assert_eq!(gate(json!({})).handle(&host), Flow::Continue);
    assert_eq!(host.header("Cookie"), None);
    let host = Double::at(NOW).with("Cookie", &sent);
    assert_eq!(
        gate(json!({"forwardCookie": "true"})).handle(&host),
        Flow::Continue
    );
    assert_eq!(host.header("Cookie").as_deref(), Some(sent.as_str()));
}
