//! Every key of the configuration, with what it accepts and means.
//!
//! From this table follow the names of the environment variables, the JSON Schema for editors
//! (`docs/gatepost.schema.json`) and the reference for people (`docs/configuration.md`). Tests hold
//! it against what the code reads and against both files.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::environment::variable_of;

mod keys;

pub use keys::keys;

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path. `[]` follows a list of sections, `{}` a section whose keys are free.
    pub path: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// What holds without it, or nothing where that needs words.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// One line of the table.
const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
    }
}

/// What a key accepts. A text with commas stands for a list, and any text for what it spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A URL.
    Url,
    /// The path of a file.
    File,
    /// An address and a port.
    Address,
    /// A span of time: seconds, or a number with `s`, `m`, `h` or `d`.
    Span,
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A section of texts under names of the operator's choice.
    Texts,
}

/// The sections, in the order of the reference, with what they are for.
const SECTIONS: &[(&str, &str)] = &[
    ("listen", "Where the outpost listens."),
    (
        "tls",
        "The certificate of `listen.https`. Without this section the listener makes one at start \
         that no authority signs. Both files are read again when they change.",
    ),
    ("log", "How the outpost logs, to standard error."),
    (
        "tracing",
        "Where the outpost delivers traces, by OTLP over HTTP (`http/protobuf`). Without this section \
         it does not. `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` count \
         as `endpoint`, and `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT`, \
         `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_BSP_*` have their meaning.",
    ),
    (
        "",
        "At the top level: the secrets, and whose word is taken.",
    ),
    (
        "rateLimit",
        "How often one client may come to `start`, `callback` and `sign_out`, and to \
         `backchannel_logout` until a token of it has held. Beyond that it gets 429 and \
         `Retry-After`. A client is an IPv4 address or an IPv6 /64: the rightmost of \
         `X-Forwarded-For` that is not one of `trustedProxies`, else the peer. A trusted proxy that \
         names no client is not limited, and one that is not trusted is a single client. Questions \
         to `auth/*` are never limited.",
    ),
    ("store", "Where sessions are kept."),
    (
        "session",
        "How long sessions last. A number of seconds, or with `s`, `m`, `h`, `d`.",
    ),
    (
        "traefik",
        "What Traefik's HTTP provider is served at `http://METRICS/traefik`, for the applications \
         that name an upstream.",
    ),
    (
        "pages",
        "What the pages look like: they are in the browser's language, as far as there is a file for \
         it in `outpost/src/pages/languages/`.",
    ),
    ("providers[]", "The OpenID providers, at least one."),
    ("applications[]", "The applications, at least one."),
    (
        "applications[].require",
        "Who may pass: users that any of these lists names. Left out: every user who can sign in. The \
         lists may stand here, or under `any` (one entry must fit) and `all` (every entry must).\n\n\
         Where an application has several providers, the lists apply to users of any of \
         them: a name, an address or a group that one provider gives somebody counts as if any other \
         had given it. Let only such providers stand side by side as you would trust with every \
         name that the rule has, or name groups that the others cannot give. `headers.set: \
         {X-Auth-Issuer: iss}` tells the application whose word it is.",
    ),
    (
        "applications[].headers",
        "The headers that the application receives.",
    ),
    (
        "applications[].machineTokens",
        "How the provider is asked about the credentials that `machines` allows, and what they must \
         be ([programs](machines.md)).",
    ),
];

/// The configuration as a JSON Schema (draft 2020-12), for editors.
pub fn schema() -> Value {
    let mut schema = object("");
    let draft = "https://json-schema.org/draft/2020-12/schema";
    put(&mut schema, "$schema", json!(draft));
    put(&mut schema, "title", json!("Gatepost's outpost"));
    schema
}

/// The schema of the section whose keys begin with `prefix`.
fn object(prefix: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys() {
        let Some(rest) = key.path.strip_prefix(prefix) else {
            continue;
        };
        match rest.split_once('.') {
            Some((level, _)) => {
                let name = level.trim_end_matches("[]");
                if !properties.contains_key(name) {
                    let inner = object(&format!("{prefix}{level}."));
                    let section = if name == level {
                        inner
                    } else {
                        json!({"type": "array", "minItems": 1, "items": inner})
                    };
                    properties.insert(name.to_owned(), section);
                }
            }
            None => {
                let name = rest.trim_end_matches("{}");
                properties.insert(name.to_owned(), property(key));
                if key.meaning.ends_with("Required.") {
                    required.push(name);
                }
            }
        }
    }
    let mut object =
        json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        put(&mut object, "required", json!(required));
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Text | Kind::Url | Kind::File | Kind::Address => json!({"type": "string"}),
        Kind::Span => json!({
            "type": ["string", "integer"], "pattern": "^[0-9]+[smhd]?$", "minimum": 0,
        }),
        Kind::Number => json!({"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0}),
        Kind::Ratio => json!({"type": ["number", "string"], "minimum": 0, "maximum": 1}),
        Kind::Flag => json!({"enum": [true, false, "true", "false"]}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::List => json!({"type": ["array", "string"], "items": {"type": "string"}}),
        Kind::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    };
    put(&mut property, "description", json!(key.meaning));
    if !key.default.is_empty() {
        let default = match key.kind {
            Kind::Flag => json!(key.default == "true"),
            Kind::Number => json!(key.default.parse::<u64>().unwrap_or_default()),
            Kind::Ratio => json!(key.default.parse::<f64>().unwrap_or_default()),
            Kind::List => json!(key.default.split(", ").collect::<Vec<_>>()),
            _ => json!(key.default),
        };
        put(&mut property, "default", default);
    }
    property
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.to_owned(), value);
    }
}

/// The reference for people, in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of the outpost\n\n\
         `gatepost serve --config gatepost.yaml` reads one YAML file.\n\
         Every key is an environment variable too, which counts where both are set; a secret may \
         come from a file.\n\
         Keys are compared without case, an unknown one is an error, and `gatepost check` says \
         everything that is wrong at once, with file and line.\n\
         The file, and the files it names, are read again when they change or on `SIGHUP`; a wrong \
         configuration is logged and the one before stays.\n\n\
         [`deploy/outpost/gatepost.yaml`](../deploy/outpost/gatepost.yaml) is a commented \
         example of every section.\n\
         Editors complete and check keys by [`gatepost.schema.json`](gatepost.schema.json): begin \
         the file with `# yaml-language-server: $schema=gatepost.schema.json`.\n\n\
         This page and the schema follow from the table in `outpost/src/config/reference/keys.rs`, which \
         a test holds against what the program reads; after a change of it, \
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

/// The section of the reference that a key stands in: the longest that it begins with.
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
        Kind::Address => "address and port".to_owned(),
        Kind::Span => "span of time".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Ratio => "number from 0 to 1".to_owned(),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::List => "list of texts".to_owned(),
        Kind::Texts => "section of texts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    /// Compares a file of the docs with what it follows from.
    fn holds(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name);
        if std::env::var_os("GATEPOST_BLESS").is_some() {
            fs::write(&path, text).expect("written");
        }
        let kept = fs::read_to_string(&path).expect("the file");
        assert!(
            kept == text,
            "docs/{name} is not of this code: run `GATEPOST_BLESS=1 cargo test -p gatepost reference`"
        );
    }

    #[test]
    fn the_published_reference_and_schema_are_of_this_code() {
        holds("configuration.md", &markdown());
        let schema = serde_json::to_string_pretty(&schema()).expect("JSON");
        holds("gatepost.schema.json", &format!("{schema}\n"));
    }

    #[test]
    fn the_words_of_a_choice_are_those_that_the_code_takes() {
        for key in keys() {
            let Kind::Choice(words) = key.kind else {
                continue;
            };
            let variable = (variable_of(key.path), "no-such-word".to_owned());
            let error = Config::parse("", [variable])
                .expect_err("a wrong word")
                .to_string();
            let expected = format!("`no-such-word` is not one of {}", words.join(", "));
            assert!(
                error.lines().any(|line| line.ends_with(&expected)),
                "{}: {error}",
                key.path
            );
        }
    }

    #[test]
    fn every_section_of_the_example_is_one_of_the_schema() {
        let example = include_str!("../../../deploy/outpost/gatepost.yaml");
        let example: Value = serde_saphyr::from_str(example).expect("YAML");
        let mut unknown = Vec::new();
        compare(&example, &schema(), "", &mut unknown);
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    /// Notes what the schema does not know. What else it says is for editors.
    fn compare(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
        match value {
            Value::Object(keys) if schema.get("properties").is_some() => {
                for (name, value) in keys {
                    match schema["properties"].get(name) {
                        Some(schema) => compare(value, schema, &format!("{path}.{name}"), unknown),
                        None => unknown.push(format!("{path}.{name}")),
                    }
                }
            }
            Value::Array(entries) => {
                for entry in entries {
                    compare(entry, &schema["items"], path, unknown);
                }
            }
            _ => {}
        }
    }
}
