//! Gatepost's rules of a host: the paths that are open, and those for other users than the rest.

use serde_json::{Value, json};

use super::location::Location;

/// The group that no user has, until the operator names another.
pub(super) const NO_GROUP: &str = "CHANGE-ME";

/// A rule, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    paths: Vec<String>,
    /// The group that it asks for; `None` where the paths are open.
    group: Option<String>,
}

impl Rule {
    pub(super) fn everything_open() -> Self {
        Self {
            paths: vec!["/*".to_owned()],
            group: None,
        }
    }

    /// Returns it as the plugin and the outpost read it.
    pub(super) fn value(&self) -> Value {
        match &self.group {
            Some(group) => json!({ "paths": self.paths, "require": { "groups": [group] } }),
            None => json!({ "paths": self.paths, "public": true }),
        }
    }
}

/// Returns the service that most other paths are left to.
fn rest(locations: &[Location<'_>]) -> Option<usize> {
    locations.iter().rev().find_map(|it| it.gate)
}

/// Returns the group in place of what a service of the host decides.
pub(super) fn group(gate: Option<usize>, locations: &[Location<'_>]) -> String {
    match gate {
        Some(gate) if Some(gate) != rest(locations) => format!("{NO_GROUP}-{}", gate + 1),
        _ => NO_GROUP.to_owned(),
    }
}

/// Returns the rules of these locations, which are in the order in which nginx chooses. What no rule
/// is for needs a user of the group of the rest.
pub(super) fn of(locations: &[Location<'_>]) -> Result<Vec<Rule>, String> {
    let rest = rest(locations);
    let last = locations
        .iter()
        .rposition(|it| it.gate.is_none() || it.gate != rest);
    let mut rules: Vec<Rule> = Vec::new();
    for location in locations.iter().take(last.map_or(0, |last| last + 1)) {
        let Some(patterns) = location.reach.patterns(location.gate.is_none()) else {
            return Err(format!(
                "{}: the path `{}` cannot be said in Gatepost's rules, and other paths of the host are open \
                 or ask another `auth-url`: write the routes and the rules of this host by hand",
                location.ingress.title(),
                location.path.text()
            ));
        };
        let group = location.gate.map(|_| group(location.gate, locations));
        match rules.last_mut() {
            Some(rule) if rule.group == group => rule.paths.extend(patterns),
            _ => rules.push(Rule {
                paths: patterns,
                group,
            }),
        }
    }
    Ok(rules)
}
