//! What `gatepost check` asks of a Redis.

/// Whether a Redis that cannot be reached from here is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redis {
    /// It is: the outpost is to run here.
    MustAnswer,
    /// It is not: the outpost may run elsewhere, nearer to it.
    MayBeElsewhere,
}

impl Redis {
    /// Returns what the flag `--require-store` says.
    pub(crate) fn of(required: bool) -> Self {
        if required {
            Self::MustAnswer
        } else {
            Self::MayBeElsewhere
        }
    }
}
