//! Why a step of the path does not lead on.

/// A problem, and advice to the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CheckProblem(pub(super) String);
