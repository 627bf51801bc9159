//! What the text says of a host.

use std::collections::BTreeSet;

use super::super::annotations;
use super::super::auth_service::{self, AuthService};
use super::super::ingress::Ingress;
use super::super::location::Location;
use super::super::rules;
use super::super::settings::Form;
use super::Builder;

impl<'i> Builder<'_, 'i> {
    /// Returns a line for each thing to know, those of the checks first.
    pub(super) fn into_notes(
        mut self,
        ingresses: &[&Ingress],
        canaries: &[&Ingress],
        locations: &[Location<'i>],
    ) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        self.say_services(locations, &mut notes);
        self.say_open(ingresses, locations, &mut notes);
        for ingress in ingresses {
            notes.extend(annotations::notes(ingress, self.settings.form));
            if ingress.spec.default_backend.is_some() && self.settings.form != Form::Annotations {
                notes.push(
                    "`defaultBackend` is left out: other paths of the host get 404".to_owned(),
                );
            }
        }
        for canary in canaries {
            notes.push(format!(
                "{}: a canary, which stays as it is",
                canary.title()
            ));
        }
        if self.settings.form == Form::Crds {
            let mut foreign = self.sorted.foreign.clone();
            foreign.retain(|it| it.has_host(self.host));
            notes.extend(foreign.iter().map(|other| {
                format!(
                    "{} has this host too: where Traefik serves it, these routes come first",
                    other.title()
                )
            }));
        }
        notes.extend(self.classes(ingresses));
        notes.extend(self.tls(ingresses));
        let mut seen = BTreeSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        notes
    }

    /// Says which services decided.
    fn say_services(&self, locations: &[Location<'i>], notes: &mut Vec<String>) {
        let mut services = Vec::new();
        for (at, gate) in self.gates.iter().enumerate() {
            let url = gate.url;
            let service = AuthService::of(url);
            let group = rules::group(Some(at), locations);
            notes.push(format!(
                "auth-url: was {service}, at {} ({group})",
                auth_service::shown(url)
            ));
            let asked = auth_service::rules_in_the_query(url);
            if !asked.is_empty() {
                notes.push(format!(
                    "write in place of {group} what the address said: {}",
                    asked.join(", ")
                ));
            }
            let told = gate.told();
            if !told.is_empty() {
                notes.push(format!(
                    "write in place of {group} what the service was told to decide by, which nothing here \
                     repeats: {}",
                    told.join(", ")
                ));
            }
            if !services.contains(&service) {
                services.push(service);
                notes.extend(service.changes().iter().map(|&change| change.to_owned()));
            }
        }
    }

    /// Says what stays open, and what else protected the rest.
    fn say_open(
        &self,
        ingresses: &[&Ingress],
        locations: &[Location<'i>],
        notes: &mut Vec<String>,
    ) {
        let controller = &self.documents.controller;
        let asks_none = |it: &&Ingress| it.annotation("auth-url").is_none();
        if ingresses.iter().any(asks_none) && controller.global_auth_url().is_some() {
            notes.push(format!(
                "`global-auth-url` of the ConfigMap {} protected it, but what is named open",
                controller.name
            ));
        }
        for location in locations.iter().filter(|it| it.gate.is_none()) {
            notes.push(format!(
                "open as before, without a session: `{}` of {}",
                location.path.text(),
                location.ingress.title()
            ));
        }
    }

    /// Says which classes Traefik has to serve, where they are several.
    fn classes(&self, ingresses: &[&Ingress]) -> Option<String> {
        let classes: BTreeSet<&str> = ingresses.iter().filter_map(|it| it.class()).collect();
        (self.settings.form == Form::Annotations && classes.len() > 1).then(|| {
            let classes: Vec<&str> = classes.into_iter().collect();
            format!(
                "its Ingresses are of the classes {}: Traefik's provider has to serve them all, so that its \
                 `ingressClass` names none, and each IngressClass has its `controllerClass`",
                classes.join(", ")
            )
        })
    }

    /// Says what the entry point or the Gateway needs for TLS.
    fn tls(&self, ingresses: &[&Ingress]) -> Option<String> {
        let mut blocks = ingresses
            .iter()
            .filter_map(|it| Some((it, it.tls_of(self.host)?)));
        let Some((ingress, tls)) = blocks.next() else {
            return (self.settings.form == Form::Crds).then(|| {
                "served at the entry point `web` alone: no Ingress has `tls` for it".to_owned()
            });
        };
        match self.settings.form {
            Form::Annotations => None,
            // Each that says so has its own line: nginx served http too.
            Form::Crds
                if ingress.says_no("ssl-redirect")
                    && blocks.all(|(it, _)| it.says_no("ssl-redirect")) =>
            {
                None
            }
            Form::Crds => Some(
                "ingress-nginx redirected http to https: so does `http.redirections` of Traefik's entry point \
                 `web`"
                    .to_owned(),
            ),
            Form::Gateway => Some(format!(
                "the Gateway needs a listener for https with the certificate of {}, and `--gateway \
                 NAMESPACE/NAME/SECTION` the name of this listener: without it, the routes are at every \
                 listener, that for http too, where ingress-nginx redirects unless told not to",
                match &tls.secret_name {
                    Some(secret) => format!("the Secret {}/{secret}", ingress.own_namespace()),
                    None => "this host".to_owned(),
                }
            )),
        }
    }
}
