//! Against a record of what Go's own `regexp` matches.

use regex::Regex;
use serde::Deserialize;

use super::*;

/// What `testdata/authentik/regexp/record.go` writes.
#[derive(Deserialize)]
struct Record {
    subjects: Vec<String>,
    expressions: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    expression: String,
    /// For each subject `1` where Go finds a match, `0` where it finds none; missing where it refuses
    /// the expression.
    #[serde(default)]
    matches: Option<String>,
}

/// What Go accepts and the outpost does not, by a part of the expression. Such an expression lets
/// nothing through.
const STRICTER: [&str; 6] = [
    r"\B",
    r"\p{Greek}",
    r"\p{C",
    r"\pC",
    r"\P{Any}",
    r"\x{D800}",
];

#[test]
fn an_expression_matches_what_it_matches_in_go() {
    let record = include_str!("../../../../../testdata/authentik/regexp/recorded.json");
    let record: Record = serde_json::from_str(record).expect("JSON");
    let (mut compared, mut differences) = (0, Vec::new());
    for Recorded {
        expression,
        matches,
    } in &record.expressions
    {
        let translated = translate(expression);
        let compiled = translated.map(|text| Regex::new(&text));
        match (compiled, matches) {
            (Ok(Ok(regex)), Some(matches)) => {
                let own: String = record
                    .subjects
                    .iter()
                    .map(|subject| if regex.is_match(subject) { '1' } else { '0' })
                    .collect();
                compared += 1;
                if own != *matches {
                    differences.push(format!("{expression:?}: {own} instead of {matches}"));
                }
            }
            (Ok(Ok(regex)), None) => {
                differences.push(format!("{expression:?}: accepted, as {regex}"));
            }
            (refused, Some(_)) => {
                if !STRICTER.iter().any(|part| expression.contains(part)) {
                    differences.push(format!("{expression:?}: refused, {refused:?}"));
                }
            }
            (_, None) => {}
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 1_000, "{compared}");
}

#[test]
fn a_refused_expression_says_why() {
    for (expression, expected) in [
        ("(a", "a `(` without its `)`"),
        ("a**", "two repetitions in a row"),
        (r"\C", r"`\C`, a single byte"),
        (r"\B", r"`\B` is unsupported here"),
        ("(?=a)", "there is no lookaround"),
        ("a{1001}", "more than 1000"),
    ] {
        let refused = translate(expression).expect_err(expression).to_string();
        assert!(refused.contains(expected), "{expression}: {refused}");
    }
}
