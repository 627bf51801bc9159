//! Asks a running outpost in an operator's name: only that process can open the embedded store.

use std::time::Duration;

use chrono::DateTime;
use gatepost_base::{Clock, SealingKeys};
use gatepost_session::{NumericDate, Purpose};
use http::StatusCode;

use super::healthcheck::{client, reachable};
use super::output::complain;
use crate::admin::{self, AdminRequest, AdminResponse};
use crate::config::Config;
use crate::http_client::chain;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The operating system has no randomness.
    #[error("the operating system has no randomness")]
    NoRandomness,
    /// No outpost answers.
    #[error("{url}: {why}: is the outpost running?")]
    Unreachable {
        /// Where the question went.
        url: String,
        /// Why it did not arrive.
        why: String,
    },
    /// The outpost does not take the question.
    #[error("{url}: {status}: {why}")]
    Refused {
        /// Where the question went.
        url: String,
        /// The status.
        status: StatusCode,
        /// Why not.
        why: String,
    },
}

/// Returns the outpost's answer. `None` without one; standard error then says why.
pub(super) async fn ask(config: &Config, question: &AdminRequest) -> Option<AdminResponse> {
    match try_to_ask(config, question).await {
        Ok(AdminResponse::Wrong(wrong)) => {
            complain(&wrong);
            None
        }
        Ok(answer) => Some(answer),
        Err(error) => {
            complain(&error);
            None
        }
    }
}

/// Returns the outpost's answer.
///
/// # Errors
///
/// [`NoAnswer`].
pub(super) async fn try_to_ask(
    config: &Config,
    question: &AdminRequest,
) -> Result<AdminResponse, NoAnswer> {
    let keys = SealingKeys::new(&config.keys, Purpose::Operator);
    let url = format!(
        "http://{}{}",
        reachable(config.listen.metrics.first()),
        admin::PATH
    );
    let question = admin::seal_request(&keys, Clock::system().now(), question);
    let question = question.ok_or(NoAnswer::NoRandomness)?;
    let sent = match client(Duration::from_secs(60)) {
        Ok(client) => client.post(&url).body(question).send().await,
        Err(error) => Err(error),
    };
    let (status, text) = match sent {
        Ok(response) => (response.status(), response.text().await.unwrap_or_default()),
        Err(error) => {
            let why = chain(&error.without_url());
            return Err(NoAnswer::Unreachable { url, why });
        }
    };
    let why = text.trim().to_owned();
    admin::open_response(&keys, &text).ok_or(NoAnswer::Refused { url, status, why })
}

/// Writes that the outpost gave an answer to another question.
pub(super) fn unexpected<T>() -> Option<T> {
    complain(&"the outpost answers another question: is it of another version?");
    None
}

/// Returns a time as operators read it.
pub(super) fn time(at: NumericDate) -> String {
    i64::try_from(at.as_seconds())
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .map(|time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}
