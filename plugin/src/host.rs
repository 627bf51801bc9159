//! What the plugin asks of the program it runs in.

use std::borrow::Cow;

use gatepost_policy::Request;
use gatepost_session::NumericDate;

use crate::revoked::ReadPart;

/// The most that a file may have which is read as a whole, in bytes. No ring of keys has as much.
pub(crate) const MAX_FILE_BYTES: usize = 8 * 1024;

/// How important a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Why single requests were decided as they were.
    Debug,
    /// What an operator may want to count: refusals, changed keys.
    #[default]
    Info,
    /// Something works with less than it should have.
    Warn,
    /// Requests cannot be served.
    Error,
}

/// An answer that the plugin gives itself.
#[derive(Debug)]
pub struct Respond {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub body: String,
}

/// One request in the hands of the proxy, and the proxy's surroundings.
///
/// Every method may cost a call out of the guest, so each is asked at most once where that is
/// possible.
pub trait Host {
    /// Bytes that the host handed over.
    type Bytes: AsRef<[u8]>;

    /// The method as sent.
    fn method(&self) -> Self::Bytes;
    /// Path and query as they will reach the upstream, still encoded.
    fn target(&self) -> Self::Bytes;
    /// The names of the request's header fields, in lower case, each once.
    fn header_names(&self) -> Vec<Self::Bytes>;
    /// The values of one of them, a line each.
    fn header_values(&self, name: &str) -> Vec<Self::Bytes>;
    /// Replaces all lines of a request header field.
    fn set_header(&self, name: &str, value: &[u8]);
    /// Adds a line to a request header field.
    fn add_header(&self, name: &str, value: &[u8]);
    /// Removes all lines of a request header field of exactly this name, save for case.
    fn remove_header(&self, name: &[u8]);
    /// Answers the request.
    fn respond(&self, answer: Respond);
    /// The time.
    fn now(&self) -> NumericDate;
    /// The content of a file that may have 8 KiB.
    ///
    /// # Errors
    ///
    /// What to tell the operator; also of a larger file, which is never read in part.
    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        self.read_parts(path, |read| {
            let content = read(0, MAX_FILE_BYTES + 1)?;
            if content.len() > MAX_FILE_BYTES {
                return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
            }
            Ok(content)
        })
    }
    /// Opens a file and hands `use_it` a function that reads a number of bytes from an offset.
    ///
    /// # Errors
    ///
    /// What to tell the operator, or what `use_it` says.
    fn read_parts<R>(
        &self,
        path: &str,
        use_it: impl FnOnce(&mut ReadPart<'_>) -> Result<R, String>,
    ) -> Result<R, String>;
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// Writes a log line.
    fn log(&self, level: Level, message: &str);
}

/// A request as the policy sees it.
pub(crate) struct View<'h, H>(pub(crate) &'h H);

impl<H: Host> Request for View<'_, H> {
    fn method(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.method().as_ref().to_vec())
    }

    fn target(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.target().as_ref().to_vec())
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let lines = self.0.header_values(name);
        let lines: Vec<&[u8]> = lines.iter().map(AsRef::as_ref).collect();
        (!lines.is_empty()).then(|| Cow::Owned(lines.join(&b", "[..])))
    }
}

#[cfg(test)]
pub(crate) mod double;
