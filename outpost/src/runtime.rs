//! The running outpost.

mod outpost;
mod refresh;
mod snapshot;
mod state_folder;

pub use outpost::Outpost;
pub use refresh::Refresh;
pub use snapshot::{SetupError, Snapshot};
pub(crate) use state_folder::{differing, foreign_file};
