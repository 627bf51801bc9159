//! Permission to go upstream.

use gatepost_policy::{Permit, holds_api_key};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};

use super::request::ForwardedRequest;
use crate::application::Application;
use crate::dialect::Dialect;

/// Permission to go upstream, with the headers that identify the user to the upstream. It is made
/// from the policy's [`Permit`] alone.
#[derive(Debug)]
pub struct Pass {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Pass {
    /// Returns the permission that `permit` gives.
    ///
    /// Besides the identity it has the `Cookie` line without Gatepost's own cookies, for proxies
    /// that can replace it: an upstream that cannot see the cookie cannot replay it at another.
    pub fn new(
        permit: &Permit<'_>,
        application: &Application,
        request: &ForwardedRequest<'_>,
        dialect: Dialect,
    ) -> Self {
        let rules = application.headers();
        let set = |name: &gatepost_policy::HeaderName, value: &str| {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        let mut headers: Vec<(HeaderName, HeaderValue)> = rules
            .render(permit)
            .filter_map(|(name, value)| set(name, &value))
            .collect();
        let cookies = request.cookies_but(application.hidden_cookies());
        headers.extend(cookies.map(|cookies| (COOKIE, cookies)));
        // Likewise for proxies that take `Authorization` over: credentials that are not for the
        // outpost are between client and application.
        let credentials: Vec<HeaderValue> = request.credentials().collect();
        // An application that sees an API key could use it at others, and a key reaches this place
        // unchecked: on a public path, beside a session, or beside another key.
        let has_key = application.policy().machine_clients.api_key
            && credentials
                .iter()
                .any(|line| holds_api_key(line.as_bytes()));
        // Nor does an application get a client's line where it takes it for the outpost's own.
        let is_withheld = has_key || application.capabilities().sets_authorization();
        if application.machine_clients().is_some() && !is_withheld {
            headers.extend(credentials.into_iter().map(|line| (AUTHORIZATION, line)));
        }
        // These proxies keep a client's header where the response lacks it.
        if matches!(dialect, Dialect::Caddy | Dialect::Envoy) {
            let cookie = (COOKIE, HeaderValue::from_static(""));
            // Caddy takes over a header that the response lacks as the text of its placeholder.
            let takes_over = dialect == Dialect::Caddy && application.machine_clients().is_some();
            let authorization = (AUTHORIZATION, HeaderValue::from_static(""));
            let authorization = takes_over.then_some(authorization);
            let withheld = rules.withheld().filter_map(|name| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_static("")))
            });
            let absent: Vec<_> = rules
                .names()
                .filter_map(|name| set(name, ""))
                .chain(withheld)
                .chain([cookie])
                .chain(authorization)
                .filter(|(name, _)| headers.iter().all(|(own, _)| own != name))
                .collect();
            headers.extend(absent);
        }
        let pass = Self { headers };
        if is_withheld {
            pass.without_credentials(dialect)
        } else {
            pass
        }
    }

    /// Removes the credentials that the permission was given for, for proxies that take
    /// `Authorization` over: an upstream that cannot see them cannot use them at another.
    pub fn without_credentials(mut self, dialect: Dialect) -> Self {
        self.headers.retain(|(name, _)| *name != AUTHORIZATION);
        // As for cookies: these proxies keep the client's header where the response lacks it.
        if matches!(dialect, Dialect::Caddy | Dialect::Envoy) {
            self.headers
                .push((AUTHORIZATION, HeaderValue::from_static("")));
        }
        self
    }

    /// Removes the client's cookies.
    pub(super) fn remove_cookies(&mut self) {
        self.headers.retain(|(name, _)| *name != COOKIE);
    }

    /// Adds headers that the permit does not know of.
    pub fn with_headers(mut self, further: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers
            .retain(|(name, _)| further.iter().all(|(own, _)| own != name));
        self.headers.extend(further);
        self
    }

    /// Returns the headers for the upstream.
    pub(super) fn into_headers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers
    }
}
