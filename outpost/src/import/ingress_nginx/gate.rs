//! What decides about the requests of an Ingress today.

use super::documents::Documents;
use super::ingress::Ingress;
use super::protection;

/// A service that decides, and what the Ingress tells it to decide by: it may let other users in for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate<'i> {
    pub(super) url: &'i str,
    /// The namespace of the Ingress and a ConfigMap with headers of the question (`auth-proxy-set-headers`).
    headers: Option<(&'i str, &'i str)>,
    /// Directives of the question (`auth-snippet`).
    snippet: Option<&'i str>,
    /// The method of the question (`auth-method`).
    method: Option<&'i str>,
}

impl<'i> Gate<'i> {
    /// Returns what decides about an Ingress; `None` where no service does.
    ///
    /// # Errors
    ///
    /// Why it is protected by a service, and none is named.
    pub(super) fn of(
        ingress: &'i Ingress,
        documents: &'i Documents,
    ) -> Result<Option<Self>, String> {
        let url = protection::service(ingress, documents)?;
        let told = |key: &str| ingress.set(key).map(str::trim);
        let headers = told("auth-proxy-set-headers");
        Ok(url.map(|url| Self {
            url,
            headers: headers.map(|name| (ingress.own_namespace(), name)),
            snippet: told("auth-snippet"),
            method: told("auth-method"),
        }))
    }

    /// Says what the service was told to decide by, besides its address.
    pub(super) fn told(&self) -> Vec<String> {
        let headers = self
            .headers
            .map(|(_, name)| format!("the ConfigMap `{name}` (`auth-proxy-set-headers`)"));
        let snippet = self.snippet.map(|_| "its `auth-snippet`".to_owned());
        let method = self.method.map(|method| format!("`auth-method: {method}`"));
        headers.into_iter().chain(snippet).chain(method).collect()
    }
}
