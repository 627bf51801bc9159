//! Reading claims from JSON, whatever its form.
//!
//! By hand rather than derived: a derived struct can also be written as a list, which no JWT
//! library would read, and it takes `null` for an absent claim.
//!
//! And without saying what is wrong: to make an error with a text of its own, serde and its JSON
//! reader take tables and searches of 9 KB, which the plugin has no room for. What is refused is
//! `None`; where that is a list or an object that is not empty, the reader itself fails behind it.

use alloc::string::String;
use core::fmt;

use gatepost_scan::TextList;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Claims, MoreClaims, NumericDate, SessionId};

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Refusable(claims) = deserializer.deserialize_any(ClaimsVisitor)?;
        claims.ok_or_else(|| D::Error::custom("a claim is missing, repeated or of another type"))
    }
}

/// What was read, or `None` where it is refused.
pub(super) struct Refusable<T>(pub(super) Option<T>);

/// Refuses values of these types of JSON.
macro_rules! refuse {
    ($($visit:ident($type:ty)),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Refusable(None))
        })*
    };
    (null) => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Refusable(None))
        }
    };
    (list) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Ok(Refusable(None))
        }
    };
    (map) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Ok(Refusable(None))
        }
    };
}

impl<'de> Deserialize<'de> for Refusable<Claims> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClaimsVisitor)
    }
}

impl<'de> Deserialize<'de> for Refusable<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Refusable<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Refusable(Some(text.into())))
    }

    refuse!(
        visit_bool(bool),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64)
    );
    refuse!(null);
    refuse!(list);
    refuse!(map);
}

/// The value of a claim.
enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    Texts(TextList),
    Claims(MoreClaims),
}

impl<'de> Deserialize<'de> for Refusable<Value> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Refusable<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a time, a flag, or several texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Refusable(Some(Value::Text(text.into()))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Refusable(Some(Value::Number(number))))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Refusable(Some(Value::Flag(flag))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Some(TextList::default());
        while let Some(Refusable(text)) = list.next_element::<Refusable<String>>()? {
            match (&mut texts, text) {
                (Some(texts), Some(text)) => texts.push(&text),
                _ => texts = None,
            }
        }
        Ok(Refusable(texts.map(Value::Texts)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut claims = Some(MoreClaims::default());
        while let Some(Refusable(name)) = map.next_key::<Refusable<String>>()? {
            let Refusable(value) = map.next_value::<Refusable<String>>()?;
            match (&mut claims, name, value) {
                (Some(claims), Some(name), Some(value)) if claims.get(&name).is_none() => {
                    claims.0.push((name, value));
                }
                _ => claims = None,
            }
        }
        Ok(Refusable(claims.map(Value::Claims)))
    }

    refuse!(visit_i64(i64), visit_f64(f64));
    refuse!(null);
}

/// The claims read so far.
#[derive(Default)]
struct Incomplete {
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
enum Place<'c> {
    Text(&'c mut Option<String>),
    Time(&'c mut Option<u64>),
    Flag(&'c mut Option<bool>),
    Texts(&'c mut Option<TextList>),
    Claims(&'c mut Option<MoreClaims>),
}

impl Place<'_> {
    /// Fills the place, or returns `None` where it is filled already or takes another type.
    fn fill(self, value: Value) -> Option<()> {
        fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
            place.replace(value).is_none().then_some(())
        }
        match (self, value) {
            (Self::Text(place), Value::Text(text)) => once(place, text),
            (Self::Time(place), Value::Number(time)) => once(place, time),
            (Self::Flag(place), Value::Flag(flag)) => once(place, flag),
            (Self::Texts(place), Value::Texts(texts)) => once(place, texts),
            (Self::Claims(place), Value::Claims(claims)) => once(place, claims),
            _ => None,
        }
    }
}

impl Incomplete {
    /// Returns the place of the claim of that name, if this version knows it.
    fn place(&mut self, claim: &str) -> Option<Place<'_>> {
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
    fn finish(self) -> Option<Claims> {
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

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Refusable<Claims>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut claims = Incomplete::default();
        let mut accepted = Some(());
        while let Some(Refusable(claim)) = map.next_key::<Refusable<String>>()? {
            match claim.as_deref().and_then(|claim| claims.place(claim)) {
                Some(place) => {
                    let Refusable(value) = map.next_value()?;
                    let filled = value.and_then(|value| place.fill(value));
                    accepted = accepted.and(filled);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Refusable(accepted.and_then(|()| claims.finish())))
    }

    refuse!(
        visit_bool(bool),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64),
        visit_str(&str)
    );
    refuse!(null);
    refuse!(list);
}
