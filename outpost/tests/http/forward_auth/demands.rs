//! What a plugin's rules ask of a user, as a client may say it too.

use super::{Asked, DIALECTS, signed_in};
use crate::world::World;

/// Some proxies hand on what a client says in the plugin's place. Its work must not grow faster than it, and
/// what rules of a plugin may have still counts.
#[tokio::test]
async fn a_demand_that_would_take_long_is_refused_and_a_long_one_is_applied() {
    let world = World::new().await;
    let host = "admin.example.com";
    let browser = signed_in(&world, host).await;
    let many = |start: &str, each: &str, count: usize| -> String {
        let all = (0..count).map(|at| format!("{each}{at:x}"));
        [start, &all.collect::<String>()].concat()
    };
    for (rule, status) in [
        (many("all=claim:acr", ":", 10_000), 400),
        (many("all=claim:acr", ":", 700), 400),
        (many("all=maxAge:9", "&all=claim:acr:", 200), 400),
        (many("any=group:admins", "&any=group:", 5_000), 400),
        (many("any=group:admins", "&any=group:", 4_000), 200),
        (many("any=group:nobody", "&any=group:", 4_000), 403),
        (many("not=group:nobody", "&not=group:", 4_000), 200),
        (many("not=group:ADMINS", "&not=group:", 4_000), 403),
    ] {
        let asked = Asked::fetch(host, "/").by(&browser);
        let asked = asked.with("X-Gatepost-Require", &rule);
        for dialect in DIALECTS {
            let reply = asked.clone().ask(&world, dialect).await;
            // nginx takes 400 for a failure of its own.
            let expected = match status {
                400 if dialect.ends_with("nginx") => 401,
                status => status,
            };
            let said = (reply.status.as_u16(), reply.header("x-auth-username"));
            let user = (status == 200).then_some("alice");
            assert_eq!(said, (expected, user), "{dialect} {rule:.40}");
        }
    }
}
