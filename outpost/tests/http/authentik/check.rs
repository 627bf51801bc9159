//! What `gatepost check` says with authentik's variables alone.

use super::*;

#[tokio::test]
async fn it_says_what_signing_out_does_at_authentik() {
    let provider = Provider::start().await;
    let host = api(&provider, vec![application(&provider, json!({}))]).await;
    let checked = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("check")
            .env_clear()
            .env("AUTHENTIK_HOST", host)
            .env("AUTHENTIK_TOKEN", "t0ken")
            .env("AUTHENTIK_LISTEN__HTPP", ":9001")
            .output()
    });
    let output = checked.await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("default-provider-invalidation-flow"),
        "{said}"
    );
    assert!(!said.contains("ends the session there too"), "{said}");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        complained.contains("AUTHENTIK_LISTEN__HTPP: no such variable"),
        "{complained}"
    );
}
