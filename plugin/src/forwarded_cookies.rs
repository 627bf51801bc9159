//! The cookies that the application gets.

use std::rc::Rc;

use gatepost_session::cookie::{self, Hide};

use crate::host::{Host, Texts};

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

impl Cookies {
    /// Returns all lines without the cookies to hide, as one.
    pub(crate) fn without(hide: Hide<'_>, lines: Texts<'_>) -> Self {
        if !lines.iter().any(|line| hide.any_in(line)) {
            return Self::AsSent;
        }
        // One line for all: what several would be joined to in HTTP/2 (RFC 9113 §8.2.3).
        let mut rest = Vec::new();
        for line in lines.iter() {
            let Some(others) = cookie::strip(line, hide) else {
                continue;
            };
            if !rest.is_empty() {
                rest.extend_from_slice(b"; ");
            }
            rest.extend_from_slice(&others);
        }
        if rest.is_empty() {
            return Self::Removed;
        }
        Self::Only(rest.into())
    }

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
