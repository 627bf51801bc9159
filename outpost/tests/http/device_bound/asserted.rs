//! Assertions that an operator turns on while sessions are bound: a session stays, and gets its assertion
//! with the next proof.

use gatepost::assertion::{Algorithm, AssertionKeys};

use super::*;

const HEADER: &str = "X-Gatepost-Assertion";

#[tokio::test]
async fn a_bound_session_outlives_the_day_on_which_assertions_begin() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("assertion.pem");
    let key = AssertionKeys::generate(Algorithm::Es256).expect("a key");
    std::fs::write(&file, key.as_bytes()).expect("written");
    let asserting = format!(
        "{PREFER}
assertionKeysFile: {}
applications:
  - {{name: app, externalUrl: 'https://app.example.com', public: ['/public/*'], assertion: {{}}}}",
        file.display()
    );
    let before = World::with(PREFER).await;
    let bound = Bound::sign_in(&before).await;
    let after = before.replica_with(&asserting).await;
    // Also when page loads would ask the provider, which is away.
    for (minutes, away) in [(0, false), (4, true)] {
        before.wait(minutes * MINUTE);
        after.provider.script().down = away;
        for dialect in ["auth/traefik", "auth/nginx"] {
            for asked in [Asked::load(HOST, "/x"), Asked::fetch(HOST, "/x")] {
                let reply = asked.by(&bound.browser).ask(&after, dialect).await;
                let reply = reply.expect(200);
                assert!(!reply.sets_session(), "{dialect}: {reply:?}");
                assert_eq!(reply.header(HEADER).unwrap_or_default(), "", "{dialect}");
            }
        }
    }
    after.provider.script().down = false;
    let (key, id) = (bound.key, bound.id);
    let browser = bound.browser.at(&after);
    let mut bound = Bound { browser, key, id };
    bound.refresh().await.expect(200);
    for asked in [Asked::load(HOST, "/x"), Asked::fetch(HOST, "/x")] {
        let reply = asked.by(&bound.browser).ask(&after, "auth/traefik").await;
        let reply = reply.expect(200);
        assert!(reply.header(HEADER).is_some_and(|value| !value.is_empty()));
    }
}
