//! What gets lost on the way through Traefik's labels.

use serde_json::Value;

/// The most entries of a list that labels bring in order, with an index for each.
const MOST_IN_ORDER: usize = 10;

/// Returns whether entries may come from labels with an index for each, in another order than they were
/// written in: Traefik sorts labels as text, so that `rules[10]` comes before `rules[1]`.
///
/// All values of labels are texts. A list from elsewhere has a flag or a number somewhere.
pub(crate) fn may_be_sorted(entries: &Value) -> bool {
    matches!(entries, Value::Array(all) if all.len() > MOST_IN_ORDER) && has_texts_alone(entries)
}

fn has_texts_alone(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(all) => all.iter().all(has_texts_alone),
        Value::Object(all) => all.values().all(has_texts_alone),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_which_the_order_may_be_lost_is_told_from_others() {
        let label = json!({ "paths": ["/a"], "deny": "true" });
        let file = json!({ "paths": ["/a"], "deny": true });
        let list = |count, last: &Value| {
            let mut entries = vec![label.clone(); count];
            entries.push(last.clone());
            Value::Array(entries)
        };
        for (entries, expected) in [
            (list(9, &label), false),
            (list(10, &label), true),
            (list(10, &file), false),
            (list(20, &json!({ "require": { "groups": ["a"] } })), true),
            (list(20, &json!({ "require": { "maxAge": 300 } })), false),
            // As one text, the list is in order.
            (json!(list(20, &label).to_string()), false),
        ] {
            assert_eq!(may_be_sorted(&entries), expected, "{entries}");
        }
    }
}
