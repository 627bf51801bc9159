//! Reads the headers that proxies set.

use http::HeaderMap;
use http::header::HOST;

use super::failure::Failure;
use crate::application::Applications;
use crate::origin::HostPort;

/// Returns the host of a direct request: that of its URL or `Host` header, by which the proxy routed
/// it. A trusted proxy that changed the host sends the original in `X-Forwarded-Host`; but behind a
/// second proxy which the first trusts, this header is the client's.
pub(super) fn direct_host(
    parts: &http::request::Parts,
    trusted_peer: bool,
    applications: &Applications,
) -> Result<HostPort, Unplaced> {
    let own = own_host(parts).map_err(|_| Unplaced::Unreadable)?;
    let own = own.and_then(HostPort::parse);
    let forwarded = match single(&parts.headers, "x-forwarded-host") {
        _ if !trusted_peer => None,
        Ok(forwarded) => forwarded,
        // Invalid: no host rather than a wrong one.
        Err(()) => return Err(Unplaced::Unreadable),
    };
    let Some(forwarded) = forwarded else {
        return own.ok_or(Unplaced::Unreadable);
    };
    let forwarded = HostPort::parse(forwarded).ok_or(Unplaced::Unreadable)?;
    match own {
        Some(own) if applications.distinguish(&own, &forwarded) => Err(Unplaced::Contradicted),
        Some(own) if applications.know(&own) => Ok(own),
        _ => Ok(forwarded),
    }
}

/// Why the host of a request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// It names no valid host.
    Unreadable,
    /// It names two hosts, of different applications.
    Contradicted,
}

impl From<Unplaced> for Failure {
    fn from(unplaced: Unplaced) -> Self {
        match unplaced {
            Unplaced::Unreadable => Self::NoHost,
            Unplaced::Contradicted => Self::Contradicted("X-Forwarded-Host"),
        }
    }
}

/// Returns the host that a request names itself: that of an absolute URL (HTTP/2 always has one), or
/// the `Host` header.
///
/// # Errors
///
/// [`Failure::Contradicted`] where the two differ.
pub(super) fn own_host(parts: &http::request::Parts) -> Result<Option<&str>, Failure> {
    let header = single(&parts.headers, HOST.as_str()).map_err(|()| Failure::Forwarded("Host"))?;
    match (
        parts.uri.authority().map(http::uri::Authority::as_str),
        header,
    ) {
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => {
            Err(Failure::Contradicted("Host"))
        }
        (authority, header) => Ok(authority.or(header)),
    }
}

/// Returns a header that a proxy sets, once and as text.
pub(super) fn header_text<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, Failure> {
    single(headers, name).map_err(|()| Failure::Forwarded(name))
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(());
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| ())?;
    Ok((!text.is_empty()).then_some(text))
}
