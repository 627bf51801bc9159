//! Whether Traefik chooses among the paths of a host as nginx does, where no priority can be written.

use super::ingress::{Ingress, PathType};
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

/// Returns why Traefik's provider for the annotations chooses among the paths by more than their length.
pub(super) fn by_other_than_paths(
    locations: &[Location<'_>],
    canaries: &[&Ingress],
) -> Option<String> {
    let (first, rest) = locations.split_first()?;
    let has_others = |it: &&Location<'_>| it.ingress.set("server-alias").is_some();
    if rest
        .iter()
        .any(|it| !std::ptr::eq(it.ingress, first.ingress))
        && let Some(location) = locations.iter().find(has_others)
    {
        return Some(format!(
            "{}: with `server-alias`, Traefik prefers its paths to those of the host's other Ingresses, \
             however long they are: import with `--to crds`, or remove the annotation",
            location.ingress.title()
        ));
    }
    let by_client = |it: &&&Ingress| {
        let keys = ["canary-by-header", "canary-by-cookie"];
        keys.iter().any(|key| it.set(key).is_some())
    };
    let canary = canaries
        .iter()
        .find(by_client)
        .filter(|_| !rest.is_empty())?;
    Some(format!(
        "{}: with `canary-by-header` or `canary-by-cookie`, a client that sends it gets this canary on \
         other paths of the host too, since to Traefik its rule is the longest: remove the annotation, and \
         give the canary a `canary-weight`",
        canary.title()
    ))
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
    // Quoted as a text of Go.
    let is_escaped = |c: char| matches!(c, '\\' | '"');
    reach.rule().map_or(0, |rule| {
        rule.len() + rule.chars().filter(|c| is_escaped(*c)).count()
    })
}
