//! Keeps authentik's last response, for a start while authentik is unavailable.
//!
//! The cache is a file next to the session store, if the store has a file: an outpost whose
//! sessions end with the process gains nothing. The responses contain client and cookie secrets, so
//! the file is encrypted, and readable by its owner alone.

use std::path::{Path, PathBuf};

use gatepost_session::Purpose;
use zeroize::Zeroizing;

use super::api::Snapshot;
use crate::config::Config;
use gatepost_base::SealingKeys;
use gatepost_base::files::{self, Readable};
use gatepost_store::StoreSettings;

/// The type of the file, which is authenticated with it.
const CONTEXT: &str = "gatepost authentik cache v1";

/// The file.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    keys: SealingKeys,
}

impl Cache {
    /// Returns the cache of an outpost; `None` if the outpost keeps nothing on disk.
    pub(super) fn next_to_store(config: &Config) -> Option<Self> {
        let store = store_path(&config.store)?;
        Some(Self {
            path: store.with_extension("authentik"),
            keys: SealingKeys::new(&config.keys, Purpose::Store),
        })
    }

    /// Reads the last response, if the file is there and intact.
    pub(super) fn read(&self) -> Option<Snapshot> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read");
                return None;
            }
        };
        let snapshot = self.open(&bytes);
        if snapshot.is_none() {
            tracing::warn!(
                path = %self.path.display(),
                "what authentik said last was written with another token, or is damaged"
            );
        }
        snapshot
    }

    /// Writes authentik's response. A failure is logged and changes nothing else.
    pub(super) fn write(&self, snapshot: &Snapshot) {
        let Some(sealed) = self.seal(snapshot) else {
            return;
        };
        if let Err(error) = files::replace(&self.path, &sealed, Readable::ByOwner) {
            tracing::warn!(path = %self.path.display(), %error, "cannot keep what authentik says");
        }
    }

    fn seal(&self, snapshot: &Snapshot) -> Option<Vec<u8>> {
        let text = Zeroizing::new(serde_json::to_vec(snapshot).ok()?);
        self.keys.seal(CONTEXT, &text)
    }

    fn open(&self, bytes: &[u8]) -> Option<Snapshot> {
        let text = Zeroizing::new(self.keys.open(CONTEXT, bytes)?);
        serde_json::from_slice(&text).ok()
    }
}

/// Returns the path of a store that outlives the process.
fn store_path(store: &StoreSettings) -> Option<&Path> {
    match store {
        StoreSettings::Embedded { path, .. } => Some(path),
        // Redis is for what replicas share, and each of them asks authentik.
        StoreSettings::Memory { .. } | StoreSettings::Redis { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(byte: u8) -> SealingKeys {
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        let ring = gatepost_session::KeyRing::parse(&format!("k:{key}")).expect("a ring");
        SealingKeys::new(&ring, Purpose::Store)
    }

    #[test]
    fn the_cache_opens_with_the_same_key_only() {
        let path = std::env::temp_dir().join(format!("gatepost-{}.authentik", std::process::id()));
        let cache = |byte| Cache {
            path: path.clone(),
            keys: keys(byte),
        };
        let snapshot = Snapshot {
            outpost: json!({"name": "o"}),
            providers: vec![json!({"client_secret": "hush"})],
            absent: Vec::new(),
        };
        assert_eq!(cache(1).read(), None, "no file yet");
        cache(1).write(&snapshot);
        let bytes = std::fs::read(&path).expect("written");
        assert_eq!(cache(1).read(), Some(snapshot));
        assert_eq!(cache(2).read(), None, "another token");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_file(&path).expect("removed");
        assert!(!bytes.windows(4).any(|window| window == b"hush"));
    }
}
