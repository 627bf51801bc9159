//! A provider whose metadata is known without discovery: authentik describes its provider in an
//! outpost's configuration.

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;

use crate::algorithm;
use crate::discovery::{self, DiscoveryError};
use crate::http_client::Http;
use crate::key_set::KeySet;
use crate::metadata::Metadata;
use crate::static_provider::StaticProvider;

impl StaticProvider {
    /// Returns the metadata, and the keys that it leads to.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`].
    pub(crate) async fn metadata(&self, http: &Http) -> Result<(Metadata, KeySet), DiscoveryError> {
        let invalid = |reason: String| DiscoveryError::Static { reason };
        let document = self.document.as_object();
        let document = document.ok_or_else(|| invalid("not a JSON object".to_owned()))?;
        let metadata = Metadata::read(document).map_err(|error| invalid(error.to_string()))?;
        let algorithms = algorithms(metadata.algorithms.as_deref().unwrap_or_default());
        if algorithms.is_empty() {
            return Err(DiscoveryError::Algorithms);
        }
        if algorithms == [Algorithm::HmacSha256] {
            // Without keys, so that none of them could be meant by a token.
            return Ok((metadata, KeySet::empty()));
        }
        let keys = discovery::fetch_keys(&metadata, http).await?;
        Ok((metadata, keys))
    }
}

/// Returns the algorithms by which ID tokens may be signed: a MAC with the client secret alone where
/// it is named, as authentik does for a provider without a signing key, else signatures alone. Never
/// both, since a key that everyone knows could then be taken for a secret (RFC 8725 §2.1).
pub(crate) fn algorithms(named: &[Algorithm]) -> Vec<Algorithm> {
    if named.contains(&Algorithm::HmacSha256) {
        return vec![Algorithm::HmacSha256];
    }
    let mut accepted = algorithm::signatures();
    accepted.retain(|own| named.contains(own));
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{HmacSha256, HmacSha512, None, RsaSsaPkcs1V15Sha256};

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
