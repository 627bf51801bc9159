//! Configuration from environment variables: every key of the file has one.
//!
//! A variable's name is `GATEPOST_` and the key's path in capitals, words and levels apart by `_`,
//! entries of a list counted from 0: `applications[0].externalUrl` is
//! `GATEPOST_APPLICATIONS_0_EXTERNAL_URL`. A variable overrides the file. Lists are written with
//! commas, and so are the texts of a section whose keys are free (`X-Department=department,…`).

use gatepost_policy::config::Problems;
use serde_json::{Map, Value};

use super::reference::keys;

/// The prefix of the name of every variable.
pub const PREFIX: &str = "GATEPOST_";

/// Names the configuration file itself, so it is not a key of the file.
pub const CONFIG_FILE: &str = "GATEPOST_CONFIG";

/// Variables of OpenTelemetry that set a key, so that an operator names a collector once for all
/// programs. Gatepost's own variable of the same key wins, and among these the more specific one.
const STANDARD: [(&str, &str); 2] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tracing.endpoint"),
];

/// Returns the variables of the process's environment that are text.
pub fn process_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Returns whether a variable of that name may set a key.
pub fn is_read(name: &str) -> bool {
    name.starts_with(PREFIX) || STANDARD.iter().any(|(standard, _)| *standard == name)
}

/// A step from a section to one of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(&'static str),
    Entry(usize),
}

/// Lays the variables that begin with [`PREFIX`] over `value`.
///
/// An empty variable counts as absent, since container tools set variables without a value to the
/// empty text. It does not where absence admits every user (`narrows`): there it is an empty list,
/// and an error.
pub fn overlay(
    value: &mut Value,
    variables: impl IntoIterator<Item = (String, String)>,
    problems: &Problems,
) {
    let (mut ours, standard): (Vec<_>, Vec<_>) = variables
        .into_iter()
        .filter(|(name, _)| is_read(name) && name != CONFIG_FILE)
        .partition(|(name, _)| name.starts_with(PREFIX));
    for (name, key) in STANDARD {
        if let Some((_, text)) = standard.iter().find(|(given, _)| given == name)
            && !text.is_empty()
            && let Err(message) = set(value, &steps(key, &[]), Value::String(text.clone()))
        {
            problems.add(name, message);
        }
    }
    // In order of their lists' indices, so that each list grows without gaps. By length first:
    // `_10_` comes after `_9_`.
    ours.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    ours.sort_by_key(|(name, _)| indices_of(name));
    for (name, text) in ours {
        match find(&name) {
            Some((steps, _)) if text.is_empty() && !narrows(&steps) => {}
            None if text.is_empty() => {}
            Some((steps, free_keys)) => {
                let text = if free_keys {
                    texts(&text)
                } else {
                    Value::String(text)
                };
                if let Err(message) = set(value, &steps, text) {
                    problems.add(name, message);
                }
            }
            None if is_service_link(&name, &text) => {}
            None => problems.add(name.as_str(), unknown(&name)),
        }
    }
}

/// Returns whether a key restricts who may pass, so that more users may pass without it.
fn narrows(steps: &[Step]) -> bool {
    let narrowing = [Step::Key("require"), Step::Key("clients")];
    steps.iter().any(|step| narrowing.contains(step))
}

/// Returns whether Kubernetes or Docker set the variable to describe a service called `gatepost…`:
/// they do so in every container that can reach the service.
fn is_service_link(name: &str, text: &str) -> bool {
    let names_protocol = name.contains("_TCP") || name.contains("_UDP");
    let is_address = text.starts_with("tcp://") || text.starts_with("udp://");
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT") && (names_protocol || is_address))
}

/// Returns the numbers in a variable's name.
fn indices_of(name: &str) -> Vec<usize> {
    name.split('_')
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Returns the environment variable of a key, with `0` for each entry of a list.
pub fn variable_of(key: &str) -> String {
    let words: Vec<String> = words_of(key)
        .into_iter()
        .map(|word| word.unwrap_or("0".into()))
        .collect();
    format!("{PREFIX}{}", words.join("_"))
}

/// Returns the beginning of the names of the variables for an entry of a list, like `providers[1]`.
pub(super) fn variable_of_entry(entry: &str) -> String {
    let mut name = PREFIX.trim_end_matches('_').to_owned();
    for level in entry.split('.') {
        let (key, index) = level.split_once('[').unwrap_or((level, ""));
        let words = words_of(key).into_iter().flatten();
        let index = index.trim_end_matches(']').to_owned();
        for word in words.chain([index]).filter(|word| !word.is_empty()) {
            name.push('_');
            name.push_str(&word);
        }
    }
    name
}

/// Returns a key's words in capitals, with `None` for the number of a list's entry.
fn words_of(key: &str) -> Vec<Option<String>> {
    let mut words = Vec::new();
    for level in key.trim_end_matches("{}").split('.') {
        let name = level.strip_suffix("[]");
        let mut word = String::new();
        for c in name.unwrap_or(level).chars() {
            if c.is_ascii_uppercase() {
                words.push(Some(std::mem::take(&mut word)));
            }
            word.push(c.to_ascii_uppercase());
        }
        words.push(Some(word));
        if name.is_some() {
            words.push(None);
        }
    }
    words
}

/// Returns the key that a variable sets, as steps, and whether its section's keys are free.
fn find(name: &str) -> Option<(Vec<Step>, bool)> {
    let given: Vec<&str> = name.strip_prefix(PREFIX)?.split('_').collect();
    keys().map(|key| key.path).find_map(|key| {
        let words = words_of(key);
        let mut entries = Vec::new();
        let fits = words.len() == given.len()
            && words.iter().zip(&given).all(|(word, given)| match word {
                Some(word) => word == given,
                None => given.parse().map(|index| entries.push(index)).is_ok(),
            });
        fits.then(|| (steps(key, &entries), key.ends_with("{}")))
    })
}

fn steps(key: &'static str, entries: &[usize]) -> Vec<Step> {
    let mut entries = entries.iter();
    key.trim_end_matches("{}")
        .split('.')
        .flat_map(|level| match level.strip_suffix("[]") {
            Some(list) => [
                Some(Step::Key(list)),
                entries.next().map(|at| Step::Entry(*at)),
            ],
            None => [Some(Step::Key(level)), None],
        })
        .flatten()
        .collect()
}

fn set(value: &mut Value, steps: &[Step], text: Value) -> Result<(), &'static str> {
    let mut place = value;
    for step in steps {
        place = match step {
            Step::Key(key) => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(section) = place else {
                    return Err("not a section");
                };
                // The file's spelling of the key may differ in case.
                let own = section
                    .keys()
                    .find(|own| own.eq_ignore_ascii_case(key))
                    .cloned();
                section
                    .entry(own.unwrap_or_else(|| (*key).to_owned()))
                    .or_insert(Value::Null)
            }
            Step::Entry(index) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Value::Array(list) = place else {
                    return Err("not a list");
                };
                if *index == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(*index)
                    .ok_or("entries are counted from 0 without a gap")?
            }
        };
    }
    *place = text;
    Ok(())
}

/// Parses a section from `name=text, name=text`.
fn texts(text: &str) -> Value {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    Value::Object(
        pairs
            .map(|pair| {
                let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
                (
                    name.trim().to_owned(),
                    Value::String(text.trim().to_owned()),
                )
            })
            .collect(),
    )
}

fn unknown(name: &str) -> String {
    // Not a guess by edit distance: usually a level or a number is missing, so the nearest key is
    // the one with the most words in common, and among those the shortest.
    let given: Vec<&str> = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .split('_')
        .collect();
    let shared = |key: &&str| {
        let words = words_of(key);
        let same = given
            .iter()
            .filter(|given| words.iter().flatten().any(|word| word == *given));
        (same.count(), std::cmp::Reverse(words.len()))
    };
    // Or a `_` too few or too many.
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|c| c.is_ascii_alphabetic());
        letters.collect()
    };
    let spelt = plain(name);
    let known = || keys().map(|key| key.path);
    let found = known()
        .find(|key| plain(&variable_of(key)) == spelt)
        .or_else(|| {
            let nearest = known().max_by_key(shared);
            nearest.filter(|key| shared(key).0 * 2 > given.len())
        });
    match found {
        Some(key) => format!("no such key: `{key}` is {}", variable_of(key)),
        None => "no such key: `gatepost config example` lists the keys".to_owned(),
    }
}
