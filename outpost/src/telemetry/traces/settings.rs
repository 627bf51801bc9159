//! Where traces go, as the operator says.

use http::{HeaderMap, HeaderValue};
use url::Url;

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// The collector's URL for traces.
    pub endpoint: Url,
    /// What is sent along, like a key to the collector; every value is marked as sensitive.
    pub headers: HeaderMap,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// Which part of the traces that begin here is delivered, from 0 to 1. Those that a trusted
    /// proxy has begun are as it decided.
    pub sample_ratio: f64,
    /// What the outpost is called there.
    pub service_name: Option<String>,
}

/// Reads `name=value`, one a line, or takes the pairs of a section.
///
/// # Errors
///
/// The name of the first header that is none. Values are not repeated: they may be secrets.
pub fn headers<'a>(
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
