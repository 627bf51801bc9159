//! The listeners, from start to shutdown.

mod connections;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::connections::{Owner, Stopping};
use crate::certificate::{Certificate, CertificateError, ShownCertificate};
use crate::config::{Addresses, Config};
use crate::runtime::{Outpost, SetupError};
use crate::service_manager::{self, Inherited};
use crate::signals::{Asked, Signals};
use crate::sources::authentik::{AskingSignals, Follower};
use crate::sources::files;
use crate::telemetry::metrics::{InstallError, Metrics};
use crate::{admin, web};
use gatepost_base::Clock;

/// How long requests under way may take to finish when the process is asked to stop: longer than
/// the slowest provider may take to answer, so that a sign-in whose code is being exchanged ends
/// well; shorter than what Kubernetes grants (30 s).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

/// How often histograms are drained. Until then they keep every value, 16 bytes each, and a busy outpost
/// records a hundred thousand in a second.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Why the outpost cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// An address cannot be listened on.
    #[error("`{key}`: cannot listen on {address}: {source}{}", unlistened(source))]
    Listen {
        /// The key that names the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The service manager handed over a socket that the configuration does not name.
    #[error(
        "the service manager listens at {address}, which `listen` does not name: both have to say \
         the same address"
    )]
    Unnamed {
        /// Its address.
        address: SocketAddr,
    },
    /// The configuration cannot be put to work.
    #[error(transparent)]
    Deploy(#[from] SetupError),
    /// There is no certificate to listen with.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Metrics cannot be collected.
    #[error(transparent)]
    Metrics(#[from] InstallError),
}

/// The source that keeps a configuration current.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, if any, and the environment: read again when a file changes.
    Files(Option<PathBuf>),
    /// authentik's API.
    Authentik(Box<Follower>),
}

/// Serves until the process is asked to stop, with the configuration of `source`, on the sockets
/// that the service manager has opened, and on those that it has not.
///
/// # Errors
///
/// [`ServeError`], before anything is served.
pub(crate) async fn serve(
    config: Config,
    source: Source,
    mut inherited: Inherited,
) -> Result<(), ServeError> {
    let signals = Signals::register();
    // Before the rest, since counters are looked up when their users are made.
    let metrics = Metrics::install()?;
    let outpost = Outpost::new(&config, Clock::system())?;
    let mut bind = |key, addresses: &Addresses| bind(key, addresses, &mut inherited);
    let public = bind("listen.http", &config.listen.http)?;
    let secure = config.listen.https.as_ref();
    let secure = secure.map(|own| bind("listen.https", own)).transpose()?;
    let operations = bind("listen.metrics", &config.listen.metrics)?;
    if let Some(address) = inherited.left() {
        return Err(ServeError::Unnamed { address });
    }
    let certificate = secure.as_ref().map(|_| certificate(&config)).transpose()?;
    announce(&config, &public, secure.as_deref(), &operations);
    outpost.start();
    match source {
        Source::Files(config_file) => {
            files::watch(
                &outpost,
                &config,
                config_file,
                certificate.clone(),
                signals.reload,
            );
        }
        Source::Authentik(follower) => {
            let signals = AskingSignals {
                reload: signals.reload,
                refresh: signals.refresh,
            };
            follower.start(&outpost, signals);
        }
    }
    tokio::spawn(keep_tidy(metrics.clone()));
    // Before any answer, and before the service manager or a container engine has Traefik begin: a plugin
    // that finds no folder logs an error, which sends its operator looking for a fault.
    outpost.first_state().await;
    let (stopping, stop) = Stopping::new();
    let asked_again = tokio::spawn(stop_when_asked(stopping.clone(), signals.stop));
    let router = web::router(Arc::clone(&outpost));
    let operations_router = admin::router(Arc::clone(&outpost), metrics);
    // Each listener accepts connections on a worker of the runtime. The main thread is not one, and
    // handing each connection over costs as much as a verdict: Traefik keeps only two idle connections
    // to the outpost, so under load most of its subrequests use a new one.
    let mut running = JoinSet::new();
    for (listeners, certificate, router) in [
        (public, None, &router),
        (operations, None, &operations_router),
        (secure.unwrap_or_default(), certificate, &router),
    ] {
        for listener in listeners {
            let (certificate, router) = (certificate.clone(), router.clone());
            running.spawn(connections::accept(
                listener,
                certificate,
                router,
                stop.clone(),
            ));
        }
    }
    drop(stop);
    // Connections wait in the sockets' queues from here on.
    service_manager::ready();
    service_manager::keep_watchdog();
    let all_ended = async {
        running.join_all().await;
        stopping.all_stopped().await;
    };
    let too_late = async {
        stopping.asked().await;
        tokio::select! {
            () = sleep(SHUTDOWN_TIMEOUT) => {}
            _ = asked_again => {}
        }
    };
    tokio::select! {
        () = all_ended => {}
        // What is under way after that ends with the process.
        () = too_late => {}
    }
    outpost.api_keys.write_usage().await;
    Ok(())
}

/// Returns the certificate of the https listener, which is replaced when files change: the configured one,
/// or a self-signed one for the hosts of all applications.
fn certificate(config: &Config) -> Result<ShownCertificate, CertificateError> {
    let certificate = match &config.tls {
        Some(configured) => configured.clone(),
        None => {
            tracing::warn!(
                "`tls` is not set: the https listener made its own certificate, which no client \
                 trusts"
            );
            let applications = config.applications.iter();
            let mut hosts: Vec<String> = applications
                .map(|application| application.external.host().to_owned())
                .chain(["localhost".to_owned()])
                .collect();
            hosts.sort_unstable();
            hosts.dedup();
            Certificate::self_signed(hosts)?
        }
    };
    Ok(ShownCertificate::new(certificate))
}

fn announce(
    config: &Config,
    http: &[(TcpListener, Owner)],
    https: Option<&[(TcpListener, Owner)]>,
    metrics: &[(TcpListener, Owner)],
) {
    tracing::info!(
        http = addresses_of(http),
        https = https.map(addresses_of),
        metrics = addresses_of(metrics),
        applications = config.applications.len(),
        "gatepost {} is listening",
        env!("CARGO_PKG_VERSION"),
    );
    if config.trusted_proxies.is_empty() {
        tracing::warn!(
            "`trustedProxies` is not set: no proxy's forwarded headers are believed, so forward \
             auth refuses everything"
        );
    }
}

async fn keep_tidy(metrics: Metrics) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        metrics.tidy();
    }
}

/// Returns what to do where the system refuses an address.
fn unlistened(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program listens there, perhaps an outpost that runs already"
        }
        std::io::ErrorKind::PermissionDenied => {
            ": ports below 1024 are root's; name a higher one, which the proxy reaches as well"
        }
        std::io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
        _ => "",
    }
}

fn bind(
    key: &'static str,
    addresses: &Addresses,
    inherited: &mut Inherited,
) -> Result<Vec<(TcpListener, Owner)>, ServeError> {
    let bind = |address| {
        let listen = |source| ServeError::Listen {
            key,
            address,
            source,
        };
        let (listener, owner) = match inherited.at(address) {
            Some(listener) => (listener, Owner::ServiceManager),
            None => {
                let listener = std::net::TcpListener::bind(address).map_err(listen)?;
                (listener, Owner::Process)
            }
        };
        listener.set_nonblocking(true).map_err(listen)?;
        let listener = TcpListener::from_std(listener).map_err(listen)?;
        Ok((listener, owner))
    };
    addresses.iter().map(bind).collect()
}

/// Returns the addresses in use, with the port where port 0 asked for any.
fn addresses_of(listeners: &[(TcpListener, Owner)]) -> String {
    let addresses = listeners
        .iter()
        .filter_map(|(own, _)| own.local_addr().ok());
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    addresses.join(", ")
}

/// Asks everything to stop when the process is asked to. Returns when it is asked again: whoever does
/// that wants no further request to be waited for.
async fn stop_when_asked(stopping: Stopping, mut stop: Asked) {
    asked(&mut stop).await;
    service_manager::stopping();
    stopping.ask();
    // Who reads this knows that all are asked.
    tracing::info!("stopping: requests under way are finished");
    asked(&mut stop).await;
    tracing::info!("stopping at once: requests under way end with the process");
}

async fn asked(stop: &mut Asked) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = stop.next() => {}
    }
}
