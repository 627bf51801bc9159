//! `gatepost check`: everything that can be known before a user signs in.

use clap::ValueEnum;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use crate::runtime::Snapshot;
use gatepost_base::Clock;
pub(super) use redis::Redis;
use report::{Report, Subject};

mod applications;
mod configuration;
mod login_path;
mod open;
mod providers;
mod redis;
mod report;
mod revoked_file;
mod running;
mod state_dir;
mod store_file;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// Lines for people.
    Text,
    /// One JSON object: `ok`, and `findings` with `severity`, `subject` and `message`.
    Json,
}

/// Checks the configuration, the providers and the path from `url`, and writes the report; `None`
/// where something does not work.
pub(super) async fn check(
    file: &ConfigFile,
    url: Option<&str>,
    redis: Redis,
    format: ReportFormat,
) -> Option<()> {
    let mut report = Report::default();
    let read = file.read_or_ask().await.and_then(|(config, problems)| {
        let snapshot = Snapshot::new(&config, &Clock::system(), None)
            .map_err(|error| vec![error.to_string()])?;
        Ok((config, problems, snapshot))
    });
    let (config, problems, snapshot) = match read {
        Ok(read) => read,
        Err(problems) if format == ReportFormat::Json => {
            for problem in problems {
                report.failure(&Subject::Configuration, problem);
            }
            say(&report.json());
            return None;
        }
        Err(problems) => {
            problems.iter().for_each(complain);
            return None;
        }
    };
    problems.iter().for_each(complain);
    configuration::note(&config, &mut report);
    providers::check(&snapshot, &mut report).await;
    applications::check(&snapshot, &config.keys, &mut report);
    open::check(&config, &mut report);
    configuration::check_store(&config, redis, &mut report).await;
    if let Some(files) = &snapshot.state {
        state_dir::check(files, Clock::system().now(), &mut report);
    }
    revoked_file::check(&config, &mut report);
    configuration::warn(&config, &mut report);
    if let Some(url) = url {
        running::check(&config, &snapshot, &mut report).await;
        login_path::check(&snapshot, &config.keys, url, &mut report).await;
    }
    say(&match format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
    });
    report.is_ok().then_some(())
}
