//! What OAuth clients other than the outpost need of a provider's metadata.

use url::Url;

use crate::algorithm;
use crate::provider::{Provider, Unavailable};

/// Where clients of a provider send their users and their codes.
#[derive(Clone, Debug)]
pub struct ClientEndpoints {
    /// The authorization endpoint.
    pub authorization: Url,
    /// The token endpoint.
    pub token: Url,
    /// The key set.
    pub keys: Url,
    /// The names of the algorithms of ID tokens.
    pub algorithms: Vec<&'static str>,
    /// Whether the provider reads what a client says of itself at a URL, which is the client's id.
    pub reads_client_documents: bool,
}

impl Provider {
    /// Returns the endpoints for clients, as the provider's own document names them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`].
    pub fn client_endpoints(&self) -> Result<ClientEndpoints, Unavailable> {
        let found = self.discovered()?;
        let metadata = &found.metadata;
        Ok(ClientEndpoints {
            authorization: metadata.authorization_endpoint.clone(),
            token: metadata.token_endpoint.clone(),
            keys: metadata.jwks_uri.clone(),
            algorithms: algorithm::names(&found.algorithms),
            reads_client_documents: metadata.reads_client_documents,
        })
    }
}
