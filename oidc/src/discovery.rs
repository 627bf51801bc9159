//! Finding a provider (OpenID Connect Discovery 1.0).

use openidconnect::DiscoveryError as ProtocolError;
use openidconnect::core::CoreJsonWebKeySet;
use url::Url;

use crate::http_client::{Http, HttpError};
use crate::metadata::{ALGORITHMS, Metadata};
use crate::settings::ProviderSettings;
use gatepost_base::contained::Panicked;

/// Why a provider cannot be used, in words for an operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// It does not answer.
    #[error("cannot reach it: {0}")]
    Unreachable(#[source] HttpError),
    /// It answers with something else.
    #[error("its discovery document at {url} cannot be used: {reason}")]
    Document {
        /// Where the document was looked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What authentik says of it is no description of a provider.
    #[error("what authentik says of its endpoints cannot be used: {reason}")]
    Described {
        /// What is wrong with it.
        reason: String,
    },
    /// The document names another issuer than the configuration.
    #[error("issuer `{configured}` is configured, but it calls itself otherwise: {reason}")]
    Issuer {
        /// The issuer of the configuration.
        configured: String,
        /// What was compared.
        reason: String,
    },
    /// An https issuer names an endpoint without TLS.
    #[error("its {endpoint} is not https although its issuer is: {url}")]
    InsecureEndpoint {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Its URL.
        url: String,
    },
    /// An endpoint is at no address that could be asked.
    #[error("its {endpoint} is neither http nor https: {url}")]
    Scheme {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Its URL.
        url: String,
    },
    /// What it says of itself was too much for a library.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// It signs ID tokens in no way that is accepted.
    #[error(
        "it signs ID tokens with none of RS, PS, ES or EdDSA: give its client a signing key (a MAC \
         with the client secret, HS256, is not accepted)"
    )]
    Algorithms,
    /// It has no token endpoint.
    #[error("it has no token endpoint, so it does not support the authorization code flow")]
    NoTokenEndpoint,
}

/// Fetches the provider's metadata and keys and checks that they can be used.
pub(crate) async fn discover(
    settings: &ProviderSettings,
    http: &Http,
) -> Result<Metadata, DiscoveryError> {
    if let Some(fixed) = &settings.static_provider {
        return fixed.metadata(settings, http).await;
    }
    let metadata = Metadata::discover_async(settings.issuer.clone(), http)
        .await
        .map_err(|error| protocol_error(settings, error))?;
    check(&metadata)?;
    Ok(metadata)
}

/// Fetches the keys alone.
pub(crate) async fn fetch_keys(
    settings: &ProviderSettings,
    metadata: &Metadata,
    http: &Http,
) -> Result<CoreJsonWebKeySet, DiscoveryError> {
    CoreJsonWebKeySet::fetch_async(metadata.jwks_uri(), http)
        .await
        .map_err(|error| protocol_error(settings, error))
}

fn check(metadata: &Metadata) -> Result<(), DiscoveryError> {
    let further = metadata.additional_metadata();
    let endpoints: [(&'static str, Option<&Url>); 6] = [
        (
            "authorization endpoint",
            Some(metadata.authorization_endpoint().url()),
        ),
        (
            "token endpoint",
            metadata.token_endpoint().map(|url| url.url()),
        ),
        (
            "userinfo endpoint",
            metadata.userinfo_endpoint().map(|url| url.url()),
        ),
        ("key set", Some(metadata.jwks_uri().url())),
        (
            "end session endpoint",
            further.end_session_endpoint.as_ref(),
        ),
        (
            "introspection endpoint",
            further.introspection_endpoint.as_ref(),
        ),
    ];
    let tls = metadata.issuer().url().scheme() == "https";
    for (endpoint, url) in endpoints {
        let Some(url) = url else { continue };
        let shown = || url.to_string();
        match url.scheme() {
            "https" => {}
            "http" if !tls => {}
            "http" => {
                let url = shown();
                return Err(DiscoveryError::InsecureEndpoint { endpoint, url });
            }
            // Browsers are sent there, or the outpost asks.
            _ => {
                let url = shown();
                return Err(DiscoveryError::Scheme { endpoint, url });
            }
        }
    }
    if metadata.token_endpoint().is_none() {
        return Err(DiscoveryError::NoTokenEndpoint);
    }
    let named = metadata.id_token_signing_alg_values_supported();
    if !ALGORITHMS.iter().any(|ours| named.contains(ours)) {
        return Err(DiscoveryError::Algorithms);
    }
    Ok(())
}

fn protocol_error(settings: &ProviderSettings, error: ProtocolError<HttpError>) -> DiscoveryError {
    let issuer = settings.issuer.as_str();
    let document = |reason: String| DiscoveryError::Document {
        url: format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        ),
        reason,
    };
    match error {
        ProtocolError::Request(error) => DiscoveryError::Unreachable(error),
        ProtocolError::Validation(reason) => DiscoveryError::Issuer {
            configured: issuer.to_owned(),
            reason,
        },
        ProtocolError::Parse(error) => document(error.to_string()),
        ProtocolError::Response(status, _, reason) if status.is_success() => document(format!(
            "what answers there is no OpenID provider, or another path of it: {reason}"
        )),
        ProtocolError::Response(status, _, _) => document(format!("it answers {status}")),
        other => document(other.to_string()),
    }
}
