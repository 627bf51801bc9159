//! Forms and JSON that clients post.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http::request;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// The longest form that is read, in bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// How long a client may take to send it.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the JSON object that a request brings.
///
/// # Errors
///
/// [`NoForm`].
pub(super) async fn read_json(
    parts: &request::Parts,
    body: Body,
) -> Result<Map<String, Value>, NoForm> {
    let json = read(parts, body, "application/json").await?;
    serde_json::from_slice(&json).map_err(|_| NoForm)
}

/// Reads the body of a request, which must be of this media type.
async fn read(parts: &request::Parts, body: Body, media_type: &str) -> Result<Bytes, NoForm> {
    let sent = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    if !sent.is_some_and(|sent| sent.trim().eq_ignore_ascii_case(media_type)) {
        return Err(NoForm);
    }
    let body = Limited::new(body, MAX_FORM_BYTES).collect();
    let body = tokio::time::timeout(FORM_TIMEOUT, body).await;
    Ok(body.map_err(|_| NoForm)?.map_err(|_| NoForm)?.to_bytes())
}

/// The fields of a form.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

/// The body is not a form, too long or too slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoForm;

impl Form {
    /// Reads the form that a request brings.
    ///
    /// # Errors
    ///
    /// [`NoForm`].
    pub(super) async fn read(parts: &request::Parts, body: Body) -> Result<Self, NoForm> {
        let form = read(parts, body, "application/x-www-form-urlencoded").await?;
        Ok(Self(form_urlencoded::parse(&form).into_owned().collect()))
    }

    /// Returns a field; `None` where it is missing.
    ///
    /// # Errors
    ///
    /// [`NoForm`] where it occurs more than once, since parsers differ about which counts.
    pub(super) fn field(&self, name: &str) -> Result<Option<&str>, NoForm> {
        let mut values = self.0.iter().filter(|(own, _)| own == name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|(_, value)| value.as_str())),
            (_, Some(_)) => Err(NoForm),
        }
    }
}
