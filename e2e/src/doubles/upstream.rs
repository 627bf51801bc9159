//! An app to protect: it shows each request, and records it.
//!
//! Under any path it answers with the request as JSON, or as a page to a browser. A few paths do
//! what apps do and proxies get wrong:
//!
//! | path | does |
//! | --- | --- |
//! | `/upstream/socket` | WebSocket: sends every message back |
//! | `/upstream/events?count=N` | server-sent events, N of them |
//! | `/upstream/chunks?count=N&pause_ms=M` | a chunked body in N pieces with pauses between |
//! | `/upstream/abort` | a chunked body that breaks off in the middle |
//! | `/upstream/upload` | counts the bytes of the body |
//! | `/upstream/status/CODE` | an empty answer with that status |
//! | `/upstream/linked` | a page with a `Link` of its own |
//! | `/upstream/unconnected/PAGE` | a page whose policy lets it connect to nothing |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll, ready};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::serve::Listener;
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A request as the app saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Header values by lower-case name, in the order in which they came. Bytes that are not
    /// UTF-8 are replaced.
    pub headers: BTreeMap<String, Vec<String>>,
}

impl Seen {
    fn new(request: &Request) -> Self {
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        Self {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers,
        }
    }

    /// Returns the value of a header that came exactly once, whatever the case of `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.headers.get(&name.to_ascii_lowercase())?.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    fn json(&self) -> Value {
        json!({ "method": self.method, "uri": self.uri, "headers": self.headers })
    }
}

/// Everything that the app was asked. Shared, since tests look at all of it after each request.
#[derive(Clone, Debug, Default)]
struct Record(Arc<Mutex<Vec<Arc<Seen>>>>);

impl Record {
    fn push(&self, seen: Seen) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(seen));
    }

    fn all(&self) -> Vec<Arc<Seen>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The bytes that came on each connection.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Vec<Vec<u8>>>>);

impl Wire {
    /// How much of a connection is kept. Uploads of tests are larger.
    const KEPT: usize = 1 << 20;

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, number: usize, bytes: &[u8]) {
        if let Some(connection) = self.connections().get_mut(number) {
            let room = Self::KEPT.saturating_sub(connection.len());
            connection.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }
}

/// Accepts connections whose bytes are kept.
struct Recorded {
    listener: TcpListener,
    wire: Wire,
}

impl Listener for Recorded {
    type Io = RecordedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (RecordedStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let wire = self.wire.clone();
        let number = {
            let mut connections = wire.connections();
            connections.push(Vec::new());
            connections.len() - 1
        };
        let recorded = RecordedStream {
            stream,
            wire,
            number,
        };
        (recorded, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct RecordedStream {
    stream: TcpStream,
    wire: Wire,
    number: usize,
}

impl AsyncRead for RecordedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(task, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        self.wire.push(self.number, came);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// The app, running on a thread of this process until it is dropped.
#[derive(Debug)]
pub struct Upstream {
    record: Record,
    wire: Wire,
    shutdown: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts the app on a port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn start(port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .with_context(|| format!("listen on {address}"))?;
        let record = Record::default();
        let wire = Wire::default();
        let app = recording_router(record.clone());
        let listener = Recorded {
            listener,
            wire: wire.clone(),
        };
        let (shutdown, stopped) = oneshot::channel::<Infallible>();
        let thread = thread::Builder::new()
            .name(format!("upstream {port}"))
            .spawn(move || {
                runtime.block_on(async {
                    // Open streams are cut, not waited for: the sender is dropped at the end of
                    // a test, which may have left some behind.
                    tokio::select! {
                        _ = axum::serve(listener, app).into_future() => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            record,
            wire,
            shutdown: Some(shutdown),
            thread: Some(thread),
        })
    }

    /// Returns the requests to the app so far, first to last.
    pub fn requests(&self) -> Vec<Arc<Seen>> {
        self.record.all()
    }

    /// Returns the bytes that came on each connection so far, the first MiB of each.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.wire.connections().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the app's thread has been printed; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

/// Returns the app's routes.
pub fn router() -> Router {
    Router::new()
        .route("/upstream/socket", any(socket))
        .route("/upstream/events", get(events))
        .route("/upstream/chunks", get(chunks))
        .route("/upstream/abort", get(abort))
        .route("/upstream/upload", any(upload))
        .route("/upstream/status/{code}", any(status))
        .route("/upstream/linked", get(linked))
        .route("/upstream/unconnected/{page}", get(unconnected))
        .fallback(echo)
}

fn recording_router(record: Record) -> Router {
    router().layer(middleware::from_fn_with_state(
        record,
        |State(record): State<Record>, request: Request, next: Next| async move {
            record.push(Seen::new(&request));
            next.run(request).await
        },
    ))
}

async fn echo(headers: HeaderMap, request: Request) -> Response {
    let seen = serde_json::to_string_pretty(&Seen::new(&request).json()).unwrap_or_default();
    let accept = headers.get(header::ACCEPT).map(|value| value.as_bytes());
    let wants_page = accept.is_some_and(|accept| {
        String::from_utf8_lossy(accept)
            .split(',')
            .any(|range| range.trim().starts_with("text/html"))
    });
    if wants_page {
        Html(page(&seen)).into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], seen).into_response()
    }
}

/// Answers with a page that has a `Link` of its own.
async fn linked(headers: HeaderMap, request: Request) -> Response {
    let own = [(header::LINK, "</style.css>; rel=preload; as=style")];
    (own, echo(headers, request).await).into_response()
}

/// Answers with a page that may open no connection.
async fn unconnected(headers: HeaderMap, request: Request) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, "connect-src 'none'")];
    (policy, echo(headers, request).await).into_response()
}

fn page(seen: &str) -> String {
    let seen = seen
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Demo app</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 60rem; padding: 0 1rem; }}
  pre {{ background: #8881; overflow-x: auto; padding: 1rem; }}
</style>
<h1>The app was asked</h1>
<pre id="seen">{seen}</pre>
<p><a href="/akprox/session">Your session</a> · <a href="/akprox/sign_out">Sign out</a></p>
</html>
"#
    )
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Returns the number given for a query parameter, else a default.
fn number(query: &BTreeMap<String, String>, name: &str, default: u64) -> u64 {
    query
        .get(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Numbers from 0 on, with a pause before each but the first.
fn ticks(count: u64, pause: Duration) -> impl Stream<Item = u64> {
    stream::iter(0..count).then(move |tick| async move {
        if tick > 0 {
            tokio::time::sleep(pause).await;
        }
        tick
    })
}

async fn events(
    Query(query): Query<BTreeMap<String, String>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let pause = Duration::from_millis(number(&query, "pause_ms", 100));
    let ticks = ticks(number(&query, "count", 3), pause);
    Sse::new(ticks.map(|tick| Ok(Event::default().data(tick.to_string()))))
}

async fn chunks(Query(query): Query<BTreeMap<String, String>>) -> Body {
    let pause = Duration::from_millis(number(&query, "pause_ms", 100));
    let ticks = ticks(number(&query, "count", 3), pause);
    Body::from_stream(ticks.map(|tick| Ok::<_, Infallible>(format!("chunk {tick}\n"))))
}

async fn abort() -> Body {
    Body::from_stream(ticks(2, Duration::from_millis(100)).map(|tick| match tick {
        0 => Ok(Bytes::from_static(b"the first half\n")),
        _ => Err(io::Error::other("breaks off here, as asked")),
    }))
}

async fn upload(body: Body) -> Result<String, StatusCode> {
    let mut count = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        count += chunk.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(format!("{count}\n"))
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_FOUND)
}
