//! HTTP servers of this process.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Listens on this port of 127.0.0.1, within the runtime of a server.
pub(crate) fn listen_on(port: u16) -> io::Result<TcpListener> {
    listen_at((Ipv4Addr::LOCALHOST, port))
}

/// Listens at this address and port, within the runtime of a server.
pub(crate) fn listen_at(at: (Ipv4Addr, u16)) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// A server on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    shutdown: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on what `listen` makes. That is called within the server's runtime.
    ///
    /// # Errors
    ///
    /// When `listen` fails.
    pub(crate) fn start<L>(
        name: &str,
        listen: impl FnOnce() -> io::Result<L>,
        router: Router,
    ) -> Result<Self>
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            listen().with_context(|| format!("listen as {name}"))?
        };
        let (shutdown, stopped) = oneshot::channel::<Infallible>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // Open streams are cut, not waited for.
                    tokio::select! {
                        _ = axum::serve(listener, router).into_future() => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            shutdown: Some(shutdown),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
