//! `gatepost key create`, `list` and `revoke`, by way of the running outpost.

use gatepost_policy::config::parse_seconds;

use super::config_file::ConfigFile;
use super::operator::{ask, time, unexpected};
use super::output::{complain, hand_over, say};
use crate::admin::{AdminRequest, AdminResponse, CreatedKey, KeyRequest, KeySummary, WhichKeys};
use crate::machine_clients::NewApiKey;

/// The key to create.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Who sends it: the name and subject of the identity that applications see.
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// A group of the sender; several with commas, or the option again.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<String>,
    /// The sender's address, where a rule asks for one.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// An application that accepts the key; several with commas, or the option again.
    #[arg(
        long = "application",
        value_name = "NAME",
        value_delimiter = ',',
        required = true
    )]
    applications: Vec<String>,
    /// How long it lasts, like `90d` or `12h`: at most ten years.
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: u64,
}

/// Which keys to revoke.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// One key, by the id that `list` shows.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Every key of a subject.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Every key there is.
    #[arg(long)]
    all: bool,
}

fn lifetime(text: &str) -> Result<u64, String> {
    parse_seconds(text).ok_or_else(|| "write a duration like `90d`, `12h` or `30m`".to_owned())
}

pub(super) async fn create(file: &ConfigFile, wanted: Wanted) -> Option<()> {
    let config = file.load_own()?;
    let request = AdminRequest::Keys(KeyRequest::Create(NewApiKey {
        subject: wanted.subject,
        email: wanted.email,
        groups: wanted.groups,
        applications: wanted.applications,
        lifetime: wanted.expires,
    }));
    let AdminResponse::CreatedKey(created) = ask(&config, &request).await? else {
        return unexpected();
    };
    let CreatedKey {
        key,
        summary,
        in_memory,
    } = created;
    // Standard output has the key alone, so that a command can take it over.
    complain(&format!(
        "key {} of {} for {}, {}, until {}. It is shown this once:",
        summary.id,
        summary.subject,
        summary.applications.join(", "),
        rights(&summary),
        time(summary.ends),
    ));
    if in_memory {
        complain(&"`store.kind: memory`: the key ends with the outpost's process");
    }
    if let Err(error) = hand_over(&key) {
        complain(&format!(
            "the key could not be written: {error}. Revoke it: gatepost key revoke --id {}",
            summary.id
        ));
        return None;
    }
    Some(())
}

pub(super) async fn list(file: &ConfigFile, limit: usize) -> Option<()> {
    let config = file.load_own()?;
    let request = AdminRequest::Keys(KeyRequest::List { limit });
    let AdminResponse::Keys { keys, unreadable } = ask(&config, &request).await? else {
        return unexpected();
    };
    for key in &keys {
        say(&line(key));
    }
    for id in &unreadable {
        say(&format!(
            "{id}  cannot be read: sealed with a key that is not in `keys`"
        ));
    }
    say(&format!("{} keys", keys.len() + unreadable.len()));
    Some(())
}

/// Returns what rules know of a key besides its subject.
fn rights(key: &KeySummary) -> String {
    let groups = match key.groups.as_slice() {
        [] => "no groups".to_owned(),
        groups => format!("groups {}", groups.join(", ")),
    };
    match &key.email {
        Some(email) => format!("{groups}, address {email}"),
        None => groups,
    }
}

fn line(key: &KeySummary) -> String {
    let rights = rights(key);
    let used = match key.last_used {
        Some(last) => format!("used {} times, last {}", key.uses, time(last)),
        None => "never used".to_owned(),
    };
    format!(
        "{}  {}  for {}  {rights}  created {}, ends {}, {used}",
        key.id,
        key.subject,
        key.applications.join(", "),
        time(key.created),
        time(key.ends),
    )
}

pub(super) async fn revoke(file: &ConfigFile, which: Which) -> Option<()> {
    let config = file.load_own()?;
    let is_all = which.all;
    let which = match (which.id, which.subject) {
        (Some(id), _) => WhichKeys::Id(id),
        (None, Some(subject)) => WhichKeys::Subject(subject),
        (None, None) => WhichKeys::All,
    };
    let request = AdminRequest::Keys(KeyRequest::Revoke(which));
    let answer = ask(&config, &request).await?;
    let AdminResponse::RevokedKeys {
        revoked,
        unreadable,
    } = answer
    else {
        return unexpected();
    };
    say(&format!("{revoked} keys revoked"));
    if unreadable > 0 {
        complain(&format!(
            "{unreadable} keys cannot be read, and may be of this subject: `gatepost key list` shows \
             their ids"
        ));
        return None;
    }
    if revoked == 0 && !is_all {
        complain(&"there is no such key");
        return None;
    }
    Some(())
}
