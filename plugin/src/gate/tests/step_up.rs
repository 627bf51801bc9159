//! Rules that ask how and when a user authenticated.

use super::*;

fn load(claims: &Claims) -> Double {
    Double::at(NOW)
        .to("GET", "/x?y=1")
        .with("Cookie", &cookie(claims))
}

/// Returns a text with a link, without the word that vouches for its conditions to the user's session.
#[track_caller]
pub(super) fn without_proof(text: &str, conditions: &str) -> String {
    let proof = format!("&proof={}", verifier().vouch(&claims().sid, conditions));
    assert_eq!(text.matches(&proof).count(), 1, "{text}");
    text.replace(&proof, "")
}

fn verifier() -> Verifier {
    let ring = KeyRing::parse(KEY_A).expect("a ring");
    let application = Audience::new("wiki").expect("a name");
    Verifier::new(&ring, application)
}

fn weak() -> Claims {
    Claims {
        acr: Some("silver".into()),
        ..claims()
    }
}

#[test]
fn a_user_who_lacks_only_that_is_asked_for_it() {
    let strong = Claims {
        acr: Some("gold".into()),
        ..claims()
    };
    let outsider = Claims {
        groups: ["ops"].into(),
        ..weak()
    };
    let require = json!({"groups": ["staff"], "acr": ["gold"]});
    let mut gate = gate(json!({"require": require}));
    assert_eq!(gate.handle(&load(&strong)), Flow::Continue);

    let host = load(&weak());
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(302));
    // The outpost may not have the rule.
    let conditions = "authentication=all%3Dclaim%3Aacr%3Agold";
    let to = format!("/akprox/start?rd=%2Fx%3Fy%3D1&step_up=GET&{conditions}");
    let asked = "all=claim:acr:gold";
    let location = host.reply_header("Location").expect("a redirect");
    assert_eq!(without_proof(&location, asked), to);

    let host = load(&outsider);
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(403), "it would not help");

    let fetch = load(&weak()).to("PUT", "/x?y=1").by_script();
    assert_eq!(gate.handle(&fetch), Flow::Responded);
    assert_eq!(fetch.status(), Some(401));
    let challenge = "Bearer realm=\"wiki\", error=\"insufficient_user_authentication\", \
                     acr_values=\"gold\"";
    assert_eq!(
        fetch.reply_header("WWW-Authenticate").as_deref(),
        Some(challenge)
    );
    let answer: serde_json::Value = serde_json::from_str(&fetch.body()).expect("JSON");
    assert_eq!(answer["error"], "insufficient_user_authentication");
    // With room for an `rd` of the page's own.
    let sign_in = format!("/akprox/start?step_up=PUT%20%2Fx%3Fy%3D1&{conditions}");
    let link = answer["signIn"].as_str().expect("a URL");
    assert_eq!(without_proof(link, asked), sign_in);

    let form = load(&weak()).to("POST", "/x");
    assert_eq!(gate.handle(&form), Flow::Responded);
    assert_eq!(form.status(), Some(401));
    assert!(form.body().contains("not been delivered"));
    assert!(form.body().contains("more recent sign-in"));
    let start = format!("\"/akprox/start?step_up=POST%20%2Fx&{conditions}\"");
    let page = without_proof(&form.body(), asked);
    assert!(page.contains(&start), "{page}");
}

/// The outpost decides by the same rule.
#[test]
fn in_front_of_routers_the_rule_goes_along() {
    let host = load(&weak());
    let settings = json!({"require": {"acr": ["gold"]}, "fallback": "route"});
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), Some("deny"));
    let rule = "all=claim:acr:gold";
    assert_eq!(host.header("X-Gatepost-Require").as_deref(), Some(rule));
    assert_eq!(host.header("X-Auth-Username"), None);
    // In a link it would vouch for nothing.
    let verifier = verifier();
    let word = host.header("X-Gatepost-Require-Proof").expect("a word");
    let text = gatepost_policy::Demand::vouched_text(rule);
    assert!(verifier.has_vouched(&claims().sid, &text, &word));
    assert!(!verifier.has_vouched(&claims().sid, rule, &word));

    // A client's own is nobody's word.
    let host = Double::at(NOW)
        .to("GET", "/x")
        .with("X-Gatepost-Require", rule)
        .with("X-Gatepost-Require-Proof", &word);
    let settings = json!({"require": {"acr": ["gold"]}, "fallback": "route"});
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    assert_eq!(host.header("X-Gatepost-Require-Proof"), None);
}
