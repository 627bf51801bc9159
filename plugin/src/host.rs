//! The plugin's view of the program that it runs in.

use std::borrow::Cow;

use gatepost_policy::{ClientAddress, Network, Request};
use gatepost_scan::find;
use gatepost_session::NumericDate;
use zeroize::Zeroizing;

/// How much of a file is read at once, in bytes.
const PART_BYTES: usize = 4 * 1024;

/// The importance of a log line.
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

/// The plugin's own response to a request.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub body: String,
}

/// How the proxy goes on with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It hands the request on, with the headers as they are now.
    Continue,
    /// Nothing more: the plugin has responded.
    Responded,
}

/// The names of header fields, or the lines of one, as the host hands them over: one after the
/// other, and a NUL after each, which is in no name or line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texts<'h>(&'h [u8]);

impl<'h> Texts<'h> {
    /// Reads the texts that the host wrote.
    pub fn new(terminated: &'h [u8]) -> Self {
        Self(terminated)
    }

    /// Returns the texts as the host wrote them.
    pub fn as_bytes(self) -> &'h [u8] {
        self.0
    }

    /// Returns the texts as one, with `separator` between them; `None` without any text.
    #[inline(never)]
    pub fn joined(self, separator: &[u8]) -> Option<Vec<u8>> {
        let mut texts = self.iter();
        let mut all = texts.next()?.to_vec();
        for text in texts {
            all.extend_from_slice(separator);
            all.extend_from_slice(text);
        }
        Some(all)
    }

    /// Returns each text without its NUL.
    pub fn iter(self) -> TextsIter<'h> {
        TextsIter(self.0)
    }

    /// Returns whether it is exactly one text.
    pub(crate) fn is_one(self) -> bool {
        find(b'\0', self.0).is_some_and(|end| end + 1 == self.0.len())
    }
}

/// The texts of [`Texts`], each without its NUL.
#[derive(Clone, Debug)]
pub struct TextsIter<'h>(&'h [u8]);

impl<'h> Iterator for TextsIter<'h> {
    type Item = &'h [u8];

    // One copy in the plugin, in place of one in every adapter over it.
    #[inline(never)]
    fn next(&mut self) -> Option<&'h [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = find(b'\0', self.0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(text)
    }
}

/// Reads a number of bytes from an offset of an open file.
pub type ReadPart<'r> = dyn FnMut(u64, usize) -> Result<Vec<u8>, String> + 'r;

/// One request in the hands of the proxy, and the proxy's surroundings.
///
/// Every method may cost a call out of the guest, so each is called at most once where that is
/// possible. The functions that take a closure lend it the host's buffer: the closure must not
/// call the host.
pub trait Host {
    /// Returns the method as sent.
    fn method(&self) -> Vec<u8>;
    /// Returns path and query as they will reach the upstream, still encoded.
    fn target(&self) -> Vec<u8>;
    /// Lends what [`Self::target`] returns.
    fn with_target<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self.target())
    }
    /// Returns address and port of the connection's other end, as the proxy has them: of the client,
    /// or of a balancer before the proxy that does not hand the client's address on.
    fn source_address(&self) -> Vec<u8>;
    /// Lends the names of the request's header fields, in lower case, each once.
    fn with_header_names<R>(&self, read: impl FnOnce(Texts<'_>) -> R) -> R;
    /// Lends the lines of one header field.
    fn with_header_lines<R>(&self, name: &str, read: impl FnOnce(Texts<'_>) -> R) -> R;
    /// Returns the lines of one header field, for [`Texts::new`].
    fn header_lines(&self, name: &str) -> Vec<u8> {
        self.with_header_lines(name, |lines| lines.as_bytes().to_vec())
    }
    /// Replaces all lines of a request header field.
    fn set_header(&self, name: &str, value: &[u8]);
    /// Adds a line to a request header field.
    fn add_header(&self, name: &str, value: &[u8]);
    /// Removes all lines of a request header field of exactly this name, without regard to case.
    fn remove_header(&self, name: &[u8]);
    /// Adds a line to a header field of the response, to which the upstream adds its own.
    fn add_response_header(&self, name: &str, value: &[u8]);
    /// Responds to the request.
    fn respond(&self, reply: Reply);
    /// Returns the time.
    fn now(&self) -> NumericDate;
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// A text for the operator; also for a larger file, which is never read in part.
    fn read_file(&self, path: &str, limit: usize) -> Result<Zeroizing<Vec<u8>>, String> {
        self.read_parts(path, |read| {
            let mut content = Zeroizing::new(Vec::new());
            loop {
                let offset = u64::try_from(content.len()).unwrap_or(u64::MAX);
                let part = Zeroizing::new(read(offset, PART_BYTES)?);
                content.extend_from_slice(&part);
                if content.len() > limit {
                    return Err(format!("larger than {limit} bytes"));
                }
                if part.len() < PART_BYTES {
                    return Ok(content);
                }
            }
        })
    }
    /// Opens a file and hands `use_it` a function that reads a number of bytes from an offset.
    ///
    /// # Errors
    ///
    /// A text for the operator, or the error of `use_it`.
    fn read_parts<R>(
        &self,
        path: &str,
        use_it: impl FnOnce(&mut ReadPart<'_>) -> Result<R, String>,
    ) -> Result<R, String>;
    /// Returns an environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// Writes a log line.
    fn log(&self, level: Level, message: &str);
}

/// A request as the policy sees it, with the networks of what may stand between the clients and the
/// proxy.
pub(crate) struct View<'h, H>(pub(crate) &'h H, pub(crate) &'h [Network]);

impl<H: Host> Request for View<'_, H> {
    fn method(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.method())
    }

    fn target(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.target())
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let joined = self.0.with_header_lines(name, |lines| lines.joined(b", "));
        joined.map(Cow::Owned)
    }

    fn client_address(&self) -> Option<ClientAddress> {
        // The proxy takes this header out of every request but those of its trusted peers: then the
        // connection is that of another proxy, and which of the addresses in the header it has
        // written is known to the operator alone.
        let is_peers = self
            .0
            .with_header_lines("x-forwarded-for", |lines| lines.iter().next().is_none());
        let peer = is_peers.then(|| ClientAddress::of_peer(&self.0.source_address()))?;
        peer.filter(|peer| !self.1.iter().any(|proxies| proxies.contains(*peer)))
    }
}

/// Returns the scheme that the browser used, as the proxy says it. WebSockets have schemes of their
/// own there.
pub(crate) fn scheme(host: &impl Host) -> &'static str {
    match first_line(host, "x-forwarded-proto").as_deref() {
        Some(b"http" | b"ws") => "http",
        _ => "https",
    }
}

/// Returns the first line of a header field.
pub(crate) fn first_line(host: &impl Host, name: &str) -> Option<Vec<u8>> {
    let lines = host.header_lines(name);
    Texts::new(&lines).iter().next().map(<[u8]>::to_vec)
}

#[cfg(test)]
pub(crate) mod double;
