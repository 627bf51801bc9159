//! Asks a running outpost in an operator's name: only that process can open the embedded store.

use std::time::Duration;

use chrono::DateTime;
use gatepost_base::{Clock, SealingKeys};
use gatepost_session::{NumericDate, Purpose};

use super::healthcheck::{client, reachable};
use super::output::complain;
use crate::admin::{self, AdminRequest, AdminResponse};
use crate::config::Config;
use crate::http_client::chain;

/// Returns the outpost's answer. `None` without one; standard error then says why.
pub(super) async fn ask(config: &Config, question: &AdminRequest) -> Option<AdminResponse> {
    let keys = SealingKeys::new(&config.keys, Purpose::Operator);
    let url = format!(
        "http://{}{}",
        reachable(config.listen.metrics.first()),
        admin::PATH
    );
    let question = admin::seal_request(&keys, Clock::system().now(), question)?;
    let sent = match client(Duration::from_secs(60)) {
        Ok(client) => client.post(&url).body(question).send().await,
        Err(error) => Err(error),
    };
    let (status, text) = match sent {
        Ok(response) => (response.status(), response.text().await.unwrap_or_default()),
        Err(error) => {
            let error = chain(&error.without_url());
            complain(&format!("{url}: {error}: is the outpost running?"));
            return None;
        }
    };
    match admin::open_response(&keys, &text) {
        None => {
            complain(&format!("{url}: {status}: {}", text.trim()));
            None
        }
        Some(AdminResponse::Wrong(wrong)) => {
            complain(&wrong);
            None
        }
        answer => answer,
    }
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
