//! Decides on each request.

use gatepost_policy::{Decision, Unauthenticated};
use gatepost_session::{NumericDate, Verifier};

use self::exchange::Exchange;
use self::request_headers::RequestHeaders;
use crate::config::{Config, Fallback};
use crate::host::{Flow, Host, Level, View};
use crate::keys::{KeySource, Keys};
use crate::reply;
use crate::revoked::Revoked;
use crate::session_cache::{SessionCache, VerifiedSession};

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
}

/// The settings are invalid; the log has said why.
#[derive(Debug)]
struct InvalidSettings;

/// A gate whose settings are valid.
#[derive(Debug)]
struct Serving {
    config: Config,
    keys: Keys,
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
        let state = match Config::read(json) {
            Ok(config) => Ok(Serving::new(config, host)),
            Err(error) => {
                host.log(
                    Level::Error,
                    &format!("{error}; every request is answered 503 until this is mended"),
                );
                Err(InvalidSettings)
            }
        };
        Self { state }
    }

    /// Decides on a request: prepares it for the application, or responds to it.
    pub fn handle(&mut self, host: &impl Host) -> Flow {
        match &mut self.state {
            Ok(serving) => serving.handle(host),
            Err(InvalidSettings) => {
                host.respond(reply::unavailable());
                Flow::Responded
            }
        }
    }
}

impl Serving {
    fn new(mut config: Config, host: &impl Host) -> Self {
        // `Keys` and `Revoked` own their settings; what stays behind is never read.
        let source = std::mem::replace(&mut config.keys, KeySource::Env(String::new()));
        let named = std::mem::take(&mut config.revoked);
        let revoked = Revoked::new(named, config.revoked_file.take());
        let mut serving = Self {
            config,
            keys: Keys::new(source),
            revoked,
            request_headers: RequestHeaders::default(),
            in_force: None,
        };
        serving.refresh_keys(host, host.now());
        serving
    }

    fn handle(&mut self, host: &impl Host) -> Flow {
        let now = host.now();
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
        };
        let session = presented.current(now, config.clock_skew);
        let decision = config.policy.decide(&View(host), session);
        if matches!(decision, Decision::SignIn(_)) && exchange.is_probe() {
            return exchange.answer_probe();
        }
        match config.fallback {
            Fallback::Redirect => exchange.answer(decision),
            Fallback::Route => exchange.route(&decision, &in_force.verdicts),
        }
    }

    /// Follows the keys, and forgets sessions that were verified with others.
    fn refresh_keys(&mut self, host: &impl Host, now: NumericDate) {
        let Some(ring) = self.keys.refresh(host, now) else {
            return;
        };
        let config = &self.config;
        let mut verifier = Verifier::new(ring, config.application.clone());
        for issuer in &config.issuers {
            verifier = verifier.with_issuer(issuer);
        }
        if self.in_force.is_some() {
            let ids: Vec<&str> = ring.key_ids().map(|id| id.as_str()).collect();
            let message = format!("keys in force: {}", ids.join(", "));
            config.log(host, Level::Info, &message);
        }
        self.in_force = Some(InForce {
            sessions: SessionCache::new(verifier),
            verdicts: match (&config.verdict, config.fallback) {
                (_, Fallback::Redirect) => Vec::new(),
                (Some(word), Fallback::Route) => vec![word.clone()],
                (None, Fallback::Route) => ring.verdicts(&config.application),
            },
        });
    }
}

#[cfg(test)]
mod tests;
