//! A store whose operations are timed.

use std::sync::Arc;

use gatepost_session::{NumericDate, SessionId};

use super::{SessionRecord, SessionStore, StoreUnavailable};
use crate::config::SessionTimes;
use crate::metrics::{sessions_are, time_store};

/// Passes everything on to another store, and notes how long it took.
#[derive(Debug)]
pub struct TimedStore(pub Arc<dyn SessionStore>);

#[async_trait::async_trait]
impl SessionStore for TimedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        time_store("insert", self.0.insert(record)).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        time_store("find", self.0.find(id)).await
    }

    async fn touch(&self, id: &SessionId, now: NumericDate) -> Result<(), StoreUnavailable> {
        time_store("touch", self.0.touch(id, now)).await
    }

    async fn remove(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        time_store("remove", self.0.remove(id)).await
    }

    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let left = time_store("sweep", self.0.sweep(now, times)).await?;
        sessions_are(left);
        Ok(left)
    }
}
