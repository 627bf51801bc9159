//! The schema for editors.

use serde_json::{Map, Value, json};

use super::key::{Key, Kind};
use super::keys::keys;

/// Returns the configuration as a JSON Schema (draft 2020-12), for editors.
pub fn schema() -> Value {
    let mut schema = object("");
    let draft = "https://json-schema.org/draft/2020-12/schema";
    put(&mut schema, "$schema", json!(draft));
    put(&mut schema, "title", json!("Gatepost's outpost"));
    schema
}

/// Returns the schema of the section whose keys begin with `prefix`.
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
        Kind::Text | Kind::Url | Kind::File => json!({"type": "string"}),
        Kind::Span => json!({
            "type": ["string", "integer"], "pattern": "^[0-9]+[smhd]?$", "minimum": 0,
        }),
        Kind::Number => json!({"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0}),
        Kind::Ratio => json!({"type": ["number", "string"], "minimum": 0, "maximum": 1}),
        Kind::Flag => json!({"enum": [true, false, "true", "false"]}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::List | Kind::Addresses => {
            json!({"type": ["array", "string"], "items": {"type": "string"}})
        }
        Kind::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Lists => {
            let one = ["string", "number", "boolean"];
            let value = json!({"type": ["array", "string", "number", "boolean"],
                "items": {"type": one}});
            json!({"type": "object", "additionalProperties": value})
        }
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
