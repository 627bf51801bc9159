//! The cookie by which a browser notices that a bound session is to be renewed.
//!
//! It carries nothing. A browser renews a bound session when this cookie is missing from a request,
//! so it ends when a renewal is due, and the session's own cookie stays until the session ends: while
//! the browser cannot renew, requests go on in the session's window, and a sign-out still knows
//! which session it ends.

use super::served::Application;
use crate::origin::Mode;

/// What a browser renews a bound session for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceScope {
    /// An origin; where the scope is a whole site, that of its registrable domain.
    pub origin: String,
    /// Whether it is the whole site of that origin.
    pub whole_site: bool,
}

impl Application {
    /// Returns what a browser would renew a bound session of this application for. `None` where
    /// there is no such thing: without TLS, and where the hosts of a domain are not a whole site.
    pub fn device_scope(&self) -> Option<DeviceScope> {
        let external = self.external();
        if !external.is_https() {
            return None;
        }
        match self.mode() {
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

    /// Returns the name of the cookie. A proxy hides it from applications, as it hides all cookies
    /// of Gatepost.
    pub fn device_cookie_name(&self) -> &'static str {
        match self.mode() {
            Mode::Single => "__Host-gatepost-device",
            Mode::Domain(_) => "__Secure-gatepost-device",
        }
    }

    /// Returns the attributes of the cookie, which a browser compares.
    pub fn device_cookie_attributes(&self) -> String {
        let domain = match self.mode() {
            Mode::Single => String::new(),
            Mode::Domain(domain) => format!("; Domain={}", domain.as_str()),
        };
        format!("Path=/; HttpOnly; SameSite=Lax{domain}; Secure")
    }

    /// Returns the `Set-Cookie` line that keeps the cookie for so many seconds; 0 removes it.
    pub fn device_cookie(&self, max_age: u64) -> String {
        let value = if max_age == 0 { "" } else { "1" };
        let attributes = self.device_cookie_attributes();
        format!(
            "{}={value}; Max-Age={max_age}; {attributes}",
            self.device_cookie_name()
        )
    }
}
