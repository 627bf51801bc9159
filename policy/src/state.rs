//! The folder in which an outpost says what its plugins must know: the names of its files, and the
//! numbers that both sides agree on.
//!
//! [`RENEWED_FILE`] has the format's number and when the outpost last renewed the folder
//! ([`renewed_text`]). [`REVOKED_FILE`] is a list of [`gatepost_session::revoked`]. Each application
//! has a file of its own in JSON ([`application_file`]), which is replaced as a whole: what one read
//! finds belongs together. It has the format's number and the application's name again, so that no
//! file is taken for another.

use alloc::format;
use alloc::string::String;

use gatepost_session::{Audience, NumericDate};

use crate::config::parse_seconds;
use crate::percent::push_encoded;

/// The number of the format. A plugin refuses a folder with another one.
pub const FORMAT: &str = "1";

/// The file that says that the folder is an outpost's, and when it was last renewed.
pub const RENEWED_FILE: &str = "gatepost-state";

/// The beginning of its line: its name and the format's number.
const LINE_START: &str = "gatepost-state 1 ";

/// The list of revoked sessions.
pub const REVOKED_FILE: &str = "revoked";

/// How the name of an application's file begins.
pub const APPLICATION_PREFIX: &str = "application-";

/// How it ends.
pub const APPLICATION_SUFFIX: &str = ".json";

/// How often the outpost renews the folder, in seconds.
pub const RENEW_SECONDS: u64 = 30;

/// After how many seconds a folder is said not to be renewed any more.
pub const STALE_SECONDS: u64 = 120;

/// The largest file of an application, in bytes.
pub const MAX_APPLICATION_BYTES: usize = 64 * 1024;

/// Returns the content of [`RENEWED_FILE`]: a line with its name, [`FORMAT`], and the seconds of
/// Unix time.
pub fn renewed_text(now: NumericDate) -> String {
    format!("{LINE_START}{}\n", now.as_seconds())
}

/// Returns when a folder was renewed by the content of [`RENEWED_FILE`]; `None` where that is cut
/// short, of another format, or something else.
pub fn renewed_at(content: &[u8]) -> Option<NumericDate> {
    let seconds = content.strip_prefix(LINE_START.as_bytes())?;
    let seconds = core::str::from_utf8(seconds.strip_suffix(b"\n")?).ok()?;
    // A number alone is one of seconds.
    let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = parse_seconds(seconds).filter(|_| is_number)?;
    Some(NumericDate::from_seconds(seconds))
}

/// Returns the name of the file of an application.
///
/// Two applications never have one file, and no name leads out of the folder: every character but
/// letters, digits, `.`, `_`, `-` and `~` is percent-encoded.
pub fn application_file(name: &Audience) -> String {
    let mut file = String::from(APPLICATION_PREFIX);
    push_encoded(&mut file, name.as_str().as_bytes());
    file.push_str(APPLICATION_SUFFIX);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row B9: part of the line is no line.
    #[test]
    fn only_a_whole_line_of_this_format_says_when_a_folder_was_renewed() {
        let now = NumericDate::from_seconds(1_800_000_000);
        let text = renewed_text(now);
        assert_eq!(text, "gatepost-state 1 1800000000\n");
        assert_eq!(renewed_at(text.as_bytes()), Some(now));
        for end in 0..text.len() {
            assert_eq!(renewed_at(&text.as_bytes()[..end]), None, "{end}");
        }
        for other in [
            "gatepost-state 2 1800000000\n",
            "gatepost-state 1 +1800000000\n",
            "gatepost-state 1 30m\n",
            "gatepost-state 1 \n",
            "gatepost-state 1 1800000000\n\n",
            "gatepost-state 1  1800000000\n",
            "gatepost-state 1 x\n",
            "1 1800000000\n",
            "\u{ff}\n",
        ] {
            assert_eq!(renewed_at(other.as_bytes()), None, "{other}");
        }
    }

    /// Row B9: an application's name is an operator's text, or authentik's.
    #[test]
    fn no_name_of_an_application_leads_out_of_the_folder() {
        for (name, expected) in [
            ("wiki", "application-wiki.json"),
            ("Wiki_2.0-a", "application-Wiki_2.0-a.json"),
            ("../x", "application-..%2Fx.json"),
            ("..", "application-...json"),
            ("/etc/passwd", "application-%2Fetc%2Fpasswd.json"),
            ("a%2Fb", "application-a%252Fb.json"),
            ("a:b", "application-a%3Ab.json"),
        ] {
            let name = Audience::new(name).expect(name);
            assert_eq!(application_file(&name), expected);
        }
    }
}
