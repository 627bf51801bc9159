//! What a refusal says of the rule that refuses.

use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::world::World;

const HOST: &str = "app.example.com";

/// By asking for many paths, a client would learn the list that the operator wrote for others.
#[tokio::test]
async fn a_client_that_is_not_signed_in_learns_no_name_of_a_rule() {
    let world = World::with(
        "
applications:
  - name: app
    externalUrl: 'https://app.example.com'
    rules:
      - {name: closed-since-the-leak, paths: [/internal/*], deny: true}
",
    )
    .await;
    let alice = signed_in(&world, HOST).await;
    for dialect in DIALECTS {
        for asked in [
            Asked::fetch(HOST, "/internal/x"),
            Asked::load(HOST, "/internal/x"),
        ] {
            let reply = asked.ask(&world, dialect).await.expect(403);
            let shown = reply.body + &format!("{:?}", reply.headers);
            assert!(
                !shown.contains("closed-since-the-leak"),
                "{dialect}: {shown}"
            );
            assert!(!shown.contains("\"rule\""), "{dialect}: {shown}");
            let reply = asked.by(&alice).ask(&world, dialect).await.expect(403);
            assert!(reply.body.contains("closed-since-the-leak"), "{dialect}");
        }
    }
}
