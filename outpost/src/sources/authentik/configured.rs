//! The configuration that follows from authentik's answers.

use super::api::{Api, ApiError, Snapshot};
use super::mapping;
use super::settings::Settings;
use crate::config::{Config, ConfigError};

/// Why an outpost of authentik's cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// authentik cannot be asked at all.
    #[error(transparent)]
    Http(#[from] crate::http_client::HttpError),
    /// The rest of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// authentik refuses or has nothing for this token.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Asks authentik, and returns the configuration that follows from its response, the problems
/// with it, and the variables that set nothing.
///
/// # Errors
///
/// [`StartError`].
pub async fn ask(settings: Settings) -> Result<(Config, Vec<String>), StartError> {
    let snapshot = Api::new(&settings)?.snapshot().await?;
    let (config, problems) = configured(&settings, &snapshot)?;
    Ok((config, [settings.unknown(), &problems].concat()))
}

pub(super) fn configured(
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mut mapped = mapping::map(snapshot, settings);
    let base = settings.base_config()?;
    for application in &mut mapped.applications {
        // Over plain http browsers take no such cookie.
        if application.external.is_https() {
            application.cross_site = base.cross_site;
        }
    }
    let config = Config {
        providers: mapped.providers,
        applications: mapped.applications,
        unserved: mapped.unserved,
        ..base
    };
    Ok((config, mapped.problems))
}
