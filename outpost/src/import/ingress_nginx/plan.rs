//! What becomes of the hosts: each is printed wholly, or not at all.

use std::collections::BTreeMap;

use super::annotations;
use super::documents::Documents;
use super::host;
use super::host_plan::{HostPlan, Sorted, Verdict};
use super::ingress::Ingress;
use super::protection;
use super::settings::{Form, Settings};

/// What becomes of the documents.
#[derive(Debug, Default)]
pub(super) struct Outcome<'i> {
    pub(super) plans: Vec<HostPlan<'i>>,
    /// What is protected and cannot be expressed, one line for each reason.
    pub(super) refused: Vec<String>,
    /// What was left out because it is open, or another controller's.
    pub(super) skipped: Vec<String>,
}

/// Returns what becomes of all hosts.
pub(super) fn of<'i>(documents: &'i Documents, settings: &Settings) -> Outcome<'i> {
    let mut outcome = Outcome::default();
    let sorted = sorted(documents, settings, &mut outcome);
    let mut everywhere = documents.controller.refusals();
    everywhere.extend(several_controllers(documents, settings));
    if !everywhere.is_empty() {
        outcome.refused.extend(everywhere);
        return outcome;
    }
    let mut verdicts: Verdicts<'_> = Vec::new();
    for ingress in &sorted.own {
        for name in ingress.hosts() {
            if !verdicts.iter().any(|(known, _)| *known == name) {
                verdicts.push((name, host::verdict(name, &sorted, documents, settings)));
            }
        }
    }
    outcome.add_without_a_host(&sorted, documents);
    for canary in &sorted.canaries {
        let is_known = |host: &str| verdicts.iter().any(|(known, _)| *known == host);
        if !canary.hosts().any(is_known) {
            outcome.refused.push(format!(
                "{}: a `canary` of a host that no other Ingress here has",
                canary.title()
            ));
        }
    }
    if settings.form == Form::Annotations {
        share(&mut verdicts);
    }
    outcome.add(verdicts, &sorted);
    outcome
}

/// Returns why the classes of an import are not those of one controller, as far as the documents say.
/// The settings of one ConfigMap hold for one controller alone, and another one's may protect more.
fn several_controllers(documents: &Documents, settings: &Settings) -> Option<String> {
    let unknown = |class: &&String| !documents.classes.contains_key(*class);
    if settings.classes.len() > 1
        && let Some(class) = settings.classes.iter().find(unknown)
    {
        return Some(format!(
            "no document says which controller the class `{class}` is of, and the settings of another one \
             may protect more: add the output of `kubectl get ingressclass -o yaml`, or import one class at a \
             time"
        ));
    }
    let controller = |class: &String| documents.classes.get_key_value(class);
    let known: Vec<(&String, &String)> = settings.classes.iter().filter_map(controller).collect();
    let (first, rest) = known.split_first()?;
    let other = rest.iter().find(|it| it.1 != first.1)?;
    Some(format!(
        "the classes `{}` ({}) and `{}` ({}) are of two controllers, each with a ConfigMap of its own: import \
         each by itself",
        first.0, first.1, other.0, other.1
    ))
}

/// What becomes of each host.
type Verdicts<'i> = Vec<(&'i str, Verdict<'i>)>;

impl<'i> Outcome<'i> {
    fn add_without_a_host(&mut self, sorted: &Sorted<'i>, documents: &Documents) {
        for ingress in sorted.own.iter().filter(|it| it.hosts().next().is_none()) {
            let title = ingress.title();
            let protection =
                annotations::protective(ingress).or_else(|| protection::guard(ingress, documents));
            if protection.is_some() {
                self.refused.push(format!(
                    "{title}: it is protected, and has no rule with a host and a path"
                ));
            } else {
                self.skipped.push(format!("{title}: open, without a host"));
            }
        }
    }

    fn add(&mut self, verdicts: Verdicts<'i>, sorted: &Sorted<'i>) {
        let mut open: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, verdict) in verdicts {
            let shown = if name.is_empty() {
                "rules without a host"
            } else {
                name
            };
            match verdict {
                Verdict::Print(plan) => self.plans.extend(plan.with_aliases()),
                Verdict::Refused(reasons) => {
                    let lines = reasons.iter().map(|reason| format!("{shown}: {reason}"));
                    self.refused.extend(lines);
                }
                Verdict::Open => {
                    let has_it = |it: &&&Ingress| it.has_host(name);
                    for ingress in sorted.own.iter().filter(has_it) {
                        open.entry(ingress.title()).or_default().push(shown);
                    }
                }
            }
        }
        for (title, hosts) in open {
            self.skipped.push(format!(
                "{title}: open: nothing protects {}",
                hosts.join(", ")
            ));
        }
    }
}

fn sorted<'i>(
    documents: &'i Documents,
    settings: &Settings,
    outcome: &mut Outcome<'i>,
) -> Sorted<'i> {
    let mut sorted = Sorted::default();
    for ingress in &documents.ingresses {
        let title = ingress.title();
        if !settings.has_class(ingress.class()) {
            sorted.foreign.push(ingress);
            let never_taken_over = annotations::protective(ingress);
            let is_protected =
                never_taken_over.is_some() || protection::guard(ingress, documents).is_some();
            if let Some(class) = ingress.class() {
                outcome.skipped.push(format!(
                    "{title}: of the class `{class}`: `--class` names the classes of this import"
                ));
            } else if is_protected {
                outcome.refused.push(format!(
                    "{title}: it is protected and names no class, so that neither ingress-nginx nor Traefik \
                     serves it unless told to: write `ingressClassName: {}`, or remove it",
                    settings.classes.first().map_or("", String::as_str)
                ));
            } else {
                outcome.skipped.push(format!("{title}: it names no class"));
            }
        } else if ingress.is_of_cert_manager() {
            sorted.foreign.push(ingress);
            outcome.skipped.push(format!(
                "{title}: cert-manager removes it when it has the certificate"
            ));
        } else if ingress.says_yes("canary") {
            sorted.canaries.push(ingress);
        } else {
            sorted.own.push(ingress);
        }
    }
    sorted
}

/// Of an Ingress, all hosts are printed or none: the same annotations hold for them.
fn share(verdicts: &mut Verdicts<'_>) {
    loop {
        let mut change = None;
        for (at, (_, verdict)) in verdicts.iter().enumerate() {
            let Verdict::Print(plan) = verdict else {
                continue;
            };
            for ingress in plan.printed() {
                for name in ingress.hosts() {
                    let other = verdicts.iter().find(|(known, _)| *known == name);
                    let title = ingress.title();
                    let refusal = match other.map(|(_, verdict)| verdict) {
                        Some(Verdict::Print(_)) => continue,
                        Some(Verdict::Open) if host::is_name(name) => {
                            change = Some(Change::Join(name, ingress));
                            break;
                        }
                        _ => format!(
                            "{title}: it has {} too, and its annotations hold for both: make two of it",
                            if name.is_empty() {
                                "a rule without a host"
                            } else {
                                name
                            }
                        ),
                    };
                    change = Some(Change::Refuse(at, refusal));
                }
            }
        }
        match change {
            None => return,
            Some(Change::Join(name, ingress)) => {
                if let Some((_, verdict)) = verdicts.iter_mut().find(|(known, _)| *known == name) {
                    *verdict = Verdict::Print(Box::new(HostPlan::open(name, ingress)));
                }
            }
            Some(Change::Refuse(at, reason)) => {
                if let Some((_, verdict)) = verdicts.get_mut(at) {
                    *verdict = Verdict::Refused(vec![reason]);
                }
            }
        }
    }
}

enum Change<'i> {
    /// A host that is open becomes an application that is open.
    Join(&'i str, &'i Ingress),
    Refuse(usize, String),
}
