//! The settings of the controller, as its ConfigMap has them.

use std::collections::BTreeMap;

use super::ingress::{is_no, is_yes};
use super::snippet::only_lets_through;

/// The controller's ConfigMap.
#[derive(Debug, Default)]
pub(super) struct Controller {
    pub(super) name: String,
    pub(super) data: BTreeMap<String, String>,
}

/// Settings that keep requests from every application, and have no equal.
const PROTECTIVE: &[&str] = &[
    "block-cidrs",
    "block-referers",
    "block-user-agents",
    "denylist-source-range",
    "http-snippet",
    "location-snippet",
    "modsecurity-snippet",
    "server-snippet",
];

/// Settings that protect, unless they say no.
const PROTECTIVE_UNLESS_NO: &[&str] = &["enable-modsecurity", "enable-owasp-modsecurity-crs"];

/// Settings that the import takes over, or has a line of its own for.
const TAKEN_OVER: &[&str] = &[
    "global-auth-url",
    "global-auth-response-headers",
    "global-auth-snippet",
    "no-auth-locations",
    "proxy-set-headers",
    "whitelist-source-range",
    "allow-snippet-annotations",
];

impl Controller {
    fn set(&self, key: &str) -> Option<&str> {
        let value = self.data.get(key).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Returns the service that protects every Ingress which does not say otherwise.
    pub(super) fn global_auth_url(&self) -> Option<&str> {
        self.set("global-auth-url")
    }

    /// Returns what paths begin with that the controller never protects by a service or a password.
    pub(super) fn open_beginnings(&self) -> Vec<&str> {
        let list = self.data.get("no-auth-locations");
        let list = list.map_or("/.well-known/acme-challenge", String::as_str);
        let list = list.split(',').map(|path| path.trim_matches(' '));
        list.filter(|path| !path.is_empty()).collect()
    }

    /// Returns the list of addresses that may ask where the Ingress names none.
    pub(super) fn source_range(&self) -> &str {
        self.set("whitelist-source-range").unwrap_or_default()
    }

    /// Returns whether it took the client's address from what a balancer in front of it says.
    pub(super) fn is_behind_a_balancer(&self) -> bool {
        self.is_on("use-forwarded-headers") || self.is_on("use-proxy-protocol")
    }

    /// Returns whether it took the client's address from a header: with the PROXY protocol, it is that
    /// of the connection.
    pub(super) fn reads_forwarded_for(&self) -> bool {
        self.is_on("use-forwarded-headers") && !self.is_on("use-proxy-protocol")
    }

    fn is_on(&self, key: &str) -> bool {
        self.set(key).is_some_and(is_yes)
    }

    /// Returns why nothing can be printed for any host.
    pub(super) fn refusals(&self) -> Vec<String> {
        let mut keys: Vec<&str> = PROTECTIVE
            .iter()
            .copied()
            .filter(|key| self.set(key).is_some())
            .collect();
        let may_be_on = |key: &&str| self.set(key).is_some_and(|value| !is_no(value));
        keys.extend(PROTECTIVE_UNLESS_NO.iter().copied().filter(may_be_on));
        let snippet = self.set("global-auth-snippet");
        if snippet.is_some_and(|snippet| !only_lets_through(snippet)) {
            keys.push("global-auth-snippet");
        }
        let reason = |key: &str| {
            format!(
                "`{key}` of the ConfigMap {} protects every host, and has no equal here: do the same \
                 elsewhere, take the key out of the imported file, and import again",
                self.name
            )
        };
        keys.into_iter().map(reason).collect()
    }

    /// Returns a line for what is not taken over.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.set("global-auth-snippet").is_some() {
            notes.push(
                "global-auth-snippet: not taken over: what it let through without a session becomes `public`"
                    .to_owned(),
            );
        }
        if self.set("proxy-set-headers").is_some() {
            notes.push(
                "proxy-set-headers: NOT taken over: an application that trusts such a header needs a \
                 Middleware `headers`"
                    .to_owned(),
            );
        }
        let keys = self.data.keys().map(String::as_str);
        let (global, others): (Vec<&str>, Vec<&str>) = keys
            .filter(|key| !TAKEN_OVER.contains(key))
            .partition(|key| key.starts_with("global-auth-"));
        if !others.is_empty() {
            notes.push(format!(
                "not taken over, see Traefik's own settings: {}",
                others.join(", ")
            ));
        }
        if !global.is_empty() {
            notes.push(format!(
                "not needed, the outpost does it: {}",
                global.join(", ")
            ));
        }
        notes
    }
}
