//! The ordered rules of an application.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use gatepost_session::Claims;

use crate::fingerprint::Fingerprint;
use crate::network::{ClientAddress, Network};
use crate::public::{Meant, PublicPaths, RequestPath, meant_method};
use crate::request::Request;
use crate::require::{Require, Situation};

mod demand;
mod idle;

pub use demand::{Demand, InvalidDemand};
pub use idle::Idle;

/// A rule: the requests that it is for, and what they need.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name for people, if it has one.
    pub(crate) name: Option<String>,
    /// Its paths; `None` for every path.
    pub(crate) paths: Option<PublicPaths>,
    /// Its methods; empty for every method.
    pub(crate) methods: Vec<String>,
    /// The networks of its clients; empty for every client.
    pub(crate) networks: Vec<Network>,
    pub(crate) effect: Effect,
}

/// What a rule does with its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They need no session.
    Public,
    /// They are refused to every client.
    Deny,
    /// They need a session that the rule admits.
    Require(Require),
}

/// Rules in order: the first that is for a request decides.
///
/// A rule is *surely* for a request if every server reads the request as one that it is for. It is
/// *possibly* for a request that only some server may read so: whose path has several meanings or
/// differs in case or in a slash at its end, whose method is another spelling, or whose client's
/// address is unknown. A rule that is possibly meant opens nothing, and it does not decide alone
/// either: the request needs what it asks for, and also what the rules behind it ask for, up to the
/// first that is surely meant. So whichever way a server reads the request, it has what the rule
/// for that reading asks.
#[derive(Clone, Debug, Default)]
pub struct Rules(
    /// Each with the characters with which its paths begin.
    Vec<(u32, Rule)>,
);

impl Rules {
    /// Adds a rule behind the others.
    pub(crate) fn push(&mut self, rule: Rule) {
        let paths = rule.paths.as_ref();
        let beginnings = paths.map_or(u32::MAX, PublicPaths::beginnings);
        self.0.push((beginnings, rule));
    }

    /// Returns whether the list has no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether some rule opens requests to every client.
    pub fn open_something(&self) -> bool {
        self.opening().next().is_some()
    }

    /// Returns the rules that open requests to every client, by their place from 0.
    pub fn opening(&self) -> impl Iterator<Item = (usize, &Rule)> {
        let all = self.0.iter().enumerate();
        let all = all.map(|(at, (_, rule))| (at, rule));
        all.filter(|(_, rule)| matches!(rule.effect, Effect::Public))
    }

    /// Returns whether some rule is for certain methods.
    pub(crate) fn ask_for_methods(&self) -> bool {
        self.0.iter().any(|(_, rule)| {
            let paths = rule.paths.as_ref();
            !rule.methods.is_empty() || paths.is_some_and(PublicPaths::ask_for_methods)
        })
    }

    /// Returns whether some rule is for certain networks.
    pub fn ask_for_networks(&self) -> bool {
        self.0.iter().any(|(_, rule)| !rule.networks.is_empty())
    }

    /// Returns the fingerprint of each rule, with commas between.
    pub(crate) fn fingerprints(&self) -> String {
        let mut all = String::new();
        for (_, rule) in &self.0 {
            rule.fingerprint().append_to(&mut all);
        }
        all
    }

    /// Returns the name of the rule at a place, or else its number from 1.
    pub fn label(&self, at: usize) -> String {
        let name = self.0.get(at).and_then(|(_, rule)| rule.name.as_deref());
        name.map_or_else(|| (at + 1).to_string(), String::from)
    }

    /// Returns what these rules ask of a request.
    pub(crate) fn ask(
        &self,
        request: &impl Request,
        method: &[u8],
        path: &RequestPath<'_>,
    ) -> Asked<'_> {
        let mut asked = Asked::default();
        let mut address = None;
        // One character excludes nearly all rules. A path without a clear one may be any.
        let beginning = path.beginning().unwrap_or(u32::MAX);
        for (at, (beginnings, rule)) in self.0.iter().enumerate() {
            if beginnings & beginning == 0 {
                continue;
            }
            let mut meant = rule.meant_by(method, path);
            if meant != Meant::No && !rule.networks.is_empty() {
                let address = address.get_or_insert_with(|| request.client_address());
                meant = meant.min(meant_networks(&rule.networks, *address));
            }
            if asked.take(at, &rule.effect, meant) {
                break;
            }
        }
        asked
    }

    /// Returns the places, from 0, of those for users that [are too long](Require::is_too_long).
    pub fn too_long(&self) -> impl Iterator<Item = usize> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(at, (_, rule))| match &rule.effect {
            Effect::Require(require) => require.is_too_long().then_some(at),
            Effect::Public | Effect::Deny => None,
        })
    }

    /// Returns the rules for users, in order.
    pub(crate) fn requires(&self) -> impl Iterator<Item = &Require> {
        self.0.iter().filter_map(|(_, rule)| match &rule.effect {
            Effect::Require(require) => Some(require),
            Effect::Public | Effect::Deny => None,
        })
    }

    /// Returns whether some rule may admit a user, whatever the request and however the user
    /// authenticated.
    pub(crate) fn may_admit(&self, claims: &Claims) -> bool {
        self.requires()
            .any(|require| !require.rule(claims, Situation::OF_NO_REQUEST).refuses())
    }
}

impl Rule {
    /// Returns its name for people, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut own = Fingerprint::new();
        if let Some(paths) = &self.paths {
            paths.add_to(&mut own);
        }
        for method in &self.methods {
            own.add(b'm', method.as_bytes());
        }
        for network in &self.networks {
            let (base, length) = network.to_bytes();
            own.add(b'n', &base);
            own.add(b'l', &length);
        }
        match &self.effect {
            Effect::Public => own.add(b'o', &[]),
            Effect::Deny => own.add(b'd', &[]),
            Effect::Require(require) => {
                // Their order means nothing, and readers have the keys of a section in another one.
                let text = require.to_text().unwrap_or_default();
                let mut entries: Vec<&str> = text.split('&').collect();
                entries.sort_unstable();
                for entry in entries {
                    own.add(b'r', entry.as_bytes());
                }
            }
        }
        own
    }

    fn meant_by(&self, method: &[u8], path: &RequestPath<'_>) -> Meant {
        let mut meant = match &self.paths {
            Some(paths) => paths.meant_by(method, path),
            None => Meant::Surely,
        };
        if meant != Meant::No && !self.methods.is_empty() {
            let by_methods = self.methods.iter();
            let by_methods = by_methods.map(|own| meant_method(own.as_bytes(), method));
            meant = meant.min(by_methods.max().unwrap_or(Meant::No));
        }
        meant
    }
}

fn meant_networks(own: &[Network], address: Option<ClientAddress>) -> Meant {
    match address {
        None => Meant::Possibly,
        Some(address) if own.iter().any(|network| network.contains(address)) => Meant::Surely,
        Some(_) => Meant::No,
    }
}

/// What the rules ask of one request.
#[derive(Debug, Default)]
pub(crate) struct Asked<'p> {
    /// The first rule that refuses it.
    pub(crate) denied: Option<usize>,
    /// The rules that its sender has to satisfy, all of them: the first, which nearly always is the
    /// only one, and the others. Each has its place in the list.
    first: Option<Asking<'p>>,
    others: Vec<Asking<'p>>,
    /// The rule by which it needs no session, unless one of the others applies too.
    pub(crate) public: Option<usize>,
    /// Whether the last of these rules is surely meant, so that the short form is not.
    pub(crate) decided: bool,
    /// Whether it is public by the short form.
    pub(crate) by_public_paths: bool,
    /// Whether it needs no session: some rule opens it, and none asks for anything.
    pub(crate) open: bool,
}

/// A rule for users, with its place in the list; without one it is that of the short form.
type Asking<'p> = (Option<usize>, &'p Require);

impl<'p> Asked<'p> {
    /// Takes a rule in, and returns whether none behind it counts.
    fn take(&mut self, at: usize, effect: &'p Effect, meant: Meant) -> bool {
        self.decided = meant == Meant::Surely;
        match effect {
            _ if meant == Meant::No => {}
            Effect::Public if !self.decided => {}
            Effect::Public => self.public = Some(at),
            Effect::Deny => self.denied = self.denied.or(Some(at)),
            Effect::Require(require) => self.push(Some(at), require),
        }
        self.decided
    }

    /// Adds a rule for users.
    pub(crate) fn push(&mut self, at: Option<usize>, require: &'p Require) {
        match self.first {
            None => self.first = Some((at, require)),
            Some(_) => self.others.push((at, require)),
        }
    }

    /// Returns the rules that its sender has to satisfy.
    pub(crate) fn requires(&self) -> impl Iterator<Item = &Asking<'p>> {
        self.first.iter().chain(&self.others)
    }

    /// Returns whether some rule opens it.
    pub(crate) fn is_public(&self) -> bool {
        self.public.is_some() || self.by_public_paths
    }
}

#[cfg(test)]
mod tests;
