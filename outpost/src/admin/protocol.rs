//! The protocol of `gatepost session` and `gatepost key`, by which an operator lists and revokes the
//! sessions of a running outpost, and creates, lists and revokes API keys. `gatepost check --url` asks by it
//! what is in force.
//!
//! The command and the outpost have the same configuration, so they share a secret: request and
//! response are sealed with a key of the ring. No other client of the metrics listener can ask, and
//! a request serves once.

use gatepost_session::NumericDate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::in_force::InForce;
use crate::machine_clients::NewApiKey;
use gatepost_base::SealingKeys;
use gatepost_store::{ApiKeyRecord, SessionRecord};

/// The path on the metrics listener.
pub const PATH: &str = "/sessions";

/// The longest request that is read, in bytes.
pub(super) const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// What a sealed request is bound to.
const REQUEST: &str = "operator's question";
/// What a sealed response is bound to.
const RESPONSE: &str = "operator's answer";

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdminRequest {
    /// A list of the sessions.
    List {
        /// The most sessions to list.
        limit: usize,
    },
    /// The end of one session.
    RevokeSession {
        /// Its id.
        id: String,
    },
    /// The end of all sessions of a subject.
    RevokeSubject {
        /// The provider's issuer.
        issuer: String,
        /// The subject at the provider.
        subject: String,
    },
    /// The end of all sessions.
    RevokeEveryone,
    /// What `gatepost key` asks for.
    Keys(KeyRequest),
    /// What of the configuration is in force.
    InForce,
}

/// What an operator asks for about API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyRequest {
    /// A new key.
    Create(NewApiKey),
    /// A list of the keys.
    List {
        /// The most keys to list.
        limit: usize,
    },
    /// The end of keys.
    Revoke(WhichKeys),
}

/// API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhichKeys {
    /// The one with this id.
    Id(String),
    /// Those of a subject.
    Subject(String),
    /// All.
    All,
}

/// The outpost's response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdminResponse {
    /// The sessions.
    Sessions(Vec<SessionSummary>),
    /// How many sessions ended.
    Ended(usize),
    /// The API key.
    CreatedKey(CreatedKey),
    /// The API keys.
    Keys {
        /// Those that the outpost can read.
        keys: Vec<KeySummary>,
        /// The ids of the others.
        unreadable: Vec<String>,
    },
    /// API keys were revoked.
    RevokedKeys {
        /// How many.
        revoked: usize,
        /// How many were not, since the outpost cannot read whose they are.
        unreadable: usize,
    },
    /// What of the configuration is in force.
    InForce(InForce),
    /// What the request says is wrong.
    Wrong(String),
}

/// A new API key. The response that carries it is sealed, and nothing else ever shows the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The key.
    pub key: String,
    /// What `list` shows of it.
    pub summary: KeySummary,
    /// Whether it ends with the outpost's process.
    pub in_memory: bool,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// An API key as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySummary {
    /// Its id, by which it can be revoked.
    pub id: String,
    /// Who sends it.
    pub subject: String,
    /// The sender's address.
    pub email: Option<String>,
    /// The sender's groups.
    pub groups: Vec<String>,
    /// The applications that accept it.
    pub applications: Vec<String>,
    /// When it was created.
    pub created: NumericDate,
    /// When it ends.
    pub ends: NumericDate,
    /// When it was last used.
    pub last_used: Option<NumericDate>,
    /// How often it was used.
    pub uses: u64,
}

impl From<&ApiKeyRecord> for KeySummary {
    fn from(record: &ApiKeyRecord) -> Self {
        Self {
            id: record.id.to_string(),
            subject: record.subject.clone(),
            email: record.email.clone(),
            groups: record.groups.clone(),
            applications: record.applications.clone(),
            created: record.created,
            ends: record.ends,
            last_used: record.usage.last,
            uses: record.usage.count,
        }
    }
}

/// A session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionSummary {
    /// Its id, by which it can be revoked.
    pub id: String,
    /// The application.
    pub application: String,
    /// The provider's issuer.
    pub issuer: String,
    /// The subject at the provider.
    pub subject: String,
    /// The session's id at the provider (`sid`), where it is known.
    #[serde(default)]
    pub provider_session: Option<String>,
    /// The name with which the user signs in.
    pub username: Option<String>,
    /// When the user signed in.
    pub created: NumericDate,
    /// When the outpost last heard of the session.
    pub last_seen: NumericDate,
    /// When it ends at the latest.
    pub ends: NumericDate,
}

impl From<&SessionRecord> for SessionSummary {
    fn from(record: &SessionRecord) -> Self {
        Self {
            id: record.id.expose().to_owned(),
            application: record.audience.clone(),
            issuer: record.identity.issuer.clone(),
            subject: record.identity.subject.clone(),
            provider_session: record.provider_session.clone(),
            username: record.identity.preferred_username.clone(),
            created: record.created,
            last_seen: record.last_seen,
            ends: record.ends,
        }
    }
}

/// A request and when it was made.
#[derive(Serialize, Deserialize)]
pub(super) struct Dated {
    pub(super) at: NumericDate,
    pub(super) request: AdminRequest,
}

/// Seals a request. `None` when the operating system has no randomness.
pub fn seal_request(
    keys: &SealingKeys,
    now: NumericDate,
    request: &AdminRequest,
) -> Option<String> {
    let sealed = Dated {
        at: now,
        request: request.clone(),
    };
    keys.seal_text(REQUEST, &serde_json::to_vec(&sealed).ok()?)
}

/// Opens a sealed request.
pub(super) fn open_request(keys: &SealingKeys, text: &str) -> Option<Dated> {
    open(keys, REQUEST, text)
}

/// Seals a response. `None` when the operating system has no randomness.
pub(super) fn seal_response(keys: &SealingKeys, response: &AdminResponse) -> Option<String> {
    keys.seal_text(RESPONSE, &serde_json::to_vec(response).ok()?)
}

/// Opens a sealed response.
pub fn open_response(keys: &SealingKeys, text: &str) -> Option<AdminResponse> {
    open(keys, RESPONSE, text)
}

fn open<T: DeserializeOwned>(keys: &SealingKeys, context: &str, text: &str) -> Option<T> {
    serde_json::from_slice(&keys.open_text(context, text)?).ok()
}
