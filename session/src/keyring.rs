//! The ring of secrets that sign and verify, and the keys derived from it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::claims::Audience;
use crate::token::BASE64;

/// The shortest secret a ring accepts, in bytes: the output size of SHA-256, below which an HMAC
/// key weakens the MAC (RFC 2104 §3, RFC 7518 §3.2).
pub const MIN_KEY_BYTES: usize = 32;

/// The most keys a ring holds. A rotation needs two; each further one costs a derivation at start.
const MAX_KEYS: usize = 16;

/// The longest key id, in bytes.
const MAX_KEY_ID_BYTES: usize = 64;

/// The `info` input of HKDF for the words of [`KeyRing::verdicts`], with the application's name
/// after it.
const VERDICT_INFO: &[u8] = b"gatepost verdict v1 ";

/// The length of such a word before it is encoded, in bytes: 128 bits, which no client guesses.
const VERDICT_BYTES: usize = 16;

/// The name of a key, sent in the clear as `kid` in every cookie (RFC 7515 §4.1.4).
///
/// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, so that it needs no escaping in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a key id, or returns `None` when it is empty, too long or has other characters.
    pub fn new(text: &str) -> Option<Self> {
        let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!text.is_empty() && text.len() <= MAX_KEY_ID_BYTES && text.bytes().all(accepted))
            .then(|| Self(text.into()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a derived key is for. Each purpose has its own key, so that whatever leaks from or is
/// accepted by one use of the secret cannot forge another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing and verifying session cookies.
    Session,
    /// Encrypting the state of a sign-in that is under way.
    Flow,
    /// Encrypting refresh and ID tokens in the session store.
    Store,
}

impl Purpose {
    /// The `info` input of HKDF (RFC 5869 §3.2). Part of the format: changing one of these
    /// invalidates what was made with it.
    fn info(self) -> &'static [u8] {
        match self {
            Self::Session => b"gatepost session v1",
            Self::Flow => b"gatepost flow v1",
            Self::Store => b"gatepost store v1",
        }
    }
}

/// A 32-byte key derived from one secret of the ring for one [`Purpose`]. Wiped when dropped.
#[derive(Clone)]
pub struct DerivedKey {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl DerivedKey {
    /// The id of the secret it was derived from.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key itself.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DerivedKey({}, redacted)", self.id)
    }
}

/// An ordered list of secrets: the first signs, all verify.
///
/// A key is rotated by putting a new one in front, and retired by removing it from the end once
/// nothing signed with it is still in force.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    id: KeyId,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Derives bytes with HKDF-SHA256 (RFC 5869), no salt. It refuses only outputs over 255 blocks,
    /// and none here is longer than one.
    fn expand(&self, info: &[&[u8]], bytes: &mut [u8]) -> bool {
        let hkdf = Hkdf::<Sha256>::new(None, &self.bytes);
        hkdf.expand_multi_info(info, bytes).is_ok()
    }
}

impl KeyRing {
    /// Parses a ring from text: one `kid:base64` entry a line (or comma-separated, the form that
    /// an environment variable takes). Blank lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    ///
    /// Names the entry by its position and key id, never by its secret.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        Self::from_entries(
            text.lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .flat_map(|line| line.split(','))
                .map(str::trim)
                .filter(|entry| !entry.is_empty()),
        )
    }

    /// Builds a ring from `kid:base64` entries, the signing key first. The base64 may be of the
    /// standard or the URL-safe alphabet, with or without padding (RFC 4648 §4 and §5).
    ///
    /// # Errors
    ///
    /// See [`KeyRingError`].
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeyRingError> {
        let mut keys: Vec<Secret> = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let position = index + 1;
            let (id, encoded) = entry
                .trim()
                .split_once(':')
                .ok_or(KeyRingError::MissingKeyId { position })?;
            let id = KeyId::new(id).ok_or(KeyRingError::InvalidKeyId { position })?;
            let bytes = decode_secret(encoded.trim())
                .ok_or_else(|| KeyRingError::InvalidBase64 { id: id.clone() })?;
            if bytes.len() < MIN_KEY_BYTES {
                return Err(KeyRingError::ShortKey {
                    id,
                    bytes: bytes.len(),
                });
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(KeyRingError::DuplicateKeyId { id });
            }
            if keys.len() == MAX_KEYS {
                return Err(KeyRingError::TooManyKeys);
            }
            keys.push(Secret { id, bytes });
        }
        if keys.is_empty() {
            Err(KeyRingError::Empty)
        } else {
            Ok(Self { keys })
        }
    }

    /// This ring with the key of that id in front, so that it signs; `None` if it has no such key.
    pub fn signing_with(&self, id: &KeyId) -> Option<Self> {
        let mut keys = self.keys.clone();
        let at = keys.iter().position(|key| key.id == *id)?;
        keys.get_mut(..=at)?.rotate_right(1);
        Some(Self { keys })
    }

    /// Derives the keys for one purpose with HKDF-SHA256 (RFC 5869), no salt, in ring order.
    pub fn derive(&self, purpose: Purpose) -> Vec<DerivedKey> {
        self.keys
            .iter()
            .filter_map(|secret| {
                let mut bytes = Zeroizing::new([0; 32]);
                // Were it ever to fail, the zero key must not be used, so the entry is dropped.
                secret
                    .expand(&[purpose.info()], bytes.as_mut_slice())
                    .then(|| DerivedKey {
                        id: secret.id.clone(),
                        bytes,
                    })
            })
            .collect()
    }

    /// The words for "allowed" between the plugin and the routers behind it, in ring order: one
    /// that is routed around the plugin does not let a client in who makes a verdict up.
    ///
    /// Each key has its own, so that while keys are rotated a router may still know the old one.
    pub fn verdicts(&self, application: &Audience) -> Vec<String> {
        let word = |secret: &Secret| {
            let mut bytes = [0; VERDICT_BYTES];
            secret
                .expand(&[VERDICT_INFO, application.as_str().as_bytes()], &mut bytes)
                .then(|| BASE64.encode(bytes))
        };
        self.keys.iter().filter_map(word).collect()
    }

    /// The key ids in ring order: the first one signs.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|key| &key.id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.key_ids().map(KeyId::as_str))
            .finish()
    }
}

/// Decodes a secret of either alphabet, padded or not.
fn decode_secret(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    const FORM: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, FORM);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, FORM);
    // Whether it has one of the two characters in which they differ tells which it is.
    let engine = if encoded.bytes().any(|b| matches!(b, b'-' | b'_')) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(encoded).ok().map(Zeroizing::new)
}

/// Why a text is not a key ring. No message contains any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is no key at all.
    Empty,
    /// An entry has no `kid:` in front; positions count from 1.
    MissingKeyId {
        /// The entry's place in the list, from 1.
        position: usize,
    },
    /// A key id is empty, longer than 64 bytes or has characters outside `A-Z a-z 0-9 . _ -`.
    InvalidKeyId {
        /// The entry's place in the list, from 1.
        position: usize,
    },
    /// What follows `kid:` is not base64.
    InvalidBase64 {
        /// The entry's key id.
        id: KeyId,
    },
    /// The decoded secret is shorter than [`MIN_KEY_BYTES`].
    ShortKey {
        /// The entry's key id.
        id: KeyId,
        /// The decoded length.
        bytes: usize,
    },
    /// Two entries have one key id, so it would be unclear which verifies.
    DuplicateKeyId {
        /// The repeated key id.
        id: KeyId,
    },
    /// More than 16 keys.
    TooManyKeys,
}

impl fmt::Display for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORM: &str = "expected `kid:base64`, one a line, the signing key first";
        match self {
            Self::Empty => write!(f, "no key: {FORM}"),
            Self::MissingKeyId { position } => {
                write!(f, "key {position} has no key id: {FORM}")
            }
            Self::InvalidKeyId { position } => write!(
                f,
                "key {position} has an invalid key id: expected 1 to {MAX_KEY_ID_BYTES} \
                 characters of A-Z a-z 0-9 . _ -"
            ),
            Self::InvalidBase64 { id } => {
                write!(f, "key `{id}` is not base64: {FORM}")
            }
            Self::ShortKey { id, bytes } => write!(
                f,
                "key `{id}` has {bytes} bytes: expected {MIN_KEY_BYTES} or more \
                 (`gatepost keygen` makes one)"
            ),
            Self::DuplicateKeyId { id } => {
                write!(f, "key id `{id}` stands twice: each key needs its own")
            }
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys: remove retired ones"),
        }
    }
}

impl core::error::Error for KeyRingError {}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    const A: &str = "a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
    const B: &str = "b:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY";

    #[test]
    fn a_ring_keeps_its_order_and_accepts_comments_commas_and_line_endings() {
        for text in [
            format!("{A}\n{B}\n"),
            format!("# new\r\n {A} \r\n\r\n{B}"),
            format!("{A},{B}"),
        ] {
            let ring = KeyRing::parse(&text).expect(&text);
            assert_eq!(
                ring.key_ids().map(KeyId::as_str).collect::<Vec<_>>(),
                ["a", "b"],
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_ring_is_refused_with_the_reason() {
        let short = format!("s:{}", BASE64.encode([7; 31]));
        let cases: [(&str, KeyRingError); 7] = [
            ("", KeyRingError::Empty),
            ("\n# only a comment\n", KeyRingError::Empty),
            (
                "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=",
                KeyRingError::MissingKeyId { position: 1 },
            ),
            ("a b:AAAA", KeyRingError::InvalidKeyId { position: 1 }),
            (
                "a:not*base64",
                KeyRingError::InvalidBase64 {
                    id: KeyId("a".into()),
                },
            ),
            (
                &short,
                KeyRingError::ShortKey {
                    id: KeyId("s".into()),
                    bytes: 31,
                },
            ),
            (
                &format!("{A}\n{A}"),
                KeyRingError::DuplicateKeyId {
                    id: KeyId("a".into()),
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(KeyRing::parse(text).err(), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_error_or_debug_output_shows_a_secret() {
        let secret = "c2hvcnQtc2VjcmV0";
        let error = KeyRing::parse(&format!("k:{secret}")).expect_err("short");
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
        let ring = KeyRing::parse(A).expect("ring");
        assert_eq!(format!("{ring:?}"), r#"["a"]"#);
        assert_eq!(
            format!("{:?}", ring.derive(Purpose::Flow)),
            "[DerivedKey(a, redacted)]"
        );
    }

    /// Row A10: nobody without the keys can say a word that opens a router.
    #[test]
    fn every_key_and_application_has_its_own_word_for_allowed() {
        let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
        let word = |name: &str| ring.verdicts(&Audience::new(name).expect("a name"));
        let mut words: Vec<String> = ["wiki", "wik", "files"]
            .into_iter()
            .flat_map(word)
            .collect();
        assert!(words.iter().all(|word| word.len() == 22), "{words:?}");
        // Part of the format: routers have it in their rules.
        assert_eq!(words[0], "xp0El6QSAkO_2ZccmXn_AA");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 6);
    }

    #[test]
    fn every_purpose_and_secret_has_its_own_key() {
        let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
        let mut keys: Vec<[u8; 32]> = [Purpose::Session, Purpose::Flow, Purpose::Store]
            .into_iter()
            .flat_map(|purpose| ring.derive(purpose))
            .map(|key| *key.expose_bytes())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 6);
    }
}
