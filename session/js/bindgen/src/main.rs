//! `wasm-bindgen`, as far as the binding needs it: `cargo xtask js` runs this.
//!
//! wasm-bindgen's command has to be of the very version of the crate that the binding was compiled
//! with. As a library in this workspace it always is: crate and library both depend on
//! `wasm-bindgen-shared`, of which Cargo allows one version in a graph (`links`), and the lock
//! file says which. It is a program of its own so that no other chore waits for it to compile.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

/// Reads the compiled binding, named first, and writes the module and the JavaScript around it
/// into the folder that is named second.
fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let wasm = arguments
        .next()
        .context("the compiled binding is missing")?;
    let folder = arguments
        .next()
        .context("the folder to write to is missing")?;
    Bindgen::new()
        .input_path(wasm)
        .out_name("gatepost_session")
        // The importing code passes the module, so that one form serves every runtime …
        .web(true)?
        // … and never looks for a file next to itself.
        .omit_default_module_path(true)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
}
