//! An application as the outpost serves it, and how a request's host chooses one.

use std::sync::Arc;

use gatepost_policy::{
    HeaderRules, OutpostPrefix, OutpostUrl, Policy, Request, SignIn, Unauthenticated,
};
use gatepost_session::cookie::{Attributes, Candidates};
use gatepost_session::{Audience, Authentic, KeyRing, OpenError, Signer, Verifier};

use crate::authentik::{self, FromAuthentik};
use crate::authority::{Authority, ExternalUrl};
use crate::config::{ApplicationSettings, Mode, SessionTimes};
use crate::machines::Machines;
use crate::outpost::DeployError;
use crate::provider::Provider;

/// One application, with all that is needed to answer for it.
#[derive(Debug)]
pub struct Application {
    /// Its name, which is the audience of its sessions.
    pub audience: Audience,
    /// One host, or all hosts of a domain.
    pub mode: Mode,
    /// Where browsers reach it; in domain mode, where they reach the outpost.
    pub external: ExternalUrl,
    /// The path under which the outpost answers.
    pub prefix: OutpostPrefix,
    /// Who signs its people in.
    pub provider: Arc<Provider>,
    /// Who may pass.
    pub policy: Policy,
    /// What it is told.
    pub headers: HeaderRules,
    /// Whether it sees the session cookie.
    pub forward_cookie: bool,
    /// Which groups its cookie keeps beside those of the policy when it has no room for all.
    pub cookie_groups: Option<Vec<String>>,
    /// Its programs, where their credentials stand in for a session.
    pub machines: Option<Machines>,
    /// How its session cookie is set.
    pub cookie: Attributes,
    /// Builds the URL that starts a sign-in.
    pub sign_in: SignIn,
    /// What authentik says of it that a file cannot.
    pub authentik: Option<FromAuthentik>,
    /// Signs its sessions.
    pub signer: Signer,
    verifier: Verifier,
}

impl Application {
    /// The application of these settings, whose sessions keys of `ring` sign unless it has its own.
    ///
    /// # Errors
    ///
    /// [`DeployError::NoSigningKey`] when they derive no key, which keys that were read always do,
    /// and [`DeployError::NoRandomness`].
    pub fn new(
        settings: &ApplicationSettings,
        ring: &KeyRing,
        provider: Arc<Provider>,
    ) -> Result<Self, DeployError> {
        let domain = match &settings.mode {
            Mode::Single => None,
            Mode::Domain(domain) => Some(domain.as_str().to_owned()),
        };
        let own_keys = settings.authentik.as_ref().map(|authentik| &authentik.keys);
        let ring = own_keys.unwrap_or(ring);
        // The audience is checked by the verifier, and the issuer too: an application that
        // changes its provider must not go on with the old one's subjects.
        let verifier = Verifier::new(ring, settings.audience.clone())
            .with_issuer(provider.settings().issuer.as_str());
        let prefix = settings.prefix.clone();
        let sign_in = match settings.mode {
            Mode::Single => SignIn::OnHost(prefix.clone()),
            Mode::Domain(_) => OutpostUrl::new(settings.external.origin()).map_or_else(
                |_| SignIn::OnHost(prefix.clone()),
                |outpost| SignIn::OnOutpost(outpost, prefix.clone()),
            ),
        };
        Ok(Self {
            audience: settings.audience.clone(),
            mode: settings.mode.clone(),
            external: settings.external.clone(),
            prefix,
            provider,
            policy: settings.policy.clone(),
            headers: settings.headers.clone(),
            forward_cookie: settings.forward_cookie,
            cookie_groups: settings.cookie_groups.clone(),
            machines: match &settings.machines {
                Some(machines) => {
                    Some(Machines::new(machines.clone()).ok_or(DeployError::NoRandomness)?)
                }
                None => None,
            },
            cookie: Attributes {
                name: settings.cookie_name.clone(),
                domain,
                secure: settings.external.is_https(),
            },
            sign_in,
            authentik: settings.authentik.clone(),
            signer: Signer::new(ring).ok_or(DeployError::NoSigningKey)?,
            verifier,
        })
    }

    /// Opens the session cookie of a request: the first candidate that a key of the ring made
    /// for this application.
    pub fn authenticate(&self, candidates: &Candidates<'_>) -> Result<Authentic, Unauthenticated> {
        let mut reason = Unauthenticated::NoCookie;
        for value in candidates.values() {
            match self.verifier.authenticate(&value) {
                Ok(authentic) => return Ok(authentic),
                Err(error) => reason = Unauthenticated::Invalid(error),
            }
        }
        if candidates.any() && reason == Unauthenticated::NoCookie {
            // Chunks that do not fit together.
            reason = Unauthenticated::Invalid(OpenError::Malformed);
        }
        Err(reason)
    }

    /// Where the provider sends the browser back to. Fixed by configuration: nothing in a request
    /// takes part.
    pub fn redirect_uri(&self) -> String {
        let uri = format!("{}{}/callback", self.external.origin(), self.prefix);
        match self.authentik {
            // What authentik registers for its outposts.
            Some(_) => format!("{uri}?{}", authentik::CALLBACK_SIGNATURE),
            None => uri,
        }
    }

    /// The path of the cookies that a sign-in under way leaves.
    pub fn flow_path(&self) -> &str {
        match self.authentik {
            // A callback is known by its signature there, whatever its path.
            Some(_) => "/",
            None => self.prefix.as_str(),
        }
    }

    /// For how long its sessions last at most, in seconds.
    pub fn lifetime(&self, times: &SessionTimes) -> u64 {
        let own = self.authentik.as_ref().and_then(|own| own.lifetime);
        own.unwrap_or(times.lifetime)
    }

    /// Where the provider may send the browser after signing out.
    pub fn post_logout_uri(&self) -> String {
        self.external.url().to_string()
    }

    /// The absolute URL that starts a sign-in leading back to the request at `host`.
    ///
    /// Absolute, since Traefik resolves a relative one against the outpost's own address.
    pub fn start_url(&self, host: &Authority, request: &impl Request) -> String {
        let scheme = if self.external.is_https() {
            "https"
        } else {
            "http"
        };
        let url = self
            .sign_in
            .url(|| format!("{scheme}://{host}"), &request.target());
        match self.sign_in {
            // One host, so it is known, whatever the request says of its port.
            SignIn::OnHost(_) => format!("{}{url}", self.external.origin()),
            SignIn::OnOutpost(..) => url,
        }
    }
}

/// The applications of an outpost.
#[derive(Debug, Default)]
pub struct Applications(Vec<Arc<Application>>);

impl Applications {
    /// These applications, whose names and hosts differ.
    pub fn new(applications: Vec<Arc<Application>>) -> Self {
        Self(applications)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.0.iter()
    }

    /// The application of that name.
    pub fn named(&self, audience: &str) -> Option<&Arc<Application>> {
        self.0
            .iter()
            .find(|application| application.audience.as_str() == audience)
    }

    /// The application that answers at a host: the one whose external URL it is, else the one
    /// with the longest cookie domain that holds it. There is no other: an unknown host has no
    /// application.
    ///
    /// A port decides between applications on one host, and may be missing where a proxy drops
    /// it, as long as only one application is on that host.
    pub fn at(&self, host: &Authority) -> Option<&Arc<Application>> {
        let same_host = || self.0.iter().filter(|a| a.external.host() == host.host());
        let exact = |port: u16| same_host().find(|a| a.external.port() == port);
        let named = match host.port() {
            Some(port) => exact(port),
            None => {
                let default = same_host().find(|a| a.external.url().port().is_none());
                let mut all = same_host();
                default.or_else(|| all.next().filter(|_| all.next().is_none()))
            }
        };
        named.or_else(|| {
            self.0
                .iter()
                .filter_map(|application| match &application.mode {
                    Mode::Domain(domain) if domain.contains(host.host()) => {
                        Some((domain.as_str().len(), application))
                    }
                    Mode::Domain(_) | Mode::Single => None,
                })
                .max_by_key(|(length, _)| *length)
                .map(|(_, application)| application)
        })
    }

    /// Whether authentik says which applications there are.
    pub fn are_authentiks(&self) -> bool {
        self.0
            .iter()
            .any(|application| application.authentik.is_some())
    }

    /// Whether a path lies under the prefix of one of the applications.
    pub fn prefixes(&self) -> impl Iterator<Item = &OutpostPrefix> {
        self.0.iter().map(|application| &application.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::outpost::Deployment;

    #[test]
    fn a_host_has_the_nearest_application_or_none() {
        let yaml = "
keys: ['a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
  - {name: tls, externalUrl: 'https://one.example.com'}
  - {name: port, externalUrl: 'https://one.example.com:8443'}
  - {name: odd, externalUrl: 'http://odd.localhost:8080'}
  - {name: wide, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.com}
  - {name: narrow, mode: domain, externalUrl: 'https://auth.a.example.com',
     cookieDomain: a.example.com}
";
        let config = Config::parse(yaml, []).expect("a configuration");
        let deployment = Deployment::new(&config, None).expect("a deployment");
        for (host, expected) in [
            ("one.example.com", Some("tls")),
            ("one.example.com:443", Some("tls")),
            ("one.example.com:8443", Some("port")),
            ("odd.localhost:8080", Some("odd")),
            // Some proxies drop the port.
            ("odd.localhost", Some("odd")),
            ("odd.localhost:80", None),
            ("auth.example.com", Some("wide")),
            ("example.com", Some("wide")),
            ("x.example.com", Some("wide")),
            ("x.a.example.com", Some("narrow")),
            ("a.example.com", Some("narrow")),
            ("xa.example.com", Some("wide")),
            ("evilexample.com", None),
            ("example.org", None),
        ] {
            let authority = Authority::parse(host).expect("a host");
            let found = deployment.applications.at(&authority);
            assert_eq!(
                found.map(|found| found.audience.as_str()),
                expected,
                "{host}"
            );
        }
    }
}
