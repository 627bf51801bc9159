//! Writing the list of revoked sessions.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use gatepost_session::revoked::{ALWAYS, Header, RevokedKey};
use gatepost_session::{NumericDate, SessionId};

/// The revoked sessions, to write as the file in which verifiers look them up: see
/// [`gatepost_session::revoked`] for its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedList {
    /// For each key the time before which a cookie must have been made to be refused.
    records: BTreeMap<RevokedKey, NumericDate>,
}

impl RevokedList {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a session's cookies, whenever they were made.
    pub fn add_session(&mut self, id: &SessionId) {
        self.records.insert(RevokedKey::session(id), ALWAYS);
    }

    /// Refuses the cookies that `key` covers and that were made at `at` or before.
    pub fn add_until(&mut self, key: RevokedKey, at: NumericDate) {
        let before = at.plus_seconds(1).min(ALWAYS);
        let record = self.records.entry(key).or_insert(before);
        *record = before.max(*record);
    }

    /// Returns the file's content.
    pub fn to_bytes(&self, generation: u64) -> Vec<u8> {
        let count = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        let mut file = Header { generation, count }.to_line();
        for (key, before) in &self.records {
            file.push_str(&key.to_line(*before));
        }
        file.into_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use gatepost_session::Claims;
    use gatepost_session::revoked::{HEADER_BYTES, InvalidList, RECORD_BYTES, is_revoked};
    use std::vec;

    fn claims(sid: u64, sub: &str, iat: u64) -> Claims {
        let mut id = [0; 24];
        id[..8].copy_from_slice(&sid.to_be_bytes());
        let iat = NumericDate::from_seconds(iat);
        Claims {
            iss: "https://id.example.com".into(),
            sub: sub.into(),
            aud: "wiki".into(),
            sid: SessionId::from_random(id),
            iat,
            exp: iat.plus_seconds(900),
            rnw: iat.plus_seconds(600),
            nbf: None,
            preferred_username: None,
            name: None,
            email: None,
            email_verified: None,
            groups: Default::default(),
            grp_more: false,
            acr: None,
            amr: Default::default(),
            auth_time: None,
            bound: false,
            ext: Default::default(),
        }
    }

    /// Looks a cookie up in a file, and counts how often it is read.
    fn look_up(file: &[u8], claims: &Claims) -> (Result<bool, InvalidList>, usize) {
        let mut reads = 0;
        let header = Header::parse(&file[..HEADER_BYTES.min(file.len())]);
        let found = header.and_then(|header| {
            is_revoked(claims, header, |offset, length| {
                reads += 1;
                let start = usize::try_from(offset).expect("small");
                Ok(file
                    .get(start..file.len().min(start + length))
                    .unwrap_or_default()
                    .to_vec())
            })
        });
        (found, reads)
    }

    #[test]
    fn each_kind_of_revocation_refuses_what_it_names_and_nothing_else() {
        let mut list = RevokedList::new();
        list.add_session(&claims(1, "", 0).sid);
        let at = NumericDate::from_seconds(1_000);
        list.add_until(RevokedKey::subject("https://id.example.com", "bob"), at);
        let file = list.to_bytes(7);
        for (case, claims, revoked) in [
            ("the session", claims(1, "alice", 5_000), true),
            ("another session", claims(2, "alice", 5_000), false),
            ("the subject, before", claims(2, "bob", 1_000), true),
            (
                "the subject, signed in since",
                claims(2, "bob", 1_001),
                false,
            ),
        ] {
            assert_eq!(look_up(&file, &claims).0, Ok(revoked), "{case}");
        }
        list.add_until(RevokedKey::all_sessions(), at);
        assert_eq!(
            look_up(&list.to_bytes(8), &claims(3, "carol", 999)).0,
            Ok(true)
        );
        assert_eq!(
            look_up(&list.to_bytes(8), &claims(3, "carol", 2_000)).0,
            Ok(false)
        );
        let nothing = RevokedList::new().to_bytes(1);
        assert_eq!(look_up(&nothing, &claims(1, "bob", 0)), (Ok(false), 0));
    }

    #[test]
    fn every_entry_of_a_long_list_is_found_with_few_reads() {
        let mut list = RevokedList::new();
        for sid in 0..10_000 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let mut most = 0;
        for sid in 0..20_000 {
            let (found, reads) = look_up(&file, &claims(sid, "alice", 0));
            assert_eq!(found, Ok(sid < 10_000), "{sid}");
            most = most.max(reads);
        }
        assert!(most <= 24, "{most} reads for three keys");
    }

    /// Row B8: wherever a file is cut, each key that is still in it is found, and each key that the
    /// missing rest may have contained is an error.
    #[test]
    fn a_look_up_in_a_cut_file_finds_the_key_or_fails() {
        let mut list = RevokedList::new();
        for sid in 0..1_000 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let header = Header::parse(&file[..HEADER_BYTES]).expect("a header");
        assert_eq!(
            header.file_bytes(),
            u64::try_from(file.len()).expect("small")
        );
        for left in [0, 1, 2, 63, 64, 65, 100, 500, 998, 999] {
            // In the middle of a line as well as between two.
            for torn in [0, 1, RECORD_BYTES - 1] {
                let cut = &file[..HEADER_BYTES + left * RECORD_BYTES + torn];
                let readable = &cut[HEADER_BYTES..HEADER_BYTES + left * RECORD_BYTES];
                let keys: Vec<&[u8]> = readable.chunks(RECORD_BYTES).collect();
                for sid in 0..1_200 {
                    let person = claims(sid, "alice", 0);
                    let key = RevokedKey::session(&person.sid);
                    let is_listed = keys.iter().any(|line| line.starts_with(key.as_bytes()));
                    let expected = match sid {
                        ..1_000 if is_listed => Ok(true),
                        ..1_000 => Err(InvalidList),
                        // Not revoked: this is known only if the places of all three keys are in
                        // the part that is left.
                        _ => {
                            let last = keys.last().copied().unwrap_or_default();
                            let wanted = [
                                key,
                                RevokedKey::subject(&person.iss, &person.sub),
                                RevokedKey::all_sessions(),
                            ];
                            let known = |key: &RevokedKey| &key.as_bytes()[..] < last;
                            if wanted.iter().all(known) {
                                Ok(false)
                            } else {
                                Err(InvalidList)
                            }
                        }
                    };
                    let found = look_up(cut, &person).0;
                    assert_eq!(found, expected, "{sid} of {left} lines and {torn} bytes");
                }
            }
        }
    }

    #[test]
    fn a_broken_file_is_an_error_and_no_answer() {
        let mut list = RevokedList::new();
        for sid in 0..100 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let person = claims(5, "alice", 0);
        for (case, broken) in [
            ("empty", vec![]),
            (
                "other version",
                b"gatepost-revoked 2 00000000000000000001 0000000000\n".to_vec(),
            ),
            ("no lines", file[..HEADER_BYTES].to_vec()),
            ("half a header", file[..HEADER_BYTES - 3].to_vec()),
            ("nothing but blanks behind the header", {
                let mut blank = file.clone();
                blank[HEADER_BYTES..].fill(b' ');
                blank
            }),
            ("zeros behind the header", {
                let mut zeros = file.clone();
                zeros[HEADER_BYTES..].fill(0);
                zeros
            }),
        ] {
            assert_eq!(look_up(&broken, &person).0, Err(InvalidList), "{case}");
        }
        assert!(InvalidList.to_string().contains("version 1"));
    }
}
