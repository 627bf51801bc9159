//! Reads settings strictly, and reports all problems with them together.
//!
//! The plugin gets its settings as JSON in which labels have turned every value into a string; the
//! outpost reads YAML and environment variables. Both read them through [`Fields`], which accepts
//! a string wherever a list, a number or a flag is asked for, refuses unknown keys,
//! and collects every problem with the path of its key. Keys are compared without case, since some
//! label tools change it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::header_name::HeaderName;
use crate::headers::{HeaderRules, HeaderSettings, Preset};

mod json;
mod rules;

pub use json::read_json;
pub use rules::{INNER_NETWORKS, MOST_RULES_IN_A_LIST, has_a_meaning, policy, proxies};

pub use self::problems::{Problem, Problems};
pub use self::value::Value;

mod problems;
mod value;

/// The keys of one section of a configuration.
///
/// Read every key that the section may have, then call [`Fields::finish`], which reports the rest.
pub struct Fields<'a> {
    values: &'a [(String, Value)],
    path: String,
    asked: Vec<&'static str>,
    /// Those that may not be written here.
    refused: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Fields<'a> {
    /// Reads the keys of `value`, whose path is `path` (empty at the top). Reports a value that is
    /// not a section.
    pub fn of(value: &'a Value, path: &str, problems: &'a Problems) -> Option<Self> {
        match value {
            Value::Object(values) => Some(Self::of_keys(values, path, problems)),
            other => {
                problems.add(
                    path,
                    format_args!("expected a section with keys, got {}", kind(other)),
                );
                None
            }
        }
    }

    /// Reads the keys of a section at `path`.
    pub fn of_keys(values: &'a [(String, Value)], path: &str, problems: &'a Problems) -> Self {
        Self {
            values,
            path: path.to_owned(),
            asked: Vec::new(),
            refused: Vec::new(),
            problems,
        }
    }

    /// Returns the full path of `key` in this section.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Returns the keys that were asked for so far, in the order of asking.
    pub fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// Reports a problem with `key`.
    pub fn problem(&self, key: &str, message: impl fmt::Display) {
        self.report(key, &message);
    }

    // Not generic: the guest has room for one of it.
    fn report(&self, key: &str, message: &dyn fmt::Display) {
        self.problems.push(self.path_of(key), message);
    }

    /// Returns the list that collects the problems, for reading something nested by hand.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Reads the value of `key` without converting it. Reports `null`, as which YAML reads a key
    /// with nothing under it: if that were read as absent, a rule whose entries are missing would
    /// admit every user.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let mut found = self
            .values
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(key));
        let value = found.next().map(|(_, value)| value);
        if found.next().is_some() {
            self.problem(key, "is written twice, in different case: write it once");
        }
        if matches!(value, Some(Value::Null)) {
            self.problem(key, "has no value: write one, or leave the key out");
            return None;
        }
        value
    }

    /// Reads a text. A number or a flag is taken as its text, since YAML reads `007` or `yes` as
    /// such.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.value(key)?;
        let text = scalar_text(value);
        if text.is_none() {
            self.problem(key, format_args!("expected a text, got {}", kind(value)));
        }
        text
    }

    /// Reads a text that must be there and not be empty; `meaning` says what for.
    pub fn required_text(&mut self, key: &'static str, meaning: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(key).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.problems.len() == before {
            self.problem(key, format_args!("missing: {meaning}"));
        }
        text
    }

    /// Reads a text with `parse`, whose error says which form is accepted.
    pub fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, error);
                None
            }
        }
    }

    /// Reads one of several words.
    pub fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let word = |at: usize| choices.get(at).map(|(word, _)| *word);
        let chosen = self.word(key, &word)?;
        choices.get(chosen).map(|(_, value)| value.clone())
    }

    /// Reads the place of one of several words. Not generic: the guest has room for one of it.
    fn word(
        &mut self,
        key: &'static str,
        word: &dyn Fn(usize) -> Option<&'static str>,
    ) -> Option<usize> {
        let text = self.text(key)?;
        let mut words = Vec::new();
        while let Some(word) = word(words.len()) {
            if word.eq_ignore_ascii_case(text.trim()) {
                return Some(words.len());
            }
            words.push(word);
        }
        self.problem(
            key,
            format_args!("`{text}` is not one of {}", words.join(", ")),
        );
        None
    }

    /// Reads a flag: `true` or `false`, also as text.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            other => {
                self.problem(
                    key,
                    format_args!("expected true or false, got {}", kind(other)),
                );
                None
            }
        }
    }

    /// Reads a whole number from 0 to `max`, also as text.
    pub fn number(&mut self, key: &'static str, max: u64) -> Option<u64> {
        let value = self.value(key)?;
        let number = match value {
            Value::Number(text) | Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number| *number <= max);
        if number.is_none() {
            self.problem(key, format_args!("expected a whole number from 0 to {max}"));
        }
        number
    }

    /// Reads a span of time in seconds: a number of seconds, or a number with `s`, `m`, `h` or `d`.
    /// One that is added to a time needs bounds: [`Self::seconds_within`].
    pub fn seconds(&mut self, key: &'static str) -> Option<u64> {
        let text = self.text(key)?;
        let seconds = parse_seconds(&text);
        if seconds.is_none() {
            self.problem(
                key,
                format_args!("`{text}` is not a duration; write `30s`, `15m` or `8h`"),
            );
        }
        seconds
    }

    /// Reads a span of time, and reports one outside of these bounds; `why` says what they are for.
    ///
    /// Returns the nearest duration within the bounds then, so that keys that depend on this one are
    /// compared with what was meant.
    pub fn seconds_within(
        &mut self,
        key: &'static str,
        within: RangeInclusive<u64>,
        why: &str,
    ) -> Option<u64> {
        let seconds = self.seconds(key)?;
        let nearest = seconds.clamp(*within.start(), *within.end());
        if nearest != seconds {
            let (least, most) = (span(*within.start()), span(*within.end()));
            self.problem(key, format_args!("expected {least} to {most}: {why}"));
        }
        Some(nearest)
    }

    /// Reads a list of texts: a list, or one text with commas between the entries.
    pub fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let entries = entries(value);
        if entries.is_none() {
            self.problem(key, NO_LIST);
        }
        entries
    }

    /// Reads a section whose keys the operator chooses: names, each with a list of texts, or with one
    /// text without commas. Labels have a list as its JSON.
    pub fn lists(&mut self, key: &'static str) -> Vec<(String, Vec<String>)> {
        let Some(section) = self.section(key) else {
            return Vec::new();
        };
        let mut lists = Vec::new();
        for (name, value) in section.values {
            let entries = whole_entries(value);
            if entries.as_ref().is_none_or(Vec::is_empty) {
                section.problem(name, "expected a text, or a list of texts");
            }
            // As one value it would fit no user, and under `not` admit users who have one of several.
            let is_json = |text: &str| text.trim_start().starts_with('[');
            if value
                .as_str()
                .is_some_and(|text| text.contains(',') && !is_json(text))
            {
                section.problem(name, "has a comma: write a list, or its JSON");
            }
            if let Some(entries) = entries {
                lists.push((name.clone(), entries));
            }
        }
        lists
    }

    /// Reads a section within this one.
    pub fn section(&mut self, key: &'static str) -> Option<Fields<'a>> {
        let value = self.value(key)?;
        Fields::of(value, &self.path_of(key), self.problems)
    }

    /// Reads a list of sections.
    pub fn sections(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        let path = self.path_of(key);
        match self.value(key) {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries
                .iter()
                .enumerate()
                .filter_map(|(at, entry)| {
                    Fields::of(entry, &format!("{path}[{at}]"), self.problems)
                })
                .collect(),
            Some(other) => {
                self.problem(
                    key,
                    format_args!("expected a list of sections, got {}", kind(other)),
                );
                Vec::new()
            }
        }
    }

    /// Reads a section whose keys the operator chooses: names and texts.
    pub fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(section) = self.section(key) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, value) in section.values {
            match scalar_text(value) {
                Some(text) => texts.push((name.clone(), text)),
                None => {
                    section.problem(name, format_args!("expected a text, got {}", kind(value)));
                }
            }
        }
        texts
    }

    /// Reports `old`, which is now called `new`.
    pub fn renamed(&mut self, old: &'static str, new: &str) {
        if self.value(old).is_some() {
            self.problem(old, format_args!("is now called `{new}`"));
        }
    }

    /// Reports `key`, which has to be written elsewhere, if it is written.
    pub fn refuse(&mut self, key: &'static str, message: &str) {
        if self.value(key).is_some() {
            self.problem(key, message);
        }
        self.asked.retain(|asked| *asked != key);
        self.refused.push(key);
    }

    /// Reports every key that was not asked for, with the nearest one that was.
    pub fn finish(self) {
        for (key, _) in self.values {
            let mut known = self.asked.iter().chain(&self.refused);
            if known.any(|known| known.eq_ignore_ascii_case(key)) {
                continue;
            }
            let nearest = self.asked.iter().find(|asked| is_nearly(asked, key));
            match nearest {
                Some(asked) => {
                    self.problem(key, format_args!("unknown key: did you mean `{asked}`?"));
                }
                None => {
                    self.problem(
                        key,
                        format_args!("unknown key: expected {}", self.asked.join(", ")),
                    );
                }
            }
        }
    }
}

/// Reads `headers`: a `preset`, under `set` a claim for each further header, and under `keep` those
/// headers of other systems that pass unchanged. `api_key` carries API keys, and is no header of
/// the application.
pub fn headers(
    fields: &mut Fields<'_>,
    application: &str,
    api_key: Option<&HeaderName>,
) -> HeaderRules {
    let rules = read_headers(fields, application, api_key);
    if let Some(name) = api_key.filter(|name| rules.sets(name.as_str().as_bytes())) {
        fields.problem(
            "apiKeyHeader",
            format_args!("`{name}` names the user to the application"),
        );
    }
    rules
}

fn read_headers(
    fields: &mut Fields<'_>,
    application: &str,
    api_key: Option<&HeaderName>,
) -> HeaderRules {
    let mut settings = HeaderSettings {
        api_key: api_key.cloned(),
        ..HeaderSettings::of(Preset::default(), application)
    };
    let Some(mut section) = fields.section("headers") else {
        return HeaderRules::new(settings);
    };
    let preset = section.choice(
        "preset",
        &[
            ("gatepost", Preset::Gatepost),
            ("authentik", Preset::Authentik),
            ("none", Preset::None),
        ],
    );
    settings.preset = preset.unwrap_or_default();
    for (name, claim) in section.texts("set") {
        match HeaderName::new(&name) {
            Ok(header) => settings.claims.push((header, claim)),
            Err(error) => section.problem("set", format_args!("`{name}` is {error}")),
        }
    }
    let keep = section.list("keep").unwrap_or_default();
    let name = |text: &String| HeaderName::new(text).ok();
    settings.pass_through.extend(keep.iter().filter_map(name));
    let rules = HeaderRules::new(settings);
    for text in &keep {
        if name(text).is_none_or(|name| rules.sets(name.as_str().as_bytes())) {
            section.problem(
                "keep",
                format_args!("`{text}` is set here, or cannot be a name"),
            );
        }
    }
    section.finish();
    rules
}

/// The longest duration of a setting, in seconds: ten years. Whatever adds one to a time of this
/// century stays far from the end of every clock and timer.
pub const MOST_SECONDS: u64 = 3_650 * 86_400;

/// Returns a duration as a configuration has it.
fn span(seconds: u64) -> String {
    for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
        if seconds > unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

/// Reads a number of seconds from a text like `90`, `30s`, `15m`, `8h` or `7d`.
pub fn parse_seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = match text.as_bytes() {
        [.., b's'] => (text.strip_suffix('s')?, 1),
        [.., b'm'] => (text.strip_suffix('m')?, 60),
        [.., b'h'] => (text.strip_suffix('h')?, 3_600),
        [.., b'd'] => (text.strip_suffix('d')?, 86_400),
        _ => (text, 1),
    };
    let number = number.trim_ascii_end();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits)?;
    number.checked_mul(unit)
}

const NO_LIST: &str = "expected a list of texts, or one text with commas between";

/// Reads a list of texts, or one text with commas between the entries.
fn entries(value: &Value) -> Option<Vec<String>> {
    let list = match value {
        Value::Array(list) => list,
        Value::String(text) => return Some(entries_of(text)),
        other => core::slice::from_ref(other),
    };
    let mut entries = Vec::new();
    for entry in list {
        add_entry(&mut entries, &scalar_text(entry)?);
    }
    Some(entries)
}

/// Returns the entries of a text with commas between them.
fn entries_of(text: &str) -> Vec<String> {
    let mut entries = Vec::new();
    for entry in text.split(',') {
        add_entry(&mut entries, entry);
    }
    entries
}

fn add_entry(entries: &mut Vec<String>, entry: &str) {
    let entry = entry.trim();
    if !entry.is_empty() {
        entries.push(entry.to_owned());
    }
}

/// Reads a list of texts, or one text with whatever is in it, which may be the JSON of a list.
fn whole_entries(value: &Value) -> Option<Vec<String>> {
    let Value::String(text) = value else {
        return entries(value);
    };
    match read_json(text.as_bytes()) {
        Ok(list @ Value::Array(_)) => entries(&list),
        _ => Some(Vec::from([text.trim().to_owned()]))
            .filter(|entries| !entries.iter().all(String::is_empty)),
    }
}

/// Reads a text, a whole number or a flag as text. Not a number with a fraction: no setting is one.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(text) if text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => None,
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(true) => Some("true".to_owned()),
        Value::Bool(false) => Some("false".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section",
    }
}

/// Returns whether two keys differ in one place only, by up to two characters, without regard to
/// case: what they begin and end with is the same.
fn is_nearly(a: &str, b: &str) -> bool {
    let (mut from, mut to) = (a.as_bytes(), b.as_bytes());
    while let ([a, rest @ ..], [b, rest_of_b @ ..]) = (from, to)
        && a.eq_ignore_ascii_case(b)
    {
        (from, to) = (rest, rest_of_b);
    }
    while let ([rest @ .., a], [rest_of_b @ .., b]) = (from, to)
        && a.eq_ignore_ascii_case(b)
    {
        (from, to) = (rest, rest_of_b);
    }
    // Or they begin alike, as `trustedProxy` and `trustedProxies` do.
    let alike = b.len() - to.len();
    let longest = from.len().max(to.len());
    longest <= 2 || longest <= 3 && alike >= 6
}

#[cfg(test)]
mod tests;
