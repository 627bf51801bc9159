//! How many entries one transaction removes.

use std::time::Duration;

/// The longest that a transaction should keep others from writing. The flush of the disk is part of
/// it, whatever the transaction does.
const AIM: Duration = Duration::from_millis(4);

const FEWEST: usize = 8;
const MOST: usize = 512;

/// Chooses the size of each transaction by how long the one before took: what an entry costs depends
/// on the disk and on how many pages of the file the entries are spread over.
#[derive(Debug)]
pub(super) struct Pace {
    entries: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { entries: 32 }
    }
}

impl Pace {
    /// Takes the entries of the next transaction from the front of `remaining`.
    pub(super) fn take<'e, T>(&self, remaining: &mut &'e [T]) -> &'e [T] {
        let (batch, rest) = remaining.split_at(self.entries.min(remaining.len()));
        *remaining = rest;
        batch
    }

    /// Notes how long a transaction took from its begin to its end.
    pub(super) fn note(&mut self, took: Duration) {
        let entries = if took > AIM {
            self.entries / 2
        } else if took < AIM / 2 {
            self.entries * 2
        } else {
            self.entries
        };
        self.entries = entries.clamp(FEWEST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_shrink_where_they_take_long_and_never_vanish() {
        let entries: Vec<usize> = (0..2_000).collect();
        let mut pace = Pace::default();
        let mut sizes = Vec::new();
        let mut remaining = entries.as_slice();
        // A hundred take 10 ms, and a flush takes 1 ms of its own.
        while !remaining.is_empty() {
            let batch = pace.take(&mut remaining);
            sizes.push(batch.len());
            pace.note(Duration::from_micros(1_000 + 100 * batch.len() as u64));
        }
        assert_eq!(sizes.iter().sum::<usize>(), entries.len());
        assert!(sizes.iter().skip(2).all(|size| *size <= 32), "{sizes:?}");
        assert!(sizes.iter().skip(2).rev().skip(1).all(|size| *size >= 16));

        for _ in 0..20 {
            pace.note(Duration::from_secs(1));
        }
        assert_eq!(pace.take(&mut entries.as_slice()).len(), FEWEST);
        for _ in 0..20 {
            pace.note(Duration::ZERO);
        }
        assert_eq!(pace.take(&mut entries.as_slice()).len(), MOST);
    }
}
