//! `gatepost check`: everything that can be known before anyone signs in.

use std::path::Path;
use std::sync::Arc;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use gatepost_policy::VERDICT_HEADER;

use crate::application::Application;
use crate::application::MachineClientSettings;
use crate::config::Config;
use crate::origin::Mode;
use crate::runtime::Snapshot;
use gatepost_base::Clock;
use gatepost_oidc::{
    ClientVerdict, DiscoveryError, Grant, Provider, ProviderSettings, SignInError, SignOut, Summary,
};
use gatepost_store::{Recovery, StoreSettings};

mod walk;

/// The oldest Traefik on which the attacks are run. Neither the plugin nor the outpost can see it.
const TRAEFIK_NEEDED: &str = "has to be 3.7.13 or later: an earlier one shows the plugin another \
                              path than the application gets";

pub(super) async fn check(file: &ConfigFile, url: Option<&str>) -> Option<()> {
    let config = file.load_or_ask().await?;
    let snapshot = match Snapshot::new(&config, None) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            complain(&error);
            return None;
        }
    };
    let signing = config
        .keys
        .key_ids()
        .next()
        .map(ToString::to_string)
        .unwrap_or_default();
    let others = config.keys.key_ids().skip(1).count();
    say(&format!(
        "keys         `{signing}` signs, {others} more verify"
    ));
    say(&format!(
        "listen       http {}, https {}, metrics {}",
        config.listen.http,
        match config.listen.https {
            Some(address) => address.to_string(),
            None => "none".to_owned(),
        },
        config.listen.metrics
    ));
    for line in proxy_lines(&config) {
        say(&line);
    }
    let mut all_well = true;
    for provider in &snapshot.providers {
        let settings = provider.settings();
        say(&format!(
            "provider     {} ({})",
            settings.name,
            settings.issuer.as_str()
        ));
        let outcome = provider.discover().await;
        all_well &= outcome.is_ok();
        for line in provider_lines(&outcome, settings.sign_out) {
            say(&format!("             {line}"));
        }
        let mut applications = snapshot.applications.iter();
        let theirs = applications.find(|application| {
            let mut own = application.providers.iter();
            own.any(|own| Arc::ptr_eq(own, provider))
        });
        if let (Ok(_), Some(application)) = (&outcome, theirs) {
            let redirect_uri = application.redirect_uri(provider);
            let verdict = provider.try_client(&redirect_uri).await;
            let line = client_line(settings, &verdict);
            all_well &= !matches!(verdict, Ok(ClientVerdict::Refused(_)) | Err(_));
            line.inspect(|line| say(&format!("             {line}")));
        }
    }
    for application in snapshot.applications.iter() {
        let words = application.verdicts(&config.keys);
        for line in application_lines(application, words.first().map(String::as_str)) {
            say(&line);
        }
        if let Some(settings) = &application.machine_clients {
            for line in machine_lines(application, settings) {
                say(&line);
            }
            all_well &=
                !settings.tokens.introspect || cannot_introspect(application).next().is_none();
        }
    }
    if let Some(warning) = store_warning(&config).await {
        say(&format!("warning      {warning}"));
    }
    for warning in warnings(&config) {
        say(&format!("warning      {warning}"));
    }
    if let Some(url) = url {
        all_well &= walk::walk(&snapshot, &config.keys, url).await;
    }
    say(if all_well { "ok" } else { "not ok: see above" });
    all_well.then_some(())
}

/// What the proxy has to be and to say, which cannot be seen from here.
fn proxy_lines(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(limit) = config
        .rate_limit
        .filter(|_| !config.trusted_proxies.is_empty())
    {
        lines.push(format!(
            "rateLimit    {} a second, {} at once, for each client that the proxy names in \
             `X-Forwarded-For`; the log says if it names none",
            limit.per_second, limit.burst
        ));
    }
    if config.traefik.is_some() {
        lines.push(format!("traefik      {TRAEFIK_NEEDED}"));
    }
    lines
}

fn provider_lines(outcome: &Result<Summary, DiscoveryError>, sign_out: SignOut) -> Vec<String> {
    match outcome {
        Err(error) => vec![format!("FAILED: {error}")],
        Ok(summary) => {
            let mut lines = vec![format!(
                "reached; people sign in at {}",
                summary.authorization_endpoint
            )];
            if !summary.names_pkce {
                lines.push("does not name PKCE with S256; it is used all the same".to_owned());
            }
            if !summary.has_userinfo {
                lines.push("has no userinfo: groups must be in the ID token".to_owned());
            }
            lines.push(
                match (summary.signs_out, sign_out) {
                    (true, SignOut::AtProvider) => "signing out ends the session there too",
                    (true, SignOut::LocalOnly) => "signing out is local, as `signOut` says",
                    (false, _) => "signing out is local: it has no end session endpoint",
                }
                .to_owned(),
            );
            lines
        }
    }
}

/// What there is to say of the provider's word on the client.
fn client_line(
    settings: &ProviderSettings,
    verdict: &Result<ClientVerdict, SignInError>,
) -> Option<String> {
    let client = settings.client_id.as_str();
    let secret = match settings.client_secret {
        Some(_) => "its secret",
        None => "no secret",
    };
    match verdict {
        Ok(ClientVerdict::Taken) => Some(format!(
            "has no objection to the client `{client}` with {secret}"
        )),
        Ok(ClientVerdict::Refused(code)) => Some(format!(
            "FAILED: it refuses the client `{client}` with {secret} ({code:?}): compare \
             `clientId`, `clientSecret` and `clientAuthentication` with what it has"
        )),
        Ok(ClientVerdict::Unclear) => None,
        Err(error) => Some(format!("FAILED: {error}")),
    }
}

/// What there is to say of an application, for which `verdict` says "allowed".
fn application_lines(application: &Application, verdict: Option<&str>) -> Vec<String> {
    let mode = match &application.mode {
        Mode::Single => "one host".to_owned(),
        Mode::Domain(domain) => format!("every host under {}", domain.as_str()),
    };
    let names: Vec<&str> = application
        .headers
        .names()
        .map(|name| name.as_str())
        .collect();
    let mut lines = vec![format!(
        "application  {}: {} ({mode})",
        application.audience,
        application.external.origin()
    )];
    for provider in application.providers.iter() {
        lines.extend([
            format!(
                "             register at provider `{}`:",
                provider.settings().name
            ),
            format!(
                "               redirect URI              {}",
                application.redirect_uri(provider)
            ),
            format!(
                "               post-logout redirect URI  {}",
                application.post_logout_uri()
            ),
        ]);
    }
    if application.providers.only().is_none() {
        lines.push(
            "             `require` does not ask at which of them somebody signed in".to_owned(),
        );
    }
    lines.push(format!(
        "             admits {} at sign-in, renewal and forward auth; a plugin applies its own \
         `require` to every request",
        match application.policy.require.to_text() {
            Some(rule) => format!("by `{rule}`"),
            None => "everyone who is signed in".to_owned(),
        }
    ));
    lines.push(format!("             cookie `{}`", application.cookie.name));
    if !names.is_empty() {
        lines.push(format!("             headers {}", names.join(", ")));
    }
    if let Some(word) = verdict {
        lines.push(format!(
            "             routers behind a plugin with `fallback: route` and no `verdict` of its \
             own match Header(`{VERDICT_HEADER}`, `{word}`)"
        ));
    }
    lines
}

fn machine_lines(application: &Application, settings: &MachineClientSettings) -> Vec<String> {
    let schemes = application.policy.machine_clients;
    let mut lines = Vec::new();
    let audience = match settings.tokens.audience.as_slice() {
        [] => client_ids(application).join(", "),
        audience => audience.join(", "),
    };
    if schemes.bearer {
        lines.push(format!("programs may bring access tokens for {audience}"));
    }
    if schemes.basic {
        let whose = match settings.exchange.grant {
            Grant::ClientCredentials => "id and secret of a client",
            Grant::Password | Grant::Authentik => "name and password of a person",
        };
        lines.push(format!(
            "programs may bring {whose}, exchanged for a token for {audience}"
        ));
    }
    if application.providers.only().is_none() {
        let first = &application.providers.first().settings().name;
        let name = settings.provider.as_ref().unwrap_or(first);
        lines.push(format!(
            "provider `{name}` checks passwords, and tokens that do not say whose they are"
        ));
    }
    let mut known = application.providers.iter();
    if settings.tokens.introspect && known.any(|provider| provider.is_available()) {
        let before = lines.len();
        lines.extend(cannot_introspect(application).map(|provider| {
            let name = &provider.settings().name;
            format!("FAILED: `introspect`, but provider `{name}` names no introspection endpoint")
        }));
        if lines.len() == before {
            lines.push("the provider is asked about each token".to_owned());
        }
    }
    let indented = |line| format!("             {line}");
    lines.into_iter().map(indented).collect()
}

/// Who the outpost is at the application's providers, each name once.
fn client_ids(application: &Application) -> Vec<&str> {
    let mut ids = Vec::new();
    for provider in application.providers.iter() {
        let id = provider.settings().client_id.as_str();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// The application's providers that were reached and cannot be asked about a token.
fn cannot_introspect(application: &Application) -> impl Iterator<Item = &Provider> {
    let all = application.providers.iter().map(|provider| &**provider);
    all.filter(|provider| provider.is_available() && !provider.introspects())
}

/// Whether anybody on this machine may read a file, as far as its own mode says.
#[cfg(unix)]
fn is_open(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

/// What there is to say of the Redis that replicas share. It may be out of reach from here.
async fn store_warning(config: &Config) -> Option<String> {
    let StoreSettings::Redis { .. } = config.store else {
        return None;
    };
    let recovery = Recovery {
        clock: Clock::system(),
        lifetime: config.session.lifetime,
    };
    let store = match gatepost_store::open(&config.store, &config.keys, recovery) {
        Ok(store) => store,
        Err(error) => return Some(format!("`store.path`: {error}")),
    };
    match store.advice().await {
        Ok(advice) => advice.map(|advice| format!("`store`: {advice}")),
        Err(error) => Some(format!("`store`: cannot be looked at from here: {error}")),
    }
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.trusted_proxies.is_empty() {
        warnings.push(
            "`trustedProxies` is not set: no proxy's X-Forwarded-* is believed, so auth/traefik, \
             auth/nginx and the others refuse everything. The plugin does not need it."
                .to_owned(),
        );
    }
    if let Some(file) = config.keys_file.as_ref().filter(|file| is_open(file)) {
        warnings.push(format!(
            "`keysFile`: {} can be read by others (chmod o-rwx): a user who reads it can be anyone to \
             the applications",
            file.display()
        ));
    }
    let by_plugin = config
        .traefik
        .as_ref()
        .is_some_and(|traefik| traefik.plugin.is_some());
    for application in &config.applications {
        if by_plugin && application.machine_clients.is_some() && !application.routes.is_empty() {
            warnings.push(format!(
                "{}: `machines` needs the outpost to be asked, and the plugin that `traefik` sets \
                 up answers by itself: route requests with `Authorization` to the outpost's forward \
                 auth, or use the plugin with `fallback: route`",
                application.audience
            ));
        }
        if !application.external.is_https() {
            warnings.push(format!(
                "{}: {} is not https: an attacker who sees the traffic can take the session over",
                application.audience,
                application.external.origin()
            ));
        }
    }
    for provider in &config.providers {
        if provider.issuer.url().scheme() != "https" {
            warnings.push(format!(
                "provider {}: its issuer is not https",
                provider.name
            ));
        }
    }
    match config.store {
        StoreSettings::Memory { .. } => warnings.push(
            "`store.kind: memory`: a restart signs everyone out, and replicas share nothing"
                .to_owned(),
        ),
        StoreSettings::Embedded { .. } | StoreSettings::Redis { .. } => {}
    }
    warnings
}
