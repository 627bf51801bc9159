//! Routers behind the plugin, to which it passes its verdict (`fallback: route`).

use super::*;

/// What says "allowed" for the application `wiki` with [`KEY_A`].
pub(super) const WORD_A: &str = "VvHXo33hgtZDRk2U7e2DaQ";

/// Row A10: a router that the plugin is not in front of lets no client in by a word that it made up.
#[test]
fn the_word_for_allowed_is_the_keys_or_the_operators() {
    let said = |settings: serde_json::Value| {
        let mut all = json!({"application": "wiki", "keys": KEY_A, "fallback": "route"});
        let map = all.as_object_mut().expect("a map");
        map.extend(settings.as_object().expect("a map").clone());
        let host = Double::at(NOW)
            .with("Cookie", &cookie(&claims()))
            .with("X-Gatepost-Verdict", WORD_A);
        let outcome = Gate::new(all.to_string().as_bytes(), &host).handle(&host);
        assert_eq!(outcome, Flow::Continue, "{all}");
        host.header("X-Gatepost-Verdict")
    };
    assert_eq!(said(json!({})).as_deref(), Some(WORD_A));
    // While keys are rotated a router may know either word.
    let both = said(json!({"keys": [KEY_B, KEY_A]})).expect("a verdict");
    let (new, old) = both.split_once(" | ").expect("two lines");
    assert!(new.len() == 22 && new != old && old == WORD_A, "{both}");
    let own = "a-word-of-the-operators-own";
    assert_eq!(said(json!({"verdict": own})).as_deref(), Some(own));
    // A public path passes without a session by the same word.
    let anonymous = Double::at(NOW);
    let mut gate = gate(json!({"fallback": "route", "public": "/*"}));
    assert_eq!(gate.handle(&anonymous), Flow::Continue);
    assert_eq!(
        anonymous.header("X-Gatepost-Verdict").as_deref(),
        Some(WORD_A)
    );
}

#[test]
fn a_word_that_can_be_guessed_is_refused() {
    for word in [
        "allow",
        "",
        "short-word-of-mine",
        "the word of gatepost check",
        "`x`",
    ] {
        let settings = json!({"application": "wiki", "keys": KEY_A, "verdict": word}).to_string();
        let host = Double::at(NOW);
        let outcome = Gate::new(settings.as_bytes(), &host).handle(&host);
        assert_eq!(outcome, Flow::Responded, "{word}");
        let log = host.log.borrow().join(" ");
        assert!(log.contains("verdict: expected 22 to 128"), "{log}");
    }
}

#[test]
fn every_request_goes_on_with_its_verdict() {
    let settings = json!({"fallback": "route", "require": {"groups": "staff"}});
    let outsider = Claims {
        groups: Default::default(),
        ..claims()
    };
    let reduced = Claims {
        groups: Default::default(),
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
            Flow::Continue,
            "{verdict}"
        );
        let said = host.header("X-Gatepost-Verdict");
        let expected = if verdict == "allow" { WORD_A } else { verdict };
        assert_eq!(said.as_deref(), Some(expected), "{verdict}");
        assert_eq!(host.header("x_gatepost_verdict"), None, "{verdict}");
        // The outpost decides in the plugin's place, so it has to know the plugin's rule.
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
fn a_request_for_the_outpost_takes_the_session_along() {
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
            assert_eq!(gate(settings.clone()).handle(&host), Flow::Continue);
            let said = host.header("X-Gatepost-Verdict");
            let expected = if verdict == "allow" { WORD_A } else { verdict };
            assert_eq!(said.as_deref(), Some(expected), "{target}");
            let carried = host.header("Cookie").is_some();
            assert_eq!(carried, verdict == "outpost", "{target}");
            let named = host.header("X-Auth-Username").is_some();
            assert_eq!(named, verdict == "allow", "{target}");
        }
    }
}

/// The tokens of a user are the outpost's: no request passes without it, and none brings them along.
#[test]
fn where_the_application_gets_tokens_the_outpost_is_asked_about_every_request() {
    let settings = json!({
        "fallback": "route", "public": "/public/*",
        "upstreamTokens": {"accessToken": "Authorization", "idToken": "X-Id-Token"},
    });
    let stale = Claims {
        rnw: NumericDate::from_seconds(NOW),
        ..claims()
    };
    for (target, sent, verdict) in [
        ("/x", cookie(&claims()), "defer"),
        ("/x", cookie(&stale), "defer"),
        ("/public/x", cookie(&claims()), "defer"),
        ("/public/x", "a=1".to_owned(), "defer"),
        ("/x", "a=1".to_owned(), "sign-in"),
    ] {
        let host = Double::at(NOW)
            .to("GET", target)
            .with("Cookie", &sent)
            .with("Authorization", "Bearer of-a-machine-client")
            .with("X-Id-Token", "mallory")
            .with("x_id_token", "mallory")
            .with("X-Id.Token", "mallory");
        let case = format!("{target} {sent:.6}");
        assert_eq!(
            gate(settings.clone()).handle(&host),
            Flow::Continue,
            "{case}"
        );
        let said = host.header("X-Gatepost-Verdict");
        assert_eq!(said.as_deref(), Some(verdict), "{case}");
        // The outpost needs the cookie and the credentials.
        assert_eq!(host.header("Cookie").as_deref(), Some(&*sent), "{case}");
        assert!(host.header("Authorization").is_some(), "{case}");
        for name in ["X-Id-Token", "x_id_token", "X-Id.Token", "X-Auth-Username"] {
            assert_eq!(host.header(name), None, "{case}: {name}");
        }
    }
}
