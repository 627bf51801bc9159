//! The form of API keys.
//!
//! A key is `gp_`, an id of 12 letters and digits by which the store finds it, 32 that are secret
//! (190 bits), and a checksum of 6. By the beginning and the checksum, a scanner for secrets tells a
//! key from other text, and the outpost refuses other text without asking the store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::Secret;
use gatepost_policy::API_KEY_PREFIX;
use gatepost_session::NumericDate;
use gatepost_store::{ApiKeyId, ApiKeyRecord, ApiKeyUsage};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many digits of a key are secret.
const SECRET_DIGITS: usize = 32;

/// How many digits a checksum of 32 bits needs.
const CHECKSUM_DIGITS: usize = 6;

/// A text in the form of an API key. It may be of no key.
#[derive(Debug)]
pub struct ApiKey {
    id: ApiKeyId,
    text: Secret,
}

/// What an operator says of a key to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewApiKey {
    /// Who sends it.
    pub subject: String,
    /// The sender's address, if the rules of applications ask for one.
    pub email: Option<String>,
    /// The sender's groups.
    pub groups: Vec<String>,
    /// The applications that accept it.
    pub applications: Vec<String>,
    /// How long it lasts, in seconds.
    pub lifetime: u64,
}

impl ApiKey {
    /// Parses a key; `None` where length, digits or checksum are wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(API_KEY_PREFIX)?;
        let (id, rest) = body.split_at_checked(ApiKeyId::LENGTH)?;
        let (secret, checksum) = rest.split_at_checked(SECRET_DIGITS)?;
        let is_plain = secret.bytes().all(|b| b.is_ascii_alphanumeric());
        let signed = text.get(..text.len().checked_sub(CHECKSUM_DIGITS)?)?;
        // It protects nothing, so it may take any time.
        (is_plain && checksum == self::checksum(signed)).then_some(())?;
        Some(Self {
            id: ApiKeyId::parse(id)?,
            text: Secret::new(text.to_owned()),
        })
    }

    /// Makes a key. `None` when the operating system has no randomness.
    pub fn generate() -> Option<Self> {
        let id = random_digits(ApiKeyId::LENGTH)?;
        let secret = random_digits(SECRET_DIGITS)?;
        let signed = Zeroizing::new(format!("{API_KEY_PREFIX}{}{}", *id, *secret));
        let text = format!("{}{}", *signed, checksum(&signed));
        Some(Self {
            id: ApiKeyId::parse(&id)?,
            text: Secret::new(text),
        })
    }

    /// Returns the key's id.
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// Returns the key itself.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns what the store knows of this key, which is created at `now`. `None` when the operating
    /// system has no randomness.
    ///
    /// The key is as good as random, so its MAC needs no slow hash. The MAC's own key is in the
    /// sealed record, not derived from the key ring: an API key outlives a rotation of the ring.
    pub fn record(&self, new: NewApiKey, now: NumericDate) -> Option<ApiKeyRecord> {
        let mut mac_key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *mac_key).ok()?;
        let mac = self.mac(&*mac_key)?.finalize().into_bytes();
        Some(ApiKeyRecord {
            id: self.id.clone(),
            subject: new.subject,
            email: new.email,
            groups: new.groups,
            applications: new.applications,
            mac_key: Secret::new(URL_SAFE_NO_PAD.encode(*mac_key)),
            mac: Secret::new(URL_SAFE_NO_PAD.encode(mac)),
            created: now,
            ends: now.plus_seconds(new.lifetime),
            usage: ApiKeyUsage::default(),
        })
    }

    /// Returns whether `record` is of this very key. Compares in constant time.
    pub fn is_of(&self, record: &ApiKeyRecord) -> bool {
        let decode =
            |text: &Secret| Some(Zeroizing::new(URL_SAFE_NO_PAD.decode(text.expose()).ok()?));
        let matches = || {
            let (key, mac) = (decode(&record.mac_key)?, decode(&record.mac)?);
            self.mac(&key)?.verify_slice(&mac).ok()
        };
        record.id == self.id && matches().is_some()
    }

    fn mac(&self, key: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        Some(mac.chain_update(self.text.expose().as_bytes()))
    }
}

/// Returns random letters and digits. `None` when the operating system has no randomness.
fn random_digits(count: usize) -> Option<Zeroizing<String>> {
    let mut digits = Zeroizing::new(String::with_capacity(count));
    while digits.len() < count {
        let mut random = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *random).ok()?;
        let drawn = random.iter().filter_map(|byte| {
            // The highest bytes would make the first digits more likely.
            let digit = (*byte < 248).then_some(byte % 62)?;
            DIGITS.get(usize::from(digit))
        });
        let missing = count - digits.len();
        digits.extend(drawn.take(missing).map(|digit| char::from(*digit)));
    }
    Some(digits)
}

/// Returns the checksum of a text: its CRC-32 in digits, the last one first.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = String::with_capacity(CHECKSUM_DIGITS);
    for _ in 0..CHECKSUM_DIGITS {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        digits.extend(DIGITS.get(digit).map(|digit| char::from(*digit)));
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewApiKey {
        NewApiKey {
            subject: "ci".into(),
            email: None,
            groups: Vec::new(),
            applications: vec!["wiki".into()],
            lifetime: 1,
        }
    }

    fn record(key: &ApiKey) -> ApiKeyRecord {
        let record = key.record(new(), NumericDate::from_seconds(1));
        record.expect("randomness")
    }

    /// Scanners for secrets have these as their rule, so the form of a key must not change.
    #[test]
    fn a_key_has_the_documented_form() {
        let key = "gp_CiCiCiCiCi01abcdefghijklmnopqrstuvwxyz012345FnvWl2";
        let (signed, sum) = key.split_at(key.len() - CHECKSUM_DIGITS);
        assert_eq!(checksum(signed), sum);
        assert!(ApiKey::parse(key).is_some());
        let generated = ApiKey::generate().expect("randomness");
        assert_eq!(generated.expose().len(), 53);
        let again = ApiKey::parse(generated.expose()).expect("well formed");
        assert_eq!(again.id(), generated.id());
        let other = ApiKey::generate().expect("randomness");
        assert_ne!(other.expose(), generated.expose());
    }

    #[test]
    fn every_change_of_a_key_is_seen_without_a_store() {
        let key = ApiKey::generate().expect("randomness");
        let text = key.expose();
        for at in 0..text.len() {
            let (before, after) = (text.split_at(at).0, text.split_at(at + 1).1);
            for other in ["", "a", "b", "-", "é"] {
                let changed = format!("{before}{other}{after}");
                let is_same = changed == text;
                assert_eq!(ApiKey::parse(&changed).is_some(), is_same, "{changed}");
            }
            assert!(ApiKey::parse(before).is_none(), "{at} bytes");
        }
        for changed in [format!("{text}0"), format!(" {text}"), text.to_lowercase()] {
            assert!(ApiKey::parse(&changed).is_none(), "{changed}");
        }
    }

    #[test]
    fn a_record_is_of_its_own_key_and_does_not_have_it() {
        let key = ApiKey::generate().expect("randomness");
        let record = record(&key);
        assert!(key.is_of(&record));
        for secret in [&record.mac, &record.mac_key] {
            assert!(!secret.expose().contains(key.expose()));
        }
        // Of the same id, by a client that knows no more of it.
        let signed = format!("{API_KEY_PREFIX}{}{}", key.id(), "0".repeat(SECRET_DIGITS));
        let guessed = ApiKey::parse(&format!("{signed}{}", checksum(&signed)));
        let guessed = guessed.expect("well formed");
        assert!(!guessed.is_of(&record));
        let other = self::record(&key);
        assert_ne!(other.mac, record.mac, "no two have the same MAC");
        assert!(!format!("{key:?} {record:?}").contains(key.expose()));
    }
}
