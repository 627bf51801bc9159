//! The addresses that authentik's variables name.

use super::*;
use crate::program::Running;

/// Variables may name several addresses, with commas between, as authentik 2026.5 documents.
#[tokio::test]
async fn a_listener_may_have_several_addresses() {
    let provider = Provider::start().await;
    let host = api(&provider, vec![application(&provider, json!({}))]).await;
    let variables = [
        ("AUTHENTIK_HOST", &*host),
        ("AUTHENTIK_TOKEN", "t0ken"),
        ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0, 127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__HTTPS", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__METRICS", "127.0.0.1:0,127.0.0.1:0"),
    ];
    let running = Running::start_by(&["serve"], &variables);
    running.ready().await;
    let listening = running.lines.await_line(|line| line.get("http").is_some());
    for (listener, path) in [
        ("http", "/outpost.goauthentik.io/ping"),
        ("metrics", "/outpost.goauthentik.io/ping"),
        ("metrics", "/outpost.goauthentik.io/ping/"),
    ] {
        let addresses = listening[listener].as_str().expect("addresses");
        assert_eq!(addresses.split(", ").count(), 2, "{addresses}");
        for address in addresses.split(", ") {
            let client = client().build().expect("a client");
            let asked = client.get(format!("http://{address}{path}")).send().await;
            let status = asked.expect("an answer").status();
            assert_eq!(status.as_u16(), 204, "{listener} {address}");
        }
    }
}
