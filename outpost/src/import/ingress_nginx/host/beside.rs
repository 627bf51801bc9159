//! What a host's paths, and other Ingresses, are beside each other.

use super::super::competitors::{competes, why_exposed};
use super::super::host_plan::differs;
use super::super::ingress::{Ingress, PathType};
use super::super::location::{Location, Reach};
use super::super::order;
use super::super::settings::Form;
use super::super::upstream;
use super::Builder;

impl<'i> Builder<'_, 'i> {
    /// Checks that no other Ingress gets requests for the host, if it is served beside it.
    pub(super) fn check_competitors(&mut self) {
        if self.settings.form == Form::Crds {
            return;
        }
        let competitors = self.sorted.foreign.iter().chain(&self.sorted.own);
        for other in competitors.chain(&self.sorted.canaries) {
            if let Some(reason) = competes(other, self.host, self.sorted) {
                self.reasons.push(format!(
                    "{}: {reason}, and Traefik, if it serves it, chooses by the length of rules: remove it, \
                     or import with `--to crds`, whose routes come first",
                    other.title()
                ));
            }
        }
    }

    /// Checks what the locations are beside each other.
    pub(super) fn check_together(&mut self, locations: &[Location<'i>], canaries: &[&Ingress]) {
        self.check_addresses(locations);
        self.check_passwords(locations);
        for other in &self.sorted.foreign {
            let reason = why_exposed(other, self.host, locations, &self.gates, self.documents);
            if let Some(reason) = reason {
                self.reasons.push(format!(
                    "{}: {reason}: the controller may have served it, and this import would open it. Give it \
                     the class {}, or remove it, and import again",
                    other.title(),
                    self.settings.shown_classes()
                ));
            }
        }
        if let Some(reason) = order::inverted(locations, self.settings) {
            self.reasons.push(reason);
        }
        self.reasons
            .extend(upstream::differing(locations, self.settings.form));
        if self.settings.form == Form::Annotations {
            let reason = order::by_other_than_paths(locations, canaries);
            self.reasons.extend(reason);
            self.say_whole_elements(locations);
        }
    }

    fn check_addresses(&mut self, locations: &[Location<'i>]) {
        if locations.iter().all(|it| it.addresses.is_empty()) {
            return;
        }
        let form = self.settings.form;
        let differs = differs(locations.iter().map(|it| &it.addresses));
        if differs && form == Form::Crds {
            self.notes.push(
                "the paths differ in the addresses that may ask: a path with an encoded character that has a \
                 meaning in URLs (`%2F`) gets 404 on this host, since nginx chose by what it means"
                    .to_owned(),
            );
        } else if differs {
            self.reasons.push(
                "its paths differ in the addresses that may ask, and nginx and Traefik choose the path \
                 differently: import with `--to crds`"
                    .to_owned(),
            );
        }
        if form == Form::Annotations && self.documents.controller.is_behind_a_balancer() {
            self.reasons.push(
                "some addresses may ask, and nginx took the client's from a balancer (`use-forwarded-headers`, \
                 `use-proxy-protocol`), where Traefik would compare the balancer's own: import with `--to crds`"
                    .to_owned(),
            );
        }
        self.notes.push(
            "the list of addresses needs clients' own: `externalTrafficPolicy: Local` at Traefik's Service, or \
             `forwardedHeaders.trustedIPs` or `proxyProtocol.trustedIPs` with the balancer"
                .to_owned(),
        );
    }

    fn check_passwords(&mut self, locations: &[Location<'i>]) {
        let password =
            |it: &Location<'i>| (it.ingress.set("auth-type"), it.ingress.set("auth-secret"));
        if self.settings.form == Form::Annotations && differs(locations.iter().map(password)) {
            self.reasons.push(
                "its paths differ in the passwords that they need (`auth-type`), and nginx and Traefik choose \
                 the path differently: remove the annotation where the sign-in is enough"
                    .to_owned(),
            );
        }
    }

    fn say_whole_elements(&mut self, locations: &[Location<'i>]) {
        for location in locations {
            let kind = location.path.path_type;
            let is_beginning =
                matches!(&location.reach, Reach::Beginning(text) if !text.ends_with('/'));
            if is_beginning && kind == PathType::ImplementationSpecific {
                let path = location.path.text();
                self.notes.push(format!(
                    "nginx served `{path}abc` by the path `{path}` too, Traefik serves whole elements; it is \
                     protected as before"
                ));
            }
        }
    }
}
