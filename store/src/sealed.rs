//! The stored form of a session: a version, and the session sealed.
//!
//! The whole session is sealed, not only the provider's tokens, so a copied file or a dump of Redis
//! does not reveal who was signed in. Next to it a store keeps in the clear what it needs to find
//! and remove sessions: times and hashes.
//!
//! Version 1 has no time of the last validation; its sessions count as validated when they were
//! created. A session that a later version wrote is not read and counts as ended.
//!
//! Version 3 is that of a session for which a device is registered, version 4 that of one that is
//! bound to it. An earlier release, which would renew it without a proof, therefore reads neither.
//! All other sessions are of version 2. A store replaces no session by one of an earlier version,
//! since that was read before the device was known.

use gatepost_base::{Device, Identity, SealingKeys, Secret, hex};
use gatepost_session::{NumericDate, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{AccessToken, SessionRecord, SessionSelector};

/// The version of a session without a device.
const VERSION: u8 = 2;

/// The version of a session with a device to which it is not bound yet.
const REGISTERED_VERSION: u8 = 3;

/// The version of a session that is bound to a device.
const BOUND_VERSION: u8 = 4;

/// The session without its id and without the times that change with use, which are stored next to
/// it.
#[derive(Serialize, Deserialize)]
struct Body {
    audience: String,
    identity: Identity,
    provider_session: Option<String>,
    refresh_token: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_ends: Option<NumericDate>,
    id_token: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
    created: NumericDate,
    #[serde(default, rename = "confirmed")]
    last_validated: Option<NumericDate>,
}

/// The times that are stored next to a sealed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) last_seen: NumericDate,
    pub(crate) window_ends: NumericDate,
    pub(crate) ends: NumericDate,
}

impl Times {
    pub(crate) fn of(record: &SessionRecord) -> Self {
        Self {
            last_seen: record.last_seen,
            window_ends: record.window_ends,
            ends: record.ends,
        }
    }

    /// Returns the same as [`SessionRecord::ends_if_idle`].
    pub(crate) fn ends_if_idle(self, idle: u64) -> NumericDate {
        self.ends.min(self.last_seen.plus_seconds(idle))
    }
}

/// Seals a session. Returns `None` when the operating system provides no randomness.
pub(crate) fn seal(record: &SessionRecord, keys: &SealingKeys) -> Option<Vec<u8>> {
    let access_token = record.access_token.as_ref();
    let body = Body {
        audience: record.audience.clone(),
        identity: record.identity.clone(),
        provider_session: record.provider_session.clone(),
        refresh_token: record.refresh_token.clone().map(Secret::into_zeroizing),
        access_token: access_token.map(|access| access.token.clone().into_zeroizing()),
        access_token_ends: access_token.and_then(|access| access.ends),
        id_token: record.id_token.clone().into_zeroizing(),
        device: record.device.clone(),
        created: record.created,
        last_validated: Some(record.last_validated),
    };
    let body = Zeroizing::new(serde_json::to_vec(&body).ok()?);
    let version = match &record.device {
        None => VERSION,
        Some(device) if device.bound => BOUND_VERSION,
        Some(_) => REGISTERED_VERSION,
    };
    let mut bytes = vec![version];
    bytes.extend(keys.seal(&context(version, &record.id), &body)?);
    Some(bytes)
}

/// Opens a session. Returns `None` when no key of the ring sealed it for this id, or when a later
/// version wrote it.
pub(crate) fn open(
    id: &SessionId,
    bytes: &[u8],
    times: Times,
    keys: &SealingKeys,
) -> Option<SessionRecord> {
    let (version, sealed) = bytes.split_first()?;
    if *version == 0 || *version > BOUND_VERSION {
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
        access_token: body.access_token.map(|token| AccessToken {
            token: Secret::from(token),
            ends: body.access_token_ends,
        }),
        id_token: Secret::from(body.id_token),
        device: body.device,
        created: body.created,
        last_validated: body.last_validated.unwrap_or(body.created),
        last_seen: times.last_seen,
        window_ends: times.window_ends,
        ends: times.ends,
    })
}

/// Binds a sealed session to its id, so that it cannot be used in place of another session.
fn context(version: u8, id: &SessionId) -> String {
    format!("session {version} {}", id.expose())
}

/// Returns the index keys by which a session is found besides its id. They are stored in the clear,
/// so they are hashes.
pub(crate) fn index_keys(record: &SessionRecord) -> Vec<String> {
    let issuer = record.identity.issuer.as_str();
    let subject = Some(index_key("sub", issuer, &record.identity.subject));
    let session = record
        .provider_session
        .as_deref()
        .map(|session| index_key("sid", issuer, session));
    subject.into_iter().chain(session).collect()
}

/// Returns the index key of a selector, if it selects by subject or provider session.
pub(crate) fn index_key_of(selector: &SessionSelector) -> Option<String> {
    match selector {
        SessionSelector::Subject { issuer, subject }
        | SessionSelector::SubjectWithoutProviderSession { issuer, subject } => {
            Some(index_key("sub", issuer, subject))
        }
        SessionSelector::ProviderSession { issuer, session } => {
            Some(index_key("sid", issuer, session))
        }
        SessionSelector::Id(_) | SessionSelector::All => None,
    }
}

fn index_key(kind: &str, issuer: &str, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [kind, issuer, name] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex(hash.finalize().iter().take(16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::record;
    use gatepost_base::DeviceKey;
    use gatepost_session::{KeyRing, Purpose};

    /// Earlier releases read versions 1 and 2, and would renew such a session without a proof.
    #[test]
    fn a_bound_session_is_of_a_version_that_earlier_releases_do_not_read() {
        let ring = KeyRing::from_entries(["a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE="]);
        let keys = SealingKeys::new(&ring.expect("a ring"), Purpose::Store);
        let device = |bound| Device {
            key: DeviceKey::Es256 {
                x: "x".to_owned(),
                y: "y".to_owned(),
            },
            bound,
        };
        for (device, version) in [(None, 2), (Some(device(false)), 3), (Some(device(true)), 4)] {
            let record = SessionRecord {
                device,
                ..record(1, "alice", 10)
            };
            let sealed = seal(&record, &keys).expect("randomness");
            assert_eq!(sealed.first(), Some(&version));
            let opened = open(&record.id, &sealed, Times::of(&record), &keys);
            assert_eq!(opened, Some(record));
        }
    }
}
