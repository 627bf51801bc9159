//! Real OpenID providers: what Gatepost can do with each, through Traefik with the built plugin.
//!
//! `cargo xtask test --only providers` installs what it can of them and runs these. A provider that
//! is not installed is ignored with the reason, and never counted as passed. Each runs once for all
//! its tests, which have a stack and a client of their own.
//!
//! What the tests find out goes to `target/e2e/providers.json`, and must agree with the record of
//! the last run (`record.json`), of which the table in `docs/providers/README.md` is made;
//! `GATEPOST_UPDATE_DOCS=1` writes both. Whether the page shows the record needs no provider, and is
//! a test that `cargo test` runs.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only, and
// these are functions that the test harness is handed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]

mod bench;
mod client;
// What a further issuer must do, which the suite of a real Kubernetes API has too.
#[path = "../deployments/further_issuer.rs"]
mod further_issuer;
mod machine_clients;
mod matrix;
mod mcp;
// What the client of an MCP server does, which the suite of deployments has too.
#[path = "../deployments/mcp_client.rs"]
mod mcp_client;
mod scenarios;
mod step_up;

use std::process::ExitCode;
use std::sync::Arc;

use gatepost_e2e::providers;
use gatepost_e2e::tools::{self, GoProgram, PythonPackage, Tool as _};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use self::bench::{Bench, Seat};
use self::matrix::{Cell, Matrix};
use self::scenarios::Scenario;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let matrix = Arc::new(Matrix::default());
    let trials = seats().into_iter().flat_map(|seat| {
        let seat = Arc::new(seat);
        let trial = |scenario| trial(Arc::clone(&seat), scenario, Arc::clone(&matrix));
        scenarios::of(seat.name)
            .into_iter()
            .map(trial)
            .collect::<Vec<_>>()
    });
    let page = Trial::test("the_page_shows_the_record", || {
        matrix::compare_page_with_record().map_err(|error| format!("{error:#}").into())
    });
    let conclusion = libtest_mimic::run(&arguments, trials.chain([page]).collect());
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    if let Err(error) = matrix.conclude() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn seats() -> Vec<Seat> {
    vec![
        Seat::new(
            "keycloak",
            "Keycloak 26.7.3",
            || tools::Keycloak.locate().map(drop),
            || Ok(Box::new(providers::Keycloak::start()?)),
        ),
        Seat::new(
            "hydra",
            "Ory Hydra 2.3.0",
            || GoProgram::HYDRA.locate().map(drop),
            || Ok(Box::new(providers::Hydra::start()?)),
        )
        // On a busy machine it answers 500 to one of two that write into its database at once.
        .one_at_a_time(),
        Seat::new(
            "glewlwyd",
            "Glewlwyd 2.7.5",
            || tools::Glewlwyd.locate().map(drop),
            || Ok(Box::new(providers::Glewlwyd::start()?)),
        )
        // It answers 500 where two requests write into its database at once.
        .one_at_a_time(),
        Seat::new(
            "canaille",
            "Canaille 0.3.6",
            || PythonPackage::CANAILLE.locate().map(drop),
            || Ok(Box::new(providers::Canaille::start()?)),
        ),
        Seat::new(
            "dex",
            "Dex 2.45.1",
            || {
                GoProgram::DEX.locate()?;
                tools::Packaged::Sqlite.locate().map(drop)
            },
            || Ok(Box::new(providers::Dex::start()?)),
        )
        .unless_given(GoProgram::DEX),
        Seat::new(
            "authelia",
            "Authelia 4.37.5",
            || GoProgram::AUTHELIA.locate().map(drop),
            || Ok(Box::new(providers::Authelia::start()?)),
        )
        // It is restarted to register a client.
        .one_at_a_time()
        .unless_given(GoProgram::AUTHELIA),
    ]
}

/// One scenario at one provider.
fn trial(seat: Arc<Seat>, scenario: Scenario, matrix: Arc<Matrix>) -> Trial {
    let name = format!("{}::{}", seat.name, scenario.name);
    let run = move || -> Result<Completion, Failed> {
        if let Some(reason) = seat.missing() {
            matrix.skipped(seat.name, &reason);
            return Ok(Completion::ignored_with(reason));
        }
        if !seat.recorded {
            matrix.unrecorded(seat.name);
        }
        // Until it is known better, for a scenario that panics.
        matrix.found(seat.name, seat.title, &scenario, Cell::No);
        let bench = Bench::of(&seat, &scenario);
        let cell = bench.and_then(|bench| (scenario.run)(&bench));
        let cell = cell.map_err(|error| format!("{error:#}"))?;
        matrix.found(seat.name, seat.title, &scenario, cell);
        Ok(Completion::Completed)
    };
    // As all end-to-end tests: `cargo test` names them, `cargo xtask test` runs them.
    Trial::ignorable_test(name, run).with_ignored_flag(true)
}
