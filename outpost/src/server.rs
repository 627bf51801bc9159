//! The listeners and their life.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum_server::Handle;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use hyper_util::rt::TokioTimer;
use serde_json::json;

use crate::config::Config;
use crate::outpost::{Clock, DeployError, Outpost};
use crate::reload;
use crate::web;

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests under way may take to finish when the process is asked to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the outpost cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A listener failed while serving.
    #[error("a listener failed: {0}")]
    Listener(#[source] std::io::Error),
    /// The configuration cannot be put to work.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// Serves until the process is asked to stop. `config_file` is read again when it changes.
///
/// # Errors
///
/// [`ServeError`], before anything is served.
pub async fn serve(config: Config, config_file: Option<PathBuf>) -> Result<(), ServeError> {
    let outpost = Outpost::new(&config, Clock::system())?;
    let public = bind(config.listen.http)?;
    let metrics = bind(config.listen.metrics)?;
    tracing::info!(
        http = %address_of(&public, config.listen.http),
        metrics = %address_of(&metrics, config.listen.metrics),
        applications = config.applications.len(),
        "gatepost {} is listening",
        env!("CARGO_PKG_VERSION"),
    );
    if config.trusted_proxies.is_empty() {
        tracing::warn!(
            "`trustedProxies` is not set: forwarded headers are believed from nobody, so forward \
             auth refuses everything"
        );
    }
    outpost.start();
    reload::watch(&outpost, &config, config_file);
    let handle = Handle::new();
    tokio::spawn(stop_when_asked(handle.clone()));
    let (served, watched) = tokio::join!(
        run(public, web::router(Arc::clone(&outpost)), handle.clone()),
        run(metrics, health_router(outpost), handle),
    );
    served.and(watched).map_err(ServeError::Listener)
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    let listen = |source| ServeError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    Ok(listener)
}

/// The address in use, which says the port where port 0 asked for any.
fn address_of(listener: &std::net::TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

async fn run(
    listener: std::net::TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    // Slow clients hold a connection, not the service.
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(128 * 1024);
    server
        .http_builder()
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(128 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    server
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

async fn stop_when_asked(handle: Handle<SocketAddr>) {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                tokio::select! {
                    _ = interrupted => {}
                    _ = terminated.recv() => {}
                }
            }
            Err(_) => drop(interrupted.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
    tracing::info!("stopping: requests under way are finished");
    handle.graceful_shutdown(Some(SHUTDOWN_TIMEOUT));
}

/// The service of the metrics listener.
fn health_router(outpost: Arc<Outpost>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/traefik", get(traefik_configuration))
        .with_state(outpost)
}

/// Whether sign-ins work now, apart from whether the process lives: without a provider, those who
/// are signed in go on.
async fn readiness(State(outpost): State<Arc<Outpost>>) -> (StatusCode, String) {
    let deployment = outpost.deployment();
    let providers: serde_json::Map<String, serde_json::Value> = deployment
        .providers
        .iter()
        .map(|provider| {
            let state = if provider.is_available() {
                json!({"available": true})
            } else {
                json!({"available": false, "error": provider.last_error()})
            };
            (provider.settings().name.clone(), state)
        })
        .collect();
    let ready = deployment
        .providers
        .iter()
        .all(|provider| provider.is_available());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        format!("{}\n", json!({"ready": ready, "providers": providers})),
    )
}

/// What Traefik's HTTP provider polls. On this listener, since it shows every application.
async fn traefik_configuration(
    State(outpost): State<Arc<Outpost>>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    match &outpost.deployment().traefik {
        Some(text) => Ok(([(CONTENT_TYPE, "application/json")], text.clone())),
        None => Err(StatusCode::NOT_FOUND),
    }
}
