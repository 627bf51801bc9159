//! The HTTP client for the collector.

use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt as _, Limited};
use opentelemetry_http::{Bytes, HttpClient, Request, Response};
use tokio::runtime::Handle;

use super::settings::TracesSettings;
use crate::http_client::{HttpError, HttpOptions, client};

/// The longest response that is read, in bytes: it has at most an error message.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The client of the collector. A failure is logged once, until it works again.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    endpoint: String,
    failing: AtomicBool,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Collector {
    pub(super) fn new(settings: &TracesSettings) -> Result<Self, HttpError> {
        let options = HttpOptions {
            authorities: &settings.authorities,
            tls: settings.endpoint.scheme() == "https",
            ..HttpOptions::default()
        };
        // The URL may contain a user name and a password.
        let mut endpoint = settings.endpoint.clone();
        let _ = endpoint.set_username("");
        let _ = endpoint.set_password(None);
        Ok(Self {
            client: client(&options)?,
            runtime: Handle::current(),
            endpoint: endpoint.into(),
            failing: AtomicBool::new(false),
        })
    }

    fn note(&self, outcome: Result<http::StatusCode, &Failure>) {
        let endpoint = self.endpoint.as_str();
        let cause = match outcome {
            Ok(status) if status.is_success() => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(endpoint, "traces are delivered again");
                }
                return;
            }
            Ok(status) => format!("the answer is {status}"),
            Err(error) => error.to_string(),
        };
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                endpoint,
                error = cause,
                "traces cannot be delivered: those of the meantime are lost"
            );
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        // The exporter has a thread of its own, and the client needs the runtime.
        let answer = self.runtime.spawn(ask(self.client.clone(), request)).await;
        let answer = answer.unwrap_or_else(|stopped| Err(stopped.into()));
        self.note(answer.as_ref().map(Response::status));
        answer
    }
}

async fn ask(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
    let request = reqwest::Request::try_from(request).map_err(HttpError::Request)?;
    let answer = client.execute(request).await.map_err(HttpError::Request)?;
    let (parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
