//! `gatepost check`: everything that can be known before a user signs in.

use clap::ValueEnum;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use crate::runtime::Snapshot;
use report::Report;

mod applications;
mod configuration;
mod login_path;
mod providers;
mod report;

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
    format: ReportFormat,
) -> Option<()> {
    let config = file.load_or_ask().await?;
    let snapshot = match Snapshot::new(&config, None) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            complain(&error);
            return None;
        }
    };
    let mut report = Report::default();
    configuration::note(&config, &mut report);
    providers::check(&snapshot, &mut report).await;
    applications::check(&snapshot, &config.keys, &mut report);
    configuration::check_store(&config, &mut report).await;
    configuration::warn(&config, &mut report);
    if let Some(url) = url {
        login_path::check(&snapshot, &config.keys, url, &mut report).await;
    }
    say(&match format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
    });
    report.is_ok().then_some(())
}
