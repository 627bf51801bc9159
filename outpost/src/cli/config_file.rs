//! The configuration that a command works on.

use std::path::PathBuf;

use clap::Args;

use super::output::{complain, said};
use crate::config::{Config, environment};
use crate::sources::authentik::{self, Settings};

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file. Without one, the environment says everything.
    #[arg(long, short, env = "GATEPOST_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the configuration; reports its problems and returns `None` if it is invalid.
    pub(super) fn load(&self) -> Option<Config> {
        let config = said(Config::load(
            self.config.as_deref(),
            environment::process_variables(),
        ));
        if config.is_none() && self.config.is_none() {
            complain(
                &"no configuration file was read: name one with `--config` or `GATEPOST_CONFIG`",
            );
        }
        config
    }

    /// Reads the configuration, and asks authentik for it if authentik's variables are set and no
    /// file is named.
    pub(super) async fn load_or_ask(&self) -> Option<Config> {
        match self.authentik()? {
            Some(settings) => {
                let (config, problems) = said(authentik::ask(settings).await)?;
                problems.iter().for_each(complain);
                Some(config)
            }
            None => self.load(),
        }
    }

    /// Reads the configuration of the outpost itself, without the applications of authentik, for
    /// commands that ask the running outpost.
    pub(super) fn load_own(&self) -> Option<Config> {
        match self.authentik()? {
            Some(settings) => said(settings.base_config()),
            None => self.load(),
        }
    }

    /// Reads authentik's variables if no configuration file is named; reports their problems and
    /// returns `None` if they are invalid.
    ///
    /// The container's image names a file in `GATEPOST_CONFIG`. In the place of authentik's container
    /// nobody puts one there, and the variables are all that there is.
    pub(super) fn authentik(&self) -> Option<Option<Settings>> {
        if let Some(named) = &self.config {
            let by_variable = std::env::var_os("GATEPOST_CONFIG");
            let by_variable = by_variable.is_some_and(|path| named.as_os_str() == path);
            if !by_variable || named.exists() {
                return Some(None);
            }
        }
        said(Settings::read(environment::process_variables()))
    }
}
