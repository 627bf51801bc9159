//! What verifiers do with each byte of a session cookie: comparing, looking for characters, taking
//! JSON apart, hashing.
//!
//! A package of its own, since the plugin compiles it for speed and its other crates for size.

#![no_std]

extern crate alloc;

pub mod base64;
pub mod constant_time;
mod json;
mod scanner;
pub mod sha256;
mod text_list;
#[cfg(target_feature = "simd128")]
mod vectors;
mod words;

pub use json::{JsonReader, Piece};
pub use scanner::Scanner;
pub use text_list::{TextList, TextListIter};
pub use words::{sum, visible_without};
