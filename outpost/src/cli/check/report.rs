//! What `gatepost check` finds, and how it is shown.

use serde::Serialize;

/// Everything that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    subject: Subject,
    message: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// A fact for the operator.
    Note,
    /// It works, and the operator may not want it.
    Warning,
    /// Does not work.
    Failure,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "camelCase")]
pub(super) enum Subject {
    /// The signing keys.
    Keys,
    /// The addresses that the outpost listens on.
    Listen,
    /// The session store.
    Store,
    /// The folder that plugins read.
    StateDir,
    /// The list of revoked sessions that plugins read.
    RevokedFile,
    /// The limit on a client's requests.
    RateLimit,
    /// Traefik, which is not visible from here.
    Traefik,
    /// The provider of that name.
    Provider(String),
    /// The application of that name.
    Application(String),
    /// The configuration as a whole.
    Configuration,
    /// The path from a URL of an application to the provider.
    LoginPath,
    /// The outpost that runs.
    Running,
}

impl Subject {
    /// Returns the label of the subject's lines.
    fn label(&self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Listen => "listen",
            Self::Store => "store",
            Self::StateDir => "stateDir",
            Self::RevokedFile => "revokedFile",
            Self::RateLimit => "rateLimit",
            Self::Traefik => "traefik",
            Self::Provider(_) => "provider",
            Self::Application(_) => "application",
            Self::Configuration => "config",
            Self::LoginPath => "login path",
            Self::Running => "running",
        }
    }
}

impl Report {
    /// Adds a fact.
    pub(super) fn note(&mut self, subject: &Subject, message: impl Into<String>) {
        self.add(Severity::Note, subject, message);
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, subject: &Subject, message: impl Into<String>) {
        self.add(Severity::Warning, subject, message);
    }

    /// Adds a failure, with which the command fails.
    pub(super) fn failure(&mut self, subject: &Subject, message: impl Into<String>) {
        self.add(Severity::Failure, subject, message);
    }

    /// Adds a finding.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        subject: &Subject,
        message: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            subject: subject.clone(),
            message: message.into(),
        });
    }

    /// Returns whether there is no failure.
    pub(super) fn is_ok(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.all(|finding| finding.severity != Severity::Failure)
    }

    /// Returns the report as text: a line for each finding, under the label of its subject.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut before = None;
        for finding in &self.findings {
            let continues = before == Some(&finding.subject);
            let label = match finding.severity {
                Severity::Warning => "warning",
                Severity::Note | Severity::Failure if continues => "",
                Severity::Note | Severity::Failure => finding.subject.label(),
            };
            let prefix = match finding.severity {
                Severity::Failure => "FAILED: ",
                Severity::Note | Severity::Warning => "",
            };
            text.push_str(&format!("{label:<12} {prefix}{}\n", finding.message));
            before = Some(&finding.subject);
        }
        text.push_str(if self.is_ok() {
            "ok"
        } else {
            "not ok: see above"
        });
        text
    }

    /// Returns the report as JSON: `ok`, and `findings` with `severity`, `subject` and `message`.
    pub(super) fn json(&self) -> String {
        serde_json::json!({"ok": self.is_ok(), "findings": self.findings}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let provider = Subject::Provider("main".to_owned());
        report.note(&Subject::Keys, "`a` signs");
        report.note(&provider, "main (https://id.example.com)");
        report.failure(&provider, "cannot reach it");
        report.warning(&Subject::Configuration, "`store.kind: memory`");
        report
    }

    #[test]
    fn a_subject_is_named_once_and_a_failure_decides() {
        assert_eq!(
            report().text(),
            "keys         `a` signs\n\
             provider     main (https://id.example.com)\n             \
             FAILED: cannot reach it\n\
             warning      `store.kind: memory`\n\
             not ok: see above"
        );
        assert!(Report::default().is_ok());
        assert_eq!(Report::default().text(), "ok");
    }

    #[test]
    fn json_has_a_field_for_each_part_of_a_finding() {
        let read: serde_json::Value = serde_json::from_str(&report().json()).expect("JSON");
        assert_eq!(read["ok"], false);
        assert_eq!(
            read["findings"][2],
            serde_json::json!({
                "severity": "failure",
                "subject": {"kind": "provider", "name": "main"},
                "message": "cannot reach it",
            })
        );
        assert_eq!(read["findings"][3]["subject"]["kind"], "configuration");
    }
}
