//! What of each application is open to every client, so that an operator sees it in one place.

use gatepost_policy::Rule;

use super::report::{Report, Subject};
use crate::application::ApplicationSettings;
use crate::config::Config;

/// Adds the paths and the rules that open something, and warns where they open everything.
pub(super) fn check(config: &Config, report: &mut Report) {
    for application in &config.applications {
        check_one(application, report);
    }
}

fn check_one(application: &ApplicationSettings, report: &mut Report) {
    let name = application.audience.to_string();
    let subject = Subject::Application(name.clone());
    let policy = &application.policy;
    let rules = policy.rules.opening().map(label);
    let rules = rules.map(|label| format!("what rule {label} says"));
    let open: Vec<String> = policy.public.texts().chain(rules).collect();
    if !open.is_empty() {
        let open = open.join(", ");
        report.note(&subject, format!("open without a session: {open}"));
    }
    let by = if policy.public.are_all() {
        Some("`public`".to_owned())
    } else {
        let mut rules = policy.rules.opening();
        let rule = rules.find(|(_, rule)| rule.is_for_everything());
        rule.map(|rule| format!("rule {}", label(rule)))
    };
    if let Some(by) = by {
        report.warning(
            &subject,
            format!(
                "{name}: {by} opens every path to every client: no user has to sign in, and \
                 `require` keeps nobody out"
            ),
        );
    }
}

/// Returns the name of a rule, or its number from 1.
fn label((at, rule): (usize, &Rule)) -> String {
    rule.name()
        .map_or_else(|| (at + 1).to_string(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::config;

    fn said(application: &str) -> String {
        let mut report = Report::default();
        check(&config(application), &mut report);
        report.text()
    }

    #[test]
    fn an_operator_reads_what_is_open() {
        for (application, note, warning) in [
            ("", "ok", ""),
            (
                ", public: [/static/*, GET=/hook]",
                "open without a session: /static/*, GET=/hook\n",
                "",
            ),
            (", public: '/a, /b'", "open without a session: /a, /b\n", ""),
            (
                ", rules: [{paths: [/x], deny: true}, {name: health, paths: [/healthz], public: \
                 true}, {paths: ['/*'], methods: [GET], public: true}]",
                "open without a session: what rule `health` says, what rule 3 says\n",
                "",
            ),
            (
                ", rules: [{name: health, paths: [/healthz], public: ' True'}]",
                "open without a session: what rule `health` says\n",
                "",
            ),
            (
                ", rules: '[{\"Name\": \"all\", \"Paths\": [\"/*\"], \"PUBLIC\": true}]'",
                "open without a session: what rule `all` says\n",
                "wiki: rule `all` opens every path to every client",
            ),
            (
                ", public: [/x, '/*']",
                "open without a session: /x, /*\n",
                "wiki: `public` opens every path to every client",
            ),
            (
                ", rules: [{name: all, paths: ['/*'], public: true}]",
                "open without a session: what rule `all` says\n",
                "wiki: rule `all` opens every path to every client",
            ),
        ] {
            let text = said(application);
            assert!(text.contains(note), "{application}: {text}");
            assert!(text.contains(warning), "{application}: {text}");
            assert_eq!(text.contains("warning"), !warning.is_empty(), "{text}");
        }
    }
}
