//! The checked configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gatepost_session::KeyRing;
use gatepost_signing::CrossSite;
use gatepost_store::StoreSettings;

use super::addresses::Addresses;
use crate::application::{ApplicationSettings, Unserved};
use crate::assertion::AssertionKeys;
use crate::certificate::Certificate;
use crate::client_certificate::CertificateHeader;
use crate::device_bound::DeviceBound;
use crate::dialect::Askers;
use crate::export::TraefikSettings;
use crate::pages::Brand;
use crate::rate_limit::RateLimit;
use crate::session_times::SessionTimes;
use crate::telemetry::logging::Log;
use crate::telemetry::traces::TracesSettings;
use crate::trusted_proxies::TrustedProxies;
use gatepost_oidc::ProviderSettings;

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
    /// The file of the keys that sign assertions, if there are any.
    pub assertion_keys_file: Option<PathBuf>,
    /// The keys that sign assertions.
    pub assertion_keys: AssertionKeys,
    /// How long a key that is put in front only verifies.
    pub key_introduction: Duration,
    /// The proxies whose `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they hand on the certificates of clients, if they do.
    pub certificate_header: Option<CertificateHeader>,
    /// The dialects of the proxies that ask.
    pub askers: Askers,
    /// The limit on one client's requests; `None` means no limit.
    pub rate_limit: Option<RateLimit>,
    /// Where sessions are kept.
    pub store: StoreSettings,
    /// How long sessions and their windows last.
    pub session: SessionTimes,
    /// Whether sessions are bound to devices.
    pub device_bound: DeviceBound,
    /// Whether the cookies of applications that another source names are for frames of other sites too.
    pub cross_site: CrossSite,
    /// Where plugins read which sessions were ended before their windows.
    pub revoked_file: Option<PathBuf>,
    /// The folder in which plugins read what they must know of the applications.
    pub state_dir: Option<PathBuf>,
    /// The OpenID providers.
    pub providers: Vec<ProviderSettings>,
    /// The applications, each with providers of the list before.
    pub applications: Vec<ApplicationSettings>,
    /// The configured applications that cannot be served, while the rest is served without them.
    pub unserved: Vec<Unserved>,
    /// Why the applications are not known yet, where their source has not answered so far.
    pub unknown_applications: Option<String>,
    /// The settings of the configuration that Traefik is served, if it is.
    pub traefik: Option<TraefikSettings>,
    /// The operator's changes to the pages.
    pub brand: Brand,
    /// Every file that was read for it, so that a change of one can be noticed.
    pub files: Vec<PathBuf>,
}

/// The addresses the outpost listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Sign-in and forward auth.
    pub http: Addresses,
    /// The same over TLS, if at all.
    pub https: Option<Addresses>,
    /// Health and metrics. Never the public's.
    pub metrics: Addresses,
}

impl Default for Listen {
    fn default() -> Self {
        // Loopback, so that nothing is reachable from elsewhere unless the operator configures it; and
        // no TLS, since the proxy in front terminates it.
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 9000)).into(),
            https: None,
            metrics: SocketAddr::from(([127, 0, 0, 1], 9300)).into(),
        }
    }
}
