//! Authorization requests and their responses (OpenID Connect Core 1.0 §3.1.2), and the request to
//! sign out (RP-Initiated Logout 1.0).

use gatepost_base::Secret;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreJsonWebKeySet};
use openidconnect::{AuthUrl, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl};
use url::Url;

use crate::exchange::SignInError;
use crate::provider::{Provider, Unavailable};
use crate::settings::SignOut;

/// An authorization request (OpenID Connect Core 1.0 §3.1.2.1), and what has to be kept until its
/// response arrives.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// Where to send the browser.
    pub url: Url,
    /// Binds the response to the browser (RFC 6749 §10.12).
    pub state: CsrfToken,
    /// Binds the ID token to the request.
    pub nonce: Nonce,
    /// Binds the code to the request (RFC 7636).
    pub verifier: PkceCodeVerifier,
}

impl Provider {
    /// Makes an authorization request. A silent one (`prompt=none`) shows the user no page: it
    /// succeeds only for a user who is signed in at the provider.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] while the provider has not been found.
    pub fn authorize(
        &self,
        redirect_uri: RedirectUrl,
        silent: bool,
    ) -> Result<AuthorizationRequest, Unavailable> {
        let found = self.discovered()?;
        // 256 bits each from the operating system's generator, by the library.
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = CsrfToken::new_random_len(32);
        let nonce = Nonce::new_random_len(32);
        let client = CoreClient::new(
            self.settings.client_id.clone(),
            self.settings.issuer.clone(),
            CoreJsonWebKeySet::default(),
        )
        .set_auth_uri(AuthUrl::from_url(
            found.metadata.authorization_endpoint.clone(),
        ))
        .set_redirect_uri(redirect_uri);
        let (state_sent, nonce_sent) = (state.clone(), nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state_sent,
                move || nonce_sent,
            )
            .add_scopes(self.settings.scopes.iter().cloned())
            .set_pkce_challenge(challenge);
        if silent {
            request = request.add_prompt(CoreAuthPrompt::None);
        }
        let (url, ..) = request.url();
        Ok(AuthorizationRequest {
            url,
            state,
            nonce,
            verifier,
        })
    }

    /// Checks the `iss` of an authorization response (RFC 9207 §2.4).
    ///
    /// # Errors
    ///
    /// [`SignInError::ResponseIssuer`] when it is another's, or missing although the provider says
    /// that it sends one.
    pub fn check_response_issuer(&self, iss: Option<&str>) -> Result<(), SignInError> {
        let promised = self.discovered()?.metadata.sends_issuer;
        match iss {
            Some(iss) if iss == self.settings.issuer.as_str() => Ok(()),
            None if !promised => Ok(()),
            Some(_) | None => Err(SignInError::ResponseIssuer),
        }
    }

    /// Returns where to send the browser to sign out at the provider too (RP-Initiated Logout 1.0
    /// §2); `None` where the provider has no end session endpoint, or the settings say so.
    pub fn sign_out_url(&self, id_token: Option<&Secret>, return_to: &str) -> Option<Url> {
        if self.settings.sign_out == SignOut::LocalOnly {
            return None;
        }
        let found = self.discovered.load_full()?;
        let mut url = found.metadata.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(id_token) = id_token {
                query.append_pair("id_token_hint", id_token.expose());
            }
            query
                .append_pair("client_id", self.settings.client_id.as_str())
                .append_pair("post_logout_redirect_uri", return_to);
        }
        Some(url)
    }
}
