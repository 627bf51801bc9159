//! What a rule says of a user, and what it counts on.

use gatepost_session::{Current, NumericDate};

/// What a rule says of a user.
///
/// In the order of how much is known for the user: of two rules that must both hold, the lesser
/// result counts; of two of which one suffices, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// The rule does not hold.
    Fails,
    /// The session does not have what the rule is about, so it refuses, also where the rule asks
    /// that something is not so.
    Unknown,
    /// The rule depends on a group that the cookie leaves out: only the outpost can decide.
    Undecidable,
    /// The rule holds.
    Holds,
}

impl Ruling {
    /// Returns the result of the opposite.
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Fails => Self::Holds,
            Self::Holds => Self::Fails,
            Self::Unknown | Self::Undecidable => self,
        }
    }

    /// Returns whether the user is refused, and the outpost would not decide otherwise.
    pub fn refuses(self) -> bool {
        self <= Self::Unknown
    }
}

/// What a rule may count on besides the claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// The time. Without one the rule is only about who the user is: how and when the user
    /// authenticated is undecidable.
    pub(crate) now: Option<NumericDate>,
    /// Whether the session counts as bound to a device: each begins without.
    pub(crate) bound: bool,
}

impl Situation {
    /// No request is known yet, only the user.
    pub(crate) const OF_NO_REQUEST: Self = Self {
        now: None,
        bound: true,
    };

    /// Returns what rules may count on for a request with this session.
    pub(crate) fn of(session: Current<'_>) -> Self {
        Self {
            now: Some(session.at()),
            bound: session.claims().bound,
        }
    }
}
