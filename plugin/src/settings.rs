//! What an operator may write in Traefik's configuration.

use gatepost_policy::config::Problems;

use crate::config::{Config, ConfigError, read_section, read_settings};
use crate::state::StateFolder;

/// What an operator may write in Traefik's configuration.
#[derive(Debug)]
pub(crate) enum Settings {
    /// Everything.
    Whole(Box<Config>),
    /// Which application it is, and the outpost's folder with the rest.
    InFolder(Box<StateFolder>),
}

impl Settings {
    /// Reads the JSON that the proxy hands over.
    ///
    /// # Errors
    ///
    /// Every problem with it. No message has a secret's value.
    pub(crate) fn read(json: &[u8]) -> Result<Self, ConfigError> {
        let value = read_settings(json)?;
        let mut settings = read_section(&value, &Problems::new(), |mut fields| {
            Some(if fields.value("stateDir").is_some() {
                Self::InFolder(Box::new(StateFolder::read(fields)?))
            } else {
                Self::Whole(Box::new(Config::read_fields(fields, None)?))
            })
        })?;
        if let Self::InFolder(folder) = &mut settings {
            folder.router = value;
        }
        Ok(settings)
    }
}
