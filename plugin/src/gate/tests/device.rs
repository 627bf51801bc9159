//! A rule that asks for a session that is bound to a device.

use super::*;

const RULE: &str = r#"{"groups": ["staff"], "deviceBound": true}"#;

fn rule() -> serde_json::Value {
    serde_json::from_str(RULE).expect("JSON")
}

fn load(claims: &Claims) -> Double {
    Double::at(NOW)
        .to("GET", "/x?y=1")
        .with("Cookie", &cookie(claims))
}

#[test]
fn only_a_bound_session_passes_and_a_page_load_waits_for_it() {
    let bound = Claims {
        bound: true,
        ..claims()
    };
    let outsider = |bound| Claims {
        groups: ["ops"].into(),
        bound,
        ..claims()
    };
    let mut gate = gate(json!({"require": rule()}));
    assert_eq!(gate.handle(&load(&bound)), Flow::Continue);

    let host = load(&claims());
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(302));
    let to = "/akprox/start?rd=%2Fx%3Fy%3D1&bound=true";
    assert_eq!(host.reply_header("Location").as_deref(), Some(to));

    for claims in [outsider(true), outsider(false)] {
        let host = load(&claims);
        assert_eq!(gate.handle(&host), Flow::Responded);
        assert_eq!(host.status(), Some(403), "it would not help");
        assert!(host.body().contains("may not open"));
    }

    let fetch = load(&claims()).by_script();
    assert_eq!(gate.handle(&fetch), Flow::Responded);
    assert_eq!(fetch.status(), Some(403));
    assert!(fetch.body().contains(r#""error":"device_not_bound""#));
    let form = load(&claims()).to("POST", "/x");
    assert_eq!(gate.handle(&form), Flow::Responded);
    assert_eq!(form.status(), Some(403));
    assert!(form.body().contains("not been delivered"));
}

/// The outpost decides by the same rule.
#[test]
fn in_front_of_routers_the_rule_goes_along() {
    let settings = json!({"require": rule(), "fallback": "route"});
    let host = load(&claims());
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), Some("deny"));
    let rule = "any=group:staff&all=deviceBound:true";
    assert_eq!(host.header("X-Gatepost-Require").as_deref(), Some(rule));
    assert_eq!(host.header("X-Auth-Username"), None);
}

#[test]
fn a_setting_that_is_neither_true_nor_false_serves_nothing() {
    for wrong in [json!("prefer"), json!(1), json!(null), json!(false)] {
        let host = load(&claims());
        let settings = json!({"require": {"deviceBound": wrong}});
        assert_eq!(gate(settings).handle(&host), Flow::Responded);
        assert_eq!(host.status(), Some(503), "{wrong}");
    }
}
