//! An OpenID Connect relying party.
//!
//! A [`Provider`] is created from [`ProviderSettings`] and an [`HttpClient`], discovers the
//! provider in the background, and offers one operation per step of the protocol:
//!
//! - [`Provider::authorize`] makes an authorization request; [`Provider::finish`] exchanges the
//!   code of its response, verifies the ID token and returns the user's identity.
//! - [`Provider::refresh`] renews with a refresh token.
//! - [`Provider::sign_out_url`] leads to the end session endpoint;
//!   [`Provider::verify_logout_token`] verifies the logout token that the provider sends over the
//!   back channel.
//! - [`Provider::holder`] returns the holder of an access token, by its signature or by
//!   introspection; [`Provider::token_for`] exchanges a name and a password for one.
//!   [`TokenIssuer::holder`] does so for an issuer at which no user signs in.
//! - [`Provider::try_client`] checks the client's id and secret.
//!
//! The caller keeps `state`, `nonce` and code verifier until the response arrives, keeps sessions,
//! and remembers which logout tokens it has seen: this crate knows no cookies, no stores and no
//! configuration files.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gatepost_base::Clock;
//! use gatepost_oidc::{AuthorizationOptions, HttpClient, HttpError, Provider, ProviderSettings};
//! use openidconnect::{ClientId, HttpRequest, HttpResponse, IssuerUrl, RedirectUrl};
//! use serde_json::json;
//!
//! /// A provider in memory, in the place of a real HTTP client.
//! #[derive(Debug)]
//! struct InMemory;
//!
//! #[async_trait::async_trait]
//! impl HttpClient for InMemory {
//!     async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
//!         let body = match request.uri().path() {
//!             "/.well-known/openid-configuration" => json!({
//!                 "issuer": "https://id.example.com",
//!                 "authorization_endpoint": "https://id.example.com/authorize",
//!                 "token_endpoint": "https://id.example.com/token",
//!                 "jwks_uri": "https://id.example.com/keys",
//!                 "response_types_supported": ["code"],
//!                 "subject_types_supported": ["public"],
//!                 "id_token_signing_alg_values_supported": ["RS256"],
//!             }),
//!             // The key of RFC 8037, appendix A.2.
//!             _ => json!({"keys": [{
//!                 "kty": "OKP", "crv": "Ed25519",
//!                 "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
//!             }]}),
//!         };
//!         Ok(HttpResponse::new(body.to_string().into_bytes()))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let issuer = IssuerUrl::new("https://id.example.com".to_owned())?;
//! let settings = ProviderSettings::new("main", issuer, ClientId::new("app".to_owned()));
//! let provider = Provider::new(settings, Arc::new(InMemory), Clock::system());
//! provider.discover().await?;
//!
//! let redirect_uri = RedirectUrl::new("https://app.example.com/callback".to_owned())?;
//! let request = provider.authorize(redirect_uri, AuthorizationOptions::default()).await?;
//! assert!(request.url.as_str().starts_with("https://id.example.com/authorize?"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access_token;
mod algorithm;
mod authorize;
mod bearer;
mod claim_path;
mod claims;
mod client_check;
mod client_endpoints;
mod client_key;
mod client_refused;
mod discovery;
mod error;
mod exchange;
mod form;
mod graph;
mod groups;
mod http_client;
mod id_token;
mod introspection;
mod issuer_settings;
mod json;
mod jwt;
mod key_set;
mod logout_token;
mod metadata;
mod named_claim;
mod provider;
mod refresh;
mod settings;
mod sign_out;
mod sign_out_url;
mod static_metadata;
mod static_provider;
mod token_endpoint;
mod token_issuer;
mod token_request;
mod userinfo;

pub use access_token::{CredentialsError, Holder, Proved, Refusal, TokenRules, unverified_issuer};
pub use authorize::{
    AskedAuthentication, AuthorizationOptions, AuthorizationRequest, is_free_parameter,
};
pub use claim_path::ClaimPath;
pub use client_check::ClientVerdict;
pub use client_endpoints::ClientEndpoints;
pub use client_key::{ClientError, ClientKey, ClientKeyError};
pub use client_refused::ClientRefused;
pub use discovery::DiscoveryError;
pub use error::SignInError;
pub use exchange::SignedIn;
pub use http_client::{HttpClient, HttpError};
pub use id_token::IdTokenError;
pub use issuer_settings::{KeySource, TokenIssuerSettings};
pub use json::{excerpt, numeric_date};
pub use key_set::SignatureError;
pub use logout_token::{LogoutToken, LogoutTokenError, UnverifiedLogoutToken};
pub use named_claim::NamedClaim;
pub use provider::{Provider, Summary, Unavailable};
pub use refresh::{RefreshError, Refreshed};
pub use settings::{
    AccessTokenSettings, ClaimSettings, ClientAuthentication, Grant, NonceCheck, ProviderSettings,
    ResponseMode, SignOut, TokenRequest, UnverifiedEmail,
};
pub use sign_out_url::SignOutUrl;
pub use static_provider::{PublicAddress, StaticProvider};
pub use token_endpoint::IssuedToken;
pub use token_issuer::{IssuedTokenRules, TokenIssuer};
