//! `gatepost key create`, `list` and `revoke`, by way of the running outpost.

use gatepost_base::{Quoted, QuotedList};
use gatepost_policy::config::parse_seconds;

use super::config_file::ConfigFile;
use super::operator::{ask, time, unexpected};
use super::output::{complain, counted, hand_over, say};
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

/// Returns the seconds of a duration with its unit. Elsewhere a number alone is one of seconds, and the
/// operator who writes `90` means days here.
fn lifetime(text: &str) -> Result<u64, String> {
    let has_unit = text
        .trim_end()
        .ends_with(|last: char| last.is_ascii_alphabetic());
    parse_seconds(text)
        .filter(|_| has_unit)
        .ok_or_else(|| "write a duration with its unit, like `90d`, `12h` or `30m`".to_owned())
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
        Quoted(&summary.subject),
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
    // One more than is shown says whether there are more.
    let request = AdminRequest::Keys(KeyRequest::List {
        limit: limit.saturating_add(1),
    });
    let AdminResponse::Keys { keys, unreadable } = ask(&config, &request).await? else {
        return unexpected();
    };
    for key in keys.iter().take(limit) {
        say(&line(key));
    }
    for id in unreadable.iter().take(limit.saturating_sub(keys.len())) {
        say(&format!(
            "{id}  cannot be read: sealed with a key that is not in `keys`"
        ));
    }
    say(&counted("keys", keys.len() + unreadable.len(), limit));
    Some(())
}

/// Returns what rules know of a key besides its subject.
fn rights(key: &KeySummary) -> String {
    let groups = match key.groups.as_slice() {
        [] => "no groups".to_owned(),
        groups => format!("groups {}", QuotedList(groups)),
    };
    match &key.email {
        Some(email) => format!("{groups}, address {}", Quoted(email)),
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
        "{}  subject={}  for {}  {rights}  created {}, ends {}, {used}",
        key.id,
        Quoted(&key.subject),
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
        complain(&"there is no such key: `gatepost key list` shows ids and subjects");
        return None;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_unit() {
        for (text, expected) in [
            ("90d", Some(90 * 24 * 3_600)),
            ("30s", Some(30)),
            ("90", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(lifetime(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_an_operator_wrote_stays_on_the_line_of_its_key() {
        let at = gatepost_session::NumericDate::from_seconds(1_700_000_000);
        let line = line(&KeySummary {
            id: "CiCiCiCiCi01".to_owned(),
            subject: "a\u{202e}b".to_owned(),
            email: Some("c\u{1b}".to_owned()),
            groups: vec!["d\ne".to_owned()],
            applications: vec!["wiki".to_owned()],
            created: at,
            ends: at,
            last_used: None,
            uses: 0,
        });
        let is_clear = !line.contains(|each: char| each.is_control() || each == '\u{202e}');
        assert!(is_clear && line.contains("subject=`a"), "{line}");
    }
}
