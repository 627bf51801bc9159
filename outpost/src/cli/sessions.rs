//! `gatepost session list` and `revoke`, by way of the running outpost: only that process can open
//! the embedded store, and it informs the plugins.

use std::collections::BTreeSet;

use gatepost_base::{Quoted, QuotedList};
use gatepost_session::SessionId;

use super::config_file::ConfigFile;
use super::operator::{ask, time, unexpected};
use super::output::{complain, counted, said, say};
use crate::admin::{AdminRequest, AdminResponse, KeyRequest, SessionSummary};
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
    /// Every session of a person, by the subject at the provider, which `list` shows: not by the name.
    #[arg(long, value_name = "SUBJECT", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Every session there is.
    #[arg(long)]
    everyone: bool,
}

pub(super) async fn list(file: &ConfigFile, limit: usize) -> Option<()> {
    let config = file.load_own()?;
    // One more than is shown says whether there are more.
    let mut sessions = sessions_of(&config, limit.saturating_add(1)).await?;
    let counted = counted("sessions", sessions.len(), limit);
    sessions.truncate(limit);
    for session in &sessions {
        say(&line(session));
    }
    say(&counted);
    Some(())
}

async fn sessions_of(config: &Config, limit: usize) -> Option<Vec<SessionSummary>> {
    match ask(config, &AdminRequest::List { limit }).await? {
        AdminResponse::Sessions(sessions) => Some(sessions),
        _ => unexpected(),
    }
}

/// Returns the line of a session. What its user could have chosen at the provider is quoted, as in the log:
/// it could pass for another line.
fn line(session: &SessionSummary) -> String {
    let username = session.username.as_ref();
    let provider_session = session.provider_session.as_ref();
    format!(
        "{}  {}  {} subject={}  signed in {}, last seen {}, ends {}, session={} in the log{}",
        session.id,
        session.application,
        username.map_or_else(|| "-".to_owned(), |name| Quoted(name).to_string()),
        Quoted(&session.subject),
        time(session.created),
        time(session.last_seen),
        time(session.ends),
        SessionId::parse(&session.id).map_or_else(String::new, |id| id.log_id()),
        provider_session.map_or_else(String::new, |sid| format!(
            ", session at the provider {}",
            Quoted(sid)
        )),
    )
}

pub(super) async fn revoke(file: &ConfigFile, whose: Whose, issuer: Option<String>) -> Option<()> {
    let (config, requests) = match (whose.id, whose.subject) {
        (Some(id), _) if SessionId::parse(&id).is_none() => {
            complain(&format!("this is not the id of a session: {WHERE_IDS_ARE}"));
            return None;
        }
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
    let sum = sum?;
    say(&format!("{sum} sessions ended"));
    if requests.contains(&AdminRequest::RevokeEveryone) {
        tell_of_keys(&config).await?;
    }
    // The revocation holds, whether or not this can be found out.
    if sum == 0
        && let Some(why) = why_none(&config, &requests).await
    {
        complain(&why);
    }
    Some(())
}

/// Where an operator finds the id of a session.
const WHERE_IDS_ARE: &str = "`gatepost session list` shows the ids, at the start of its lines. The \
                             `session=…` of the log is none; the list shows it beside the id";

/// Returns what an operator has to look at whose revocation has ended no session. It is no failure: what
/// had ended before stays ended, and access tokens of a subject are refused all the same.
async fn why_none(config: &Config, requests: &[AdminRequest]) -> Option<String> {
    let subject = requests.iter().find_map(|request| match request {
        AdminRequest::RevokeSubject { subject, .. } => Some(subject),
        _ => None,
    });
    let Some(subject) = subject else {
        return Some(match requests {
            [AdminRequest::RevokeEveryone] => "there is no session".to_owned(),
            _ => format!("no session has this id: {WHERE_IDS_ARE}"),
        });
    };
    let sessions = sessions_of(config, usize::MAX).await?;
    Some(no_session_of(subject, &sessions))
}

/// Returns what to look at where no session has this subject, but one may have a user of that name.
fn no_session_of(subject: &str, sessions: &[SessionSummary]) -> String {
    let shown = Quoted(subject);
    let named = sessions.iter();
    let named = named.filter(|session| session.username.as_deref() == Some(subject));
    let subjects: BTreeSet<String> = named
        .map(|session| format!("`--subject` {}", Quoted(&session.subject)))
        .collect();
    if subjects.is_empty() {
        return format!(
            "no session has the subject {shown}: `gatepost session list` shows the `subject=` of each"
        );
    }
    let subjects: Vec<String> = subjects.into_iter().collect();
    format!(
        "no session has the subject {shown}, which is the name of a user. To end that user's sessions: {}",
        subjects.join(" or ")
    )
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
    use gatepost_session::NumericDate;

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

    fn session(username: &str, subject: &str) -> SessionSummary {
        let at = NumericDate::from_seconds(1_700_000_000);
        SessionSummary {
            id: SessionId::from_random([7; 24]).expose().to_owned(),
            application: "wiki".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            subject: subject.to_owned(),
            provider_session: Some("a\nb".to_owned()),
            username: Some(username.to_owned()),
            created: at,
            last_seen: at,
            ends: at,
        }
    }

    #[test]
    fn a_claim_stays_on_the_line_of_its_session_and_the_subject_is_named() {
        let line = line(&session("\u{1b}[1A\u{1b}[2K\nroot", "u-81"));
        assert!(!line.contains(char::is_control), "{line}");
        assert!(
            line.contains(r"`\u{1b}[1A\u{1b}[2K\nroot` subject=`u-81`"),
            "{line}"
        );
        assert!(line.contains(r"session at the provider `a\nb`"), "{line}");
    }

    #[test]
    fn a_name_in_the_place_of_a_subject_is_told_from_an_unknown_one() {
        let sessions = [session("alice", "u-81"), session("bob", "u-82")];
        let said = no_session_of("alice", &sessions);
        assert!(
            said.contains("--subject` `u-81`") && !said.contains("u-82"),
            "{said}"
        );
        let said = no_session_of("carol", &sessions);
        assert!(
            said.contains("session list") && !said.contains("u-8"),
            "{said}"
        );
    }
}
