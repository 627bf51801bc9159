//! API keys in the file.

use std::collections::HashMap;

use gatepost_base::SealingKeys;
use gatepost_session::NumericDate;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::EmbeddedStore;
use super::sessions::Sessions;
use super::tables::{API_KEYS, BoxError};
use crate::api_key;
use crate::{ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, StoreUnavailable, StoredApiKey};

/// A row: when the key ends, how it was used, and the key sealed.
struct Row<'a> {
    ends: u64,
    count: u64,
    /// Zero where it was never used.
    last: u64,
    sealed: &'a [u8],
}

impl<'a> Row<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (ends, rest) = bytes.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (last, sealed) = rest.split_first_chunk::<8>()?;
        Some(Self {
            ends: u64::from_be_bytes(*ends),
            count: u64::from_be_bytes(*count),
            last: u64::from_be_bytes(*last),
            sealed,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.ends, self.count, self.last] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend_from_slice(self.sealed);
        bytes
    }

    fn usage(&self) -> ApiKeyUsage {
        ApiKeyUsage {
            count: self.count,
            last: (self.last > 0).then(|| NumericDate::from_seconds(self.last)),
        }
    }

    fn with_usage(self, usage: ApiKeyUsage) -> Self {
        Self {
            count: usage.count,
            last: usage.last.map_or(0, NumericDate::as_seconds),
            ..self
        }
    }
}

/// Returns a key and when it ends. `None` where another version wrote the row.
fn stored(id: &str, row: &[u8], keys: &SealingKeys) -> Option<(u64, StoredApiKey)> {
    let row = Row::parse(row)?;
    let stored = StoredApiKey::open(&ApiKeyId::parse(id)?, row.sealed, row.usage(), keys);
    Some((row.ends, stored))
}

impl Sessions {
    /// Removes the keys that have ended, and seals the others again that other keys have sealed than
    /// those of the ring.
    pub(super) fn sweep_api_keys(
        &self,
        database: &Database,
        now: NumericDate,
    ) -> Result<(), BoxError> {
        let keys = &self.keys.load();
        let mut ended = Vec::new();
        let mut old = Vec::new();
        for entry in database.begin_read()?.open_table(API_KEYS)?.iter()? {
            let (id, row) = entry?;
            let Some(row) = Row::parse(row.value()) else {
                continue;
            };
            if row.ends <= now.as_seconds() {
                ended.push(id.value().to_owned());
            } else if let Some(parsed) = ApiKeyId::parse(id.value())
                && api_key::sealed_again(&parsed, row.sealed, keys).is_some()
            {
                old.push(parsed);
            }
        }
        if ended.is_empty() && old.is_empty() {
            return Ok(());
        }
        let write = database.begin_write()?;
        {
            let mut table = write.open_table(API_KEYS)?;
            for id in &ended {
                table.remove(id.as_str())?;
            }
            for id in &old {
                // It may have been used or removed meanwhile.
                let again = table.get(id.as_str())?.and_then(|row| {
                    let row = Row::parse(row.value())?;
                    let sealed = api_key::sealed_again(id, row.sealed, keys)?;
                    let sealed = sealed.as_slice();
                    Some(Row { sealed, ..row }.to_bytes())
                });
                if let Some(row) = again {
                    table.insert(id.as_str(), row.as_slice())?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for EmbeddedStore {
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable> {
        self.write(move |sessions, database| {
            let sealed = api_key::seal(&record, &sessions.keys.load()).ok_or("no randomness")?;
            let row = Row {
                ends: record.ends.as_seconds(),
                count: 0,
                last: 0,
                sealed: &sealed,
            };
            let row = row.with_usage(record.usage).to_bytes();
            let write = database.begin_write()?;
            write
                .open_table(API_KEYS)?
                .insert(record.id.as_str(), row.as_slice())?;
            Ok(write.commit()?)
        })
        .await
    }

    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable> {
        let id = id.clone();
        self.read(move |sessions, database| {
            let table = database.begin_read()?.open_table(API_KEYS)?;
            let row = table.get(id.as_str())?;
            let stored = |row: &[u8]| stored(id.as_str(), row, &sessions.keys.load());
            Ok(row.and_then(|row| Some(stored(row.value())?.1)))
        })
        .await
    }

    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable> {
        let all = used.clone();
        self.write(move |_, database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(API_KEYS)?;
                for (id, usage) in all {
                    let row = table.get(id.as_str())?.and_then(|row| {
                        let row = Row::parse(row.value())?;
                        let usage = row.usage().and(usage);
                        Some(row.with_usage(usage).to_bytes())
                    });
                    if let Some(row) = row {
                        table.insert(id.as_str(), row.as_slice())?;
                    }
                }
            }
            Ok(write.commit()?)
        })
        .await?;
        used.clear();
        Ok(())
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable> {
        let id = id.clone();
        self.write(move |_, database| {
            let write = database.begin_write()?;
            let removed = write.open_table(API_KEYS)?.remove(id.as_str())?.is_some();
            write.commit()?;
            Ok(removed)
        })
        .await
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
        self.read(move |sessions, database| {
            let keys = sessions.keys.load();
            let mut all = Vec::new();
            for entry in database.begin_read()?.open_table(API_KEYS)?.iter()? {
                let (id, row) = entry?;
                all.extend(stored(id.value(), row.value(), &keys));
            }
            all.sort_by_key(|(ends, _)| *ends);
            Ok(all.into_iter().take(limit).map(|(_, key)| key).collect())
        })
        .await
    }
}
