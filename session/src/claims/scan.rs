//! Reading claims in the very form in which Gatepost writes them.
//!
//! Nearly every payload is one that `gatepost-signing` wrote: all members in the order of
//! [`Claims`], no blanks, no escapes. Reading that form takes a fraction of the work of a JSON
//! reader. For any other form [`scan`] gives up and the JSON reader decides, so it must never read
//! a payload that the JSON reader refuses, or read it otherwise; a test of this module compares
//! the two.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Claims, MoreClaims, NumericDate, SessionId};

impl Claims {
    /// Reads the payload of a JWS, or returns `None` where it is not a set of claims.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        scan(payload).or_else(|| serde_json::from_slice(payload).ok())
    }
}

/// Reads a payload, or returns `None` where it has another form than the usual one.
fn scan(payload: &[u8]) -> Option<Claims> {
    let mut scanner = Scanner {
        json: core::str::from_utf8(payload).ok()?,
        at: 0,
    };
    let claims = Claims {
        iss: scanner.name(r#"{"iss":"#)?,
        sub: scanner.name(r#","sub":"#)?,
        aud: scanner.after(r#","aud":"#)?.text()?.into(),
        sid: SessionId::parse(scanner.after(r#","sid":"#)?.text()?)?,
        iat: scanner.after(r#","iat":"#)?.time()?,
        exp: scanner.after(r#","exp":"#)?.time()?,
        rnw: scanner.after(r#","rnw":"#)?.time()?,
        nbf: scanner.optional_time(r#","nbf":"#)?,
        preferred_username: scanner.optional_text(r#","preferred_username":"#)?,
        name: scanner.optional_text(r#","name":"#)?,
        email: scanner.optional_text(r#","email":"#)?,
        email_verified: scanner.optional_flag(r#","email_verified":"#)?,
        groups: scanner.optional_texts(r#","groups":"#)?,
        grp_more: scanner.skip(r#","grp_more":true"#),
        acr: scanner.optional_text(r#","acr":"#)?,
        amr: scanner.optional_texts(r#","amr":"#)?,
        auth_time: scanner.optional_time(r#","auth_time":"#)?,
        ext: scanner.optional_claims(r#","ext":"#)?,
    };
    (scanner.rest() == b"}").then_some(claims)
}

/// A place in a payload.
struct Scanner<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Scanner<'j> {
    /// Returns the rest that is still to be read.
    fn rest(&self) -> &'j [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Skips a byte, if it is next.
    fn skip_byte(&mut self, byte: u8) -> bool {
        let is_next = self.rest().first() == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips a literal, if it is next.
    fn skip(&mut self, literal: &str) -> bool {
        let is_next = self.rest().starts_with(literal.as_bytes());
        if is_next {
            self.at += literal.len();
        }
        is_next
    }

    /// Skips a literal, which must be next.
    fn after(&mut self, literal: &str) -> Option<&mut Self> {
        self.skip(literal).then_some(self)
    }

    /// Reads a string without escapes (RFC 8259 §7).
    fn text(&mut self) -> Option<&'j str> {
        let [b'"', text @ ..] = self.rest() else {
            return None;
        };
        for (length, byte) in text.iter().enumerate() {
            if *byte == b'"' {
                let start = self.at + 1;
                let text = self.json.get(start..start + length)?;
                self.at = start + length + 1;
                return Some(text);
            }
            if *byte == b'\\' || *byte < 0x20 {
                return None;
            }
        }
        None
    }

    /// Reads a number without fraction, exponent and leading zeros (RFC 8259 §6).
    fn time(&mut self) -> Option<NumericDate> {
        /// The digits of [`NumericDate::MAX`].
        const MAX_DIGITS: usize = 16;
        let rest = self.rest();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let (mut seconds, mut count) = (0_u64, 0);
        for digit in digits.take(MAX_DIGITS + 1) {
            // Seventeen digits are less than `u64` holds.
            seconds = seconds * 10 + u64::from(digit - b'0');
            count += 1;
        }
        let leading_zero = count > 1 && rest.first() == Some(&b'0');
        if count == 0 || count > MAX_DIGITS || leading_zero || seconds > NumericDate::MAX {
            return None;
        }
        self.at += count;
        Some(NumericDate(seconds))
    }

    /// Reads strings in brackets.
    fn texts(&mut self) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        if !self.skip_byte(b'[') {
            return None;
        }
        loop {
            texts.push(self.text()?.into());
            if self.skip_byte(b']') {
                return Some(texts);
            }
            if !self.skip_byte(b',') {
                return None;
            }
        }
    }

    /// Reads claims in braces, none of them repeated.
    fn claims(&mut self) -> Option<MoreClaims> {
        let mut claims = MoreClaims::default();
        if !self.skip_byte(b'{') {
            return None;
        }
        loop {
            let name = self.text()?;
            let value = self.after(":")?.text()?;
            if claims.get(name).is_some() {
                return None;
            }
            claims.0.push((name.into(), value.into()));
            if self.skip_byte(b'}') {
                return Some(claims);
            }
            if !self.skip_byte(b',') {
                return None;
            }
        }
    }

    /// Reads a string that must not be empty.
    fn name(&mut self, literal: &str) -> Option<String> {
        let text = self.after(literal)?.text()?;
        (!text.is_empty()).then(|| text.into())
    }

    // The outer `None` gives up; the inner one is an absent member.

    fn optional_text(&mut self, literal: &str) -> Option<Option<String>> {
        if self.skip(literal) {
            self.text().map(|text| Some(text.into()))
        } else {
            Some(None)
        }
    }

    fn optional_time(&mut self, literal: &str) -> Option<Option<NumericDate>> {
        if self.skip(literal) {
            self.time().map(Some)
        } else {
            Some(None)
        }
    }

    fn optional_flag(&mut self, literal: &str) -> Option<Option<bool>> {
        if !self.skip(literal) {
            Some(None)
        } else if self.skip("true") {
            Some(Some(true))
        } else {
            self.skip("false").then_some(Some(false))
        }
    }

    fn optional_texts(&mut self, literal: &str) -> Option<Vec<String>> {
        if self.skip(literal) {
            self.texts()
        } else {
            Some(Vec::new())
        }
    }

    fn optional_claims(&mut self, literal: &str) -> Option<MoreClaims> {
        if self.skip(literal) {
            self.claims()
        } else {
            Some(MoreClaims::default())
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod tests;
