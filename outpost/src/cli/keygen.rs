//! `gatepost keygen`: a new key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_session::KeyId;

use super::output::{complain, say};

pub(super) fn keygen(kid: &str) -> Option<()> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let mut tail = [0; 2];
    if let Err(error) = getrandom::fill(key.as_mut_slice()).and(getrandom::fill(&mut tail)) {
        complain(&format!("the operating system has no randomness: {error}"));
        return None;
    }
    let id = if kid.is_empty() {
        let date = chrono::Utc::now().format("%Y-%m-%d");
        format!("{date}-{:04x}", u16::from_be_bytes(tail))
    } else {
        kid.to_owned()
    };
    if KeyId::new(&id).is_none() {
        complain(&format!(
            "--kid `{id}`: expected 1 to 64 letters, digits, `.`, `_` or `-`"
        ));
        return None;
    }
    say(&format!("{id}:{}", STANDARD.encode(key.as_slice())));
    Some(())
}
