//! The providers of one application.

use std::sync::Arc;

use gatepost_oidc::Provider;

/// The providers that sign an application's users in: at least one, and no two with the same
/// issuer.
///
/// A session belongs to its issuer: the outpost validates, renews and ends it at the provider of
/// that issuer ([`Self::of_issuer`]) and at no other.
#[derive(Debug)]
pub struct Providers {
    first: Arc<Provider>,
    others: Vec<Arc<Provider>>,
}

impl Providers {
    /// Creates the list, in the order in which the pages show it; `None` if it is empty.
    pub fn new(providers: impl IntoIterator<Item = Arc<Provider>>) -> Option<Self> {
        let mut providers = providers.into_iter();
        Some(Self {
            first: providers.next()?,
            others: providers.collect(),
        })
    }

    /// Returns all providers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the first provider.
    pub fn first(&self) -> &Arc<Provider> {
        &self.first
    }

    /// Returns the provider if it is the only one, so that users do not have to choose.
    pub fn only(&self) -> Option<&Arc<Provider>> {
        self.others.is_empty().then_some(&self.first)
    }

    /// Returns the provider of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.iter()
            .find(|provider| provider.settings().name == name)
    }

    /// Returns the provider of that issuer, compared exactly as text: that of its settings, which
    /// sessions have, before one whose tokens may name it.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        let own = |provider: &&Arc<Provider>| provider.settings().issuer.as_str() == issuer;
        let issues = |provider: &&Arc<Provider>| provider.issues_as(issuer);
        self.iter().find(own).or_else(|| self.iter().find(issues))
    }
}
