//! Reading claims in the very form in which Gatepost writes them.
//!
//! Nearly every payload is one that `gatepost-signing` wrote: all members in the order of
//! [`Claims`], no blanks, no escapes. Reading that form takes a fraction of the work of a JSON
//! reader. For any other form [`scan`] gives up and the JSON reader decides, so it must never read
//! a payload that the JSON reader refuses, or read it otherwise; a test of this module compares
//! the two, and both with a JSON library.

use alloc::string::String;

use gatepost_scan::{Scanner, TextList};

use super::read::read;
use super::{Claims, MoreClaims, NumericDate, SessionId};

impl Claims {
    /// Reads the payload of a JWS, or returns `None` where it is not a set of claims.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        scan(payload).or_else(|| read(payload))
    }
}

/// Reads a payload, or returns `None` where it has another form than the usual one.
fn scan(payload: &[u8]) -> Option<Claims> {
    let mut members = Members(Scanner::new(payload)?);
    let mut claims = Claims::blank();
    claims.iss = members.name(r#"{"iss":"#)?;
    claims.sub = members.name(r#","sub":"#)?;
    claims.aud = members.text(r#","aud":"#)?.into();
    claims.sid = SessionId::parse(members.text(r#","sid":"#)?)?;
    claims.iat = members.time(r#","iat":"#)??;
    claims.exp = members.time(r#","exp":"#)??;
    claims.rnw = members.time(r#","rnw":"#)??;
    claims.nbf = members.time(r#","nbf":"#)?;
    claims.preferred_username = members.optional_text(r#","preferred_username":"#)?;
    claims.name = members.optional_text(r#","name":"#)?;
    claims.email = members.optional_text(r#","email":"#)?;
    claims.email_verified = members.optional_flag(r#","email_verified":"#)?;
    claims.groups = members.texts(r#","groups":"#)?;
    claims.grp_more = members.0.skip(r#","grp_more":true"#);
    claims.acr = members.optional_text(r#","acr":"#)?;
    claims.amr = members.texts(r#","amr":"#)?;
    claims.auth_time = members.time(r#","auth_time":"#)?;
    claims.bound = members.0.skip(r#","bound":true"#);
    claims.ext = members.claims(r#","ext":"#)?;
    (members.0.skip("}") && members.0.is_at_end()).then_some(claims)
}

/// The members of a payload, of which some are left to read.
///
/// Each function takes what stands before a member's value. The outer `None` gives up; an inner one
/// is an absent member.
struct Members<'j>(Scanner<'j>);

impl<'j> Members<'j> {
    fn text(&mut self, before: &str) -> Option<&'j str> {
        self.0.skip(before).then(|| self.0.text())?
    }

    /// Reads a string that must not be empty.
    fn name(&mut self, before: &str) -> Option<String> {
        let text = self.text(before)?;
        (!text.is_empty()).then(|| text.into())
    }

    fn optional_text(&mut self, before: &str) -> Option<Option<String>> {
        if self.0.skip(before) {
            self.0.text().map(|text| Some(text.into()))
        } else {
            Some(None)
        }
    }

    fn time(&mut self, before: &str) -> Option<Option<NumericDate>> {
        if !self.0.skip(before) {
            return Some(None);
        }
        NumericDate::exactly(self.0.number()?).map(Some)
    }

    fn optional_flag(&mut self, before: &str) -> Option<Option<bool>> {
        if !self.0.skip(before) {
            Some(None)
        } else if self.0.skip("true") {
            Some(Some(true))
        } else {
            self.0.skip("false").then_some(Some(false))
        }
    }

    fn texts(&mut self, before: &str) -> Option<TextList> {
        if self.0.skip(before) {
            self.0.texts()
        } else {
            Some(TextList::default())
        }
    }

    /// Reads claims in braces, none of them repeated.
    fn claims(&mut self, before: &str) -> Option<MoreClaims> {
        let mut claims = MoreClaims::default();
        if !self.0.skip(before) {
            return Some(claims);
        }
        let mut separator = "{";
        loop {
            let name = self.text(separator)?;
            let value = self.text(":")?;
            if claims.get(name).is_some() {
                return None;
            }
            claims.0.push((name.into(), value.into()));
            if self.0.skip("}") {
                return Some(claims);
            }
            separator = ",";
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod tests;
