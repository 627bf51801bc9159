//! What takes the place of a host.

use super::ingress::Ingress;
use super::location::Location;
use super::rules::Rule;

/// The Ingresses, by what the controller does with them.
#[derive(Debug, Default)]
pub(super) struct Sorted<'i> {
    /// Those with routes.
    pub(super) own: Vec<&'i Ingress>,
    /// Those that take a share of another one's requests.
    pub(super) canaries: Vec<&'i Ingress>,
    /// Those of other controllers.
    pub(super) foreign: Vec<&'i Ingress>,
}

/// What becomes of a host.
pub(super) enum Verdict<'i> {
    Print(Box<HostPlan<'i>>),
    /// It is protected, and this cannot be expressed, with the reasons.
    Refused(Vec<String>),
    Open,
}

/// What takes the place of a host.
#[derive(Clone, Debug)]
pub(super) struct HostPlan<'i> {
    pub(super) host: &'i str,
    /// The host that the Ingresses name: another one for an alias.
    pub(super) named: &'i str,
    /// Further names of the host, each of which has routes of its own.
    pub(super) aliases: Vec<&'i str>,
    pub(super) https: bool,
    /// In the order in which nginx chooses.
    pub(super) locations: Vec<Location<'i>>,
    /// Which paths are open, or need other users than the rest.
    pub(super) rules: Vec<Rule>,
    /// The headers that the application got from the service, and Gatepost does not set.
    pub(super) unknown_headers: Vec<String>,
    pub(super) notes: Vec<String>,
    /// The Ingress that the host is in only because another host of it is protected.
    pub(super) joined: Option<&'i Ingress>,
}

impl<'i> HostPlan<'i> {
    /// Returns a host of which all paths are open.
    pub(super) fn open(host: &'i str, ingress: &'i Ingress) -> Self {
        Self {
            host,
            named: host,
            aliases: Vec::new(),
            https: ingress.tls_of(host).is_some(),
            locations: Vec::new(),
            rules: vec![Rule::everything_open()],
            unknown_headers: Vec::new(),
            notes: vec![format!(
                "open as before: it is in {} too, of which another host is protected",
                ingress.title()
            )],
            joined: Some(ingress),
        }
    }

    /// Returns it with those for its aliases.
    pub(super) fn with_aliases(self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        all.extend(self.aliases.iter().map(|alias| Self {
            host: alias,
            aliases: Vec::new(),
            notes: vec![format!(
                "`server-alias` of {}: the same paths, and an application of its own, where users sign in too",
                self.host
            )],
            ..self.clone()
        }));
        all
    }

    /// Returns its Ingresses.
    pub(super) fn printed(&self) -> Vec<&'i Ingress> {
        let mut all: Vec<&Ingress> = self.joined.into_iter().collect();
        for location in &self.locations {
            if !all
                .iter()
                .any(|known| std::ptr::eq(*known, location.ingress))
            {
                all.push(location.ingress);
            }
        }
        all
    }

    /// Returns whether some addresses may ask for a part only.
    pub(super) fn differs_by_address(&self) -> bool {
        differs(self.locations.iter().map(|it| &it.addresses))
    }
}

/// Returns whether some value is another than the first.
pub(super) fn differs<T: PartialEq>(values: impl IntoIterator<Item = T>) -> bool {
    let mut all = values.into_iter();
    let first = all.next();
    all.any(|other| Some(other) != first)
}
