//! Reading a configuration from a file and the environment.

use std::path::Path;

use gatepost_policy::config::{Problem, Problems};
use serde_json::{Map, Value};
use serde_saphyr::UserMessageFormatter;

use super::environment;
use super::error::{ConfigError, Finding};
use super::locations::Locations;
use super::read::{self, Extent};
use super::settings::Config;

impl Config {
    /// Reads the file at `path`, if any; `variables` of the environment override it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem.
    pub fn load(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Self::parse("", variables);
        };
        let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        let text = String::from_utf8(bytes).map_err(|error| ConfigError::Syntax {
            path: Some(path.to_path_buf()),
            at: Some(end_of_text(
                error.as_bytes(),
                error.utf8_error().valid_up_to(),
            )),
            message: "a character that is not in UTF-8: save the file in this encoding".to_owned(),
        })?;
        let mut config = Self::parse(&text, variables).map_err(|error| match error {
            ConfigError::Syntax { at, message, .. } => ConfigError::Syntax {
                path: Some(path.to_path_buf()),
                at,
                message,
            },
            ConfigError::Invalid(findings) => ConfigError::Invalid(located(findings, path, &text)),
            error @ ConfigError::Unreadable { .. } => error,
        })?;
        config.files.push(path.to_path_buf());
        Ok(config)
    }

    /// Reads YAML; `variables` of the environment override it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_extent(text, variables, Extent::Everything)
    }

    /// Reads YAML without providers and applications, which come from another source.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem.
    pub fn parse_without_applications(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_extent(text, variables, Extent::WithoutApplications)
    }

    fn parse_extent(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        extent: Extent,
    ) -> Result<Self, ConfigError> {
        let mut value = parse_yaml(text)?;
        let problems = Problems::new();
        environment::overlay(&mut value, variables, &problems);
        let config = read::config(&value, extent, &problems);
        let mut problems = problems.into_vec();
        // Two readers of one key report one problem.
        problems.dedup();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid(
                problems
                    .into_iter()
                    .map(|problem| Finding {
                        problem,
                        location: None,
                    })
                    .collect(),
            )),
        }
    }
}

/// Returns the findings with their lines in the file, in the order of the lines.
fn located(findings: Vec<Finding>, path: &Path, text: &str) -> Vec<Finding> {
    let locations = Locations::of(text);
    let mut findings: Vec<Finding> = findings
        .into_iter()
        .map(|Finding { mut problem, .. }| {
            if let Some(entry) = locations.entry_of_elsewhere(&problem.path) {
                let variables = environment::variable_of_entry(entry);
                problem.message += &format!("; this entry is only in variables {variables}_…");
                return Finding {
                    problem,
                    location: None,
                };
            }
            let line = locations.line_of(&problem.path);
            explain_key(&mut problem);
            Finding {
                location: line.map(|line| (path.to_path_buf(), line)),
                problem,
            }
        })
        .collect();
    findings.sort_by_key(|finding| finding.location.as_ref().map(|(_, line)| *line));
    findings
}

/// Explains a key that is unknown because it begins with what only looks like blanks, as text copied from a
/// page may.
fn explain_key(problem: &mut Problem) {
    let begin = problem.path.rfind('.').map_or(0, |at| at.saturating_add(1));
    let key = problem.path.get(begin..).unwrap_or_default();
    let first = key
        .chars()
        .next()
        .filter(|first| first.is_whitespace() && *first != ' ');
    if let Some(first) = first {
        problem.message = format!("begins with {}: write blanks", no_blank(first));
        problem.path = format!(
            "{}{}",
            problem.path.get(..begin).unwrap_or_default(),
            key.trim()
        );
    }
}

/// Names a character that looks like a blank.
fn no_blank(character: char) -> String {
    match character {
        '\t' => "a tab".to_owned(),
        other => format!(
            "U+{:04X}, which looks like a blank and is none",
            u32::from(other)
        ),
    }
}

fn parse_yaml(text: &str) -> Result<Value, ConfigError> {
    let syntax = |at, message: String| ConfigError::Syntax {
        path: None,
        at,
        message,
    };
    let value: Option<Value> = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map(|place| (place.line(), place.column()));
        if let Some((place, found)) = at.and_then(|(line, _)| no_blank_near(text, line)) {
            let message = format!("{} in the indentation: write blanks", no_blank(found));
            return syntax(Some(place), message);
        }
        let error = error.without_snippet();
        syntax(
            at,
            mistake(&error.render_with_formatter(&UserMessageFormatter)),
        )
    })?;
    match value {
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) => Err(syntax(
            None,
            "expected keys at the top level, like `listen:`".to_owned(),
        )),
        None => Ok(Value::Object(Map::new())),
    }
}

/// Returns line and column of what follows so many bytes of a file that are text.
fn end_of_text(bytes: &[u8], length: usize) -> (u64, u64) {
    let text = bytes.get(..length).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let line = text.bytes().filter(|byte| *byte == b'\n').count();
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).saturating_add(1);
    (number(line), number(column))
}

/// Returns line and column of a tab, or of a no-break space and its like, that indents the line of a mistake,
/// the one before or the one after it: the parser sees it only where the line before it ends.
fn no_blank_near(text: &str, line: u64) -> Option<((u64, u64), char)> {
    (1..)
        .zip(text.lines())
        .filter(|(number, _)| (line.saturating_sub(1)..=line + 1).contains(number))
        .find_map(|(number, text)| {
            let mut indentation = (1..).zip(text.chars().take_while(|c| c.is_whitespace()));
            let (column, found) = indentation.find(|(_, c)| *c != ' ')?;
            Some(((number, column), found))
        })
}

/// Returns the parser's message without the place, which [`ConfigError`] says. Its full report quotes the
/// lines around the mistake, which may hold a secret.
fn mistake(report: &str) -> String {
    let first = report.lines().next().unwrap_or("unreadable");
    let said = first
        .split_once(" at line ")
        .map_or(first, |(said, _)| said);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let indentation = "see how far this line and the one before are indented: by blanks, not tabs";
    // By an indentation, or by a value with a colon and a blank in it.
    if has(&["mapping values"]) {
        format!("{said} ({indentation}; and quote a value that has `: ` in it)")
    } else if has(&["unexpected character"]) {
        format!("{said} (quote a value that begins with `@`, `%` or another sign of YAML's)")
    } else if has(&["indent", "tab", "block"]) {
        // These come from lines that begin too far to the left or right.
        format!("{said} ({indentation})")
    } else {
        said.to_owned()
    }
}
