//! Names of exported objects that two applications would share: one object would take the other's
//! place, and with it the rule of a middleware.

use std::collections::BTreeMap;

use super::kubernetes;
use super::traefik::{OUTPOST, device_name, elsewhere_name, object_name, outpost_name, route_name};
use crate::application::ApplicationSettings;
use crate::origin::Mode;

/// A name that two applications would share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedName {
    /// The name, in the form that Kubernetes accepts.
    pub name: String,
    /// The application that has it, or the outpost.
    pub first: String,
    /// The application that would have it too.
    pub second: String,
}

/// What an object is. Objects of different kinds may have one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Middleware,
    Router,
    Service,
}

/// Returns the names that two applications would share, one for each application. Case and signs do
/// not distinguish names: Kubernetes has one form for all of them.
pub(crate) fn shared(applications: &[ApplicationSettings]) -> Vec<SharedName> {
    let mut owners = BTreeMap::from([((Kind::Service, OUTPOST.to_owned()), "the outpost")]);
    let mut shared: Vec<SharedName> = Vec::new();
    for application in applications {
        let own = application.audience.as_str();
        for (kind, name) in names(application) {
            let name = kubernetes::object_name(&name);
            let first = *owners.entry((kind, name.clone())).or_insert(own);
            if first != own && shared.iter().all(|known| known.second != own) {
                shared.push(SharedName {
                    name,
                    first: first.to_owned(),
                    second: own.to_owned(),
                });
            }
        }
    }
    shared
}

/// Returns the names of an application's objects.
fn names(application: &ApplicationSettings) -> Vec<(Kind, String)> {
    let name = object_name(application);
    let routes = (0..application.routes.len()).map(|at| route_name(&name, at));
    let mut all: Vec<_> = routes
        .flat_map(|id| [(Kind::Router, id.clone()), (Kind::Service, id)])
        .collect();
    if !all.is_empty() {
        all.push((Kind::Router, outpost_name(&name)));
        if matches!(application.mode, Mode::Domain(_)) {
            all.push((Kind::Router, device_name(&name)));
            all.push((Kind::Router, elsewhere_name(&name)));
            all.push((Kind::Middleware, elsewhere_name(&name)));
        }
    }
    all.push((Kind::Middleware, name));
    all
}

#[cfg(test)]
mod tests {
    use crate::fixture::problems;

    /// The rule of one application would guard the other's hosts.
    #[test]
    fn two_applications_do_not_share_the_name_of_an_object() {
        let single = |name: &str, host: &str| {
            format!(
                "  - {{name: '{name}', externalUrl: 'https://{host}.example.com', upstream: 'http://{host}'}}\n"
            )
        };
        let domain = |name: &str| {
            format!(
                "  - {{name: '{name}', mode: domain, externalUrl: 'https://auth.example.org', \
                 cookieDomain: example.org, upstreams: {{x.example.org: 'http://x', y.example.org: 'http://y'}}}}\n"
            )
        };
        for (first, second, shared) in [
            (domain("team:a"), single("team/a", "z"), "gatepost-team-a"),
            (single("Team", "x"), single("team", "y"), "gatepost-team"),
            (single("a.b", "x"), single("a_b", "y"), "gatepost-a-b"),
            (domain("wiki"), single("wiki-1", "z"), "gatepost-wiki-1"),
            (
                single("wiki-outpost", "x"),
                single("wiki", "y"),
                "gatepost-wiki-outpost",
            ),
            (
                single("wiki", "x"),
                single("outpost", "y"),
                "gatepost-outpost",
            ),
            (
                domain("wiki"),
                single("wiki-outpost-elsewhere", "z"),
                "gatepost-wiki-outpost-elsewhere",
            ),
            (single("wiki", "x"), single("wiki-1", "y"), ""),
            (single("wiki", "x"), single("files", "y"), ""),
        ] {
            let lines = problems(&format!("{first}{second}"));
            let named = |line: &String| line.contains(&format!("`{shared}`"));
            let expected = usize::from(!shared.is_empty());
            assert_eq!(lines.len(), expected, "{first}{second}: {lines:?}");
            assert!(lines.iter().all(named), "{first}{second}: {lines:?}");
        }
    }
}
