//! Configuration files: the ones that docs show, fitted to one stack.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use crate::layout;

/// Reads a YAML file of `deploy/`, with texts such as host names and paths replaced by those of a
/// running stack.
///
/// The docs show the file, and it is valid without changes; that is why it has no placeholder
/// syntax.
///
/// # Errors
///
/// When the file cannot be read or is no YAML, and when a text to be replaced does not occur: the
/// file has then changed and the caller has not.
pub(crate) fn from_template(path: &str, replacements: &[(&str, &str)]) -> Result<Value> {
    let path = layout::root().join(path);
    let mut text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    for (shown, actual) in replacements {
        if !text.contains(shown) {
            bail!("{} no longer contains {shown:?}", path.display());
        }
        text = text.replace(shown, actual);
    }
    serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

/// Lays `changes` over `base`: mappings are merged key by key, everything else is replaced, and
/// `null` removes (as JSON Merge Patch, RFC 7396, has it).
pub(crate) fn merge(base: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *base = changes.clone();
        return;
    };
    let mut merged = match base.take() {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, change) in changes {
        if change.is_null() {
            merged.remove(key);
        } else {
            merge(merged.entry(key.as_str()).or_insert(Value::Null), change);
        }
    }
    *base = Value::Object(merged);
}

/// Writes settings in one step, so that a program that watches the file never reads half of it.
///
/// JSON is YAML: both Traefik and the outpost read it.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn write(path: &Path, settings: &Value) -> Result<()> {
    write_atomically(path, &serde_json::to_string_pretty(settings)?)
}

/// Puts a file in the place of another.
pub(crate) fn write_atomically(path: &Path, content: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, content).with_context(|| format!("write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_laid_over_the_base() {
        let mut settings = json!({ "keep": 1, "map": { "a": 1, "b": 2 }, "list": [1, 2] });
        merge(
            &mut settings,
            &json!({ "map": { "b": 3, "c": { "d": null, "e": 4 } }, "list": [], "keep": null }),
        );
        assert_eq!(
            settings,
            json!({ "map": { "a": 1, "b": 3, "c": { "e": 4 } }, "list": [] })
        );
    }

    #[test]
    fn template_that_has_changed_is_noticed() {
        let error = from_template(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &[("no such text", "x")],
        )
        .unwrap_err();
        assert!(
            format!("{error:#}").contains("no longer contains"),
            "{error:#}"
        );
    }
}
