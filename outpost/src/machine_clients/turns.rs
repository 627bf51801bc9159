//! Turns to ask a provider about credentials, shared out fairly.
//!
//! A provider that hashes passwords is slow on purpose, so not all checks run at the same time. The
//! checks of one client wait for each other, and so do the checks under one name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::rate_limit::Client;

/// How long a check waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A queue: its checks wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum QueueKey {
    /// The checks of one client.
    Client(Client),
    /// The checks under one name, by a hash of it.
    Name(u64),
}

/// The turns, and the queues for them.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    each: usize,
    patience: Duration,
    queues: Mutex<HashMap<QueueKey, Queue>>,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// How many checks have a turn or wait for one.
    here: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    _one_of_all: SemaphorePermit<'t>,
    _own: Vec<(OwnedSemaphorePermit, Place<'t>)>,
}

/// A place in a queue, until it is dropped.
#[derive(Debug)]
struct Place<'t> {
    turns: &'t Turns,
    key: QueueKey,
    queue: Arc<Semaphore>,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// The queue is full.
    Full,
    /// It took too long.
    Late,
}

impl QueueKey {
    /// Returns how many checks may be in the queue. A client enters the queue of a name only with a
    /// turn of its own queue, so that one client cannot fill it.
    fn room(self) -> usize {
        match self {
            Self::Client(_) => 32,
            Self::Name(_) => 256,
        }
    }
}

impl Turns {
    /// Returns `all` turns, of which one queue has at most `each` at a time.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Semaphore::new(all),
            each,
            patience: PATIENCE,
            queues: Mutex::default(),
        }
    }

    /// Waits for a turn in one of these queues after the other.
    ///
    /// # Errors
    ///
    /// [`NoTurn`].
    pub(super) async fn take(
        &self,
        queues: impl IntoIterator<Item = QueueKey>,
    ) -> Result<Turn<'_>, NoTurn> {
        let turn = async {
            let mut own = Vec::new();
            for key in queues {
                let place = self.queue_up(key)?;
                let turn = Arc::clone(&place.queue).acquire_owned().await;
                own.push((turn.map_err(|_| NoTurn::Late)?, place));
            }
            Ok(Turn {
                _one_of_all: self.all.acquire().await.map_err(|_| NoTurn::Late)?,
                _own: own,
            })
        };
        let turn = tokio::time::timeout(self.patience, turn).await;
        turn.unwrap_or(Err(NoTurn::Late))
    }

    fn queue_up(&self, key: QueueKey) -> Result<Place<'_>, NoTurn> {
        let mut queues = self.queues();
        let queue = queues.entry(key).or_insert_with(|| Queue {
            turns: Arc::new(Semaphore::new(self.each)),
            here: 0,
        });
        if queue.here >= key.room() {
            return Err(NoTurn::Full);
        }
        queue.here += 1;
        Ok(Place {
            turns: self,
            key,
            queue: Arc::clone(&queue.turns),
        })
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<QueueKey, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.here = queue.here.saturating_sub(1);
            if queue.here == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: QueueKey = QueueKey::Name(1);
    const OTHER: QueueKey = QueueKey::Name(2);

    fn impatient(all: usize) -> Turns {
        Turns {
            patience: Duration::from_millis(200),
            ..Turns::new(all, 2)
        }
    }

    #[tokio::test]
    async fn one_queue_cannot_have_every_turn() {
        let turns = impatient(4);
        let held = [
            turns.take([FLOOD]).await.expect("a turn"),
            turns.take([FLOOD]).await.expect("a turn"),
        ];
        assert_eq!(turns.take([FLOOD]).await.err(), Some(NoTurn::Late));
        let other = turns.take([OTHER]).await.expect("a turn");
        // Both queues count.
        assert_eq!(turns.take([OTHER, FLOOD]).await.err(), Some(NoTurn::Late));
        drop(held);
        turns.take([OTHER, FLOOD]).await.expect("a turn");
        drop(other);
        assert!(turns.queues().is_empty(), "no queue is left");
    }

    #[tokio::test]
    async fn a_client_fills_its_own_queue_and_not_that_of_a_name() {
        let turns = impatient(64);
        let client = |number| QueueKey::Client(std::net::IpAddr::from([192, 0, 2, number]).into());
        let calls = (0..100).map(|_| turns.take([client(1), FLOOD]));
        let flood = futures_util::future::join_all(calls);
        let others = async {
            tokio::task::yield_now().await;
            assert_eq!(
                turns.take([client(1)]).await.err(),
                Some(NoTurn::Full),
                "its own queue is full"
            );
            assert!(turns.queues().get(&FLOOD).is_some_and(|it| it.here <= 2));
            turns.take([client(2), OTHER]).await.expect("a turn")
        };
        let (flood, _) = tokio::join!(flood, others);
        let full = |turn: &Result<Turn<'_>, NoTurn>| turn.as_ref().err() == Some(&NoTurn::Full);
        assert_eq!(flood.iter().filter(|turn| full(turn)).count(), 100 - 32);
        drop(flood);
        assert!(turns.queues().is_empty(), "no queue is left");
    }
}
