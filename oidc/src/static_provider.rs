//! A provider that is described instead of discovered.

use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

/// A provider that is not discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticProvider {
    /// Its metadata (OpenID Connect Discovery 1.0 §3).
    pub document: Value,
    /// The names of its issuer besides that of the settings: the same provider under another address.
    pub other_issuers: Vec<String>,
    /// The address in `Host`, where browsers reach it under another than this process.
    pub asked_as: Option<PublicAddress>,
    /// Whether any certificate of its servers is accepted.
    pub insecure: bool,
}

/// Scheme and host under which browsers reach a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    scheme: HeaderValue,
    host: HeaderValue,
}

impl PublicAddress {
    /// Returns the address of a URL; `None` when it has no host.
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

    /// Returns the headers that name it to the server, which writes its tokens' `iss` by them.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.host.clone());
        headers.insert("x-forwarded-proto", self.scheme.clone());
        headers.insert("x-forwarded-host", self.host.clone());
        headers
    }
}
