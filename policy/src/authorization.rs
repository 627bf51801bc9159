//! Credentials of machine clients, which are accepted in place of a session.

use core::fmt;

use crate::request::Request;

/// A scheme of `Authorization` (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// An access token (RFC 6750).
    Bearer,
    /// A name and a password (RFC 7617).
    Basic,
}

impl Scheme {
    /// Returns the scheme of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"bearer") {
            Some(Self::Bearer)
        } else if name.eq_ignore_ascii_case(b"basic") {
            Some(Self::Basic)
        } else {
            None
        }
    }
}

/// The schemes of `Authorization` that are accepted in place of a session. By default there are
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationSchemes {
    /// [`Scheme::Bearer`].
    pub bearer: bool,
    /// [`Scheme::Basic`].
    pub basic: bool,
}

/// A text that is not the name of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScheme;

impl fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `bearer`, `basic` or both")
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
            match Scheme::named(name.as_bytes()).ok_or(UnknownScheme)? {
                Scheme::Bearer => schemes.bearer = true,
                Scheme::Basic => schemes.basic = true,
            }
        }
        Ok(schemes)
    }

    /// Returns whether any scheme is allowed.
    pub fn any(self) -> bool {
        self.bearer || self.basic
    }

    /// Returns whether this scheme is allowed.
    pub fn allows(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => self.bearer,
            Scheme::Basic => self.basic,
        }
    }

    /// Returns the scheme of a request's credentials, if it is among them. Does not check whether
    /// the credentials are valid.
    ///
    /// The header is not looked at where no scheme is: inside a proxy that would cost a call.
    pub fn scheme_of(self, request: &impl Request) -> Option<Scheme> {
        if !self.any() {
            return None;
        }
        let credentials = request.header("authorization")?;
        let name = credentials.split(|byte| *byte == b' ').next()?;
        Scheme::named(name).filter(|scheme| self.allows(*scheme))
    }
}
