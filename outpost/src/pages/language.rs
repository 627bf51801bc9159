//! The languages of the pages: one file each in `pages/languages/`.
//!
//! To add one, translate `de.yaml`, put the file next to it and into [`FILES`]; a test lists
//! missing texts. A text that is missing is shown in English.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::views::FailureCode;

/// The files by language tag, English first.
const FILES: [(&str, &str); 2] = [
    ("en", include_str!("languages/en.yaml")),
    ("de", include_str!("languages/de.yaml")),
];

/// The most languages of a header that are read.
const MAX_RANGES: usize = 16;

/// A language that pages can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Language(usize);

/// The texts of each file by their keys.
static TEXTS: LazyLock<Vec<BTreeMap<String, String>>> =
    LazyLock::new(|| FILES.iter().map(|(_, file)| read(file)).collect());

impl Language {
    /// English.
    pub(crate) const ENGLISH: Self = Self(0);

    /// Returns the best language for an `Accept-Language` header (RFC 9110 §12.5.4): the supported
    /// one with the highest weight. Regions are ignored.
    pub(crate) fn accepted(header: Option<&str>) -> Self {
        let mut best = (0, Self::ENGLISH);
        let ranges = header.unwrap_or_default().split(',').take(MAX_RANGES);
        for range in ranges {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let found = FILES
                .iter()
                .position(|(own, _)| own.eq_ignore_ascii_case(primary));
            let weight = match parameters.trim().strip_prefix("q=") {
                Some(weight) => thousandths(weight.trim()),
                None => 1_000,
            };
            if let Some(found) = found
                && weight > best.0
            {
                best = (weight, Self(found));
            }
        }
        best.1
    }

    /// Returns the language's tag (BCP 47).
    pub(crate) fn tag(self) -> &'static str {
        FILES.get(self.0).map_or("en", |(tag, _)| tag)
    }

    /// Returns the text of a key, in English where this language lacks it.
    pub(crate) fn text(self, key: &str) -> Option<&'static str> {
        let of = |at: usize| TEXTS.get(at)?.get(key).map(String::as_str);
        of(self.0).or_else(|| of(0))
    }

    /// Returns the title of a failure.
    pub(crate) fn failure_title(self, code: FailureCode) -> &'static str {
        self.failure_text(code, "title")
    }

    /// Returns the `part` (`title` or `advice`) of a failure's texts. A test ensures that every
    /// language has them all.
    pub(super) fn failure_text(self, code: FailureCode, part: &str) -> &'static str {
        let key = format!("failures.{}.{part}", code.as_str());
        self.text(&key).unwrap_or_default()
    }
}

/// Parses a weight of 0 to 1 with up to three decimals; any other text is the lowest weight.
fn thousandths(weight: &str) -> u32 {
    match weight.parse::<f32>() {
        // Rounding takes it into the range of the type.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1_000.0).round() as u32,
        _ => 0,
    }
}

/// Reads the texts of a file by their keys, with `.` between levels.
fn read(file: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    match serde_saphyr::from_str::<Value>(file) {
        Ok(value) => enter(&mut texts, "", &value),
        Err(error) => tracing::error!(%error, "a language file is invalid"),
    }
    texts
}

fn enter(texts: &mut BTreeMap<String, String>, path: &str, value: &Value) {
    match value {
        Value::Object(section) => {
            for (key, value) in section {
                let dot = if path.is_empty() { "" } else { "." };
                enter(texts, &format!("{path}{dot}{key}"), value);
            }
        }
        Value::String(text) => {
            texts.insert(path.to_owned(), text.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_language_is_the_one_with_the_highest_weight() {
        for (header, tag) in [
            (None, "en"),
            (Some(""), "en"),
            (Some("de"), "de"),
            (Some("de-CH, en;q=0.5"), "de"),
            (Some("en;q=0.5, DE;q=0.9"), "de"),
            (Some("fr, de;q=0.1"), "de"),
            (Some("fr, it"), "en"),
            (Some("de;q=0"), "en"),
            (Some("en, de"), "en"),
            (Some("de;q=lots, en;q=0.1"), "en"),
            (Some("*"), "en"),
        ] {
            assert_eq!(Language::accepted(header).tag(), tag, "{header:?}");
        }
    }

    #[test]
    fn every_language_has_every_text_and_the_same_places_to_fill_in() {
        let english = &TEXTS[0];
        let failures: BTreeSet<String> = FailureCode::ALL
            .iter()
            .flat_map(|code| {
                ["title", "advice"].map(|part| format!("failures.{}.{part}", code.as_str()))
            })
            .collect();
        let of_failures = english.keys().filter(|key| key.starts_with("failures."));
        assert_eq!(of_failures.cloned().collect::<BTreeSet<_>>(), failures);
        for ((tag, _), texts) in FILES.iter().zip(TEXTS.iter()).skip(1) {
            let wanted: BTreeSet<String> = english.keys().cloned().collect();
            let own: BTreeSet<String> = texts.keys().cloned().collect();
            let differing: Vec<_> = own.symmetric_difference(&wanted).collect();
            assert!(differing.is_empty(), "{}: {differing:?}", tag);
            for (key, text) in texts {
                let places = |text: &str| text.matches('{').count();
                let expected = english.get(key).map_or(0, |text| places(text));
                assert_eq!(places(text), expected, "{}: {key}", tag);
            }
        }
    }
}
