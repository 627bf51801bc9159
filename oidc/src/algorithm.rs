//! Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The signature algorithms that are accepted, each with its name. A MAC with the client secret
/// (`HS256`) is not among them: it is accepted only of a provider that is described as using it,
/// and then nothing else ([`crate::static_metadata`]).
const SIGNATURES: [(Algorithm, &str); 10] = [
    (Algorithm::RsaSsaPkcs1V15Sha256, "RS256"),
    (Algorithm::RsaSsaPkcs1V15Sha384, "RS384"),
    (Algorithm::RsaSsaPkcs1V15Sha512, "RS512"),
    (Algorithm::RsaSsaPssSha256, "PS256"),
    (Algorithm::RsaSsaPssSha384, "PS384"),
    (Algorithm::RsaSsaPssSha512, "PS512"),
    (Algorithm::EcdsaP256Sha256, "ES256"),
    (Algorithm::EcdsaP384Sha384, "ES384"),
    (Algorithm::EcdsaP521Sha512, "ES512"),
    (Algorithm::EdDsa, "EdDSA"),
];

/// Returns all signature algorithms that are accepted.
pub(crate) fn signatures() -> Vec<Algorithm> {
    SIGNATURES.iter().map(|(own, _)| own.clone()).collect()
}

/// Parses an algorithm's name, in any case: some providers write `rs256`. `None` for one that is
/// never accepted.
pub(crate) fn parse(name: &str) -> Option<Algorithm> {
    if name.eq_ignore_ascii_case("HS256") {
        return Some(Algorithm::HmacSha256);
    }
    let mut all = SIGNATURES.iter();
    let found = all.find(|(_, own)| own.eq_ignore_ascii_case(name))?;
    Some(found.0.clone())
}

/// Returns the name of an algorithm.
pub(crate) fn name(algorithm: &Algorithm) -> &'static str {
    let mut all = SIGNATURES.iter();
    all.find(|(own, _)| own == algorithm)
        .map_or("HS256", |(_, name)| *name)
}

/// Returns the names of algorithms.
pub(crate) fn names(algorithms: &[Algorithm]) -> Vec<&'static str> {
    algorithms.iter().map(name).collect()
}

/// Returns the left half of the hash of `text`, by the hash function of the algorithm (`at_hash`,
/// OpenID Connect Core 1.0 §3.1.3.6). That of EdDSA with Ed25519 is SHA-512.
pub(crate) fn left_half_hash(algorithm: &Algorithm, text: &str) -> String {
    use Algorithm as A;
    let hash = match algorithm {
        A::RsaSsaPkcs1V15Sha384 | A::RsaSsaPssSha384 | A::EcdsaP384Sha384 => {
            Sha384::digest(text).to_vec()
        }
        A::RsaSsaPkcs1V15Sha512 | A::RsaSsaPssSha512 | A::EcdsaP521Sha512 | A::EdDsa => {
            Sha512::digest(text).to_vec()
        }
        _ => Sha256::digest(text).to_vec(),
    };
    let (left, _) = hash.split_at(hash.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}
