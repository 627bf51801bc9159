//! The labels of the metrics: words of enums, so that no client makes up new ones.

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// The user has to sign in.
    SignIn,
    /// The user may not pass.
    Deny,
    /// It could not be decided, so it may not pass.
    Failed,
}

/// Whether an operation succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// The result of asking a provider whether a session is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revalidated {
    /// It is valid.
    Valid,
    /// It has ended there, so it ended here.
    Ended,
    /// The provider did not answer.
    Unanswered,
    /// The session goes on for its grace, since the provider did not answer now or a moment ago.
    Unasked,
}

impl Revalidated {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Valid => "holds",
            Self::Ended => "over",
            Self::Unanswered => "unanswered",
            Self::Unasked => "unasked",
        }
    }
}

impl Verdict {
    /// Returns its name in metrics and traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::SignIn => "sign_in",
            Self::Deny => "deny",
            Self::Failed => "failed",
        }
    }
}

impl Success {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl<T, E> From<&Result<T, E>> for Success {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Succeeded
        } else {
            Self::Failed
        }
    }
}
