//! Where the plugin's keys come from, and following them as they change.

use gatepost_session::{KeyRing, NumericDate};
use zeroize::Zeroizing;

use crate::host::{Host, Level};

/// How often a file is looked at, in seconds.
const FILE_INTERVAL_SECONDS: u64 = 10;

/// How often it is looked at while there is no ring at all, in seconds: every request fails until
/// there is one.
const RETRY_INTERVAL_SECONDS: u64 = 1;

/// The largest file, in bytes. No key ring is larger.
const MAX_FILE_BYTES: usize = 8 * 1024;

/// Where keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// The settings themselves, until they are read. Traefik shows them in its API and its debug log.
    Inline(Option<KeyRing>),
    /// An environment variable of that name.
    Env(String),
    /// A file at that path as the guest sees it.
    File(String),
}

/// The ring in use, which follows its source.
///
/// A ring stays in force until there is a better one: a file that becomes unreadable or invalid is
/// logged and leaves the last good ring.
#[derive(Debug)]
pub(crate) struct Keys {
    source: KeySource,
    ring: Option<KeyRing>,
    /// The file's content when it was last looked at, to notice a change without trusting the
    /// file's times, which a mounted volume may not keep.
    seen: Option<Zeroizing<Vec<u8>>>,
    next_look: NumericDate,
}

impl Keys {
    /// Creates keys that are read at the first [`Keys::refresh`].
    pub(crate) fn new(source: KeySource) -> Self {
        Self {
            source,
            ring: None,
            seen: None,
            next_look: NumericDate::from_seconds(0),
        }
    }

    /// Looks at the source if it is time to, and returns the ring if it is a new one.
    pub(crate) fn refresh(&mut self, host: &impl Host, now: NumericDate) -> Option<&KeyRing> {
        // A clock that was set back must not put off the next look until it has caught up.
        let far = now.plus_seconds(FILE_INTERVAL_SECONDS);
        if now < self.next_look && self.next_look <= far {
            return None;
        }
        let changed = match self.read(host) {
            Ok(None) => false,
            Ok(Some(ring)) => {
                self.ring = Some(ring);
                true
            }
            Err(problem) => {
                let (level, then) = match self.ring {
                    Some(_) => (Level::Warn, "the keys read before stay in force"),
                    None => (
                        Level::Error,
                        "every request is answered 503 until this is mended",
                    ),
                };
                host.log(level, &format!("{problem}; {then}"));
                false
            }
        };
        self.next_look = match (&self.source, &self.ring) {
            (_, None) => now.plus_seconds(RETRY_INTERVAL_SECONDS),
            (KeySource::File(_), Some(_)) => far,
            // What cannot change is not looked at again.
            (KeySource::Inline(_) | KeySource::Env(_), Some(_)) => {
                NumericDate::from_seconds(u64::MAX)
            }
        };
        if changed { self.ring.as_ref() } else { None }
    }

    /// Reads the source. `None` when nothing has changed since it was last read.
    fn read(&mut self, host: &impl Host) -> Result<Option<KeyRing>, String> {
        let (name, content) = match &mut self.source {
            KeySource::Inline(ring) => return Ok(ring.take()),
            KeySource::Env(_) if self.ring.is_some() => return Ok(None),
            KeySource::Env(name) => {
                let text = host.env(name).filter(|text| !text.is_empty()).ok_or_else(|| {
                    format!(
                        "keysEnv: the environment variable {name} is not set for the plugin: list \
                         it under `settings.envs`"
                    )
                })?;
                (name.clone(), Zeroizing::new(text.into_bytes()))
            }
            KeySource::File(path) => match host.read_file(path, MAX_FILE_BYTES) {
                Ok(content) => (format!("keysFile: {path}"), content),
                Err(error) => {
                    self.seen = None;
                    return Err(format!("keysFile: {path} cannot be read: {error}"));
                }
            },
        };
        if self.seen.as_ref() == Some(&content) && self.ring.is_some() {
            return Ok(None);
        }
        let text = core::str::from_utf8(&content).map_err(|_| format!("{name} is not text"))?;
        let ring = KeyRing::parse(text).map_err(|error| format!("{name}: {error}"))?;
        // What an environment has is never compared, and so not kept.
        if matches!(self.source, KeySource::File(_)) {
            self.seen = Some(content);
        }
        Ok(Some(ring))
    }
}
