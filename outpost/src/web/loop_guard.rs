//! Breaks redirect loops.
//!
//! When the proxy does not accept the outpost's cookies (another key, another clock), a browser
//! goes from one to the other until it gives up without a helpful message. A cookie counts how
//! often a browser has started a sign-in for the same target in a short time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::request::ForwardedRequest;
use crate::application::Application;
use crate::application::ReturnTo;

/// Browsers give up after some 20 redirects; a sign-in that works takes one attempt.
const MAX_ATTEMPTS: u32 = 6;

/// How long attempts are counted together, in seconds.
const WINDOW_SECONDS: u32 = 30;

/// The cookie's name over TLS, by which no neighbouring host can set it: it could otherwise lock a
/// user out of signing in.
const NAME: &str = "__Host-gatepost-attempts";

/// Its name over plain http, where browsers refuse the other one.
const PLAIN_NAME: &str = "gatepost-attempts";

fn name_at(application: &Application) -> &'static str {
    if application.cookie().secure {
        NAME
    } else {
        PLAIN_NAME
    }
}

/// How often this browser has started a sign-in for the same target.
pub(super) struct Attempts<'a> {
    application: &'a Application,
    target: String,
    count: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn of(
        request: &ForwardedRequest<'_>,
        application: &'a Application,
        return_to: &ReturnTo,
    ) -> Self {
        let digest: Vec<u8> = Sha256::digest(return_to.as_str().as_bytes())
            .iter()
            .copied()
            .take(9)
            .collect();
        let target = URL_SAFE_NO_PAD.encode(digest);
        let count = request
            .cookies()
            .filter(|(name, _)| *name == name_at(application))
            .filter_map(|(_, value)| value.split_once('.'))
            .filter(|(own, _)| *own == target)
            .find_map(|(_, count)| count.parse().ok())
            .unwrap_or(0);
        Self {
            application,
            target,
            count,
        }
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.count >= MAX_ATTEMPTS
    }

    /// Returns how many there were before.
    pub(super) fn earlier(&self) -> u32 {
        self.count
    }

    /// Returns the cookie that counts this attempt too.
    pub(super) fn one_more(&self) -> String {
        self.cookie(
            &format!("{}.{}", self.target, self.count.saturating_add(1)),
            WINDOW_SECONDS,
        )
    }

    /// Returns the cookie that resets the count.
    pub(super) fn forget(&self) -> String {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, max_age: u32) -> String {
        let application = self.application;
        // The name asks for this path.
        application.own_cookie(name_at(application), value, "/", max_age)
    }
}
