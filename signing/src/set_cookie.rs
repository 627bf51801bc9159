//! Writing session cookies as `Set-Cookie` lines (RFC 6265 §4.1).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::cookie::{CHUNK_BYTES, Candidates, CookieName, MAX_CHUNKS};

/// Whether a browser sends a cookie with requests that pages of other sites cause, such as those of a
/// frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrossSite {
    /// With page loads alone (`SameSite=Lax`).
    #[default]
    Withheld,
    /// With every request (`SameSite=None`). Browsers take such a cookie with `Secure` alone.
    Sent,
    /// With every request, and each site whose pages have a frame gets cookies of its own
    /// (`Partitioned`).
    Partitioned,
}

impl CrossSite {
    /// Returns the attributes that say so.
    pub fn attributes(self) -> &'static str {
        match self {
            Self::Withheld => "SameSite=Lax",
            Self::Sent => "SameSite=None",
            Self::Partitioned => "SameSite=None; Partitioned",
        }
    }
}

/// How an application's session cookie is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAttributes {
    /// Its name, without a chunk's suffix.
    pub name: CookieName,
    /// The domain whose hosts share it, in domain mode.
    pub domain: Option<String>,
    /// Whether it is sent over TLS only: whenever the external URL is https.
    pub secure: bool,
    /// Whether it is sent with requests that other sites cause. All but the default needs `secure`.
    pub cross_site: CrossSite,
}

impl CookieAttributes {
    /// Returns the `Set-Cookie` values that store `token`, in chunks where it is larger than
    /// [`CHUNK_BYTES`], and remove the chunks of the request's cookie that they do not replace.
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

    /// Returns the `Set-Cookie` values that remove the session cookie and every chunk it may have.
    ///
    /// A browser keeps partitioned cookies apart from others of the same name. Where these are
    /// partitioned, others may be left from before.
    pub fn remove(&self) -> Vec<String> {
        let others = (self.cross_site == CrossSite::Partitioned).then(|| Self {
            cross_site: CrossSite::Sent,
            ..self.clone()
        });
        core::iter::once(self)
            .chain(&others)
            .flat_map(Self::removals)
            .collect()
    }

    fn removals(&self) -> impl Iterator<Item = String> {
        core::iter::once(self.name.as_str().to_owned())
            .chain((0..MAX_CHUNKS).map(|index| self.chunk_name(index)))
            .map(|name| self.removal(&name))
    }

    fn chunk_name(&self, index: usize) -> String {
        format!("{}.{index}", self.name)
    }

    fn removal(&self, name: &str) -> String {
        self.line(name, "", 0)
    }

    fn line(&self, name: &str, value: &str, max_age: u64) -> String {
        let cross_site = self.cross_site.attributes();
        let mut line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; {cross_site}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use std::vec;

    fn name() -> CookieName {
        CookieName::new("gp").expect("name")
    }

    /// Returns the values that the candidates of this line have.
    fn values(line: &str) -> Vec<String> {
        let found = Candidates::find([line.as_bytes()], &name());
        let text = |value: alloc::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(&value).into();
        found.values().map(text).collect()
    }

    fn attributes() -> CookieAttributes {
        CookieAttributes {
            name: name(),
            domain: None,
            secure: true,
            cross_site: CrossSite::Withheld,
        }
    }

    fn issue(token: &str, request: &str) -> Vec<String> {
        let present = Candidates::find([request.as_bytes()], &name());
        attributes().issue(token, 60, &present)
    }

    #[test]
    fn a_small_token_is_one_line() {
        assert_eq!(
            issue("T", ""),
            ["gp=T; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"]
        );
        let shared = CookieAttributes {
            domain: Some("example.com".into()),
            ..attributes()
        };
        assert_eq!(
            shared.issue("T", 60, &Candidates::default()),
            ["gp=T; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Domain=example.com; Secure"]
        );
    }

    /// A browser keeps partitioned cookies apart, and removes one only by a line that says so.
    #[test]
    fn a_cookie_for_frames_is_set_and_removed_as_one() {
        let in_frames = |cross_site| CookieAttributes {
            cross_site,
            ..attributes()
        };
        let sent = in_frames(CrossSite::Sent);
        let line = "gp=T; Path=/; Max-Age=60; HttpOnly; SameSite=None; Secure";
        assert_eq!(sent.issue("T", 60, &Candidates::default()), [line]);
        let removal = "gp=; Path=/; Max-Age=0; HttpOnly; SameSite=None; Secure";
        let removed = sent.remove();
        assert_eq!((removed.len(), &*removed[0]), (6, removal));
        let partitioned = in_frames(CrossSite::Partitioned);
        let large = "x".repeat(CHUNK_BYTES + 1);
        let of_request = Candidates::find([&b"gp=G; gp.3=D"[..]], &name());
        for line in partitioned.issue(&large, 60, &of_request) {
            let end = "; HttpOnly; SameSite=None; Partitioned; Secure";
            assert!(line.ends_with(end), "{line}");
        }
        let removed = partitioned.remove();
        assert_eq!(removed.len(), 12);
        let own = "gp=; Path=/; Max-Age=0; HttpOnly; SameSite=None; Partitioned; Secure";
        assert_eq!((&*removed[0], &*removed[6]), (own, removal));
    }

    #[test]
    fn a_large_token_is_split_and_comes_back_whole() {
        for length in [CHUNK_BYTES + 1, 2 * CHUNK_BYTES, MAX_CHUNKS * CHUNK_BYTES] {
            let token: String = "abcdefghij".chars().cycle().take(length).collect();
            let lines = issue(&token, "");
            assert!(lines.iter().all(|line| line.len() <= 4_096), "{length}");
            let pairs: Vec<String> = lines
                .iter()
                .filter_map(|line| line.split_once(';'))
                .map(|p| p.0.into())
                .collect();
            assert_eq!(values(&pairs.join("; ")), [token], "{length}");
        }
    }

    #[test]
    fn what_a_new_cookie_leaves_behind_is_removed() {
        let removed = |lines: Vec<String>| -> Vec<String> {
            lines
                .iter()
                .filter(|line| line.contains("Max-Age=0;"))
                .filter_map(|line| line.split_once('=').map(|pair| pair.0.to_string()))
                .collect()
        };
        let large = "x".repeat(CHUNK_BYTES + 1);
        assert_eq!(removed(issue("T", "gp.0=A; gp.1=B")), ["gp.0", "gp.1"]);
        assert_eq!(
            removed(issue(&large, "gp=G; gp.1=B; gp.3=D")),
            ["gp.3", "gp"]
        );
        let all = vec!["gp", "gp.0", "gp.1", "gp.2", "gp.3", "gp.4"];
        assert_eq!(removed(attributes().remove()), all);
    }
}
