//! Sessions that were ended before their cookies' windows.

use gatepost_session::revoked::{HEADER_BYTES, Header, is_revoked};
use gatepost_session::{Claims, NumericDate};

use crate::host::{Host, Level};
use crate::verified::Entry;

/// How often the file's first line is looked at, in seconds.
const INTERVAL_SECONDS: u64 = 2;

/// The revoked sessions: those that the settings name, and those of a file that the outpost
/// writes.
///
/// The file may be much larger than a guest should be, so it is looked into and never held: once
/// for each cookie and change of the file.
///
/// Without the file, or while it cannot be read, a revoked session ends with its window, as it
/// does where no file is configured. Refusing everyone instead would let a mistake with a mount
/// shut all applications.
#[derive(Debug)]
pub(crate) struct Revoked {
    named: Vec<String>,
    file: Option<String>,
    /// The file's generation when it was last looked at; `None` while it cannot be read.
    generation: Option<u64>,
    next_look: NumericDate,
}

impl Revoked {
    /// The sessions `named` and those of `file`.
    pub(crate) fn new(named: Vec<String>, file: Option<String>) -> Self {
        Self {
            named,
            file,
            generation: None,
            next_look: NumericDate::from_seconds(0),
        }
    }

    /// Whether the session of an authentic cookie is revoked.
    pub(crate) fn contains(&mut self, host: &impl Host, entry: &Entry, now: NumericDate) -> bool {
        let claims = entry.authentic.claims_at_issue();
        if self.named.iter().any(|sid| sid == claims.sid.as_str()) {
            return true;
        }
        let Some(path) = &self.file else { return false };
        if now >= self.next_look || self.next_look > now.plus_seconds(INTERVAL_SECONDS) {
            self.next_look = now.plus_seconds(INTERVAL_SECONDS);
            let generation = host.read_parts(path, |read| Ok(header(read)?.generation));
            self.generation = known(host, path, self.generation, generation);
        }
        if self.generation.is_none() || entry.cleared_in.get() == self.generation {
            return false;
        }
        let looked_up = host.read_parts(path, |read| look_up(claims, read));
        let (generation, revoked) = match looked_up {
            Ok((generation, revoked)) => (Ok(generation), revoked),
            Err(error) => (Err(error), false),
        };
        self.generation = known(host, path, self.generation, generation);
        if !revoked {
            entry.cleared_in.set(self.generation);
        }
        revoked
    }
}

/// The generation now known, with a log line when the file has become unreadable or readable.
fn known(
    host: &impl Host,
    path: &str,
    before: Option<u64>,
    read: Result<u64, String>,
) -> Option<u64> {
    match read {
        Ok(generation) => Some(generation),
        Err(error) => {
            // Said again at every look while it lasts, which is not often.
            let known = if before.is_some() {
                "can no longer"
            } else {
                "cannot"
            };
            host.log(
                Level::Warn,
                &format!(
                    "revokedFile: {path} {known} be read: {error}; revoked sessions end with \
                     their windows"
                ),
            );
            None
        }
    }
}

fn header(read: &mut ReadPart<'_>) -> Result<Header, String> {
    let line = read(0, HEADER_BYTES)?;
    Header::parse(&line).map_err(|error| error.to_string())
}

fn look_up(claims: &Claims, read: &mut ReadPart<'_>) -> Result<(u64, bool), String> {
    let header = header(read)?;
    let revoked = is_revoked(claims, header, |offset, length| {
        read(offset, length).map_err(Unreadable)
    })
    .map_err(|Unreadable(error)| error)?;
    Ok((header.generation, revoked))
}

/// Reads a number of bytes from an offset of an open file.
pub type ReadPart<'r> = dyn FnMut(u64, usize) -> Result<Vec<u8>, String> + 'r;

/// Why the file cannot be read, as text for the log.
struct Unreadable(String);

impl From<gatepost_session::revoked::InvalidList> for Unreadable {
    fn from(error: gatepost_session::revoked::InvalidList) -> Self {
        Self(error.to_string())
    }
}
