//! All applications, and how a request's host chooses one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use gatepost_policy::OutpostPrefix;

use super::served::Application;
use super::settings::Unserved;
use crate::compat::Conventions;
use crate::origin::{HostPort, Mode};

/// The applications of an outpost.
///
/// A request finds its application by its host without a search, however many there are.
#[derive(Debug, Default)]
pub struct Applications {
    all: Vec<Arc<Application>>,
    /// By host name. A name in this map is never answered by the application of a domain.
    hosts: HashMap<String, Owner>,
    /// By cookie domain.
    domains: HashMap<String, Owner>,
    /// Each once: most applications have the same.
    prefixes: Vec<OutpostPrefix>,
    conventions: Conventions,
    /// Why there may be others that are not known yet.
    unknown: Option<Arc<str>>,
}

/// What owns a host name or a cookie domain.
#[derive(Clone, Debug)]
enum Owner {
    /// Usually one application; or several on one host name, which differ in the prefix that the
    /// proxy asks at.
    Served(Vec<Arc<Application>>),
    /// An application that is configured here and cannot be served. It keeps the name, so that no
    /// application with a wider domain answers in its place.
    Unserved(Arc<Unserved>),
}

/// Why no application answers at a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoApplication {
    /// The name is not configured, or the port is another than the application's.
    #[error("no application has this host")]
    Unknown,
    /// The application that is configured for the host cannot be served.
    #[error("`{}` is configured for it and cannot be served: {}", .0.name, .0.reason)]
    Unserved(Arc<Unserved>),
    /// The source of the applications has not answered so far.
    #[error("the applications are not known yet: {0}")]
    NotKnownYet(Arc<str>),
    /// Several applications have it, and the path is under the prefix of none of them.
    #[error(
        "several applications have it: the proxy has to ask, and to route, under the \
         `outpostPrefix` of one of them"
    )]
    Several,
}

impl Owner {
    /// Returns whether both have an application in common.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Served(own), Self::Served(others)) => own
                .iter()
                .any(|one| others.iter().any(|other| Arc::ptr_eq(one, other))),
            (Self::Unserved(own), Self::Unserved(other)) => Arc::ptr_eq(own, other),
            (Self::Served(_), Self::Unserved(_)) | (Self::Unserved(_), Self::Served(_)) => false,
        }
    }
}

impl Applications {
    /// Creates the registry of these applications, whose names differ, and of the configured
    /// applications that cannot be served.
    pub fn new(all: Vec<Arc<Application>>, unserved: &[Unserved]) -> Self {
        let mut hosts: HashMap<String, Owner> = HashMap::new();
        let mut domains = HashMap::new();
        let mut prefixes = Vec::new();
        for application in &all {
            let host = application.external().host().to_owned();
            let one = || vec![Arc::clone(application)];
            match hosts.entry(host) {
                Entry::Occupied(mut taken) => {
                    if let Owner::Served(others) = taken.get_mut() {
                        others.push(Arc::clone(application));
                    }
                }
                Entry::Vacant(free) => {
                    free.insert(Owner::Served(one()));
                }
            }
            if let Mode::Domain(domain) = application.mode() {
                domains.insert(domain.as_str().to_owned(), Owner::Served(one()));
            }
            if !prefixes.contains(application.prefix()) {
                prefixes.push(application.prefix().clone());
            }
        }
        for unserved in unserved.iter().cloned().map(Arc::new) {
            if let Some((host, port)) = &unserved.host {
                // If the address is the same, it already has its owner. If the port differs,
                // neither is served under the name.
                let is_at_address = |owner: &Owner| match owner {
                    Owner::Served(own) => {
                        own.iter().all(|own| Some(own.external().port()) == *port)
                    }
                    Owner::Unserved(_) => true,
                };
                if !hosts.get(host).is_some_and(is_at_address) {
                    hosts.insert(host.clone(), Owner::Unserved(Arc::clone(&unserved)));
                }
            }
            if let Some(domain) = &unserved.domain {
                let owner = domains.entry(domain.clone());
                owner.or_insert_with(|| Owner::Unserved(Arc::clone(&unserved)));
            }
        }
        Self {
            conventions: all
                .iter()
                .map(|application| application.conventions())
                .find(|conventions| *conventions != Conventions::default())
                .unwrap_or_default(),
            all,
            hosts,
            domains,
            prefixes,
            unknown: None,
        }
    }

    /// Notes that other applications are not known yet, for this reason.
    #[must_use]
    pub fn with_unknown(mut self, reason: Option<&str>) -> Self {
        self.unknown = reason.map(Arc::from);
        self
    }

    /// Returns why there may be applications that are not known yet.
    pub fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Returns all applications.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.all.iter()
    }

    /// Returns the application of that name.
    pub fn named(&self, audience: &str) -> Option<&Arc<Application>> {
        self.all
            .iter()
            .find(|application| application.audience().as_str() == audience)
    }

    /// Returns the application that answers at a host: the one whose external URL has this host
    /// name, else the one with the longest cookie domain that contains it. An unknown host has no
    /// application.
    ///
    /// The *name* decides: a client may write any port into `Host`, and proxies do not compare it.
    /// With a port that is not the application's, the host has no application, and never another
    /// one; the port may be missing where a proxy drops it. Where several applications have one
    /// name, `path`, which is part of the proxy's configuration, begins with the prefix of one of
    /// them.
    ///
    /// # Errors
    ///
    /// [`NoApplication`].
    pub fn at(&self, host: &HostPort, path: &str) -> Result<&Arc<Application>, NoApplication> {
        let (owner, by_name) = match self.hosts.get(host.host()) {
            Some(owner) => (owner, true),
            None => match self.over(host.host()) {
                Some(owner) => (owner, false),
                None => return Err(self.none()),
            },
        };
        let application = match owner {
            Owner::Unserved(unserved) => {
                return Err(NoApplication::Unserved(Arc::clone(unserved)));
            }
            Owner::Served(own) => match own.as_slice() {
                [only] => only,
                several => several
                    .iter()
                    .filter(|application| application.prefix().contains(path.as_bytes()))
                    .max_by_key(|application| application.prefix().as_str().len())
                    .ok_or(NoApplication::Several)?,
            },
        };
        let other_port = |port| application.external().port() != port;
        // A domain has one sign-in for all its hosts, whatever their ports.
        let has_ports = by_name && *application.mode() == Mode::Single;
        if has_ports && host.port().is_some_and(other_port) {
            return Err(NoApplication::Unknown);
        }
        Ok(application)
    }

    /// Returns why no application has a host that is not configured.
    fn none(&self) -> NoApplication {
        match &self.unknown {
            Some(reason) => NoApplication::NotKnownYet(Arc::clone(reason)),
            None => NoApplication::Unknown,
        }
    }

    /// Returns whether an application is configured for a host.
    pub fn know(&self, host: &HostPort) -> bool {
        self.owner(host).is_some()
    }

    /// Returns whether two hosts belong to different applications.
    pub fn distinguish(&self, one: &HostPort, other: &HostPort) -> bool {
        match (self.owner(one), self.owner(other)) {
            (Some(one), Some(other)) => !one.is_same(other),
            (None, _) | (_, None) => false,
        }
    }

    /// Returns whether only an outpost answers at a host: it is the host of a domain's sign-in.
    pub fn have_outpost_at(&self, host: &HostPort) -> bool {
        match self.hosts.get(host.host()) {
            Some(Owner::Served(own)) => own.iter().all(|own| matches!(own.mode(), Mode::Domain(_))),
            Some(Owner::Unserved(_)) | None => false,
        }
    }

    /// Returns whether a host's name belongs to an application itself, not through a domain.
    pub fn have_named(&self, host: &HostPort) -> bool {
        self.hosts.contains_key(host.host())
    }

    /// Returns whether an application at a host answers under this prefix.
    pub fn answer_under(&self, prefix: &str, host: &HostPort) -> bool {
        match self.owner(host) {
            Some(Owner::Served(own)) => own.iter().any(|own| own.prefix().as_str() == prefix),
            Some(Owner::Unserved(_)) | None => false,
        }
    }

    fn owner(&self, host: &HostPort) -> Option<&Owner> {
        let name = host.host();
        self.hosts.get(name).or_else(|| self.over(name))
    }

    /// Returns the owner of the longest cookie domain that contains a host: the host itself, or the
    /// host without its first labels.
    fn over(&self, host: &str) -> Option<&Owner> {
        let mut rest = host;
        loop {
            if let Some(owner) = self.domains.get(rest) {
                return Some(owner);
            }
            let (label, parent) = rest.split_once('.')?;
            // A name that begins with a dot is not a host.
            rest = Some(parent).filter(|_| !label.is_empty())?;
        }
    }

    /// Returns the conventions of the applications, which have one source.
    pub fn conventions(&self) -> Conventions {
        self.conventions
    }

    /// Returns the prefixes under which the outpost answers for these applications, each once.
    pub fn prefixes(&self) -> impl Iterator<Item = &OutpostPrefix> {
        self.prefixes.iter()
    }
}

#[cfg(test)]
mod tests;
