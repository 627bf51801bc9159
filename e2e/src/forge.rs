//! Session cookies made by hand, to see them refused.
//!
//! The good ones are signed as the outpost signs, with the keys of the stack.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::{Claims, KeyRing, SessionId};
use gatepost_signing::Signer;
use serde_json::{Value, json};

use crate::keys;

/// The shape of a session cookie, and nothing behind it.
pub const MADE_UP: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImF1ZCI6ImFwcCJ9.c2lnbmVk";

/// How long a forged session lasts.
const WINDOW: Duration = Duration::from_secs(900);

/// Returns the claims of a cookie or of another signed token. Its signature is not checked.
///
/// # Errors
///
/// When it has none.
pub fn claims(token: &str) -> Result<Value> {
    let claims = token.split('.').nth(1).context("a token")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?)
}

/// Returns a cookie for this application that is in force now.
///
/// # Errors
///
/// When it cannot be signed.
pub fn valid(ring: &KeyRing, audience: &str) -> Result<String> {
    sign(ring, audience, SystemTime::now())
}

/// Returns a cookie for this application that was in force until a minute ago.
///
/// # Errors
///
/// When it cannot be signed.
pub fn expired(ring: &KeyRing, audience: &str) -> Result<String> {
    let issued = SystemTime::now() - WINDOW - Duration::from_secs(60);
    sign(ring, audience, issued)
}

/// Returns a cookie for this application in which only the key is wrong.
///
/// # Errors
///
/// When it cannot be signed.
pub fn wrong_key(audience: &str) -> Result<String> {
    valid(&KeyRing::parse(&keys::random_key("first")?)?, audience)
}

/// Returns a valid cookie with one byte of its claims changed.
///
/// # Errors
///
/// When it cannot be signed.
pub fn altered(ring: &KeyRing, audience: &str) -> Result<String> {
    let mut bytes = valid(ring, audience)?.into_bytes();
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).context("a cookie has a middle")?;
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    Ok(String::from_utf8(bytes)?)
}

fn sign(ring: &KeyRing, audience: &str, issued: SystemTime) -> Result<String> {
    let issued = issued.duration_since(UNIX_EPOCH)?;
    let mut session_id = [0; 24];
    getrandom::fill(&mut session_id).context("draw a session id")?;
    let claims: Claims = serde_json::from_value(json!({
        "iss": "http://127.0.0.1:9100",
        "sub": "248289761001",
        "aud": audience,
        "sid": SessionId::from_random(session_id).expose(),
        "iat": issued.as_secs(),
        "exp": (issued + WINDOW).as_secs(),
        "rnw": (issued + WINDOW).as_secs(),
        "preferred_username": "alice",
        "email": "alice@example.com",
        "groups": ["staff", "admins"],
    }))?;
    let signer = Signer::new(ring);
    Ok(signer.sign(&claims)?)
}
