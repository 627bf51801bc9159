//! Random ids.

use std::borrow::Cow;

use gatepost_base::hex;

/// Returns a random id.
pub(super) fn random_id() -> Cow<'static, str> {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => hex(&random).into(),
        Err(_) => "unavailable".into(),
    }
}
