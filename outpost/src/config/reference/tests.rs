use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::config::environment::variable_of;

/// Compares a generated file of the docs with its source.
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
    let example = include_str!("../../../../deploy/outpost/gatepost.yaml");
    let example: Value = serde_saphyr::from_str(example).expect("YAML");
    let mut unknown = Vec::new();
    compare(&example, &schema(), "", &mut unknown);
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Notes the keys that the schema lacks. The rest of the schema is for editors.
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
