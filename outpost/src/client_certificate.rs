//! The certificate that a client has shown in its TLS handshake, as the proxy that ended the handshake
//! hands it on in a header.
//!
//! A token may be bound to a certificate by its thumbprint (RFC 8705 §3.1). The handshake has proved
//! that the client has the key of the certificate, so the bytes of the certificate are all that counts:
//! who signed it, and until when it is valid, is between proxy and client.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderName;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

/// The longest value that is parsed, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The first byte of each certificate (X.690 §8.9: a sequence).
const SEQUENCE: u8 = 0x30;

/// The members of an element of `X-Forwarded-Client-Cert`.
const ENVOY_MEMBERS: [&str; 7] = ["By", "Hash", "Cert", "Chain", "Subject", "URI", "DNS"];

/// The header in which trusted proxies hand on the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHeader(HeaderName);

/// The thumbprint of a client's certificate, as `x5t#S256` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbprint(String);

impl CertificateHeader {
    /// Parses the name of a header.
    ///
    /// # Errors
    ///
    /// What is wrong with it: one whose value clients choose, or that means something else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let name = HeaderName::from_bytes(text.as_bytes());
        let name = name.map_err(|_| "expected the name of a header, like Client-Cert")?;
        let known = ["x-forwarded-tls-client-cert", "x-forwarded-client-cert"];
        let own = [
            "x-forwarded-",
            "x-original-",
            "x-auth-",
            "x-authentik-",
            "sec-",
        ];
        let others = ["authorization", "cookie", "dpop", "host", "user-agent"];
        let is_other = own.iter().any(|start| name.as_str().starts_with(start))
            || others.contains(&name.as_str());
        if is_other && !known.contains(&name.as_str()) {
            return Err("has another meaning to proxies or to the outpost");
        }
        Ok(Self(name))
    }

    /// Returns the name.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl Thumbprint {
    /// Parses the value of a header in any of the forms that proxies write. `None` where it has no
    /// certificate, or leaves open which is the client's.
    pub fn of_header(value: &str) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let digest = if is_envoys(value) {
            envoys_digest(value)?
        } else {
            Sha256::digest(certificate(value)?).to_vec()
        };
        Some(Self(URL_SAFE_NO_PAD.encode(digest)))
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the certificate of a value in one of these forms:
///
/// - `:base64:`, of RFC 9440: Caddy and others can be set up to write it;
/// - base64 with or without the lines around a PEM, percent-encoded or not, the client's certificate
///   first and those of authorities after commas: Traefik (`passTLSClientCert`), nginx
///   (`$ssl_client_escaped_cert`), HAProxy (`ssl_c_der,base64`).
fn certificate(value: &str) -> Option<Vec<u8>> {
    let value = value.trim();
    let certificate = match value.strip_prefix(':') {
        Some(rest) => STANDARD.decode(rest.strip_suffix(':')?).ok()?,
        None => {
            let (first, _) = value.split_once(',').unwrap_or((value, ""));
            // A `+` is a digit of base64 here, and no blank.
            let text = percent_decode_str(first).decode_utf8().ok()?;
            let text = text.trim();
            let text = match text.strip_prefix("-----BEGIN CERTIFICATE-----") {
                Some(rest) => rest.strip_suffix("-----END CERTIFICATE-----")?,
                None => text,
            };
            let digits: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(digits).ok()?
        }
    };
    is_one_sequence(&certificate).then_some(certificate)
}

/// Returns whether these bytes are a whole sequence and nothing more, as the length at the beginning says
/// (X.690 §8.1.3).
fn is_one_sequence(bytes: &[u8]) -> bool {
    let Some(([SEQUENCE, length], rest)) = bytes.split_first_chunk::<2>() else {
        return false;
    };
    let (digits, rest) = match length.checked_sub(0x80) {
        None => return rest.len() == usize::from(*length),
        Some(count) => match rest.split_at_checked(usize::from(count)) {
            Some(split) if (1..=3).contains(&count) => split,
            _ => return false,
        },
    };
    let length = digits
        .iter()
        .fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
    length == rest.len()
}

/// Returns whether a value is of the form of `X-Forwarded-Client-Cert`.
fn is_envoys(value: &str) -> bool {
    let member = value.split_once('=').map(|(member, _)| member);
    member.is_some_and(|member| is_one_of(member, &ENVOY_MEMBERS))
}

fn is_one_of(member: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(member))
}

/// Returns the digest in `Hash` of `X-Forwarded-Client-Cert`: the SHA-256 of the certificate. Envoy
/// writes names of the certificate beside it, some of them without quotes. So a value is refused that
/// has several elements or digests: a name may have made the others.
fn envoys_digest(value: &str) -> Option<Vec<u8>> {
    let mut digests = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (member, after) = rest.split_once('=')?;
        let (value, after) = quoted_or_plain(after)?;
        if member.eq_ignore_ascii_case("Hash") {
            digests.push(value);
        } else if !is_one_of(member, &ENVOY_MEMBERS) {
            return None;
        }
        rest = match after.strip_prefix(';') {
            Some("") => return None,
            Some(next) => next,
            None if after.is_empty() => after,
            // A further element, of another proxy.
            None => return None,
        };
    }
    let [digest] = digests.as_slice() else {
        return None;
    };
    from_hex(digest)
}

/// Splits a value off, and returns it with what follows it.
fn quoted_or_plain(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', '"']).unwrap_or(text.len());
        return text.split_at_checked(end);
    };
    let mut is_escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => {
                let (value, rest) = quoted.split_at_checked(at)?;
                return Some((value, rest.strip_prefix('"')?));
            }
            _ => {}
        }
    }
    None
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let is_sha256 = rest.is_empty() && pairs.len() == 32;
    is_sha256.then(|| pairs.iter().map(|[high, low]| (high << 4) | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that begin as a certificate does.
    const CERTIFICATE: &[u8] = &[0x30, 0x82, 0, 6, 0xfb, 0xff, 0xbe, 0xfb, 0xff, 0xbe];

    fn thumbprint() -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(CERTIFICATE))
    }

    fn of(value: &str) -> Option<String> {
        Some(Thumbprint::of_header(value)?.as_str().to_owned())
    }

    #[test]
    fn every_form_that_proxies_write_has_the_same_thumbprint() {
        let plain = STANDARD.encode(CERTIFICATE);
        let escaped = plain
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        assert_ne!(plain, escaped, "the test needs `+` or `/`");
        let hex: String = Sha256::digest(CERTIFICATE)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let pem = format!(
            "-----BEGIN%20CERTIFICATE-----%0A{}%0A{}%0A-----END%20CERTIFICATE-----%0A",
            escaped.get(..4).expect("digits"),
            escaped.get(4..).expect("digits")
        );
        for value in [
            plain.clone(),
            escaped.clone(),
            format!("{plain},MIIB,MIIC"),
            format!("{escaped},MIIB"),
            pem,
            format!(":{plain}:"),
            format!("Hash={hex}"),
            format!("By=spiffe://a/b;Hash={hex};Subject=\"CN=a\\\",b;Hash=0\";URI=spiffe://c"),
            format!("hash={};URI=", hex.to_uppercase()),
        ] {
            assert_eq!(of(&value), Some(thumbprint()), "{value}");
        }
    }

    #[test]
    fn a_value_that_leaves_the_certificate_open_has_none() {
        let hex = "0".repeat(64);
        let plain = STANDARD.encode(CERTIFICATE);
        for value in [
            String::new(),
            ",".to_owned(),
            "::".to_owned(),
            format!(":{plain}"),
            format!("-----BEGIN CERTIFICATE-----{plain}"),
            format!("{plain} {plain}"),
            plain.repeat(2_000),
            "AAAA".to_owned(),
            STANDARD.encode(&CERTIFICATE[..9]),
            STANDARD.encode([CERTIFICATE, CERTIFICATE].concat()),
            "%zz".to_owned(),
            // A name of the certificate that its holder has chosen.
            format!("Hash={hex};URI=a;Hash={hex}"),
            format!("URI=a;Hash={hex},Hash={hex}"),
            format!("Hash={hex},By=x"),
            format!("Hash={hex};URI=a;b"),
            format!("Hash={hex};"),
            format!("Hash=\"{hex}"),
            "Hash=00".to_owned(),
            format!("Hash={}", "é".repeat(32)),
            format!("Subject=\"{hex}\""),
        ] {
            assert_eq!(of(&value), None, "{value}");
        }
    }

    #[test]
    fn a_header_that_clients_fill_carries_no_certificate() {
        for (name, is_accepted) in [
            ("X-Forwarded-Tls-Client-Cert", true),
            ("x-forwarded-client-cert", true),
            ("Client-Cert", true),
            ("X-SSL-Client-DER", true),
            ("X-Forwarded-For", false),
            ("X-Original-URL", false),
            ("Authorization", false),
            ("X-Auth-Username", false),
            ("a b", false),
            ("", false),
        ] {
            let parsed = CertificateHeader::parse(name);
            assert_eq!(parsed.is_ok(), is_accepted, "{name}");
        }
    }
}
