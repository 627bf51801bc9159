//! The names of a provider that cannot be served.

use serde_json::Value;
use url::{Host, Url};

use crate::application::Unserved;

/// Returns the names of a provider that cannot be served. Any of its values may be missing or
/// invalid.
pub(super) fn of(provider: &Value, reason: String) -> Unserved {
    let host = text(provider, "external_host").and_then(host_and_port);
    let domain = domain(provider, host.as_ref().map(|(host, _)| host.as_str()));
    Unserved {
        name: name_of(provider).to_owned(),
        reason,
        host,
        domain,
    }
}

/// Returns its name in authentik.
pub(super) fn name_of(provider: &Value) -> &str {
    text(provider, "name").unwrap_or("?")
}

fn text<'v>(provider: &'v Value, field: &str) -> Option<&'v str> {
    provider.get(field)?.as_str().map(str::trim)
}

/// Returns the host of a URL that may be invalid, in lower case and punycode, as `Host` headers are
/// compared with it.
fn host_and_port(external: &str) -> Option<(String, Option<u16>)> {
    let rest = external
        .split_once("://")
        .map_or(external, |(_, rest)| rest);
    let scheme = if external.starts_with("http://") {
        "http"
    } else {
        "https"
    };
    let url = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    let host = url.host_str()?.trim_end_matches('.').to_owned();
    Some((host, url.port_or_known_default()))
}

/// Returns the domain that it would answer for. A provider for a domain that does not name it keeps
/// all names below its host.
fn domain(provider: &Value, host: Option<&str>) -> Option<String> {
    let named = text(provider, "cookie_domain")
        .map(|domain| domain.trim_matches('.'))
        .and_then(|domain| Host::parse(domain).ok())
        .map(|domain| domain.to_string())
        .filter(|domain| !domain.is_empty());
    match text(provider, "mode") {
        Some("forward_domain") => named.or_else(|| host.map(str::to_owned)),
        Some("forward_single" | "proxy") => None,
        // It may be for a domain.
        Some(_) | None => named,
    }
}
