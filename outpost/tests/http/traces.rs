//! Traces, as a collector gets them from the program.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, Span, status::StatusCode as SpanStatus,
};
use prost::Message as _;

use crate::program::{Folder, LIMIT, Running, client, write_config};
use crate::provider::Provider;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const HOST: &str = "app.example.com";

/// What a collector on loopback has been sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<(Vec<ResourceSpans>, Vec<HeaderMap>)>>);

impl Collector {
    async fn start() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let collector = Self::default();
        collector.serve(listener);
        (collector, url)
    }

    fn serve(&self, listener: tokio::net::TcpListener) {
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// Waits for one span of each name, and returns all spans.
    async fn await_spans(&self, names: &[&str]) -> Vec<Span> {
        let until = Instant::now() + LIMIT;
        loop {
            let spans = self.spans();
            let missing = |name: &&&str| !spans.iter().any(|span| span.name == **name);
            let Some(missing) = names.iter().find(missing) else {
                return spans;
            };
            let known: Vec<_> = spans.iter().map(|span| &span.name).collect();
            assert!(Instant::now() < until, "no {missing} in {known:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.0.lock().expect("no panic");
        let scopes = taken.0.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut taken = collector.0.lock().expect("no panic");
    taken.0.extend(request.resource_spans);
    taken.1.push(headers);
    StatusCode::OK
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// Returns the only span of that name in the trace.
fn named<'a>(spans: &'a [Span], trace: &str, name: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|span| span.name == name && hex(&span.trace_id) == trace);
    let span = found.next().unwrap_or_else(|| panic!("{name}: {spans:#?}"));
    assert!(found.next().is_none(), "two of {name}");
    span
}

/// Signs in by the program and gives the query with the code, and the pairs of the session cookie.
async fn sign_in(running: &Running, provider: &Provider) -> (String, String) {
    let client = client().build().expect("a client");
    let base = format!("http://{}/akprox", running.http);
    let start = client.get(format!("{base}/start")).header("Host", HOST);
    let begun = start.send().await.expect("an answer");
    let back = provider.authorize(begun.headers()["location"].to_str().expect("text"));
    let query = back.query().expect("a query").to_owned();
    let pairs = |response: &reqwest::Response| {
        let lines = response.headers().get_all(header::SET_COOKIE).iter();
        let pair =
            |line: &header::HeaderValue| Some(line.to_str().ok()?.split(';').next()?.to_owned());
        let pairs: Vec<String> = lines
            .filter_map(pair)
            .filter(|pair| !pair.ends_with('='))
            .collect();
        pairs.join("; ")
    };
    let callback = client
        .get(format!("{base}/callback?{query}"))
        .header("Host", HOST)
        .header("Cookie", pairs(&begun))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let finished = callback.send().await.expect("an answer");
    assert_eq!(
        finished.status(),
        StatusCode::FOUND,
        "{}",
        running.lines.all()
    );
    (query, pairs(&finished))
}

fn traced(url: &str) -> String {
    format!("tracing: {{endpoint: '{url}', headers: {{x-collector-key: s3cret}}}}\n")
}

#[tokio::test]
async fn a_request_is_a_span_of_the_proxys_trace_with_what_it_waited_for_below() {
    let folder = Folder::new("traces");
    let provider = Provider::start().await;
    let (collector, url) = Collector::start().await;
    let config = write_config(&folder, &provider, &traced(&url));
    let mut running = Running::start(&config);
    running.ready().await;
    let (query, session) = sign_in(&running, &provider).await;
    let asked = client()
        .build()
        .expect("a client")
        .get(format!("http://{}/akprox/auth/traefik", running.http))
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", HOST)
        .header("X-Forwarded-Uri", "/?secret=of-the-application")
        .header("X-Gatepost-Require", "any=group:root")
        .header("Cookie", &session);
    let denied = asked.send().await.expect("an answer");
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    // The remaining spans are delivered at the end.
    running.terminate();
    assert!(running.end().await.success());
    let spans = collector.await_spans(&["GET auth/traefik"]).await;

    let callback = named(&spans, TRACE, "GET callback");
    assert_eq!(hex(&callback.parent_span_id), PARENT);
    assert_eq!(callback.kind(), SpanKind::Server);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "callback"),
        ("http.response.status_code", "302"),
        ("gatepost.application", "app"),
    ] {
        assert_eq!(attribute(callback, key).as_deref(), Some(value), "{key}");
    }
    let token = named(&spans, TRACE, "POST /token");
    assert_eq!(token.parent_span_id, callback.span_id);
    assert_eq!(token.kind(), SpanKind::Client);
    for (key, value) in [
        ("gatepost.provider", "main"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(token, key).as_deref(), Some(value), "{key}");
    }
    let sent = provider.script().traceparent.clone();
    let sent = sent.expect("the provider gets the trace");
    assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&token.span_id)));
    let kept = named(&spans, TRACE, "store insert");
    assert_eq!(kept.parent_span_id, callback.span_id);

    let asked = spans.iter().find(|span| span.name == "GET auth/traefik");
    let asked = asked.expect("a span");
    assert!(asked.parent_span_id.is_empty(), "the client named no trace");
    for (key, value) in [
        ("gatepost.application", "app"),
        ("gatepost.verdict", "deny"),
        ("http.response.status_code", "403"),
    ] {
        assert_eq!(attribute(asked, key).as_deref(), Some(value), "{key}");
    }
    let refused = |line: &serde_json::Value| line["event"] == "denied";
    let line = running.lines.await_line(refused);
    assert_eq!(line["span"]["trace_id"], hex(&asked.trace_id));
    let found = spans
        .iter()
        .find(|span| span.name.contains("openid-configuration"));
    assert!(found.is_some(), "discovery is a trace of its own");
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
    let alone: Vec<_> = roots
        .filter(|span| span.kind() == SpanKind::Internal)
        .collect();
    assert!(
        alone.is_empty(),
        "operations of the store without a request: {alone:#?}"
    );

    let taken = collector.0.lock().expect("no panic");
    let (resources, headers) = &*taken;
    assert!(
        headers
            .iter()
            .all(|headers| headers["x-collector-key"] == "s3cret")
    );
    let resource = resources[0].resource.as_ref().expect("a resource");
    let name = resource
        .attributes
        .iter()
        .find(|pair| pair.key == "service.name");
    assert!(format!("{name:?}").contains("\"gatepost\""), "{name:?}");
    let said = format!("{resources:?}{}", running.lines.all());
    let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
    let (_, cookie) = session.split_once('=').expect("a cookie");
    for secret in [
        code.expect("a code"),
        cookie,
        "of-the-application",
        "s3cret",
    ] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[tokio::test]
async fn a_trace_is_taken_over_from_trusted_proxies_alone() {
    let folder = Folder::new("traces-trust");
    let provider = Provider::start().await;
    let (collector, url) = Collector::start().await;
    let config = write_config(&folder, &provider, "");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("GATEPOST_TRUSTED_PROXIES", "192.0.2.1"),
    ];
    let running = Running::start_with(&config, &variables);
    let ping = format!("http://{}/akprox/ping", running.http);
    let ping = client().build().expect("a client").get(ping);
    let ping = ping.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    ping.send().await.expect("an answer");
    let spans = collector.await_spans(&["GET ping"]).await;
    let ping = spans.iter().find(|span| span.name == "GET ping");
    assert_ne!(hex(&ping.expect("a span").trace_id), TRACE);
    let taken = collector.0.lock().expect("no panic");
    assert!(format!("{:?}", taken.0[0].resource).contains("\"edge\""));
}

#[tokio::test]
async fn an_unavailable_collector_is_logged_once_and_delays_no_request() {
    let folder = Folder::new("traces-away");
    let provider = Provider::start().await;
    let collector = Collector::default();
    // A port on which the collector listens only later.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let away = listener.expect("a port").local_addr().expect("an address");
    let config = write_config(&folder, &provider, &traced(&format!("http://{away}")));
    let running = Running::start_with(&config, &[("OTEL_BSP_SCHEDULE_DELAY", "50")]);
    running.ready().await;
    let lost = |line: &serde_json::Value| line.to_string().contains("cannot be delivered");
    running.lines.await_line(lost);
    for _ in 0..3 {
        sign_in(&running, &provider).await;
    }
    let listener = tokio::net::TcpListener::bind(away).await.expect("the port");
    collector.serve(listener);
    let again = |line: &serde_json::Value| line.to_string().contains("delivered again");
    running
        .until("spans to be delivered again", async || {
            let delivered = running.lines.all().contains("delivered again");
            if !delivered {
                sign_in(&running, &provider).await;
            }
            delivered
        })
        .await;
    running.lines.await_line(again);
    let said = running.lines.all();
    assert_eq!(said.matches("cannot be delivered").count(), 1, "{said}");
    assert!(collector.spans().iter().all(|span| {
        span.status
            .as_ref()
            .is_none_or(|status| status.code() != SpanStatus::Error)
    }));
}
