//! `gatepost session list` and `revoke`, by way of the running outpost: the embedded store is its
//! own, and it tells the plugins.

use std::time::Duration;

use chrono::DateTime;
use gatepost_session::{NumericDate, Purpose};

use super::config_file::ConfigFile;
use super::healthcheck::reachable;
use super::output::{complain, say};
use crate::admin::{self, AdminRequest, AdminResponse};
use crate::config::Config;
use gatepost_base::Clock;
use gatepost_base::SealingKeys;

/// Whose sessions to end.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// One session, by the id that `list` shows.
    // One id in 64 begins with a hyphen.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    id: Option<String>,
    /// Every session of a person, by the subject at the provider.
    #[arg(long, value_name = "SUBJECT", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Every session there is.
    #[arg(long)]
    everyone: bool,
}

pub(super) async fn list(file: &ConfigFile, limit: usize) -> Option<()> {
    let config = file.load()?;
    let AdminResponse::Sessions(sessions) = ask(&config, &AdminRequest::List { limit }).await?
    else {
        return unexpected();
    };
    for session in &sessions {
        say(&format!(
            "{}  {}  {} ({})  signed in {}, last seen {}, ends {}",
            session.id,
            session.application,
            session.username.as_deref().unwrap_or("-"),
            session.subject,
            time(session.created),
            time(session.last_seen),
            time(session.ends),
        ));
    }
    say(&format!("{} sessions", sessions.len()));
    Some(())
}

pub(super) async fn revoke(file: &ConfigFile, whose: Whose, issuer: Option<String>) -> Option<()> {
    let config = file.load()?;
    let question = match (whose.id, whose.subject) {
        (Some(id), _) => AdminRequest::RevokeSession { id },
        (None, Some(subject)) => AdminRequest::RevokeSubject {
            issuer: issuer_of(&config, issuer)?,
            subject,
        },
        (None, None) => AdminRequest::RevokeEveryone,
    };
    let AdminResponse::Ended(ended) = ask(&config, &question).await? else {
        return unexpected();
    };
    say(&format!("{ended} sessions ended"));
    Some(())
}

fn issuer_of(config: &Config, given: Option<String>) -> Option<String> {
    match (given, config.providers.as_slice()) {
        (Some(issuer), _) => Some(issuer),
        (None, [only]) => Some(only.issuer.to_string()),
        (None, _) => {
            complain(&"--issuer is missing: there are several providers");
            None
        }
    }
}

async fn ask(config: &Config, question: &AdminRequest) -> Option<AdminResponse> {
    let keys = SealingKeys::new(&config.keys, Purpose::Store);
    let url = format!("http://{}{}", reachable(config.listen.metrics), admin::PATH);
    let question = admin::seal_request(&keys, Clock::system().now(), question)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build();
    let sent = match client {
        Ok(client) => client.post(&url).body(question).send().await,
        Err(error) => Err(error),
    };
    let (status, text) = match sent {
        Ok(response) => (response.status(), response.text().await.unwrap_or_default()),
        Err(error) => {
            complain(&format!("{url}: {error}: is the outpost running?"));
            return None;
        }
    };
    let answer = admin::open_response(&keys, &text);
    if answer.is_none() {
        complain(&format!("{url}: {status}: {}", text.trim()));
    }
    answer
}

fn unexpected<T>() -> Option<T> {
    complain(&"the outpost answers another question: is it of another version?");
    None
}

fn time(at: NumericDate) -> String {
    i64::try_from(at.as_seconds())
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .map(|time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}
