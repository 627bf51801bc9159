use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use serde_json::json;

/// Reads with `read`, and returns the result and the problems as lines.
fn reading<T>(
    value: &serde_json::Value,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> (T, Vec<String>) {
    let problems = Problems::new();
    let value = Value::from(value);
    let read = {
        let mut fields = Fields::of(&value, "", &problems).expect("a section");
        let read = read(&mut fields);
        fields.finish();
        read
    };
    (
        read,
        problems
            .into_vec()
            .iter()
            .map(ToString::to_string)
            .collect(),
    )
}

#[test]
fn a_value_and_its_text_mean_the_same() {
    let native = json!({"flag": true, "list": ["a", "b"], "number": 30, "span": 900});
    let labels = json!({"flag": "true", "list": "a, b,", "number": "30", "span": "15m"});
    for value in [native, labels] {
        let read = reading(&value, |fields| {
            (
                fields.flag("flag"),
                fields.list("list"),
                fields.number("number", 60),
                fields.seconds("span"),
            )
        });
        let list = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            read,
            ((Some(true), list, Some(30), Some(900)), vec![]),
            "{value}"
        );
    }
}

#[test]
fn every_problem_is_reported_with_its_path() {
    let value = json!({
        "mode": "dual",
        "forwardCokie": true,
        "zzz": 1,
        "clockSkew": "soon",
        "public": ["/a/../b"],
        "require": {"groups": [], "all": {"grops": "x"}},
        "headers": {"preset": "nginx", "set": {"Cookie": "sub"}},
    });
    let (_, problems) = reading(&value, |fields| {
        fields.required_text("application", "the application's name");
        fields.choice("mode", &[("single", 1), ("domain", 2)]);
        fields.seconds("clockSkew");
        fields.flag("forwardCookie");
        policy(fields);
        headers(fields, "wiki", None);
    });
    assert_eq!(
        problems,
        [
            "application: missing: the application's name",
            "mode: `dual` is not one of single, domain",
            "clockSkew: `soon` is not a duration; write `30s`, `15m` or `8h`",
            "public: `/a/../b`: a path with `%`, `;`, `\\`, `//`, dot segments, a dot or blank at a \
         segment's end, control or wide characters is never public: write it decoded",
            "require.groups: an empty list: leave the key out, or write an entry",
            "require.all: has no entry",
            "require.all.grops: unknown key: did you mean `groups`?",
            "require.groups: an empty rule: leave out `require` to admit all who sign in",
            "headers.preset: `nginx` is not one of gatepost, authentik, none",
            "headers.set: `Cookie` is not a name for an identity header: expected letters, digits and \
         `-`, and none that HTTP itself uses, such as Host, Cookie or Authorization",
            "forwardCokie: unknown key: did you mean `forwardCookie`?",
            "zzz: unknown key: expected application, mode, clockSkew, forwardCookie, rules, public, require, \
         allowPreflight, machines, apiKeyHeader, headers",
        ]
    );
}

/// Row A11: YAML makes null of a key with nothing under it. It is an error for every kind of key,
/// since for those that narrow it would mean the widest.
#[test]
fn a_key_without_a_value_is_an_error_and_never_absent() {
    let value = json!({
        "require": null, "headers": null, "public": null, "machines": null, "allowPreflight": null,
        "text": null, "number": null, "span": null, "sections": null, "old": null,
    });
    let (_, problems) = reading(&value, |fields| {
        policy(fields);
        headers(fields, "wiki", None);
        fields.required_text("text", "a text");
        fields.number("number", 1);
        fields.seconds("span");
        fields.sections("sections");
        fields.renamed("old", "new");
    });
    let keys = [
        "public",
        "require",
        "allowPreflight",
        "machines",
        "headers",
        "text",
        "number",
        "span",
        "sections",
        "old",
    ];
    let expected = keys.map(|key| format!("{key}: has no value: write one, or leave the key out"));
    assert_eq!(problems, expected);

    for (require, key) in [
        (json!({"groups": null}), "require.groups"),
        (json!({"groups": null, "users": "alice"}), "require.groups"),
        (json!({"GROUPS": null, "users": "alice"}), "require.groups"),
        (json!({"any": null, "users": "alice"}), "require.any"),
        (json!({"all": null, "users": "alice"}), "require.all"),
        (
            json!({"all": {"groups": null, "users": "alice"}}),
            "require.all.groups",
        ),
    ] {
        let value = json!({ "require": require });
        let (_, problems) = reading(&value, policy);
        let expected = format!("{key}: has no value: write one, or leave the key out");
        assert!(problems.contains(&expected), "{value}: {problems:?}");
    }
}

#[test]
fn keys_differ_by_more_than_case() {
    let (flag, problems) = reading(&json!({"FORWARDcookie": "true"}), |f| {
        f.flag("forwardCookie")
    });
    assert_eq!((flag, problems.len()), (Some(true), 0));
    let twice = json!({"forwardCookie": true, "forwardcookie": false});
    let (_, problems) = reading(&twice, |f| f.flag("forwardCookie"));
    assert_eq!(
        problems,
        ["forwardCookie: is written twice, in different case: write it once"]
    );
}

#[test]
fn a_rule_can_be_written_directly_or_in_full() {
    let short = json!({"require": {"groups": "staff,ops", "emailDomains": "example.com"}});
    let long = json!({"require": {"any": {
        "groups": ["staff", "ops"], "emailDomains": ["@example.com"],
    }}});
    let (short, problems) = reading(&short, |fields| policy(fields).require);
    assert_eq!(problems, [""; 0]);
    let (long, problems) = reading(&long, |fields| policy(fields).require);
    assert_eq!(problems, [""; 0]);
    assert_eq!(short, long);
    assert_eq!(short.groups().collect::<Vec<_>>(), ["staff", "ops"]);
}

#[test]
fn a_rule_asks_for_a_device_beside_its_lists() {
    for (rule, text) in [
        (json!({"deviceBound": true}), Some("all=deviceBound:true")),
        (json!({"deviceBound": "true"}), Some("all=deviceBound:true")),
        (
            json!({"groups": "staff", "DEVICEbound": true}),
            Some("any=group:staff&all=deviceBound:true"),
        ),
        (
            json!({"groups": "staff", "deviceBound": false}),
            Some("any=group:staff"),
        ),
    ] {
        let (rule, problems) = reading(&json!({"require": rule}), |f| policy(f).require);
        assert_eq!(problems, [""; 0]);
        assert_eq!(rule.to_text().as_deref(), text);
    }
    for wrong in [
        json!({"deviceBound": false}),
        json!({"groups": "staff", "deviceBound": "maybe"}),
        json!({"groups": "staff", "deviceBound": "require"}),
        json!({"groups": "staff", "deviceBound": null}),
        json!({"groups": "staff", "deviceBound": []}),
        json!({"any": {"groups": "staff", "deviceBound": true}}),
        json!({"all": {"groups": "staff", "deviceBound": true}}),
        json!({"groups": "staff", "deviceBind": true}),
    ] {
        let (_, problems) = reading(&json!({"require": wrong.clone()}), policy);
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
    }
}

#[test]
fn spans_of_time_have_a_unit_or_are_seconds() {
    for (text, expected) in [
        ("90", Some(90)),
        ("30s", Some(30)),
        (" 15m ", Some(900)),
        ("8h", Some(28_800)),
        ("7d", Some(604_800)),
        ("1.5h", None),
        ("-1", None),
        ("", None),
        ("5w", None),
        ("99999999999999999999", None),
        ("99999999999999999d", None),
    ] {
        assert_eq!(parse_seconds(text), expected, "{text}");
    }
}

#[test]
fn a_span_of_time_is_within_its_bounds() {
    for (text, expected, problem) in [
        ("90m", 5_400, None),
        ("15s", 15, None),
        ("14s", 15, Some("span: expected 15s to 24h: as tested")),
        ("25h", 86_400, Some("span: expected 15s to 24h: as tested")),
        (
            "18446744073709551615",
            86_400,
            Some("span: expected 15s to 24h: as tested"),
        ),
    ] {
        let value = json!({"span": text});
        let (read, problems) = reading(&value, |fields| {
            fields.seconds_within("span", 15..=86_400, "as tested")
        });
        let problem: Vec<&str> = problem.into_iter().collect();
        assert_eq!(
            (read, problems),
            (Some(expected), owned(&problem)),
            "{text}"
        );
    }
    assert_eq!(span(MOST_SECONDS), "3650d");
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn api_keys_may_have_a_header_of_their_own_and_no_other() {
    for (name, machines, expected, problem) in [
        ("x-api-key", "apiKey", Some("X-Api-Key"), None),
        ("X-Api-Key", "apikey,bearer", Some("X-Api-Key"), None),
        (
            "X-Api-Key",
            "bearer",
            None,
            Some("apiKeyHeader: `X-Api-Key` carries no key without `machines: [apiKey]`"),
        ),
        (
            "X-Forwarded-For",
            "apiKey",
            None,
            Some(
                "apiKeyHeader: `X-Forwarded-For` has another meaning to proxies or to the outpost",
            ),
        ),
        (
            "x-request-id",
            "apiKey",
            None,
            Some("apiKeyHeader: `X-Request-Id` has another meaning to proxies or to the outpost"),
        ),
        (
            "X-Auth-Username",
            "apiKey",
            Some("X-Auth-Username"),
            Some("apiKeyHeader: `X-Auth-Username` names the user to the application"),
        ),
        (
            "Authorization",
            "apiKey",
            None,
            Some(
                "apiKeyHeader: not a name for an identity header: expected letters, digits and \
                 `-`, and none that HTTP itself uses, such as Host, Cookie or Authorization",
            ),
        ),
    ] {
        let value = json!({"machines": machines, "apiKeyHeader": name});
        let (header, problems) = reading(&value, |fields| {
            let policy = policy(fields);
            let header = policy.machine_clients.api_key_header();
            headers(fields, "wiki", header);
            header.map(ToString::to_string)
        });
        assert_eq!(header.as_deref(), expected, "{name}");
        let said: Vec<&str> = problems.iter().map(String::as_str).collect();
        assert_eq!(said, Vec::from_iter(problem), "{name}");
    }
}

#[test]
fn schemes_are_named_in_a_list_or_a_text() {
    for (value, expected, problem) in [
        (json!(["bearer", "Basic"]), (true, true), None),
        (json!("bearer"), (true, false), None),
        (json!([]), (false, false), None),
        (
            json!("bearer, token"),
            (false, false),
            Some("machines: expected `bearer`, `dpop`, `basic` or `apiKey`, or several of them"),
        ),
    ] {
        let (policy, problems) = reading(&json!({"machines": value}), policy);
        let machines = policy.machine_clients;
        assert_eq!((machines.bearer, machines.basic), expected, "{value}");
        let said: Vec<&str> = problems.iter().map(String::as_str).collect();
        assert_eq!(said, Vec::from_iter(problem), "{value}");
    }
}
