//! Ingresses that are not part of a host's routes, and may get its requests, or lose them.

use super::addresses;
use super::annotations;
use super::documents::Documents;
use super::gate::Gate;
use super::host_plan::{Sorted, differs};
use super::ingress::Ingress;
use super::location::Location;

/// Returns why another Ingress may get requests for a host, if it is served beside it.
pub(super) fn competes(other: &Ingress, host: &str, sorted: &Sorted<'_>) -> Option<String> {
    let is_foreign = sorted.foreign.iter().any(|it| std::ptr::eq(*it, other));
    for rule in &other.spec.rules {
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        let own = rule.host();
        let covers = own
            .strip_prefix("*.")
            .is_some_and(|domain| host.split_once('.').is_some_and(|(_, rest)| rest == domain));
        if is_foreign && own == host && !other.is_of_cert_manager() {
            let class = other.class().map_or("no class", |_| "another class");
            return Some(format!("it has this host, and {class}"));
        }
        if covers {
            return Some(format!("`{own}` includes this host"));
        }
        if own.is_empty() && paths.into_iter().any(|path| path.text() != "/") {
            return Some("its rule without a host has further paths".to_owned());
        }
    }
    // To nginx an exact name comes before a wildcard, and to Traefik the longer rule.
    let mut aliases = other.aliases().filter(|_| !other.has_host(host));
    let alias = aliases.find(|alias| {
        let domain = alias.strip_prefix('*');
        domain.map_or(alias.contains('*'), |domain| host.ends_with(domain))
    })?;
    Some(format!("its `server-alias` `{alias}` includes this host"))
}

/// Returns why the routes of a host, which come before all others, could open what an Ingress of
/// another class or of none protects: a controller serves every class that names it, and Ingresses
/// without a class if it is told to.
pub(super) fn why_exposed(
    other: &Ingress,
    host: &str,
    locations: &[Location<'_>],
    gates: &[Gate<'_>],
    documents: &Documents,
) -> Option<&'static str> {
    if !other.has_host(host) || other.is_of_cert_manager() {
        return None;
    }
    let addresses = addresses::of_ingress(other, &documents.controller);
    let has_only_a_service = annotations::protective(other).is_none()
        && other.set("auth-type").is_none()
        && addresses.is_ok_and(|addresses| addresses.is_empty());
    let gate = Gate::of(other, documents);
    let is_open = has_only_a_service && gate == Ok(None);
    let is_behind_the_same =
        has_only_a_service && gate.is_ok_and(|gate| gate.is_some_and(|gate| gates == [gate]));
    let is_uniform = gates.len() == 1
        && locations.iter().all(|it| it.gate.is_some())
        && !differs(locations.iter().map(|it| &it.addresses));
    if !is_open && other.class().is_none() {
        return Some("it has this host too, is protected and names no class");
    }
    let has_regexes = other.has_regexes(host);
    if (is_open && !has_regexes) || (is_uniform && (is_open || is_behind_the_same)) {
        return None;
    }
    Some(match (is_open, other.class()) {
        (true, Some(_)) => {
            "it has this host too, with `use-regex` or `rewrite-target`, and another class"
        }
        (true, None) => {
            "it has this host too, with `use-regex` or `rewrite-target`, and names no class"
        }
        (false, _) => "it has this host too, is protected, and of another class",
    })
}
