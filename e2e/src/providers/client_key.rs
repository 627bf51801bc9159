use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A key by which a client authenticates, in a file that goes with the last copy of this.
#[derive(Clone, Debug)]
pub struct ClientKey {
    id: &'static str,
    folder: Arc<TempDir>,
    /// What the provider is to know (RFC 7517).
    public: Value,
}

impl ClientKey {
    /// Creates a key with this id.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(id: &'static str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let key = KeyPair::generate()?;
        fs::write(file(folder.path()), key.serialize_pem())?;
        // An uncompressed point: a byte that says so, and both coordinates (SEC 1 §2.3.3).
        let point = key.public_key_raw();
        let (_, coordinates) = point.split_first().context("a point")?;
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let public = json!({
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "kid": id,
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self {
            id,
            folder: Arc::new(folder),
            public,
        })
    }

    /// Returns the key's id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Puts the private key into the place of another's.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn replace(&self, other: &Self) -> Result<()> {
        // Renamed into place, so that no program reads half of it.
        let new = other.folder.path().join("new.pem");
        fs::copy(self.file(), &new)?;
        Ok(fs::rename(new, other.file())?)
    }

    /// Returns the file with the private key.
    pub(super) fn file(&self) -> PathBuf {
        file(self.folder.path())
    }

    /// Returns the set with these public keys, as text.
    pub(super) fn public_set(keys: &[&Self]) -> String {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
        json!({ "keys": keys }).to_string()
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("client-key.pem")
}
