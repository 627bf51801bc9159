//! Noticing that the configuration has changed, and putting the new one in place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;

use crate::config::Config;
use crate::outpost::Outpost;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one version of a file from another: when it was changed, and how long it is. A
/// Kubernetes volume swaps links, which both follow.
type Versions = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Watches the files that `config` was read from, and puts what they say in place when they
/// change; `certificate` is what the https listener shows, if there is one. A wrong configuration is
/// logged, and the one before stays.
pub fn watch(
    outpost: &Arc<Outpost>,
    config: &Config,
    config_file: Option<PathBuf>,
    certificate: Option<RustlsConfig>,
) {
    let outpost = Arc::downgrade(outpost);
    let mut files = config.files.clone();
    let mut seen = versions(&files);
    let listen = config.listen.clone();
    let store = config.store.clone();
    let traces = config.traces.clone();
    tokio::spawn(async move {
        #[cfg(unix)]
        let mut hangup =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        loop {
            #[cfg(unix)]
            let asked = match &mut hangup {
                Some(hangup) => tokio::select! {
                    _ = hangup.recv() => true,
                    () = tokio::time::sleep(EVERY) => false,
                },
                None => {
                    tokio::time::sleep(EVERY).await;
                    false
                }
            };
            #[cfg(not(unix))]
            let asked = {
                tokio::time::sleep(EVERY).await;
                false
            };
            let Some(outpost) = outpost.upgrade() else {
                return;
            };
            let now = versions(&files);
            if now == seen && !asked {
                continue;
            }
            seen = now;
            match Config::load(config_file.as_deref(), variables()) {
                Ok(config) => {
                    if config.listen != listen || config.store != store || config.traces != traces {
                        tracing::warn!("changes of `listen`, `store` and `tracing` take a restart");
                    }
                    if let (Some(shown), Some(given)) = (&certificate, &config.tls) {
                        shown.reload_from_config(given.server_config());
                    }
                    match outpost.redeploy(&config) {
                        Ok(()) => tracing::info!("configuration read anew"),
                        Err(error) => tracing::error!(%error, "the configuration before stays"),
                    }
                    if files != config.files {
                        files = config.files;
                        seen = versions(&files);
                    }
                }
                Err(error) => {
                    for line in error.to_string().lines() {
                        tracing::error!(problem = line, "the configuration before stays");
                    }
                }
            }
        }
    });
}

/// The environment variables that are text.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn versions(files: &[PathBuf]) -> Versions {
    files
        .iter()
        .map(|path| {
            let version = std::fs::metadata(path)
                .ok()
                .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
            (path.clone(), version)
        })
        .collect()
}
