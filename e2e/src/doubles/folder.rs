//! An app that serves the files of a folder.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::server::{Server, listen_on};
use crate::programs::ports;

/// A folder behind HTTP, until it is dropped.
#[derive(Debug)]
pub struct ServedFolder {
    _server: Server,
    port: u16,
}

impl ServedFolder {
    /// Serves the files of a folder on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When there is no such port.
    pub fn start(folder: &Path) -> Result<Self> {
        let port = ports::free()?;
        let router = Router::new().fallback(file).with_state(folder.to_owned());
        Ok(Self {
            _server: Server::start("folder", || listen_on(port), router)?,
            port,
        })
    }

    /// Returns where it is served.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn file(State(folder): State<PathBuf>, uri: Uri) -> Response {
    let path = Path::new(uri.path().trim_start_matches('/'));
    let is_below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    match std::fs::read(folder.join(path)) {
        Ok(bytes) if is_below => bytes.into_response(),
        Ok(_) | Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
