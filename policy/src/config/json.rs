//! Reads settings that are JSON, without a parser of its own: the plugin has none.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::{JsonReader, Piece};

use super::Value;

/// The most levels that settings may nest. None needs more than seven.
const MAX_DEPTH: usize = 8;

/// Reads the JSON of settings.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn read_json(json: &[u8]) -> Result<Value, String> {
    let text = core::str::from_utf8(json).map_err(|error| not_json(json, error.valid_up_to()))?;
    let mut reader = JsonReader::new(text);
    match read_value(&mut reader) {
        Some(value) if reader.is_at_end() => Ok(value),
        _ if reader.depth() > MAX_DEPTH => Err(format!("nested more than {MAX_DEPTH} deep")),
        _ => Err(not_json(json, reader.position())),
    }
}

/// Says where the JSON has a mistake: behind its first `at` bytes.
fn not_json(json: &[u8], at: usize) -> String {
    let before = json.get(..at).unwrap_or(json);
    let mut lines = before.rsplit(|byte| *byte == b'\n');
    let column = lines.next().map_or(0, <[u8]>::len);
    format!("not JSON (line {}, column {column})", lines.count() + 1)
}

/// Reads a value, or returns `None` where it is missing or nests deeper than any settings do: each
/// level takes stack, and a guest has little. It would trap at its start, and take the guests of all
/// other routers with it.
fn read_value(json: &mut JsonReader<'_>) -> Option<Value> {
    let piece = json.value()?;
    if json.depth() > MAX_DEPTH {
        return None;
    }
    Some(match piece {
        Piece::Null => Value::Null,
        Piece::Flag(flag) => Value::Bool(flag),
        Piece::Number(number) => Value::Number(number.into()),
        Piece::Text(text) => Value::String(text.into_owned()),
        Piece::List => {
            let mut list = Vec::new();
            while json.entry()? {
                list.push(read_value(json)?);
            }
            Value::Array(list)
        }
        Piece::Section => {
            // By their keys, so that rules have one text in whatever order they are written.
            let mut section: Vec<(String, Value)> = Vec::new();
            while let Some(key) = json.key()? {
                let value = read_value(json)?;
                match section.binary_search_by(|(own, _)| (**own).cmp(&key)) {
                    Err(place) => section.insert(place, (key.into_owned(), value)),
                    // Which of two values counts would differ between readers.
                    Ok(_) => return None,
                }
            }
            Value::Object(section)
        }
    })
}
