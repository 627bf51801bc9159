//! A provider that somebody else describes, so that it is not discovered: authentik tells an
//! outpost about its provider in the outpost's configuration.

use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde_json::Value;
use url::Url;

use crate::discovery::DiscoveryError;
use crate::http_client::Http;
use crate::metadata::{ALGORITHMS, Metadata};
use crate::settings::ProviderSettings;

/// What is known of a provider without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticProvider {
    /// Its metadata (OpenID Connect Discovery 1.0 §3).
    pub document: Value,
    /// The address that it is asked as, where browsers reach it under another than the outpost.
    pub asked_as: Option<PublicAddress>,
    /// Whether any certificate of its servers will do.
    pub insecure: bool,
}

/// Scheme and host under which browsers reach a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    scheme: HeaderValue,
    host: HeaderValue,
}

impl PublicAddress {
    /// The address of a URL; `None` when it has no host.
    pub fn of(url: &Url) -> Option<Self> {
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        Some(Self {
            scheme: HeaderValue::from_str(url.scheme()).ok()?,
            host: HeaderValue::from_str(&host).ok()?,
        })
    }

    /// The headers that name it to the server, which writes its tokens' `iss` by them.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.host.clone());
        headers.insert("x-forwarded-proto", self.scheme.clone());
        headers.insert("x-forwarded-host", self.host.clone());
        headers
    }
}

impl StaticProvider {
    /// The metadata, with the keys that it leads to.
    pub(crate) async fn metadata(
        &self,
        settings: &ProviderSettings,
        http: &Http,
    ) -> Result<Metadata, DiscoveryError> {
        let metadata: Metadata =
            serde_json::from_value(self.document.clone()).map_err(|error| {
                DiscoveryError::Described {
                    reason: error.to_string(),
                }
            })?;
        if metadata.token_endpoint().is_none() {
            return Err(DiscoveryError::NoTokenEndpoint);
        }
        let algorithms = algorithms(metadata.id_token_signing_alg_values_supported());
        if algorithms.is_empty() {
            return Err(DiscoveryError::Algorithms);
        }
        if algorithms == [CoreJwsSigningAlgorithm::HmacSha256] {
            // Without keys, so that none of them could be meant by a token.
            return Ok(metadata.set_jwks(CoreJsonWebKeySet::default()));
        }
        let keys = crate::discovery::fetch_keys(settings, &metadata, http).await?;
        Ok(metadata.set_jwks(keys))
    }
}

/// The algorithms by which ID tokens may be signed: a MAC with the client secret alone where it is
/// named, as authentik does for a provider without a signing key, else signatures alone. Never
/// both, since a key that everyone knows could then be taken for a secret (RFC 8725 §2.1).
pub(crate) fn algorithms(named: &[CoreJwsSigningAlgorithm]) -> Vec<CoreJwsSigningAlgorithm> {
    if named.contains(&CoreJwsSigningAlgorithm::HmacSha256) {
        return vec![CoreJwsSigningAlgorithm::HmacSha256];
    }
    ALGORITHMS
        .into_iter()
        .filter(|ours| named.contains(ours))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use CoreJwsSigningAlgorithm::{HmacSha256, HmacSha512, None, RsaSsaPkcs1V15Sha256};

    #[test]
    fn a_mac_and_signatures_are_never_accepted_together() {
        for (named, expected) in [
            (vec![HmacSha256], vec![HmacSha256]),
            (vec![RsaSsaPkcs1V15Sha256], vec![RsaSsaPkcs1V15Sha256]),
            (vec![RsaSsaPkcs1V15Sha256, HmacSha256], vec![HmacSha256]),
            (vec![HmacSha512], vec![]),
            (vec![None], vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(algorithms(&named), expected, "{named:?}");
        }
    }
}
