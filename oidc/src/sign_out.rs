//! Signing out at the provider (RP-Initiated Logout 1.0).

use gatepost_base::Secret;
use url::Url;

use crate::provider::Provider;
use crate::settings::SignOut;

/// The longest ID token that is sent as a hint, in bytes: servers refuse longer URLs.
const MAX_HINT_BYTES: usize = 2_048;

impl Provider {
    /// Returns where to send the browser to sign out at the provider too (§2); `None` where the
    /// provider has no end session endpoint, or the settings say so.
    pub fn sign_out_url(&self, id_token: Option<&Secret>, return_to: &str) -> Option<Url> {
        if self.settings.sign_out == SignOut::LocalOnly {
            return None;
        }
        let client_id = self.settings.client_id.as_str();
        if let Some(template) = &self.settings.sign_out_url {
            return template.fill(client_id, return_to);
        }
        let found = self.discovered.load_full()?;
        let mut url = found.metadata.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            // Without the hint, the provider asks the user whether to sign out.
            let hint = id_token.map(Secret::expose);
            if let Some(hint) = hint.filter(|hint| hint.len() <= MAX_HINT_BYTES) {
                query.append_pair("id_token_hint", hint);
            }
            query
                .append_pair("client_id", client_id)
                .append_pair("post_logout_redirect_uri", return_to);
        }
        Some(url)
    }
}
