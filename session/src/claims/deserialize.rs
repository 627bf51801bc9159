//! Claims from any format that serde reads, for programs other than verifiers: a verifier reads the
//! payload of a cookie with [`Claims::read`](super::Claims::read), and the tests compare the two.
//!
//! By hand rather than derived: a derived struct can also be written as a list, which no JWT
//! library would read, and it takes `null` for an absent claim. What is refused is `None`; where
//! that is a list or an object that is not empty, the reader itself fails behind it.

use alloc::string::String;
use core::fmt;

use gatepost_scan::TextList;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::read::{Incomplete, Place};
use super::{Claims, MoreClaims, NumericDate, SessionId};

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Refusable(claims) = deserializer.deserialize_any(ClaimsVisitor)?;
        claims.ok_or_else(|| D::Error::custom("a claim is missing, repeated or of another type"))
    }
}

/// What was read, or `None` where it is refused.
struct Refusable<T>(Option<T>);

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

impl<'de> Deserialize<'de> for Refusable<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Refusable(value) = Refusable::deserialize(deserializer)?;
        Ok(Self(match value {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }))
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

impl Place<'_> {
    /// Fills the place, or returns `None` where it is filled already, takes another type, or the value
    /// is out of range.
    fn fill(self, value: Value) -> Option<()> {
        match (self, value) {
            (Self::Text(place), Value::Text(text)) => *place = text,
            (Self::OptionalText(place), Value::Text(text)) => *place = Some(text),
            (Self::SessionId(place), Value::Text(text)) => *place = SessionId::parse(&text)?,
            (Self::Time(place), Value::Number(time)) => *place = NumericDate::exactly(time)?,
            (Self::OptionalTime(place), Value::Number(time)) => {
                *place = Some(NumericDate::exactly(time)?);
            }
            (Self::Flag(place), Value::Flag(flag)) => *place = flag,
            (Self::OptionalFlag(place), Value::Flag(flag)) => *place = Some(flag),
            (Self::Texts(place), Value::Texts(texts)) => *place = texts,
            (Self::Claims(place), Value::Claims(claims)) => *place = claims,
            _ => return None,
        }
        Some(())
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Refusable<Claims>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut claims = Incomplete::new();
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
