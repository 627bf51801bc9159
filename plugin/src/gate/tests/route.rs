//! Routers behind the plugin, which it tells its verdict (`fallback: route`).

use super::*;

#[test]
fn every_request_goes_on_with_its_verdict() {
    let settings = json!({"fallback": "route", "require": {"groups": "staff"}});
    let outsider = Claims {
        groups: vec![],
        ..claims()
    };
    let reduced = Claims {
        groups: vec![],
        grp_more: true,
        ..claims()
    };
    let stale = Claims {
        rnw: NumericDate::from_seconds(NOW),
        ..claims()
    };
    let cases = [
        ("allow", cookie(&claims()), Some("alice")),
        ("renew", cookie(&stale), None),
        ("deny", cookie(&outsider), None),
        ("defer", cookie(&reduced), None),
        ("sign-in", "a=1".to_owned(), None),
    ];
    for (verdict, sent, user) in cases {
        let host = Double::at(NOW)
            .with("Cookie", &sent)
            .with("X-Gatepost-Verdict", "allow")
            .with("x_gatepost_verdict", "allow")
            .with("X-Gatepost-Require", "any=user:mallory")
            .with("X_Gatepost.Require", "any=user:mallory")
            .with("X-Auth-Username", "mallory");
        assert_eq!(
            gate(settings.clone()).handle(&host),
            Outcome::Next,
            "{verdict}"
        );
        assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), Some(verdict));
        assert_eq!(host.header("x_gatepost_verdict"), None, "{verdict}");
        // Whoever decides in the plugin's place has to know its rule.
        let rule = host.header("X-Gatepost-Require");
        let expected = (verdict != "allow").then_some("any=group:staff");
        assert_eq!(rule.as_deref(), expected, "{verdict}");
        assert_eq!(host.header("X_Gatepost.Require"), None, "{verdict}");
        assert_eq!(host.header("X-Auth-Username").as_deref(), user, "{verdict}");
        // The outpost needs the cookie for whatever is not decided here.
        assert_eq!(
            host.header("Cookie").is_none(),
            verdict == "allow",
            "{verdict}"
        );
    }
}

/// Signing out takes the session's cookie, which the application must not see.
#[test]
fn whoever_goes_to_the_outpost_takes_the_session_along() {
    for public in [json!([]), json!(["/*"])] {
        let settings = json!({"fallback": "route", "public": public});
        for (target, verdict) in [
            ("/akprox/sign_out", "outpost"),
            ("/akprox?x", "outpost"),
            ("/akproxy", "allow"),
            ("/x/akprox/", "allow"),
        ] {
            let host = Double::at(NOW)
                .to("GET", target)
                .with("Cookie", &cookie(&claims()));
            assert_eq!(gate(settings.clone()).handle(&host), Outcome::Next);
            let said = host.header("X-Gatepost-Verdict");
            assert_eq!(said.as_deref(), Some(verdict), "{target}");
            let carried = host.header("Cookie").is_some();
            assert_eq!(carried, verdict == "outpost", "{target}");
            let named = host.header("X-Auth-Username").is_some();
            assert_eq!(named, verdict == "allow", "{target}");
        }
    }
}
