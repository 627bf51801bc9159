//! Noticing that the configuration has changed, and putting the new one in place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use super::introduction::{FirstKey, OfAlgorithm};
use crate::assertion::Algorithm;
use crate::certificate::ShownCertificate;
use crate::config::{Config, Listen, environment};
use crate::runtime::{Outpost, SetupError};
use crate::service_manager;
use crate::signals::Asked;
use crate::telemetry::logging::Log;
use crate::telemetry::traces::TracesSettings;
use gatepost_base::contained::contained_blocking;
use gatepost_store::StoreSettings;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How long a file has to stay unchanged before it is read.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// The versions of files: when each was changed, and how long it is. A Kubernetes volume swaps
/// links, which both follow.
type Versions = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// How long a new key of assertions is published before it signs, at the least. An application that meets
/// an unknown key asks for the keys again, and many libraries do so twice a minute at most.
const LEAST_PUBLICATION: Duration = Duration::from_secs(60);

/// Watches the files that `config` was read from, and puts the new configuration in place when they
/// change, or when `reload` asks for it; `certificate` is the certificate of the https listener, if
/// there is one.
///
/// It replaces all of it or nothing: a configuration that is invalid, or cannot be put to work, is
/// logged, and every part of the previous one stays. It is tried again until it works or the files
/// change.
pub fn watch(
    outpost: &Arc<Outpost>,
    config: &Config,
    config_file: Option<PathBuf>,
    certificate: Option<ShownCertificate>,
    reload: Asked,
) {
    let watched = Watched {
        config_file,
        certificate,
        seen: Versions::new(),
        files: config.files.clone(),
        at_start: AtStart::of(config),
        first_key: FirstKey::of(&config.keys, config.key_introduction),
        first_assertion_keys: Algorithm::ALL.map(|algorithm| {
            let keys = OfAlgorithm(config.assertion_keys.clone(), algorithm);
            (
                algorithm,
                FirstKey::of(&keys, introduction_of_assertions(config)),
            )
        }),
        failed: None,
    };
    tokio::spawn(watched.follow(Arc::downgrade(outpost), reload));
}

/// The watched files, and the state of the configuration that is in place.
struct Watched {
    config_file: Option<PathBuf>,
    certificate: Option<ShownCertificate>,
    files: Vec<PathBuf>,
    /// Empty where one may have changed between being read and being watched: they are then read
    /// once more.
    seen: Versions,
    at_start: AtStart,
    first_key: FirstKey,
    first_assertion_keys: [(Algorithm, FirstKey); 2],
    /// The last problem with the files, if there was one.
    failed: Option<String>,
}

/// The settings that only a restart can change.
#[derive(PartialEq)]
struct AtStart {
    listen: Listen,
    store: StoreSettings,
    traces: Option<TracesSettings>,
    log: Log,
}

impl AtStart {
    fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.clone(),
            store: config.store.clone(),
            traces: config.traces.clone(),
            log: config.log.clone(),
        }
    }
}

impl Watched {
    async fn follow(mut self, outpost: Weak<Outpost>, mut reload: Asked) {
        loop {
            let asked = tokio::time::timeout(EVERY, reload.next()).await.is_ok();
            if asked {
                service_manager::reloading();
            }
            let mut now = versions(&self.files);
            let due = asked || self.failed.is_some() || self.has_introduced_key();
            if now == self.seen && !due {
                continue;
            }
            if now != self.seen {
                now = self.settled(now).await;
            }
            let Some(outpost) = outpost.upgrade() else {
                return;
            };
            let once_more = std::mem::replace(&mut self.seen, now).is_empty();
            if self.reload(&outpost) && !once_more {
                tracing::info!("configuration read again and in force");
            }
            if asked {
                // With this configuration or the one before.
                service_manager::ready();
            }
        }
    }

    /// Returns whether a new key has been known for long enough to sign.
    fn has_introduced_key(&self) -> bool {
        let assertions = self.first_assertion_keys.iter().map(|(_, first)| first);
        let mut all = [&self.first_key].into_iter().chain(assertions);
        all.any(FirstKey::is_introduced)
    }

    /// Waits until the files are no longer being written: the first half of one may well be a
    /// configuration, and another one.
    async fn settled(&self, mut now: Versions) -> Versions {
        loop {
            tokio::time::sleep(SETTLED_AFTER).await;
            let later = versions(&self.files);
            if later == now {
                return now;
            }
            now = later;
        }
    }

    /// Puts the configuration of the files in place, or logs why it cannot; returns whether it is
    /// in place.
    fn reload(&mut self, outpost: &Outpost) -> bool {
        // A panic leaves the configuration before in force too: what is shared is replaced last.
        let loaded = contained_blocking(|| self.load(outpost));
        let problem = match loaded.unwrap_or_else(|panicked| Err(panicked.to_string())) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    service_manager::status("");
                }
                return true;
            }
            Err(problem) => problem,
        };
        // It is tried again, and logged once.
        if self.failed.as_ref() != Some(&problem) {
            for line in problem.lines() {
                tracing::error!(problem = line, "the configuration before stays");
            }
            service_manager::status(&format!("the configuration before stays: {problem}"));
        }
        self.failed = Some(problem);
        false
    }

    /// Reads the configuration of the files and puts it in place, or returns the problem with it.
    fn load(&mut self, outpost: &Outpost) -> Result<(), String> {
        let variables = environment::process_variables();
        let config = Config::load(self.config_file.as_deref(), variables);
        let config = config.map_err(|error| error.to_string())?;
        let placed = self.put_in_place(outpost, config);
        placed.map_err(|error| error.to_string())
    }

    /// Puts a configuration in place. The steps that can fail come first.
    fn put_in_place(&mut self, outpost: &Outpost, mut config: Config) -> Result<(), SetupError> {
        let mut first_key = self.first_key.clone();
        first_key.introduce_for(config.key_introduction);
        config.keys = first_key.follow(config.keys, outpost.state_problem().as_deref());
        let mut first_assertion_keys = self.first_assertion_keys.clone();
        for (algorithm, first) in &mut first_assertion_keys {
            first.introduce_for(introduction_of_assertions(&config));
            // No plugin has to know of them.
            let followed = first.follow(OfAlgorithm(config.assertion_keys, *algorithm), None);
            config.assertion_keys = followed.0;
        }
        outpost.reconfigure(&config)?;
        self.first_key = first_key;
        self.first_assertion_keys = first_assertion_keys;
        if let (Some(shown), Some(given)) = (&self.certificate, &config.tls) {
            shown.replace(given);
        }
        if AtStart::of(&config) != self.at_start {
            tracing::warn!("changes of `listen`, `store`, `tracing` and `log` take a restart");
        }
        if self.files != config.files {
            self.files = config.files;
            self.seen = Versions::new();
        }
        Ok(())
    }
}

fn introduction_of_assertions(config: &Config) -> Duration {
    config.key_introduction.max(LEAST_PUBLICATION)
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
