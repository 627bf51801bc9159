//! Reading the payload of a cookie, in any form of JSON.
//!
//! An unknown claim is passed over; a claim that is repeated or of another type is refused.

use alloc::string::String;

use gatepost_scan::TextList;

use crate::json::{JsonReader, Piece};

use super::{Claims, MoreClaims, NumericDate, SessionId};

/// Reads a payload, or returns `None` where it is not a set of claims.
#[inline(never)]
pub(super) fn read(payload: &[u8]) -> Option<Claims> {
    let mut json = JsonReader::new(core::str::from_utf8(payload).ok()?);
    let Piece::Section = json.value()? else {
        return None;
    };
    let mut claims = Incomplete::new();
    while let Some(claim) = json.key()? {
        match claims.place(&claim) {
            Some(place) => place.read(&mut json)?,
            None => json.skip()?,
        }
    }
    json.is_at_end().then(|| claims.finish())?
}

#[inline(never)]
fn text(json: &mut JsonReader<'_>) -> Option<String> {
    match json.value()? {
        Piece::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

fn time(json: &mut JsonReader<'_>) -> Option<NumericDate> {
    match json.value()? {
        Piece::Number(number) => NumericDate::exactly(number.parse().ok()?),
        _ => None,
    }
}

fn flag(json: &mut JsonReader<'_>) -> Option<bool> {
    match json.value()? {
        Piece::Flag(flag) => Some(flag),
        _ => None,
    }
}

/// The claims read so far.
pub(super) struct Incomplete {
    claims: Claims,
    /// Which of them were read, as bits.
    read: u32,
}

/// The bits of the claims that every session has.
const NEEDED: u32 = 0b111_1111;

/// Where the value of a claim goes.
pub(super) enum Place<'c> {
    Text(&'c mut String),
    OptionalText(&'c mut Option<String>),
    SessionId(&'c mut SessionId),
    Time(&'c mut NumericDate),
    OptionalTime(&'c mut Option<NumericDate>),
    Flag(&'c mut bool),
    OptionalFlag(&'c mut Option<bool>),
    Texts(&'c mut TextList),
    Claims(&'c mut MoreClaims),
    /// Nowhere: the claim was read before.
    Taken,
}

impl Place<'_> {
    /// Reads the value for this place, or returns `None` where it is of another type or out of range,
    /// or there is one already.
    fn read(self, json: &mut JsonReader<'_>) -> Option<()> {
        match self {
            Self::Text(place) => *place = text(json)?,
            Self::OptionalText(place) => *place = Some(text(json)?),
            Self::SessionId(place) => *place = SessionId::parse(&text(json)?)?,
            Self::Time(place) => *place = time(json)?,
            Self::OptionalTime(place) => *place = Some(time(json)?),
            Self::Flag(place) => *place = flag(json)?,
            Self::OptionalFlag(place) => *place = Some(flag(json)?),
            Self::Texts(texts) => {
                let Piece::List = json.value()? else {
                    return None;
                };
                while json.entry()? {
                    texts.push(&text(json)?);
                }
                texts.shrink();
            }
            Self::Claims(claims) => {
                let Piece::Section = json.value()? else {
                    return None;
                };
                while let Some(name) = json.key()? {
                    if claims.get(&name).is_some() {
                        return None;
                    }
                    claims.0.push((name.into_owned(), text(json)?));
                }
            }
            Self::Taken => return None,
        }
        Some(())
    }
}

impl Incomplete {
    /// Begins without any.
    pub(super) fn new() -> Self {
        Self {
            claims: Claims::blank(),
            read: 0,
        }
    }

    /// Returns the place of the claim of that name, if this version knows it.
    pub(super) fn place(&mut self, claim: &str) -> Option<Place<'_>> {
        let own = &mut self.claims;
        let (bit, place) = match claim {
            "iss" => (0, Place::Text(&mut own.iss)),
            "sub" => (1, Place::Text(&mut own.sub)),
            "aud" => (2, Place::Text(&mut own.aud)),
            "sid" => (3, Place::SessionId(&mut own.sid)),
            "iat" => (4, Place::Time(&mut own.iat)),
            "exp" => (5, Place::Time(&mut own.exp)),
            "rnw" => (6, Place::Time(&mut own.rnw)),
            "nbf" => (7, Place::OptionalTime(&mut own.nbf)),
            "preferred_username" => (8, Place::OptionalText(&mut own.preferred_username)),
            "name" => (9, Place::OptionalText(&mut own.name)),
            "email" => (10, Place::OptionalText(&mut own.email)),
            "email_verified" => (11, Place::OptionalFlag(&mut own.email_verified)),
            "groups" => (12, Place::Texts(&mut own.groups)),
            "grp_more" => (13, Place::Flag(&mut own.grp_more)),
            "acr" => (14, Place::OptionalText(&mut own.acr)),
            "amr" => (15, Place::Texts(&mut own.amr)),
            "auth_time" => (16, Place::OptionalTime(&mut own.auth_time)),
            "bound" => (17, Place::Flag(&mut own.bound)),
            "ext" => (18, Place::Claims(&mut own.ext)),
            _ => return None,
        };
        let before = self.read;
        self.read |= 1 << bit;
        if before == self.read {
            return Some(Place::Taken);
        }
        Some(place)
    }

    /// Returns the claims, or `None` where one is missing.
    pub(super) fn finish(self) -> Option<Claims> {
        let Self { claims, read } = self;
        // An empty text is not a name: it would be the same for every user without one.
        let named = !claims.iss.is_empty() && !claims.sub.is_empty();
        (named && read & NEEDED == NEEDED).then_some(claims)
    }
}
