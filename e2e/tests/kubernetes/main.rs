//! A real Kubernetes API: what Kubernetes accepts of our manifests, and what Traefik's providers
//! make of them.
//!
//! `cargo xtask test --only kubernetes` installs the API server and the rest, and runs these in a
//! network namespace of their own. Where something cannot be had, or the system gives no such
//! namespace, each test is ignored with the reason, and never counted as passed. `deployments` has
//! the same manifests on a double of the API, which needs none of that.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only, and
// these are functions that the test harness is handed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]

mod accepted;
mod accounts;
mod annotations;
mod chart;
// What every deployment must do, which the suite of deployments has.
#[path = "../deployments/checks.rs"]
#[allow(dead_code, reason = "other suites have more checks")]
mod checks;
mod exported;
mod external_auth;
mod faults;
mod filters;
// What a further issuer must do, which the suite of real providers has too.
#[path = "../deployments/further_issuer.rs"]
mod further_issuer;
mod imported;
mod imported_hosts;
mod ingress_nginx;
mod ingresses;
mod kinds;
mod neighbours;
mod refused;
mod served;
mod suite;

use std::process::ExitCode;

use anyhow::Result;
use gatepost_e2e::cluster::{Cluster, network};

use crate::suite::Suite;

type Test = suite::Test<Cluster>;

// One after another: the names of Services lead to one address each.
fn main() -> ExitCode {
    let suite = Suite {
        name: "kubernetes",
        enter,
        start: Cluster::start,
    };
    suite.run(&[
        accepted::TESTS,
        accounts::TESTS,
        annotations::TESTS,
        chart::TESTS,
        chart::keys::TESTS,
        chart::redis::TESTS,
        chart::sign_in::TESTS,
        chart::traefik_values::TESTS,
        exported::TESTS,
        exported::routes::TESTS,
        external_auth::TESTS,
        faults::TESTS,
        filters::TESTS,
        imported::TESTS,
        imported::annotations::TESTS,
        imported::aliases::TESTS,
        imported::errors::TESTS,
        imported::listeners::TESTS,
        imported::page::TESTS,
        imported::requests::TESTS,
        imported::upstreams::TESTS,
        imported_hosts::TESTS,
        ingress_nginx::TESTS,
        kinds::TESTS,
        neighbours::TESTS,
        refused::TESTS,
        served::TESTS,
    ])
}

fn enter() -> Result<Option<ExitCode>> {
    let outside = network::enter()?;
    if outside.is_none() {
        Cluster::locate()?;
    }
    Ok(outside)
}
