//! What every store promises.

pub(crate) mod api_keys;
mod ending;
mod revocations;
mod sessions;
mod used_once;
