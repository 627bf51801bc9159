//! The ring of secrets that sign and verify, and the keys derived from it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::base64;
use zeroize::Zeroizing;

use crate::claims::Audience;
use crate::mac::{MAC_BYTES, Mac};

mod derived;
mod error;
mod key_id;
mod limits;
mod published;

pub use self::derived::{DerivedKey, DerivedKeys, Purpose};
pub use self::error::KeyRingError;
pub use self::key_id::KeyId;
use self::limits::MAX_KEYS;
pub use self::limits::MIN_KEY_BYTES;
use self::published::Holder;

/// The `info` input of HKDF for the words of [`KeyRing::verdicts`], with the application's name
/// after it.
const VERDICT_INFO: &[u8] = b"gatepost verdict v1 ";

/// The length of such a word before it is encoded, in bytes: 128 bits, which no client guesses.
const VERDICT_BYTES: usize = 16;

/// An ordered list of secrets, at least one: the first signs, all verify.
///
/// A key is rotated by putting a new one in front, and retired by removing it from the end once
/// nothing signed with it is still in force.
#[derive(Clone)]
pub struct KeyRing {
    signing: Secret,
    others: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    id: KeyId,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Parses `kid:base64`, the entry at `position` of its list, counted from 1.
    fn parse(entry: &str, position: usize) -> Result<Self, KeyRingError> {
        let (id, encoded) = entry
            .trim()
            .split_once(':')
            .ok_or(KeyRingError::MissingKeyId { position })?;
        let id = KeyId::new(id).ok_or(KeyRingError::InvalidKeyId { position })?;
        let Some(bytes) = decode_secret(encoded.trim()) else {
            return Err(KeyRingError::InvalidBase64 { id });
        };
        if bytes.len() < MIN_KEY_BYTES {
            let bytes = bytes.len();
            return Err(KeyRingError::ShortKey { id, bytes });
        }
        Ok(Self { id, bytes })
    }

    /// Derives one key with HKDF-SHA256 (RFC 5869) without a salt.
    ///
    /// One block of output is all that is needed, so this is the extraction (§2.2) and the first
    /// step of the expansion (§2.3). A function for any length could fail, and a key that cannot
    /// be derived would have to be left out.
    fn derive(&self, info: [&[u8]; 2]) -> Zeroizing<[u8; MAC_BYTES]> {
        let no_salt = Mac::new(&[0; MAC_BYTES]);
        let mut extracted = Zeroizing::new([0; MAC_BYTES]);
        no_salt.compute_into(&[&self.bytes], &mut extracted);
        let [first, second] = info;
        let mut derived = Zeroizing::new([0; MAC_BYTES]);
        Mac::new(&extracted).compute_into(&[first, second, &[1]], &mut derived);
        derived
    }

    fn derive_key(&self, purpose: Purpose) -> DerivedKey {
        DerivedKey::new(self.id.clone(), self.derive([purpose.info(), &[]]))
    }
}

impl KeyRing {
    /// Parses a ring from text: one `kid:base64` entry a line (or comma-separated, the form that
    /// an environment variable takes). Blank lines and lines that start with `#` are skipped.
    ///
    /// A key that Gatepost's documentation shows is refused, since any reader could sign with it;
    /// [`Self::parse_published`] is for vectors and examples.
    ///
    /// # Errors
    ///
    /// Names the entry by its position and key id, never by its secret.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        Self::parse_of(text, Holder::Operator)
    }

    /// Parses a ring of keys that Gatepost's documentation and test vectors show, in the form of
    /// [`Self::parse`], and takes no others: for vectors, examples and tests.
    ///
    /// A program that calls this by mistake runs with no operator's key.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::UnpublishedKey`] for a key that is not shown there, and the errors of
    /// [`Self::parse`].
    pub fn parse_published(text: &str) -> Result<Self, KeyRingError> {
        Self::parse_of(text, Holder::Readers)
    }

    fn parse_of(text: &str, holder: Holder) -> Result<Self, KeyRingError> {
        let mut entries = Vec::new();
        for line in text.split('\n') {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for entry in line.split(',') {
                if !entry.trim().is_empty() {
                    entries.push(entry);
                }
            }
        }
        Self::of_list(&entries, holder)
    }

    /// Builds a ring from `kid:base64` entries, the signing key first. The base64 may be of the
    /// standard or the URL-safe alphabet, with or without padding (RFC 4648 §4 and §5).
    /// Refuses the keys that [`Self::parse`] refuses.
    ///
    /// # Errors
    ///
    /// See [`KeyRingError`].
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeyRingError> {
        let entries: Vec<&str> = entries.into_iter().collect();
        Self::of_list(&entries, Holder::Operator)
    }

    // Not generic: the guest has room for one of it.
    fn of_list(entries: &[&str], holder: Holder) -> Result<Self, KeyRingError> {
        let mut ring: Option<Self> = None;
        for (index, entry) in entries.iter().enumerate() {
            let key = Secret::parse(entry, index + 1)?;
            if Holder::of(&key.bytes) != holder {
                return Err(match holder {
                    Holder::Operator => KeyRingError::PublishedKey { id: key.id },
                    Holder::Readers => KeyRingError::UnpublishedKey { id: key.id },
                });
            }
            let Some(ring) = &mut ring else {
                ring = Some(Self {
                    signing: key,
                    others: Vec::new(),
                });
                continue;
            };
            if ring.secrets().any(|own| own.id == key.id) {
                return Err(KeyRingError::DuplicateKeyId { id: key.id });
            }
            if index == MAX_KEYS {
                return Err(KeyRingError::TooManyKeys);
            }
            ring.others.push(key);
        }
        ring.ok_or(KeyRingError::Empty)
    }

    /// Returns this ring with the key of that id in front, so that it signs; `None` if it has no
    /// such key.
    pub fn signing_with(&self, id: &KeyId) -> Option<Self> {
        let mut secrets: Vec<&Secret> = self.secrets().collect();
        let at = secrets.iter().position(|secret| secret.id == *id)?;
        let signing = secrets.remove(at).clone();
        let others = secrets.into_iter().cloned().collect();
        Some(Self { signing, others })
    }

    /// Derives the keys for one purpose with HKDF-SHA256 (RFC 5869) without a salt, in ring order.
    pub fn derive(&self, purpose: Purpose) -> DerivedKeys {
        let derive = |secret: &Secret| secret.derive_key(purpose);
        let others = self.others.iter().map(derive).collect();
        DerivedKeys::new(derive(&self.signing), others)
    }

    /// Returns the words for "allowed" between the plugin and the routers behind it, in ring order:
    /// a router that a request reaches around the plugin does not believe a verdict that the client
    /// made up.
    ///
    /// Each key has its own, so that while keys are rotated a router may still know the old one.
    pub fn verdicts(&self, application: &Audience) -> Vec<String> {
        let mut words = Vec::new();
        for secret in self.secrets() {
            let derived = secret.derive([VERDICT_INFO, application.as_str().as_bytes()]);
            let (word, _) = derived.split_at(VERDICT_BYTES);
            words.push(base64::encode(word));
        }
        words
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        core::iter::once(&self.signing).chain(&self.others)
    }

    /// Returns the key ids in ring order: the first one signs.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.secrets().map(|secret| &secret.id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.key_ids().map(KeyId::as_str))
            .finish()
    }
}

/// Decodes a secret of either alphabet, but not of both, padded or not.
fn decode_secret(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    let unpadded = match encoded.as_bytes() {
        // There is no more padding than what fills up the last four characters.
        [rest @ .., b'=', b'='] if rest.len() % 4 == 2 => rest,
        [rest @ .., b'='] if rest.len() % 4 > 1 => rest,
        all => all,
    };
    let mut url_safe = Zeroizing::new(unpadded.to_vec());
    if !unpadded.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        for byte in url_safe.iter_mut() {
            match byte {
                b'+' => *byte = b'-',
                b'/' => *byte = b'_',
                _ => {}
            }
        }
    }
    base64::decode(&url_safe).map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
