//! API keys and their records: what a client sends in the place of a key, and what a store has of one.

#![no_main]

use std::sync::LazyLock;

use gatepost::machine_clients::{ApiKey, NewApiKey};
use gatepost_base::SealingKeys;
use gatepost_fuzz::{KEY, now};
use gatepost_policy::{API_KEY_PREFIX, holds_api_key};
use gatepost_session::{KeyRing, Purpose};
use gatepost_store::{ApiKeyId, ApiKeyUsage, StoredApiKey};
use libfuzzer_sys::fuzz_target;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn keys() -> &'static SealingKeys {
    static KEYS: LazyLock<SealingKeys> = LazyLock::new(|| {
        let ring = KeyRing::parse(KEY).expect("a ring");
        SealingKeys::new(&ring, Purpose::Store)
    });
    &KEYS
}

/// Returns the key with these bytes as its id and its secret, with the checksum as `docs/api-keys.md`
/// says it.
fn with_checksum(bytes: &[u8]) -> String {
    let digits = bytes
        .iter()
        .map(|byte| char::from(DIGITS[usize::from(*byte % 62)]));
    let mut text: String = API_KEY_PREFIX.chars().chain(digits).collect();
    let mut rest = crc32fast::hash(text.as_bytes());
    for _ in 0..6 {
        text.push(char::from(DIGITS[(rest % 62) as usize]));
        rest /= 62;
    }
    text
}

/// Checks what holds of every text that is taken for a key.
fn is_a_key(text: &str, key: &ApiKey) {
    assert_eq!(key.expose(), text);
    assert_eq!(text.get(3..15), Some(key.id().as_str()));
    // What keeps keys from applications must know it, in each place where a client may write it.
    for value in [
        format!("Bearer {text}"),
        format!("Basic {}", encoded(&format!("any:{text}"))),
        format!("Basic {}", encoded(&format!("{text}:"))),
    ] {
        assert!(holds_api_key(value.as_bytes()), "{value}");
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fuzz_target!(|data: &[u8]| {
    // A line that a client sends, then what a store has.
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (sent, stored) = (lines.next().unwrap_or_default(), lines.next());
    let sent_key = std::str::from_utf8(sent).ok().and_then(|text| {
        let key = ApiKey::parse(text)?;
        is_a_key(text, &key);
        Some(key)
    });
    let made = sent.first_chunk::<44>().map(|bytes| {
        let text = with_checksum(bytes);
        let key = ApiKey::parse(&text).expect("a key with its checksum");
        is_a_key(&text, &key);
        // Another digit anywhere makes another text, which the checksum does not fit.
        let at = 3 + usize::from(bytes[0]) % 44;
        let mut other = text.into_bytes();
        other[at] = if other[at] == b'a' { b'b' } else { b'a' };
        let other = String::from_utf8(other).expect("digits");
        assert!(other == key.expose() || ApiKey::parse(&other).is_none());
        key
    });

    let id = ApiKeyId::parse("CiCiCiCiCi01").expect("an id");
    let stored = stored.unwrap_or_default();
    let open = |bytes: &[u8]| StoredApiKey::open(&id, bytes, ApiKeyUsage::default(), keys());
    let opened = open(stored);
    assert!(
        opened.record.is_none(),
        "only the ring seals a record"
    );
    // What the ring has sealed, by this version or by another.
    let sealed = keys()
        .seal_with_all("api key 2 CiCiCiCiCi01", stored)
        .expect("randomness");
    for version in [2, 3] {
        let bytes = [&[version][..], &sealed].concat();
        let opened = open(&bytes);
        assert_eq!(opened.id, id);
        assert!(version == 2 || opened.record.is_none());
        let Some(record) = opened.record else {
            continue;
        };
        for key in sent_key.iter().chain(&made) {
            assert!(!key.is_of(&record), "no MAC was made with the key");
        }
    }
    if let Some(key) = &made {
        let new = NewApiKey {
            subject: String::from_utf8_lossy(stored).into_owned(),
            email: None,
            groups: Vec::new(),
            applications: vec!["wiki".to_owned()],
            lifetime: 60,
        };
        let record = key.record(new, now()).expect("randomness");
        assert!(key.is_of(&record));
    }
});
