//! Logout tokens: whatever comes in place of one is taken apart or refused.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_oidc::UnverifiedLogoutToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = UnverifiedLogoutToken::parse(text).map(|token| token.issuer().map(str::len));
    }
    // Header, claims and signature, a line each, so that the fuzzer need not learn base64.
    let parts: Vec<String> = data
        .splitn(3, |byte| *byte == b'\n')
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .collect();
    let token = parts.join(".");
    if let Ok(token) = UnverifiedLogoutToken::parse(&token) {
        assert!(token.issuer().is_none_or(|issuer| !issuer.is_empty()));
        assert_eq!(parts.len(), 3);
    }
});
