//! Answers an operator's requests about API keys.

use gatepost_store::{ApiKeyId, ApiKeyRecord};

use super::admin_error::AdminError;
use super::protocol::{AdminResponse, CreatedKey, KeyRequest, KeySummary, KeyToCreate, WhichKeys};
use crate::machine_clients::{ApiKey, NewApiKey};
use crate::runtime::Outpost;
use crate::telemetry::audit;

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
            let records = outpost.store.api_keys(limit).await?;
            let all = records.iter().map(KeySummary::from);
            Ok(AdminResponse::Keys(all.collect()))
        }
        KeyRequest::Revoke(which) => revoke(outpost, which).await,
    }
}

async fn create(outpost: &Outpost, wanted: KeyToCreate) -> Result<AdminResponse, AdminError> {
    if let Some(wrong) = what_is_wrong(outpost, &wanted) {
        return Ok(AdminResponse::Wrong(wrong));
    }
    let created = outpost.clock.now();
    let key = ApiKey::generate().ok_or(AdminError::NoRandomness)?;
    let new = NewApiKey {
        subject: wanted.subject,
        email: wanted.email,
        groups: wanted.groups,
        applications: wanted.applications,
        created,
        ends: created.plus_seconds(wanted.lifetime),
    };
    let record = key.record(new).ok_or(AdminError::NoRandomness)?;
    outpost.store.insert_api_key(record.clone()).await?;
    audit::api_key_created(&record);
    Ok(AdminResponse::CreatedKey(CreatedKey {
        key: key.expose().to_owned(),
        summary: KeySummary::from(&record),
        in_memory: outpost.snapshot().in_memory,
    }))
}

/// Returns what is wrong with a key that an operator wants.
fn what_is_wrong(outpost: &Outpost, wanted: &KeyToCreate) -> Option<String> {
    let names = [&wanted.subject].into_iter().chain(&wanted.email);
    for name in names.chain(&wanted.groups) {
        // What header rules would leave out, or change.
        let is_clear = name.trim() == name && !name.contains(char::is_control);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_clear {
            return Some(format!(
                "{name:?} is not a subject, an address or a group: expected at most \
                 {MAX_NAME_BYTES} bytes without control characters, and no blank at an end"
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

async fn revoke(outpost: &Outpost, which: WhichKeys) -> Result<AdminResponse, AdminError> {
    let selected: Vec<ApiKeyRecord> = match which {
        WhichKeys::Id(id) => {
            let Some(id) = ApiKeyId::parse(&id) else {
                let wrong =
                    format!("{id:?} is not the id of a key: `gatepost key list` shows them");
                return Ok(AdminResponse::Wrong(wrong));
            };
            let found = outpost.store.find_api_key(&id).await?;
            if found.is_none() {
                // One that this outpost cannot read is there all the same.
                let ended = outpost.store.remove_api_key(&id).await?;
                return Ok(AdminResponse::Ended(usize::from(ended)));
            }
            found.into_iter().collect()
        }
        WhichKeys::Subject(subject) => {
            let mut all = outpost.store.api_keys(usize::MAX).await?;
            all.retain(|record| record.subject == subject);
            all
        }
        WhichKeys::All => outpost.store.api_keys(usize::MAX).await?,
    };
    let mut ended = 0;
    for record in &selected {
        if outpost.store.remove_api_key(&record.id).await? {
            audit::api_key_revoked(record);
            ended += 1;
        }
    }
    Ok(AdminResponse::Ended(ended))
}
