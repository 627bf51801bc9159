//! What an operator or the service manager asks of the process by a signal.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the process listens for.
///
/// A signal that no part of a process listens for ends it (`signal(7)`), so a process registers for
/// all of them before the service manager hears that it is ready.
#[derive(Debug)]
pub struct Signals {
    /// `SIGHUP`: read the configuration again.
    pub reload: Asked,
    /// `SIGUSR1`: ask authentik for what changed, as authentik's own outposts do.
    pub refresh: Asked,
    /// `SIGTERM`: finish the requests under way, and end.
    pub stop: Asked,
}

impl Signals {
    /// Registers for all of them. Call it within the runtime.
    pub fn register() -> Self {
        #[cfg(unix)]
        return Self {
            reload: Asked::by("SIGHUP", SignalKind::hangup()),
            refresh: Asked::by("SIGUSR1", SignalKind::user_defined1()),
            stop: Asked::by("SIGTERM", SignalKind::terminate()),
        };
        #[cfg(not(unix))]
        Self {
            reload: Asked::never(),
            refresh: Asked::never(),
            stop: Asked::never(),
        }
    }
}

/// One of the signals.
#[derive(Debug)]
pub struct Asked {
    #[cfg(unix)]
    signals: Option<Signal>,
}

impl Asked {
    #[cfg(unix)]
    fn by(name: &'static str, kind: SignalKind) -> Self {
        let signals = signal(kind);
        if let Err(error) = &signals {
            tracing::warn!(signal = name, %error, "this signal cannot be listened for");
        }
        Self {
            signals: signals.ok(),
        }
    }

    /// Returns one that never comes.
    pub fn never() -> Self {
        Self {
            #[cfg(unix)]
            signals: None,
        }
    }

    /// Waits until the signal comes. Several that came before count as one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
