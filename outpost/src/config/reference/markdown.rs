//! The reference for people.

use std::fmt::Write as _;

use super::key::Kind;
use super::keys::keys;
use super::sections::SECTIONS;
use crate::config::environment::variable_of;

/// Returns the reference in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of the outpost\n\n\
         `gatepost serve --config gatepost.yaml` reads one YAML file.\n\
         Every key is an environment variable too, which counts where both are set; a secret may \
         come from a file.\n\
         Keys are compared without case, an unknown one is an error, and `gatepost check` says \
         everything that is wrong at once, with file and line.\n\
         The file, and the files it names, are read again when they change or on `SIGHUP`; a wrong \
         configuration is logged and the one before stays.\n\
         A duration is a number with `s`, `m`, `h` or `d`, or a number of seconds: `90`, `15m`, `8h`, \
         and at most `3650d` but for a rule's `maxAge`.\n\n\
         [`deploy/outpost/gatepost.yaml`](../deploy/outpost/gatepost.yaml) is a commented \
         example of every section.\n\
         Editors complete and check keys by [`gatepost.schema.json`](gatepost.schema.json): begin \
         the file with `# yaml-language-server: $schema=gatepost.schema.json`.\n\n\
         This page and the schema follow from the table in `outpost/src/config/reference/keys.rs`, which \
         a test compares with the keys that the program reads; after a change of it, \
         `GATEPOST_BLESS=1 cargo test -p gatepost reference` writes both again.\n",
    );
    for (section, meaning) in SECTIONS {
        let title = if section.is_empty() {
            "Keys and trust".to_owned()
        } else {
            format!("`{section}`")
        };
        let _ = write!(text, "\n## {title}\n\n{meaning}\n\n");
        text.push_str("| key | accepts | default | meaning |\n| --- | --- | --- | --- |\n");
        for key in keys().filter(|key| section_of(key.path) == *section) {
            let name = key.path.strip_prefix(section).unwrap_or(key.path);
            let name = name.trim_start_matches('.').trim_end_matches("{}");
            let default = match key.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{name}` | {} | {default} | {} |",
                accepts(key.kind),
                key.meaning
            );
        }
    }
    text.push_str(
        "\n## Environment\n\n\
         A variable is `GATEPOST_` and the key's path in capitals, words and levels apart by `_`, \
         entries counted from 0; lists have commas, and free sections `name=text` with commas.\n\
         `GATEPOST_CONFIG` names the file.\n\n\
         | key | variable |\n| --- | --- |\n",
    );
    for key in keys() {
        let _ = writeln!(text, "| `{}` | `{}` |", key.path, variable_of(key.path));
    }
    text
}

/// Returns the section of a key: the longest that its path begins with.
fn section_of(path: &str) -> &'static str {
    SECTIONS
        .iter()
        .map(|(section, _)| *section)
        .filter(|section| {
            !section.is_empty()
                && path
                    .strip_prefix(section)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
        .max_by_key(|section| section.len())
        .unwrap_or("")
}

fn accepts(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Url => "URL".to_owned(),
        Kind::File => "path of a file".to_owned(),
        Kind::Addresses => "address and port, or a list of them".to_owned(),
        Kind::Span => "duration".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Ratio => "number from 0 to 1".to_owned(),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::List => "list of texts".to_owned(),
        Kind::Texts => "section of texts".to_owned(),
        Kind::Lists => "section of lists of texts".to_owned(),
    }
}
