//! Further names of a host (`server-alias`).

use super::super::competitors::competes;
use super::super::ingress::Ingress;
use super::super::settings::Form;
use super::{Builder, is_name};

impl<'i> Builder<'_, 'i> {
    /// Returns the further names that get the host's routes, and says why others do not.
    pub(super) fn aliases(&mut self, ingresses: &[&'i Ingress]) -> Vec<&'i str> {
        let mut aliases: Vec<&str> = Vec::new();
        if self.settings.form == Form::Annotations {
            return aliases;
        }
        for alias in ingresses.iter().flat_map(|it| it.aliases()) {
            if alias == self.host || aliases.contains(&alias) {
                continue;
            }
            match self.why_no_alias(alias) {
                None => aliases.push(alias),
                Some(reason) => self.notes.push(format!(
                    "server-alias: NOT taken over: `{alias}` {reason}: this name gets no route here, and 404. \
                     Give it rules of its own"
                )),
            }
        }
        aliases
    }

    fn why_no_alias(&self, alias: &str) -> Option<String> {
        if !is_name(alias) {
            return Some("is not the name of one host".to_owned());
        }
        let others = self.documents.ingresses.iter();
        for other in others {
            if other.has_host(alias) {
                return Some(format!(
                    "is a host of {}, which comes before an alias",
                    other.title()
                ));
            }
            let has_it = other.aliases().any(|own| own == alias);
            if has_it && !other.hosts().all(|host| host == self.host) {
                return Some(format!(
                    "is an alias of another host in {} too",
                    other.title()
                ));
            }
            // Routes of Traefik's own come first.
            let reason = competes(other, alias, self.sorted);
            if let (Form::Gateway, Some(reason)) = (self.settings.form, reason) {
                return Some(format!("meets {}: {reason}", other.title()));
            }
        }
        None
    }
}
