//! A session in the file: the times, by whom it is found, and the session sealed.

use gatepost_session::NumericDate;

use crate::sealed::Times;

/// The length of an owner's name.
const OWNER_BYTES: usize = 32;

pub(super) struct Row<'a> {
    pub(super) times: Times,
    pub(super) owners: Vec<&'a str>,
    pub(super) sealed: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (last_seen, rest) = number(bytes)?;
        let (window_ends, rest) = number(rest)?;
        let (ends, rest) = number(rest)?;
        let (count, mut rest) = rest.split_first()?;
        let mut owners = Vec::new();
        for _ in 0..*count {
            let (owner, after) = rest.split_at_checked(OWNER_BYTES)?;
            owners.push(std::str::from_utf8(owner).ok()?);
            rest = after;
        }
        Some(Self {
            times: Times {
                last_seen,
                window_ends,
                ends,
            },
            owners,
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
        bytes.push(u8::try_from(self.owners.len()).ok()?);
        for owner in &self.owners {
            bytes.extend_from_slice(owner.as_bytes());
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
