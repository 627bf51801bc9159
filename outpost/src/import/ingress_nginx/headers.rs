//! The headers that an application gets.

use gatepost_policy::{HeaderRules, HeaderSettings, Preset};

use super::controller::Controller;
use super::ingress::Ingress;
use crate::export::traefik;

/// Returns the headers of the old service that Gatepost does not set, of all Ingresses of a host.
pub(super) fn unknown(ingresses: &[&Ingress], controller: &Controller) -> Vec<String> {
    let known = known();
    let mut unknown: Vec<String> = Vec::new();
    let global = controller.data.get("global-auth-response-headers");
    for ingress in ingresses {
        let own = ingress.annotation("auth-response-headers");
        // The controller's service has the controller's list, whatever list the Ingress has.
        let everywhere = global
            .map(String::as_str)
            .filter(|_| ingress.annotation("auth-url").is_none());
        let given = own.into_iter().chain(everywhere);
        for name in given.flat_map(|it| it.split(',')).map(str::trim) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let is_name = !name.is_empty() && name.chars().all(plain);
            let is_known = |own: &String| own.eq_ignore_ascii_case(name);
            if is_name && !known.iter().any(is_known) && !unknown.iter().any(is_known) {
                unknown.push(name.to_owned());
            }
        }
    }
    unknown
}

/// Returns the headers of the outpost's answer that the application gets, and those that are removed
/// because the answer does not have them.
pub(super) fn answered<'h>(unknown: impl IntoIterator<Item = &'h String>) -> Vec<String> {
    let mut headers = known();
    for name in unknown {
        if !headers.contains(name) {
            headers.push(name.clone());
        }
    }
    headers
}

/// Returns the rules of an application that says nothing of its headers.
pub(super) fn rules() -> HeaderRules {
    HeaderRules::new(HeaderSettings::of(Preset::Gatepost, ""))
}

fn known() -> Vec<String> {
    let rules = rules();
    let headers = traefik::answered_headers(&rules).into_iter();
    headers.map(str::to_owned).collect()
}
