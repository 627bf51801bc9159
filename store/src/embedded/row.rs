//! A session in the file: its times, its index keys, and the session sealed.

use gatepost_session::NumericDate;

use crate::sealed::Times;

/// The length of an index key.
const INDEX_KEY_BYTES: usize = 32;

pub(super) struct Row<'a> {
    pub(super) times: Times,
    pub(super) index_keys: Vec<&'a str>,
    pub(super) sealed: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (last_seen, rest) = number(bytes)?;
        let (window_ends, rest) = number(rest)?;
        let (ends, rest) = number(rest)?;
        let (count, mut rest) = rest.split_first()?;
        let mut index_keys = Vec::new();
        for _ in 0..*count {
            let (key, after) = rest.split_at_checked(INDEX_KEY_BYTES)?;
            index_keys.push(std::str::from_utf8(key).ok()?);
            rest = after;
        }
        Some(Self {
            times: Times {
                last_seen,
                window_ends,
                ends,
            },
            index_keys,
            sealed: rest,
        })
    }

    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let Times {
            last_seen,
            window_ends,
            ends,
        } = self.times;
        let mut bytes = Vec::new();
        for time in [last_seen, window_ends, ends] {
            bytes.extend(time.as_seconds().to_be_bytes());
        }
        bytes.push(u8::try_from(self.index_keys.len()).ok()?);
        for key in &self.index_keys {
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes.extend_from_slice(self.sealed);
        Some(bytes)
    }
}

fn number(bytes: &[u8]) -> Option<(NumericDate, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let seconds = u64::from_be_bytes(*number);
    Some((NumericDate::from_seconds(seconds), rest))
}
