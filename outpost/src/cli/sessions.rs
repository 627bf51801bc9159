//! `gatepost session list` and `revoke`, by way of the running outpost: only that process can open
//! the embedded store, and it informs the plugins.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use gatepost_session::{NumericDate, Purpose};

use super::config_file::ConfigFile;
use super::healthcheck::reachable;
use super::output::{complain, say};
use crate::admin::{self, AdminRequest, AdminResponse};
use crate::application::ApplicationSettings;
use crate::compat::Conventions;
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
    let config = file.load_own()?;
    let AdminResponse::Sessions(sessions) = ask(&config, &AdminRequest::List { limit }).await?
    else {
        return unexpected();
    };
    for session in &sessions {
        say(&format!(
            "{}  {}  {} ({})  signed in {}, last seen {}, ends {}{}",
            session.id,
            session.application,
            session.username.as_deref().unwrap_or("-"),
            session.subject,
            time(session.created),
            time(session.last_seen),
            time(session.ends),
            match &session.provider_session {
                Some(sid) => format!(", session at the provider {sid}"),
                None => String::new(),
            },
        ));
    }
    say(&format!("{} sessions", sessions.len()));
    Some(())
}

pub(super) async fn revoke(file: &ConfigFile, whose: Whose, issuer: Option<String>) -> Option<()> {
    let (config, requests) = match (whose.id, whose.subject) {
        (Some(id), _) => (file.load_own()?, vec![AdminRequest::RevokeSession { id }]),
        (None, Some(subject)) => {
            let config = file.load_or_ask().await?;
            let issuers = issuers_of(&config, issuer)?.into_iter();
            let revoke = |issuer| AdminRequest::RevokeSubject {
                issuer,
                subject: subject.clone(),
            };
            let requests = issuers.map(revoke).collect();
            (config, requests)
        }
        (None, None) => (file.load_own()?, vec![AdminRequest::RevokeEveryone]),
    };
    let mut sum = Some(0);
    for request in &requests {
        // Each is asked for, whatever becomes of those before.
        let ended = match ask(&config, request).await {
            Some(AdminResponse::Ended(ended)) => Some(ended),
            Some(_) => unexpected(),
            None => None,
        };
        sum = sum.zip(ended).map(|(sum, ended)| sum + ended);
    }
    say(&format!("{} sessions ended", sum?));
    Some(())
}

/// Returns the issuers for which a subject is a user: the given one, the only one, or all of
/// authentik's, which knows a user by one subject at each of its providers.
fn issuers_of(config: &Config, given: Option<String>) -> Option<BTreeSet<String>> {
    let of_authentik = |application: &ApplicationSettings| {
        application.capabilities.conventions == Conventions::Authentik
    };
    let all = config.providers.iter();
    let all: BTreeSet<String> = all.map(|known| known.issuer.to_string()).collect();
    match given {
        Some(issuer) => Some(BTreeSet::from([issuer])),
        None if all.len() == 1 || config.applications.iter().any(of_authentik) => Some(all),
        None => {
            complain(&"--issuer is missing: there are several providers");
            None
        }
    }
}

async fn ask(config: &Config, question: &AdminRequest) -> Option<AdminResponse> {
    let keys = SealingKeys::new(&config.keys, Purpose::Operator);
    let url = format!(
        "http://{}{}",
        reachable(config.listen.metrics.first()),
        admin::PATH
    );
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
