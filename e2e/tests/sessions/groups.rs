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

fn open(app: ApplicationSpec) -> Result<StatusCode> {
    let stack = Stack::builder()
        .application(app)
        .provider(&many_groups())
        .start()?;
    let journey = Client::new()?.sign_in(&stack.app().url("/"), &ALICE)?;
    Ok(journey.landed.status)
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn five_hundred_groups_are_decided_as_all_of_them() -> Result<()> {
    let last = format!("{:0>60}", 499);
    let rule = |group: &str| json!({ "groups": [group] });
    let app = || ApplicationSpec::new("app");
    for (case, app, status) in [
        (
            "both name it",
            app().set("require", &rule("admins")),
            StatusCode::OK,
        ),
        (
            "both name another",
            app().set("require", &rule("root")),
            StatusCode::FORBIDDEN,
        ),
        (
            "the plugin names one that the outpost keeps for it",
            app()
                .set_in_plugin("require", &rule(&last))
                .set_in_outpost("cookieGroups", &json!([last])),
            StatusCode::OK,
        ),
        (
            "the plugin names one that was left out",
            app()
                .set_in_plugin("require", &rule(&last))
                .set_in_outpost("cookieGroups", &json!(["admins"])),
            StatusCode::FORBIDDEN,
        ),
        (
            "the plugin names one that the outpost does not: it ends, and not in a loop",
            app().set_in_plugin("require", &rule(&last)),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        assert_eq!(open(app)?, status, "{case}");
    }
    Ok(())
}
