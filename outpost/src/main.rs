//! The `gatepost` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatepost::cli::run()
}
