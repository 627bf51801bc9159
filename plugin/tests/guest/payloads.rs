//! Cookies with payloads of many forms, all of them signed.
//!
//! The guest decodes and reads a payload by vector instructions where there are such; natively the
//! same crates take one byte after the other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use gatepost_session::token::encoded_header;
use gatepost_session::{KeyRing, Purpose, SessionId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::exchange::{NOW, native_gate, natively};
use super::host::Plugin;
use super::{CASES, KEY, settings, with_cookie};

/// Signs the text of a payload as it is.
fn signed(payload: &[u8]) -> Vec<u8> {
    let keys = KeyRing::parse(KEY)
        .expect("a ring")
        .derive(Purpose::Session);
    let key = keys.signing();
    let header = encoded_header(key.id());
    let mac = key.mac().compute(&[header.as_bytes(), b".", payload]);
    let mac = BASE64.encode(mac);
    [header.as_bytes(), payload, mac.as_bytes()].join(&b'.')
}

/// Generates names of users and groups: of any length, and with what JSON escapes, headers do not
/// take, or a separator.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z]{0,24}",
        2 => "[ -~]{0,40}",
        1 => ".{0,20}",
        1 => "[\"\\\\|,.\u{7f}\u{80}\u{2028}\u{1f}a]{1,20}",
    ]
}

/// Generates claims in the form that the outpost writes, in another one, and with a byte changed.
fn claims() -> impl Strategy<Value = Vec<u8>> {
    let groups = prop_oneof![vec(name(), 0..4), vec(name(), 0..60)];
    let change = prop::option::weighted(0.3, (any::<Index>(), any::<u8>()));
    (name(), name(), groups, any::<bool>(), change).prop_map(
        |(user, subject, mut groups, is_member, change)| {
            if is_member {
                groups.push("staff".into());
            }
            let text = |text: &str| json!(text).to_string();
            let id = SessionId::from_random([7; 24]);
            let mut payload = format!(
                r#"{{"iss":"https://id.example.com","sub":{},"aud":"wiki","sid":"{}","iat":{NOW},"exp":{},"rnw":{},"preferred_username":{},"groups":{}}}"#,
                text(&subject),
                id.expose(),
                NOW + 900,
                NOW + 600,
                text(&user),
                json!(groups),
            )
            .into_bytes();
            if let Some((at, to)) = change {
                let at = at.index(payload.len());
                payload[at] = to;
            }
            payload
        },
    )
}

/// Generates cookies with these claims, of which some have other characters in their encoding.
fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let change = prop::option::weighted(
        0.3,
        (any::<Index>(), select(&b"AQgw_-=+/.!@[`{:\x7f\xa0\xff"[..])),
    );
    (claims(), change, "[A-Z]{0,3}").prop_map(|(claims, change, end)| {
        let mut payload = BASE64.encode(claims).into_bytes();
        if let Some((at, to)) = change {
            payload.extend(end.bytes());
            let at = at.index(payload.len());
            payload[at] = to;
        }
        signed(&payload)
    })
}

#[test]
#[ignore = "needs the built plugin: cargo xtask test"]
fn the_guest_reads_every_payload_as_the_same_code_does_natively() {
    let settings = settings(&json!({}));
    let mut guest = Plugin::built().start(&settings);
    let mut gate = native_gate(&settings);
    let mut source = TestRunner::default();
    let mut passed = 0;
    for _ in 0..4 * CASES {
        let token = tokens().new_tree(&mut source).expect("a token").current();
        let line = [b"__Host-gatepost=", token.as_slice()].concat();
        let request = with_cookie(line);
        let outcome = guest.handle(&request).expect("no trap");
        let expected = natively(&mut gate, &request);
        let shown = String::from_utf8_lossy(&token);
        assert_eq!(outcome, expected, "{shown}");
        passed += usize::from(outcome.next);
    }
    // Enough of either kind.
    assert!((CASES / 2..3 * CASES).contains(&passed), "{passed}");
}
