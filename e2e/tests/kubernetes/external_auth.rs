//! The filter `ExternalAuth` of an HTTPRoute, as Cilium's operator translates it for Envoy: each row of the
//! table in `docs/proxies/gateway-api.md`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::Cilium;
use gatepost_e2e::tools::{self, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, FakeClock, Service, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::served::{LaidOut, lay_out, objects_of};
use crate::suite::LeftOut;
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "external_auth::signs_users_in",
        run: signs_in,
    },
    Test {
        name: "external_auth::lacks_what_the_page_says",
        run: lacks,
    },
    Test {
        name: "external_auth::lets_no_request_pass_without_the_outpost",
        run: without_the_outpost,
    },
];

const SHOWN: &str = "deploy/kubernetes/cilium/single.yaml";

/// Headers by which a client would name a user, that do not reach the application.
const WITHHELD: [&str; 18] = [
    "X-Auth-Username",
    "X-Auth-Groups",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "Remote-User",
    "Remote-Groups",
    "X-Remote-User",
    "X-Webauth-User",
    "X-Authentik-Username",
    "X-Gatepost-Assertion",
    "X-Gatepost-Verdict",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "Script-Name",
];

/// And those that do.
const HANDED_ON: [&str; 3] = ["X-Webauth-Role", "X_Auth_Username", "Tailscale-User-Login"];

fn signs_in(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _gateway = Gateway::start(cluster, &site)?;
    checks::single_but_for_spellings(&site)?;
    let alice = Client::new()?;
    alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    for path in ["/", "/public/logo"] {
        let said = checks::headers_that_reach_the_app(&site, &alice, path, &WITHHELD)?;
        assert!(said.is_empty(), "{path}: {said:?}");
    }
    // The outpost's answer is without a body, and its length is not the request's.
    let form = alice.fetch(Method::POST, &site.url("wiki", "/form")?);
    assert_eq!(form.body("quarter=3").send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("content-length"), Some("9"));
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    Ok(())
}

/// What an operator has to know who chooses this way.
fn lacks(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = FakeClock::create(folder.path())?.at_once();
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "session": { "window": "15m", "renewAfter": "1s", "idle": "2h", "refreshAfter": "12h" } }))
        .outpost_clock(&clock)
        .start()?;
    let _gateway = Gateway::start(cluster, &site)?;
    let alice = Client::new()?;
    let page = site.url("wiki", "/")?;
    alice.sign_in(&page, &ALICE)?;
    let said = checks::headers_that_reach_the_app(&site, &alice, "/", &HANDED_ON)?;
    let mut expected = HANDED_ON.map(str::to_lowercase);
    expected.sort();
    assert_eq!(said, expected);
    // No cookie of an answer that admits a request comes to the browser: the one of the sign-in stays, and the
    // outpost finds the session by it when its window is over.
    let first = alice.cookie(&page, "gatepost");
    for minutes in [30, 60, 90] {
        clock.jump(minutes * 60)?;
        let answer = alice.fetch(Method::GET, &page).send()?;
        assert_eq!(answer.status(), StatusCode::OK, "after {minutes} minutes");
        assert_eq!(answer.headers().get("set-cookie"), None);
        assert_eq!(alice.cookie(&page, "gatepost"), first);
    }
    // Envoy hands a path on as the client wrote it, and the outpost takes none for public that is not written
    // in one way alone.
    for (target, expected) in [
        ("/public/logo", 200),
        ("/public/../private", 401),
        ("/public/%2e%2e/private", 401),
        ("/public/..%2fprivate", 401),
        ("/public//x", 401),
        // Nor does a client ask in the proxy's place.
        ("/akprox/auth/envoy/public/logo", 404),
        ("/akprox/auth/traefik", 404),
    ] {
        let before = site.wiki().len();
        let mut connection = RawConnection::connect(site.ports().web)?;
        let headers = [("Host", page.authority()), ("Connection", "close")];
        connection.request(&format!("GET {target}"), &headers)?;
        assert_eq!(connection.head()?.status, expected, "{target}");
        let reached = site.wiki().len() > before;
        assert_eq!(reached, expected == 200, "{target}");
    }
    Ok(())
}

/// Without an answer, Envoy refuses every request.
fn without_the_outpost(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _gateway = Gateway::start(cluster, &site)?;
    let alice = Client::new()?;
    let page = site.url("wiki", "/")?;
    alice.sign_in(&page, &ALICE)?;
    let before = site.wiki().len();
    site.outpost().stop();
    for client in [&alice, &Client::new()?] {
        for path in ["/", "/public/logo"] {
            let answer = client
                .page_load(Method::GET, &site.url("wiki", path)?)
                .send()?;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    assert_eq!(site.wiki().len(), before, "the application was reached");
    Ok(())
}

/// The Gateway at work in front of a site, until this is dropped.
struct Gateway<'c> {
    _envoy: Service,
    _laid_out: LaidOut<'c>,
    _channel: Experimental<'c>,
}

impl<'c> Gateway<'c> {
    /// Applies the shown objects, and starts Envoy by what the API server then has.
    fn start(cluster: &'c Cluster, site: &Site) -> Result<Self> {
        let channel = Experimental::define(cluster)?;
        cluster.restricted_namespace("gateway")?;
        let laid_out = lay_out(cluster, site, objects_of(&site.fitted_in_cluster(SHOWN)?)?)?;
        let all = |kind: &str| -> Result<Value> {
            let said = cluster.kubectl(&["get", kind, "-A", "-o", "json"], None)?;
            let said: Value = serde_json::from_str(&said)?;
            Ok(said["items"].clone())
        };
        let gateways = all("gateways.gateway.networking.k8s.io")?;
        let objects = json!({
            "Gateway": gateways[0],
            "HTTPRoutes": all("httproutes.gateway.networking.k8s.io")?,
            "ReferenceGrants": all("referencegrants.gateway.networking.k8s.io")?,
            "Services": all("services")?,
        });
        Ok(Self {
            _envoy: Cilium::start(site, &objects, &["wiki"])?,
            _laid_out: laid_out,
            _channel: channel,
        })
    }
}

/// HTTPRoutes of the experimental channel, until this is dropped.
struct Experimental<'c> {
    cluster: &'c Cluster,
    standard: String,
}

impl<'c> Experimental<'c> {
    fn define(cluster: &'c Cluster) -> Result<Self> {
        let installed = tools::CiliumTranslator.locate();
        let installed = installed.map_err(|error| LeftOut(format!("{error:#}")))?;
        let standard = tools::CustomResources.locate()?;
        let standard = standard.join("gateway.networking.k8s.io_httproutes.yaml");
        let channel = Self {
            cluster,
            standard: standard.to_string_lossy().into_owned(),
        };
        channel.take(&installed.http_routes.to_string_lossy())?;
        Ok(channel)
    }

    fn take(&self, definition: &str) -> Result<()> {
        let apply = ["apply", "--server-side", "--force-conflicts", "-f"];
        self.cluster
            .kubectl(&[&apply[..], &[definition]].concat(), None)?;
        // The definition is at work when the API server has its schema.
        until("the filter in the schema", Duration::from_secs(60), || {
            let explain = [
                "explain",
                "httproute.spec.rules.filters.externalAuth",
                "--api-version=gateway.networking.k8s.io/v1",
            ];
            let there = self.cluster.kubectl(&explain, None).is_ok();
            let wanted = !definition.contains(&self.standard);
            Ok((there == wanted).then_some(()))
        })
    }
}

impl Drop for Experimental<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.take(&self.standard.clone()) {
            eprintln!("the experimental channel is left for the next test: {error:#}");
        }
    }
}
