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
pub(crate) enum Revalidated {
    /// It is valid.
    Valid,
    /// It has ended there, so it ended here.
    Ended,
    /// The provider did not answer.
    Unanswered,
    /// The session goes on for its grace, since the provider did not answer now or a moment ago.
    Unasked,
}

/// What became of a session that may be bound to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// A browser has registered a key.
    Registered,
    /// A browser has given its first proof, so the session is bound.
    Bound,
    /// A browser has renewed its session with a proof.
    Renewed,
    /// A registration or a proof was refused.
    Refused,
    /// A page load came to sign in with the cookie of a bound session: the browser does not renew
    /// it, or the cookie is a copy.
    Unproven,
    /// A page load was refused, since the session would have to be bound and is not.
    Missing,
}

impl DeviceEvent {
    pub(super) const ALL: [Self; 6] = [
        Self::Registered,
        Self::Bound,
        Self::Renewed,
        Self::Refused,
        Self::Unproven,
        Self::Missing,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Bound => "bound",
            Self::Renewed => "renewed",
            Self::Refused => "refused",
            Self::Unproven => "unproven",
            Self::Missing => "missing",
        }
    }
}

/// Why a browser did not renew a bound session before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// It does not reach the outpost.
    Unreachable,
    /// The outpost fails.
    ServerError,
    /// It has signed too often in a short time.
    QuotaExceeded,
}

impl Skip {
    pub(super) const ALL: [Self; 3] = [Self::Unreachable, Self::ServerError, Self::QuotaExceeded];

    /// Returns the reasons in the value of `Secure-Session-Skipped`, each once.
    pub(crate) fn all_in(header: &str) -> impl Iterator<Item = Self> {
        let tokens = header.split(',').map(|item| item.split(';').next());
        let named: Vec<&str> = tokens.flatten().map(str::trim).collect();
        Self::ALL
            .into_iter()
            .filter(move |own| named.contains(&own.word()))
    }

    /// Returns the token for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }
}

impl Revalidated {
    pub(super) const ALL: [Self; 4] = [Self::Valid, Self::Ended, Self::Unanswered, Self::Unasked];

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
