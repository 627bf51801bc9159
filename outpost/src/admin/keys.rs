//! Answers an operator's requests about API keys.

use gatepost_store::{ApiKeyId, ApiKeyRecord, StoreKind, StoreUnavailable, StoredApiKey};

use super::admin_error::AdminError;
use super::protocol::{AdminResponse, CreatedKey, KeyRequest, KeySummary, WhichKeys};
use crate::machine_clients::{ApiKey, NewApiKey};
use crate::runtime::Outpost;
use crate::telemetry::audit;
use gatepost_base::Quoted;

/// The longest that a key may last, in seconds: ten years.
const MAX_LIFETIME: u64 = 3_650 * 24 * 3_600;

/// The longest name of a subject or a group, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The most groups of a key.
const MAX_GROUPS: usize = 100;

/// Answers a request.
///
/// # Errors
///
/// [`AdminError`].
pub(super) async fn answer(
    outpost: &Outpost,
    request: KeyRequest,
) -> Result<AdminResponse, AdminError> {
    match request {
        KeyRequest::Create(wanted) => create(outpost, wanted).await,
        KeyRequest::List { limit } => {
            let all = in_force(outpost, limit).await?;
            let records = all.iter().filter_map(|key| key.record.as_ref());
            let unreadable = all.iter().filter(|key| key.record.is_none());
            Ok(AdminResponse::Keys {
                keys: records.map(KeySummary::from).collect(),
                unreadable: unreadable.map(|key| key.id.to_string()).collect(),
            })
        }
        KeyRequest::Revoke(which) => revoke(outpost, which).await,
    }
}

async fn create(outpost: &Outpost, wanted: NewApiKey) -> Result<AdminResponse, AdminError> {
    if let Some(wrong) = what_is_wrong(outpost, &wanted) {
        return Ok(AdminResponse::Wrong(wrong));
    }
    let key = ApiKey::generate().ok_or(AdminError::NoRandomness)?;
    let record = key.record(wanted, outpost.clock.now());
    let record = record.ok_or(AdminError::NoRandomness)?;
    outpost.store.insert_api_key(record.clone()).await?;
    audit::api_key_created(&record);
    Ok(AdminResponse::CreatedKey(CreatedKey {
        key: key.expose().to_owned(),
        summary: KeySummary::from(&record),
        in_memory: outpost.snapshot().store == StoreKind::Memory,
    }))
}

/// Returns what is wrong with a key that an operator wants.
fn what_is_wrong(outpost: &Outpost, wanted: &NewApiKey) -> Option<String> {
    let names = [&wanted.subject].into_iter().chain(&wanted.email);
    for name in names.chain(&wanted.groups) {
        // What header rules would leave out, or change.
        let is_clear = name.trim() == name && !name.contains(char::is_control);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_clear {
            return Some(format!(
                "{} is not a subject, an address or a group: expected at most \
                 {MAX_NAME_BYTES} bytes without control characters, and no blank at an end",
                Quoted(name)
            ));
        }
    }
    if wanted.groups.len() > MAX_GROUPS {
        return Some(format!("expected at most {MAX_GROUPS} groups"));
    }
    if wanted.lifetime == 0 || wanted.lifetime > MAX_LIFETIME {
        return Some("a key lasts between one second and ten years".to_owned());
    }
    if wanted.applications.is_empty() {
        return Some("a key is for one application or several".to_owned());
    }
    let snapshot = outpost.snapshot();
    for name in &wanted.applications {
        let Some(application) = snapshot.applications.named(name) else {
            return Some(format!("there is no application `{name}`"));
        };
        if !application.policy().machine_clients.api_key {
            return Some(format!(
                "application `{name}` accepts no API keys: write `machines: [apiKey]`"
            ));
        }
    }
    None
}

/// Returns the keys of the store that are not revoked: a store that has lost its last writes may have
/// others.
async fn in_force(outpost: &Outpost, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
    let mut all = outpost.store.api_keys(limit).await?;
    let revocations = outpost.sessions.revoker().revocations();
    all.retain(|key| !revocations.is_api_key_revoked(&key.id));
    Ok(all)
}

async fn revoke(outpost: &Outpost, which: WhichKeys) -> Result<AdminResponse, AdminError> {
    let mut unreadable = 0;
    let selected: Vec<StoredApiKey> = match which {
        WhichKeys::Id(id) => {
            let Some(id) = ApiKeyId::parse(&id) else {
                let wrong = format!(
                    "{} is not the id of a key: `gatepost key list` shows them",
                    Quoted(&id)
                );
                return Ok(AdminResponse::Wrong(wrong));
            };
            let found = outpost.store.find_api_key(&id).await?;
            if found.is_none() {
                // The store may have lost it, and have it again: from a backup, say.
                end(outpost, &StoredApiKey { id, record: None }).await?;
            }
            found.into_iter().collect()
        }
        WhichKeys::Subject(subject) => {
            let mut all = outpost.store.api_keys(usize::MAX).await?;
            unreadable = all.iter().filter(|key| key.record.is_none()).count();
            let is_of_subject = |record: &ApiKeyRecord| record.subject == subject;
            all.retain(|key| key.record.as_ref().is_some_and(is_of_subject));
            all
        }
        WhichKeys::All => outpost.store.api_keys(usize::MAX).await?,
    };
    let mut failed = None;
    for key in &selected {
        // Each is ended, whatever becomes of those before.
        match end(outpost, key).await {
            Ok(()) => audit::api_key_revoked(&key.id, key.record.as_ref()),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(AdminResponse::RevokedKeys {
            revoked: selected.len(),
            unreadable,
        }),
    }
}

/// Ends a key.
async fn end(outpost: &Outpost, key: &StoredApiKey) -> Result<(), StoreUnavailable> {
    let latest = || outpost.clock.now().plus_seconds(MAX_LIFETIME);
    let ends = key
        .record
        .as_ref()
        .map_or_else(latest, |record| record.ends);
    let revoker = outpost.sessions.revoker();
    revoker.revoke_api_key(&key.id, ends).await
}
