//! What ties the log lines of one request together, and to those of the proxy in front.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

/// Names a request: taken over from the proxy, and sent back.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// W3C Trace Context §3.2: what Traefik's tracing says of the request.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is taken over; a UUID has 36 characters.
const MAX_ID: usize = 64;

/// The ids of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Correlation {
    request: String,
    trace: Option<Trace>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    id: String,
    parent: String,
}

impl Correlation {
    /// The ids that a request carries, as far as they have the form of one; else a fresh id.
    ///
    /// Anybody can send them, so they are bounded in length and alphabet, and decide nothing.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let request = text(REQUEST_ID).filter(|id| is_request_id(id));
        Self {
            request: request.map_or_else(|| fresh().into_owned(), str::to_owned),
            trace: text(TRACE_PARENT).and_then(Trace::parse),
        }
    }

    /// The span that the request is answered in. Of the highest level: it only adds fields to
    /// lines that are written anyway.
    ///
    /// `traced` is the id of the trace that the outpost delivers of it, which may be one that the
    /// proxy did not name.
    pub(super) fn span(&self, traced: Option<&str>) -> Span {
        let span = tracing::error_span!(
            "request",
            id = self.request,
            trace_id = tracing::field::Empty,
            parent_id = tracing::field::Empty,
        );
        let named = self.trace.as_ref();
        if let Some(id) = traced.or(named.map(|trace| trace.id.as_str())) {
            span.record("trace_id", id);
        }
        if let Some(trace) = named.filter(|trace| traced.is_none_or(|id| id == trace.id)) {
            span.record("parent_id", trace.parent.as_str());
        }
        span
    }

    /// The header that tells a client its request's id.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(&self.request).ok()?;
        Some((REQUEST_ID, value))
    }
}

impl Trace {
    /// Parses `00-TRACE-PARENT-FLAGS`; later versions may go on after it.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let id = hex(parts.next()?, 32)?;
        let parent = hex(parts.next()?, 16)?;
        hex(parts.next()?, 2)?;
        let ended = parts.next().is_none();
        let zero = |id: &str| id.bytes().all(|digit| digit == b'0');
        let valid = version != "ff" && (version != "00" || ended) && !zero(id) && !zero(parent);
        valid.then(|| Self {
            id: id.to_owned(),
            parent: parent.to_owned(),
        })
    }
}

fn hex(text: &str, length: usize) -> Option<&str> {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == length && text.bytes().all(digit)).then_some(text)
}

fn is_request_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)
}

/// An id that nothing else has.
pub(super) fn fresh() -> Cow<'static, str> {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => random
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        Err(_) => "unavailable".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(HeaderName, &str)]) -> Correlation {
        let header = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).expect("a value"))
        };
        Correlation::of(&pairs.iter().map(header).collect())
    }

    #[test]
    fn an_id_is_taken_over_only_in_the_form_of_one() {
        let long = "x".repeat(MAX_ID + 1);
        for (sent, taken) in [
            ("0192f0c1-7c4e-7d2a-9e3b-0c5a", true),
            ("a", true),
            ("", false),
            (&*long, false),
            ("a b", false),
            ("a\"b", false),
            ("a=b", false),
        ] {
            let correlation = of(&[(REQUEST_ID, sent)]);
            assert_eq!(correlation.request == sent, taken, "{sent}");
            assert!(!correlation.request.is_empty(), "{sent}");
        }
        assert_ne!(of(&[]).request, of(&[]).request);
    }

    #[test]
    fn a_trace_is_read_as_the_standard_says() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        for (case, sent, expected) in [
            ("plain", format!("00-{id}-{parent}-01"), true),
            ("a later version", format!("cc-{id}-{parent}-01-more"), true),
            (
                "longer than it may be",
                format!("00-{id}-{parent}-01-x"),
                false,
            ),
            ("no version", format!("ff-{id}-{parent}-01"), false),
            (
                "capitals",
                format!("00-{}-{parent}-01", id.to_uppercase()),
                false,
            ),
            ("zero", format!("00-{}-{parent}-01", "0".repeat(32)), false),
            ("short", format!("00-{id}-01"), false),
            ("empty", String::new(), false),
        ] {
            let trace = of(&[(TRACE_PARENT, &sent)]).trace;
            assert_eq!(trace.is_some_and(|t| t.id == id), expected, "{case}");
        }
    }
}
