//! What verifiers do with each byte of a session cookie: comparing, looking for characters, reading
//! what Gatepost writes, hashing; and with the path of a request.
//!
//! A package of its own, since the plugin compiles it for speed and its other crates for size.

#![no_std]

extern crate alloc;

pub mod base64;
pub mod constant_time;
mod find;
mod paths;
mod scanner;
pub mod sha256;
mod text_list;
#[cfg(target_feature = "simd128")]
mod vectors;
mod words;

pub use find::{find, split_once};
pub use paths::{begins_otherwise, plain_path};
pub use scanner::Scanner;
pub use text_list::{TextList, TextListIter};
pub use words::{plain_length, sum, visible_without};
