//! Reading a configuration from a file and the environment.

use std::path::Path;

use gatepost_policy::config::Problems;
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
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
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
            Finding {
                location: locations
                    .line_of(&problem.path)
                    .map(|line| (path.to_path_buf(), line)),
                problem,
            }
        })
        .collect();
    findings.sort_by_key(|finding| finding.location.as_ref().map(|(_, line)| *line));
    findings
}

fn parse_yaml(text: &str) -> Result<Value, ConfigError> {
    let syntax = |at, message: String| ConfigError::Syntax {
        path: None,
        at,
        message,
    };
    let value: Option<Value> = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map(|place| (place.line(), place.column()));
        if let Some(tab) = at.and_then(|(line, _)| tab_near(text, line)) {
            let message = "a tab in the indentation: write blanks".to_owned();
            return syntax(Some(tab), message);
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

/// Returns line and column of a tab that indents the line of a mistake, the one before or the one after
/// it: the parser sees a tab only where the line before it ends.
fn tab_near(text: &str, line: u64) -> Option<(u64, u64)> {
    (1..)
        .zip(text.lines())
        .filter(|(number, _)| (line.saturating_sub(1)..=line + 1).contains(number))
        .find_map(|(number, text)| {
            let mut indentation = (1..).zip(text.chars().take_while(|c| c.is_whitespace()));
            let (column, _) = indentation.find(|(_, c)| *c == '\t')?;
            Some((number, column))
        })
}

/// Returns the parser's message without the place, which [`ConfigError`] says. Its full report quotes the
/// lines around the mistake, which may hold a secret.
fn mistake(report: &str) -> String {
    let first = report.lines().next().unwrap_or("unreadable");
    let said = first
        .split_once(" at line ")
        .map_or(first, |(said, _)| said);
    // These come from lines that begin too far to the left or right.
    let is_indentation = ["indent", "tab", "block", "mapping values"]
        .iter()
        .any(|word| said.contains(word));
    if !is_indentation {
        return said.to_owned();
    }
    format!("{said} (see how far this line and the one before are indented: by blanks, not tabs)")
}
