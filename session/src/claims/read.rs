//! Reading the payload of a cookie, in any form of JSON.
//!
//! An unknown claim is passed over; a claim that is repeated or of another type is refused.

use alloc::borrow::Cow;
use alloc::string::String;

use gatepost_scan::TextList;

use crate::json::{JsonReader, Piece};

use super::{Claims, MoreClaims, NumericDate, SessionId};

/// Reads a payload, or returns `None` where it is not a set of claims.
#[inline(never)]
pub(super) fn read(payload: &[u8]) -> Option<Claims> {
    let mut json = JsonReader::new(core::str::from_utf8(payload).ok()?);
    if json.value()? != Piece::Section {
        return None;
    }
    let mut claims = Incomplete::default();
    while let Some(claim) = json.key()? {
        match claims.place(&claim) {
            Some(place) => place.read(&mut json)?,
            None => json.skip()?,
        }
    }
    json.is_at_end().then(|| claims.finish())?
}

#[inline(never)]
fn text<'j>(json: &mut JsonReader<'j>) -> Option<Cow<'j, str>> {
    match json.value()? {
        Piece::Text(text) => Some(text),
        _ => None,
    }
}

/// Puts a value in its place, or returns `None` where there is one already.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

impl Place<'_> {
    /// Reads the value for this place, or returns `None` where it is of another type or there is
    /// one already.
    fn read(self, json: &mut JsonReader<'_>) -> Option<()> {
        match self {
            Self::Text(place) => once(place, text(json)?.into_owned()),
            Self::Time(place) => match json.value()? {
                Piece::Number(number) => once(place, number.parse().ok()?),
                _ => None,
            },
            Self::Flag(place) => match json.value()? {
                Piece::Flag(flag) => once(place, flag),
                _ => None,
            },
            Self::Texts(place) => {
                let mut texts = TextList::default();
                if json.value()? != Piece::List {
                    return None;
                }
                while json.entry()? {
                    texts.push(&text(json)?);
                }
                texts.shrink();
                once(place, texts)
            }
            Self::Claims(place) => {
                let mut claims = MoreClaims::default();
                if json.value()? != Piece::Section {
                    return None;
                }
                while let Some(name) = json.key()? {
                    if claims.get(&name).is_some() {
                        return None;
                    }
                    let value = text(json)?.into_owned();
                    claims.0.push((name.into_owned(), value));
                }
                once(place, claims)
            }
        }
    }
}

/// The claims read so far.
#[derive(Default)]
pub(super) struct Incomplete {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<String>,
    sid: Option<String>,
    iat: Option<u64>,
    exp: Option<u64>,
    rnw: Option<u64>,
    nbf: Option<u64>,
    preferred_username: Option<String>,
    name: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    groups: Option<TextList>,
    grp_more: Option<bool>,
    acr: Option<String>,
    amr: Option<TextList>,
    auth_time: Option<u64>,
    bound: Option<bool>,
    ext: Option<MoreClaims>,
}

/// Where the value of a claim goes.
pub(super) enum Place<'c> {
    Text(&'c mut Option<String>),
    Time(&'c mut Option<u64>),
    Flag(&'c mut Option<bool>),
    Texts(&'c mut Option<TextList>),
    Claims(&'c mut Option<MoreClaims>),
}

impl Incomplete {
    /// Returns the place of the claim of that name, if this version knows it.
    pub(super) fn place(&mut self, claim: &str) -> Option<Place<'_>> {
        Some(match claim {
            "iss" => Place::Text(&mut self.iss),
            "sub" => Place::Text(&mut self.sub),
            "aud" => Place::Text(&mut self.aud),
            "sid" => Place::Text(&mut self.sid),
            "iat" => Place::Time(&mut self.iat),
            "exp" => Place::Time(&mut self.exp),
            "rnw" => Place::Time(&mut self.rnw),
            "nbf" => Place::Time(&mut self.nbf),
            "preferred_username" => Place::Text(&mut self.preferred_username),
            "name" => Place::Text(&mut self.name),
            "email" => Place::Text(&mut self.email),
            "email_verified" => Place::Flag(&mut self.email_verified),
            "groups" => Place::Texts(&mut self.groups),
            "grp_more" => Place::Flag(&mut self.grp_more),
            "acr" => Place::Text(&mut self.acr),
            "amr" => Place::Texts(&mut self.amr),
            "auth_time" => Place::Time(&mut self.auth_time),
            "bound" => Place::Flag(&mut self.bound),
            "ext" => Place::Claims(&mut self.ext),
            _ => return None,
        })
    }

    /// Returns the claims, or `None` where one is missing or out of range.
    pub(super) fn finish(self) -> Option<Claims> {
        // An empty text is not a name: it would be the same for every user without one.
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let time = |seconds: u64| (seconds <= NumericDate::MAX).then_some(NumericDate(seconds));
        let optional_time = |seconds: Option<u64>| match seconds {
            Some(seconds) => time(seconds).map(Some),
            None => Some(None),
        };
        Some(Claims {
            iss: named(self.iss)?,
            sub: named(self.sub)?,
            aud: self.aud?,
            sid: SessionId::parse(&self.sid?)?,
            iat: time(self.iat?)?,
            exp: time(self.exp?)?,
            rnw: time(self.rnw?)?,
            nbf: optional_time(self.nbf)?,
            preferred_username: self.preferred_username,
            name: self.name,
            email: self.email,
            email_verified: self.email_verified,
            groups: self.groups.unwrap_or_default(),
            grp_more: self.grp_more.unwrap_or_default(),
            acr: self.acr,
            amr: self.amr.unwrap_or_default(),
            auth_time: optional_time(self.auth_time)?,
            bound: self.bound.unwrap_or_default(),
            ext: self.ext.unwrap_or_default(),
        })
    }
}
