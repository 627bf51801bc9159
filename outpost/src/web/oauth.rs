//! What the outpost tells OAuth clients.

use serde_json::{Value, json};

/// Where OAuth clients look for the metadata of a resource, in front of its path (RFC 9728 §3.1).
pub(super) const WELL_KNOWN_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Where they look for the metadata of an authorization server, in front of the path of its issuer (RFC
/// 8414 §3.1). Many clients look for that of an OpenID provider too.
const WELL_KNOWN_SERVERS: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// The name of the endpoint with the same metadata under the outpost's prefix. A challenge leads
/// there. A proxy that sends the whole prefix to the outpost needs no further route; one that only asks about
/// each path does.
pub(super) const RESOURCE: &str = "oauth-protected-resource";

/// The path of the issuer under the outpost's prefix, where the application has a public client.
pub(super) const ISSUER: &str = "oauth";

/// Where clients find the metadata of the issuer under its own path (OpenID Connect Discovery 1.0 §4).
pub(super) const DISCOVERY: &str = "oauth/.well-known/openid-configuration";

/// Where clients get the id of the public client.
pub(super) const REGISTER: &str = "oauth/register";

/// An answer to an OAuth client, which scripts of every origin may read.
#[derive(Debug)]
pub enum OAuthAnswer {
    /// Metadata.
    Metadata(Value),
    /// A browser asks whether a script may ask (a CORS preflight).
    Preflight,
    /// A client is registered.
    Registered(Value),
    /// A client is not registered.
    NotRegistered(RegistrationError),
}

/// Why a client is not registered (RFC 7591 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationError {
    /// The client would have its codes sent where the public client does not have them sent.
    RedirectUri,
    /// Its metadata is invalid, for this reason.
    Metadata(&'static str),
}

impl RegistrationError {
    /// Returns the error response.
    pub(super) fn json(self) -> Value {
        let (error, description) = match self {
            Self::RedirectUri => (
                "invalid_redirect_uri",
                "redirect URIs must be at the loopback interface, or be known to the operator",
            ),
            Self::Metadata(reason) => ("invalid_client_metadata", reason),
        };
        json!({"error": error, "error_description": description})
    }
}

/// Returns the path of the issuer whose metadata is at a well-known path; `None` for another path.
pub(super) fn well_known_server(path: &str) -> Option<&str> {
    let issuer = WELL_KNOWN_SERVERS
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))?;
    issuer.starts_with('/').then_some(issuer)
}
