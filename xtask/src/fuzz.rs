//! `cargo xtask fuzz`.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use gatepost_e2e::layout;
use gatepost_e2e::tools::cargo;

use gatepost_e2e::built::run;

/// The fuzz targets, in `fuzz/fuzz_targets/`.
const TARGETS: &[&str] = &[
    "cookie",
    "settings",
    "return_to",
    "forwarded",
    "callback",
    "decisions",
    "logout_token",
    "provider",
    "api_key",
    "proofs",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only these targets; without this, all
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    targets: Vec<String>,
}

/// Runs fuzz targets one after another, until one finds something.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<()> {
    let found = Command::new("cargo")
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("cargo-fuzz is missing: `cargo install cargo-fuzz`");
    }
    let chosen = |target: &&&str| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|own| own == **target)
    };
    for target in TARGETS.iter().filter(chosen) {
        println!("\n=== {target} ===");
        run(&mut command(target, arguments.seconds)?)?;
    }
    Ok(())
}

/// Returns the command for a run of one target. New inputs stay in the target directory, and the
/// seeds in the checkout are only read.
fn command(target: &str, seconds: u64) -> Result<Command> {
    let crate_dir = layout::root().join("fuzz");
    let corpus = layout::target_dir().join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus)?;
    // None of our crates has unsafe code for a sanitiser to watch, so the fuzzer runs at full
    // speed, and with any compiler.
    let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]);
    command
        .arg(&crate_dir)
        .arg(target)
        .arg(corpus)
        .arg(crate_dir.join("seeds").join(target))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .env("CARGO_TARGET_DIR", layout::target_dir().join("fuzz"));
    Ok(command)
}
