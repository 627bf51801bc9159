//! Why an expression cannot be used.

/// Why an expression cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::application::skip_paths) enum Refused {
    /// Go's syntax does not allow it.
    #[error("{0}")]
    Syntax(&'static str),
    /// Go allows it, and the outpost does not.
    #[error("{0} is unsupported here")]
    Unsupported(&'static str),
}
