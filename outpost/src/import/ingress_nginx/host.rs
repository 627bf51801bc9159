//! What becomes of a host: all of its paths are behind Gatepost, which decides by the path.

mod aliases;
mod beside;
mod notes;
mod paths;

use super::addresses;
use super::annotations;
use super::documents::Documents;
use super::gate::Gate;
use super::headers;
use super::host_plan::{HostPlan, Sorted, Verdict};
use super::ingress::Ingress;
use super::protection::{self, by_passwords, guard};
use super::rules;
use super::settings::{Form, Settings};

/// Returns whether a text is the name of one host.
pub(super) fn is_name(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    !host.is_empty() && host.chars().all(plain)
}

/// Returns what becomes of a host.
pub(super) fn verdict<'i>(
    host: &'i str,
    sorted: &Sorted<'i>,
    documents: &'i Documents,
    settings: &Settings,
) -> Verdict<'i> {
    let of_host = |it: &&&Ingress| it.has_host(host);
    let ingresses: Vec<&Ingress> = sorted.own.iter().filter(of_host).copied().collect();
    let canaries: Vec<&Ingress> = sorted.canaries.iter().filter(of_host).copied().collect();
    let mut builder = Builder {
        host,
        sorted,
        documents,
        settings,
        reasons: Vec::new(),
        notes: Vec::new(),
        gates: Vec::new(),
    };
    if !builder.is_guarded(&ingresses, &canaries) {
        return Verdict::Open;
    }
    if builder.gates.is_empty() && builder.reasons.is_empty() {
        return Verdict::Refused(vec![
            "some addresses may ask (`allowlist-source-range`, `whitelist-source-range`), and no service \
             is asked: this import prints nothing for such a host. Keep it, with Traefik's provider for \
             these annotations, or write a Middleware `ipAllowList`"
                .to_owned(),
        ]);
    }
    builder.reasons.extend(unfit_name(host));
    builder.check_ingresses(&ingresses, &canaries);
    builder.check_competitors();
    let locations = builder.locations(&ingresses);
    if !builder.reasons.is_empty() {
        return Verdict::Refused(builder.reasons);
    }
    builder.check_together(&locations, &canaries);
    let aliases = builder.aliases(&ingresses);
    let rules = rules::of(&locations).unwrap_or_else(|reason| {
        builder.reasons.push(reason);
        Vec::new()
    });
    if !builder.reasons.is_empty() {
        return Verdict::Refused(builder.reasons);
    }
    let mut notes = builder.into_notes(&ingresses, &canaries, &locations);
    let unknown_headers = headers::unknown(&ingresses, &documents.controller);
    if !unknown_headers.is_empty() {
        notes.push(format!(
            "auth-response-headers: Gatepost does not set {}; what a client sends under these names is \
             removed, on every path of the host",
            unknown_headers.join(", ")
        ));
    }
    Verdict::Print(Box::new(HostPlan {
        host,
        named: host,
        aliases,
        https: ingresses.iter().any(|it| it.tls_of(host).is_some()),
        locations,
        rules,
        unknown_headers,
        notes,
        joined: None,
    }))
}

fn unfit_name(host: &str) -> Option<String> {
    if host.is_empty() {
        return Some("an application of Gatepost has a host name".to_owned());
    }
    if let Some(domain) = host.strip_prefix("*.") {
        return Some(format!(
            "many hosts: they are one application with `mode: domain` and `cookieDomain: {domain}`, whose \
             routes are written by hand"
        ));
    }
    (!is_name(host)).then(|| "it is not a host name".to_owned())
}

struct Builder<'b, 'i> {
    host: &'i str,
    sorted: &'b Sorted<'i>,
    documents: &'i Documents,
    settings: &'b Settings,
    /// Why the host cannot be expressed.
    reasons: Vec<String>,
    /// What to know where it is.
    notes: Vec<String>,
    /// What decides.
    gates: Vec<Gate<'i>>,
}

impl<'i> Builder<'_, 'i> {
    /// Returns whether anything protects the host, and finds out which services do.
    fn is_guarded(&mut self, ingresses: &[&'i Ingress], canaries: &[&Ingress]) -> bool {
        for ingress in ingresses.iter().chain(canaries) {
            if let Some(reason) = annotations::protective(ingress) {
                self.refuse(ingress, &reason);
            }
        }
        let mut is_guarded = !self.reasons.is_empty();
        for ingress in ingresses {
            is_guarded |= guard(ingress, self.documents).is_some();
            self.add_gate(ingress);
        }
        is_guarded
    }

    /// Adds the service that protects an Ingress, and checks what else does.
    fn add_gate(&mut self, ingress: &'i Ingress) {
        let gate = Gate::of(ingress, self.documents).unwrap_or_else(|reason| {
            self.refuse(ingress, &reason);
            None
        });
        if let Some(gate) = gate
            && !self.gates.contains(&gate)
        {
            self.gates.push(gate);
        }
        if let Some(kind) = ingress.set("auth-type")
            && let Some(reason) = by_passwords(kind, gate.is_some(), self.settings)
        {
            self.refuse(ingress, &reason);
        }
        match addresses::of_ingress(ingress, &self.documents.controller) {
            Ok(addresses) => {
                if let Some(reason) = gate.and_then(|_| protection::by_any(ingress, &addresses)) {
                    self.refuse(ingress, &reason);
                }
            }
            Err(reason) => self.refuse(ingress, &reason),
        }
    }

    fn refuse(&mut self, ingress: &Ingress, reason: &str) {
        self.reasons.push(format!("{}: {reason}", ingress.title()));
    }

    fn check_ingresses(&mut self, ingresses: &[&Ingress], canaries: &[&Ingress]) {
        let form = self.settings.form;
        for ingress in ingresses {
            if let Some(reason) = annotations::inexpressible(ingress, form) {
                self.refuse(ingress, &reason);
            }
        }
        for canary in canaries {
            let value = canary.annotation("canary").unwrap_or_default();
            let reason = if form != Form::Annotations {
                "`canary` is a share of another Ingress's requests: `--to traefik-annotations` keeps it, or \
                 remove it, and give the other route's Services weights"
            } else if !value.eq_ignore_ascii_case("true") {
                "Traefik takes `canary` for set only where it is `true`, and would serve this Ingress as any \
                 other: write `true`"
            } else {
                continue;
            };
            self.refuse(canary, reason);
        }
    }
}
