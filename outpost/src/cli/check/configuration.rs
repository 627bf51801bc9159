//! What `gatepost check` finds about the outpost's own configuration.

use std::path::Path;

use gatepost_base::Clock;
use gatepost_store::{Recovery, StoreSettings};

use super::redis::Redis;
use super::report::{Report, Subject};
use super::store_file;
use crate::application::ApplicationSettings;
use crate::config::Config;
use crate::origin::Mode;

/// The oldest Traefik on which the attacks are run. Neither the plugin nor the outpost can see its
/// version.
pub(super) const TRAEFIK_NEEDED: &str = "has to be 3.7.13 or later: an earlier one shows the \
                                         plugin another path than the application gets";

/// Adds a summary of the configuration.
pub(super) fn note(config: &Config, report: &mut Report) {
    let mut ids = config.keys.key_ids();
    let signing = ids.next().map(ToString::to_string).unwrap_or_default();
    let others = ids.count();
    report.note(
        &Subject::Keys,
        format!("`{signing}` signs, {others} more verify"),
    );
    let https = config.listen.https.as_ref();
    report.note(
        &Subject::Listen,
        format!(
            "http {}, https {}, metrics {}",
            config.listen.http,
            https.map_or_else(|| "none".to_owned(), ToString::to_string),
            config.listen.metrics
        ),
    );
    // Neither the proxy nor its headers can be seen from here.
    let limit = config.rate_limit;
    if let Some(limit) = limit.filter(|_| !config.trusted_proxies.is_empty()) {
        report.note(
            &Subject::RateLimit,
            format!(
                "{} a second, {} at once, for each client that the proxy names in \
                 `X-Forwarded-For`; the log says if it names none",
                limit.per_second, limit.burst
            ),
        );
    }
    if config.traefik.is_some() {
        report.note(&Subject::Traefik, TRAEFIK_NEEDED);
    }
}

/// Checks whether the user who runs this check could use the file of the store, and warns of a Redis
/// that does not suit. That may be out of reach from here.
pub(super) async fn check_store(config: &Config, redis: Redis, report: &mut Report) {
    let addresses = match &config.store {
        StoreSettings::Memory { .. } => return,
        StoreSettings::Embedded { path, .. } => {
            store_file::check(path, report);
            return;
        }
        StoreSettings::Redis { url, .. } => url.addresses(),
    };
    let recovery = Recovery {
        clock: Clock::system(),
        lifetime: config.session.lifetime,
    };
    let unreachable = match gatepost_store::open(&config.store, &config.keys, recovery) {
        Ok(store) => match store.advice().await {
            Ok(advice) => {
                if let Some(advice) = advice {
                    report.warning(&Subject::Configuration, format!("`store`: {advice}"));
                }
                return;
            }
            Err(error) => {
                format!("`store`: cannot be looked at from here: {addresses}: {error}")
            }
        },
        Err(error) => format!("`store`: {error}"),
    };
    match redis {
        Redis::MustAnswer => report.failure(&Subject::Configuration, unreachable),
        Redis::MayBeElsewhere => report.warning(&Subject::Configuration, unreachable),
    }
}

/// Warns of settings that work and that the operator may not want.
pub(super) fn warn(config: &Config, report: &mut Report) {
    let mut warn = |warning: String| report.warning(&Subject::Configuration, warning);
    if config.trusted_proxies.is_empty() {
        warn(
            "`trustedProxies` is not set: the outpost trusts no proxy's X-Forwarded-*, so \
             auth/traefik, auth/nginx and the others refuse everything. The plugin does not need it."
                .to_owned(),
        );
    }
    if let Some(advice) = config.trusted_proxies.advice() {
        warn(advice);
    }
    if let Some(file) = config.keys_file.as_ref().filter(|file| is_open(file)) {
        warn(format!(
            "`keysFile`: {} can be read by others (chmod o-rwx): a user who reads it can be anyone to \
             the applications",
            file.display()
        ));
    }
    if let Some(file) = config.assertion_keys_file.as_ref()
        && is_open(file)
    {
        warn(format!(
            "`assertionKeysFile`: {} can be read by others (chmod o-rwx): a user who reads it can sign \
             assertions about anyone",
            file.display()
        ));
    }
    if let Some(advice) = config.session.advice() {
        warn(advice.to_owned());
    }
    let plugin = config.traefik.as_ref();
    let by_plugin = plugin.is_some_and(|traefik| traefik.plugin.is_some());
    for application in &config.applications {
        application_warnings(application, by_plugin)
            .into_iter()
            .for_each(&mut warn);
    }
    nested_cookies(&config.applications).for_each(&mut warn);
    for provider in &config.providers {
        if provider.issuer.url().scheme() != "https" {
            warn(format!(
                "provider {}: its issuer is not https",
                provider.name
            ));
        }
    }
    match config.store {
        StoreSettings::Memory { .. } => warn(
            "`store.kind: memory`: a restart signs every user out, and replicas share nothing"
                .to_owned(),
        ),
        StoreSettings::Embedded { .. } | StoreSettings::Redis { .. } => {}
    }
}

fn application_warnings(application: &ApplicationSettings, by_plugin: bool) -> Vec<String> {
    let name = &application.audience;
    let mut warnings = Vec::new();
    let tokens = application.capabilities.token_headers.as_ref();
    if by_plugin && tokens.is_some() && !application.routes.is_empty() {
        warnings.push(format!(
            "{name}: has `upstreamTokens`, so Traefik asks the outpost about each request instead of \
             the plugin: set `aliasHeadersStrategy: delete` at its entry points"
        ));
    }
    if application.providers.len() > 1 && tokens.is_some() {
        warnings.push(format!(
            "{name}: has `upstreamTokens` and several `providers`, and no header says whose a token \
             is: the application could send the token of one to a service of another"
        ));
    }
    if by_plugin && application.machine_clients.is_some() && !application.routes.is_empty() {
        warnings.push(format!(
            "{name}: has `machines`, so Traefik asks the outpost about each request instead of the \
             plugin: set `aliasHeadersStrategy: delete` at its entry points"
        ));
    }
    if !application.external.is_https() {
        let origin = application.external.origin();
        warnings.push(format!(
            "{name}: {origin} is not https: an attacker who sees the traffic can take the session \
             over"
        ));
    }
    warnings
}

/// Warns where a browser sends the session cookies of two applications to one host, by one name. That
/// does where each is one cookie. Of two in parts, no program knows which part belongs to which.
fn nested_cookies(applications: &[ApplicationSettings]) -> impl Iterator<Item = String> {
    applications.iter().flat_map(move |outer| {
        let receives = move |inner: &&ApplicationSettings| match &outer.mode {
            Mode::Domain(domain) => {
                inner.audience != outer.audience
                    && inner.cookie_name == outer.cookie_name
                    && domain.contains(inner.external.host())
            }
            Mode::Single => false,
        };
        applications.iter().filter(receives).map(move |inner| {
            format!(
                "{}: its hosts also get the session cookie of `{}`, which has the same name: users with \
                 so many groups that a session takes several cookies cannot use it. Give one of the two \
                 a `cookieName` of its own, like `__Secure-gatepost-{}`, and its plugins too",
                inner.audience, outer.audience, inner.audience
            )
        })
    })
}

/// Returns whether every user of this machine may read a file, by the file's own mode.
#[cfg(unix)]
fn is_open(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::KEYS;

    #[test]
    fn cookies_of_one_name_that_meet_at_a_host_are_warned_of() {
        const OUTER: &str = "{name: outer, mode: domain, externalUrl: 'https://auth.example.com', \
                             cookieDomain: example.com}";
        for (inner, expected) in [
            (
                "mode: domain, externalUrl: 'https://auth.dev.example.com', cookieDomain: \
                 dev.example.com",
                Some("inner: its hosts also get the session cookie of `outer`"),
            ),
            (
                "mode: domain, externalUrl: 'https://auth.dev.example.com', cookieDomain: \
                 dev.example.com, cookieName: __Secure-gatepost-inner",
                None,
            ),
            // Its name begins with `__Host-`.
            ("externalUrl: 'https://wiki.example.com'", None),
            (
                "mode: domain, externalUrl: 'https://auth.example.org', cookieDomain: example.org",
                None,
            ),
        ] {
            let key = KEYS[0];
            let yaml = format!(
                "
keys: ['{key}']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications:
  - {OUTER}
  - {{name: inner, {inner}}}
"
            );
            let config = Config::parse(&yaml, []).expect("a configuration");
            let said: Vec<String> = nested_cookies(&config.applications).collect();
            let as_expected = match expected {
                Some(text) => said.len() == 1 && said.concat().starts_with(text),
                None => said.is_empty(),
            };
            assert!(as_expected, "{inner}: {said:?}");
        }
    }
}
