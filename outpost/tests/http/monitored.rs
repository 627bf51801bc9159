//! What an operator sees of the running program: metrics, the audit log, readiness.

use std::fs;

use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::cookie::CookieName;
use reqwest::StatusCode;
use serde_json::Value;

use crate::program::{Folder, Running, client, write_config};
use crate::provider::Provider;

#[tokio::test]
async fn decisions_and_sign_ins_are_counted_and_audited_without_secrets() {
    let folder = Folder::new("metrics");
    let provider = Provider::start().await;
    let running = Running::start(&write_config(&folder, &provider, ""));
    assert_eq!(running.operations("/healthz").await.0, StatusCode::OK);
    running.ready().await;
    let client = client().build().expect("a client");
    let base = format!("http://{}/akprox", running.http);
    let host = "app.example.com";
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let start = async || {
        let begun = client.get(format!("{base}/start")).header("Host", host);
        let begun = begun.send().await.expect("an answer");
        let back = provider.authorize(begun.headers()["location"].to_str().expect("text"));
        (begun, back)
    };
    let (begun, back) = start().await;
    let finished = client
        .get(format!(
            "{base}/callback?{}",
            back.query().expect("a query")
        ))
        .header("Host", host)
        .header("Cookie", cookies(&begun))
        .header("X-Request-Id", "from-the-proxy")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        finished.status(),
        StatusCode::FOUND,
        "{}",
        running.lines.all()
    );
    assert_eq!(finished.headers()["x-request-id"], "from-the-proxy");
    let session = cookies(&finished);
    assert!(
        session.contains(CookieName::default_for(true, false).as_str()),
        "{session}"
    );
    for (case, cookie, host, uri, status) in [
        (
            "no session",
            "",
            "app.example.com",
            "/",
            StatusCode::UNAUTHORIZED,
        ),
        ("public", "", "app.example.com", "/public/x", StatusCode::OK),
        ("denied", &*session, host, "/", StatusCode::FORBIDDEN),
        (
            "no application",
            "",
            "evil.example",
            "/",
            StatusCode::NOT_FOUND,
        ),
    ] {
        let asked = client
            .get(format!("{base}/auth/traefik"))
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", host)
            .header("X-Forwarded-Uri", uri)
            .header("X-Request-Id", "a b\"")
            .header("X-Gatepost-Require", "any=group:root")
            .header("Cookie", cookie);
        assert_eq!(
            asked.send().await.expect("an answer").status(),
            status,
            "{case}"
        );
    }
    let weak = client
        .get(format!("{base}/auth/traefik"))
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", host)
        .header("X-Forwarded-Uri", "/")
        .header("X-Gatepost-Require", "all=claim:acr:gold")
        .header("Cookie", &session);
    let weak = weak.send().await.expect("an answer");
    assert_eq!(weak.status(), StatusCode::UNAUTHORIZED);
    let left = client.get(format!("{base}/sign_out")).header("Host", host);
    let left = left
        .header("Cookie", &session)
        .send()
        .await
        .expect("an answer");
    assert_eq!(left.status(), StatusCode::FOUND);

    let (_, text) = running.operations("/metrics").await;
    for line in [
        "gatepost_build_info{version=\"0.1.0\"} 1",
        "gatepost_decisions_total{application=\"app\",verdict=\"sign_in\"} 2",
        "gatepost_decisions_total{application=\"app\",verdict=\"allow\"} 1",
        "gatepost_decisions_total{application=\"app\",verdict=\"deny\"} 1",
        "gatepost_sign_ins_total{application=\"app\",outcome=\"succeeded\"} 1",
        "gatepost_sign_outs_total{application=\"app\"} 1",
        "gatepost_failures_total{reason=\"unknown_host\"} 1",
        // What has not happened yet, so that a rate includes the first time.
        "gatepost_failures_total{reason=\"store_unavailable\"} 0",
        "gatepost_failures_total{reason=\"panic\"} 0",
        "gatepost_revocations_total 0",
        "gatepost_device_skips_total{reason=\"unreachable\"} 0",
        "gatepost_confirmations_total{provider=\"main\",outcome=\"over\"} 0",
        "gatepost_provider_available{provider=\"main\"} 1",
        "gatepost_store_duration_seconds_count{operation=\"insert\"} 1",
        "gatepost_provider_request_duration_seconds_count{provider=\"main\",outcome=\"succeeded\"}",
        "gatepost_request_duration_seconds_count{endpoint=\"callback\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(
        !text.contains("evil"),
        "no label is what a client sent: {text}"
    );

    let audited = |event: &str| {
        let event = event.to_owned();
        running
            .lines
            .await_line(move |line| line["target"] == "audit" && line["event"] == event)
    };
    let signed_in = audited("sign_in");
    assert_eq!(signed_in["application"], "app");
    assert_eq!(signed_in["subject"], "alice-id");
    assert_eq!(signed_in["username"], "alice");
    assert_eq!(signed_in["span"]["id"], "from-the-proxy");
    assert_eq!(signed_in["span"]["trace_id"], trace);
    let denied = audited("denied");
    assert_eq!(denied["session"], signed_in["session"]);
    assert_eq!(denied["groups"], "`staff`, `admins`");
    assert_eq!(signed_in["groups"], Value::Null);
    assert_ne!(denied["span"]["id"], "a b\"", "not an id");
    assert_eq!(audited("step_up")["session"], signed_in["session"]);
    assert_eq!(audited("sign_out")["session"], signed_in["session"]);

    provider.script().secret_in_form = true;
    let (failing, refused) = start().await;
    let refused = refused.query().expect("a query");
    let failed = client
        .get(format!("{base}/callback?{refused}"))
        .header("Host", host)
        .header("Cookie", cookies(&failing))
        .send();
    assert_eq!(
        failed.await.expect("an answer").status(),
        StatusCode::BAD_REQUEST
    );
    let failed = audited("sign_in_failed");
    assert_eq!(failed["code"], "sign_in_failed");
    let reason = failed["reason"].to_string();
    assert!(reason.contains("refuses the client `gatepost`"), "{reason}");

    let said = format!("{}\n{text}", running.lines.all());
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .expect("a code")
        .1;
    let token = session.split('=').nth(1).expect("a value");
    let mac = token.split(['.', ';']).nth(2).expect("a MAC");
    for secret in [
        &*code,
        mac,
        "the-access-token",
        "the-refresh-token",
        crate::provider::CLIENT_SECRET,
    ] {
        assert!(!said.contains(secret), "{secret}\n{said}");
    }
}

#[tokio::test]
async fn readiness_distinguishes_provider_and_store_and_liveness_neither() {
    let folder = Folder::new("readiness");
    let provider = Provider::start().await;
    provider.script().down = true;
    let running = Running::start(&write_config(&folder, &provider, ""));
    for (path, status, says) in [
        ("/healthz", 200, "ok"),
        ("/readyz", 503, "\"ready\":false"),
        ("/readyz/store", 200, "\"available\":true"),
        ("/readyz/providers", 503, "\"main\""),
        ("/readyz/other", 404, ""),
    ] {
        let (answered, body) = running.operations(path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
        assert!(body.contains(says), "{path}: {body}");
    }
    // Nothing of it is the public's.
    for path in ["/metrics", "/readyz", "/traefik", "/akprox/metrics"] {
        let url = format!("http://{}{path}", running.http);
        let answer = client().build().expect("a client").get(url).send().await;
        assert_eq!(
            answer.expect("an answer").status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    provider.script().down = false;
    running.ready().await;
}

/// What the provider said of itself stays in use for a day, and an operator has to know long before.
#[tokio::test]
async fn a_provider_that_goes_away_is_noticed_with_the_next_request_that_fails() {
    let folder = Folder::new("provider-away");
    let provider = Provider::start().await;
    let running = Running::start(&write_config(&folder, &provider, ""));
    running.ready().await;
    let client = client().build().expect("a client");
    let base = format!("http://{}/akprox", running.http);
    let start = async || {
        let begun = client.get(format!("{base}/start"));
        let begun = begun.header("Host", "app.example.com").send();
        begun.await.expect("an answer")
    };
    let begun = start().await;
    let location = begun.headers()["location"].to_str().expect("text");
    let back = provider.authorize(location);
    let flow = begun.headers().get_all("set-cookie").iter();
    let flow: Vec<&str> = flow
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .collect();
    provider.script().down = true;
    let callback = format!("{base}/callback?{}", back.query().expect("a query"));
    let callback = client.get(callback).header("Cookie", flow.join("; "));
    let failed = callback.header("Host", "app.example.com").send().await;
    assert!(failed.expect("an answer").status().is_server_error());
    running
        .until("the metric of a provider that is away", async || {
            let (_, text) = running.operations("/metrics").await;
            text.contains("gatepost_provider_available{provider=\"main\"} 0")
        })
        .await;
    let (status, body) = running.operations("/readyz/providers").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(body.contains("\"error\":\""), "{body}");
    assert_eq!(start().await.status(), StatusCode::FOUND, "still in use");
}

/// An operator edits a file and checks it before the outpost has read it, or checks a copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_another_configuration_than_the_running_one_says_so() {
    let folder = Folder::new("check-running");
    let provider = Provider::start().await;
    let config = write_config(&folder, &provider, "");
    let running = Running::start(&config);
    running.ready().await;
    let text = fs::read_to_string(&config).expect("the configuration");
    let metrics = format!("metrics: '{}'", running.metrics);
    let text = text.replace("metrics: '127.0.0.1:0'", &metrics);
    let other_key = "c:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTk=";
    let copy = folder.path("copy.yaml");
    for (from, to, expected) in [
        (
            "",
            "",
            "the running outpost has this configuration in force",
        ),
        (
            "'/public/*'",
            "'/*'",
            "runs with another configuration: `app` has another `public`",
        ),
        (crate::world::KEY_A, other_key, "runs with other keys"),
        (
            metrics.as_str(),
            "metrics: '127.0.0.1:1'",
            "not compared with the running outpost",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(
            from.is_empty() || changed != text,
            "{from} is not in {text}"
        );
        fs::write(&copy, changed).expect("written");
        let check = std::process::Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["check", "--url", "https://app.example.com/", "--config"])
            .arg(&copy)
            .env_clear()
            .output();
        let said = check.expect("it runs").stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// With every pod out of the Service, users with a valid cookie would get an error from the proxy.
#[tokio::test]
async fn a_store_that_is_away_takes_no_pod_out_of_service() {
    let folder = Folder::new("store-away");
    let provider = Provider::start().await;
    let config = write_config(&folder, &provider, "");
    let text = fs::read_to_string(&config).expect("the configuration");
    // Nobody listens there.
    let store = "store: {kind: redis, url: 'redis://127.0.0.1:1'}";
    assert!(text.contains("store: {kind: memory}"), "{text}");
    let text = text.replace("store: {kind: memory}", store);
    fs::write(&config, text).expect("written");
    let running = Running::start(&config);
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz/applications", 200),
        ("/readyz/store", 503),
        ("/readyz", 503),
    ] {
        let (answered, body) = running.operations(path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
    }
}

/// The id names a session where an operator ends it, so that it does not belong where others read.
#[tokio::test]
async fn every_line_names_a_session_by_the_hash_of_the_audit_log() {
    let folder = Folder::new("log-ids");
    let provider = Provider::start().await;
    let applications = "
applications:
  - name: app
    externalUrl: 'https://app.example.com'
    rules: [{name: vault, paths: ['/vault/*'], require: {acr: [gold]}}]
";
    let running = Running::start(&write_config(&folder, &provider, applications));
    running.ready().await;
    let weak = session_of(&running, &provider, "/", "").await;
    provider.script().claims = Box::new(|claims| claims["acr"] = "gold".into());
    let strong = session_of(&running, &provider, "/vault/x", &weak).await;

    let again = "a signed-in user has authenticated again";
    let again = running.lines.await_line(|line| line["message"] == again);
    let marks = running.lines.each(|line| {
        let is_audited = line["target"] == "audit" && line["event"] == "sign_in";
        is_audited.then(|| line["session"].clone())
    });
    assert_eq!(marks, [again["before"].clone(), again["session"].clone()]);
    let said = running.lines.all();
    for cookie in [weak, strong] {
        let claims = cookie.split('.').nth(1).expect("a payload");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        let id = claims["sid"].as_str().expect("an id");
        assert!(!said.contains(id), "{id}\n{said}");
    }
}

/// Signs a browser with this cookie in where it wants to go to, and returns its session's cookie.
async fn session_of(running: &Running, provider: &Provider, path: &str, cookie: &str) -> String {
    let get = async |path: &str, cookie: &str| {
        let url = format!("http://{}/akprox/{path}", running.http);
        let request = client().build().expect("a client").get(url);
        let request = request.header("Host", "app.example.com");
        let answer = request.header("Cookie", cookie).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.status(),
            StatusCode::FOUND,
            "{}",
            running.lines.all()
        );
        answer
    };
    let begun = get(&format!("start?rd={path}"), cookie).await;
    let location = begun.headers()["location"].to_str().expect("text");
    let back = provider.authorize(location);
    let callback = format!("callback?{}", back.query().expect("a query"));
    let both = format!("{cookie}; {}", cookies(&begun));
    let finished = cookies(&get(&callback, &both).await);
    let name = CookieName::default_for(true, false);
    let mut pairs = finished.split("; ");
    let session = pairs.find(|pair| pair.starts_with(&format!("{}=", name.as_str())));
    session.expect("a session").to_owned()
}

/// Returns the cookies that an answer sets, as a browser sends them.
fn cookies(answer: &reqwest::Response) -> String {
    let lines = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .filter(|pair| !pair.ends_with('='))
        .collect();
    pairs.join("; ")
}
