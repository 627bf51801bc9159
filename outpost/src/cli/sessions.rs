//! `gatepost session list` and `revoke`, by way of the running outpost: only that process can open
//! the embedded store, and it informs the plugins.

use std::collections::BTreeSet;

use gatepost_session::SessionId;

use super::config_file::ConfigFile;
use super::operator::{ask, time, unexpected};
use super::output::{complain, say};
use crate::admin::{AdminRequest, AdminResponse, KeyRequest};
use crate::application::ApplicationSettings;
use crate::compat::Conventions;
use crate::config::Config;

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
            "{}  {}  {} ({})  signed in {}, last seen {}, ends {}, session={} in the log{}",
            session.id,
            session.application,
            session.username.as_deref().unwrap_or("-"),
            session.subject,
            time(session.created),
            time(session.last_seen),
            time(session.ends),
            SessionId::parse(&session.id).map_or_else(String::new, |id| id.log_id()),
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
    if requests.contains(&AdminRequest::RevokeEveryone) {
        tell_of_keys(&config).await?;
    }
    Some(())
}

/// Tells an operator who has ended every session that API keys go on.
async fn tell_of_keys(config: &Config) -> Option<()> {
    let list = AdminRequest::Keys(KeyRequest::List { limit: usize::MAX });
    let AdminResponse::Keys { keys, unreadable } = ask(config, &list).await? else {
        return unexpected();
    };
    match keys.len() + unreadable.len() {
        0 => {}
        count => say(&format!(
            "{count} API keys stay: `gatepost key list` shows them, and `gatepost key revoke` ends them"
        )),
    }
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
