//! The commented example of every key.

use super::*;
use crate::config::reference;
use crate::origin::Mode;
use crate::session_times::SessionTimes;

const EXAMPLE: &str = include_str!("../../../../deploy/outpost/gatepost.yaml");

/// Returns the paths of all keys.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    reference::keys().map(|key| key.path)
}

/// Reads the example as an operator uses it: with a key that is not published.
fn with_own_key(example: &str) -> Result<Config, ConfigError> {
    Config::parse(example, [("GATEPOST_KEYS".to_owned(), KEY.to_owned())])
}

#[test]
fn the_key_of_the_example_is_its_only_problem() {
    let problems = problems(EXAMPLE, &[]);
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    let expected = "keys: key `test-only` is published in Gatepost's documentation";
    assert!(problem.starts_with(expected), "{problem}");
}

#[test]
fn the_commented_example_is_a_configuration() {
    let config = with_own_key(EXAMPLE).expect("the example");
    assert_eq!(
        config.session,
        SessionTimes {
            token_age: 0,
            window: 900,
            renew_after: 300,
            prove_after: 600,
            refresh_after: 600,
            grace: 86_400,
            idle: 28_800,
            lifetime: 86_400
        }
    );
    let [wiki, intranet] = &config.applications[..] else {
        panic!("two applications")
    };
    assert_eq!(wiki.cookie_name.as_str(), "__Host-gatepost");
    assert_eq!(intranet.cookie_name.as_str(), "__Secure-gatepost");
    assert!(matches!(&intranet.mode, Mode::Domain(domain) if domain.as_str() == "example.org"));
    assert_eq!(
        config.providers[0].scopes.len(),
        2,
        "`openid` is always asked for"
    );
}

#[test]
fn the_example_names_every_key_and_its_defaults_are_right() {
    for key in keys() {
        let last = key
            .trim_end_matches("{}")
            .rsplit('.')
            .next()
            .expect("a word");
        // The long forms of a rule are the reference's.
        let long_rule =
            key.contains("require.") && !key.ends_with("groups") && !key.ends_with("deviceBound");
        assert!(
            long_rule || EXAMPLE.contains(&format!("{last}:")) || EXAMPLE.contains(last),
            "{key}"
        );
    }
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            // Examples of other ways stay commented out.
            Some(rest) if rest.contains(':') && is_setting(rest) => {
                let indent = line.len() - line.trim_start().len();
                format!("{}{rest}\n", " ".repeat(indent))
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let with_defaults = with_own_key(&uncommented).expect("the defaults are accepted");
    let plain = with_own_key(EXAMPLE).expect("the example");
    assert_eq!(with_defaults.log, plain.log);
    assert_eq!(with_defaults.store, plain.store);
    assert_eq!(
        with_defaults.applications[0].prefix,
        plain.applications[0].prefix
    );
    assert_eq!(
        with_defaults.applications[0].cookie_name,
        plain.applications[0].cookie_name
    );
    assert_eq!(
        with_defaults.providers[0].sign_out,
        plain.providers[0].sign_out
    );
}

/// Returns whether a commented line of the example is a key with its default.
fn is_setting(text: &str) -> bool {
    let Some((key, _)) = text.trim_start().split_once(':') else {
        return false;
    };
    let file = matches!(
        key,
        "keysFile"
            | "caFile"
            | "providers"
            | "clientAuthentication"
            | "tls"
            | "tracing"
            | "logoFile"
            | "templates"
            // They need a file with keys.
            | "assertionKeysFile"
            | "assertion"
            | "algorithm"
            | "header"
            | "claims"
    );
    let known = keys().any(|known| known.split(['.', '[', ']', '{']).any(|word| word == key));
    known && !file
}
