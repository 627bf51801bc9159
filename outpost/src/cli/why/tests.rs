use gatepost_session::NumericDate;
use serde_json::{Value, json};

use super::*;

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

/// Returns a configuration with the application of `testdata/rules.json`, and its table in the form
/// of `gatepost test`.
fn table() -> (Config, Snapshot, String) {
    let table: Value =
        serde_json::from_str(include_str!("../../../../testdata/rules.json")).expect("a table");
    let mut application = table["application"].clone();
    application["name"] = json!("wiki");
    application["externalUrl"] = json!("https://wiki.example.com");
    let config = json!({
        "keys": [crate::fixture::KEYS[0]],
        "providers": [
            {"name": "main", "issuer": "https://id.example.com", "clientId": "gatepost"},
        ],
        "applications": [application],
    });
    let config = Config::parse(&config.to_string(), []).expect("a configuration");
    let snapshot = Snapshot::new(&config, &Clock::system(), None).expect("a snapshot");
    let case = |case: &Value| {
        let target = case["target"].as_str().expect("a target");
        let mut own = json!({
            "name": case["name"],
            "method": case["method"],
            "url": format!("https://wiki.example.com{target}"),
            "client": case["client"].as_str().unwrap_or("127.0.0.1"),
            "expect": match case["expected"].as_str() {
                Some("passes") => json!("allow"),
                Some("denied") if case["stepUp"] == true => json!("step-up"),
                Some("denied") => json!("deny"),
                _ => case["expected"].clone(),
            },
        });
        if let Some(user) = case["user"].as_str() {
            let known = &table["users"][user];
            let ago = known["authenticatedAgo"].as_u64().expect("a time");
            own["user"] = json!(user);
            own["groups"] = known["groups"].clone();
            own["claims"] = known["claims"].clone();
            own["authenticatedAgo"] = json!(ago);
            own["acr"] = known["acr"].clone();
        }
        match case["rule"].as_str() {
            Some("") => own["rule"] = json!("require"),
            Some(rule) => own["rule"] = json!(rule),
            None => {}
        }
        own
    };
    let cases: Vec<Value> = table["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .map(case)
        .collect();
    (config, snapshot, json!({ "cases": cases }).to_string())
}

#[test]
fn the_table_of_rules_is_decided_as_by_every_other_decider() {
    let (config, snapshot, yaml) = table();
    let cases = table::read(&yaml, NOW).expect("a table");
    assert!(cases.len() > 50, "{}", cases.len());
    for case in &cases {
        let answer = case.question.answer(&config, &snapshot.applications, NOW);
        assert_eq!(difference(case, answer), None, "{}", case.name);
    }
}

#[test]
fn a_case_that_is_decided_otherwise_is_named_with_what_is_missing() {
    let (config, snapshot, _) = table();
    let yaml = "cases:
  - {url: 'https://wiki.example.com/admin/x', user: bob, groups: staff, expect: allow}
  - {name: other rule, url: 'https://wiki.example.com/lounge/x', user: bob, expect: allow, rule: admins}
  - {url: 'https://elsewhere.example.com/', expect: deny}
";
    let cases = table::read(yaml, NOW).expect("a table");
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let answer = case.question.answer(&config, &snapshot.applications, NOW);
            difference(case, answer)
        })
        .collect();
    assert_eq!(
        differences,
        [
            "expected allow, and it is deny by `admins` (rule `admins`: needs group:admins; \
             missing: group:admins)",
            "expected allow by `admins`, and it is allow by `lounge` (rule `lounge`: needs any \
             session)",
            "`https://elsewhere.example.com/`: no application has the host `elsewhere.example.com`",
        ]
    );
}

#[test]
fn a_table_with_mistakes_is_no_table() {
    for (yaml, expected) in [
        ("", "expected a section"),
        ("cases: []", "cases: missing"),
        (
            "cases: [{url: 'https://a.example/', expect: maybe}]",
            "is not one of allow",
        ),
        (
            "cases: [{url: 'https://a.example/'}]",
            "cases[0].expect: missing",
        ),
        ("cases: [{expect: deny}]", "cases[0].url: missing"),
        (
            "cases: [{url: x, expect: deny, groups: a}]",
            "cases[0].user: missing",
        ),
        ("cases: [{url: x, expect: deny, usr: a}]", "unknown key"),
        (
            "cases: [{url: x, expect: deny, client: here}]",
            "is not an address",
        ),
        (
            "cases: [{url: x, expect: deny, user: a, cookie: b}]",
            "cookie: cannot be combined",
        ),
    ] {
        let problems = table::read(yaml, NOW).expect_err(yaml).join("\n");
        assert!(problems.contains(expected), "{yaml}: {problems}");
    }
}

/// A user who could have what is missing is not refused.
#[test]
fn an_authentication_that_is_lacking_is_a_step_up_and_says_what_is_asked_for() {
    let (config, snapshot, _) = table();
    let yaml = "cases:
  - {url: 'https://wiki.example.com/vault/x', user: bob, groups: staff, authenticatedAgo: 1h, expect: step-up, rule: '10'}
  - {url: 'https://wiki.example.com/vault/x', user: bob, groups: staff, authenticatedAgo: 1h, expect: deny}
";
    let cases = table::read(yaml, NOW).expect("a table");
    let answer = |case: &Case| case.question.answer(&config, &snapshot.applications, NOW);
    assert_eq!(difference(&cases[0], answer(&cases[0])), None);
    let found = difference(&cases[1], answer(&cases[1])).expect("a difference");
    assert!(
        found.starts_with("expected deny, and it is step-up by `10`"),
        "{found}"
    );
    let lines = report(&answer(&cases[0]).expect("an answer"));
    let decision = lines.iter().find(|line| line.starts_with("decision"));
    assert!(
        decision
            .expect("a line")
            .contains("step-up: a page load leads")
    );
    let asked = lines.iter().find(|line| line.starts_with("asks for"));
    assert!(asked.expect("a line").contains("max_age="), "{asked:?}");
}

#[test]
fn a_cookie_is_decided_by_what_it_says_also_after_its_window() {
    let (config, snapshot, _) = table();
    let application = snapshot.applications.iter().next().expect("an application");
    let mut user = described(Described {
        user: "alice".to_owned(),
        groups: vec!["admins".to_owned()],
        email: None,
        acr: None,
        amr: Vec::new(),
        authenticated_ago: None,
        claims: Vec::new(),
        now: NOW,
    });
    "https://id.example.com".clone_into(&mut user.issuer);
    let ends = NOW.plus_seconds(60);
    let id = gatepost_session::SessionId::from_random([1; 24]);
    let claims = user.into_claims("wiki".to_owned(), id, NOW, ends, ends);
    let cookie = application.signer().sign(&claims).expect("a cookie");
    let question = |cookie: String| Question {
        url: "https://wiki.example.com/admin/x".to_owned(),
        method: "GET".to_owned(),
        client: None,
        sender: Sender::Cookie(cookie),
    };
    let named = format!("__Host-gatepost={cookie}\n");
    for (now, has_note) in [(NOW, false), (NOW.plus_seconds(10_000), true)] {
        let answer = question(named.clone()).answer(&config, &snapshot.applications, now);
        let answer = answer.expect("an answer");
        assert_eq!(answer.verdict.word(), "allow");
        assert_eq!(answer.rule.as_deref(), Some("admins"));
        assert_eq!(answer.note.is_some(), has_note);
    }
    let other = question(format!("{cookie}x")).answer(&config, &snapshot.applications, NOW);
    let error = other.expect_err("another cookie");
    assert!(error.contains("no session of `wiki`"), "{error}");
    assert!(!error.contains(&cookie), "{error}");
}
