//! A provider's metadata (OpenID Connect Discovery 1.0 §3), as far as it is used.

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Map, Value};
use url::Url;

use crate::algorithm;
use crate::json::{self, DocumentError, flag, needed_url, optional_url};

/// What a relying party uses of a provider's metadata.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// The issuer that the document names.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    /// RP-Initiated Logout 1.0 §2.1.
    pub(crate) end_session_endpoint: Option<Url>,
    /// RFC 8414 §2.
    pub(crate) introspection_endpoint: Option<Url>,
    /// RFC 9126 §5.
    pub(crate) par_endpoint: Option<Url>,
    /// Whether authorization requests have to be pushed (RFC 9126 §5).
    pub(crate) requires_par: bool,
    /// The algorithms of ID tokens that it names and this crate knows; `None` where it names none.
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    /// How clients authenticate at the token endpoint; `None` where it does not say.
    pub(crate) authentication_methods: Option<Vec<String>>,
    /// The classes of authentication (`acr`) that it names; `None` where it names none.
    pub(crate) classes: Option<Vec<String>>,
    /// The scopes that it names; `None` where it names none.
    pub(crate) scopes: Option<Vec<String>>,
    /// Whether it names PKCE with S256 (RFC 8414 §2).
    pub(crate) names_pkce: bool,
    /// Whether authorization responses have an `iss` (RFC 9207 §3).
    pub(crate) sends_issuer: bool,
    /// Whether the URL of a document about a client may be its id
    /// (draft-ietf-oauth-client-id-metadata-document §6).
    pub(crate) reads_client_documents: bool,
}

impl Metadata {
    /// Reads a discovery document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] names the member that is missing or invalid.
    pub(crate) fn read(members: &Map<String, Value>) -> Result<Self, DocumentError> {
        let list = |name: &str| json::texts(members, name);
        let owned = |name: &str| -> Option<Vec<String>> {
            Some(list(name)?.into_iter().map(str::to_owned).collect())
        };
        Ok(Self {
            issuer: json::needed_text(members, "issuer")?.to_owned(),
            authorization_endpoint: needed_url(members, "authorization_endpoint")?,
            token_endpoint: needed_url(members, "token_endpoint")?,
            jwks_uri: needed_url(members, "jwks_uri")?,
            userinfo_endpoint: optional_url(members, "userinfo_endpoint")?,
            end_session_endpoint: optional_url(members, "end_session_endpoint")?,
            introspection_endpoint: optional_url(members, "introspection_endpoint")?,
            par_endpoint: optional_url(members, "pushed_authorization_request_endpoint")?,
            requires_par: flag(members, "require_pushed_authorization_requests"),
            algorithms: list("id_token_signing_alg_values_supported")
                .map(|names| names.into_iter().filter_map(algorithm::parse).collect()),
            authentication_methods: owned("token_endpoint_auth_methods_supported"),
            classes: owned("acr_values_supported"),
            scopes: owned("scopes_supported"),
            names_pkce: list("code_challenge_methods_supported")
                .is_some_and(|methods| methods.contains(&"S256")),
            sends_issuer: flag(members, "authorization_response_iss_parameter_supported"),
            reads_client_documents: flag(members, "client_id_metadata_document_supported"),
        })
    }

    /// Returns the endpoints, each with its name in messages.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Url)> {
        let needed = [
            ("authorization endpoint", &self.authorization_endpoint),
            ("token endpoint", &self.token_endpoint),
            ("key set", &self.jwks_uri),
        ];
        let optional = [
            ("userinfo endpoint", &self.userinfo_endpoint),
            ("end session endpoint", &self.end_session_endpoint),
            ("introspection endpoint", &self.introspection_endpoint),
            ("pushed authorization request endpoint", &self.par_endpoint),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(name, url)| Some((name, url.as_ref()?)));
        needed.into_iter().chain(optional)
    }
}
