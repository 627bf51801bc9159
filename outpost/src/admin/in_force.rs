//! What of the configuration is in force, so that `gatepost check --url` does not take its own file for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application::Application;
use crate::origin::Mode;
use crate::runtime::Snapshot;

/// What decides about requests and sign-ins, for each application: by the name of a key, a text that is another
/// where the key says something else. No text has a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InForce(BTreeMap<String, BTreeMap<String, String>>);

impl From<&Snapshot> for InForce {
    fn from(snapshot: &Snapshot) -> Self {
        let all = snapshot.applications.iter();
        Self(
            all.map(|application| (application.audience().to_string(), keys_of(application)))
                .collect(),
        )
    }
}

fn keys_of(application: &Application) -> BTreeMap<String, String> {
    let mode = match application.mode() {
        Mode::Single => "single",
        Mode::Domain(domain) => domain.as_str(),
    };
    let providers = application.providers().iter().map(|provider| {
        let settings = provider.settings();
        format!(
            "{} {}",
            settings.issuer.as_str(),
            settings.client_id.as_str()
        )
    });
    let providers: Vec<String> = providers.collect();
    let names = application.headers().names();
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    let policy = application.policy();
    let keys = [
        ("externalUrl", application.external().origin().to_owned()),
        ("mode", mode.to_owned()),
        ("providers", providers.join(", ")),
        ("outpostPrefix", application.prefix().to_string()),
        ("cookieName", application.cookie().name.to_string()),
        ("require", policy.require.to_text().unwrap_or_default()),
        ("rules", policy.fingerprints_of_rules()),
        ("public", policy.fingerprints_of_paths()),
        ("headers", names.join(", ")),
    ];
    keys.map(|(key, text)| (key.to_owned(), text)).into()
}

impl InForce {
    /// Returns what the outpost has in force otherwise than this configuration says, by names of applications and
    /// keys.
    pub fn differing(&self, own: &Self) -> Vec<String> {
        let mut differing = Vec::new();
        for (name, keys) in &own.0 {
            let Some(known) = self.0.get(name) else {
                differing.push(format!("it has no application `{name}`"));
                continue;
            };
            let others = keys
                .iter()
                .filter(|(key, text)| known.get(*key) != Some(*text));
            let others: Vec<String> = others.map(|(key, _)| format!("`{key}`")).collect();
            if !others.is_empty() {
                differing.push(format!(
                    "`{name}` has another {}",
                    others.join(", another ")
                ));
            }
        }
        let more = self.0.keys().filter(|name| !own.0.contains_key(*name));
        differing.extend(more.map(|name| format!("it has an application `{name}`")));
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::config;
    use gatepost_base::Clock;

    fn in_force(application: &str) -> InForce {
        let snapshot = Snapshot::new(&config(application), &Clock::system(), None);
        InForce::from(&snapshot.expect("a snapshot"))
    }

    #[test]
    fn another_configuration_is_told_by_what_it_says_otherwise() {
        let running = in_force(", require: {groups: [staff]}, public: [/a]");
        for (file, expected) in [
            (", require: {groups: [staff]}, public: [/a]", ""),
            (
                ", require: {groups: [other]}, public: [/a]",
                "`wiki` has another `require`",
            ),
            (
                ", require: {groups: [staff]}, public: ['/*']",
                "`wiki` has another `public`",
            ),
            (
                ", require: {groups: [staff]}, public: [/a], rules: [{paths: [/x], deny: true}]",
                "`wiki` has another `rules`",
            ),
        ] {
            assert_eq!(
                running.differing(&in_force(file)).join("; "),
                expected,
                "{file}"
            );
        }
        let mut more = running.clone();
        more.0.insert("more".to_owned(), BTreeMap::new());
        assert_eq!(more.differing(&running), ["it has an application `more`"]);
        assert_eq!(running.differing(&more), ["it has no application `more`"]);
    }
}
