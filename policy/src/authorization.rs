//! Credentials of machine clients, which are accepted in place of a session.

use alloc::string::String;
use core::fmt;

use crate::header_name::HeaderName;
use crate::request::Request;

/// How every API key of Gatepost begins. Scanners for secrets find keys by it.
pub const API_KEY_PREFIX: &str = "gp_";

/// A kind of credentials: a scheme of `Authorization` (RFC 9110 §11.1), or what Gatepost has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// An access token (RFC 6750).
    Bearer,
    /// A name and a password (RFC 7617).
    Basic,
    /// An access token that is bound to a key, with a proof by that key (RFC 9449).
    Dpop,
    /// An API key of Gatepost, as a bearer token or in a header of its own.
    ApiKey,
}

impl Scheme {
    /// Returns the scheme of `Authorization` of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"bearer") {
            Some(Self::Bearer)
        } else if name.eq_ignore_ascii_case(b"basic") {
            Some(Self::Basic)
        } else if name.eq_ignore_ascii_case(b"dpop") {
            Some(Self::Dpop)
        } else {
            None
        }
    }
}

/// The credentials that are accepted in place of a session. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationSchemes {
    /// [`Scheme::Bearer`].
    pub bearer: bool,
    /// [`Scheme::Basic`].
    pub basic: bool,
    /// [`Scheme::Dpop`].
    pub dpop: bool,
    /// [`Scheme::ApiKey`].
    pub api_key: bool,
    /// The header that may carry an API key besides `Authorization`.
    api_key_header: Option<ApiKeyHeader>,
}

/// The header that carries API keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ApiKeyHeader {
    name: HeaderName,
    lower: String,
}

/// A text that is not the name of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScheme;

impl fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `bearer`, `dpop`, `basic` or `apiKey`, or several of them")
    }
}

impl core::error::Error for UnknownScheme {}

impl AuthorizationSchemes {
    /// Reads the names of schemes.
    ///
    /// # Errors
    ///
    /// [`UnknownScheme`] for any other name.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, UnknownScheme> {
        let mut schemes = Self::default();
        for name in names {
            match Scheme::named(name.as_bytes()) {
                Some(Scheme::Bearer) => schemes.bearer = true,
                Some(Scheme::Basic) => schemes.basic = true,
                Some(Scheme::Dpop) => schemes.dpop = true,
                _ if name.eq_ignore_ascii_case("apiKey") => schemes.api_key = true,
                _ => return Err(UnknownScheme),
            }
        }
        Ok(schemes)
    }

    /// Returns all schemes of `Authorization`, without API keys.
    pub fn of_authorization() -> Self {
        Self {
            bearer: true,
            basic: true,
            ..Self::default()
        }
    }

    /// Accepts API keys in this header too.
    pub(crate) fn accept_api_key_header(&mut self, name: HeaderName) {
        let lower = name.as_str().to_ascii_lowercase();
        self.api_key = true;
        self.api_key_header = Some(ApiKeyHeader { name, lower });
    }

    /// Returns the header that may carry an API key besides `Authorization`.
    pub fn api_key_header(&self) -> Option<&HeaderName> {
        self.api_key_header.as_ref().map(|header| &header.name)
    }

    /// Returns whether a request has the header for API keys.
    pub fn has_api_key_header(&self, request: &impl Request) -> bool {
        let mut header = self.api_key_header.iter();
        header.any(|header| request.header(&header.lower).is_some())
    }

    /// Returns whether any scheme is allowed.
    pub fn any(&self) -> bool {
        self.bearer || self.basic || self.dpop || self.api_key
    }

    /// Returns whether this scheme is allowed.
    pub fn allows(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => self.bearer,
            Scheme::Basic => self.basic,
            Scheme::Dpop => self.dpop,
            Scheme::ApiKey => self.api_key,
        }
    }

    /// Returns the scheme of a request's credentials, if it is among them. Does not check whether
    /// the credentials are valid.
    ///
    /// An API key in its own header decides, since `Authorization` may be for the application then.
    /// No header is looked at where nothing is allowed: inside a proxy that would cost a call.
    pub fn scheme_of(&self, request: &impl Request) -> Option<Scheme> {
        if !self.any() {
            return None;
        }
        if self.has_api_key_header(request) {
            return Some(Scheme::ApiKey);
        }
        let credentials = request.header("authorization")?;
        let mut parts = credentials.splitn(2, |byte| *byte == b' ');
        let scheme = Scheme::named(parts.next()?)?;
        let rest = parts.next().unwrap_or_default().trim_ascii_start();
        let is_key = scheme == Scheme::Bearer && rest.starts_with(API_KEY_PREFIX.as_bytes());
        let scheme = if is_key && self.api_key {
            Scheme::ApiKey
        } else {
            scheme
        };
        self.allows(scheme).then_some(scheme)
    }
}
