//! The configuration that a command works on.

use std::path::PathBuf;

use clap::Args;

use super::output::{complain, said};
use crate::config::{Config, environment};
use crate::sources::authentik::{self, Settings, SettingsError};

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file. Without one, variables say everything: `GATEPOST_` and a key's path, as
    /// `GATEPOST_PROVIDERS_0_CLIENT_ID` for `providers[0].clientId`, or those of authentik's outpost.
    #[arg(long, short, env = "GATEPOST_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Where a configuration comes from.
pub(super) enum Origin {
    /// The file, and the variables that count before it.
    File,
    /// authentik, as these variables say.
    Authentik(Box<Settings>),
}

impl ConfigFile {
    /// Reads the configuration; reports its problems and returns `None` if it is invalid.
    pub(super) fn load(&self) -> Option<Config> {
        self.read()
            .map_err(|problems| problems.iter().for_each(complain))
            .ok()
    }

    /// Reads the configuration, and asks authentik for it if authentik's variables are set and there
    /// is no file; reports the problems, and returns `None` if it is invalid.
    pub(super) async fn load_or_ask(&self) -> Option<Config> {
        match self.read_or_ask().await {
            Ok((config, problems)) => {
                problems.iter().for_each(complain);
                Some(config)
            }
            Err(problems) => {
                problems.iter().for_each(complain);
                None
            }
        }
    }

    /// Reads the configuration as [`Self::load_or_ask`] does. Returns it with what cannot be served,
    /// or each problem.
    pub(super) async fn read_or_ask(&self) -> Result<(Config, Vec<String>), Vec<String>> {
        match self.settings().map_err(lines)? {
            Some(settings) => authentik::ask(settings).await.map_err(lines),
            None => Ok((self.read()?, Vec::new())),
        }
    }

    fn read(&self) -> Result<Config, Vec<String>> {
        let config = Config::load(self.config.as_deref(), environment::process_variables());
        config.map_err(|error| {
            let mut problems = lines(error);
            if self.config.is_none() {
                let message =
                    "no configuration file was read: name one with `--config` or `GATEPOST_CONFIG`";
                problems.push(message.to_owned());
            }
            problems
        })
    }

    /// Reads the configuration of the outpost itself, without the applications of authentik, for
    /// commands that ask the running outpost.
    pub(super) fn load_own(&self) -> Option<Config> {
        match self.origin()? {
            Origin::Authentik(settings) => said(settings.base_config()),
            Origin::File => self.load(),
        }
    }

    /// Returns whether authentik's variables take the place of a file, be they right or not.
    pub(super) fn is_of_authentik(&self) -> bool {
        !matches!(self.settings(), Ok(None))
    }

    /// Returns where the configuration comes from; reports the problems of authentik's variables and
    /// returns `None` if they are invalid.
    pub(super) fn origin(&self) -> Option<Origin> {
        let settings = said(self.settings())?;
        Some(settings.map_or(Origin::File, |settings| {
            Origin::Authentik(Box::new(settings))
        }))
    }

    /// Reads authentik's variables if there is no configuration file.
    ///
    /// The container's image names a file in `GATEPOST_CONFIG`. In the place of authentik's container
    /// there is no such file, and the variables are all that there is.
    fn settings(&self) -> Result<Option<Settings>, SettingsError> {
        if let Some(named) = &self.config {
            let by_variable = std::env::var_os("GATEPOST_CONFIG");
            let by_variable = by_variable.is_some_and(|path| named.as_os_str() == path);
            if !by_variable || named.exists() {
                return Ok(None);
            }
        }
        Settings::read(environment::process_variables())
    }
}

/// Returns the problems that an error displays, one a line.
fn lines(error: impl std::fmt::Display) -> Vec<String> {
    error.to_string().lines().map(str::to_owned).collect()
}
