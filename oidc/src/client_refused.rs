//! What the operator corrects where a provider refuses its client.

use gatepost_base::Quoted;

use crate::settings::ProviderSettings;

/// The refusal of a client by its provider, with what the operator corrects. It never has the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "provider `{provider}` refuses the client `{client}` with {proof} ({}): correct `clientId`, {keys} or \
     `clientAuthentication`",
    Quoted(reason)
)]
pub struct ClientRefused {
    provider: String,
    client: String,
    /// What the client has shown.
    proof: &'static str,
    /// The keys of the configuration that say it.
    keys: &'static str,
    /// The provider's words.
    reason: String,
}

impl ClientRefused {
    /// Returns the refusal of the client of these settings, for a reason in the provider's words.
    pub(crate) fn of(settings: &ProviderSettings, reason: String) -> Self {
        let keys = match settings.client_key {
            Some(_) => "`clientKeyFile`, `clientKeyId`",
            None => "`clientSecret`",
        };
        Self {
            provider: settings.name.clone(),
            client: settings.client_id.as_str().to_owned(),
            proof: settings.client_proof(),
            keys,
            reason,
        }
    }
}
