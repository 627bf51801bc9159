//! Administration over HTTP with JSON.

use anyhow::{Context as _, Result, bail};
use reqwest::blocking::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::clients::Answer;

/// Sends a request, with JSON where there is some to send.
///
/// # Errors
///
/// When there is no answer, or one that says that it failed.
pub(super) fn send(request: RequestBuilder, body: Option<&Value>) -> Result<Answer> {
    let request = match body {
        Some(body) => request
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string()),
        None => request,
    };
    let answer = Answer::read(request.send()?)?;
    if !answer.status.is_success() {
        bail!(
            "{} answers {}: {}",
            answer.url,
            answer.status,
            answer.body.trim()
        );
    }
    Ok(answer)
}

/// Returns the name that the provider gave to the created object: the end of `Location`.
pub(super) fn created(answer: &Answer) -> Result<&str> {
    let location = answer.header("location");
    let name = location.and_then(|location| location.rsplit('/').next());
    name.context("the answer says where the created object is")
}
