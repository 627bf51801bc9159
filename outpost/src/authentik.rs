//! In the place of authentik's own proxy outpost: the applications come from authentik's API.
//!
//! With `AUTHENTIK_HOST` and `AUTHENTIK_TOKEN` set and no configuration file, an outpost is what
//! `goauthentik.io/proxy` is: [`Settings`] reads those variables, `api` asks authentik,
//! `mapping` makes a [`Config`] of its answers, and [`Follower`] keeps that current: told by a
//! websocket (`socket`), and by asking again now and then where that is not to be had.
//!
//! authentik is needed for changes only. While it cannot be reached the last answer stays in
//! force, across restarts too where sessions outlive them (`cache`).

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use url::form_urlencoded;

use crate::config::{Config, ConfigError};
use crate::outpost::Outpost;
use crate::store::Selection;
use crate::web::OwnEndpoint;
use api::{Api, ApiError, Snapshot};
use cache::Cache;
use log_limit::LogLimit;
use socket::Event;

mod api;
mod application;
mod cache;
mod log_limit;
mod mapping;
mod settings;
mod skip;
mod socket;

pub use application::FromAuthentik;
pub use settings::{Settings, SettingsError};
pub use skip::SkipPaths;

/// What marks a request as a callback, on whatever path.
pub const CALLBACK_SIGNATURE: &str = "X-authentik-auth-callback=true";

/// What marks a request as a sign-out, on whatever path.
const SIGN_OUT_SIGNATURE: (&str, &str) = ("X-authentik-logout", "true");

/// The pause between two attempts to reach authentik.
const RETRY: Duration = Duration::from_secs(3);

/// How much later than it is told an outpost asks for what changed, at most: replicas are all told
/// at once.
const SPREAD_MILLIS: u64 = 2_000;

/// The endpoint that a target's query is a signature of, if it is one.
pub fn signed(target: &str) -> Option<OwnEndpoint> {
    let (_, query) = target.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find_map(|(name, value)| {
        let pair = (&*name, &*value);
        if Some(pair) == CALLBACK_SIGNATURE.split_once('=') {
            Some(OwnEndpoint::Callback)
        } else if pair == SIGN_OUT_SIGNATURE {
            Some(OwnEndpoint::SignOut)
        } else {
            None
        }
    })
}

/// Why an outpost of authentik's cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// authentik cannot be asked at all.
    #[error(transparent)]
    Http(#[from] crate::provider::HttpError),
    /// The rest of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// authentik refuses or has nothing for this token.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// The configuration that authentik's answer makes, and what of it could not be used.
///
/// # Errors
///
/// [`StartError`].
pub async fn ask(settings: Settings) -> Result<(Config, Vec<String>), StartError> {
    let snapshot = Api::new(&settings)?.snapshot().await?;
    Ok(configured(&settings, &snapshot)?)
}

fn configured(
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mapped = mapping::map(snapshot, settings);
    let base = settings.base_config()?;
    let config = Config {
        providers: mapped.providers,
        applications: mapped.applications,
        ..base
    };
    Ok((config, mapped.problems))
}

/// Keeps an outpost's configuration what authentik says.
#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    api: Arc<Api>,
    cache: Option<Cache>,
    in_force: Option<Snapshot>,
    last_problems: Vec<String>,
}

impl Follower {
    /// One that has asked nothing yet.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        let api = Arc::new(Api::new(&settings)?);
        let base = settings.base_config()?;
        Ok(Self {
            cache: Cache::beside(&base),
            settings,
            api,
            in_force: None,
            last_problems: Vec::new(),
        })
    }

    /// The configuration to start with: what authentik said last, or none of its applications.
    ///
    /// # Errors
    ///
    /// [`StartError::Config`].
    pub fn first_config(&mut self) -> Result<Config, StartError> {
        match self.cache.as_ref().and_then(Cache::read) {
            Some(snapshot) => {
                let (config, _) = configured(&self.settings, &snapshot)?;
                self.in_force = Some(snapshot);
                Ok(config)
            }
            None => Ok(self.settings.base_config()?),
        }
    }

    /// Follows authentik in the background for as long as there is an outpost.
    pub fn start(self, outpost: &Arc<Outpost>) {
        if self.in_force.is_some() {
            tracing::info!("started with what authentik said last");
        }
        tokio::spawn(self.follow(Arc::downgrade(outpost)));
    }

    fn config(&mut self, snapshot: &Snapshot) -> Result<Config, ConfigError> {
        let (config, problems) = configured(&self.settings, snapshot)?;
        // Each problem is said once, and again only after it was gone.
        for problem in &problems {
            if !self.last_problems.contains(problem) {
                tracing::warn!(problem, "authentik's configuration");
            }
        }
        self.last_problems = problems;
        Ok(config)
    }

    async fn follow(mut self, outpost: Weak<Outpost>) {
        let (events, mut told) = mpsc::channel(16);
        let known = self.in_force.as_ref().and_then(Snapshot::outpost_id);
        let (outpost_id, followed) = watch::channel(known);
        let socket = tokio::spawn(socket::keep(Arc::clone(&self.api), followed, events));
        let mut failures = LogLimit::default();
        let mut forced = asked_by_signal();
        while let Some(alive) = outpost.upgrade() {
            let pause = match self.api.snapshot().await {
                Ok(snapshot) => {
                    if failures.recovered() {
                        tracing::info!("authentik is back");
                    }
                    let pause = snapshot.refresh_interval();
                    outpost_id.send_if_modified(|id| {
                        let new = snapshot.outpost_id();
                        std::mem::replace(id, new.clone()) != new
                    });
                    self.put_in_force(snapshot, &alive);
                    pause
                }
                Err(error) => {
                    if let Some(left_out) = failures.failed(Instant::now()) {
                        tracing::warn!(
                            %error,
                            left_out,
                            "cannot ask authentik: what it said last stays in force"
                        );
                    }
                    RETRY
                }
            };
            drop(alive);
            let next = Instant::now() + pause;
            loop {
                let event = tokio::select! {
                    event = told.recv() => event,
                    () = forced.changed() => Some(Event::Update),
                    () = tokio::time::sleep_until(next) => Some(Event::Update),
                };
                match event {
                    Some(Event::SessionEnd(session)) => {
                        if let Some(outpost) = outpost.upgrade() {
                            end_session(&outpost, &session).await;
                        }
                    }
                    Some(Event::TriggerUpdate) => {
                        tokio::time::sleep(spread()).await;
                        break;
                    }
                    Some(Event::Update) | None => break,
                }
            }
        }
        socket.abort();
    }

    /// Puts what authentik says in force, unless that is what it said before.
    fn put_in_force(&mut self, snapshot: Snapshot, outpost: &Outpost) {
        if self.in_force.as_ref() == Some(&snapshot) {
            return;
        }
        let config = match self.config(&snapshot) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the configuration before stays");
                return;
            }
        };
        match outpost.redeploy(&config) {
            Ok(()) => {
                let names: Vec<&str> = config
                    .applications
                    .iter()
                    .map(|application| application.audience.as_str())
                    .collect();
                tracing::info!(applications = names.join(" "), "as authentik says");
                if let Some(cache) = &self.cache {
                    cache.write(&snapshot);
                }
                self.in_force = Some(snapshot);
            }
            Err(error) => tracing::error!(%error, "the configuration before stays"),
        }
    }
}

fn spread() -> Duration {
    let random = getrandom::u64().unwrap_or_default();
    Duration::from_millis(random.checked_rem(SPREAD_MILLIS).unwrap_or_default())
}

/// `SIGUSR1` asks for what changed, as it does of authentik's own outposts.
struct AskedBySignal {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

fn asked_by_signal() -> AskedBySignal {
    AskedBySignal {
        #[cfg(unix)]
        signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()).ok(),
    }
}

impl AskedBySignal {
    async fn changed(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals {
            signals.recv().await;
            return;
        }
        std::future::pending().await
    }
}

/// Ends the sessions of one session at authentik.
async fn end_session(outpost: &Outpost, session: &str) {
    let deployment = outpost.deployment();
    let mut ended = 0;
    // One session at authentik is one of each provider that the person has been to.
    for provider in &deployment.providers {
        let which = Selection::ProviderSession {
            issuer: provider.settings().issuer.to_string(),
            session: session.to_owned(),
        };
        match outpost.endings.end(&which, &deployment.times).await {
            Ok(sessions) => ended += sessions,
            Err(error) => {
                tracing::error!(%error, "cannot end the sessions that authentik has ended");
            }
        }
    }
    tracing::info!(ended, "authentik ended a session");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_whole_parameter_of_the_query() {
        for (target, expected) in [
            (
                "/x?X-authentik-auth-callback=true",
                Some(OwnEndpoint::Callback),
            ),
            (
                "/x?code=1&X-authentik-auth-callback=true&state=2",
                Some(OwnEndpoint::Callback),
            ),
            ("/?X-authentik-logout=true", Some(OwnEndpoint::SignOut)),
            ("/x?X-authentik-auth-callback=false", None),
            ("/x?X-authentik-auth-callback", None),
            ("/x?y=X-authentik-logout=true", None),
            ("/x?x-authentik-logout=true", None),
            ("/X-authentik-logout=true", None),
            ("", None),
        ] {
            assert_eq!(signed(target), expected, "{target}");
        }
    }
}
