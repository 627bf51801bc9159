//! How a session is written down: a version, and the session sealed.
//!
//! Everything of it is sealed, not only the provider's tokens: a copied file or a dump of Redis
//! tells who was signed in as little as it lets anyone in. What a store has to know to drop what
//! has ended (times, and by whom it can be found) stands beside, without names.
//!
//! Version 1 had no `confirmed`: such a session counts as confirmed when it was created. What is
//! written by a later version than this one is not read, and its session counts as ended.

use gatepost_session::{NumericDate, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Selection, SessionRecord};
use gatepost_base::SealingKeys;
use gatepost_base::{Identity, Secret};

/// What is written now.
const VERSION: u8 = 2;

/// The session but for its id and the times that change with use, which stand beside it.
#[derive(Serialize, Deserialize)]
struct Body {
    audience: String,
    identity: Identity,
    provider_session: Option<String>,
    refresh_token: Option<Zeroizing<String>>,
    id_token: Zeroizing<String>,
    created: NumericDate,
    #[serde(default)]
    confirmed: Option<NumericDate>,
}

/// The times of a session that change with its use, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) last_seen: NumericDate,
    pub(super) window_ends: NumericDate,
    pub(super) ends: NumericDate,
}

impl Times {
    pub(super) fn of(record: &SessionRecord) -> Self {
        Self {
            last_seen: record.last_seen,
            window_ends: record.window_ends,
            ends: record.ends,
        }
    }
}

/// Seals a session. `None` when the operating system has no randomness.
pub(super) fn seal(record: &SessionRecord, keys: &SealingKeys) -> Option<Vec<u8>> {
    let body = Body {
        audience: record.audience.clone(),
        identity: record.identity.clone(),
        provider_session: record.provider_session.clone(),
        refresh_token: record.refresh_token.clone().map(Secret::into_zeroizing),
        id_token: record.id_token.clone().into_zeroizing(),
        created: record.created,
        confirmed: Some(record.confirmed),
    };
    let body = Zeroizing::new(serde_json::to_vec(&body).ok()?);
    let mut bytes = vec![VERSION];
    bytes.extend(keys.seal(&context(VERSION, &record.id), &body)?);
    Some(bytes)
}

/// Opens a session; `None` when no key of the ring sealed it for this id, or a later version did.
pub(super) fn open(
    id: &SessionId,
    bytes: &[u8],
    times: Times,
    keys: &SealingKeys,
) -> Option<SessionRecord> {
    let (version, sealed) = bytes.split_first()?;
    if *version == 0 || *version > VERSION {
        return None;
    }
    let body = Zeroizing::new(keys.open(&context(*version, id), sealed)?);
    let body: Body = serde_json::from_slice(&body).ok()?;
    Some(SessionRecord {
        id: id.clone(),
        audience: body.audience,
        identity: body.identity,
        provider_session: body.provider_session,
        refresh_token: body.refresh_token.map(Secret::from),
        id_token: Secret::from(body.id_token),
        created: body.created,
        confirmed: body.confirmed.unwrap_or(body.created),
        last_seen: times.last_seen,
        window_ends: times.window_ends,
        ends: times.ends,
    })
}

/// Binds what is sealed to its place: it cannot be passed off as another session.
fn context(version: u8, id: &SessionId) -> String {
    format!("session {version} {id}")
}

/// By which names a session is found beside its id: a hash each, since they stand in the clear.
pub(super) fn owners(record: &SessionRecord) -> Vec<String> {
    let issuer = record.identity.issuer.as_str();
    let subject = Some(owner("sub", issuer, &record.identity.subject));
    let session = record
        .provider_session
        .as_deref()
        .map(|session| owner("sid", issuer, session));
    subject.into_iter().chain(session).collect()
}

/// The name by which the sessions of a selection are found, if it is one of several sessions.
pub(super) fn owner_of(which: &Selection) -> Option<String> {
    match which {
        Selection::Subject { issuer, subject } => Some(owner("sub", issuer, subject)),
        Selection::ProviderSession { issuer, session } => Some(owner("sid", issuer, session)),
        Selection::Session(_) | Selection::Everyone => None,
    }
}

fn owner(kind: &str, issuer: &str, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [kind, issuer, name] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a session is one of a selection.
pub(super) fn is_in(record: &SessionRecord, which: &Selection) -> bool {
    match which {
        Selection::Session(id) => record.id == *id,
        Selection::Subject { issuer, subject } => {
            record.identity.issuer == *issuer && record.identity.subject == *subject
        }
        Selection::ProviderSession { issuer, session } => {
            record.identity.issuer == *issuer && record.provider_session.as_deref() == Some(session)
        }
        Selection::Everyone => true,
    }
}
