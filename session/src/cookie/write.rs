//! Writing session cookies as `Set-Cookie` lines (RFC 6265 §4.1).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{CHUNK_BYTES, Candidates, CookieName, MAX_CHUNKS};

/// How an application's session cookie is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its name, without a chunk's suffix.
    pub name: CookieName,
    /// The domain whose hosts share it, in domain mode.
    pub domain: Option<String>,
    /// Whether it is sent over TLS only: whenever the external URL is https.
    pub secure: bool,
}

impl Attributes {
    /// The `Set-Cookie` values that store `token`, in chunks where it is larger than
    /// [`CHUNK_BYTES`], and remove what is left of the cookie that the request carried.
    ///
    /// The browser keeps it for `max_age` seconds: the time that the session in the store has
    /// left, which is longer than the token's window.
    pub fn issue(&self, token: &str, max_age: u64, replacing: &Candidates<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        if token.len() <= CHUNK_BYTES {
            lines.push(self.line(self.name.as_str(), token, max_age));
            let stale = (0..MAX_CHUNKS).filter(|index| replacing.has_chunk(*index));
            lines.extend(stale.map(|index| self.removal(&self.chunk_name(index))));
        } else {
            let mut rest = token;
            let mut written = 0;
            while !rest.is_empty() {
                // A token is ASCII, so every index is a character boundary.
                let (chunk, tail) = rest.split_at_checked(CHUNK_BYTES).unwrap_or((rest, ""));
                lines.push(self.line(&self.chunk_name(written), chunk, max_age));
                rest = tail;
                written += 1;
            }
            let stale = (written..MAX_CHUNKS).filter(|index| replacing.has_chunk(*index));
            lines.extend(stale.map(|index| self.removal(&self.chunk_name(index))));
            if replacing.has_whole() {
                lines.push(self.removal(self.name.as_str()));
            }
        }
        lines
    }

    /// The `Set-Cookie` values that remove the session cookie and every chunk it may have.
    pub fn remove(&self) -> Vec<String> {
        core::iter::once(self.name.as_str().to_owned())
            .chain((0..MAX_CHUNKS).map(|index| self.chunk_name(index)))
            .map(|name| self.removal(&name))
            .collect()
    }

    fn chunk_name(&self, index: usize) -> String {
        format!("{}.{index}", self.name)
    }

    fn removal(&self, name: &str) -> String {
        self.line(name, "", 0)
    }

    fn line(&self, name: &str, value: &str, max_age: u64) -> String {
        let mut line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax");
        if let Some(domain) = &self.domain {
            line.push_str("; Domain=");
            line.push_str(domain);
        }
        if self.secure {
            line.push_str("; Secure");
        }
        line
    }
}
