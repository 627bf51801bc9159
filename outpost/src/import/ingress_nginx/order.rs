//! Whether Traefik chooses among the paths of a host as nginx does, where no priority can be written.

use super::ingress::PathType;
use super::location::{Location, Reach};
use super::settings::{Form, Settings};

/// As many rules as an HTTPRoute may have.
pub(super) const RULES_OF_A_ROUTE: usize = 16;

/// Returns why not.
pub(super) fn inverted(locations: &[Location<'_>], settings: &Settings) -> Option<String> {
    if settings.form == Form::Crds {
        return None;
    }
    for (at, first) in locations.iter().enumerate() {
        for second in locations.iter().skip(at + 1) {
            let same = first.path.backend == second.path.backend
                && std::ptr::eq(first.ingress, second.ingress);
            let (one, other) = (weight(first, settings), weight(second, settings));
            // Of equal ones, the first of an HTTPRoute comes first; there are none of 16 and more.
            let keeps = one > other
                || (one == other
                    && settings.form == Form::Gateway
                    && first.ingress.namespace == second.ingress.namespace
                    && locations.len() <= RULES_OF_A_ROUTE);
            if !same && !keeps && first.reach.meets(&second.reach) {
                return Some(format!(
                    "nginx prefers the path `{}` of {} to `{}` of {}, and Traefik would not: import with \
                     `--to crds`, whose routes have priorities",
                    first.path.text(),
                    first.ingress.title(),
                    second.path.text(),
                    second.ingress.title()
                ));
            }
        }
    }
    None
}

/// Returns by what Traefik chooses.
fn weight(location: &Location<'_>, settings: &Settings) -> usize {
    if settings.form == Form::Gateway {
        return location.reach.path_match().2;
    }
    // Its provider for the annotations knows whole elements only.
    let text = location.path.text().to_owned();
    let reach = match (&location.reach, location.path.path_type) {
        (Reach::Regex(_), kind) if kind != PathType::Exact => Reach::Regex(text),
        (_, PathType::Exact) => Reach::Exact(text),
        _ if text == "/" => Reach::Beginning(text),
        _ => Reach::Element(text),
    };
    reach.rule().map_or(0, |rule| rule.len())
}
