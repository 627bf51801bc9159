//! Real containers: `docker-compose.yml` and the labels of `deploy/compose/`, on Podman with its
//! Docker-compatible API, and our images as they ship.
//!
//! `cargo xtask test --only containers` installs the engine and runs these in namespaces of their own.
//! Where that cannot be had (the engine takes root), each test is ignored with the reason, and never
//! counted as passed. `deployments` has the same labels on a double of the API.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only, and
// these are functions that the test harness is handed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]

mod arm64;
mod authentik;
mod chart;
mod demo;
mod exported;
mod health;
mod labels;
mod package;
// What the suite of a real Kubernetes API has too.
#[path = "../kubernetes/suite.rs"]
mod suite;
mod systemd;
mod visit;

use std::path::Path;
use std::process::ExitCode;

use gatepost_e2e::containers::{self, Engine};

use crate::suite::Suite;

type Test = suite::Test<Engine>;

// One after another: they publish the same ports.
fn main() -> ExitCode {
    let suite = Suite {
        name: "containers",
        enter: containers::enter,
        start: |logs| Engine::start(logs, Path::new(env!("CARGO_BIN_EXE_upstream"))),
    };
    suite.run(&[
        demo::TESTS,
        labels::TESTS,
        exported::TESTS,
        health::TESTS,
        arm64::TESTS,
        authentik::TESTS,
        package::TESTS,
        chart::TESTS,
        systemd::TESTS,
    ])
}
