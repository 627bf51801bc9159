//! Requests for the outpost that reach the plugin.

use super::*;

/// Where the outpost is away, Traefik drops its route: the application's gets these requests.
#[test]
fn a_request_for_the_outpost_is_explained_and_neither_redirected_nor_let_through() {
    let anonymous = || Double::at(NOW).to("GET", "/akprox/start?rd=%2F");
    let alice = || {
        Double::at(NOW)
            .to("GET", "/akprox/sign_out")
            .with("Cookie", &cookie(&claims()))
    };
    for (host, content_type) in [
        (anonymous(), "text/html; charset=utf-8"),
        (alice(), "text/html; charset=utf-8"),
        (anonymous().by_script(), "application/json"),
        (alice().by_script(), "application/json"),
    ] {
        let everything_public = json!({"public": ["/*"]});
        assert_eq!(gate(everything_public).handle(&host), Flow::Responded);
        assert_eq!(host.status(), Some(503));
        let kind = host.reply_header("Content-Type");
        assert_eq!(kind.as_deref(), Some(content_type));
        assert_eq!(host.reply_header("Retry-After").as_deref(), Some("30"));
        for said in ["no outpost is running", "have to be routed to the outpost"] {
            assert!(host.body().contains(said), "{}", host.body());
        }
        let log = host.log.borrow();
        assert!(
            log.iter().any(|line| line.starts_with("Error: ")),
            "{log:?}"
        );
    }
}

/// A link to the application's host leads nowhere at domain level: the page and the log name the host
/// that it should name.
#[test]
fn a_request_for_the_outpost_of_a_domain_names_its_host() {
    let settings = json!({"mode": "domain", "outpostUrl": "https://auth.example.com"});
    let host = Double::at(NOW).to("GET", "/akprox/sign_out");
    assert_eq!(gate(settings).handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(503));
    let said = "Requests for https://auth.example.com/akprox have to be routed";
    assert!(host.body().contains(said), "{}", host.body());
    let log = host.log.borrow();
    let named = |line: &String| line.contains("https://auth.example.com/akprox");
    assert!(log.iter().any(named), "{log:?}");
}

/// The routes to the outpost leave these paths out, so nothing is wrong where one comes here.
#[test]
fn no_client_finds_what_proxies_ask() {
    for sent in ["", &*cookie(&claims())] {
        let host = Double::at(NOW)
            .to("GET", "/akprox/auth/traefik")
            .with("Cookie", sent);
        assert_eq!(gate(json!({})).handle(&host), Flow::Responded);
        assert_eq!(host.status(), Some(404));
        let log = host.log.borrow();
        assert!(!log.iter().any(|line| line.starts_with("Error")), "{log:?}");
    }
}
