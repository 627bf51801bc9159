//! Dashboard and alerts, on a real Prometheus that scrapes a real outpost and a real Traefik.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::programs::prometheus::{Prometheus, Series, promtool};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Client, Site, layout, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;
use crate::plugin::middlewares;

const LIMIT: Duration = Duration::from_secs(120);

/// Where a panel's query has one of Grafana's variables.
const VARIABLES: [(&str, &str); 3] = [
    ("$application", ".*"),
    ("$router", ".*"),
    ("$__rate_interval", "10s"),
];

/// Returns the queries of the dashboard, each with its panel's title.
fn queries() -> Result<Vec<(String, String)>> {
    let path = layout::root().join("deploy/grafana/gatepost.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let panels = dashboard.get("panels").and_then(Value::as_array);
    let mut queries = Vec::new();
    let text = |of: &'_ Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    for panel in panels.context("panels")? {
        let title = text(panel, "title").context("a title")?;
        let targets = panel.get("targets").and_then(Value::as_array);
        for target in targets.context("targets")? {
            let expression = text(target, "expr").context("an expression")?;
            let expression = VARIABLES
                .iter()
                .fold(expression, |text, (variable, value)| {
                    text.replace(variable, value)
                });
            ensure!(!expression.contains('$'), "{title}: {expression}");
            queries.push((title.clone(), expression));
        }
    }
    Ok(queries)
}

/// Produces every kind of event: users sign in and out, are refused, have sessions revoked, and
/// open invalid callbacks.
fn a_busy_moment(site: &Site) -> Result<()> {
    let page = site.url("wiki", "/")?;
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    until("a renewal", checks::RENEWAL, || {
        let journey = alice.open(&page)?;
        Ok(journey.landed.header("set-cookie").is_some().then_some(()))
    })?;
    let bob = Client::new()?;
    let refused = bob.sign_in(&page, &BOB)?;
    assert_eq!(refused.landed.status, StatusCode::FORBIDDEN, "{refused}");
    let stranger = Client::new()?;
    let status = stranger.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    // The provider refuses.
    let asked = stranger.open(&page)?;
    let state = asked.hops().find_map(|hop| {
        let mut pairs = hop.url.query_pairs();
        pairs.find_map(|(name, value)| (name == "state").then(|| value.into_owned()))
    });
    let mut callback = site.url("wiki", "/akprox/callback")?;
    callback
        .query_pairs_mut()
        .append_pair("state", &state.context("a state")?)
        .append_pair("error", "access_denied");
    stranger.open(&callback)?;
    // Another browser's callback.
    stranger.open(&callback)?;

    alice.open(&site.url("wiki", "/akprox/sign_out")?)?;
    let (said, worked) = site.gatepost(&["session", "revoke", "--everyone"])?;
    ensure!(worked, "{said}");
    Ok(())
}

fn is_there(series: &[Series]) -> bool {
    series.iter().any(|series| series.value.is_finite())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Prometheus: cargo xtask test"]
fn every_panel_shows_something_and_every_alert_is_evaluated() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({ "require": { "groups": ["admins"] } }))
        .start()?;
    let metrics = format!("127.0.0.1:{}", site.ports().extra);
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&json!({
            "entryPoints": { "traefik": { "address": metrics } },
            "metrics": { "prometheus": { "addRoutersLabels": true } },
        }))
        .route_with(
            "deploy/traefik/dynamic/route-single.yaml",
            &middlewares(
                &["gatepost"],
                &json!({ "require": { "groups": ["admins"] } }),
            ),
        )?
        .start(&["wiki"])?;
    let prometheus = Prometheus::start(&site)?;
    let queries = queries()?;

    let mut dark: Vec<_> = queries.iter().collect();
    let lit = until("every panel to show something", LIMIT, || {
        a_busy_moment(&site)?;
        let mut still = Vec::new();
        for query in dark.drain(..) {
            if !is_there(&prometheus.query(&query.1)?) {
                still.push(query);
            }
        }
        dark = still;
        Ok(dark.is_empty().then_some(()))
    });
    lit.with_context(|| format!("dark: {dark:?}"))?;

    // The outpost's refusals, and Traefik's count of them.
    let (_, denied) = queries
        .iter()
        .find(|(_, query)| query.contains(r#"verdict="deny""#))
        .context("a panel of denials")?;
    let refused = |series: &Series| series.labels["application"] == "wiki" && series.value > 0.0;
    until("denials on the dashboard", LIMIT, || {
        a_busy_moment(&site)?;
        Ok(prometheus.query(denied)?.iter().any(refused).then_some(()))
    })?;
    let answers = r#"sum by (code) (traefik_router_requests_total)"#;
    let answers = prometheus.query(answers)?;
    for code in ["200", "302", "401", "403"] {
        let counted = answers.iter().any(|series| series.labels["code"] == code);
        assert!(counted, "{code}: {answers:?}");
    }

    let alerts = prometheus.alerts()?;
    assert!(!alerts.is_empty(), "alerts are loaded");
    for (alert, health) in alerts {
        assert_eq!(health, "ok", "{alert}");
    }
    Ok(())
}

/// Each alert fires on its condition, after its time, and not on a similar one.
#[test]
#[ignore = "needs Traefik, an OpenID provider and Prometheus: cargo xtask test"]
fn alerts_fire_when_they_should() -> Result<()> {
    promtool(&["check", "config", "prometheus.yaml"])?;
    promtool(&["test", "rules", "gatepost.rules.test.yaml"])
}
