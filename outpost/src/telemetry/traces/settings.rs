//! The settings of the traces.

use http::{HeaderMap, HeaderValue};
use url::Url;

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// The collector's URL for traces.
    pub endpoint: Url,
    /// Headers for the collector, such as a key; every value is marked as sensitive.
    pub headers: HeaderMap,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// The part of the traces that begin here which is delivered, from 0 to 1. A trusted proxy
    /// decides about the traces that it begins.
    pub sample_ratio: f64,
    /// The service name there.
    pub service_name: Option<String>,
}

/// Reads `name=value`, one a line, or takes the pairs of a section.
///
/// # Errors
///
/// The name of the first invalid header. Values are not repeated: they may be secrets.
pub(crate) fn headers<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap, String> {
    pairs
        .into_iter()
        .map(|(name, value)| {
            let name = name.trim();
            let parsed = name
                .parse::<http::HeaderName>()
                .ok()
                .zip(HeaderValue::from_str(value.trim()).ok());
            let (header, mut value) = parsed.ok_or_else(|| name.to_owned())?;
            value.set_sensitive(true);
            Ok((header, value))
        })
        .collect()
}
