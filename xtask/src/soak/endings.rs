//! Faults of single sessions: ended by half, ended while they are renewed, locked by the dead.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::User;
use gatepost_e2e::{Client, Redis, Stack};
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};

use super::figures::{Count, Figures, Violation};
use super::people::{People, State, Until, claims};

/// How many sessions are ended by half at a time.
const HALF_ENDED: usize = 5;

/// How many concurrent requests meet a dead replica's lock, or a Redis that does not answer.
const CONCURRENT: usize = 4;

/// How long a request in a window may take on a busy machine, while the lock or Redis takes longer.
const HELD_UP: Duration = Duration::from_secs(5);

/// For the provider to have to be asked again: `session.refreshAfter` of the soak, and a bit.
const REFRESH_DUE: Duration = Duration::from_secs(12);

/// For a request to have come to the provider.
const UNDER_WAY: Duration = Duration::from_millis(700);

/// Requests a page of the application's own paths with this cookie, and measures how long the
/// response took.
fn ask(client: &Client, stack: &Stack, path: &str, cookie: &str) -> Result<Reply> {
    let begun = Instant::now();
    let page = client.page_load(Method::GET, &stack.app().url(path));
    let answer = page.header(COOKIE, format!("gatepost={cookie}")).send()?;
    let fresh = answer.headers().get_all(SET_COOKIE).iter().any(|line| {
        let value = line.to_str().unwrap_or_default();
        value
            .strip_prefix("gatepost=")
            .is_some_and(|value| value.starts_with("ey"))
    });
    Ok(Reply {
        status: answer.status(),
        fresh,
        took: begun.elapsed(),
    })
}

struct Reply {
    status: StatusCode,
    /// Whether it sets a session cookie.
    fresh: bool,
    took: Duration,
}

/// Redis loses sessions without a record of it, and their users sign out.
pub(super) fn end_by_half(
    stack: &Stack,
    redis: &Redis,
    people: &People,
    figures: &Figures,
) -> Result<()> {
    let client = Client::new()?;
    let step = (people.all.len() / HALF_ENDED).max(1);
    for person in people.all.iter().skip(step / 2).step_by(step) {
        let Ok(mut state) = person.state.try_lock() else {
            continue;
        };
        let State::SignedIn(cookie) = state.clone() else {
            continue;
        };
        let id = claims(&cookie)?.sid;
        let id = id.expose();
        redis.ask(&format!("DEL gatepost:session:{id}"))?;
        *state = match ask(&client, stack, "/akprox/sign_out", &cookie) {
            Ok(reply) if reply.status.is_success() || reply.status.is_redirection() => {
                figures.count(Count::HalfEnded);
                State::SignedOut(cookie, Instant::now())
            }
            _ => State::SigningOut(cookie),
        };
    }
    Ok(())
}

/// Signs a user in, and returns a cookie whose renewal asks the provider.
fn due(stack: &Stack, user: &User) -> Result<String> {
    let client = Client::new()?;
    let page = stack.app().url("/");
    client.sign_in(&page, user)?;
    let cookie = client.cookie(&page, stack.app().cookie_name().as_str());
    thread::sleep(REFRESH_DUE);
    cookie.context("a session cookie")
}

/// Signs a user out while the user's renewal waits for the provider.
pub(super) fn overtake(
    stack: &Stack,
    user: &User,
    people: &People,
    figures: &Figures,
) -> Result<()> {
    let cookie = due(stack, user)?;
    let old = people.aged(&cookie, Until::Ended)?;
    stack.provider().pause();
    let renewed = thread::scope(|scope| {
        let renewal = scope.spawn(|| ask(&Client::new()?, stack, "/akprox/start?rd=/", &old));
        thread::sleep(UNDER_WAY);
        let signed_out = ask(&Client::new()?, stack, "/akprox/sign_out", &cookie);
        stack.provider().resume();
        let renewed = renewal.join();
        signed_out?;
        renewed.map_err(|_| anyhow::anyhow!("a thread panicked"))?
    });
    if renewed?.fresh {
        let what = format!("{} has a fresh cookie after signing out", user.login);
        figures.violation(Violation::LetThrough, what);
    }
    let after = ask(&Client::new()?, stack, "/akprox/start?rd=/", &old)?;
    if after.fresh {
        let what = format!("{} was renewed after signing out", user.login);
        figures.violation(Violation::LetThrough, what);
    }
    figures.count(Count::Overtaken);
    Ok(())
}

/// Leaves the lock of a replica that died while it renewed, and sends several requests in the
/// window.
pub(super) fn lock_as_the_dead(
    stack: &Stack,
    redis: &Redis,
    user: &User,
    figures: &Figures,
) -> Result<()> {
    let cookie = due(stack, user)?;
    let id = claims(&cookie)?.sid;
    let id = id.expose();
    let locked = redis.ask(&format!("SET gatepost:renewing:{id} dead EX 60"))?;
    ensure!(locked.contains("OK"), "{locked}");
    send_concurrently(figures, "a dead replica's lock", || {
        ask(&Client::new()?, stack, "/akprox/start?rd=/", &cookie)
    })?;
    figures.add(Count::DeadLocks, u64::try_from(CONCURRENT)?);
    redis.ask(&format!("DEL gatepost:renewing:{id}"))?;
    Ok(())
}

/// Asks about requests in a window, as a proxy does, while Redis does not answer.
pub(super) fn ask_in_vain(stack: &Stack, people: &People, figures: &Figures) -> Result<()> {
    let signed_in = people.all.iter().find_map(|person| {
        let state = person.state.try_lock().ok()?;
        match &*state {
            State::SignedIn(cookie) => Some(cookie.clone()),
            _ => None,
        }
    });
    let cookie = people.aged(&signed_in.context("no user signed in")?, Until::RenewalDue)?;
    let url = stack.outpost_url().join("/akprox/auth/traefik")?;
    let page = stack.app().url("/");
    let host = format!(
        "{}:{}",
        page.host_str().context("a host")?,
        page.port().context("a port")?
    );
    send_concurrently(figures, "a Redis that does not answer", || {
        let begun = Instant::now();
        let question = Client::new()?
            .bare(Method::GET, &url)
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-Host", &host)
            .header("X-Forwarded-Uri", "/")
            .header("Accept", "application/json")
            .header(COOKIE, format!("gatepost={cookie}"));
        let status = question.send()?.status();
        if status != StatusCode::OK {
            let what = format!("a proxy's question: {status}");
            figures.violation(Violation::WindowRefused, what);
        }
        Ok(Reply {
            status,
            fresh: false,
            took: begun.elapsed(),
        })
    })?;
    figures.add(Count::AskedInVain, u64::try_from(CONCURRENT)?);
    Ok(())
}

/// Sends several concurrent requests, none of which may be delayed.
fn send_concurrently(
    figures: &Figures,
    by: &str,
    request: impl Fn() -> Result<Reply> + Sync,
) -> Result<()> {
    let replies: Vec<Result<Reply>> = thread::scope(|scope| {
        let all: Vec<_> = (0..CONCURRENT).map(|_| scope.spawn(&request)).collect();
        let joined = all.into_iter().map(|one| {
            let joined = one.join();
            joined.map_err(|_| anyhow::anyhow!("a thread panicked"))?
        });
        joined.collect()
    });
    for reply in replies {
        let took = reply?.took;
        if took > HELD_UP {
            let what = format!("{by}: {took:?}");
            figures.violation(Violation::HeldUp, what);
        }
    }
    Ok(())
}

/// Damages the file of the store: the outpost no longer knows which sessions were ended, so that no
/// session from before may be accepted.
pub(super) fn damage(
    stack: &Stack,
    store: &std::path::Path,
    people: &People,
    figures: &Figures,
) -> Result<()> {
    let cookies: Vec<String> = people
        .all
        .iter()
        .filter_map(|person| match &*person.state.try_lock().ok()? {
            State::SignedIn(cookie) | State::SignedOut(cookie, _) => Some(cookie.clone()),
            State::SigningOut(_) | State::Unknown => None,
        })
        .take(20)
        .collect();
    stack.outpost().stop();
    let mut bytes = std::fs::read(store)?;
    for byte in bytes.iter_mut().skip(64) {
        *byte ^= 0x5a;
    }
    std::fs::write(store, bytes)?;
    stack.outpost().start()?;
    thread::sleep(super::KEYS_ARE_READ);
    let client = Client::new()?;
    for cookie in &cookies {
        let in_force = people.aged(cookie, Until::RenewalDue)?;
        let reply = client
            .fetch(Method::GET, &stack.app().url("/"))
            .header(COOKIE, format!("gatepost={in_force}"))
            .send()?;
        if reply.status() == StatusCode::OK {
            let what = "a session of a file that was damaged".to_owned();
            figures.violation(Violation::LetThrough, what);
        } else {
            figures.count(Count::Damaged);
        }
    }
    Ok(())
}
