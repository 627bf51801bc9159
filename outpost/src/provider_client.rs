//! The HTTP client for providers and authentik: `HttpClient`, timed and traced.

use std::path::{Path, PathBuf};

use gatepost_oidc::{HttpError as ProviderHttpError, ProviderSettings, PublicAddress};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tracing::Instrument as _;
use url::{Origin, Url};
use zeroize::Zeroizing;

use crate::http_client::{HttpClient, HttpError, HttpOptions};
use crate::telemetry::metrics::time_provider;
use crate::telemetry::traces;

/// A client for one provider. Each request is a span and a value of the provider's histogram.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    http: HttpClient,
    /// The provider's name in metrics and traces.
    provider: String,
    /// Where to reach the issuer's host.
    internal: Option<InternalAddress>,
    /// Whom to show which token.
    token: Option<TokenFile>,
}

/// A file with a token, and the server that receives it: no other may.
#[derive(Clone, Debug)]
struct TokenFile {
    path: PathBuf,
    server: Origin,
}

impl TokenFile {
    /// Puts the token into a request for its server.
    async fn show(&self, request: &mut Request<Vec<u8>>) -> std::io::Result<()> {
        let url = Url::parse(&request.uri().to_string());
        if !url.is_ok_and(|url| url.origin() == self.server) {
            return Ok(());
        }
        // For each request: such tokens are replaced every hour.
        let token = Zeroizing::new(tokio::fs::read_to_string(&self.path).await?);
        let bearer = Zeroizing::new(format!("Bearer {}", token.trim()));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(std::io::Error::other)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Ok(())
    }
}

/// Scheme, host and port at which those of an issuer are reached.
#[derive(Clone, Debug)]
struct InternalAddress {
    issuer: Url,
    address: PublicAddress,
    internal: Url,
}

impl InternalAddress {
    fn of(settings: &ProviderSettings) -> Option<Self> {
        let issuer = settings.issuer.url().clone();
        Some(Self {
            address: PublicAddress::of(&issuer)?,
            issuer,
            internal: settings.internal_url.clone()?,
        })
    }

    /// Sends a request for the issuer's host to the internal address, where it still names that host:
    /// many providers write by it who they are.
    fn redirect(&self, request: &mut Request<Vec<u8>>) {
        let url = Url::parse(&request.uri().to_string());
        let Some(url) = url.ok().filter(|url| url.origin() == self.issuer.origin()) else {
            return;
        };
        let mut internal = self.internal.clone();
        internal.set_path(url.path());
        internal.set_query(url.query());
        if let Ok(uri) = internal.as_str().parse() {
            *request.uri_mut() = uri;
            request.headers_mut().extend(self.address.headers());
        }
    }
}

impl ProviderClient {
    /// Returns a client for the provider of these settings.
    ///
    /// # Errors
    ///
    /// [`HttpError`] when there are no certificates to trust, or those of the settings cannot be
    /// used.
    pub fn new(settings: &ProviderSettings) -> Result<Self, HttpError> {
        let fixed = settings.static_provider.as_ref();
        let reached = settings.discovery_url.as_ref();
        let reached = reached.or(settings.internal_url.as_ref());
        let reached = reached.unwrap_or(settings.issuer.url());
        let internal = InternalAddress::of(settings);
        let options = HttpOptions {
            authorities: &settings.authorities,
            tls: reached.scheme() == "https",
            insecure: fixed.is_some_and(|fixed| fixed.insecure),
            asked_as: fixed.and_then(|fixed| fixed.asked_as.as_ref()),
            names_hosts: internal.is_some(),
        };
        Ok(Self {
            internal,
            ..Self::with_options(&settings.name, &options)?
        })
    }

    /// Returns a client for an issuer that is asked for its keys alone. `url` is what is asked first,
    /// and its server alone receives the token of `token_file`.
    ///
    /// # Errors
    ///
    /// As [`ProviderClient::new`].
    pub fn for_keys(
        issuer: &str,
        url: Option<&Url>,
        authorities: &[u8],
        token_file: Option<&Path>,
    ) -> Result<Self, HttpError> {
        let options = HttpOptions {
            authorities,
            tls: url.is_some_and(|url| url.scheme() == "https"),
            ..HttpOptions::default()
        };
        let token = token_file.zip(url).map(|(path, url)| TokenFile {
            path: path.to_owned(),
            server: url.origin(),
        });
        Ok(Self {
            token,
            ..Self::with_options(issuer, &options)?
        })
    }

    /// Returns a client that is called `provider` in metrics and traces.
    pub(crate) fn with_options(
        provider: &str,
        options: &HttpOptions<'_>,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            http: HttpClient::new(options)?,
            provider: provider.to_owned(),
            internal: None,
            token: None,
        })
    }

    /// Sends a request and returns its response.
    ///
    /// # Errors
    ///
    /// [`HttpError`] where no complete response arrives.
    pub(crate) async fn send(
        &self,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        if let Some(internal) = &self.internal {
            internal.redirect(&mut request);
        }
        if let Some(token) = &self.token {
            let shown = token.show(&mut request).await;
            shown.map_err(|source| HttpError::TokenFile {
                path: token.path.clone(),
                source,
            })?;
        }
        let span = traces::provider_request(&self.provider, &mut request);
        let response = time_provider(&self.provider, self.http.send(request));
        let response = response.instrument(span.clone()).await;
        traces::provider_answered(&span, response.as_ref().map(Response::status));
        response
    }
}

#[async_trait::async_trait]
impl gatepost_oidc::HttpClient for ProviderClient {
    async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, ProviderHttpError> {
        let response = Self::send(self, request).await;
        response.map_err(ProviderHttpError::new)
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use openidconnect::{ClientId, IssuerUrl};

    use super::*;

    fn get(url: &str) -> Request<Vec<u8>> {
        Request::get(url).body(Vec::new()).expect("a request")
    }

    #[test]
    fn the_issuers_host_alone_is_asked_elsewhere_and_still_named() {
        let issuer = IssuerUrl::new("https://id.example.com/realms/work".into()).expect("a URL");
        let mut settings = ProviderSettings::new("main", issuer, ClientId::new("c".into()));
        assert!(InternalAddress::of(&settings).is_none());
        settings.internal_url = Some(Url::parse("http://keycloak:8080").expect("a URL"));
        let internal = InternalAddress::of(&settings).expect("an address");
        for (asked, expected) in [
            (
                "https://id.example.com/realms/work/token?a=%2F&b",
                "http://keycloak:8080/realms/work/token?a=%2F&b",
            ),
            ("https://id.example.com:443/x", "http://keycloak:8080/x"),
            ("http://id.example.com/x", "http://id.example.com/x"),
            (
                "https://id.example.com:8443/x",
                "https://id.example.com:8443/x",
            ),
            ("https://graph.example.com/x", "https://graph.example.com/x"),
        ] {
            let mut request = get(asked);
            internal.redirect(&mut request);
            assert_eq!(request.uri(), expected, "{asked}");
            let named = request.headers().get(HOST).map(HeaderValue::as_bytes);
            let is_internal = expected.contains("keycloak");
            assert_eq!(
                named,
                is_internal.then_some(&b"id.example.com"[..]),
                "{asked}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_is_shown_to_its_own_server_alone_and_read_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let server = Url::parse("https://kubernetes.default.svc/openid/v1/jwks").expect("a URL");
        let file = TokenFile {
            path: path.clone(),
            server: server.origin(),
        };
        assert!(file.show(&mut get(server.as_str())).await.is_err());
        for token in ["first", "second"] {
            std::fs::write(&path, format!("{token}\n")).expect("written");
            let mut request = get("https://kubernetes.default.svc/.well-known/x");
            file.show(&mut request).await.expect("shown");
            let shown = request.headers().get(AUTHORIZATION).expect("a token");
            assert_eq!(shown.as_bytes(), format!("Bearer {token}").as_bytes());
            assert!(shown.is_sensitive());
        }
        for other in [
            "https://kubernetes.default.svc:6443/openid/v1/jwks",
            "http://kubernetes.default.svc/openid/v1/jwks",
            "https://10.0.0.1/openid/v1/jwks",
        ] {
            let mut request = get(other);
            file.show(&mut request).await.expect("asked without");
            assert!(request.headers().get(AUTHORIZATION).is_none(), "{other}");
        }
    }
}
