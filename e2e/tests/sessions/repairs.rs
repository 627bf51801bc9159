//! Row B1: endings that were half done, and that repeating them repairs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Redis, Stack, built, forge, pass, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{PATIENCE, kill};

/// Returns a browser with the session cookie of another, as a thief has who copied it.
fn thief(stack: &Stack, client: &Client) -> Result<Client> {
    let page = stack.app().url("/");
    let name = stack.app().cookie_name();
    let cookie = client.cookie(&page, name.as_str()).context("a cookie")?;
    let thief = Client::new()?;
    thief.add_cookie(&page, &format!("{}={cookie}; Path=/", name.as_str()));
    Ok(thief)
}

/// Returns the session's id of a browser.
fn session_of(stack: &Stack, client: &Client) -> Result<String> {
    let name = stack.app().cookie_name();
    let cookie = client.cookie(&stack.app().url("/"), name.as_str());
    let claims = forge::claims(&cookie.context("a cookie")?)?;
    Ok(claims["sid"].as_str().context("a session")?.to_owned())
}

fn status(stack: &Stack, client: &Client) -> Result<StatusCode> {
    let page = stack.app().url("/");
    Ok(client.fetch(Method::GET, &page).send()?.status())
}

/// Waits until the plugin refuses a cookie whose window is in force.
fn is_refused(stack: &Stack, client: &Client) -> Result<()> {
    until("the plugin to refuse the cookie", PATIENCE, || {
        Ok((status(stack, client)? == StatusCode::UNAUTHORIZED).then_some(()))
    })
}

fn gatepost(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let mut command = built::gatepost()?;
    command.arg("session").args(arguments).arg("--config");
    let output = command.arg(stack.folder().join("gatepost.yaml")).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Row B1: Redis has dropped the session, and the data for its revocation is missing.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_ending_that_redis_did_by_half_is_repaired_by_another() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder()
        .outpost(&json!({ "store": redis.store() }))
        .revoked_file()
        .start()?;
    let page = stack.app().url("/");
    for (case, repair) in [
        ("sign-out", None),
        ("by its id", Some("--id")),
        ("by the person", Some("--subject")),
    ] {
        let alice = Client::new()?;
        alice.sign_in(&page, &ALICE)?;
        let copied = thief(&stack, &alice)?;
        let id = session_of(&stack, &alice)?;
        let dropped = redis.ask(&format!("DEL gatepost:session:{id}"))?;
        ensure!(dropped.starts_with(":1"), "{case}: {dropped}");
        pass(Duration::from_secs(3));
        assert_eq!(status(&stack, &copied)?, StatusCode::OK, "{case}");
        match repair {
            None => {
                alice.open(&stack.app().url("/akprox/sign_out"))?;
            }
            Some("--id") => {
                gatepost(&stack, &["revoke", "--id", &id])?;
            }
            Some(_) => {
                gatepost(&stack, &["revoke", "--subject", "248289761001"])?;
            }
        }
        is_refused(&stack, &copied)?;
        pass(Duration::from_secs(2));
    }
    Ok(())
}

/// Row B1: a user who signs out while Redis is away sees an error, and is signed out when Redis is
/// back.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_sign_out_while_redis_is_away_is_made_up_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder()
        .outpost(&json!({ "store": redis.store() }))
        .revoked_file()
        .start()?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    let copied = thief(&stack, &alice)?;
    let id = session_of(&stack, &alice)?;
    redis.kill();
    let sign_out = stack.app().url("/akprox/sign_out");
    let answer = alice.page_load(Method::GET, &sign_out).send()?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    is_refused(&stack, &copied)?;
    redis.start_again()?;
    until("the session to be gone", PATIENCE, || {
        let there = redis.ask(&format!("EXISTS gatepost:session:{id}"))?;
        Ok(there.starts_with(":0").then_some(()))
    })?;
    let revoked = redis.ask("ZRANGE gatepost:revoked 0 -1")?;
    assert!(revoked.contains(&id), "{revoked}");
    Ok(())
}

/// Row B1: a session that a full store has pushed out is over, for the plugin too.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_session_that_is_pushed_out_of_a_full_store_is_refused() -> Result<()> {
    let stack = Stack::builder()
        .outpost(&json!({ "store": { "maxSessions": 1 } }))
        .revoked_file()
        .start()?;
    let page = stack.app().url("/");
    let (alice, carol) = (Client::new()?, Client::new()?);
    alice.sign_in(&page, &ALICE)?;
    carol.sign_in(&page, &ALICE)?;
    is_refused(&stack, &alice)?;
    assert_eq!(status(&stack, &carol)?, StatusCode::OK);
    Ok(())
}

/// How a store begins again without what it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BeginsAgain {
    /// With its process.
    Memory,
    /// Its container has lost the volume.
    WithoutFile,
    /// Its file was cut to nothing.
    EmptyFile,
    /// Redis was emptied while the outpost did not run.
    Redis,
    /// Redis was emptied while the outpost ran, which is then replaced.
    RunningOnRedis,
}

/// Row B1: a store that begins again has forgotten with its sessions which of them were ended.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn what_was_signed_out_stays_so_when_a_store_begins_again() -> Result<()> {
    for case in [
        BeginsAgain::Memory,
        BeginsAgain::WithoutFile,
        BeginsAgain::EmptyFile,
        BeginsAgain::Redis,
        BeginsAgain::RunningOnRedis,
    ] {
        stays_signed_out(case).with_context(|| format!("{case:?}"))?;
    }
    Ok(())
}

fn stays_signed_out(case: BeginsAgain) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let settings = match case {
        BeginsAgain::Memory => json!({ "store": { "kind": "memory", "path": null } }),
        BeginsAgain::WithoutFile | BeginsAgain::EmptyFile => json!({}),
        BeginsAgain::Redis | BeginsAgain::RunningOnRedis => {
            json!({ "store": redis.store() })
        }
    };
    let stack = Stack::builder().outpost(&settings).revoked_file().start()?;
    let page = stack.app().url("/");
    let (alice, staying) = (Client::new()?, Client::new()?);
    alice.sign_in(&page, &ALICE)?;
    staying.sign_in(&page, &ALICE)?;
    let copied = thief(&stack, &alice)?;
    // For the cookies to be of another second than the next process.
    pass(Duration::from_secs(3));
    alice.open(&stack.app().url("/akprox/sign_out"))?;
    if case == BeginsAgain::RunningOnRedis {
        redis.ask("FLUSHALL")?;
        until("the outpost to notice", PATIENCE, || {
            let list = redis.ask("ZRANGE gatepost:revoked 0 -1")?;
            Ok(list.contains(r#""what":"lost""#).then_some(()))
        })?;
    }
    // Immediately: the revocation may not have been passed on yet.
    kill(stack.outpost())?;
    let file = stack.folder().join("sessions.db");
    match case {
        BeginsAgain::Memory | BeginsAgain::RunningOnRedis => {}
        BeginsAgain::WithoutFile => std::fs::remove_file(file)?,
        BeginsAgain::EmptyFile => std::fs::write(file, "")?,
        BeginsAgain::Redis => drop(redis.ask("FLUSHALL")?),
    }
    stack.outpost().start()?;
    is_refused(&stack, &copied)?;
    // Traefik runs several guests of the plugin, and each looks at the list every two seconds by
    // itself: the next request may meet one that has the list from before.
    pass(Duration::from_secs(3));
    // Another list in the place of the one before says no less.
    let carol = Client::new()?;
    carol.sign_in(&page, &ALICE)?;
    carol.open(&stack.app().url("/akprox/sign_out"))?;
    for _ in 0..6 {
        pass(Duration::from_secs(1));
        assert_eq!(status(&stack, &copied)?, StatusCode::UNAUTHORIZED);
    }
    // Who was there signs in again, which the provider answers without a question.
    let journey = staying.open(&page)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// Row B1: the outpost is killed after it has written that a session is over, and before Redis has
/// let it remove the session.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_ending_that_a_kill_left_half_done_is_finished_at_the_next_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder()
        .outpost(&json!({ "store": redis.store() }))
        .revoked_file()
        .start()?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    let id = session_of(&stack, &alice)?;
    // Sessions can be read and not removed.
    let lists = "~gatepost:revoked ~gatepost:sessions ~gatepost:owner:* ~gatepost:used:*";
    redis.ask(&format!(
        "ACL SETUSER default resetkeys %R~gatepost:session:* {lists}"
    ))?;
    let sign_out = stack.app().url("/akprox/sign_out");
    let answer = alice.page_load(Method::GET, &sign_out).send()?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let revoked = redis.ask("ZRANGE gatepost:revoked 0 -1")?;
    assert!(revoked.contains(&id), "{revoked}");
    kill(stack.outpost())?;
    redis.ask("ACL SETUSER default allkeys")?;
    let exists = format!("EXISTS gatepost:session:{id}");
    assert!(redis.ask(&exists)?.starts_with(":1"), "half done");
    stack.outpost().start()?;
    until("the session to be gone", PATIENCE, || {
        Ok(redis.ask(&exists)?.starts_with(":0").then_some(()))
    })
}
