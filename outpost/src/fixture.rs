//! Configurations for unit tests: a snapshot with one application of each mode, and the problems of
//! others.

use std::sync::{Arc, LazyLock};

use crate::application::Application;
use crate::config::{Config, ConfigError};
use crate::runtime::Snapshot;
use gatepost_base::Clock;

/// The keys of [`snapshot`], in order.
pub(crate) const KEYS: [&str; 2] = [
    "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
    "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
];

/// Returns a snapshot with these applications: `wiki` on `https://app.example.com`, `plain` on
/// `http://app.localhost:8080`, `either` with two providers on `https://either.example.com`,
/// `admins` for that group, and `intranet` for all of `example.org` with the outpost on
/// `https://auth.example.org`.
pub(crate) fn snapshot(keys: &[&str]) -> Snapshot {
    let keys = keys.join("', '");
    let yaml = format!(
        "
keys: ['{keys}']
providers:
  - {{name: main, issuer: 'https://id.example.com', clientId: gatepost}}
  - {{name: other, issuer: 'https://id.example.net', clientId: gatepost}}
applications:
  - {{name: wiki, externalUrl: 'https://app.example.com', provider: main}}
  - {{name: plain, externalUrl: 'http://app.localhost:8080', provider: main, outpostPrefix: /sso}}
  - {{name: either, externalUrl: 'https://either.example.com', providers: [main, other]}}
  - {{name: admins, externalUrl: 'https://admins.example.com', provider: main,
      require: {{groups: [admins]}}}}
  - {{name: intranet, mode: domain, externalUrl: 'https://auth.example.org', provider: main,
      cookieDomain: example.org, ports: [9443]}}
"
    );
    let config = Config::parse(&yaml, []).expect("a configuration");
    Snapshot::new(&config, &Clock::system(), None).expect("a snapshot")
}

/// Returns the problems of a configuration with these applications, one in a line of YAML each.
pub(crate) fn problems(applications: &str) -> Vec<String> {
    let key = KEYS[0];
    let yaml = format!(
        "
keys: ['{key}']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications:
{applications}"
    );
    match Config::parse(&yaml, []) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid(findings)) => findings.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// Returns one of the applications of [`snapshot`].
pub(crate) fn application(name: &str) -> Arc<Application> {
    static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| snapshot(&KEYS));
    Arc::clone(SNAPSHOT.applications.named(name).expect("an application"))
}

/// Returns a configuration whose only application, `wiki`, has these further keys.
pub(crate) fn config(more: &str) -> Config {
    let yaml = format!(
        "keys: ['{}']\n\
         providers: [{{name: main, issuer: 'https://id.example.com', clientId: gatepost}}]\n\
         applications: [{{name: wiki, externalUrl: 'https://wiki.example.com'{more}}}]",
        KEYS[0]
    );
    Config::parse(&yaml, []).expect("a configuration")
}
