//! Requests in the name of a user (RFC 6750).

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request};
use openidconnect::{AccessToken, HttpResponse};
use url::Url;

use crate::error::{SignInError, unreadable};
use crate::provider::Provider;

impl Provider {
    /// Asks an endpoint in the name of the user (RFC 6750 §2.1).
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreachable`] where no response arrives.
    pub(crate) async fn get_with_token(
        &self,
        url: &Url,
        endpoint: &'static str,
        access_token: &AccessToken,
    ) -> Result<HttpResponse, SignInError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.secret()))
            .map_err(|error| unreadable(endpoint, &error.to_string()))?;
        bearer.set_sensitive(true);
        let request = Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer)
            .body(Vec::new())
            .map_err(|error| unreadable(endpoint, &error.to_string()))?;
        let response = self.http.0.send(request).await;
        response.map_err(|source| SignInError::Unreachable { endpoint, source })
    }
}
