//! Renewals: beside a page while the window is far from its end, and before it then.

use super::*;

const LINK: &str = "</akprox/session?renew>; rel=preload; as=fetch; crossorigin";

/// A page load as browsers send it.
fn at(seconds: u64) -> Double {
    Double::at(NOW + seconds).with("Sec-Fetch-Dest", "document")
}

fn links(host: &Double) -> Vec<String> {
    let headers = host.response_headers.borrow();
    headers
        .iter()
        .map(|(name, value)| {
            assert_eq!(name, "Link");
            value.clone()
        })
        .collect()
}

/// The default: 900 seconds, a renewal is due after 300, and the last quarter begins after 675.
#[test]
fn by_default_browsers_have_six_minutes_to_renew_beside_a_page() {
    let sent = cookie(&Claims {
        rnw: NumericDate::from_seconds(NOW + 300),
        ..claims()
    });
    let mut gate = gate(json!({}));
    for (seconds, link, status) in [
        (299, false, None),
        (300, true, None),
        (674, true, None),
        (675, false, Some(302)),
        (899, false, Some(302)),
    ] {
        let host = at(seconds).with("Cookie", &sent);
        let _ = gate.handle(&host);
        assert_eq!(host.status(), status, "after {seconds} s");
        let expected = if link { vec![LINK] } else { Vec::new() };
        assert_eq!(links(&host), expected, "after {seconds} s");
    }
}

/// The window of [`claims`] is 900 seconds, and a renewal is due after 600.
#[test]
fn a_page_load_past_its_renewal_passes_and_has_the_browser_renew() {
    for fallback in ["redirect", "route"] {
        let mut gate = gate(json!({"fallback": fallback}));
        let sent = cookie(&claims());
        for (seconds, link) in [(599, false), (600, true), (674, true)] {
            let host = at(seconds).with("Cookie", &sent);
            assert_eq!(gate.handle(&host), Flow::Continue);
            assert_eq!(host.header("X-Auth-Username").as_deref(), Some("alice"));
            let verdict = (fallback == "route").then_some(route::WORD_A);
            assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), verdict);
            let expected = if link { vec![LINK] } else { Vec::new() };
            assert_eq!(links(&host), expected, "{fallback}, after {seconds} s");
        }
        // In the last quarter of the window the renewal comes first.
        let host = at(675).with("Cookie", &sent);
        let flow = gate.handle(&host);
        assert_eq!(links(&host), [""; 0]);
        match fallback {
            "route" => {
                let verdict = host.header("X-Gatepost-Verdict");
                assert_eq!(verdict.as_deref(), Some("renew"));
            }
            _ => assert_eq!((flow, host.status()), (Flow::Responded, Some(302))),
        }
    }
}

#[test]
fn nothing_but_a_page_load_of_a_session_that_may_pass_renews() {
    let bound = Claims {
        bound: true,
        rnw: NumericDate::from_seconds(NOW + 600),
        ..claims()
    };
    let outsider = Claims {
        groups: ["guests"].into(),
        ..claims()
    };
    let settings = json!({"public": ["/public/*"], "require": {"groups": ["staff"]}});
    let mut gate = gate(settings);
    let at = || at(600);
    for (case, host, status) in [
        (
            "a script",
            at().by_script().with("Cookie", &cookie(&claims())),
            None,
        ),
        (
            "a form",
            at().to("POST", "/x").with("Cookie", &cookie(&claims())),
            None,
        ),
        (
            "a public page, which caches may keep",
            at().to("GET", "/public/x")
                .with("Cookie", &cookie(&claims())),
            None,
        ),
        (
            "a browser that does not say what it loads",
            Double::at(NOW + 600).with("Cookie", &cookie(&claims())),
            Some(302),
        ),
        (
            "a frame",
            Double::at(NOW + 600)
                .with("Sec-Fetch-Dest", "iframe")
                .with("Cookie", &cookie(&claims())),
            Some(302),
        ),
        ("no session", at(), Some(302)),
        (
            "forged",
            at().with("Cookie", &cookie_signed_by(KEY_B, &claims())),
            Some(302),
        ),
        (
            "an outsider",
            at().with("Cookie", &cookie(&outsider)),
            Some(403),
        ),
        (
            "bound: only the provider can be asked",
            at().with("Cookie", &cookie(&bound)),
            Some(302),
        ),
    ] {
        let _ = gate.handle(&host);
        assert_eq!(host.status(), status, "{case}");
        assert_eq!(links(&host), [""; 0], "{case}");
    }
}

/// What the outpost has to answer is not the application's page.
#[test]
fn the_outposts_own_paths_go_to_it() {
    let host = at(600)
        .to("GET", "/akprox/sign_out")
        .with("Cookie", &cookie(&claims()));
    let mut gate = gate(json!({"fallback": "route"}));
    assert_eq!(gate.handle(&host), Flow::Continue);
    assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), Some("renew"));
    assert_eq!(links(&host), [""; 0]);
}

#[test]
fn in_a_domain_it_is_the_outposts_host() {
    let settings = json!({"mode": "domain", "outpostUrl": "https://auth.example.com"});
    let sent = cookie(&claims()).replace("__Host-", "__Secure-");
    let host = at(600).with("Cookie", &sent);
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    let link = "<https://auth.example.com/akprox/session?renew>; rel=preload; as=fetch; \
                crossorigin=use-credentials";
    assert_eq!(links(&host), [link]);
}
