//! Decides on each request.

use gatepost_policy::{Decision, Unauthenticated};
use gatepost_session::{NumericDate, Verifier};

use self::exchange::Exchange;
use self::request_headers::RequestHeaders;
use crate::config::{Config, Fallback};
use crate::host::{Flow, Host, Level, View};
use crate::keys::Keys;
use crate::reply;
use crate::revoked::Revoked;
use crate::session_cache::{SessionCache, VerifiedSession};
use crate::settings::Settings;
use crate::state::{Found, State, StateFolder};

mod cookies;
mod exchange;
mod request_headers;

/// One application's gate: settings, keys and the cookies verified so far.
///
/// Invalid settings make a gate all the same, which responds to every request with 503: a guest
/// that failed to start would end the guests of every other router.
#[derive(Debug)]
pub struct Gate {
    state: Result<Serving, InvalidSettings>,
    /// The outpost's folder, if the settings come from there.
    folder: Option<Box<StateFolder>>,
}

/// The settings are invalid; the log has said why.
#[derive(Debug)]
struct InvalidSettings;

/// A gate whose settings are valid.
#[derive(Debug)]
struct Serving {
    config: Config,
    /// Absent where the outpost's folder has them: then they change with the settings.
    keys: Option<Keys>,
    revoked: Revoked,
    request_headers: RequestHeaders,
    /// Absent until the keys have been read.
    in_force: Option<InForce>,
}

/// What follows from the keys in force.
#[derive(Debug)]
struct InForce {
    sessions: SessionCache,
    /// The words for "allowed" to the routers behind the plugin: several while keys are rotated, so
    /// that a router may still know the old one. Empty without such routers.
    verdicts: Vec<String>,
}

impl Gate {
    /// Makes a gate with the settings that the proxy handed over as JSON. Problems with them, or
    /// with the keys that they name, are logged in one line.
    pub fn new(json: &[u8], host: &impl Host) -> Self {
        let mut gate = Self {
            state: Err(InvalidSettings),
            folder: None,
        };
        match Settings::read(json) {
            Ok(Settings::Whole(config)) => gate.state = Ok(Serving::new(*config, host)),
            Ok(Settings::InFolder(folder)) => {
                gate.folder = Some(folder);
                gate.follow(host, host.now());
            }
            Err(error) => host.log(
                Level::Error,
                &format!("{error}; every request is answered 503 until this is mended"),
            ),
        }
        gate
    }

    /// Decides on a request: prepares it for the application, or responds to it.
    pub fn handle(&mut self, host: &impl Host) -> Flow {
        let now = host.now();
        if self
            .folder
            .as_ref()
            .is_some_and(|folder| folder.is_due(now))
        {
            self.follow(host, now);
        }
        match &mut self.state {
            Ok(serving) => serving.handle(host, now),
            Err(InvalidSettings) => {
                host.respond(reply::unavailable());
                Flow::Responded
            }
        }
    }

    /// Looks at the outpost's folder.
    #[inline(never)]
    fn follow(&mut self, host: &impl Host, now: NumericDate) {
        let Some(folder) = &mut self.folder else {
            return;
        };
        match folder.look(host, now) {
            Found::Nothing => {}
            Found::State(state) => self.state = Ok(Serving::of_state(*state)),
            Found::Invalid => self.state = Err(InvalidSettings),
        }
    }
}

impl Serving {
    fn new(mut config: Config, host: &impl Host) -> Self {
        // `Keys` and `Revoked` own their settings; what stays behind is never read.
        let keys = config.keys.take().map(Keys::new);
        let revoked_file = config.revoked_file.take();
        let revoked = Revoked::new(std::mem::take(&mut config.revoked), revoked_file);
        let mut serving = Self {
            config,
            keys,
            revoked,
            request_headers: RequestHeaders::default(),
            in_force: None,
        };
        serving.refresh_keys(host, host.now());
        serving
    }

    fn of_state(state: State) -> Self {
        let State {
            mut config,
            keys,
            verdicts,
            revoked_file,
        } = state;
        let verifier = Verifier::with_keys(&keys, config.application.clone());
        Self {
            in_force: Some(InForce::new(&config, verifier, verdicts)),
            keys: None,
            revoked: Revoked::in_folder(std::mem::take(&mut config.revoked), revoked_file),
            config,
            request_headers: RequestHeaders::default(),
        }
    }

    fn handle(&mut self, host: &impl Host, now: NumericDate) -> Flow {
        self.refresh_keys(host, now);
        let Self {
            config,
            revoked,
            request_headers,
            in_force: Some(in_force),
            ..
        } = self
        else {
            host.respond(reply::unavailable());
            return Flow::Responded;
        };

        let cleaned = request_headers.clean(&config.headers, host);
        let refusal =
            |session: &VerifiedSession| match session.authentic.current(now, config.clock_skew) {
                Err(reason) => Some(Unauthenticated::Window(reason)),
                Ok(_) => revoked
                    .contains(host, session, now)
                    .then_some(Unauthenticated::Revoked),
            };
        let presented = if cleaned.has_cookies {
            cookies::present(config, &mut in_force.sessions, host, refusal)
        } else {
            cookies::Presented::nothing()
        };
        let exchange = Exchange {
            config,
            host,
            session: presented.session.as_deref().ok(),
            cookies: &presented.cookies,
            has_api_key: cleaned.has_api_key,
            verifier: in_force.sessions.verifier(),
        };
        let session = presented.current(now, config.clock_skew);
        let narrowing = config.narrowing.as_ref();
        let extra = narrowing.and_then(|narrowing| narrowing.demand.as_ref());
        let decision = config
            .policy
            .decide_with(&View(host, &config.proxies), session, extra);
        // A rule that refuses every client must not hide from `gatepost check` which keys are here.
        if matches!(decision, Decision::SignIn(_) | Decision::Deny(_)) && exchange.is_probe() {
            return exchange.answer_probe(revoked.seen(host, now));
        }
        match config.fallback {
            Fallback::Redirect => exchange.answer(decision),
            Fallback::Route => exchange.route(&decision, &in_force.verdicts),
        }
    }

    /// Follows the keys, and forgets sessions that were verified with others.
    fn refresh_keys(&mut self, host: &impl Host, now: NumericDate) {
        let keys = self.keys.as_mut();
        let Some(ring) = keys.and_then(|keys| keys.refresh(host, now)) else {
            return;
        };
        let config = &self.config;
        if self.in_force.is_some() {
            let mut message = String::from("keys in force");
            for (at, id) in ring.key_ids().enumerate() {
                message.push_str(if at == 0 { ": " } else { ", " });
                message.push_str(id.as_str());
            }
            config.log(host, Level::Info, &message);
        }
        let verifier = Verifier::new(ring, config.application.clone());
        let verdicts = match config.fallback {
            Fallback::Redirect => Vec::new(),
            Fallback::Route => ring.verdicts(&config.application),
        };
        self.in_force = Some(InForce::new(config, verifier, verdicts));
    }
}

impl InForce {
    /// Returns what follows from the keys of `verifier`, and from the words for "allowed" that are
    /// derived from them.
    #[inline(never)]
    fn new(config: &Config, mut verifier: Verifier, derived: Vec<String>) -> Self {
        for issuer in &config.issuers {
            verifier = verifier.with_issuer(issuer);
        }
        Self {
            sessions: SessionCache::new(verifier),
            verdicts: match &config.verdict {
                Some(word) => vec![word.clone()],
                None => derived,
            },
        }
    }
}

#[cfg(test)]
mod tests;
