//! Traefik and the outpost, delivering to the same collector.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gatepost_e2e::doubles::trace_collector::{Collector, Span};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn what_traefik_asks_the_outpost_is_in_its_trace() -> Result<()> {
    let collector = Collector::start()?;
    let site = Site::builder("deploy/outpost/single.yaml")
        .outpost(&json!({ "tracing": { "endpoint": collector.url() } }))
        .start()?;
    let endpoint = format!("{}/v1/traces", collector.url());
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .configure(&json!({ "tracing": { "otlp": { "http": { "endpoint": endpoint } } } }))
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    Client::new()?.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    let begun = Instant::now();
    while !is_below_traefiks("GET auth/traefik", &collector.spans()) {
        ensure!(begun.elapsed() < LIMIT, "{:#?}", collector.spans());
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Returns whether a span of the outpost is below one of Traefik's.
fn is_below_traefiks(name: &str, spans: &[Span]) -> bool {
    let of = |service: &str, span: &&Span| span.service == service;
    let mut ours = spans
        .iter()
        .filter(|span| of("gatepost", span) && span.name == name);
    ours.any(|span| {
        let mut traefiks = spans.iter().filter(|span| of("traefik", span));
        traefiks.any(|other| other.trace == span.trace && other.id == span.parent)
    })
}
