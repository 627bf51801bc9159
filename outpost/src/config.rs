//! The outpost's configuration: what an operator wrote, checked as a whole before anything is
//! served.
//!
//! [`Config::load`] reads a YAML file, lays the environment over it ([`environment`]) and checks
//! every key. It reports all problems at once, each with the path of its key, and yields a
//! [`Config`] only when there is none.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gatepost_policy::config::{Problem, Problems};
use gatepost_session::KeyRing;
use gatepost_store::StoreSettings;
use serde_json::{Map, Value};

use crate::application::{ApplicationSettings, Unserved};
use crate::certificate::Certificate;
use crate::export::TraefikSettings;
use crate::pages::Brand;
use crate::rate_limit::RateLimit;
use crate::session_times::SessionTimes;
use crate::telemetry::logging::Log;
use crate::telemetry::traces::TracesSettings;
use crate::trusted_proxies::TrustedProxies;
use gatepost_oidc::ProviderSettings;
use places::Places;

pub mod environment;
mod places;
mod read;
pub mod reference;
#[cfg(test)]
mod tests;

/// A configuration in which every key has been checked.
#[derive(Debug)]
pub struct Config {
    /// Where the outpost listens.
    pub listen: Listen,
    /// The certificate of the https listener; without one it makes its own.
    pub tls: Option<Certificate>,
    /// How it logs.
    pub log: Log,
    /// Where it delivers traces, if anywhere.
    pub traces: Option<TracesSettings>,
    /// The secrets that sign and encrypt.
    pub keys: KeyRing,
    /// The file that they came from, if it was one.
    pub keys_file: Option<PathBuf>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How often one client may come; none means without limit.
    pub rate_limit: Option<RateLimit>,
    /// Where sessions are kept.
    pub store: StoreSettings,
    /// How long sessions and their windows last.
    pub session: SessionTimes,
    /// Where plugins read which sessions were ended before their windows.
    pub revoked_file: Option<PathBuf>,
    /// The OpenID providers.
    pub providers: Vec<ProviderSettings>,
    /// The applications, each with providers of the list before.
    pub applications: Vec<ApplicationSettings>,
    /// What is configured besides and cannot be served, where the rest is served without it.
    pub unserved: Vec<Unserved>,
    /// What Traefik is served, if anything.
    pub traefik: Option<TraefikSettings>,
    /// What the operator makes of the pages.
    pub brand: Brand,
    /// Every file that was read for it, so that a change of one can be noticed.
    pub files: Vec<PathBuf>,
}

/// The addresses the outpost listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Sign-in and forward auth.
    pub http: SocketAddr,
    /// The same over TLS, if at all.
    pub https: Option<SocketAddr>,
    /// Health and metrics. Never the public's.
    pub metrics: SocketAddr,
}

/// A configuration that cannot be used. Displays one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("{}not valid YAML: {message}", Location(path.as_deref()))]
    Syntax {
        /// The file, where it came from one.
        path: Option<PathBuf>,
        /// What the parser says, with line and column.
        message: String,
    },
    /// Keys are wrong.
    #[error("{}", Lines(.0))]
    Wrong(Vec<Finding>),
}

/// A problem and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The file and the line of the key, or of the section that lacks it. What the environment
    /// says stands in no file.
    pub place: Option<(PathBuf, u64)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.place {
            write!(f, "{}:{line}: ", path.display())?;
        }
        write!(f, "{}", self.problem)
    }
}

struct Location<'a>(Option<&'a Path>);

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{}: ", path.display()),
            None => Ok(()),
        }
    }
}

struct Lines<'a>(&'a [Finding]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the file at `path`, or no file, with the environment laid over it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Self::parse("", variables);
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        let mut config = Self::parse(&text, variables).map_err(|error| match error {
            ConfigError::Syntax { message, .. } => ConfigError::Syntax {
                path: Some(path.to_path_buf()),
                message,
            },
            ConfigError::Wrong(findings) => ConfigError::Wrong(located(findings, path, &text)),
            error @ ConfigError::Unreadable { .. } => error,
        })?;
        config.files.push(path.to_path_buf());
        Ok(config)
    }

    /// Reads YAML with the environment laid over it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_extent(text, variables, Extent::Everything)
    }

    /// As [`Self::parse`], of what says nothing about providers and applications, since these come
    /// from elsewhere.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn parse_without_applications(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_extent(text, variables, Extent::WithoutApplications)
    }

    fn parse_extent(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        extent: Extent,
    ) -> Result<Self, ConfigError> {
        let mut value = parse_yaml(text)?;
        let problems = Problems::new();
        environment::overlay(&mut value, variables, &problems);
        let config = read::config(&value, extent, &problems);
        let mut problems = problems.into_vec();
        // Two readers of one key report one problem.
        problems.dedup();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Wrong(
                problems
                    .into_iter()
                    .map(|problem| Finding {
                        problem,
                        place: None,
                    })
                    .collect(),
            )),
        }
    }
}

/// The findings with their lines in the file, in the order of these.
fn located(findings: Vec<Finding>, path: &Path, text: &str) -> Vec<Finding> {
    let places = Places::of(text);
    let mut findings: Vec<Finding> = findings
        .into_iter()
        .map(|Finding { problem, .. }| Finding {
            place: places
                .line_of(&problem.path)
                .map(|line| (path.to_path_buf(), line)),
            problem,
        })
        .collect();
    findings.sort_by_key(|finding| finding.place.as_ref().map(|(_, line)| *line));
    findings
}

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Everything that there is to know.
    Everything,
    /// Nothing about providers and applications.
    WithoutApplications,
}

fn parse_yaml(text: &str) -> Result<Value, ConfigError> {
    let syntax = |message: String| ConfigError::Syntax {
        path: None,
        message,
    };
    // The parser's full report quotes the lines around the mistake, which may hold a secret.
    let value: Option<Value> = serde_saphyr::from_str(text).map_err(|error| {
        syntax(
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or("unreadable")
                .to_owned(),
        )
    })?;
    match value {
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) => Err(syntax(
            "expected keys at the top level, like `listen:`".to_owned(),
        )),
        None => Ok(Value::Object(Map::new())),
    }
}
