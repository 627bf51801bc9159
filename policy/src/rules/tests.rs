use super::*;
use crate::config::{self, Fields, Problems, policy};
use crate::decide::double::{NOW, authentic, claims};
use crate::decide::{Decision, Policy, Unauthenticated};
use crate::request::UNKNOWN_METHOD;
use crate::request::double::Sent;
use alloc::string::ToString;
use gatepost_session::{NumericDate, TextList};
use serde_json::{Value, json};

/// Reads an application's keys, which must have no problem.
fn read(value: &Value) -> Policy {
    let problems = Problems::new();
    let value = config::Value::from(value);
    let mut fields = Fields::of(&value, "", &problems).expect("a section");
    let policy = policy(&mut fields);
    fields.finish();
    let problems: Vec<String> = problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(problems, Vec::<String>::new());
    policy
}

/// Returns the problems with an application's rules.
fn problems(rules: Value) -> Vec<String> {
    let value = config::Value::from(&json!({ "rules": rules }));
    let problems = Problems::new();
    let mut fields = Fields::of(&value, "", &problems).expect("a section");
    let _ = policy(&mut fields);
    fields.finish();
    problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Returns the decision in the words of the table, and the rule that refuses.
fn decide(
    policy: &Policy,
    request: &Sent,
    user: Option<&Claims>,
) -> (&'static str, Option<String>) {
    let authentic = user.map(authentic);
    let session = match &authentic {
        Some(session) => session.current(NOW, 0).map_err(Unauthenticated::Window),
        None => Err(Unauthenticated::NoCookie),
    };
    match policy.decide(request, session) {
        Decision::Allow(permit) if permit.identity().is_none() => ("anonymous", None),
        Decision::Allow(_) => ("passes", None),
        Decision::Deny(denial) => ("denied", Some(denial.rule().unwrap_or_default().into())),
        Decision::SignIn(_) => ("sign-in", None),
        Decision::Renew(_) => ("renew", None),
        Decision::Defer(_) => ("defer", None),
        Decision::MethodNotAllowed => ("method", None),
    }
}

fn user(description: &Value) -> Claims {
    let more = description["claims"].as_object().into_iter().flatten();
    let texts = more.map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(entries) => {
                let entries: Vec<&str> = entries.iter().filter_map(Value::as_str).collect();
                entries.join("|")
            }
            other => other.to_string(),
        };
        (name.clone(), text)
    });
    let ago = description["authenticatedAgo"].as_u64().expect("seconds");
    let groups = description["groups"].as_array().expect("groups");
    Claims {
        groups: groups
            .iter()
            .filter_map(Value::as_str)
            .collect::<TextList>(),
        auth_time: Some(NumericDate::from_seconds(NOW.as_seconds() - ago)),
        acr: description["acr"].as_str().map(String::from),
        ext: texts.collect(),
        ..claims("a@example.com")
    }
}

fn staff() -> Claims {
    Claims {
        groups: ["staff"].into(),
        ..claims("a@example.com")
    }
}

#[test]
fn each_case_of_the_table_is_decided_as_it_says() {
    let table: Value =
        serde_json::from_str(include_str!("../../../testdata/rules.json")).expect("JSON");
    let native = read(&table["application"]);
    let mut labels = table["application"].clone();
    labels["rules"] = labels["rules"].to_string().into();
    let as_text = read(&labels);
    for case in table["cases"].as_array().expect("cases") {
        let text = |key: &str| case[key].as_str();
        let method = text("method").expect("a method");
        let target = text("target").expect("a target");
        let request = Sent::new(method, target).from(text("client").unwrap_or("127.0.0.1"));
        let user = text("user").map(|name| user(&table["users"][name]));
        let expected = (
            text("expected").expect("a decision"),
            text("rule").map(String::from),
        );
        for policy in [&native, &as_text] {
            assert_eq!(decide(policy, &request, user.as_ref()), expected, "{case}");
            let session = user.as_ref().map(authentic);
            let session = session.as_ref().and_then(|own| own.current(NOW, 0).ok());
            let asks = session.is_some_and(|session| match policy.decide(&request, Ok(session)) {
                Decision::Deny(denial) => denial.step_up().is_some(),
                _ => false,
            });
            assert_eq!(asks, case["stepUp"] == true, "{case}");
        }
    }
}

#[test]
fn an_ambiguous_request_meets_every_rule_that_may_be_meant() {
    let policy = read(&json!({
        "rules": [
            {"paths": ["/a/*"], "require": {"groups": ["a"]}},
            {"paths": ["/b/*"], "require": {"groups": ["b"]}},
            {"paths": ["/open/*"], "public": true},
            {"paths": ["/c/*"], "signedIn": true},
            {"methods": ["POST"], "require": {"groups": ["c"]}},
        ],
        "public": ["/*"],
        "require": {"groups": ["d"]},
    }));
    let member = |groups: &[&str]| Claims {
        groups: groups.iter().collect(),
        ..claims("a@example.com")
    };
    for target in ["/open/..%2fa/x", "/c/..;/a", "//c/x", "/c/x%00", "", "*"] {
        let request = Sent::new("GET", target);
        assert_eq!(decide(&policy, &request, None).0, "sign-in", "{target}");
        for (groups, expected) in [
            (&["a", "b", "d"][..], "passes"),
            (&["a", "b"], "denied"),
            (&["a", "d"], "denied"),
            (&["b", "d"], "denied"),
        ] {
            let outcome = decide(&policy, &request, Some(&member(groups)));
            assert_eq!(outcome.0, expected, "{target} {groups:?}");
        }
    }
    // A method that is not known may be any.
    let unknown = Sent::new(UNKNOWN_METHOD, "/x");
    assert_eq!(decide(&policy, &unknown, None).0, "sign-in");
    let lacks = decide(&policy, &unknown, Some(&member(&["d"])));
    assert_eq!(lacks, ("denied", Some("5".into())));
    let outcome = decide(&policy, &Sent::new("post", "/x"), Some(&member(&["d"])));
    assert_eq!(
        outcome.0, "denied",
        "some servers write methods in capitals"
    );
    assert_eq!(
        decide(&policy, &Sent::new("GET", "/x"), None).0,
        "anonymous"
    );
}

#[test]
fn an_unknown_address_opens_nothing_and_passes_no_rule_of_a_network() {
    let policy = read(&json!({
        "rules": [
            {"networks": ["192.0.2.0/24"], "public": true},
            {"networks": ["198.51.100.0/24"], "deny": true},
            {"networks": ["203.0.113.0/24"], "signedIn": true},
        ],
        "require": {"groups": ["staff"]},
    }));
    let outsider = claims("a@example.com");
    let staff = staff();
    for (address, user, expected) in [
        ("192.0.2.1", None, "anonymous"),
        ("::ffff:c000:201", None, "anonymous"),
        ("198.51.100.1", Some(&staff), "denied"),
        ("203.0.113.1", Some(&outsider), "passes"),
        ("10.0.0.1", Some(&outsider), "denied"),
        ("10.0.0.1", Some(&staff), "passes"),
        ("unknown", None, "denied"),
        ("unknown", Some(&outsider), "denied"),
    ] {
        let request = Sent::new("GET", "/").from(address);
        assert_eq!(decide(&policy, &request, user).0, expected, "{address}");
    }
    // A header of the client's is no address.
    let request = Sent::new("GET", "/")
        .from("10.0.0.1")
        .with("X-Forwarded-For", "192.0.2.1")
        .with("X-Real-Ip", "192.0.2.1");
    assert_eq!(decide(&policy, &request, None).0, "sign-in");
}

#[test]
fn a_preflight_passes_unless_a_rule_refuses_every_client() {
    let policy = read(&json!({
        "rules": [
            {"paths": ["/internal/*"], "deny": true},
            {"paths": ["/api/*"], "require": {"groups": ["staff"]}},
        ],
        "allowPreflight": true,
    }));
    for (target, expected) in [("/api/x", "anonymous"), ("/internal/x", "denied")] {
        let request = Sent::new("OPTIONS", target)
            .with("Origin", "https://a.example")
            .with("Access-Control-Request-Method", "PUT");
        assert_eq!(decide(&policy, &request, None).0, expected, "{target}");
    }
}

#[test]
fn a_proxys_demand_holds_besides_the_rules() {
    let policy = read(&json!({
        "rules": [{"paths": ["/open/*"], "public": true}],
    }));
    let staff = staff();
    let outsider = claims("a@example.com");
    for (demand, target, user, expected) in [
        ("deny", "/open/x", Some(&staff), "deny"),
        ("session", "/open/x", None, "sign-in"),
        ("session", "/open/x", Some(&outsider), "allow"),
        (
            "session&and&any=group:staff",
            "/open/x",
            Some(&outsider),
            "deny",
        ),
        ("session&and&any=group:staff", "/x", Some(&staff), "allow"),
        (
            "session&and&any=group:staff&and&all=group:b",
            "/x",
            Some(&staff),
            "deny",
        ),
        // A rule without a list leaves what is public here as it is.
        ("any=group:staff", "/open/x", None, "allow"),
        ("any=group:staff", "/x", Some(&outsider), "deny"),
    ] {
        let demand = Demand::from_text(demand).expect(demand);
        let authentic = user.map(authentic);
        let session = match &authentic {
            Some(session) => session.current(NOW, 0).map_err(Unauthenticated::Window),
            None => Err(Unauthenticated::NoCookie),
        };
        let request = Sent::new("GET", target);
        let decision = policy.decide_with(&request, session, Some(&demand));
        assert_eq!(decision.verdict(), expected, "{demand:?} {target}");
    }
}

/// What one decider demands, another enforces: together they decide as the first does.
#[test]
fn a_demand_is_as_strict_as_the_rules_it_is_made_of() {
    let table: Value =
        serde_json::from_str(include_str!("../../../testdata/rules.json")).expect("JSON");
    let strict = read(&table["application"]);
    let open = read(&json!({ "public": ["/*"] }));
    for case in table["cases"].as_array().expect("cases") {
        let text = |key: &str| case[key].as_str();
        let request = Sent::new(
            text("method").expect("method"),
            text("target").expect("target"),
        )
        .from(text("client").unwrap_or("127.0.0.1"));
        let user = text("user").map(|name| user(&table["users"][name]));
        let authentic = user.as_ref().map(authentic);
        let session = || match &authentic {
            Some(session) => session.current(NOW, 0).map_err(Unauthenticated::Window),
            None => Err(Unauthenticated::NoCookie),
        };
        let own = strict.decide(&request, session());
        for has_own_paths in [true, false] {
            let demand = strict.demand(&request, has_own_paths, None);
            let demand = demand.map(|text| Demand::from_text(&text).expect("a demand"));
            let other = open.decide_with(&request, session(), demand.as_ref());
            if !strict.needs_no_session(&request, None) {
                assert_eq!(other.verdict(), own.verdict(), "{case} {demand:?}");
            }
        }
    }
}

/// Without a list of rules, only one with the same public paths demands a session.
#[test]
fn a_demand_leaves_anothers_public_paths_public() {
    let policy = read(&json!({
        "public": ["/public/*"], "require": {"groups": ["staff"]}, "allowPreflight": true,
    }));
    for (target, has_own_paths, expected) in [
        ("/private", true, Some("any=group:staff")),
        ("/private", false, Some("session&and&any=group:staff")),
        ("/public/x", false, Some("any=group:staff")),
    ] {
        let demand = policy.demand(&Sent::new("GET", target), has_own_paths, None);
        assert_eq!(demand.as_deref(), expected, "{target} {has_own_paths}");
    }
    let both = policy.demand(&Sent::new("GET", "/x"), false, Some("any=user:alice"));
    assert_eq!(
        both.as_deref(),
        Some("session&and&any=group:staff&and&any=user:alice")
    );
}

#[test]
fn only_a_user_whom_some_rule_may_admit_gets_a_session() {
    let policy = read(&json!({
        "rules": [
            {"paths": ["/public/*"], "public": true},
            {"paths": ["/b/*"], "require": {"groups": ["b"], "acr": "gold", "maxAge": 60}},
        ],
        "require": {"groups": ["a"]},
    }));
    for (groups, expected) in [(&["a"][..], true), (&["b"], true), (&["c"], false)] {
        let user = Claims {
            groups: groups.iter().collect(),
            ..claims("a@example.com")
        };
        assert_eq!(policy.may_admit(&user), expected, "{groups:?}");
    }
}

#[test]
fn what_cannot_be_a_rule_is_named() {
    let cases = [
        (json!([]), "rules: expected rules in a list, or its JSON"),
        (json!("[{"), "rules: not JSON (line 1, column 2)"),
        (
            json!({"paths": "/x"}),
            "rules: expected rules in a list, or its JSON",
        ),
        (
            json!([7]),
            "rules[0]: expected a section with keys, got a number",
        ),
        (
            json!([{"paths": ["/x"]}]),
            "rules[0].require: expected one of `public: true`, `deny: true`, `signedIn: true` and \
             `require`",
        ),
        (
            json!([{"public": true}]),
            "rules[0].public: needs `paths`, `methods` or `networks`: `paths: [\"/*\"]` opens \
             everything",
        ),
        (
            json!("[{\"paths\": [\"/x\"], \"deny\": false, \"deny\": true}]"),
            "rules: not JSON (line 1, column 46)",
        ),
        (
            json!([{"require": {"all": {"groups": ["a"]}, "not": null}}]),
            "rules[0].require.not: has no value: write one, or leave the key out",
        ),
        (
            json!([{"public": true, "deny": true}]),
            "rules[0].require: expected one of `public: true`, `deny: true`, `signedIn: true` and \
             `require`",
        ),
        (
            json!([{"paths": [], "deny": true}]),
            "rules[0].paths: an empty list: leave the key out, or write an entry",
        ),
        (
            json!([{"paths": ["x"], "deny": true}]),
            "rules[0].paths: `x`: a path must start with `/`",
        ),
        // Labels with an index for each rule come sorted as text: `rules[10]` before `rules[1]`.
        (
            json!([{"paths": "/x,/y", "deny": true}]),
            "rules[0].paths: expected a list: write `rules` in a label as one JSON",
        ),
        (
            json!([{"methods": "GET", "deny": true}]),
            "rules[0].methods: expected a list: write `rules` in a label as one JSON",
        ),
        (
            json!([{"networks": "10.0.0.0/8", "deny": true}]),
            "rules[0].networks: expected a list: write `rules` in a label as one JSON",
        ),
        // Under `not` it would admit whom it names.
        (
            json!([{"require": {"groups": ["a"], "not": {"claims": {"x": "sales, hr"}}}}]),
            "rules[0].require.not.claims.x: has a comma: write a list, or its JSON",
        ),
        (
            json!([{"methods": ["get"], "deny": true}]),
            "rules[0].methods: expected methods in capitals, like `GET`",
        ),
        (
            json!([{"networks": ["10.0.0.1/8"], "deny": true}]),
            "rules[0].networks: `10.0.0.1/8`: not a network: expected an address, or one with the \
             length of its prefix and no further bits, like `10.0.0.0/8`",
        ),
        (
            json!([{"require": {"claims": {"exp": 1}}}]),
            "rules[0].require.claims: `exp` has a key of its own, or a `|`",
        ),
        (
            json!([{"require": {"claims": {crate::ASSERTION_CLAIM: 1}}}]),
            "rules[0].require.claims: `gatepost_assertion` has a key of its own, or a `|`",
        ),
        (
            json!([{"require": {"groups": ["a"], "claims": {"x": 1}}}]),
            "rules[0].require.claims: write it under `any` or `all`",
        ),
        (
            json!([{"require": {"all": {"claims": {"x": []}}}}]),
            "rules[0].require.all.claims.x: expected a text, or a list of texts",
        ),
        (
            json!([{"require": {"all": {"claims": {"x": "a|b"}}}}]),
            "rules[0].require.all.claims: `x` has a key of its own, or a `|`",
        ),
        (
            json!([{"require": {"maxAge": "soon"}}]),
            "rules[0].require.maxAge: `soon` is not a duration; write `30s`, `15m` or `8h`",
        ),
        (
            json!([{"pathz": ["/x"], "deny": true}]),
            "rules[0].pathz: unknown key: did you mean `paths`?",
        ),
    ];
    for (rules, expected) in cases {
        let found = problems(rules.clone());
        assert_eq!(found.first().map(String::as_str), Some(expected), "{rules}");
    }
}

#[test]
fn rules_that_decide_nothing_are_found() {
    let policy = read(&json!({ "rules": [
        {"paths": ["/a/*"], "signedIn": true},
        {"name": "b", "paths": ["/a/b", "/a/c/*"], "deny": true},
        {"paths": ["/a/*", "/d"], "deny": true},
        {"paths": ["GET=/x"], "methods": ["POST"], "deny": true},
        {"networks": ["10.0.0.0/8"], "methods": ["GET", "POST"], "public": true},
        {"networks": ["10.1.0.0/16"], "methods": ["GET"], "public": true},
        {"networks": ["10.1.0.0/16"], "public": true},
        {"signedIn": true},
        {"paths": ["/z"], "deny": true},
    ]}));
    let found: Vec<(usize, Idle)> = policy.rules.idle().collect();
    let expected = [
        (1, Idle::Covered(1, None)),
        (3, Idle::OtherMethods),
        (5, Idle::Covered(5, None)),
        (8, Idle::Covered(8, None)),
    ];
    assert_eq!(found, expected);
    assert!(policy.rules.have_last());
}

#[test]
fn a_path_that_a_server_reads_as_a_file_needs_what_the_file_needs() {
    let policy = read(&json!({ "rules": [
        {"paths": ["/admin.php", "/internal/*"], "deny": true},
        {"paths": ["/plain"], "deny": true},
        {"paths": ["/*.cgi"], "deny": true},
    ]}));
    let staff = staff();
    for (target, expected) in [
        ("/admin.php/x", "denied"),
        ("/admin.php/x/y", "denied"),
        ("/x.cgi/y", "denied"),
        ("/admin.php::$DATA", "denied"),
        ("/Internal:$I30:$INDEX_ALLOCATION/x", "denied"),
        ("/ADMINP~1.PHP", "denied"),
        ("/intern~1/x", "denied"),
        ("/IN4F2A~1/x", "denied"),
        ("/admin.phpx", "passes"),
        ("/admin", "passes"),
        ("/plain/x", "passes"),
        ("/x:y", "passes"),
        // Perhaps `report.cgi`.
        ("/report~2/x", "denied"),
        ("/~internal/x", "passes"),
    ] {
        let outcome = decide(&policy, &Sent::new("GET", target), Some(&staff));
        assert_eq!(outcome.0, expected, "{target}");
    }
}

#[test]
fn a_text_of_a_claim_is_one_value() {
    let policy = |value: Value| read(&json!({ "require": {"all": {"claims": {"office": value}}} }));
    let at = |office: &str| Claims {
        ext: [("office".into(), office.into())].into_iter().collect(),
        ..claims("a@example.com")
    };
    for (value, office, expected) in [
        (json!(["Bonn, Rhein"]), "Bonn, Rhein", "passes"),
        (json!(["Bonn, Rhein"]), "Bonn", "denied"),
        (json!(["Bonn, Rhein", "Kiel"]), "Kiel", "passes"),
        (json!(["Bonn, Rhein", "Kiel"]), "Rhein", "denied"),
        // As labels have it.
        (json!("[\"Bonn, Rhein\",\"Kiel\"]"), "Bonn, Rhein", "passes"),
        (json!("[\"Bonn, Rhein\",\"Kiel\"]"), "Kiel", "passes"),
        (json!(" Kiel "), "Kiel", "passes"),
    ] {
        let outcome = decide(
            &policy(value.clone()),
            &Sent::new("GET", "/"),
            Some(&at(office)),
        );
        assert_eq!(outcome.0, expected, "{value} {office}");
    }
}

#[test]
fn nobody_whom_every_rule_refuses_gets_a_session() {
    let last = |rule: Value| {
        let policy = read(&json!({ "rules": [
            {"paths": ["/a/*"], "require": {"groups": ["a"]}}, rule,
        ]}));
        policy.may_admit(&staff())
    };
    for (rule, expected) in [
        (json!({"require": {"groups": ["b"]}}), false),
        (
            json!({"paths": ["/*"], "require": {"groups": ["b"]}}),
            false,
        ),
        (json!({"paths": ["/x", "/*"], "deny": true}), false),
        (json!({"paths": ["/b/*"], "deny": true}), true),
        (
            json!({"paths": ["/*"], "methods": ["GET"], "deny": true}),
            true,
        ),
        (json!({"paths": ["GET=/*"], "deny": true}), true),
        (
            json!({"paths": ["/*"], "networks": ["10.0.0.0/8"], "deny": true}),
            true,
        ),
    ] {
        assert_eq!(last(rule.clone()), expected, "{rule}");
    }
}

#[test]
fn a_proxys_demand_needs_a_session_where_the_rules_need_none() {
    let policy = read(&json!({ "public": ["/open/*"] }));
    let open = Sent::new("GET", "/open/x");
    for (demand, expected) in [
        (None, true),
        (Some("any=group:staff"), true),
        (Some("session"), false),
        (Some("deny"), false),
    ] {
        let demand = demand.map(|text| Demand::from_text(text).expect(text));
        let found = policy.needs_no_session(&open, demand.as_ref());
        assert_eq!(found, expected, "{demand:?}");
    }
}
