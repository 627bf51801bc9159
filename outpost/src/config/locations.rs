//! The line of each key in the file, so that a problem can be found in an editor.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The line of each key of a file.
#[derive(Debug, Default)]
pub(super) struct Locations(BTreeMap<String, u64>);

impl Locations {
    /// Returns the lines of all keys of a text. Invalid YAML has none: reading its values reports
    /// the error.
    pub(super) fn of(text: &str) -> Self {
        let mut locations = Self::default();
        if let Ok(Some(tree)) = serde_saphyr::from_str::<Option<Tree>>(text) {
            locations.enter(&tree, "");
        }
        locations
    }

    /// Returns the line of the key at `path`, or else of the nearest section around it.
    pub(super) fn line_of(&self, path: &str) -> Option<u64> {
        let path = path.to_ascii_lowercase();
        let mut rest = path.as_str();
        loop {
            if let Some(line) = self.0.get(rest) {
                return Some(*line);
            }
            let cut = rest.rfind(['.', '['])?;
            rest = rest.get(..cut)?;
        }
    }

    /// Returns the first entry of a list on the way to the key at `path` that the file does not have,
    /// though it has the list or lacks the key of it: then variables made the entry.
    pub(super) fn entry_of_elsewhere<'p>(&self, path: &'p str) -> Option<&'p str> {
        let has = |path: &str| self.0.contains_key(&path.to_ascii_lowercase());
        path.match_indices(']').find_map(|(end, _)| {
            let entry = path.get(..=end)?;
            let list = entry.get(..entry.rfind('[')?)?;
            // A list that is written as one text has no entries here.
            let is_text = has(list) && !has(&format!("{list}[0]"));
            (!has(entry) && !is_text).then_some(entry)
        })
    }

    fn put(&mut self, path: &str, line: u64) {
        // Keys are compared without case, and so are their paths.
        self.0.entry(path.to_ascii_lowercase()).or_insert(line);
    }

    fn enter(&mut self, tree: &Tree, path: &str) {
        match tree {
            Tree::Leaf => {}
            Tree::List(entries) => {
                for (at, entry) in entries.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    self.put(&path, entry.referenced.line());
                    self.enter(&entry.value, &path);
                }
            }
            Tree::Section(keys) => {
                for (key, value) in keys {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", key.value);
                    self.put(&path, key.referenced.line());
                    self.enter(value, &path);
                }
            }
        }
    }
}

/// The structure of a text, without its values.
enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    Section(Vec<(Spanned<String>, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut keys = Vec::new();
        while let Some(entry) = map.next_entry()? {
            keys.push(entry);
        }
        Ok(Tree::Section(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Tree::List(entries))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Tree, D::Error> {
        Tree::deserialize(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_has_the_line_of_its_section() {
        let text = "\
# a comment
listen: { http: x, Metrics: y }
providers:
  - name: main

    issuer: z
  - { name: other }
applications:
  - name: wiki
    require:
      groups:
        - staff
        - admins
nothing:
";
        let locations = Locations::of(text);
        for (path, line) in [
            ("listen", Some(2)),
            ("listen.metrics", Some(2)),
            ("providers[0].issuer", Some(6)),
            ("providers[0].clientId", Some(4)),
            ("providers[1].clientId", Some(7)),
            ("applications[0].require.groups", Some(11)),
            ("applications[0].require.users", Some(10)),
            ("applications", Some(8)),
            ("nothing", Some(14)),
            ("keys", None),
            ("GATEPOST_COLOUR", None),
        ] {
            assert_eq!(locations.line_of(path), line, "{path}");
        }
        for (path, entry) in [
            ("providers[1].clientId", None),
            ("providers[2].clientId", Some("providers[2]")),
            ("Providers[2]", Some("Providers[2]")),
            (
                "applications[0].rules[1].paths",
                Some("applications[0].rules[1]"),
            ),
            ("nothing[0].name", None),
            ("listen.http", None),
        ] {
            assert_eq!(locations.entry_of_elsewhere(path), entry, "{path}");
        }
        assert_eq!(Locations::of("keys: [").line_of("keys"), None);
        assert_eq!(Locations::of("").line_of("keys"), None);
    }
}
