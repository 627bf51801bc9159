//! API keys, which programs send in place of a session.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use gatepost_base::{SealingKeys, Secret};
use gatepost_session::NumericDate;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::StoreUnavailable;

/// The first byte of a sealed key.
const VERSION: u8 = 2;

/// The id of an API key: it says which key is meant, and is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(Arc<str>);

impl ApiKeyId {
    /// The length of an id.
    pub const LENGTH: usize = 12;

    /// Parses an id: [`ApiKeyId::LENGTH`] letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == Self::LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then(|| Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store knows of an API key. The key itself is not part of it: `mac` is a MAC of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The key's id.
    pub id: ApiKeyId,
    /// Who sends it.
    pub subject: String,
    /// The sender's address, if the key has one.
    pub email: Option<String>,
    /// The sender's groups.
    pub groups: Vec<String>,
    /// The applications that accept it.
    pub applications: Vec<String>,
    /// The key of the MAC, which no other API key has.
    pub mac_key: Secret,
    /// The MAC of the API key.
    pub mac: Secret,
    /// When it was created.
    pub created: NumericDate,
    /// When it ends.
    pub ends: NumericDate,
    /// How it was used.
    pub usage: ApiKeyUsage,
}

/// An API key as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// The rest; `None` where no key of the ring opens it.
    pub record: Option<ApiKeyRecord>,
}

impl StoredApiKey {
    /// Reads a key from the bytes that a store has of it.
    pub fn open(id: &ApiKeyId, bytes: &[u8], usage: ApiKeyUsage, keys: &SealingKeys) -> Self {
        Self {
            id: id.clone(),
            record: open(id, bytes, usage, keys),
        }
    }
}

impl From<ApiKeyRecord> for StoredApiKey {
    fn from(record: ApiKeyRecord) -> Self {
        Self {
            id: record.id.clone(),
            record: Some(record),
        }
    }
}

/// How an API key was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyUsage {
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Option<NumericDate>,
}

impl ApiKeyUsage {
    /// Returns the usage of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            last: self.last.max(other.last),
        }
    }
}

/// Stores API keys.
///
/// Nothing of a key is cached: a key that is removed is unknown to every replica from then on.
#[async_trait::async_trait]
pub trait ApiKeyStore: Send + Sync + fmt::Debug {
    /// Adds a key.
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable>;

    /// Returns the key with this id, even if its time is over.
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable>;

    /// Adds to the usage of keys, with one write where the store can. A key that was removed stays
    /// removed. Takes out of `used` what is written: after an error, the rest is in it.
    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable>;

    /// Removes a key. Returns whether there was one.
    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable>;

    /// Returns at most `limit` keys, those that end first at the beginning.
    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable>;
}

/// What of a key is sealed.
#[derive(Serialize, Deserialize)]
struct Body {
    subject: String,
    email: Option<String>,
    groups: Vec<String>,
    applications: Vec<String>,
    mac_key: Zeroizing<String>,
    mac: Zeroizing<String>,
    created: NumericDate,
    ends: NumericDate,
}

/// Seals a key, but for its usage. `None` when the operating system has no randomness.
pub(crate) fn seal(record: &ApiKeyRecord, keys: &SealingKeys) -> Option<Vec<u8>> {
    let body = Body {
        subject: record.subject.clone(),
        email: record.email.clone(),
        groups: record.groups.clone(),
        applications: record.applications.clone(),
        mac_key: record.mac_key.clone().into_zeroizing(),
        mac: record.mac.clone().into_zeroizing(),
        created: record.created,
        ends: record.ends,
    };
    let body = Zeroizing::new(serde_json::to_vec(&body).ok()?);
    let mut bytes = vec![VERSION];
    bytes.extend(keys.seal_with_all(&context(&record.id), &body)?);
    Some(bytes)
}

/// Opens a key. Returns `None` when no key of the ring sealed it for this id, or when a later
/// version wrote it.
fn open(
    id: &ApiKeyId,
    bytes: &[u8],
    usage: ApiKeyUsage,
    keys: &SealingKeys,
) -> Option<ApiKeyRecord> {
    let (version, sealed) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let body = Zeroizing::new(keys.open_with_any(&context(id), sealed)?);
    let body: Body = serde_json::from_slice(&body).ok()?;
    Some(ApiKeyRecord {
        id: id.clone(),
        subject: body.subject,
        email: body.email,
        groups: body.groups,
        applications: body.applications,
        mac_key: Secret::from(body.mac_key),
        mac: Secret::from(body.mac),
        created: body.created,
        ends: body.ends,
        usage,
    })
}

/// Returns the same key sealed with each key of the ring, where others have sealed it: an API key may
/// last longer than a key of the ring.
///
/// With each, not with the first alone: an operator who takes a new key of the ring back, or an outpost
/// that has not got it yet, can read the record too.
pub(crate) fn sealed_again(id: &ApiKeyId, bytes: &[u8], keys: &SealingKeys) -> Option<Vec<u8>> {
    let (version, sealed) = bytes.split_first()?;
    if *version == VERSION && keys.are_sealers_of(sealed) {
        return None;
    }
    seal(&open(id, bytes, ApiKeyUsage::default(), keys)?, keys)
}

/// Binds a sealed key to its id, so that it cannot be used in place of another.
fn context(id: &ApiKeyId) -> String {
    format!("api key {VERSION} {id}")
}
