//! The app: says who it was asked by.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What marks an answer as the app's.
pub(super) const MARK: &str = "x-soak-app";

/// The running app. It ends with the runtime.
pub(super) struct App {
    port: u16,
    anonymous: Arc<AtomicU64>,
}

impl App {
    pub(super) fn start(runtime: &Runtime, port: u16) -> Result<Self> {
        let anonymous = Arc::<AtomicU64>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&anonymous));
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
            .context("listen for the app")?;
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port, anonymous })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many requests came without exactly one identity. None may: no path is public.
    pub(super) fn anonymous(&self) -> u64 {
        self.anonymous.load(Ordering::Relaxed)
    }
}

async fn answer(State(anonymous): State<Arc<AtomicU64>>, headers: HeaderMap) -> Response {
    let names: Vec<&str> = headers
        .get_all("x-auth-username")
        .iter()
        .filter_map(|name| name.to_str().ok())
        .collect();
    if names.len() != 1 {
        anonymous.fetch_add(1, Ordering::Relaxed);
    }
    ([(MARK, "1")], names.join(",")).into_response()
}
