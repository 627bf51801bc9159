//! The keys file that the outpost signs with and the plugin verifies with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_session::KeyRing;

use crate::settings;

/// A keys file: one `kid:base64` a line, the first signs.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
}

impl Keys {
    /// Writes a new file with one new key.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let keys = Self { path };
        keys.write(&[random_key("first")?])?;
        Ok(keys)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a new key in front: it signs from now on, the others still verify.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn rotate(&self, key_id: &str) -> Result<()> {
        let mut lines = self.lines()?;
        lines.insert(0, random_key(key_id)?);
        self.write(&lines)
    }

    /// Removes the last, oldest key: sessions that it signed are refused from now on.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn retire_oldest(&self) -> Result<()> {
        let mut lines = self.lines()?;
        lines.pop();
        self.write(&lines)
    }

    /// Reads the ring from the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn ring(&self) -> Result<KeyRing> {
        Ok(KeyRing::parse(&self.lines()?.join("\n"))?)
    }

    fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("read {}", self.path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn write(&self, lines: &[String]) -> Result<()> {
        settings::write_atomically(&self.path, &(lines.join("\n") + "\n"))
    }
}

pub(crate) fn random_key(key_id: &str) -> Result<String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).context("draw a random key")?;
    Ok(format!("{key_id}:{}", STANDARD.encode(key)))
}
