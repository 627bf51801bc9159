//! What plugins must know of the applications, as they read it in the folder of `stateDir`
//! ([`gatepost_policy::state`] has its format).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use gatepost_policy::state::{FORMAT, MAX_APPLICATION_BYTES, application_file};
use gatepost_session::cookie::CookieName;
use gatepost_session::{DerivedKey, KeyRing, Purpose};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::traefik::shared_settings;
use crate::application::ApplicationSettings;
use crate::origin::Mode;
use crate::trusted_proxies::TrustedProxies;

/// The longest name of a file, in bytes, on the file systems of Linux.
const MAX_FILE_NAME_BYTES: usize = 255;

/// What the name of a draft has besides: `.`, six random characters and `.draft`.
const DRAFT_BYTES: usize = 13;

/// Returns whether the file of an application can have its name. Characters other than letters, digits
/// and a few signs take three bytes.
pub(crate) fn has_file_name(application: &ApplicationSettings) -> bool {
    application_file(&application.audience).len() + DRAFT_BYTES <= MAX_FILE_NAME_BYTES
}

/// The files of a folder that plugins read.
pub struct StateFiles {
    /// The folder.
    pub folder: PathBuf,
    /// The content of each application's file, by its name.
    applications: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Whether these are all applications. Where they are not known yet, no file is removed.
    pub is_complete: bool,
}

/// An application's file.
#[derive(Serialize)]
struct ApplicationFile<'a> {
    format: &'a str,
    application: &'a str,
    /// What verifies its sessions. Not the secrets, which also seal what the store has and what
    /// operators ask of the outpost.
    keys: Vec<&'a str>,
    /// The plugin's words for "allowed".
    verdicts: Vec<String>,
    /// Whether further paths are public at the outpost, by expressions, which no plugin reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expressions: bool,
    /// The keys of the plugin's long form.
    settings: Map<String, Value>,
}

impl StateFiles {
    /// Returns the files for these applications. Keys of `ring` verify the sessions of those that
    /// have none of their own; `issuers` returns the issuers of an application's providers, and
    /// `proxies` are the outpost's.
    pub fn new<'i>(
        folder: PathBuf,
        applications: &[ApplicationSettings],
        ring: &KeyRing,
        issuers: impl Fn(&ApplicationSettings) -> Vec<&'i str>,
        proxies: &TrustedProxies,
        is_complete: bool,
    ) -> Self {
        let file = |application: &ApplicationSettings| {
            // authentik's names reach here; those of a file are refused where it is read.
            if !has_file_name(application) {
                tracing::error!(
                    application = %application.audience,
                    "its name is too long for a file in `stateDir`: its plugins answer 503"
                );
                return None;
            }
            let content = content(application, ring, &issuers(application), proxies)?;
            Some((application_file(&application.audience), content))
        };
        Self {
            folder,
            applications: applications.iter().filter_map(file).collect(),
            is_complete,
        }
    }

    /// Returns the name and the content of each application's file.
    pub fn applications(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.applications.iter();
        all.map(|(name, content)| (name.as_str(), content.as_slice()))
    }

    /// Returns whether an application has the file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.applications.contains_key(name)
    }
}

// Not derived: the contents have keys.
impl fmt::Debug for StateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.applications.keys();
        write!(f, "StateFiles in {}: ", self.folder.display())?;
        f.debug_list().entries(names).finish()
    }
}

/// Returns the content of an application's file; `None` where no plugin would read as much.
fn content(
    application: &ApplicationSettings,
    ring: &KeyRing,
    issuers: &[&str],
    proxies: &TrustedProxies,
) -> Option<Zeroizing<Vec<u8>>> {
    let own = application.capabilities.keys.as_ref();
    let ring = own.map_or(ring, |own| &own.ring);
    let keys = ring.derive(Purpose::Session);
    let keys: Vec<_> = keys.iter().map(DerivedKey::to_entry).collect();
    let mut settings = shared_settings(application);
    // What the long form leaves to the plugin is known here.
    let https = application.external.is_https();
    let is_domain = application.mode != Mode::Single;
    if application.cookie_name != CookieName::default_for(https, is_domain) {
        settings.insert("cookieName".into(), application.cookie_name.as_str().into());
    }
    settings.insert("plainHttp".into(), (!https).into());
    settings.insert("issuer".into(), issuers.into());
    if application.policy.rules.ask_for_networks() && !proxies.is_empty() {
        let networks: Vec<String> = proxies.networks().collect();
        settings.insert("trustedProxies".into(), networks.into());
    }
    let file = ApplicationFile {
        format: FORMAT,
        application: application.audience.as_str(),
        keys: keys.iter().map(|entry| entry.as_str()).collect(),
        verdicts: ring.verdicts(&application.audience),
        expressions: !application.capabilities.skip_paths.is_empty(),
        settings,
    };
    let content = serde_json::to_vec(&file).map(Zeroizing::new);
    let content = content.inspect_err(|error| {
        tracing::error!(%error, application = %application.audience, "cannot be written");
    });
    content.ok().filter(|content| {
        let fits = content.len() <= MAX_APPLICATION_BYTES;
        if !fits {
            tracing::error!(
                application = %application.audience,
                "its file in `stateDir` would have more than {MAX_APPLICATION_BYTES} bytes, which \
                 no plugin reads: its plugins answer 503"
            );
        }
        fits
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    const KEY: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

    fn files(applications: &Value) -> BTreeMap<String, Value> {
        let text = json!({
            "keys": [KEY],
            "providers": [{
                "name": "main", "issuer": "https://id.example.com", "clientId": "g",
                "clientSecret": "hush",
            }],
            "applications": applications,
            "stateDir": "/state",
            "trustedProxies": ["10.1.2.3/8", "192.0.2.7", "::ffff:198.51.100.0/120", "2001:db8::/32"],
        });
        let config = Config::parse(&text.to_string(), []).expect("right");
        let folder = config.state_dir.clone().expect("configured");
        let issuers = |_: &ApplicationSettings| vec!["https://id.example.com"];
        let files = StateFiles::new(
            folder,
            &config.applications,
            &config.keys,
            issuers,
            &config.trusted_proxies,
            true,
        );
        let secret = KEY.split_once(':').expect("an entry").1;
        assert!(!format!("{files:?}").contains("keys"), "{files:?}");
        let read = |(name, content): (&str, &[u8])| {
            let text = std::str::from_utf8(content).expect("text");
            assert!(!text.contains(secret) && !text.contains("hush"), "{text}");
            (name.to_owned(), serde_json::from_str(text).expect("JSON"))
        };
        files.applications().map(read).collect()
    }

    #[test]
    fn a_file_has_what_the_long_form_says_and_derived_keys() {
        let files = files(&json!([
            {
                "name": "wiki", "externalUrl": "https://wiki.example.com",
                "public": ["/healthz"], "require": {"groups": ["staff"]},
                "headers": {"preset": "none"}, "outpostPrefix": "/sso",
            },
            {
                "name": "intranet/all", "mode": "domain", "externalUrl": "http://auth.example.org",
                "cookieDomain": "example.org",
            },
        ]));
        let ring = KeyRing::parse(KEY).expect("a ring");
        let derived = ring.derive(Purpose::Session);
        let names: Vec<&String> = files.keys().collect();
        assert_eq!(
            names,
            ["application-intranet%2Fall.json", "application-wiki.json"]
        );
        let wiki = &files["application-wiki.json"];
        assert_eq!(wiki["format"], "1");
        assert_eq!(wiki["application"], "wiki");
        assert_eq!(wiki["keys"], json!([derived.signing().to_entry().as_str()]));
        assert_eq!(
            wiki["settings"],
            json!({
                "public": ["/healthz"], "require": {"groups": ["staff"]},
                "headers": {"preset": "none"}, "outpostPrefix": "/sso",
                "plainHttp": false, "issuer": ["https://id.example.com"],
            })
        );
        assert_eq!(
            files["application-intranet%2Fall.json"]["settings"],
            json!({
                "mode": "domain", "outpostUrl": "http://auth.example.org", "plainHttp": true,
                "issuer": ["https://id.example.com"],
            })
        );
    }

    /// Whose addresses the outpost takes for a proxy's, rules with `networks` in the plugin must not take
    /// for a client's.
    #[test]
    fn a_file_has_the_outposts_proxies_where_rules_have_networks() {
        let files = files(&json!([
            {
                "name": "wiki", "externalUrl": "https://wiki.example.com",
                "rules": [{"paths": ["/x"], "networks": ["10.0.0.0/8"], "public": true}],
            },
            {"name": "files", "externalUrl": "https://files.example.com"},
        ]));
        let proxies = &files["application-wiki.json"]["settings"]["trustedProxies"];
        let expected = [
            "10.0.0.0/8",
            "192.0.2.7/32",
            "198.51.100.0/24",
            "2001:db8::/32",
        ];
        assert_eq!(*proxies, json!(expected));
        for network in expected {
            assert!(
                gatepost_policy::Network::parse(network).is_ok(),
                "{network}"
            );
        }
        let others = &files["application-files.json"]["settings"];
        assert!(others.get("trustedProxies").is_none(), "{others}");
    }

    /// Row B9: what a source of applications calls one must not hold back the others' files.
    #[test]
    fn an_application_has_a_file_where_its_name_and_a_draft_s_fit() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = |name: &str| {
            let text = json!({
                "keys": [KEY],
                "providers": [{"name": "main", "issuer": "https://id.example.com", "clientId": "g"}],
                "applications": [{"name": name, "externalUrl": "https://a.example.com"}],
            });
            Config::parse(&text.to_string(), []).expect("right")
        };
        // The beginning and the end of the file's name have 17 bytes, a slash has 3.
        for (name, expected) in [
            ("a".repeat(128), true),
            ("/".repeat(75), true),
            ("/".repeat(76), false),
        ] {
            let config = settings(&name);
            let application = &config.applications[0];
            assert_eq!(has_file_name(application), expected, "{name}");
            let path = folder.path().join(application_file(&application.audience));
            let written =
                gatepost_base::files::replace(&path, b"x", gatepost_base::files::Readable::ByGroup);
            assert_eq!(written.is_ok(), expected, "{name}: {written:?}");
            let ring = &config.keys;
            let files = StateFiles::new(
                folder.path().to_owned(),
                &config.applications,
                ring,
                |_| Vec::new(),
                &config.trusted_proxies,
                true,
            );
            assert_eq!(
                files.applications().count(),
                usize::from(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn no_file_is_longer_than_what_a_plugin_reads() {
        let public: Vec<String> = (0..6_000).map(|n| format!("/public/{n}")).collect();
        let files = files(&json!([
            {"name": "long", "externalUrl": "https://a.example.com", "public": public},
            {"name": "short", "externalUrl": "https://b.example.com"},
        ]));
        assert_eq!(
            files.into_keys().collect::<Vec<_>>(),
            ["application-short.json"]
        );
    }
}
