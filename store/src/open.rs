//! Opens a store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_session::KeyRing;

use crate::embedded::EmbeddedStore;
use crate::error::OpenStoreError;
use crate::memory::MemoryStore;
use crate::recovery::Recovery;
use crate::redis::RedisStore;
use crate::settings::StoreSettings;
use crate::store::Store;

/// The longest time that a killed process needs to release its file.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the store of these settings.
///
/// # Errors
///
/// [`OpenStoreError`]. An unreachable Redis is not an error, because it may come back.
pub fn open(
    settings: &StoreSettings,
    ring: &KeyRing,
    recovery: Recovery,
) -> Result<Arc<dyn Store>, OpenStoreError> {
    Ok(match settings {
        StoreSettings::Memory { max_sessions } => {
            let lost = recovery.revocation();
            Arc::new(MemoryStore::new(*max_sessions).with_revocation(lost))
        }
        StoreSettings::Embedded {
            path,
            cache_bytes,
            max_sessions,
        } => Arc::new(open_when_released(|| {
            EmbeddedStore::open(path, *max_sessions, *cache_bytes, ring, recovery.clone())
        })?),
        StoreSettings::Redis {
            url,
            tls,
            prefix,
            max_sessions,
        } => Arc::new(RedisStore::new(
            url,
            tls,
            prefix,
            *max_sessions,
            ring,
            recovery,
        )),
    })
}

/// Opens a file, and waits for a process that was just killed to release it.
fn open_when_released(
    open: impl Fn() -> Result<EmbeddedStore, OpenStoreError>,
) -> Result<EmbeddedStore, OpenStoreError> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(OpenStoreError::InUse(_)) if begun.elapsed() < RELEASE_TIMEOUT => {
                std::thread::sleep(RELEASE_TIMEOUT / 50);
            }
            opened => return opened,
        }
    }
}
