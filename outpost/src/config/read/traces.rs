//! The keys of the collector for traces.

use gatepost_policy::config::{Fields, Value};
use http::HeaderMap;
use url::Url;

use super::files::{Files, Written, written};
use super::provider::authorities;
use super::urls::http_url;
use crate::telemetry::traces::{self, TracesSettings};

/// Where a collector takes traces (OTLP 1.9 §OTLP/HTTP Request).
const PATH: &str = "/v1/traces";

pub(super) fn traces(mut fields: Fields<'_>, files: &Files) -> Option<TracesSettings> {
    let endpoint = fields.required_text("endpoint", "the collector, like `http://collector:4318`");
    let endpoint = endpoint.and_then(|text| {
        let url = endpoint_of(&text);
        if url.is_none() {
            fields.problem("endpoint", "expected a URL like `http://collector:4318`");
        }
        url
    });
    let headers = headers(&mut fields, files);
    let authorities = authorities(&mut fields, files);
    let sample_ratio = fields.parsed("sampleRatio", |text| {
        let ratio = text.parse::<f64>().ok();
        ratio
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or("expected a number from 0 to 1")
    });
    let service_name = fields.text("serviceName");
    fields.finish();
    Some(TracesSettings {
        endpoint: endpoint?,
        headers: headers?,
        authorities,
        sample_ratio: sample_ratio.unwrap_or(1.0),
        service_name,
    })
}

/// Returns the collector's URL for traces: the text itself if it names that path, else the path
/// below it.
fn endpoint_of(text: &str) -> Option<Url> {
    let mut url = http_url(text)?;
    let path = url.path().trim_end_matches('/');
    if !path.ends_with(PATH) {
        let path = format!("{path}{PATH}");
        url.set_path(&path);
    }
    Some(url)
}

/// Reads the headers that are sent along; `None` after reporting a problem.
fn headers(fields: &mut Fields<'_>, files: &Files) -> Option<HeaderMap> {
    let inline = fields.value("headers");
    let Some(written) = written(fields, inline, "headers", "headersFile") else {
        return Some(HeaderMap::new());
    };
    let (key, headers) = match written.ok()? {
        Written::Inline(Value::Object(section)) => {
            let pairs = section.iter().map(|(name, value)| {
                // A value that is not a text is reported as an invalid header value.
                (name.as_str(), value.as_str().unwrap_or("\0"))
            });
            ("headers", traces::headers(pairs))
        }
        Written::Inline(_) => {
            fields.problem("headers", "expected a section of names and values");
            return None;
        }
        Written::File(path) => {
            let text = files.read(fields, "headersFile", &path)?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let pairs = lines.map(|line| line.split_once('=').unwrap_or((line, "\0")));
            ("headersFile", traces::headers(pairs))
        }
    };
    headers
        .map_err(|name| {
            fields.problem(key, format!("`{name}`: expected a header's name and value"))
        })
        .ok()
}
