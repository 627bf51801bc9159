//! The service manager that has started the process, if one has: systemd, or whatever speaks its
//! protocols (`sd_notify(3)`, `sd_listen_fds(3)`).

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// Says that requests are answered, with the configuration that there is now.
pub(crate) fn ready() {
    notify(State::Ready);
}

/// Says that the configuration is being read again. [`ready`] says when that has ended.
pub(crate) fn reloading() {
    notify(State::Reloading);
}

/// Says this of the process in one line, as `systemctl status` shows it; an empty text takes back what was
/// said before.
pub(crate) fn status(text: &str) {
    // A further line would be a message of its own.
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => notify(State::Status(first)),
        more => notify(State::Status(&format!(
            "{first} (and {more} more: see the log)"
        ))),
    }
}

/// Says that requests under way are finished, and no others are taken.
pub(crate) fn stopping() {
    notify(State::Stopping);
}

/// Says that the process lives, as often as the service manager wants to hear it, from the runtime
/// that answers requests: a process whose runtime hangs is restarted.
pub(crate) fn keep_watchdog() {
    #[cfg(unix)]
    if let Some(limit) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(limit / 2);
            loop {
                ticks.tick().await;
                notify(State::Alive);
            }
        });
    }
}

/// A state of the process, for the service manager.
#[derive(Clone, Copy, Debug)]
enum State<'t> {
    Status(#[cfg_attr(not(unix), expect(dead_code))] &'t str),
    Ready,
    Reloading,
    Stopping,
    #[cfg_attr(not(unix), expect(dead_code))]
    Alive,
}

/// Notifies the service manager. Does nothing where none listens.
#[cfg(unix)]
fn notify(state: State<'_>) {
    use sd_notify::NotifyState;
    let outcome = match state {
        State::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
        State::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // It accepts this state only with the time.
        State::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        State::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    };
    if let Err(error) = outcome {
        let state = match state {
            State::Status(_) => "status",
            State::Ready => "ready",
            State::Reloading => "reloading",
            State::Stopping => "stopping",
            State::Alive => "alive",
        };
        tracing::warn!(state, %error, "the service manager cannot be notified");
    }
}

/// Does nothing: other systems have no such manager.
#[cfg(not(unix))]
fn notify(_: State<'_>) {}

/// The sockets that the service manager has opened for this process.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes them all. Changes the environment, so that no child takes them for its own: call it
    /// while the process has one thread.
    ///
    /// # Errors
    ///
    /// When one of them does not listen for TCP.
    pub(crate) fn take() -> io::Result<Self> {
        if !are_for_this_process() {
            return Ok(Self::default());
        }
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed.len() {
            let listener = handed.take_tcp_listener(index).map_err(unusable)?;
            if let Some(listener) = listener {
                let address = listener.local_addr().map_err(unusable)?;
                if is_connection(&listener).map_err(unusable)? {
                    return Err(unusable("it is a connection: set `Accept=no`"));
                }
                sockets.push((address, listener));
            }
        }
        Ok(Self(sockets))
    }

    /// Takes the one at this address.
    pub(crate) fn at(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self.0.iter().position(|(own, _)| *own == address)?;
        Some(self.0.swap_remove(found).1)
    }

    /// Returns the address of one that was not taken.
    pub(crate) fn left(&self) -> Option<SocketAddr> {
        self.0.first().map(|(address, _)| *address)
    }
}

/// Returns whether the sockets in the environment are for this process: a process inherits the variables
/// that were for the one that started it (`sd_listen_fds(3)`).
fn are_for_this_process() -> bool {
    let named = std::env::var("LISTEN_PID").ok();
    // The way of Windows has no such variable.
    cfg!(windows) || named.and_then(|pid| pid.parse().ok()) == Some(std::process::id())
}

/// Returns whether a socket is a connection that the service manager has accepted, on which nothing can
/// be accepted.
#[cfg(unix)]
fn is_connection(socket: &TcpListener) -> io::Result<bool> {
    let socket = std::os::fd::OwnedFd::from(socket.try_clone()?);
    Ok(std::net::TcpStream::from(socket).peer_addr().is_ok())
}

/// Returns whether a socket is a connection: no other system's manager hands one over.
#[cfg(not(unix))]
fn is_connection(_: &TcpListener) -> io::Result<bool> {
    Ok(false)
}

fn unusable(problem: impl std::fmt::Display) -> io::Error {
    let message = format!("a socket of the service manager cannot be used: {problem}");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
