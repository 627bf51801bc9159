//! Noticing that the configuration has changed, and putting the new one in place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use gatepost_session::{KeyId, KeyRing};

use crate::config::{Config, Listen};
use crate::outpost::{DeployError, Outpost};
use crate::telemetry::logging::Log;
use crate::telemetry::traces::TracesSettings;
use gatepost_store::StoreSettings;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// For how long a file has to stay as it is before it is read.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// How long a key that is put in front only verifies. What signs with a key must not be ahead of
/// what verifies with it: other outposts look at the file every two seconds, guests every ten.
const INTRODUCED_FOR: Duration = Duration::from_secs(15);

/// What tells one version of a file from another: when it was changed, and how long it is. A
/// Kubernetes volume swaps links, which both follow.
type Versions = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Watches the files that `config` was read from, and puts what they say in place when they
/// change; `certificate` is what the https listener shows, if there is one.
///
/// All of it or nothing: a configuration that is wrong, or cannot be put to work, is logged, and
/// every part of the one before stays. It is tried again until it works or the files change.
pub fn watch(
    outpost: &Arc<Outpost>,
    config: &Config,
    config_file: Option<PathBuf>,
    certificate: Option<RustlsConfig>,
) {
    let watched = Watched {
        config_file,
        certificate,
        seen: Versions::new(),
        files: config.files.clone(),
        at_start: AtStart::of(config),
        first_key: FirstKey::of(&config.keys),
        failed: None,
    };
    tokio::spawn(watched.follow(Arc::downgrade(outpost)));
}

/// What is watched, and what of it is in place.
struct Watched {
    config_file: Option<PathBuf>,
    certificate: Option<RustlsConfig>,
    files: Vec<PathBuf>,
    /// Empty where one may have changed between being read and being watched: they are then read
    /// once more.
    seen: Versions,
    at_start: AtStart,
    first_key: FirstKey,
    /// What was wrong with the files the last time, if anything.
    failed: Option<String>,
}

/// What takes a restart to change.
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
    async fn follow(mut self, outpost: Weak<Outpost>) {
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
            let mut now = versions(&self.files);
            let due = asked || self.failed.is_some() || self.first_key.is_introduced();
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
        }
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

    /// Puts what the files say in place, or logs why not; says whether it is.
    fn reload(&mut self, outpost: &Outpost) -> bool {
        let problem = match Config::load(self.config_file.as_deref(), variables()) {
            Ok(config) => match self.put_in_place(outpost, config) {
                Ok(()) => {
                    self.failed = None;
                    return true;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        // It is tried again, and said once.
        if self.failed.as_ref() != Some(&problem) {
            for line in problem.lines() {
                tracing::error!(problem = line, "the configuration before stays");
            }
        }
        self.failed = Some(problem);
        false
    }

    /// Puts a configuration in place. What can fail comes first.
    fn put_in_place(&mut self, outpost: &Outpost, mut config: Config) -> Result<(), DeployError> {
        let mut first_key = self.first_key.clone();
        config.keys = first_key.follow(config.keys);
        outpost.redeploy(&config)?;
        self.first_key = first_key;
        if let (Some(shown), Some(given)) = (&self.certificate, &config.tls) {
            shown.reload_from_config(given.server_config());
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

/// The key that signs, which may not yet be the one that the ring says.
#[derive(Clone, Debug)]
struct FirstKey {
    signs: Option<KeyId>,
    /// The one that is to, and since when it is known.
    next: Option<(KeyId, Instant)>,
}

impl FirstKey {
    /// At the start, the ring's.
    fn of(ring: &KeyRing) -> Self {
        Self {
            signs: ring.key_ids().next().cloned(),
            next: None,
        }
    }

    /// Whether a new key has been known for long enough to sign.
    fn is_introduced(&self) -> bool {
        let known_for = |(_, since): &(KeyId, Instant)| since.elapsed() >= INTRODUCED_FOR;
        self.next.as_ref().is_some_and(known_for)
    }

    /// The ring as it is to be used now.
    fn follow(&mut self, ring: KeyRing) -> KeyRing {
        let first = ring.key_ids().next().cloned();
        let before = self.signs.as_ref().and_then(|id| ring.signing_with(id));
        match (first, before) {
            (Some(first), Some(before)) if self.signs.as_ref() != Some(&first) => {
                match &self.next {
                    Some((next, _)) if *next == first && self.is_introduced() => {
                        tracing::info!(key = first.as_str(), "the new key signs from now on");
                    }
                    Some((next, _)) if *next == first => return before,
                    Some(_) | None => {
                        self.next = Some((first, Instant::now()));
                        return before;
                    }
                }
                self.signs = Some(first);
            }
            // The same as before, or the one before is gone: there is nothing to wait for.
            (first, _) => self.signs = first,
        }
        self.next = None;
        ring
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[&str]) -> KeyRing {
        let entry = |id: &&str| format!("{id}:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=");
        let entries: Vec<String> = ids.iter().map(entry).collect();
        KeyRing::parse(&entries.join("\n")).expect("a ring")
    }

    fn order(ring: &KeyRing) -> Vec<&str> {
        ring.key_ids().map(KeyId::as_str).collect()
    }

    #[test]
    fn a_new_key_verifies_before_it_signs() {
        let mut first = FirstKey::of(&ring(&["a"]));
        for _ in 0..3 {
            let followed = first.follow(ring(&["c", "b", "a"]));
            assert_eq!(order(&followed), ["a", "c", "b"]);
            assert!(!first.is_introduced());
        }
        let introduced = Instant::now().checked_sub(INTRODUCED_FOR);
        let Some((_, since)) = &mut first.next else {
            panic!("a key is introduced");
        };
        *since = introduced.expect("the machine has run for longer");
        assert!(first.is_introduced());
        assert_eq!(
            order(&first.follow(ring(&["c", "b", "a"]))),
            ["c", "b", "a"]
        );
        assert!(!first.is_introduced());
    }

    #[test]
    fn nothing_is_waited_for_where_the_key_before_is_gone_or_the_first_is_back() {
        let mut first = FirstKey::of(&ring(&["a"]));
        assert_eq!(order(&first.follow(ring(&["b"]))), ["b"]);
        assert_eq!(order(&first.follow(ring(&["c", "b"]))), ["b", "c"]);
        assert_eq!(order(&first.follow(ring(&["b", "c"]))), ["b", "c"]);
        assert!(first.next.is_none());
    }
}
