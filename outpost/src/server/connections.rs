//! Connections, from being accepted to their end.
//!
//! `hyper` speaks HTTP on each of them. What it leaves to its callers is here: how long a client may take,
//! TLS, and what becomes of the connections when the process is asked to stop. A connection that was accepted
//! gets an answer to its first request even then: a client cannot know that its request came too late, and a
//! proxy would tell its user that Gatepost failed. For the same reason one that is kept alive is kept for a
//! moment longer: a proxy that has just sent a `POST` on it must not send it again (RFC 9112 §9.3.1).

mod unread;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use gatepost_base::contained::contained;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::unread::Lent;
use crate::certificate::ShownCertificate;

/// How long a client may take for the TLS handshake, and to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that has connected may take for its first request once the process is asked to stop:
/// half of what Docker grants a container until it kills it.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connections are still accepted once the process is asked to stop: those that wait in a socket's
/// queue, which has no end where clients connect faster than that or descriptors are used up, and new ones
/// where no other process has the socket.
const LAST_ACCEPT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection of HTTP/1 that has had an answer is kept for one more request once the process is
/// asked to stop. A request that is under way arrives meanwhile, and its answer tells the proxy to leave the
/// connection (`Connection: close`); a pool that is busy has used each connection by then. HTTP/2 needs no
/// such time: `GOAWAY` says which requests may be sent again (RFC 9113 §6.8).
const KEPT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long no connection is accepted after a failure that concerns every one, like too many open files.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How often the log says so.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Asks all listeners and connections to stop.
#[derive(Clone, Debug)]
pub(super) struct Stopping(watch::Sender<bool>);

/// By which each listener and each connection is asked.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stopping {
    /// Returns the two ends.
    pub(super) fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Asks.
    pub(super) fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Waits until all are asked.
    pub(super) async fn asked(&self) {
        Stop(self.0.subscribe()).asked().await;
    }

    /// Waits until all have stopped.
    pub(super) async fn all_stopped(&self) {
        self.0.closed().await;
    }
}

impl Stop {
    fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    async fn asked(&mut self) {
        // Where the other end is gone, so is the server.
        let _ = self.0.wait_for(|asked| *asked).await;
    }

    /// Waits until no further connection need be accepted.
    async fn drained(&mut self) {
        self.asked().await;
        sleep(LAST_ACCEPT_TIMEOUT).await;
    }

    /// Waits until a connection that has had an answer need not be kept for another request.
    async fn left(&mut self, http2: bool) {
        self.asked().await;
        if !http2 {
            sleep(KEPT_TIMEOUT).await;
        }
    }

    /// Waits until a client that has sent no request need not be waited for any longer.
    async fn waited(&mut self) {
        self.asked().await;
        sleep(LAST_REQUEST_TIMEOUT).await;
    }
}

/// What the connections of a listener share.
struct Shared {
    http: Builder<Contained>,
    certificate: Option<ShownCertificate>,
    application: TowerToHyperService<Router>,
    stop: Stop,
}

/// Whose a listener's socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This process's: it goes with it, and new connections are refused from then on.
    Process,
    /// The service manager's, where connections wait for the next process.
    ServiceManager,
}

/// Serves the connections of a listener, with TLS where there is a certificate, until it is asked to stop.
/// The connections go on to their end.
pub(super) async fn accept(
    (listener, owner): (TcpListener, Owner),
    certificate: Option<ShownCertificate>,
    router: Router,
    mut stop: Stop,
) {
    let shared = Arc::new(Shared {
        http: http(),
        certificate,
        application: TowerToHyperService::new(router),
        stop: stop.clone(),
    });
    let mut said: Option<Instant> = None;
    let mut drained = stop.clone();
    let mut drained = pin!(drained.drained());
    let mut enough = pin!(async {
        match owner {
            Owner::Process => stop.drained().await,
            Owner::ServiceManager => stop.asked().await,
        }
    });
    loop {
        // Connections that wait in the socket's queue come first: they are reset with the socket.
        let accepted = tokio::select! {
            biased;
            () = &mut drained => return,
            accepted = listener.accept() => accepted,
            () = &mut enough => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // What a client sends to TLS and HTTP costs its own connection at most.
                tokio::spawn(contained(serve(Arc::clone(&shared), stream, peer)));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN_AFTER) {
                    said = Some(Instant::now());
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::select! {
                    () = sleep(ACCEPT_AGAIN_AFTER) => {}
                    () = &mut enough => return,
                }
            }
        }
    }
}

/// Returns whether this failure says nothing of the next connection (`accept(2)`).
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Runs the streams of HTTP/2, each of which is a task. A panic in one costs that stream.
#[derive(Clone, Copy, Debug)]
struct Contained;

impl<F> Executor<F> for Contained
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        tokio::spawn(contained(work));
    }
}

/// Returns how HTTP is spoken. It limits the time and memory of a client: a slow one occupies a connection,
/// not the service.
fn http() -> Builder<Contained> {
    let mut builder = Builder::new(Contained);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(128 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(128 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Serves one connection.
async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let mut stop = shared.stop.clone();
    let mut waited = pin!(stop.waited());
    let Some(certificate) = &shared.certificate else {
        return answer(&shared, stream, peer, waited).await;
    };
    let handshake = TlsAcceptor::from(certificate.server_config()).accept(stream);
    let outcome = tokio::select! {
        biased;
        outcome = timeout(HEADER_TIMEOUT, handshake) => outcome,
        () = &mut waited => return,
    };
    if let Ok(Ok(stream)) = outcome {
        answer(&shared, stream, peer, waited).await;
    }
}

/// Answers the requests of one connection. `waited` ends when its first request need not be waited for.
async fn answer<I>(
    shared: &Arc<Shared>,
    stream: I,
    peer: SocketAddr,
    mut waited: Pin<&mut impl Future<Output = ()>>,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = Arc::new(Notify::new());
    let http2 = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let (shared, asked) = (Arc::clone(shared), Arc::clone(&asked));
        let http2 = Arc::clone(&http2);
        move |mut request: Request<Incoming>| {
            let has_header = request.version() <= Version::HTTP_11;
            http2.store(!has_header, Ordering::Relaxed);
            asked.notify_one();
            request.extensions_mut().insert(ConnectInfo(peer));
            // A client that asks whether to send its body sends it once somebody reads.
            let waits = request.headers().contains_key(EXPECT);
            let (parts, body) = request.into_parts();
            let (body, left) = Lent::new(body, has_header);
            let response = shared.application.call(Request::from_parts(parts, body));
            let shared = Arc::clone(&shared);
            async move {
                let mut response = response.await?;
                let ended = match left {
                    Some(_) if waits => false,
                    Some(left) => left.read().await,
                    None => true,
                };
                // HTTP/2 has a frame for this.
                if has_header && (!ended || shared.stop.is_asked()) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        }
    });
    let connection = shared.http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What ends a connection early is its client's affair: no outcome of one is looked at.
    tokio::select! {
        biased;
        _ = &mut connection => return,
        () = asked.notified() => {}
        // hyper's own timeout begins once it knows which HTTP a client speaks.
        () = sleep(HEADER_TIMEOUT) => return,
        // hyper would wait for the rest of a request that has begun. A whole one has notified.
        () = &mut waited => return,
    }
    let mut stop = shared.stop.clone();
    tokio::select! {
        biased;
        _ = &mut connection => return,
        // One without a request under way ends with this.
        () = stop.left(http2.load(Ordering::Relaxed)) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
