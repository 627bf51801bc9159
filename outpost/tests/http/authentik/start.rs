//! Starting while authentik cannot be reached.

use axum::http::StatusCode;

use super::*;
use crate::program::Running;

/// What authentik's container says of its health: a rolling update waits for it.
const PING: &str = "/outpost.goauthentik.io/ping";

#[tokio::test]
async fn an_outpost_is_ready_once_it_has_a_configuration() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let address = listener.as_ref().expect("a port").local_addr();
    let address = address.expect("an address");
    drop(listener);
    let host = format!("http://{address}");
    let variables = [
        ("AUTHENTIK_HOST", &*host),
        ("AUTHENTIK_TOKEN", "t0ken"),
        ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__HTTPS", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__METRICS", "127.0.0.1:0"),
    ];
    let running = Running::start_by(&["serve"], &variables);
    running.lines.await_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("which has never answered")
    });
    let public = async || {
        let url = format!("http://{}/x", running.http);
        let client = client().build().expect("a client");
        let asked = client.get(url).header("Host", APP).send().await;
        asked.expect("an answer")
    };
    for (path, status) in [("/healthz", 200), ("/readyz", 503), (PING, 503)] {
        let (answered, body) = running.operations(path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
    }
    let (_, body) = running.operations("/readyz/applications").await;
    assert!(body.contains("authentik has not answered yet"), "{body}");
    let answer = public().await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Nobody can go on before the applications are known.
    let said = answer.text().await.expect("a text");
    assert!(
        said.contains("not_ready") && !said.contains("continue"),
        "{said}"
    );

    let provider = Provider::start().await;
    let app = application(&provider, json!({}));
    let listener = tokio::net::TcpListener::bind(address).await;
    serve_api(listener.expect("the same port"), &provider, vec![app]);
    running.ready().await;
    assert_eq!(running.operations(PING).await.0, StatusCode::NO_CONTENT);
    assert_eq!(
        public().await.status(),
        StatusCode::NOT_FOUND,
        "no page of the outpost"
    );
}

#[tokio::test]
async fn a_misspelt_variable_is_named_at_the_start_without_its_value() {
    let variables = [
        ("AUTHENTIK_HOST", "http://127.0.0.1:1"),
        ("AUTHENTIK_TOKEN", "t0ken"),
        ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__HTTPS", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__METRICS", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__HTPP", "127.0.0.2:7"),
        ("AUTHENTIK_LISTEN__LDAP", "127.0.0.2:7"),
        ("AUTHENTIK_SECRET_KEY", "127.0.0.2:7"),
    ];
    let running = Running::start_by(&["serve"], &variables);
    let said = |line: &Value, text: &str| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains(text)
    };
    let warning = running
        .lines
        .await_line(|line| said(line, "AUTHENTIK_LISTEN__HTPP: no such variable"));
    assert_eq!(warning["level"], "WARN");
    running
        .lines
        .await_line(|line| said(line, "which has never answered"));
    let all = running.lines.all();
    assert_eq!(all.matches("no such variable").count(), 1, "{all}");
    assert!(!all.contains("127.0.0.2"), "{all}");
}
