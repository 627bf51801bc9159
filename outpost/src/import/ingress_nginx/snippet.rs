//! Directives of nginx in annotations and in the ConfigMap, as far as they are read.

/// Returns whether a snippet of the location that asks the service refuses nothing, so that a request is
/// refused no less without it: it only sets headers of the question, or consents.
pub(super) fn only_lets_through(snippet: &str) -> bool {
    let consents = |statement: &str| {
        let status = statement.strip_prefix("return 2");
        status.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    snippet.split(';').map(str::trim).all(|statement| {
        statement.is_empty()
            || consents(statement)
            || (statement.starts_with("proxy_set_header ") && !statement.contains(['{', '}', '\n']))
    })
}
