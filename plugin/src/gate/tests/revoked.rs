//! Sessions that were ended before their windows.

use super::*;
use gatepost_session::revoked::{HEADER_BYTES, RECORD_BYTES};
use gatepost_signing::RevokedList;

/// A gate that looks at a file, which the test changes.
struct Followed {
    gate: Gate,
}

impl Followed {
    fn new() -> Self {
        Self {
            gate: gate(json!({"revokedFile": "/keys/revoked"})),
        }
    }

    /// Returns whether a user's session passes after so many seconds, and the lines of the log.
    fn handle(&mut self, seconds: u64, file: Option<&[u8]>, claims: &Claims) -> (bool, String) {
        let host = Double::at(NOW + seconds).with("Cookie", &cookie(claims));
        if let Some(file) = file {
            let mut files = host.files.borrow_mut();
            files.insert("/keys/revoked".into(), file.to_vec());
        }
        let passes = self.gate.handle(&host) == Flow::Continue;
        (passes, host.log.take().join(" "))
    }
}

fn session(number: u8) -> Claims {
    Claims {
        sid: SessionId::from_random([number; 24]),
        ..claims()
    }
}

#[test]
fn a_revoked_session_is_refused_within_seconds() {
    let other = session(9);
    let mut list = RevokedList::new();
    let empty = list.to_bytes(1);
    list.add_session(&claims().sid);
    let one = list.to_bytes(2);

    let mut followed = Followed::new();
    let mut handle = |seconds, file, claims: &_| followed.handle(seconds, file, claims);
    let (passes, log) = handle(0, None, &claims());
    assert!(
        passes && log.contains("cannot be read") && log.contains("end with their windows"),
        "no file yet: {log}"
    );
    assert_eq!(handle(2, Some(&empty), &claims()), (true, String::new()));
    assert!(
        handle(3, Some(&one), &claims()).0,
        "looked at every two seconds"
    );
    assert!(!handle(4, Some(&one), &claims()).0);
    assert!(!handle(5, Some(&one), &claims()).0);
    assert!(handle(5, Some(&one), &other).0, "others are not touched");
    assert!(
        handle(6, Some(&empty), &claims()).0,
        "an entry that has gone counts no more"
    );

    let named = json!({"revoked": claims().sid.expose()});
    let host = Double::at(NOW)
        .by_script()
        .with("Cookie", &cookie(&claims()));
    assert_eq!(gate(named).handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(401));
}

/// Row B8: with a partly written list no session in the list is accepted, whether or not its line
/// is left.
#[test]
fn a_list_that_was_cut_short_opens_for_no_session_in_it() {
    let mut list = RevokedList::new();
    for number in 0..100 {
        list.add_session(&session(number).sid);
    }
    let whole = list.to_bytes(2);
    let free = session(200);
    for left in [
        0,
        1,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        let mut followed = Followed::new();
        let cut = whole.get(..left).expect("shorter");
        // One after the other: what cannot be known of one must not open for the next.
        for number in 0..100 {
            let (passes, _) = followed.handle(0, Some(cut), &session(number));
            assert!(!passes, "{number} with {left} bytes left");
        }
        // A session that is not in it passes where the part that is left says so.
        let mut followed = Followed::new();
        let (passes, log) = followed.handle(2, Some(cut), &free);
        let refused = "Error: revokedFile: /keys/revoked cannot be read";
        let then = "sessions that may be in it are refused";
        assert_eq!(
            log.contains(refused) && log.contains(then),
            !passes,
            "{log}"
        );
        for seconds in [3, 4, 6, 8] {
            let (_, log) = followed.handle(seconds, Some(cut), &free);
            assert_eq!(log, "", "said once: {seconds}");
        }
        let (passes, _) = followed.handle(10, Some(&whole), &free);
        assert!(passes, "whole again");
    }
    // Lines of something else.
    let mut followed = Followed::new();
    let mut broken = whole.clone();
    broken
        .get_mut(HEADER_BYTES + RECORD_BYTES..)
        .expect("lines")
        .fill(b'x');
    assert!(!followed.handle(0, Some(&broken), &session(1)).0);
    assert!(!followed.handle(2, Some(b"junk"), &session(1)).0);
}

/// Who was found free of a list stays so until there is another.
#[test]
fn a_session_that_was_cleared_is_not_looked_up_again() {
    let empty = RevokedList::new().to_bytes(1);
    let mut followed = Followed::new();
    assert!(followed.handle(0, Some(&empty), &session(1)).0);
    assert!(followed.handle(1, None, &session(1)).0);
}

/// Traefik shows only errors unless it is told otherwise, and there is a look every two seconds.
#[test]
fn a_list_that_cannot_be_opened_is_an_error_of_which_the_log_has_one_line() {
    let empty = RevokedList::new().to_bytes(1);
    let mut followed = Followed::new();
    let line = "Error: revokedFile: /keys/revoked cannot be read";
    for (seconds, file, expected) in [
        (0, None, Some("revoked sessions end with their windows")),
        (2, None, None),
        (100, None, None),
        // What follows of it is another.
        (
            102,
            Some(&b"junk"[..]),
            Some("sessions that may be in it are refused"),
        ),
        (104, Some(&empty), None),
        (106, None, Some("revoked sessions end with their windows")),
    ] {
        let (_, log) = followed.handle(seconds, file, &claims());
        let is_said = log.matches(line).count() == 1;
        assert_eq!(is_said, expected.is_some(), "{seconds}: {log}");
        assert!(
            log.contains(expected.unwrap_or_default()),
            "{seconds}: {log}"
        );
    }
}

#[test]
fn a_probe_learns_whether_the_list_can_be_read() {
    let probe = Claims {
        sid: SessionId::probe(),
        exp: NumericDate::from_seconds(NOW - 1),
        ..claims()
    };
    let empty = RevokedList::new().to_bytes(1);
    let with_file = json!({"revokedFile": "/keys/revoked"});
    for (settings, file, expected) in [
        (json!({}), None, ""),
        (with_file.clone(), None, "unread"),
        (with_file.clone(), Some(&b"junk"[..]), "unread"),
        (with_file, Some(&empty), "read"),
    ] {
        let host = Double::at(NOW).by_script().with("Cookie", &cookie(&probe));
        if let Some(file) = file {
            let mut files = host.files.borrow_mut();
            files.insert("/keys/revoked".into(), file.to_vec());
        }
        assert_eq!(gate(settings).handle(&host), Flow::Responded);
        let body: serde_json::Value = serde_json::from_str(&host.body()).expect("JSON");
        assert_eq!(body["revokedFile"], expected);
    }
}
