//! A table of requests, and of what has to be decided on each.

use std::net::IpAddr;

use gatepost_base::Identity;
use gatepost_policy::config::{Fields, Problems, Value};
use gatepost_session::NumericDate;

use super::question::{Question, Sender, Verdict};

/// A request, and what has to be decided on it.
#[derive(Debug)]
pub(super) struct Case {
    /// Its name for people.
    pub(super) name: String,
    pub(super) question: Question,
    pub(super) verdict: Verdict,
    /// The rule that has to decide; `require` for the short form.
    pub(super) rule: Option<String>,
}

/// Reads a table: YAML with a list of `cases`.
///
/// # Errors
///
/// Every problem with it.
pub(super) fn read(yaml: &str, now: NumericDate) -> Result<Vec<Case>, Vec<String>> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).map_err(|error| {
        let text = error.to_string();
        vec![text.lines().next().unwrap_or("not YAML").to_owned()]
    })?;
    let value = Value::from(&value);
    let problems = Problems::new();
    let mut cases = Vec::new();
    if let Some(mut fields) = Fields::of(&value, "", &problems) {
        for (at, section) in fields.sections("cases").into_iter().enumerate() {
            cases.extend(case(section, at, now));
        }
        fields.finish();
    }
    if problems.is_empty() && cases.is_empty() {
        problems.add(
            "cases",
            "missing: a list of requests, each with what is expected",
        );
    }
    let problems = problems.into_vec();
    if problems.is_empty() {
        return Ok(cases);
    }
    Err(problems.iter().map(ToString::to_string).collect())
}

fn case(mut fields: Fields<'_>, at: usize, now: NumericDate) -> Option<Case> {
    let name = fields.text("name");
    let url = fields.required_text("url", "where the request goes");
    let method = fields.text("method").unwrap_or_else(|| "GET".to_owned());
    let client = fields.parsed("client", |text| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("`{text}` is not an address"))
    });
    let verdict = fields.choice("expect", &Verdict::WORDS);
    if fields.value("expect").is_none() {
        fields.problem(
            "expect",
            "missing: allow, anonymous, sign-in, step-up or deny",
        );
    }
    let rule = fields.text("rule");
    let device_bound = fields.flag("deviceBound").unwrap_or(false);
    let user = fields.text("user");
    let cookie = fields.text("cookie");
    let is_described = user.is_some();
    let own = fields.asked().len();
    let identity = identity(&mut fields, user.unwrap_or_default(), now);
    let further = fields.asked().get(own..).unwrap_or_default().to_vec();
    if !is_described && (device_bound || further.iter().any(|key| fields.value(key).is_some())) {
        fields.problem("user", "missing: whose groups and claims these are");
    }
    let sender = match (is_described, cookie) {
        (true, Some(_)) => {
            fields.problem("cookie", "cannot be combined with `user`");
            Sender::Anonymous
        }
        (true, None) => Sender::User(Box::new(identity), device_bound),
        (false, Some(cookie)) => Sender::Cookie(cookie),
        (false, None) => Sender::Anonymous,
    };
    fields.finish();
    Some(Case {
        name: name.unwrap_or_else(|| (at + 1).to_string()),
        question: Question {
            url: url?,
            method,
            client,
            sender,
        },
        verdict: verdict?,
        rule,
    })
}

/// Reads what a session says of a user.
fn identity(fields: &mut Fields<'_>, user: String, now: NumericDate) -> Identity {
    let claims = fields.lists("claims");
    let claims: Vec<(String, String)> = claims
        .into_iter()
        .map(|(name, values)| (name, values.join("|")))
        .collect();
    let ago = fields.seconds("authenticatedAgo");
    described(Described {
        user,
        groups: fields.list("groups").unwrap_or_default(),
        email: fields.text("email"),
        acr: fields.text("acr"),
        amr: fields.list("amr").unwrap_or_default(),
        authenticated_ago: ago,
        claims,
        now,
    })
}

/// What is said of a user, in a table or on the command line.
pub(super) struct Described {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
    pub(super) email: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    /// How many seconds ago the user authenticated.
    pub(super) authenticated_ago: Option<u64>,
    /// Claims, a list with `|` between its entries.
    pub(super) claims: Vec<(String, String)>,
    pub(super) now: NumericDate,
}

/// Returns the user. All groups are known, and every claim that is not given is one that the provider
/// does not say.
pub(super) fn described(user: Described) -> Identity {
    let ago = |ago: u64| NumericDate::from_seconds(user.now.as_seconds().saturating_sub(ago));
    Identity {
        subject: user.user.clone(),
        preferred_username: Some(user.user),
        email: user.email,
        groups: user.groups,
        groups_whole: true,
        acr: user.acr,
        amr: user.amr,
        auth_time: user.authenticated_ago.map(ago),
        claims_of_rules: user.claims.iter().map(|(name, _)| name.clone()).collect(),
        extra: user.claims.into_iter().collect(),
        ..Identity::default()
    }
}
