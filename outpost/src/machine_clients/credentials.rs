//! The credentials of a machine client in `Authorization`.

use base64::Engine as _;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use gatepost_policy::Scheme;
use zeroize::Zeroizing;

use gatepost_base::Secret;

/// The longest value that is parsed, in bytes.
const MAX_BYTES: usize = 24 * 1024;

/// Credentials of a scheme that an application may allow. Nothing of them has been checked.
#[derive(Debug)]
pub enum Credentials {
    /// An access token (RFC 6750 §2.1).
    Bearer(Secret),
    /// An access token whose client has proved that it has a key (RFC 9449 §7.1).
    Bound {
        /// The token.
        token: Secret,
        /// The thumbprint of the key.
        key: String,
    },
    /// A name and a password (RFC 7617 §2).
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
}

impl Credentials {
    /// Parses the value of the header; `None` when it is invalid for its scheme.
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim_start_matches(' ');
        if !is_token68(rest) {
            return None;
        }
        match Scheme::named(scheme.as_bytes())? {
            // A token of `DPoP` needs its proof, and `apiKey` is not a scheme of `Authorization`.
            Scheme::Dpop | Scheme::ApiKey => None,
            Scheme::Bearer => Some(Self::Bearer(Secret::new(rest.to_owned()))),
            Scheme::Basic => {
                // Some clients leave the padding out.
                const LENIENT: GeneralPurpose = GeneralPurpose::new(
                    &base64::alphabet::STANDARD,
                    GeneralPurposeConfig::new()
                        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
                );
                let pair = Zeroizing::new(LENIENT.decode(rest).ok()?);
                let pair = std::str::from_utf8(&pair).ok()?;
                let (user, password) = pair.split_once(':')?;
                let clear = |text: &str| !text.contains(char::is_control);
                (!user.is_empty() && clear(user) && clear(password)).then(|| Self::Basic {
                    user: user.to_owned(),
                    password: Secret::new(password.to_owned()),
                })
            }
        }
    }

    /// Parses the token of a value whose scheme is `DPoP`; `None` when it is invalid.
    pub fn bound_token(value: &str) -> Option<Secret> {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim_start_matches(' ');
        let is_token = value.len() <= MAX_BYTES
            && Scheme::named(scheme.as_bytes()) == Some(Scheme::Dpop)
            && is_token68(rest);
        is_token.then(|| Secret::new(rest.to_owned()))
    }

    /// Returns the part of them that is secret.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Bearer(token) | Self::Bound { token, .. } => token,
            Self::Basic { password, .. } => password,
        }
    }

    /// Returns their scheme.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Bearer(_) => Scheme::Bearer,
            Self::Bound { .. } => Scheme::Dpop,
            Self::Basic { .. } => Scheme::Basic,
        }
    }
}

/// Returns whether a text is one `token68` (RFC 9110 §11.2), as both schemes have it, and not a
/// list.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !body.is_empty() && body.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn read(value: &str) -> Option<String> {
        Some(match Credentials::parse(value)? {
            Credentials::Bearer(token) => format!("token {}", token.expose()),
            Credentials::Basic { user, password } => format!("{user} / {}", password.expose()),
            Credentials::Bound { .. } => return None,
        })
    }

    #[test]
    fn credentials_that_are_invalid_for_their_scheme_are_ignored() {
        let basic = |pair: &[u8]| format!("Basic {}", STANDARD.encode(pair));
        for (value, expected) in [
            (
                "Bearer a.b-c_d~e+/==".to_owned(),
                Some("token a.b-c_d~e+/=="),
            ),
            ("bEARER  x".to_owned(), Some("token x")),
            (basic(b"alice:p:w"), Some("alice / p:w")),
            (basic("é:ü".as_bytes()), Some("é / ü")),
            (basic(b"alice:"), Some("alice / ")),
            ("Basic YTpi".to_owned(), Some("a / b")),
            ("Basic YTpiYw".to_owned(), Some("a / bc")),
            (basic(b":secret"), None),
            (basic(b"no colon"), None),
            (basic(b"a:b\nc"), None),
            (basic(b"a:\xff"), None),
            ("Basic a:b".to_owned(), None),
            ("Bearer".to_owned(), None),
            ("Bearer ".to_owned(), None),
            ("Bearer =".to_owned(), None),
            ("Bearer a b".to_owned(), None),
            ("Bearer a, Basic YTpi".to_owned(), None),
            ("Digest a".to_owned(), None),
            (format!("Bearer {}", "a".repeat(MAX_BYTES)), None),
        ] {
            assert_eq!(read(&value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for value in ["Bearer hush", "Basic dTpodXNo"] {
            let shown = format!("{:?}", Credentials::parse(value).expect("credentials"));
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
