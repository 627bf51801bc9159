//! A provider's public keys (RFC 7517), read as providers write them.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use gatepost_base::Quoted;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{
    CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm as Algorithm,
};
use p521::ecdsa::signature::Verifier as _;
use serde_json::{Map, Value};

use crate::algorithm;
use crate::json::{self, DocumentError, text};
use crate::settings::TENANT;

/// The most keys that are tried for one token.
const MAX_KEYS_TRIED: usize = 8;

/// The most keys that are kept of a set.
const MAX_KEYS: usize = 100;

/// The most characters of a key id that a message shows.
const MAX_SHOWN: usize = 80;

/// Base64url with or without padding, and with bits that should be zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The public keys of a provider.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    fetched: Instant,
}

/// One public key.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where the set says one.
    algorithm: Option<Algorithm>,
    /// The only issuer whose tokens it signs, where the set says one: Entra ID has one set for all
    /// tenants.
    issuer: Option<IssuerPattern>,
    material: Material,
}

/// An issuer, or with the placeholder for a tenant every issuer that it becomes.
#[derive(Debug)]
struct IssuerPattern(String);

/// What a token says of the key that signed it.
#[derive(Clone, Copy)]
pub(crate) struct KeyClaim<'t> {
    pub(crate) algorithm: &'t Algorithm,
    pub(crate) kid: Option<&'t str>,
    /// The issuer that the token names.
    pub(crate) issuer: Option<&'t str>,
}

/// The key itself. The library verifies all but P-521.
#[derive(Debug)]
enum Material {
    Rsa(CoreJsonWebKey),
    P256(CoreJsonWebKey),
    P384(CoreJsonWebKey),
    P521(Box<P521Key>),
    Ed25519(CoreJsonWebKey),
}

struct P521Key(p521::ecdsa::VerifyingKey);

impl std::fmt::Debug for P521Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P521Key")
    }
}

/// No key of the provider verifies a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no key of the provider verifies its signature (`alg` {algorithm}, `kid` {kid}; {fitting} of \
     {keys} keys fit, fetched {age} s ago)"
)]
pub struct SignatureError {
    algorithm: &'static str,
    kid: String,
    fitting: usize,
    keys: usize,
    age: u64,
}

impl KeySet {
    /// Parses a key set. Keys that are not for verifying, and keys that cannot be read, are left
    /// out (RFC 7517 §5).
    ///
    /// # Errors
    ///
    /// [`DocumentError`] where the text is no key set, or has no key that can be used: the caller
    /// keeps the keys that it has, since a provider without keys can sign nothing.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, DocumentError> {
        let members = json::parse(document)?;
        let keys = match members.get("keys") {
            Some(Value::Array(keys)) => keys,
            Some(_) => {
                return Err(DocumentError::Type {
                    member: "keys",
                    found: "a value",
                    expected: "a list",
                });
            }
            None => return Err(DocumentError::Missing("keys")),
        };
        let listed = keys.len();
        let keys = keys.iter().filter_map(Value::as_object);
        let keys: Vec<Key> = keys.filter_map(Key::read).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err(DocumentError::NoKey { listed });
        }
        Ok(Self {
            keys,
            fetched: Instant::now(),
        })
    }

    /// Returns how long ago it was fetched.
    pub(crate) fn age(&self) -> Duration {
        self.fetched.elapsed()
    }

    /// Returns a set without keys.
    pub(crate) fn empty() -> Self {
        Self {
            keys: Vec::new(),
            fetched: Instant::now(),
        }
    }

    /// Verifies a signature with the key that `kid` names, or with each key that fits where no
    /// name decides: the token or the set may have none, or the set one name for several.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub(crate) fn verify(
        &self,
        claim: KeyClaim<'_>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let KeyClaim { algorithm, kid, .. } = claim;
        let fits = |key: &&Key| key.may_have_signed(claim);
        let mut tried = self.keys.iter().filter(fits).take(MAX_KEYS_TRIED);
        if tried.any(|key| key.material.verifies(algorithm, signed, signature)) {
            return Ok(());
        }
        Err(SignatureError {
            algorithm: algorithm::name(algorithm),
            kid: kid.map_or_else(
                || "missing".to_owned(),
                |kid| Quoted(kid.chars().take(MAX_SHOWN).collect::<String>()).to_string(),
            ),
            fitting: self.keys.iter().filter(fits).count(),
            keys: self.keys.len(),
            age: self.age().as_secs(),
        })
    }
}

impl Key {
    /// Reads one key; `None` where it is not for verifying, or cannot be read.
    fn read(members: &Map<String, Value>) -> Option<Self> {
        if text(members, "use").is_some_and(|own| !own.eq_ignore_ascii_case("sig")) {
            return None;
        }
        let algorithm = match text(members, "alg") {
            Some(name) => Some(algorithm::parse(name)?),
            None => None,
        };
        Some(Self {
            id: id(members.get("kid")),
            algorithm,
            issuer: match members.get("issuer") {
                None | Some(Value::Null) => None,
                Some(issuer) => Some(IssuerPattern(issuer.as_str()?.to_owned())),
            },
            material: Material::read(members)?,
        })
    }

    fn may_have_signed(&self, claim: KeyClaim<'_>) -> bool {
        let named = match (claim.kid, self.id.as_deref()) {
            (Some(kid), Some(own)) => kid == own,
            (Some(_), None) | (None, _) => true,
        };
        let algorithm = claim.algorithm;
        let mut own_issuer = self.issuer.iter();
        named
            && self.algorithm.as_ref().is_none_or(|own| own == algorithm)
            && own_issuer.all(|own| claim.issuer.is_some_and(|issuer| own.matches(issuer)))
            && self.material.is_for(algorithm)
    }
}

impl IssuerPattern {
    /// Returns whether it becomes this issuer with some tenant.
    fn matches(&self, issuer: &str) -> bool {
        let Some((before, after)) = self.0.split_once(TENANT) else {
            return self.0 == issuer;
        };
        let tenant = issuer.strip_prefix(before);
        let tenant = tenant.and_then(|rest| rest.strip_suffix(after));
        tenant.is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/'))
    }
}

impl Material {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let bytes = |name: &str| decode(text(members, name)?);
        let curve = || text(members, "crv");
        match text(members, "kty")?.to_ascii_uppercase().as_str() {
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                Some(Self::Rsa(CoreJsonWebKey::new_rsa(n, e, None)))
            }
            "EC" => {
                let coordinates = |length| {
                    let x = padded(bytes("x")?, length)?;
                    Some((x, padded(bytes("y")?, length)?))
                };
                match curve()?.to_ascii_uppercase().as_str() {
                    "P-256" => {
                        let (x, y) = coordinates(32)?;
                        let curve = CoreJsonCurveType::P256;
                        Some(Self::P256(CoreJsonWebKey::new_ec(x, y, curve, None)))
                    }
                    "P-384" => {
                        let (x, y) = coordinates(48)?;
                        let curve = CoreJsonCurveType::P384;
                        Some(Self::P384(CoreJsonWebKey::new_ec(x, y, curve, None)))
                    }
                    "P-521" => {
                        let (x, y) = coordinates(66)?;
                        // An uncompressed point (SEC 1 §2.3.3).
                        let point = [&[4], x.as_slice(), &y].concat();
                        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                        Some(Self::P521(Box::new(P521Key(key))))
                    }
                    _ => None,
                }
            }
            "OKP" if curve()?.eq_ignore_ascii_case("Ed25519") => {
                let x = bytes("x")?;
                let curve = CoreJsonCurveType::Ed25519;
                Some(Self::Ed25519(CoreJsonWebKey::new_okp(x, curve, None)))
            }
            _ => None,
        }
    }

    fn is_for(&self, algorithm: &Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa(_) => matches!(
                algorithm,
                A::RsaSsaPkcs1V15Sha256
                    | A::RsaSsaPkcs1V15Sha384
                    | A::RsaSsaPkcs1V15Sha512
                    | A::RsaSsaPssSha256
                    | A::RsaSsaPssSha384
                    | A::RsaSsaPssSha512
            ),
            Self::P256(_) => *algorithm == A::EcdsaP256Sha256,
            Self::P384(_) => *algorithm == A::EcdsaP384Sha384,
            Self::P521(_) => *algorithm == A::EcdsaP521Sha512,
            Self::Ed25519(_) => *algorithm == A::EdDsa,
        }
    }

    fn verifies(&self, algorithm: &Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) | Self::P256(key) | Self::P384(key) | Self::Ed25519(key) => {
                key.verify_signature(algorithm, signed, signature).is_ok()
            }
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.0.verify(signed, &signature).is_ok()),
        }
    }
}

/// Returns a key id, which some providers write as a number.
pub(crate) fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Decodes base64 as providers write it: in either alphabet, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    LENIENT.decode(plain).ok()
}

/// Returns a coordinate in its full length: some providers leave leading zeros out, or write one
/// more (RFC 7518 §6.2.1.2 asks for the full length).
fn padded(bytes: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    let (_, significant) = bytes.split_at_checked(start)?;
    let missing = length.checked_sub(significant.len())?;
    Some([vec![0; missing], significant.to_vec()].concat())
}
