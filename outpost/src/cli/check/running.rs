//! Whether the running outpost has this configuration in force: the path from a URL shows what that outpost
//! does, and an operator may check a file that it has not read.

use http::StatusCode;

use super::report::{Report, Subject};
use crate::admin::{AdminRequest, AdminResponse, InForce};
use crate::cli::operator::{NoAnswer, try_to_ask};
use crate::config::Config;
use crate::runtime::Snapshot;

/// Asks the outpost at `listen.metrics`, which may be out of reach from here.
pub(super) async fn check(config: &Config, snapshot: &Snapshot, report: &mut Report) {
    let subject = Subject::Running;
    let address = config.listen.metrics.to_string();
    match try_to_ask(config, &AdminRequest::InForce).await {
        Ok(AdminResponse::InForce(running)) => {
            let differing = running.differing(&InForce::from(snapshot));
            if differing.is_empty() {
                report.note(&subject, "the running outpost has this configuration in force");
            } else {
                report.failure(
                    &subject,
                    format!(
                        "the outpost at {address} runs with another configuration: {}. It reads this \
                         file within seconds if it is its own, and its log says why it does not; a \
                         change of `listen`, `store`, `tracing` or `log` takes a restart",
                        differing.join("; ")
                    ),
                );
            }
        }
        Err(NoAnswer::Refused { status, .. }) if status == StatusCode::FORBIDDEN => report.failure(
            &subject,
            format!(
                "the outpost at {address} runs with other keys than this configuration's, or its clock \
                 is more than a minute from the one here, or it is of another version"
            ),
        ),
        Ok(_) => report.note(
            &subject,
            format!("not compared with the outpost at {address}: it is of another version"),
        ),
        Err(error) => report.note(
            &subject,
            format!("not compared with the running outpost: {error}"),
        ),
    }
}
