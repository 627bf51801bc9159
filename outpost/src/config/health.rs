//! Where a running outpost says how it is, read from a configuration that need not be right.
//!
//! An outpost goes on with the configuration that it has while the file has a mistake. What asks it how it
//! is must not stumble over that mistake: a container engine would take a working outpost out of service.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use super::addresses::Addresses;
use super::settings::Listen;

/// Returns the addresses of `listen.metrics` as far as a file or the first of `texts` that names one says
/// them, and otherwise the default. Every other key may be wrong, and the file may be no YAML or missing.
pub fn health_addresses(texts: impl IntoIterator<Item = String>, path: Option<&Path>) -> Addresses {
    let by_variable = texts.into_iter().find_map(|text| parse(&[&text]));
    let by_file = || {
        let text = std::fs::read_to_string(path?).ok()?;
        of_file(&text)
    };
    by_variable
        .or_else(by_file)
        .unwrap_or_else(|| Listen::default().metrics)
}

fn of_file(text: &str) -> Option<Addresses> {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) => match key(key(&value, "listen")?, "metrics")? {
            Value::String(text) => parse(&[text]),
            Value::Array(list) => parse(&list.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
            _ => None,
        },
        Err(_) => text.lines().find_map(of_line),
    }
}

/// Returns the first address that a line names for `metrics`, in a file that is no YAML at the moment.
fn of_line(line: &str) -> Option<Addresses> {
    let (before, after) = line.split_once("metrics:")?;
    if before.contains('#') {
        return None;
    }
    let after = after.trim_start().trim_start_matches(['"', '\'']);
    let text = after.split([',', '}', ' ', '"', '\'', '#']).next()?;
    parse(&[text]).or_else(|| parse(&[text.strip_prefix('[')?.trim_end_matches(']')]))
}

fn key<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut keys = value.as_object()?.iter();
    keys.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

fn parse(texts: &[&str]) -> Option<Addresses> {
    let each = texts.iter().flat_map(|text| text.split(','));
    Addresses::new(each.filter_map(|text| text.trim().parse::<SocketAddr>().ok()))
}

#[cfg(test)]
mod tests {
    use super::of_file;

    #[test]
    fn finds_the_address_whatever_else_is_wrong() {
        for (case, text, expected) in [
            (
                "block",
                "listen:\n  metrics: 127.0.0.1:1",
                Some("127.0.0.1:1"),
            ),
            (
                "flow",
                "Listen: {HTTP: x, Metrics: '[::1]:1'}",
                Some("[::1]:1"),
            ),
            (
                "list",
                "listen: {metrics: ['127.0.0.1:1', '[::1]:2']}",
                Some("127.0.0.1:1, [::1]:2"),
            ),
            (
                "unknown key",
                "a: 1\nlisten: {metrics: '127.0.0.1:1', b: 2}",
                Some("127.0.0.1:1"),
            ),
            ("another's", "metrics: 127.0.0.1:1", None),
            ("no address", "listen: {metrics: here}", None),
            (
                "twice",
                "listen:\n  metrics: 127.0.0.1:1\na: 1\na: 2",
                Some("127.0.0.1:1"),
            ),
            (
                "no YAML",
                "listen:\n  metrics: 127.0.0.1:1 # x\na: [",
                Some("127.0.0.1:1"),
            ),
            (
                "no YAML, flow",
                "listen: {metrics: \"[::1]:1\"}\na: [",
                Some("[::1]:1"),
            ),
            (
                "no YAML, list",
                "listen: {metrics: [127.0.0.1:1]}\na: [",
                Some("127.0.0.1:1"),
            ),
            ("no YAML, comment", "# metrics: 127.0.0.1:1\na: [", None),
            ("nothing", "", None),
        ] {
            let found = of_file(text).map(|addresses| addresses.to_string());
            assert_eq!(found.as_deref(), expected, "{case}");
        }
    }
}
