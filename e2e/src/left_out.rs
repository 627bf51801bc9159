//! Tests that find out that they cannot run here.

use std::io::{self, Write as _};
use std::thread;

/// What begins the line by which a test says that it was left out.
pub const LEFT_OUT: &str = "left out: ";

/// Says why this test is left out, so that `cargo xtask test` counts it among the skipped ones.
///
/// A test of Rust's own harness cannot be ignored once it runs, and what it prints by a macro is not
/// shown unless it fails.
pub fn left_out(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    // On a line of its own, where the harness has begun one.
    let line = format!("\n{LEFT_OUT}{test}: {reason}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
