//! What gets lost on the way through Traefik's labels.

use gatepost_policy::config::{MOST_RULES_IN_A_LIST, Value};

/// Returns whether rules may come from labels with an index for each, in another order than they were
/// written in: Traefik sorts labels as text, so that `rules[10]` comes before `rules[1]`.
///
/// All values of labels are texts. Elsewhere some rule of a long list has a flag.
pub(crate) fn may_be_sorted(rules: &Value) -> bool {
    let Value::Array(rules) = rules else {
        return false;
    };
    let has_flag = |rule: &Value| match rule {
        Value::Object(keys) => keys
            .iter()
            .any(|(_, value)| matches!(value, Value::Bool(_))),
        _ => false,
    };
    rules.len() > MOST_RULES_IN_A_LIST && !rules.iter().any(has_flag)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MOST_RULES_IN_A_LIST, may_be_sorted};

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
            (list(MOST_RULES_IN_A_LIST - 1, &label), false),
            // Counted from 1, the tenth would be the second.
            (list(MOST_RULES_IN_A_LIST, &label), true),
            (list(MOST_RULES_IN_A_LIST, &file), false),
            (list(20, &json!({ "require": { "groups": ["a"] } })), true),
            // As one text, the list is in order.
            (json!(list(20, &label).to_string()), false),
        ] {
            assert_eq!(may_be_sorted(&(&entries).into()), expected, "{entries}");
        }
    }
}
