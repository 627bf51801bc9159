//! What verifiers do with each byte of a session cookie: comparing, looking for characters, taking
//! JSON apart.
//!
//! A package of its own, since the plugin compiles it less strictly for size than its other crates.

#![no_std]

extern crate alloc;

pub mod base64;
pub mod constant_time;
mod json;
mod scanner;
mod text_list;
mod words;

pub use json::{JsonReader, Piece};
pub use scanner::Scanner;
pub use text_list::{TextList, TextListIter};
pub use words::{sum, visible_without};
