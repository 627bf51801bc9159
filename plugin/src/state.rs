//! The folder in which the outpost says what the plugin must know ([`gatepost_policy::state`] has
//! its format), followed as it changes.
//!
//! What the folder says now is in force, and nothing else: an application's file that is missing,
//! damaged or another's closes the application. That is how an application is closed that has been
//! removed at the outpost. A folder that is only old stays in force, as its keys and rules are those
//! that the outpost had last; the log says that it is old.

use gatepost_policy::config::{Fields, Problem, Problems, Value};
use gatepost_policy::state::{
    FORMAT, MAX_APPLICATION_BYTES, RENEWED_FILE, REVOKED_FILE, STALE_SECONDS, application_file,
    renewed_at,
};
use gatepost_session::{DerivedKeys, NumericDate};
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, application, read_json, read_section};
use crate::host::{Host, Level};

/// How often the folder is looked at, in seconds.
const INTERVAL_SECONDS: u64 = 2;

/// How often while it serves nothing, in seconds.
const RETRY_INTERVAL_SECONDS: u64 = 1;

/// The problem with what another program has written, or another version.
const OTHER_FORMAT: &str = "another format: use one version of plugin and outpost";

/// The section of what a router wrote, in messages.
const MIDDLEWARE: &str = "middleware";

/// The outpost's folder.
#[derive(Debug)]
pub(crate) struct StateFolder {
    /// What the router wrote.
    pub(crate) router: Value,
    application: String,
    /// The folder, as the guest sees it, with a `/` at its end.
    path: String,
    application_file: String,
    /// The application's file as it was when it was last looked at, while it is in force.
    seen: Option<Zeroizing<Vec<u8>>>,
    /// The problem that was logged last.
    problem: Option<String>,
    /// Whether it was logged that no outpost renews the folder.
    is_stale: bool,
    next_look: NumericDate,
}

/// What a look at the folder has found.
#[derive(Debug)]
pub(crate) enum Found {
    /// What it found the last time.
    Nothing,
    /// What is in force from now on.
    State(Box<State>),
    /// Nothing that can be served. The log says why.
    Invalid,
}

/// What the folder says of an application.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    /// Verify its sessions.
    pub(crate) keys: DerivedKeys,
    /// The words for "allowed" to the routers behind the plugin.
    pub(crate) verdicts: Vec<String>,
    /// The list of revoked sessions.
    pub(crate) revoked_file: String,
}

impl StateFolder {
    /// Reads which folder a router has, and which application. What else the router wrote is read
    /// with what the folder says.
    pub(crate) fn read(mut fields: Fields<'_>) -> Option<Self> {
        let application = application(&mut fields);
        let path = fields.text("stateDir")?;
        if !path.starts_with('/') {
            fields.problem(
                "stateDir",
                "expected an absolute path as the plugin sees it",
            );
        }
        let application = application?;
        let path = format!("{}/", path.strip_suffix('/').unwrap_or(&path));
        Some(Self {
            application_file: application_file(&application),
            path,
            application: application.as_str().to_owned(),
            router: Value::Null,
            seen: None,
            problem: None,
            is_stale: false,
            next_look: NumericDate::from_seconds(0),
        })
    }

    /// Returns whether it is time for a look.
    pub(crate) fn is_due(&self, now: NumericDate) -> bool {
        // A clock that was set back must not put off the next look until it has caught up.
        now >= self.next_look || self.next_look > now.plus_seconds(INTERVAL_SECONDS)
    }

    /// Looks at the folder.
    pub(crate) fn look(&mut self, host: &impl Host, now: NumericDate) -> Found {
        match self.read_folder(host, now) {
            Ok(state) => {
                self.next_look = now.plus_seconds(INTERVAL_SECONDS);
                let Some(state) = state else {
                    return Found::Nothing;
                };
                if self.problem.take().is_some() {
                    state
                        .config
                        .log(host, Level::Info, "stateDir: in force again");
                }
                let narrowing = state.config.narrowing.as_ref();
                let narrowing = narrowing.map_or("", |own| own.log);
                if !narrowing.is_empty() {
                    state.config.log(host, Level::Info, narrowing);
                }
                Found::State(state)
            }
            Err(problem) => {
                self.next_look = now.plus_seconds(RETRY_INTERVAL_SECONDS);
                self.seen = None;
                if self.problem.as_ref() != Some(&problem) {
                    let message = format!(
                        "stateDir: {problem}; every request is answered 503 until this is mended"
                    );
                    host.log(Level::Error, &message);
                    self.problem = Some(problem);
                }
                Found::Invalid
            }
        }
    }

    /// Reads the folder. `None` where the application's file is as it was.
    fn read_folder(
        &mut self,
        host: &impl Host,
        now: NumericDate,
    ) -> Result<Option<Box<State>>, String> {
        let renewed = self.read_file(host, RENEWED_FILE)?;
        let renewed = renewed_at(&renewed).ok_or(OTHER_FORMAT)?;
        self.log_age(host, now, renewed);
        let content = self.read_file(host, &self.application_file);
        // The other file is there, so the folder is.
        let content = content.map_err(|error| {
            let name = &self.application;
            format!("{error}; has the outpost's configuration an application `{name}`?")
        })?;
        if self.seen.as_ref() == Some(&content) {
            return Ok(None);
        }
        let state = self.state(&content);
        // The outpost's file is not at fault for what the operator wrote at the middleware.
        let state = state.map_err(|error| {
            let is_routers = |problem: &Problem| problem.path.starts_with(MIDDLEWARE);
            match error.0.iter().all(is_routers) {
                true => error.to_string(),
                false => format!("{}: {error}", self.application_file),
            }
        })?;
        self.seen = Some(content);
        Ok(Some(Box::new(state)))
    }

    #[inline(never)]
    fn read_file(&self, host: &impl Host, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = format!("{}{name}", self.path);
        let read = host.read_file(&path, MAX_APPLICATION_BYTES);
        read.map_err(|error| format!("{path}: {error}"))
    }

    /// Reads the application's file.
    fn state(&self, content: &[u8]) -> Result<State, ConfigError> {
        let value = read_json(content)?;
        let problems = Problems::new();
        let (config, keys, verdicts) = read_section(&value, &problems, |mut fields| {
            // Before anything else: another format may mean other things by the same keys.
            let format = fields.text("format");
            let name = fields.text("application");
            if format.as_deref() != Some(FORMAT) {
                fields.problem("format", OTHER_FORMAT);
                return None;
            }
            if name.as_deref() != Some(&*self.application) {
                fields.problem("application", "another's");
                return None;
            }
            let entries = fields.list("keys").unwrap_or_default();
            let keys = DerivedKeys::from_entries(entries.iter().map(String::as_str));
            if keys.is_none() {
                fields.problem("keys", "invalid");
            }
            let verdicts = fields.list("verdicts").unwrap_or_default();
            let leaves_paths_out = fields.flag("expressions").unwrap_or_default();
            let settings = fields.section("settings");
            let router = Fields::of(&self.router, MIDDLEWARE, fields.problems());
            fields.finish();
            // Where the router's keys are missing, everything would be read as written by the outpost.
            let mut config = Config::read_fields(settings?, Some(router?))?;
            if let Some(narrowing) = &mut config.narrowing {
                narrowing.leaves_paths_out = leaves_paths_out;
            }
            Some((config, keys?, verdicts))
        })?;
        Ok(State {
            config,
            keys,
            verdicts,
            revoked_file: format!("{}{REVOKED_FILE}", self.path),
        })
    }

    /// Logs once that the folder is not renewed any more, and once that it is again.
    fn log_age(&mut self, host: &impl Host, now: NumericDate, renewed: NumericDate) {
        let is_stale = now > renewed.plus_seconds(STALE_SECONDS);
        if is_stale != std::mem::replace(&mut self.is_stale, is_stale) {
            // Traefik's default level logs only errors.
            let (level, message) = if is_stale {
                (
                    Level::Error,
                    "stateDir: the outpost has not renewed it for two minutes; what it says stays \
                     in force",
                )
            } else {
                (Level::Info, "stateDir: the outpost renews it again")
            };
            host.log(level, message);
        }
    }
}
