//! Users with more groups than a cookie can hold.

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Returns 500 groups of 60 characters, and `admins` after them.
pub(crate) fn many_groups() -> Value {
    let groups: Vec<String> = (0..500)
        .map(|number| format!("{number:0>60}"))
        .chain(["admins".to_owned()])
        .collect();
    json!({ "users": { "alice": { "groups": groups } } })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn five_hundred_groups_are_decided_as_all_of_them() -> Result<()> {
    let last = format!("{:0>60}", 499);
    let rule = |group: &str| json!({ "groups": [group] });
    // One application for each case, at an outpost and a provider that they share.
    let app = ApplicationSpec::new;
    let cases = [
        (
            "both name it",
            "named",
            app("named").set("require", &rule("admins")),
            StatusCode::OK,
        ),
        (
            "both name another",
            "another",
            app("another").set("require", &rule("root")),
            StatusCode::FORBIDDEN,
        ),
        (
            "the plugin names one that the outpost keeps for it",
            "kept",
            app("kept")
                .set_in_plugin("require", &rule(&last))
                .set_in_outpost("cookieGroups", &json!([last])),
            StatusCode::OK,
        ),
        (
            "the plugin names one that was left out",
            "left-out",
            app("left-out")
                .set_in_plugin("require", &rule(&last))
                .set_in_outpost("cookieGroups", &json!(["admins"])),
            StatusCode::FORBIDDEN,
        ),
        (
            "the plugin names one that the outpost does not: it ends, and not in a loop",
            "unknown",
            app("unknown").set_in_plugin("require", &rule(&last)),
            StatusCode::BAD_REQUEST,
        ),
    ];
    let stack = cases
        .iter()
        .fold(Stack::builder(), |builder, (_, _, app, _)| {
            builder.application(app.clone())
        })
        .provider(&many_groups())
        .start()?;
    for (case, name, _, status) in cases {
        let page = stack.application(name)?.url("/");
        let journey = Client::new()?.sign_in(&page, &ALICE)?;
        assert_eq!(journey.landed.status, status, "{case}");
    }
    Ok(())
}
