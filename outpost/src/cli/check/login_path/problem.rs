//! Why a step of the path does not lead on.

/// What is wrong, and what the operator can do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CheckProblem(pub(super) String);
