//! The running outpost.

mod outpost;
mod snapshot;

pub use outpost::Outpost;
pub use snapshot::{SetupError, Snapshot};
