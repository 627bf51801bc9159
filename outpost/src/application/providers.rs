//! The providers of one application.

use std::sync::Arc;

use gatepost_oidc::Provider;

/// Who signs an application's people in: one provider at least, no two of one issuer.
///
/// A session is its issuer's. What is asked about it, or done with it, goes to the provider of that
/// issuer ([`Self::of_issuer`]) and to no other.
#[derive(Debug)]
pub struct Providers {
    first: Arc<Provider>,
    others: Vec<Arc<Provider>>,
}

impl Providers {
    /// These providers, in the order in which they are shown; `None` when there is none.
    pub fn new(providers: impl IntoIterator<Item = Arc<Provider>>) -> Option<Self> {
        let mut providers = providers.into_iter();
        Some(Self {
            first: providers.next()?,
            others: providers.collect(),
        })
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The first.
    pub fn first(&self) -> &Arc<Provider> {
        &self.first
    }

    /// The provider where there is no other, so that nobody has to choose.
    pub fn only(&self) -> Option<&Arc<Provider>> {
        self.others.is_empty().then_some(&self.first)
    }

    /// The provider of that name.
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
