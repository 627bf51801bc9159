//! `gatepost why`: which rule decides on a request, and what its sender lacks. `gatepost test`: the
//! same for a table of requests, against what is expected of each.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use clap::Args;
use gatepost_base::Clock;
use gatepost_policy::config::parse_seconds;

use super::config_file::ConfigFile;
use super::output::{complain, said, say};
use crate::config::Config;
use crate::runtime::Snapshot;
use question::{Answer, Question, Sender};
use table::{Case, Described, described};

mod question;
mod table;
#[cfg(test)]
mod tests;

/// The longest cookie that is read, with room for its name.
const MAX_COOKIE_BYTES: u64 = 16 * 1024;

/// A request, and who sends it.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Where the request goes. Its path is taken as it is written.
    #[arg(long)]
    url: String,
    /// Its method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The address of its client, where a proxy vouches for one.
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<IpAddr>,
    /// A session's cookie, or `-` to read it from standard input, where no list of processes shows
    /// it.
    #[arg(long, conflicts_with = "user")]
    cookie: Option<String>,
    /// The name of a user who is signed in. Without this and without a cookie, the request has no session.
    #[arg(long)]
    user: Option<String>,
    /// The groups of the user, with commas between: all of them.
    #[arg(long, value_delimiter = ',', requires = "user")]
    groups: Vec<String>,
    /// The address of the user.
    #[arg(long, requires = "user")]
    email: Option<String>,
    /// A claim of the user, with `|` between the entries of a list. Several times for several.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim, requires = "user")]
    claims: Vec<(String, String)>,
    /// How the user was authenticated: the context class.
    #[arg(long, requires = "user")]
    acr: Option<String>,
    /// How the user was authenticated: the methods, with commas between.
    #[arg(long, value_delimiter = ',', requires = "user")]
    amr: Vec<String>,
    /// How long ago the user authenticated, like `5m`.
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "user")]
    authenticated_ago: Option<u64>,
    /// The user's session is bound to a device.
    #[arg(long, requires = "user")]
    device_bound: bool,
}

fn claim(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("expected a name and a value, like `department=sales`")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<u64, String> {
    parse_seconds(text).ok_or_else(|| "expected a time, like `30s`, `15m` or `8h`".to_owned())
}

/// Prints which rule decides on a request; `None` where that cannot be said.
pub(super) async fn why(asking: Asking, file: &ConfigFile) -> Option<()> {
    let (config, snapshot) = load(file).await?;
    let now = Clock::system().now();
    let sender = match (asking.cookie, asking.user) {
        (Some(cookie), _) if cookie == "-" => Sender::Cookie(from_stdin()?),
        (Some(cookie), _) => Sender::Cookie(cookie),
        (None, None) => Sender::Anonymous,
        (None, Some(user)) => {
            let user = described(Described {
                user,
                groups: asking.groups,
                email: asking.email,
                acr: asking.acr,
                amr: asking.amr,
                authenticated_ago: asking.authenticated_ago,
                claims: asking.claims,
                now,
            });
            Sender::User(Box::new(user), asking.device_bound)
        }
    };
    let question = Question {
        url: asking.url,
        method: asking.method,
        client: asking.client_ip,
        sender,
    };
    let answer = said(question.answer(&config, &snapshot.applications, now))?;
    report(&answer).iter().for_each(|line| say(line));
    Some(())
}

fn report(answer: &Answer) -> Vec<String> {
    let verdict = answer.verdict;
    let mut lines = vec![
        format!("application  {}", answer.application),
        format!("request      {}", answer.request),
        format!("sender       {}", answer.sender),
        format!("decision     {}: {}", verdict.word(), verdict.in_words()),
    ];
    for reason in &answer.reasons {
        lines.push(format!("because      {reason}"));
    }
    if let Some(asked) = &answer.asked_for {
        lines.push(format!("asks for     {asked}"));
    }
    if let Some(note) = &answer.note {
        lines.push(format!("note         {note}"));
    }
    lines
}

/// Compares each case of a table with what is decided, and prints those that differ; `None` where any
/// does, or the table cannot be read.
pub(super) async fn test(table: &Path, file: &ConfigFile) -> Option<()> {
    let (config, snapshot) = load(file).await?;
    let now = Clock::system().now();
    let shown = table.display();
    let yaml = std::fs::read_to_string(table).map_err(|error| format!("{shown}: {error}"));
    let cases = match table::read(&said(yaml)?, now) {
        Ok(cases) => cases,
        Err(problems) => {
            for problem in problems {
                complain(&format!("{shown}: {problem}"));
            }
            return None;
        }
    };
    let mut failed = 0_usize;
    for case in &cases {
        let answer = case.question.answer(&config, &snapshot.applications, now);
        if let Some(difference) = difference(case, answer) {
            failed += 1;
            complain(&format!("{shown}: case {}: {difference}", case.name));
        }
    }
    say(&format!("{} cases, {failed} failed", cases.len()));
    (failed == 0).then_some(())
}

/// Returns what differs from what a case expects, in one line.
fn difference(case: &Case, answer: Result<Answer, String>) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(error),
    };
    let rule = answer.rule.as_deref().unwrap_or("require");
    let right_rule = case.rule.as_deref().is_none_or(|own| own == rule);
    if answer.verdict == case.verdict && right_rule {
        return None;
    }
    let expected = match &case.rule {
        None => case.verdict.word().to_owned(),
        Some(own) => format!("{} by `{own}`", case.verdict.word()),
    };
    let reasons: Vec<String> = answer.reasons.iter().map(ToString::to_string).collect();
    Some(format!(
        "expected {expected}, and it is {} by `{rule}` ({})",
        answer.verdict.word(),
        reasons.join("; and ")
    ))
}

async fn load(file: &ConfigFile) -> Option<(Config, Snapshot)> {
    let config = file.load_or_ask().await?;
    let snapshot = said(Snapshot::new(&config, &Clock::system(), None))?;
    Some((config, snapshot))
}

fn from_stdin() -> Option<String> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(MAX_COOKIE_BYTES)
        .read_to_string(&mut text);
    said(read.map_err(|error| format!("cannot read standard input: {error}")))?;
    Some(text)
}
