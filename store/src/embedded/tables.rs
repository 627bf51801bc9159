//! The tables of the file, and changes that concern several of them.

use gatepost_session::{NumericDate, SessionId};
use redb::{MultimapTableDefinition, ReadableTable as _, TableDefinition, WriteTransaction};

use super::row::Row;
use crate::{EndOutcome, EndedSession, Revocation};

/// An error of the database or of what lies in it.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A [`Row`] by session id.
pub(super) const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// Session ids by index key.
pub(super) const OWNERS: MultimapTableDefinition<'_, &str, &str> =
    MultimapTableDefinition::new("owners");
/// When a revocation expires, by the revocation as JSON.
pub(super) const REVOKED: TableDefinition<'_, &str, u64> = TableDefinition::new("revoked");
/// When a single-use value expires.
pub(super) const USED: TableDefinition<'_, &str, u64> = TableDefinition::new("used");
/// A sealed API key with its times and usage, by its id.
pub(super) const API_KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("api_keys");
/// Single numbers: [`FORMAT_KEY`], [`REVISION_KEY`], [`WRITABLE_KEY`].
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The format of the tables.
pub(super) const FORMAT_KEY: &str = "format";
/// The revision of [`REVOKED`].
pub(super) const REVISION_KEY: &str = "revision";
/// When the file last accepted a write.
pub(super) const WRITABLE_KEY: &str = "writable";

/// The format of the tables that this version writes. Each row has the version of its session.
pub(super) const FORMAT: u64 = 1;

/// Ends sessions, and adds the revocations that `revocations` returns for them.
pub(super) fn end(
    write: &WriteTransaction,
    ids: &[String],
    revocations: impl FnOnce(&[EndedSession]) -> Vec<Revocation>,
) -> Result<EndOutcome, BoxError> {
    let mut ended = Vec::new();
    for id in ids {
        let window_ends = remove(write, id)?;
        ended.extend(
            SessionId::parse(id)
                .zip(window_ends)
                .map(|(id, window_ends)| EndedSession { id, window_ends }),
        );
    }
    let revocations = revocations(&ended);
    revoke(write, &revocations)?;
    Ok(EndOutcome { ended, revocations })
}

/// Removes a session and its index entries. Returns when its window ends.
fn remove(write: &WriteTransaction, id: &str) -> Result<Option<NumericDate>, BoxError> {
    let mut sessions = write.open_table(SESSIONS)?;
    let Some(row) = sessions.remove(id)? else {
        return Ok(None);
    };
    let Some(row) = Row::parse(row.value()) else {
        return Ok(None);
    };
    let mut owners = write.open_multimap_table(OWNERS)?;
    for key in row.index_keys {
        owners.remove(key, id)?;
    }
    Ok(Some(row.times.window_ends))
}

/// Adds revocations, and changes the revision if any of them is new.
pub(super) fn revoke(write: &WriteTransaction, revocations: &[Revocation]) -> Result<(), BoxError> {
    let mut is_changed = false;
    let mut revoked = write.open_table(REVOKED)?;
    for revocation in revocations {
        let text = serde_json::to_string(revocation)?;
        let known = revoked.insert(text.as_str(), revocation.expires().as_seconds())?;
        is_changed |= known.is_none();
    }
    if !is_changed {
        return Ok(());
    }
    let mut meta = write.open_table(META)?;
    let revision = meta.get(REVISION_KEY)?.map_or(0, |number| number.value());
    meta.insert(REVISION_KEY, revision.wrapping_add(1))?;
    Ok(())
}

/// Makes the tables of a new file, and returns the format of an existing one. `lost` is the
/// revocation of the sessions that a new file does not have.
pub(super) fn prepare(database: &redb::Database, lost: &Revocation) -> Result<u64, BoxError> {
    let write = database.begin_write()?;
    let found = {
        let mut meta = write.open_table(META)?;
        let found = meta.get(FORMAT_KEY)?.map(|format| format.value());
        if found.is_none() {
            meta.insert(FORMAT_KEY, FORMAT)?;
            // Differs from every revision of the file before.
            meta.insert(REVISION_KEY, lost.expires().as_seconds())?;
        }
        found
    };
    let format = found.unwrap_or(FORMAT);
    if format <= FORMAT {
        write.open_table(SESSIONS)?;
        write.open_multimap_table(OWNERS)?;
        let mut revoked = write.open_table(REVOKED)?;
        if found.is_none() {
            let text = serde_json::to_string(lost)?;
            revoked.insert(text.as_str(), lost.expires().as_seconds())?;
        }
        drop(revoked);
        write.open_table(USED)?;
        // Earlier versions have none, and leave it alone.
        write.open_table(API_KEYS)?;
    }
    write.commit()?;
    Ok(format)
}
