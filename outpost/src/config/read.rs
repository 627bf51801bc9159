//! Reading the keys of the file and the environment into a [`Config`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use gatepost_policy::config::{Fields, Problems, Value};
use gatepost_session::KeyRing;
use gatepost_signing::CrossSite;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::addresses::Addresses;
use super::settings::{Config, Listen};
use crate::application::ApplicationSettings;
use crate::certificate::Certificate;
use crate::client_certificate::CertificateHeader;
use crate::dialect::{Askers, Dialect};
use crate::rate_limit::RateLimit;
use crate::telemetry::logging::{Log, LogFormat};
use crate::trusted_proxies::TrustedProxies;
use files::{Files, Written, written};
use gatepost_oidc::ProviderSettings;
use providers::KnownProviders;

mod application;
mod assertion;
mod clashes;
mod files;
mod frames;
mod machine_tokens;
mod pages;
mod provider;
mod providers;
mod session;
mod state_dir;
mod store;
mod traces;
mod traefik;
mod upstream_tokens;
mod urls;

/// Which keys a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All keys.
    Everything,
    /// None of providers and applications.
    WithoutApplications,
}

/// Reads every key and reports all problems; `None` where a needed value is missing or invalid.
pub(super) fn config(
    value: &serde_json::Value,
    extent: Extent,
    problems: &Problems,
) -> Option<Config> {
    let value = Value::from(value);
    let mut fields = Fields::of(&value, "", problems)?;
    let files = Files::default();
    let listen = listen(&mut fields);
    let tls = fields.section("tls").and_then(|tls| identity(tls, &files));
    let log = log(&mut fields);
    let traces = fields
        .section("tracing")
        .and_then(|fields| traces::traces(fields, &files));
    let keys_file = fields.text("keysFile").map(PathBuf::from);
    let keys = keys(&mut fields, &files);
    let key_introduction = key_introduction(&mut fields);
    let trusted_proxies = trusted_proxies(&mut fields);
    let certificate_header = certificate_header(&mut fields, &trusted_proxies);
    let askers = askers(&mut fields);
    let rate_limit = rate_limit(&mut fields);
    let store = store::store(&mut fields, &files);
    let (session, device_bound, frames) = session::session(&mut fields);
    let revoked_file = fields.text("revokedFile").map(PathBuf::from);
    let state_dir = state_dir::state_dir(&mut fields, revoked_file.as_deref());
    let assertion_keys_file = fields.text("assertionKeysFile").map(PathBuf::from);
    let assertion_keys = assertion::keys(
        &mut fields,
        &files,
        state_dir.as_deref(),
        keys_file.as_deref(),
    );
    let providers = fields.sections("providers");
    if providers.is_empty() && extent == Extent::Everything {
        fields.problem("providers", "missing: at least one OpenID provider");
    }
    let written = providers.len();
    let mut providers: Vec<ProviderSettings> = providers
        .into_iter()
        .filter_map(|fields| provider::provider(fields, &files))
        .collect();
    let all_read = providers.len() == written;
    for (at, ProviderSettings { name, .. }) in providers.iter().enumerate() {
        if providers
            .iter()
            .take(at)
            .any(|earlier| earlier.name == *name)
        {
            let key = clashes::place("providers", at, all_read);
            fields.problem(&key, format!("two are called `{name}`"));
        }
    }
    let known = KnownProviders {
        all: &providers,
        all_read,
    };
    let applications = fields.sections("applications");
    if applications.is_empty() && extent == Extent::Everything {
        fields.problem("applications", "missing: at least one application");
    }
    let written = applications.len();
    let mut applications: Vec<ApplicationSettings> = applications
        .into_iter()
        .filter_map(|fields| application::application(fields, known, &files, frames))
        .collect();
    upstream_tokens::note_clients(&mut providers, &mut applications);
    clashes::report(&applications, applications.len() == written, &fields);
    assertion::report(&applications, assertion_keys.as_ref(), &fields);
    session::report_devices(&applications, session, device_bound, &fields);
    frames::report_devices(&applications, device_bound, &fields);
    let cross_site = match extent {
        Extent::Everything => CrossSite::default(),
        Extent::WithoutApplications => frames.of_unnamed(device_bound, &fields),
    };
    if state_dir.is_some() {
        state_dir::report_names(&applications, &fields);
    }
    let traefik = fields.section("traefik");
    let traefik = traefik.and_then(|own| traefik::traefik(own, state_dir.is_some()));
    // Where no proxy's configuration follows from the applications, their names name no objects.
    if traefik.is_some() || applications.iter().any(|own| !own.routes.is_empty()) {
        clashes::report_objects(&applications, &fields);
    }
    let brand = fields
        .section("pages")
        .map(|fields| pages::pages(fields, &files))
        .unwrap_or_default();
    fields.finish();
    Some(Config {
        listen: listen?,
        tls,
        log,
        traces,
        keys: keys?,
        keys_file,
        assertion_keys_file,
        assertion_keys: assertion_keys?,
        key_introduction,
        trusted_proxies,
        certificate_header,
        askers,
        rate_limit,
        store,
        session,
        device_bound,
        cross_site,
        revoked_file,
        state_dir,
        applications,
        // A file is served whole or not at all.
        unserved: Vec::new(),
        unknown_applications: None,
        traefik,
        brand,
        files: files.into_paths(),
        providers,
    })
}

fn listen(fields: &mut Fields<'_>) -> Option<Listen> {
    let mut listen = Listen::default();
    let Some(mut section) = fields.section("listen") else {
        return Some(listen);
    };
    let mut addresses = |key| {
        let texts = section.list(key)?;
        let parsed = texts.iter().map(|text| text.parse::<SocketAddr>());
        let addresses = parsed.collect::<Result<Vec<_>, _>>().ok();
        let addresses = addresses.and_then(Addresses::new);
        if addresses.is_none() {
            let accepted = "expected an address and a port, like `0.0.0.0:9000` or `[::]:9000`, or a \
                            list of them";
            section.problem(key, accepted);
        }
        addresses
    };
    listen.http = addresses("http").unwrap_or(listen.http);
    listen.https = addresses("https");
    listen.metrics = addresses("metrics").unwrap_or(listen.metrics);
    let https = listen.https.as_ref();
    if listen.metrics.overlap(&listen.http) || https.is_some_and(|own| own.overlap(&listen.metrics))
    {
        section.problem(
            "metrics",
            "the same address as another: metrics are not the public's",
        );
    }
    if https.is_some_and(|own| own.overlap(&listen.http)) {
        section.problem("https", "the same address as `http`");
    }
    section.finish();
    Some(listen)
}

/// Reads the certificate of the https listener. It is opened here, so that a certificate that does
/// not fit its key is an invalid configuration and not a listener that fails.
fn identity(mut section: Fields<'_>, files: &Files) -> Option<Certificate> {
    let certificate = section.required_text("certificate", "a file with the chain in PEM");
    let key = section.required_text("key", "a file with the certificate's key in PEM");
    let chain = certificate.and_then(|path| files.read(&section, "certificate", &path));
    let key = key.and_then(|path| files.read(&section, "key", &path));
    let identity = chain.zip(key).and_then(|(chain, key)| {
        let identity = Certificate::from_pem(chain.as_bytes(), key.as_bytes());
        identity
            .map_err(|error| section.problem(error.key(), &error))
            .ok()
    });
    section.finish();
    identity
}

fn log(fields: &mut Fields<'_>) -> Log {
    let mut log = Log {
        format: LogFormat::Text,
        level: LevelFilter::INFO,
    };
    if let Some(mut section) = fields.section("log") {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let levels = [
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
        ];
        log.format = section.choice("format", &formats).unwrap_or(log.format);
        log.level = section.choice("level", &levels).unwrap_or(log.level);
        section.finish();
    }
    log
}

/// What signs with a key must not be ahead of what verifies with it: other outposts look at the file
/// every two seconds, guests every ten.
const LEAST_INTRODUCTION: u64 = 15;

fn key_introduction(fields: &mut Fields<'_>) -> Duration {
    let seconds = fields.seconds_within(
        "keyIntroduction",
        LEAST_INTRODUCTION..=24 * 60 * 60,
        "plugins look at the keys file every 10s",
    );
    Duration::from_secs(seconds.unwrap_or(LEAST_INTRODUCTION))
}

fn keys(fields: &mut Fields<'_>, files: &Files) -> Option<KeyRing> {
    let entries = fields.list("keys").map(Zeroizing::new);
    let Some(written) = written(fields, entries, "keys", "keysFile") else {
        fields.problem(
            "keys",
            "missing: entries `kid:base64` of at least 32 bytes, or `keysFile`; `gatepost keygen` \
             makes one",
        );
        return None;
    };
    match written.ok()? {
        Written::Inline(entries) => KeyRing::from_entries(entries.iter().map(String::as_str))
            .map_err(|error| fields.problem("keys", error))
            .ok(),
        Written::File(path) => {
            let text = files.read(fields, "keysFile", &path)?;
            KeyRing::parse(&text)
                .map_err(|error| fields.problem("keysFile", format!("{path}: {error}")))
                .ok()
        }
    }
}

fn trusted_proxies(fields: &mut Fields<'_>) -> TrustedProxies {
    let entries = fields.list("trustedProxies").unwrap_or_default();
    TrustedProxies::parse(entries.iter().map(String::as_str)).unwrap_or_else(|entry| {
        let accepted = "expected networks or addresses, like 10.0.0.0/8 or 127.0.0.1";
        fields.problem("trustedProxies", format!("`{entry}`: {accepted}"));
        TrustedProxies::default()
    })
}

/// Reads the header in which trusted proxies hand on the certificates of clients.
fn certificate_header(
    fields: &mut Fields<'_>,
    trusted: &TrustedProxies,
) -> Option<CertificateHeader> {
    const KEY: &str = "clientCertificateHeader";
    let header = fields.parsed(KEY, CertificateHeader::parse);
    if header.is_some() && trusted.is_empty() {
        fields.problem(
            KEY,
            "set `trustedProxies` too: only a trusted proxy may hand on certificates",
        );
    }
    header
}

/// Reads which proxies ask.
fn askers(fields: &mut Fields<'_>) -> Askers {
    let Some(words) = fields.list("askedBy") else {
        return Askers::default();
    };
    let known = words.iter().map(|word| {
        let dialect = Dialect::of_word(word);
        if dialect.is_none() {
            let accepted = "expected `traefik` (HAProxy too), `caddy`, `envoy` or `nginx`";
            fields.problem("askedBy", format!("`{word}`: {accepted}"));
        }
        dialect
    });
    Askers::named(known.flatten().collect())
}

/// Reads the limit on one client's requests. All users behind one address of a company are one
/// client: the default allows some eight hundred sign-ins in the first minute of its day.
fn rate_limit(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let (mut per_second, mut burst) = (20, 400);
    if let Some(mut section) = fields.section("rateLimit") {
        let mut number = |key| {
            let number = section.number(key, 1_000_000)?;
            u32::try_from(number).ok()
        };
        per_second = number("perSecond").unwrap_or(per_second);
        burst = number("burst").unwrap_or(burst);
        section.finish();
    }
    Some(RateLimit {
        per_second: NonZeroU32::new(per_second)?,
        burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
    })
}
