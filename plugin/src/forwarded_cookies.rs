//! The cookies that the application gets.

use std::rc::Rc;

use gatepost_session::cookie::Rest;

use crate::host::Host;

/// The `Cookie` header as the application is to see it.
#[derive(Clone, Debug)]
pub(crate) enum Cookies {
    /// As it came.
    AsSent,
    /// Without Gatepost's cookies, so that the application cannot replay them.
    Only(Rc<[u8]>),
    /// Removed: there were no other cookies.
    Removed,
}

impl From<Rest> for Cookies {
    fn from(rest: Rest) -> Self {
        match rest {
            Rest::AsSent => Self::AsSent,
            Rest::Only(rest) => Self::Only(rest.into()),
            Rest::Nothing => Self::Removed,
        }
    }
}

impl Cookies {
    /// Changes the request's header to these cookies.
    pub(crate) fn forward(&self, host: &impl Host) {
        match self {
            Self::AsSent => {}
            Self::Only(rest) => host.set_header("Cookie", rest),
            Self::Removed => host.remove_header(b"cookie"),
        }
    }

    /// Returns how many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Only(rest) => rest.len(),
            Self::AsSent | Self::Removed => 0,
        }
    }
}
