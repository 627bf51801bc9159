//! The cookie by which a browser notices that a bound session is to be renewed.
//!
//! It carries nothing. A browser renews a bound session when this cookie is missing from a request,
//! so it ends when a renewal is due, and the session's own cookie stays until the session ends: while
//! the browser cannot renew, requests go on in the session's window, and a sign-out still knows
//! which session it ends.

use gatepost_base::hex;
use gatepost_session::SessionId;
use sha2::{Digest as _, Sha256};

use super::served::Application;
use super::settings::ApplicationSettings;
use crate::origin::Mode;

/// The most cookies that are removed at once.
const MAX_REMOVED: usize = 8;

/// What a browser renews a bound session for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceScope {
    /// An origin; where the scope is a whole site, that of its registrable domain.
    pub origin: String,
    /// Whether it is the whole site of that origin.
    pub whole_site: bool,
}

impl ApplicationSettings {
    /// Returns what a browser would renew a bound session of this application for. `None` where
    /// there is no such thing: without TLS, and where the hosts of a domain are not a whole site.
    pub fn device_scope(&self) -> Option<DeviceScope> {
        let external = &self.external;
        if !external.is_https() {
            return None;
        }
        match &self.mode {
            Mode::Single => Some(DeviceScope {
                origin: external.origin().to_owned(),
                whole_site: false,
            }),
            Mode::Domain(domain) => {
                let domain = domain.as_str();
                let mut url = external.url().clone();
                url.set_host(Some(domain)).ok()?;
                (psl::domain_str(domain) == Some(domain)).then(|| DeviceScope {
                    origin: url.origin().ascii_serialization(),
                    whole_site: true,
                })
            }
        }
    }
}

impl Application {
    /// Returns what a browser would renew a bound session for, as [`ApplicationSettings`] does.
    pub fn device_scope(&self) -> Option<DeviceScope> {
        self.settings().device_scope()
    }

    /// Returns the name of the cookie of a session. Each has its own, so that the cookie of a
    /// session before does not keep the browser from renewing. A proxy hides it from applications,
    /// as it hides all cookies of Gatepost.
    pub fn device_cookie_name(&self, session: &SessionId) -> String {
        let digest = Sha256::digest(format!("device cookie {}", session.expose()));
        let own = hex(digest.iter().take(8));
        format!("{}{own}", self.device_cookie_prefix())
    }

    /// Returns how the names of these cookies begin.
    fn device_cookie_prefix(&self) -> &'static str {
        match self.mode() {
            Mode::Single => "__Host-gatepost-device-",
            Mode::Domain(_) => "__Secure-gatepost-device-",
        }
    }

    /// Returns the attributes of the cookie, which a browser compares.
    pub fn device_cookie_attributes(&self) -> String {
        let domain = match self.mode() {
            Mode::Single => String::new(),
            Mode::Domain(domain) => format!("; Domain={}", domain.as_str()),
        };
        let cross_site = self.cookie().cross_site.attributes();
        format!("Path=/; HttpOnly; {cross_site}{domain}; Secure")
    }

    /// Returns the `Set-Cookie` line that keeps the cookie of a session for so many seconds.
    pub fn device_cookie(&self, session: &SessionId, max_age: u64) -> String {
        let attributes = self.device_cookie_attributes();
        let name = self.device_cookie_name(session);
        format!("{name}=1; Max-Age={max_age}; {attributes}")
    }

    /// Returns the `Set-Cookie` lines that remove these cookies of whatever session, as far as they
    /// are among the cookies with these names.
    pub fn remove_device_cookies<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<String> {
        let prefix = self.device_cookie_prefix();
        let attributes = self.device_cookie_attributes();
        let is_ours = move |name: &&str| {
            name.strip_prefix(prefix).is_some_and(|own| {
                own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        names
            .filter(is_ours)
            .take(MAX_REMOVED)
            .map(|name| format!("{name}=; Max-Age=0; {attributes}"))
            .collect()
    }
}
