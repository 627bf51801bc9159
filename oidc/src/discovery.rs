//! Discovering a provider (OpenID Connect Discovery 1.0).

use gatepost_base::contained::Panicked;
use http::header::ACCEPT;
use openidconnect::HttpRequest;
use url::Url;

use crate::http_client::{Http, HttpError};
use crate::issuer_settings::{KeySource, TokenIssuerSettings};
use crate::json::{self, DocumentError};
use crate::key_set::KeySet;
use crate::metadata::Metadata;
use crate::settings::{ProviderSettings, TENANT, well_known};

/// Why a provider cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// It does not answer.
    #[error("cannot reach it: {0}")]
    Unreachable(#[source] HttpError),
    /// Its response is not the requested document.
    #[error("its {document} at {url} cannot be used: {reason}")]
    Document {
        /// The requested document.
        document: &'static str,
        /// Its address.
        url: String,
        /// The problem with it.
        reason: String,
    },
    /// The metadata of a static provider is invalid.
    #[error("the metadata that it is described by cannot be used: {reason}")]
    Static {
        /// The problem with it.
        reason: String,
    },
    /// The document names another issuer than the settings.
    #[error("issuer mismatch: `{configured}` is configured, the discovery document says `{found}`")]
    Issuer {
        /// The issuer of the settings.
        configured: String,
        /// The issuer of the document.
        found: String,
    },
    /// The settings name tenants, and the issuer of the document has no place for one.
    #[error(
        "`tenants` is configured, but the issuer in the discovery document, `{found}`, has no \
         `{{tenantid}}`: leave `tenants` out, or set `issuer` to that of several tenants, such as \
         Entra ID's `https://login.microsoftonline.com/organizations/v2.0`"
    )]
    Tenants {
        /// The issuer of the document.
        found: String,
    },
    /// An https issuer names an endpoint without TLS.
    #[error("its {endpoint} is not https although its issuer is: {url}")]
    InsecureEndpoint {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Its URL.
        url: String,
    },
    /// An endpoint's URL is not of the web.
    #[error("its {endpoint} is neither http nor https: {url}")]
    Scheme {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Its URL.
        url: String,
    },
    /// Its response caused a panic in a library.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// It signs ID tokens with no algorithm that is accepted.
    #[error(
        "it signs ID tokens with none of RS, PS, ES or EdDSA: give its client a signing key (a MAC \
         with the client secret, HS256, is not accepted)"
    )]
    Algorithms,
}

const DISCOVERY_DOCUMENT: &str = "discovery document";
const KEY_SET: &str = "key set";

/// Fetches the provider's metadata and keys, and checks that they can be used.
///
/// # Errors
///
/// [`DiscoveryError`].
pub(crate) async fn discover(
    settings: &ProviderSettings,
    http: &Http,
) -> Result<(Metadata, KeySet), DiscoveryError> {
    if let Some(fixed) = &settings.static_provider {
        return fixed.metadata(http).await;
    }
    let url = document_url(settings);
    let document = fetch(DISCOVERY_DOCUMENT, &url, http).await?;
    let members = json::parse(&document);
    let metadata = members.and_then(|members| Metadata::read(&members));
    let metadata = metadata.map_err(|error| invalid(DISCOVERY_DOCUMENT, &url, &error))?;
    check(settings, &metadata)?;
    let keys = fetch_keys(&metadata, http).await?;
    Ok((metadata, keys))
}

/// Returns where the discovery document is (§4).
fn document_url(settings: &ProviderSettings) -> String {
    if let Some(url) = &settings.discovery_url {
        return url.to_string();
    }
    well_known(settings.issuer.as_str())
}

/// Fetches the keys alone.
///
/// # Errors
///
/// [`DiscoveryError`].
pub(crate) async fn fetch_keys(metadata: &Metadata, http: &Http) -> Result<KeySet, DiscoveryError> {
    fetch_keys_at(&metadata.jwks_uri, http).await
}

/// Fetches the keys of an issuer that needs to have no other endpoints.
///
/// # Errors
///
/// [`DiscoveryError`].
pub(crate) async fn issuer_keys(
    settings: &TokenIssuerSettings,
    http: &Http,
) -> Result<KeySet, DiscoveryError> {
    let document_url = match &settings.keys {
        KeySource::Given(document) => {
            let url = "the configuration";
            return KeySet::parse(document).map_err(|error| invalid(KEY_SET, url, &error));
        }
        KeySource::Url(url) => return fetch_keys_at(url, http).await,
        KeySource::Discovery(url) => url,
    };
    let document = fetch(DISCOVERY_DOCUMENT, document_url.as_str(), http).await?;
    let unusable = |error| invalid(DISCOVERY_DOCUMENT, document_url.as_str(), &error);
    let members = json::parse(&document).map_err(unusable)?;
    let found = json::needed_text(&members, "issuer").map_err(unusable)?;
    if found != settings.issuer {
        return Err(DiscoveryError::Issuer {
            configured: settings.issuer.clone(),
            found: found.to_owned(),
        });
    }
    let url = json::needed_url(&members, "jwks_uri").map_err(unusable)?;
    check_scheme("key set", &url, document_url.scheme() == "https")?;
    fetch_keys_at(&url, http).await
}

async fn fetch_keys_at(url: &Url, http: &Http) -> Result<KeySet, DiscoveryError> {
    let url = url.as_str();
    let document = fetch(KEY_SET, url, http).await?;
    KeySet::parse(&document).map_err(|error| invalid(KEY_SET, url, &error))
}

async fn fetch(document: &'static str, url: &str, http: &Http) -> Result<Vec<u8>, DiscoveryError> {
    let failed = |reason: String| DiscoveryError::Document {
        document,
        url: url.to_owned(),
        reason,
    };
    let request = http::Request::get(url)
        .header(ACCEPT, accepted_types(document))
        .body(Vec::new());
    let request: HttpRequest = request.map_err(|error| failed(error.to_string()))?;
    let response = http.0.send(request).await;
    let response = response.map_err(DiscoveryError::Unreachable)?;
    if !response.status().is_success() {
        return Err(failed(format!("the response is {}", response.status())));
    }
    Ok(response.into_body())
}

/// Returns the media types to ask for. A key set has a type of its own (RFC 7517 §8.5.2), which the API
/// server of Kubernetes insists on.
fn accepted_types(document: &str) -> &'static str {
    if document == KEY_SET {
        "application/jwk-set+json, application/json"
    } else {
        "application/json"
    }
}

fn invalid(document: &'static str, url: &str, error: &DocumentError) -> DiscoveryError {
    let reason = match error {
        DocumentError::NotAnObject { .. } => {
            format!("{error}: is there another server, or another path of the provider?")
        }
        _ => error.to_string(),
    };
    DiscoveryError::Document {
        document,
        url: url.to_owned(),
        reason,
    }
}

fn check(settings: &ProviderSettings, metadata: &Metadata) -> Result<(), DiscoveryError> {
    let configured = settings.issuer.as_str();
    if !settings.tenants.is_empty() && !metadata.issuer.contains(TENANT) {
        return Err(DiscoveryError::Tenants {
            found: metadata.issuer.clone(),
        });
    }
    let is_template = !settings.tenants.is_empty();
    if metadata.issuer != configured && !(is_template && is_same_host(settings, metadata)) {
        return Err(DiscoveryError::Issuer {
            configured: configured.to_owned(),
            found: metadata.issuer.clone(),
        });
    }
    let tls = settings.issuer.url().scheme() == "https";
    for (endpoint, url) in metadata.endpoints() {
        check_scheme(endpoint, url, tls && !is_internal(settings, endpoint, url))?;
    }
    if metadata.algorithms.as_ref().is_some_and(|named| {
        let accepted = crate::algorithm::signatures();
        !named.iter().any(|own| accepted.contains(own))
    }) {
        return Err(DiscoveryError::Algorithms);
    }
    Ok(())
}

/// Returns whether the issuer of several tenants is at the host of the settings' issuer.
fn is_same_host(settings: &ProviderSettings, metadata: &Metadata) -> bool {
    let issuer = Url::parse(&metadata.issuer.replace(TENANT, "tenant"));
    issuer.is_ok_and(|issuer| issuer.origin() == settings.issuer.url().origin())
}

/// Returns whether an endpoint is at the internal address of the settings, which the operator has
/// chosen. Browsers are not sent there.
fn is_internal(settings: &ProviderSettings, endpoint: &str, url: &Url) -> bool {
    let internal = settings.discovery_url.as_ref();
    let is_for_browsers = matches!(endpoint, "authorization endpoint" | "end session endpoint");
    internal.is_some_and(|internal| internal.origin() == url.origin()) && !is_for_browsers
}

/// Checks that browsers can be sent to an endpoint, or requests, and not in the clear where the
/// issuer has TLS.
fn check_scheme(endpoint: &'static str, url: &Url, tls: bool) -> Result<(), DiscoveryError> {
    let shown = url.to_string();
    match url.scheme() {
        "https" => Ok(()),
        "http" if !tls => Ok(()),
        "http" => Err(DiscoveryError::InsecureEndpoint {
            endpoint,
            url: shown,
        }),
        _ => Err(DiscoveryError::Scheme {
            endpoint,
            url: shown,
        }),
    }
}
