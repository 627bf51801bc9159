//! The spellings of a header name that upstreams take for the same.

/// Compares names the way upstreams in the manner of CGI do. `own` has letters, digits and `-`.
pub(super) fn same_folded(name: &[u8], own: &str) -> bool {
    let folded = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() => b.to_ascii_lowercase(),
        _ => b'-',
    };
    // From the end: names that differ often begin alike (`X-Forwarded-…`).
    name.len() == own.len()
        && name
            .iter()
            .zip(own.as_bytes())
            .rev()
            .all(|(a, b)| folded(*a) == folded(*b))
}
