//! WASI preview 1, as far as the plugin uses it: memory, files to read, the clock and the environment.
//!
//! The standard library has all of this by way of wasi-libc: with an allocator, a table of folders
//! and of errors in C, which were an eighth of the plugin: 20 KB.

#[cfg(target_family = "wasm")]
mod allocator;
#[cfg(target_family = "wasm")]
mod clock;
#[cfg(target_family = "wasm")]
mod environment;
#[cfg(target_family = "wasm")]
mod file;
#[cfg(any(target_family = "wasm", test))]
mod folder;

#[cfg(target_family = "wasm")]
pub use clock::seconds_since_epoch;
#[cfg(target_family = "wasm")]
pub use environment::variable;
#[cfg(target_family = "wasm")]
pub use file::File;
