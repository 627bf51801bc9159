//! Objects of JSON that are put together.

use serde_json::Value;

/// Adds a key to an object.
pub(super) fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
