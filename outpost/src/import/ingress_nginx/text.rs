//! The text: objects, and what they do not say, in comments.

use serde_json::Value;

use super::documents::Documents;
use super::host_plan::HostPlan;
use super::rules::NO_GROUP;
use super::settings::{Form, Settings};

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Adds lines of comment. What comes from the input ends no comment.
    pub(super) fn comment(&mut self, text: &str) {
        let plain = |c: char| if is_plain(c) { c } else { ' ' };
        let text: String = text.chars().map(plain).collect();
        self.text.push_str("# ");
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Adds a line to a list in a comment.
    pub(super) fn item(&mut self, text: &str) {
        self.comment(&format!("- {text}"));
    }

    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn object(&mut self, object: &Value) -> Result<(), serde_saphyr::SerializeError> {
        self.text.push_str("---\n");
        self.text.push_str(&serde_saphyr::to_string(object)?);
        Ok(())
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Returns whether a character stays on its line in every reader of YAML.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Says what the text is.
pub(super) fn introduction(page: &mut Page, documents: &Documents, settings: &Settings) {
    let (form, provider) = match settings.form {
        Form::Annotations => ("Ingresses", "kubernetesIngressNGINX"),
        Form::Crds => ("IngressRoutes and Middlewares", "kubernetesCRD"),
        Form::Gateway => ("HTTPRoutes and Middlewares", "kubernetesGateway"),
    };
    page.comment(&format!(
        "{form} for Traefik (`providers.{provider}`), printed by `gatepost import`. Ingresses read: {}.",
        documents.ingresses.len()
    ));
    page.comment(
        "Read the comments, then apply it with `kubectl apply -f`. No Secret was read or printed.",
    );
    page.comment("Traefik's entry points must have `http.aliasHeadersStrategy: delete`.");
    if settings.form != Form::Annotations {
        page.comment("Traefik's provider `kubernetesCRD`, which reads the Middlewares, must have `safeNaming: true`.");
    }
    for note in documents.controller.notes() {
        page.item(&format!("ConfigMap: {note}"));
    }
}

/// Names what could not be expressed.
pub(super) fn refused(page: &mut Page, refused: &[String]) {
    if refused.is_empty() {
        return;
    }
    page.gap();
    page.comment("PROTECTED, AND NOT PART OF THIS TEXT:");
    for line in refused {
        page.item(line);
    }
}

/// Names what was left out because it is open.
pub(super) fn skipped(page: &mut Page, skipped: &[String], documents: &Documents) {
    if !skipped.is_empty() || !documents.others.is_empty() {
        page.gap();
        page.comment("Skipped:");
    }
    for line in skipped {
        page.item(line);
    }
    for (kind, count) in &documents.others {
        page.item(&format!("{count} of kind {kind}"));
    }
}

/// Says what the outpost's configuration needs.
pub(super) fn outpost(page: &mut Page, plans: &[HostPlan<'_>]) {
    if plans.is_empty() {
        return;
    }
    page.gap();
    page.comment(
        "The outpost's configuration needs these applications. Ingresses do not say who may enter:",
    );
    page.comment(&format!(
        "until you name your groups in place of {NO_GROUP}, here and in the Middlewares, no user may."
    ));
    page.comment("applications:");
    for plan in plans {
        let host = plan.host;
        page.comment(&format!("  - name: {host}"));
        if plan.https {
            page.comment(&format!("    externalUrl: https://{host}"));
        } else {
            page.comment(&format!(
                "    externalUrl: http://{host}    # https, if TLS ends in front of Traefik"
            ));
        }
        if !plan.rules.is_empty() {
            page.comment("    rules:");
        }
        for rule in &plan.rules {
            page.comment(&format!("      - {}", rule.value()));
        }
        page.comment(&format!("    require: {{ groups: [{NO_GROUP}] }}"));
    }
}
