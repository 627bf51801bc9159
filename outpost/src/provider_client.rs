//! The HTTP client for providers and authentik: `HttpClient`, timed and traced.

use gatepost_oidc::{HttpError as ProviderHttpError, ProviderSettings};
use http::{Request, Response};
use tracing::Instrument as _;

use crate::http_client::{HttpClient, HttpError, HttpOptions};
use crate::telemetry::metrics::time_provider;
use crate::telemetry::traces;

/// A client for one provider. Each request is a span and a value of the provider's histogram.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    http: HttpClient,
    /// The provider's name in metrics and traces.
    provider: String,
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
        let reached = reached.unwrap_or(settings.issuer.url());
        let options = HttpOptions {
            authorities: &settings.authorities,
            tls: reached.scheme() == "https",
            insecure: fixed.is_some_and(|fixed| fixed.insecure),
            asked_as: fixed.and_then(|fixed| fixed.asked_as.as_ref()),
        };
        Self::with_options(&settings.name, &options)
    }

    /// Returns a client that is called `provider` in metrics and traces.
    pub(crate) fn with_options(
        provider: &str,
        options: &HttpOptions<'_>,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            http: HttpClient::new(options)?,
            provider: provider.to_owned(),
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
