//! Random ids.

use std::borrow::Cow;

/// Returns a random id.
pub(super) fn random_id() -> Cow<'static, str> {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => random
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        Err(_) => "unavailable".into(),
    }
}
