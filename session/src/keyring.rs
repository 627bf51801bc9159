//! The ring of secrets that sign and verify, and the keys derived from it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::base64;
use zeroize::Zeroizing;

use crate::claims::Audience;
use crate::mac::{MAC_BYTES, Mac};

mod published;

pub use self::published::PublishedKey;

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
    /// Returns the id as text.
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

/// The use of a derived key. Each purpose has its own key, so that a key that leaks from one use of
/// the secret cannot forge another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing and verifying session cookies.
    Session,
    /// Encrypting the state of a sign-in that is under way.
    Flow,
    /// Encrypting refresh and ID tokens in the session store.
    Store,
    /// Encrypting what an operator's commands ask of a running outpost.
    Operator,
}

impl Purpose {
    /// Returns the `info` input of HKDF (RFC 5869 §3.2). Part of the format: changing one of these
    /// invalidates everything that was made with it.
    fn info(self) -> &'static [u8] {
        match self {
            Self::Session => b"gatepost session v1",
            Self::Flow => b"gatepost flow v1",
            Self::Store => b"gatepost store v1",
            Self::Operator => b"gatepost operator v1",
        }
    }
}

/// A 32-byte key derived from one secret of the ring for one [`Purpose`]. Wiped when dropped.
#[derive(Clone)]
pub struct DerivedKey {
    id: KeyId,
    bytes: Zeroizing<[u8; MAC_BYTES]>,
}

impl DerivedKey {
    /// Returns the id of the secret it was derived from.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the key itself.
    pub fn expose_bytes(&self) -> &[u8; MAC_BYTES] {
        &self.bytes
    }

    /// Returns the message authentication code with this key.
    pub fn mac(&self) -> Mac {
        Mac::new(&self.bytes)
    }

    /// Returns the key as an entry `kid:base64`, for a program that may have this key and not the
    /// secret that it was derived from.
    pub fn to_entry(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(base64::encode(&*self.bytes));
        let entry = [self.id.as_str(), ":", &encoded].concat();
        Zeroizing::new(entry)
    }

    /// Parses what [`Self::to_entry`] returns, and nothing else: a derived key has one length.
    fn from_entry(entry: &str) -> Option<Self> {
        let (id, encoded) = entry.split_once(':')?;
        Some(Self {
            id: KeyId::new(id)?,
            bytes: Zeroizing::new(base64::decode_array(encoded.as_bytes())?),
        })
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DerivedKey({}, redacted)", self.id)
    }
}

/// The keys that a ring derives for one [`Purpose`], in ring order.
#[derive(Clone, Debug)]
pub struct DerivedKeys {
    signing: DerivedKey,
    others: Vec<DerivedKey>,
}

impl DerivedKeys {
    /// Returns the key that signs or seals.
    pub fn signing(&self) -> &DerivedKey {
        &self.signing
    }

    /// Reads the entries of [`DerivedKey::to_entry`], in ring order; `None` where they are empty,
    /// one is invalid, or two have one id.
    pub fn from_entries<'e>(entries: impl IntoIterator<Item = &'e str>) -> Option<Self> {
        let mut keys: Option<Self> = None;
        for entry in entries {
            let key = DerivedKey::from_entry(entry)?;
            let Some(keys) = &mut keys else {
                keys = Some(Self {
                    signing: key,
                    others: Vec::new(),
                });
                continue;
            };
            if keys.others.len() + 1 == MAX_KEYS || keys.iter().any(|own| own.id == key.id) {
                return None;
            }
            keys.others.push(key);
        }
        keys
    }

    /// Returns all keys, the signing key first: each verifies or opens.
    pub fn iter(&self) -> impl Iterator<Item = &DerivedKey> {
        core::iter::once(&self.signing).chain(&self.others)
    }
}

/// An ordered list of secrets, at least one: the first signs, all verify.
///
/// A key is rotated by putting a new one in front, and retired by removing it from the end once
/// nothing signed with it is still in force.
#[derive(Clone)]
pub struct KeyRing {
    signing: Secret,
    others: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    id: KeyId,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Parses `kid:base64`, the entry at `position` of its list, counted from 1.
    fn parse(entry: &str, position: usize) -> Result<Self, KeyRingError> {
        let (id, encoded) = entry
            .trim()
            .split_once(':')
            .ok_or(KeyRingError::MissingKeyId { position })?;
        let id = KeyId::new(id).ok_or(KeyRingError::InvalidKeyId { position })?;
        let Some(bytes) = decode_secret(encoded.trim()) else {
            return Err(KeyRingError::InvalidBase64 { id });
        };
        if bytes.len() < MIN_KEY_BYTES {
            let bytes = bytes.len();
            return Err(KeyRingError::ShortKey { id, bytes });
        }
        Ok(Self { id, bytes })
    }

    /// Derives one key with HKDF-SHA256 (RFC 5869) without a salt.
    ///
    /// One block of output is all that is needed, so this is the extraction (§2.2) and the first
    /// step of the expansion (§2.3). A function for any length could fail, and a key that cannot
    /// be derived would have to be left out.
    fn derive(&self, info: [&[u8]; 2]) -> Zeroizing<[u8; MAC_BYTES]> {
        let no_salt = Mac::new(&[0; MAC_BYTES]);
        let mut extracted = Zeroizing::new([0; MAC_BYTES]);
        no_salt.compute_into(&[&self.bytes], &mut extracted);
        let [first, second] = info;
        let mut derived = Zeroizing::new([0; MAC_BYTES]);
        Mac::new(&extracted).compute_into(&[first, second, &[1]], &mut derived);
        derived
    }

    fn derive_key(&self, purpose: Purpose) -> DerivedKey {
        DerivedKey {
            id: self.id.clone(),
            bytes: self.derive([purpose.info(), &[]]),
        }
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
        let mut entries = Vec::new();
        for line in text.split('\n') {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for entry in line.split(',') {
                if !entry.trim().is_empty() {
                    entries.push(entry);
                }
            }
        }
        Self::of_list(&entries)
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
        let entries: Vec<&str> = entries.into_iter().collect();
        Self::of_list(&entries)
    }

    // Not generic: the guest has room for one of it.
    fn of_list(entries: &[&str]) -> Result<Self, KeyRingError> {
        let mut ring: Option<Self> = None;
        for (index, entry) in entries.iter().enumerate() {
            let key = Secret::parse(entry, index + 1)?;
            let Some(ring) = &mut ring else {
                ring = Some(Self {
                    signing: key,
                    others: Vec::new(),
                });
                continue;
            };
            if ring.secrets().any(|own| own.id == key.id) {
                return Err(KeyRingError::DuplicateKeyId { id: key.id });
            }
            if index == MAX_KEYS {
                return Err(KeyRingError::TooManyKeys);
            }
            ring.others.push(key);
        }
        ring.ok_or(KeyRingError::Empty)
    }

    /// Returns this ring with the key of that id in front, so that it signs; `None` if it has no
    /// such key.
    pub fn signing_with(&self, id: &KeyId) -> Option<Self> {
        let mut secrets: Vec<&Secret> = self.secrets().collect();
        let at = secrets.iter().position(|secret| secret.id == *id)?;
        let signing = secrets.remove(at).clone();
        let others = secrets.into_iter().cloned().collect();
        Some(Self { signing, others })
    }

    /// Derives the keys for one purpose with HKDF-SHA256 (RFC 5869) without a salt, in ring order.
    pub fn derive(&self, purpose: Purpose) -> DerivedKeys {
        let derive = |secret: &Secret| secret.derive_key(purpose);
        DerivedKeys {
            signing: derive(&self.signing),
            others: self.others.iter().map(derive).collect(),
        }
    }

    /// Returns the words for "allowed" between the plugin and the routers behind it, in ring order:
    /// a router that a request reaches around the plugin does not believe a verdict that the client
    /// made up.
    ///
    /// Each key has its own, so that while keys are rotated a router may still know the old one.
    pub fn verdicts(&self, application: &Audience) -> Vec<String> {
        let mut words = Vec::new();
        for secret in self.secrets() {
            let derived = secret.derive([VERDICT_INFO, application.as_str().as_bytes()]);
            let (word, _) = derived.split_at(VERDICT_BYTES);
            words.push(base64::encode(word));
        }
        words
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        core::iter::once(&self.signing).chain(&self.others)
    }

    /// Returns the key ids in ring order: the first one signs.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.secrets().map(|secret| &secret.id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.key_ids().map(KeyId::as_str))
            .finish()
    }
}

/// Decodes a secret of either alphabet, but not of both, padded or not.
fn decode_secret(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    let unpadded = match encoded.as_bytes() {
        // There is no more padding than what fills up the last four characters.
        [rest @ .., b'=', b'='] if rest.len() % 4 == 2 => rest,
        [rest @ .., b'='] if rest.len() % 4 > 1 => rest,
        all => all,
    };
    let mut url_safe = Zeroizing::new(unpadded.to_vec());
    if !unpadded.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        for byte in url_safe.iter_mut() {
            match byte {
                b'+' => *byte = b'-',
                b'/' => *byte = b'_',
                _ => {}
            }
        }
    }
    base64::decode(&url_safe).map(Zeroizing::new)
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
                write!(f, "key id `{id}` is repeated: each key needs its own")
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
    use proptest::prelude::*;

    const A: &str = "a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
    const B: &str = "b:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY";

    proptest! {
        #[test]
        fn a_secret_is_decoded_as_a_library_does(
            bytes in prop::collection::vec(any::<u8>(), 0..9),
            of_urls: bool,
            end in "[=]{0,3}|[-_+/A=]{0,4}",
        ) {
            use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
            use ::base64::{Engine as _, alphabet};

            let form = GeneralPurposeConfig::new()
                .with_encode_padding(false)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let [standard, url_safe] = [&alphabet::STANDARD, &alphabet::URL_SAFE]
                .map(|alphabet| GeneralPurpose::new(alphabet, form));
            let text = if of_urls { &url_safe } else { &standard }.encode(&bytes) + &end;
            let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
            let library = if is_url_safe { url_safe } else { standard };
            let decoded = decode_secret(&text).map(|secret| secret.to_vec());
            prop_assert_eq!(decoded, library.decode(&text).ok(), "{}", text);
        }
    }

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
        let short = format!("s:{}", base64::encode(&[7; 31]));
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
            "DerivedKeys { signing: DerivedKey(a, redacted), others: [] }"
        );
    }

    /// Row A10: without the keys a client cannot say a word that opens a router.
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
        let mut keys: Vec<[u8; 32]> = [
            Purpose::Session,
            Purpose::Flow,
            Purpose::Store,
            Purpose::Operator,
        ]
        .into_iter()
        .flat_map(|purpose| ring.derive(purpose).iter().cloned().collect::<Vec<_>>())
        .map(|key| *key.expose_bytes())
        .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn keys_are_those_of_any_hkdf() {
        let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
        for purpose in [
            Purpose::Session,
            Purpose::Flow,
            Purpose::Store,
            Purpose::Operator,
        ] {
            let derived = ring.derive(purpose);
            for (secret, key) in ring.secrets().zip(derived.iter()) {
                let mut expected = [0; MAC_BYTES];
                hkdf::Hkdf::<sha2::Sha256>::new(None, &secret.bytes)
                    .expand(purpose.info(), &mut expected)
                    .expect("one block");
                assert_eq!(key.expose_bytes(), &expected, "{purpose:?} of {}", key.id());
            }
        }
    }

    #[test]
    fn another_key_signs_and_every_key_is_kept() {
        let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
        let other = ring.signing_with(&KeyId("b".into())).expect("a key");
        let ids: Vec<&str> = other.key_ids().map(KeyId::as_str).collect();
        assert_eq!(ids, ["b", "a"]);
        assert!(ring.signing_with(&KeyId("c".into())).is_none());
    }
}
