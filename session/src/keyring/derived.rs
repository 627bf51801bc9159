//! The keys that a ring derives, one for each use.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::base64;
use zeroize::Zeroizing;

use super::key_id::KeyId;
use super::limits::MAX_KEYS;
use crate::mac::{MAC_BYTES, Mac};

/// The use of a derived key. Each purpose has its own key, so that a key that leaks from one use of
/// the secret cannot forge another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing and verifying session cookies.
    Session,
    /// Encrypting the state of a sign-in that is under way.
    Flow,
    /// Encrypting refresh and ID tokens in the session store.
    Store,
    /// Encrypting what an operator's commands ask of a running outpost.
    Operator,
}

impl Purpose {
    /// Returns the `info` input of HKDF (RFC 5869 §3.2). Part of the format: changing one of these
    /// invalidates everything that was made with it.
    pub(super) fn info(self) -> &'static [u8] {
        match self {
            Self::Session => b"gatepost session v1",
            Self::Flow => b"gatepost flow v1",
            Self::Store => b"gatepost store v1",
            Self::Operator => b"gatepost operator v1",
        }
    }
}

/// A 32-byte key derived from one secret of the ring for one [`Purpose`]. Wiped when dropped.
#[derive(Clone)]
pub struct DerivedKey {
    id: KeyId,
    bytes: Zeroizing<[u8; MAC_BYTES]>,
}

impl DerivedKey {
    pub(super) fn new(id: KeyId, bytes: Zeroizing<[u8; MAC_BYTES]>) -> Self {
        Self { id, bytes }
    }

    /// Returns the id of the secret it was derived from.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the key itself.
    pub fn expose_bytes(&self) -> &[u8; MAC_BYTES] {
        &self.bytes
    }

    /// Returns the message authentication code with this key.
    pub fn mac(&self) -> Mac {
        Mac::new(&self.bytes)
    }

    /// Returns the key as an entry `kid:base64`, for a program that may have this key and not the
    /// secret that it was derived from.
    pub fn to_entry(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(base64::encode(&*self.bytes));
        let entry = [self.id.as_str(), ":", &encoded].concat();
        Zeroizing::new(entry)
    }

    /// Parses what [`Self::to_entry`] returns, and nothing else: a derived key has one length.
    fn from_entry(entry: &str) -> Option<Self> {
        let (id, encoded) = entry.split_once(':')?;
        Some(Self {
            id: KeyId::new(id)?,
            bytes: Zeroizing::new(base64::decode_array(encoded.as_bytes())?),
        })
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DerivedKey({}, redacted)", self.id)
    }
}

/// The keys that a ring derives for one [`Purpose`], in ring order.
#[derive(Clone, Debug)]
pub struct DerivedKeys {
    signing: DerivedKey,
    others: Vec<DerivedKey>,
}

impl DerivedKeys {
    pub(super) fn new(signing: DerivedKey, others: Vec<DerivedKey>) -> Self {
        Self { signing, others }
    }

    /// Returns the key that signs or seals.
    pub fn signing(&self) -> &DerivedKey {
        &self.signing
    }

    /// Reads the entries of [`DerivedKey::to_entry`], in ring order; `None` where they are empty,
    /// one is invalid, or two have one id.
    pub fn from_entries<'e>(entries: impl IntoIterator<Item = &'e str>) -> Option<Self> {
        let mut keys: Option<Self> = None;
        for entry in entries {
            let key = DerivedKey::from_entry(entry)?;
            let Some(keys) = &mut keys else {
                keys = Some(Self {
                    signing: key,
                    others: Vec::new(),
                });
                continue;
            };
            if keys.others.len() + 1 == MAX_KEYS || keys.iter().any(|own| own.id == key.id) {
                return None;
            }
            keys.others.push(key);
        }
        keys
    }

    /// Returns all keys, the signing key first: each verifies or opens.
    pub fn iter(&self) -> impl Iterator<Item = &DerivedKey> {
        core::iter::once(&self.signing).chain(&self.others)
    }
}
