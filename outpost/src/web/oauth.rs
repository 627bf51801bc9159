//! What the outpost tells OAuth clients.

use serde_json::Value;

/// Where OAuth clients look for the metadata of a resource, in front of its path (RFC 9728 §3.1).
pub(super) const WELL_KNOWN_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The name of the endpoint with the same metadata under the outpost's prefix. A challenge leads
/// there, so that the proxy needs no further route.
pub(super) const RESOURCE: &str = "oauth-protected-resource";

/// An answer to an OAuth client, which scripts of every origin may read.
#[derive(Debug)]
pub enum OAuthAnswer {
    /// Metadata.
    Metadata(Value),
    /// A browser asks whether a script may ask (a CORS preflight).
    Preflight,
}
