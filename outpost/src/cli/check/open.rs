//! What of each application is open to every client, so that an operator sees it in one place.

use gatepost_policy::PublicPaths;
use serde_json::Value;

use super::report::{Report, Subject};
use crate::application::ApplicationSettings;
use crate::config::Config;

/// The pattern of every path.
const EVERYTHING: &str = "/*";

/// Adds the paths and the rules that open something, and warns where they open everything.
pub(super) fn check(config: &Config, report: &mut Report) {
    for application in &config.applications {
        check_one(application, report);
    }
}

fn check_one(application: &ApplicationSettings, report: &mut Report) {
    let name = application.audience.to_string();
    let subject = Subject::Application(name.clone());
    let rules = opening_rules(application);
    let mut open = texts(application.shared.get("public"));
    open.extend(
        rules
            .iter()
            .map(|rule| format!("what rule {} says", rule.label)),
    );
    if !open.is_empty() {
        let open = open.join(", ");
        report.note(&subject, format!("open without a session: {open}"));
    }
    let everything = PublicPaths::parse([EVERYTHING]).unwrap_or_default();
    let public = &application.policy.public;
    let by = if !public.is_empty() && public.covers(&everything) {
        Some("`public`".to_owned())
    } else {
        let mut rules = rules.iter().filter(|rule| rule.opens_everything);
        rules.next().map(|rule| format!("rule {}", rule.label))
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

/// A rule with `public: true`.
struct OpeningRule {
    /// Its name, or its number from 1.
    label: String,
    /// Whether it is for every request.
    opens_everything: bool,
}

fn opening_rules(application: &ApplicationSettings) -> Vec<OpeningRule> {
    let rules = application.shared.get("rules").and_then(Value::as_array);
    let rules = rules.into_iter().flatten().enumerate();
    let open = rules.filter(|(_, rule)| {
        // Labels and variables have a flag as its text.
        let public = rule.get("public");
        public.is_some_and(|flag| {
            let text = flag.as_str().unwrap_or_default();
            *flag == true || text.trim().eq_ignore_ascii_case("true")
        })
    });
    open.map(|(at, rule)| {
        let name = rule.get("name").and_then(Value::as_str);
        let is_for_some = ["methods", "networks"]
            .iter()
            .any(|key| rule.get(key).is_some());
        let everywhere = texts(rule.get("paths")).iter().any(|own| own == EVERYTHING);
        OpeningRule {
            label: name.map_or_else(|| (at + 1).to_string(), |name| format!("`{name}`")),
            opens_everything: everywhere && !is_for_some,
        }
    })
    .collect()
}

/// Returns the entries of a list, or of a text with commas.
fn texts(list: Option<&Value>) -> Vec<String> {
    match list {
        Some(Value::Array(entries)) => {
            let texts = entries.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        Some(Value::String(text)) => {
            let texts = text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty());
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
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
