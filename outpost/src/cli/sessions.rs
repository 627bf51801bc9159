//! `gatepost session list` and `revoke`, by way of the running outpost: only that process can open
//! the embedded store, and it informs the plugins.

use std::collections::BTreeSet;

use gatepost_base::QuotedList;
use gatepost_session::SessionId;

use super::config_file::ConfigFile;
use super::operator::{ask, time, unexpected};
use super::output::{said, say};
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
            let issuers = said(issuers_of(&config, issuer))?.into_iter();
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

/// A subject of which it is not known who names it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--issuer is missing: there are several, {}", QuotedList(.0))]
struct IssuerMissing(Vec<String>);

/// Returns the issuers by whose word a subject is a user or a machine client: the given one, the only
/// one, or all where there is authentik, which knows a user by one subject at each of its providers.
fn issuers_of(config: &Config, given: Option<String>) -> Result<BTreeSet<String>, IssuerMissing> {
    let of_authentik = |application: &ApplicationSettings| {
        application.capabilities.conventions == Conventions::Authentik
    };
    if let Some(issuer) = given {
        return Ok(BTreeSet::from([issuer]));
    }
    let of_users = config.providers.iter();
    let of_users = of_users.map(|known| known.issuer.to_string());
    let machines = config.applications.iter();
    let machines = machines.filter_map(|application| application.machine_clients.as_ref());
    let of_machines = machines.flat_map(|machines| &machines.issuers);
    let of_machines = of_machines.map(|issuer| issuer.tokens.issuer.clone());
    let all: BTreeSet<String> = of_users.chain(of_machines).collect();
    if all.len() == 1 || config.applications.iter().any(of_authentik) {
        Ok(all)
    } else {
        Err(IssuerMissing(all.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuers(applications: &str) -> Result<BTreeSet<String>, IssuerMissing> {
        let config = format!(
            "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers:
  - {{name: main, issuer: 'https://id.example.com', clientId: a, clientSecret: b}}
applications: [{applications}]
"
        );
        issuers_of(&Config::parse(&config, []).expect("a configuration"), None)
    }

    /// A token of a cluster is not revoked where the command asks for the users of the provider alone.
    #[test]
    fn a_subject_may_be_of_any_issuer_whose_tokens_are_accepted() {
        let app = "{name: app, externalUrl: 'https://app.example.com'}";
        let api = "{name: api, externalUrl: 'https://api.example.com', machines: bearer,
            machineTokens: {issuers: [{issuer: 'https://cluster.example.com', audience: [api]}]}}";
        let (user, machine) = ("https://id.example.com", "https://cluster.example.com");
        assert_eq!(issuers(app), Ok(BTreeSet::from([user.to_owned()])));
        let several = IssuerMissing(vec![machine.to_owned(), user.to_owned()]);
        assert_eq!(issuers(&format!("{app}, {api}")), Err(several));
    }
}
