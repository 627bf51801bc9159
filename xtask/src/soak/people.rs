//! Who has a session, and how they got it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_e2e::users::User;
use gatepost_e2e::{Client, Stack};
use gatepost_session::{Claims, NumericDate, SessionId};
use gatepost_signing::Signer;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::APPLICATION;
use super::figures::{Count, Figures, Violation};
use crate::build;

/// What a reader of the figures has to know.
pub(super) const HONESTLY: &str = "\
The sessions in the store were put there by the store's own code while the outpost was down, and \
their first cookies were signed with the outpost's key: ten thousand sign-ins would measure the \
provider. Their provider is taken for asked already. The sign-ins are whole ones, by form and \
password, and their renewals ask the provider. Time passes by signing a user's cookie again with \
earlier times. The clock that jumps is the outpost's: Traefik asks the kernel for the time.";

/// How long a window is, and when its renewal is due, in seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    window: u64,
    renew_after: u64,
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A person's browser.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) state: Mutex<State>,
}

/// The state of the browser.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// A session with this cookie.
    SignedIn(String),
    /// Had this cookie when it signed out.
    SignedOut(String, Instant),
    /// Asked with this cookie to sign out, got no answer that says whether it has, and asks again.
    SigningOut(String),
    /// Nothing that could be relied on.
    Unknown,
}

/// All users whose session was put into the store.
pub(super) struct People {
    pub(super) all: Vec<Person>,
    signer: Signer,
}

impl People {
    /// Fills the store of an outpost that is not running, with the program of `xtask/fill-store/`.
    pub(super) fn in_store(stack: &Stack, count: usize) -> Result<Self> {
        let config = stack.folder().join("gatepost.yaml");
        let settings: Value = serde_json::from_str(&fs::read_to_string(&config)?)?;
        let issuer = settings.pointer("/providers/0/issuer");
        let issuer = issuer.and_then(Value::as_str).context("an issuer")?;
        let signer = Signer::new(&stack.keys().ring()?);
        let now = now();
        let mut filler = Command::new(build::fill_store_path())
            .arg(&config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the program that fills the store")?;
        let times = times(&mut filler)?;
        let mut lines = String::new();
        let mut all = Vec::new();
        for number in 0..count {
            let name = format!("stored-{number:05}");
            let claims = make(issuer, &name, now, times)?;
            lines.push_str(&serde_json::to_string(&claims)?);
            lines.push('\n');
            let state = Mutex::new(State::SignedIn(signer.sign(&claims)?));
            all.push(Person { name, state });
        }
        let mut input = filler.stdin.take().context("a pipe")?;
        input.write_all(lines.as_bytes())?;
        drop(input);
        ensure!(filler.wait()?.success(), "the store cannot be filled");
        Ok(Self { all, signer })
    }

    /// Returns this cookie as it is when its window's renewal is due, or when its window has ended.
    pub(super) fn aged(&self, cookie: &str, until: Until) -> Result<String> {
        let claims = aged(claims(cookie)?, until);
        Ok(self.signer.sign(&claims)?)
    }
}

/// What time is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The window is open, and a browser renews beside a page.
    RenewalDue,
    /// The window is open and near its end: a page load renews.
    LastQuarter,
    /// The window has ended.
    Ended,
}

/// Returns the times of the outpost's sessions, which the program that fills its store says first.
fn times(filler: &mut Child) -> Result<Times> {
    let output = filler.stdout.take().context("a pipe")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let (window, renew_after) = line.trim_end().split_once(' ').context("two times")?;
    Ok(Times {
        window: window.parse()?,
        renew_after: renew_after.parse()?,
    })
}

fn make(issuer: &str, name: &str, now: u64, times: Times) -> Result<Claims> {
    let mut random = [0; 24];
    getrandom::fill(&mut random)?;
    Ok(serde_json::from_value(json!({
        "iss": issuer, "sub": format!("subject-of-{name}"), "aud": APPLICATION,
        "sid": SessionId::from_random(random).expose(),
        "iat": now, "exp": now + times.window, "rnw": now + times.renew_after,
        "preferred_username": name, "groups": ["staff"],
    }))?)
}

/// Reads the claims of a cookie without verifying it: the soak test made it itself.
pub(super) fn claims(cookie: &str) -> Result<Claims> {
    let payload = cookie.split('.').nth(1).context("a token")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

/// Returns the id of the key that signed a cookie.
pub(super) fn key_id(cookie: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(cookie.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    Some(header.get("kid")?.as_str()?.to_owned())
}

fn aged(mut claims: Claims, until: Until) -> Claims {
    let now = now();
    let window = claims
        .exp
        .as_seconds()
        .saturating_sub(claims.iat.as_seconds());
    let due = claims
        .rnw
        .as_seconds()
        .saturating_sub(claims.iat.as_seconds());
    let issued = match until {
        Until::RenewalDue => now.saturating_sub(due + 1),
        Until::LastQuarter => now.saturating_sub(window - window / 4 + 1),
        Until::Ended => now.saturating_sub(window + 1),
    };
    claims.iat = NumericDate::from_seconds(issued);
    claims.rnw = NumericDate::from_seconds(issued + due);
    claims.exp = NumericDate::from_seconds(issued + window);
    claims
}

/// Returns the accounts of the users who sign in, as changes to the provider's configuration.
pub(super) fn accounts(count: usize) -> Value {
    let users: Map<String, Value> = (0..count)
        .map(|number| {
            let login = login(number);
            let user = json!({
                "sub": format!("subject-of-{login}"), "password": login, "name": login,
                "email": format!("{login}@example.com"), "groups": ["staff"],
            });
            (login, user)
        })
        .collect();
    json!({ "users": users })
}

fn login(number: usize) -> String {
    format!("person-{number:03}")
}

/// Returns the user of this number among the accounts, for the length of the run.
pub(super) fn user(number: usize) -> User {
    // A few bytes each.
    let login: &'static str = Box::leak(login(number).into_boxed_str());
    User {
        login,
        password: login,
    }
}

/// A user who has signed in by form and password.
pub(super) struct SignedIn {
    client: Client,
    user: User,
    /// Since when the provider knows of it.
    since: Instant,
    /// Whether an answer is missing that may have had a new refresh token in it.
    shaky: bool,
}

/// Signs people in.
pub(super) fn sign_in(stack: &Stack, count: usize) -> Result<Vec<SignedIn>> {
    (0..count)
        .map(|number| {
            let user = user(number);
            let login = user.login;
            let client = Client::new()?;
            let journey = client.sign_in(&stack.app().url("/"), &user)?;
            ensure!(journey.landed.body == login, "{journey}");
            Ok(SignedIn {
                client,
                user,
                since: Instant::now(),
                shaky: false,
            })
        })
        .collect()
}

/// Has those who signed in load pages, each after its window has ended.
pub(super) fn visit(
    stack: &Stack,
    mut people: Vec<SignedIn>,
    figures: &Figures,
    stopped: &AtomicBool,
) -> Result<()> {
    figures.add(Count::SignIns, u64::try_from(people.len())?);
    let signer = Signer::new(&stack.keys().ring()?);
    let page = stack.app().url("/");
    let cookie_name = stack.app().cookie_name();
    let mut turn = 0;
    while !stopped.load(Ordering::Relaxed) && !people.is_empty() {
        let at = turn % people.len();
        turn += 1;
        let Some(person) = people.get_mut(at) else {
            continue;
        };
        let name = cookie_name.as_str();
        if let Some(cookie) = person.client.cookie(&page, name).filter(|c| !c.is_empty()) {
            let old = signer.sign(&aged(claims(&cookie)?, Until::Ended))?;
            person
                .client
                .add_cookie(&page, &format!("{name}={old}; Path=/"));
        }
        match person.client.open(&page) {
            Ok(journey)
                if journey.landed.status == StatusCode::OK && journey.landed.url == page =>
            {
                if journey.landed.body != person.user.login {
                    let seen = &journey.landed.body;
                    let what = format!("{} was taken for {seen}", person.user.login);
                    figures.violation(Violation::AnotherIdentity, what);
                }
                figures.count(Count::Refreshed);
                person.shaky = false;
            }
            Ok(journey) if journey.landed.body.contains("type=\"password\"") => {
                // A provider that was restarted keeps nothing and knows no session.
                let forgotten = figures.provider_started_after(person.since);
                if !forgotten && !person.shaky {
                    let what = format!("{} has to sign in again: {journey}", person.user.login);
                    figures.violation(Violation::SessionLost, what);
                }
                if person.client.sign_in(&page, &person.user).is_ok() {
                    figures.count(Count::SignIns);
                    person.since = Instant::now();
                    person.shaky = false;
                }
            }
            Ok(_) | Err(_) => {
                person.shaky = true;
                figures.count(Count::NotAnswered);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
    Ok(())
}
