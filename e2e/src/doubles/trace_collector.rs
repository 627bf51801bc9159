//! A collector of traces: what OpenTelemetry's exporters deliver by OTLP over HTTP.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

use super::server::Server;

/// A span, as far as tests look at it. Ids are in hex.
#[derive(Clone, Debug)]
pub struct Span {
    /// The program that it is of.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The trace that it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it is below; empty for the first of a trace.
    pub parent: String,
}

/// A collector on loopback, until it is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Spans,
    _server: Server,
}

type Spans = Arc<Mutex<Vec<Span>>>;

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Spans::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&spans));
        let listen = move || tokio::net::TcpListener::from_std(listener);
        Ok(Self {
            url,
            spans,
            _server: Server::start("collector", listen, router)?,
        })
    }

    /// Returns its address, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the spans that it has received so far.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let packed = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|how| how == "gzip");
    let mut plain = Vec::new();
    let read = match packed {
        true => GzDecoder::new(&*body).read_to_end(&mut plain),
        false => (&*body).read_to_end(&mut plain),
    };
    let Ok(request) = read.and_then(|_| Ok(ExportTraceServiceRequest::decode(&*plain)?)) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut kept = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for delivered in request.resource_spans {
        let attributes = delivered.resource.iter().flat_map(|all| &all.attributes);
        let name = attributes
            .filter(|pair| pair.key == "service.name")
            .find_map(|pair| match pair.value.as_ref()?.value.as_ref()? {
                Value::StringValue(name) => Some(name.clone()),
                _ => None,
            });
        let service = name.unwrap_or_default();
        let scopes = delivered.scope_spans.into_iter();
        kept.extend(scopes.flat_map(|scope| scope.spans).map(|span| Span {
            service: service.clone(),
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
        }));
    }
    StatusCode::OK
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
