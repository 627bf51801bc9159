//! What the log of the program says of a provider's answers: one line, with what an operator can mend
//! and nothing that is a user's.

use serde_json::{Value, json};

use crate::provider::Script;
use crate::resources::Outpost;

/// A change to the provider's behaviour.
type Setting = fn(&mut Script);

/// Returns the lines of the log whose message begins like this.
fn lines(outpost: &Outpost, beginning: &str) -> Vec<Value> {
    let all = outpost.running.lines.all();
    let lines = all
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let begins = |line: &Value| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.starts_with(beginning))
    };
    lines.filter(begins).collect()
}

/// Waits until the log has so many lines whose message begins like this, and returns them.
async fn said(outpost: &Outpost, beginning: &str, number: usize) -> Vec<Value> {
    let what = format!("{number} lines: {beginning}");
    let are_there = async || lines(outpost, beginning).len() >= number;
    outpost.running.until(&what, are_there).await;
    let lines = lines(outpost, beginning);
    assert_eq!(lines.len(), number, "{lines:#?}");
    lines
}

/// Signs Alice in, and fails unless she is.
async fn sign_in(outpost: &Outpost, setting: Setting) {
    setting(&mut outpost.provider.script());
    let answer = outpost.try_to_sign_in().await;
    assert_eq!(answer.status(), 302);
}

const WITHOUT: &str = "a user signed in without groups";
const LEFT_OUT: &str = "the provider left the groups out";

#[tokio::test]
async fn a_line_says_which_claims_were_looked_for_and_which_arrived() {
    let outpost = Outpost::start("groups-said", "").await;
    sign_in(&outpost, |_| ()).await;
    assert!(lines(&outpost, WITHOUT).is_empty(), "she has groups");

    // The groups are at another place than the configuration says, and one claim's name is an attack
    // on whoever reads the log.
    sign_in(&outpost, |script| {
        script.userinfo = json!({"sub": "alice-id", "roles": ["admins"], "a\nERROR b": 1});
    })
    .await;
    let said_of_her = said(&outpost, WITHOUT, 1).await;
    let said_of_her = &said_of_her[0];
    assert_eq!(said_of_her["level"], "INFO", "{said_of_her}");
    assert_eq!(said_of_her["provider"], "main", "{said_of_her}");
    assert_eq!(said_of_her["looked_for"], "groups", "{said_of_her}");
    let arrived = said_of_her["arrived"].as_str().expect("a text");
    for claim in ["`email`", "`preferred_username`", "`roles`", "`sub`"] {
        assert!(arrived.contains(claim), "{claim}: {said_of_her}");
    }
    assert!(arrived.contains("`a\\nERROR b`"), "{said_of_her}");
    // Names, and no values.
    for value in ["alice@example.com", "Alice Liddell", "admins"] {
        assert!(
            !said_of_her.to_string().contains(value),
            "{value}: {said_of_her}"
        );
    }

    // They are where it says, and there are none.
    sign_in(&outpost, |script| {
        script.userinfo = json!({"sub": "alice-id", "groups": []});
    })
    .await;
    said(&outpost, WITHOUT, 2).await;

    // Entra ID has too many for a token.
    sign_in(&outpost, |script| {
        script.userinfo = json!({
            "sub": "alice-id", "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/made-up"}},
        });
    })
    .await;
    let overage = said(&outpost, LEFT_OUT, 1).await;
    assert_eq!(overage[0]["level"], "WARN", "{overage:#?}");
    let message = overage[0]["message"].as_str().expect("a text");
    said(&outpost, WITHOUT, 2).await;
    assert!(message.contains("`graphUrl`"), "{message}");
}

#[tokio::test]
async fn a_member_that_is_needed_and_invalid_is_named() {
    let cases: &[(Setting, &[&str])] = &[
        (
            |s| s.token_response = Box::new(|answer| answer["id_token"] = json!(7)),
            &["token endpoint", "`id_token` is a number"],
        ),
        (
            |s| s.token_response = Box::new(|answer| answer["access_token"] = json!({})),
            &["token endpoint", "`access_token` is an object"],
        ),
        (
            |s| s.claims = Box::new(|claims| claims["sub"] = json!(["alice-id"])),
            &["ID token", "`sub` is missing or invalid"],
        ),
        (
            |s| s.claims = Box::new(|claims| claims["exp"] = json!("soon")),
            &["ID token", "`exp` is missing or invalid"],
        ),
        (
            |s| s.claims = Box::new(|claims| claims["aud"] = json!(["gatepost", "warehouse"])),
            &["ID token", "`trustedAudiences`", "`warehouse`"],
        ),
        (
            |s| s.header = Box::new(|header| header["kid"] = json!("another")),
            &[
                "no key of the provider verifies its signature",
                "`alg` EdDSA",
                "`kid` `another`",
                "0 of 1 keys fit",
                "s ago",
            ],
        ),
        (
            |s| s.userinfo = json!({"sub": 7, "groups": ["admins"]}),
            &["userinfo", "`sub` is a number instead of a text"],
        ),
    ];
    for (at, (setting, named)) in cases.iter().enumerate() {
        let outpost = Outpost::start(&format!("member-said-{at}"), "").await;
        setting(&mut outpost.provider.script());
        let answer = outpost.try_to_sign_in().await;
        assert_eq!(answer.status(), 502, "{named:?}");
        let page = answer.text().await.expect("a page");
        let line = said(&outpost, "request failed", 1).await.remove(0);
        let failure = line["failure"].as_str().expect("a text");
        for words in *named {
            assert!(failure.contains(words), "{words}: {failure}");
        }
        // The page has a reference to the line, and nothing else of it.
        assert!(!page.contains(failure), "{page}");
        let reference = line["reference"].as_str().expect("a reference");
        assert!(page.contains(reference), "{reference}: {page}");
        for notation in ["Some(", "None", "IdToken(", "{ ", "eyJ"] {
            assert!(!failure.contains(notation), "{notation}: {failure}");
        }
    }
}

#[tokio::test]
async fn a_member_of_the_discovery_document_that_is_needed_and_invalid_is_named() {
    let outpost = Outpost::start_without_provider("document-said", "", |provider| {
        provider.script().discovery = Box::new(|document| {
            document["token_endpoint"] = json!(["https://id.example.com/token"]);
        });
    })
    .await;
    let is_named = async || !lines(&outpost, "provider cannot be used").is_empty();
    outpost
        .running
        .until("the provider to be named", is_named)
        .await;
    let line = lines(&outpost, "provider cannot be used").remove(0);
    let error = line["error"].as_str().expect("a text");
    for words in [
        "/.well-known/openid-configuration",
        "`token_endpoint` is a list instead of a text",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}
