//! Sessions that were ended before their cookies' windows.

use std::cell::Cell;

use gatepost_session::revoked::{HEADER_BYTES, Header, is_revoked};
use gatepost_session::{Claims, NumericDate};

use crate::host::{Host, Level, ReadPart};
use crate::session_cache::VerifiedSession;

/// How often the file's first line is looked at, in seconds.
const INTERVAL_SECONDS: u64 = 2;

/// The revoked sessions: those that the settings name, and those of a file that the outpost
/// writes.
///
/// The file may be much larger than a guest should be, so it is looked into and never held: once
/// for each cookie and change of the file.
///
/// Without the file, or while it cannot be opened, a revoked session ends with its window, as it
/// does where no file is configured. Refusing everyone instead would let a mistake with a mount
/// shut all applications. A file that is there and cut short or damaged is another matter: each
/// look-up that it cannot answer is a refusal, and the outpost, which knows, decides. In the
/// outpost's folder the file is never missing while all is well, and one that is counts as damaged.
#[derive(Debug)]
pub(crate) struct Revoked {
    named: Vec<String>,
    file: Option<String>,
    /// Whether the outpost always writes the file: then one that is missing is damage, too.
    is_needed: bool,
    list: List,
    next_look: NumericDate,
    /// What the log knows of the file, which has a line for each change of that alone: there is a look
    /// every two seconds.
    said: Cell<List>,
}

/// The file as it was when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// It cannot be opened.
    Absent,
    /// Something is there that is no list.
    Damaged,
    /// A list of this generation, whole or not.
    Of(u64),
}

impl Revoked {
    /// Returns the sessions `named` and those of `file`.
    pub(crate) fn new(named: Vec<String>, file: Option<String>) -> Self {
        Self {
            named,
            file,
            is_needed: false,
            list: List::Absent,
            next_look: NumericDate::from_seconds(0),
            said: Cell::new(List::Of(0)),
        }
    }

    /// Returns the sessions `named` and those of the file in the outpost's folder.
    pub(crate) fn in_folder(named: Vec<String>, file: String) -> Self {
        Self {
            is_needed: true,
            ..Self::new(named, Some(file))
        }
    }

    /// Returns whether the session of an authentic cookie is revoked, or may be as far as can be
    /// known.
    pub(crate) fn contains(
        &mut self,
        host: &impl Host,
        session: &VerifiedSession,
        now: NumericDate,
    ) -> bool {
        let claims = session.authentic.claims_at_issue();
        if self.named.iter().any(|sid| sid == claims.sid.expose()) {
            return true;
        }
        self.look(host, now);
        let Some(path) = &self.file else { return false };
        match self.list {
            List::Absent => return false,
            List::Damaged => return true,
            List::Of(generation) if session.cleared_in.get() == Some(generation) => return false,
            List::Of(_) => {}
        }
        match host.read_parts(path, |read| Ok(look_up(claims, read))) {
            Ok(Ok((generation, revoked))) => {
                self.list = List::Of(generation);
                self.said.set(self.list);
                if !revoked {
                    session.cleared_in.set(Some(generation));
                }
                revoked
            }
            // The next look-up may be answered by a part that is there.
            Ok(Err(Unreadable(error))) => {
                self.report(host, &error, List::Damaged);
                true
            }
            Err(error) => {
                self.list = self.report(host, &error, self.missing());
                self.is_needed
            }
        }
    }

    /// Looks at the file, if there is one and it is time to.
    fn look(&mut self, host: &impl Host, now: NumericDate) {
        let far = now.plus_seconds(INTERVAL_SECONDS);
        let Some(path) = &self.file else { return };
        if now < self.next_look && self.next_look <= far {
            return;
        }
        self.next_look = far;
        let looked = host.read_parts(path, |read| Ok(header(read).map(|of| of.generation)));
        self.list = match looked {
            Ok(Ok(generation)) => List::Of(generation),
            Ok(Err(Unreadable(error))) => self.report(host, &error, List::Damaged),
            Err(error) => self.report(host, &error, self.missing()),
        };
    }

    /// Returns in a word for `gatepost check` whether the file can be read. Empty without one.
    pub(crate) fn seen(&mut self, host: &impl Host, now: NumericDate) -> &'static str {
        self.look(host, now);
        match self.list {
            _ if self.file.is_none() => "",
            List::Of(_) => "read",
            List::Absent | List::Damaged => "unread",
        }
    }

    /// Returns what a file is that cannot be opened.
    fn missing(&self) -> List {
        if self.is_needed {
            List::Damaged
        } else {
            List::Absent
        }
    }

    /// Logs the problem with the file if it is a new one, and returns `found`. It is an error where users
    /// notice nothing, too: Traefik's default level logs only errors.
    fn report(&self, host: &impl Host, error: &str, found: List) -> List {
        if self.said.replace(found) != found {
            let path = self.file.as_deref().unwrap_or_default();
            let then = match found {
                List::Absent => "revoked sessions end with their windows",
                List::Damaged | List::Of(_) => "sessions that may be in it are refused",
            };
            let line = format!("revokedFile: {path} cannot be read: {error}; {then}");
            host.log(Level::Error, &line);
        }
        found
    }
}

fn header(read: &mut ReadPart<'_>) -> Result<Header, Unreadable> {
    let line = read(0, HEADER_BYTES).map_err(Unreadable)?;
    Ok(Header::parse(&line)?)
}

fn look_up(claims: &Claims, read: &mut ReadPart<'_>) -> Result<(u64, bool), Unreadable> {
    let header = header(read)?;
    let read = |offset, length| read(offset, length).map_err(Unreadable);
    Ok((header.generation, is_revoked(claims, header, read)?))
}

/// Why the file cannot be read, as text for the log.
struct Unreadable(String);

impl From<gatepost_session::revoked::InvalidList> for Unreadable {
    fn from(error: gatepost_session::revoked::InvalidList) -> Self {
        Self(error.to_string())
    }
}
