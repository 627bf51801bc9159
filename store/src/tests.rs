//! What unit tests share.

use gatepost_base::{Identity, Secret};
use gatepost_session::{NumericDate, SessionId};

use crate::SessionRecord;

/// Returns session `number` of this user, last seen then.
pub(crate) fn record(number: u8, subject: &str, last_seen: u64) -> SessionRecord {
    let at = NumericDate::from_seconds;
    SessionRecord {
        id: SessionId::from_random([number; 24]),
        audience: "wiki".into(),
        identity: Identity {
            issuer: "https://id.example.com".into(),
            subject: subject.into(),
            ..Identity::default()
        },
        provider_session: None,
        refresh_token: None,
        access_token: None,
        id_token: Secret::new(String::new()),
        device: None,
        created: at(5),
        last_validated: at(6),
        last_seen: at(last_seen),
        window_ends: at(last_seen + 10),
        ends: at(1_000),
    }
}
