//! All applications, and how a request's host chooses one.

use std::collections::HashMap;
use std::sync::Arc;

use gatepost_policy::OutpostPrefix;

use crate::application::Application;
use crate::authority::Authority;
use crate::config::Mode;

/// The applications of an outpost.
///
/// However many there are, a request finds its own by its host at once.
#[derive(Debug, Default)]
pub struct Applications {
    all: Vec<Arc<Application>>,
    /// By the host of their external URL; on one host they differ in the port.
    hosts: HashMap<String, Vec<Arc<Application>>>,
    /// By cookie domain.
    domains: HashMap<String, Arc<Application>>,
    /// Each once: most applications have the same.
    prefixes: Vec<OutpostPrefix>,
    are_authentiks: bool,
}

impl Applications {
    /// These applications, whose names and hosts differ.
    pub fn new(all: Vec<Arc<Application>>) -> Self {
        let mut hosts: HashMap<String, Vec<Arc<Application>>> = HashMap::new();
        let mut domains = HashMap::new();
        let mut prefixes = Vec::new();
        for application in &all {
            let host = application.external.host().to_owned();
            hosts.entry(host).or_default().push(Arc::clone(application));
            if let Mode::Domain(domain) = &application.mode {
                domains.insert(domain.as_str().to_owned(), Arc::clone(application));
            }
            if !prefixes.contains(&application.prefix) {
                prefixes.push(application.prefix.clone());
            }
        }
        Self {
            are_authentiks: all
                .iter()
                .any(|application| application.authentik.is_some()),
            all,
            hosts,
            domains,
            prefixes,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.all.iter()
    }

    /// The application of that name.
    pub fn named(&self, audience: &str) -> Option<&Arc<Application>> {
        self.all
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
        let here = self.hosts.get(host.host()).map_or(&[][..], Vec::as_slice);
        let named = match (host.port(), here) {
            (Some(port), _) => here.iter().find(|a| a.external.port() == port),
            (None, [only]) => Some(only),
            (None, _) => here.iter().find(|a| a.external.url().port().is_none()),
        };
        named.or_else(|| self.over(host.host()))
    }

    /// The application with the longest cookie domain that holds a host: the host itself, or what
    /// is left of it without its first labels.
    fn over(&self, host: &str) -> Option<&Arc<Application>> {
        let mut rest = host;
        loop {
            if let Some(application) = self.domains.get(rest) {
                return Some(application);
            }
            let (label, parent) = rest.split_once('.')?;
            // What begins with a dot is no host.
            rest = Some(parent).filter(|_| !label.is_empty())?;
        }
    }

    /// Whether authentik says which applications there are.
    pub fn are_authentiks(&self) -> bool {
        self.are_authentiks
    }

    /// The prefixes under which the outpost answers for one of them, each once.
    pub fn prefixes(&self) -> impl Iterator<Item = &OutpostPrefix> {
        self.prefixes.iter()
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
