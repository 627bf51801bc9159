//! The compose file of authentik's documentation, on real containers, with our image in the place of
//! authentik's.
//!
//! authentik itself is a double, beside the engine: containers reach it at the gateway of their
//! network, and browsers at another address.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::containers::{Composition, Engine};
use gatepost_e2e::doubles::authentik::Authentik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "authentik::the_compose_file_of_its_documentation",
    run: the_compose_file_of_its_documentation,
}];

const TEXT: &str = "testdata/authentik/docker-compose.yml";

/// The network, and the address that this machine has there.
const SUBNET: &str = "172.31.92.0/24";
const GATEWAY: &str = "172.31.92.1";

/// For Traefik to notice. A request to an address without a container takes half a minute.
const LIMIT: Duration = Duration::from_secs(90);

fn the_compose_file_of_its_documentation(engine: &Engine) -> Result<()> {
    let browser = [("AUTHENTIK_HOST_BROWSER", "https://id.example.com")];
    let (site, authentik) =
        Site::of_authentik_with(StatusCode::UNAUTHORIZED, &json!({}), &browser)?;
    // Only the one in the container is to answer.
    site.outpost().stop();
    let hellos = authentik.hellos().len();
    authentik.open_to_containers()?;
    let running = up(engine, &site, &authentik)?;
    let page = site.url("wiki", "/reports?year=2026")?;
    visit::until_status(&page, StatusCode::UNAUTHORIZED)?;

    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let request = alice
        .fetch(Method::GET, &page)
        .header("X-authentik-username", "mallory")
        .header("X-authentik-groups", "root");
    let answer = request.send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    let seen: Value = serde_json::from_str(&answer.text()?)?;
    for (header, value) in [
        ("x-authentik-username", "alice"),
        ("x-authentik-groups", "staff|admins"),
        ("x-authentik-email", "alice@example.com"),
    ] {
        let found = seen.pointer(&format!("/headers/{header}"));
        assert_eq!(found, Some(&json!([value])), "{seen}");
    }
    ensure!(
        authentik.hellos().len() > hellos,
        "the container has said hello to authentik"
    );

    // A container that is started again keeps no session, and the user signs in once more.
    let proxy = running.container("authentik-proxy");
    engine.podman(&["restart", &proxy])?;
    engine.until_ready(&proxy)?;
    // Traefik has no routes to a container that is still starting.
    engine.until_healthy(&proxy)?;
    until_routed(engine, &proxy, &page)?;
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.url, page, "without a form: {journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    let journey = alice.open(&page.join("/akprox/sign_out")?)?;
    let status = alice.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "signing out: {journey}");
    Ok(())
}

/// Starts the text with today's Traefik, the ports and addresses of this site and no other change.
fn up<'e>(engine: &'e Engine, site: &Site, authentik: &Authentik) -> Result<Composition<'e>> {
    let web = format!("{}:80", site.ports().web);
    let port = authentik.url()?.port().context("a port")?;
    let internal = format!("http://{GATEWAY}:{port}");
    let public = "AUTHENTIK_HOST_BROWSER: https://id.example.com";
    let changes = [
        ("traefik:v2.2", "traefik:v3.7.15"),
        (
            "ghcr.io/gatepost/gatepost/outpost:0.1.0",
            "localhost/gatepost/outpost",
        ),
        ("80:80", &web),
        ("https://your-authentik.tld", &internal),
        (
            "# AUTHENTIK_HOST_BROWSER: https://external-domain.tld",
            public,
        ),
    ];
    let folder = engine.folder("compose-authentik")?;
    let compose = folder.join("compose.yaml");
    fs::write(&compose, site.fitted(TEXT, &changes)?)?;
    let further = folder.join("network.yaml");
    let network = json!({
        "networks": { "default": { "ipam": { "config": [{ "subnet": SUBNET, "gateway": GATEWAY }] } } },
    });
    fs::write(&further, network.to_string())?;
    let running = Composition::up(engine, "authentik", &[&compose, &further])?;
    engine.until_healthy(&running.container("authentik-proxy"))?;
    Ok(running)
}

/// Waits until Traefik routes to the address that a container got when it was started again. An answer
/// at a page does not show that: its middleware finds the outpost by the name of the service, and
/// answers for sign-ins too. The outpost's own path has a router, with the address that Traefik learned
/// from the engine at the last outcome of a health check, which the engine asks again and again.
fn until_routed(engine: &Engine, proxy: &str, page: &Url) -> Result<()> {
    let ping = page.join("/akprox/ping")?;
    until("Traefik to know the address", LIMIT, || {
        engine.ask_health(proxy)?;
        let is_there = visit::status(&ping).is_ok_and(|status| status == StatusCode::NO_CONTENT);
        Ok(is_there.then_some(()))
    })
}
