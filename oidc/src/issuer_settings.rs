//! What an operator decides about an issuer of tokens at which no user signs in.

use url::Url;

use crate::key_set::KeySet;
use crate::settings::{ClaimSettings, well_known};

/// An issuer, and which of its tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuerSettings {
    /// Its name in tokens (`iss`), compared exactly as text.
    pub issuer: String,
    /// The audiences, one of which a token must name.
    pub audience: Vec<String>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Where the claims of a client are.
    pub claims: ClaimSettings,
    /// The clients whose access tokens applications get from the caller, where this issuer is also a
    /// provider.
    pub handed_on: Vec<String>,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where the discovery document at this URL says.
    Discovery(Url),
    /// At this URL.
    Url(Url),
    /// Here, as a key set (RFC 7517 §5).
    Given(Vec<u8>),
}

impl KeySource {
    /// Returns the source of an issuer that publishes a discovery document (OpenID Connect
    /// Discovery 1.0 §4); `None` where the issuer is not a URL.
    pub fn discovery(issuer: &str) -> Option<Self> {
        let document = well_known(issuer);
        Url::parse(&document).ok().map(Self::Discovery)
    }

    /// Checks keys that are given.
    ///
    /// # Errors
    ///
    /// Why they cannot be used, for the operator.
    pub fn given(document: Vec<u8>) -> Result<Self, String> {
        match KeySet::parse(&document) {
            Ok(_) => Ok(Self::Given(document)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns the URL that is asked first, where one is.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Discovery(url) | Self::Url(url) => Some(url),
            Self::Given(_) => None,
        }
    }
}
