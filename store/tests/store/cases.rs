//! What every store promises.

mod ending;
mod revocations;
mod sessions;
mod used_once;
