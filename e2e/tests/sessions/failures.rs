//! Stores that do not answer, are full or are damaged: rows B4, B5 and B6.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Redis, Site, SmallDisk, Stack, at_once, left_out, pass, until};
use nix::unistd::geteuid;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::groups::many_groups;
use crate::{PATIENCE, grants};

/// Row B4: a replica has died while it renewed, and its lock is still there.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn the_lock_of_a_dead_replica_delays_no_user_whose_window_is_in_force() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder()
        .outpost(&json!({
            "session": { "window": "1h", "refreshAfter": "3s" },
            "store": redis.store(),
        }))
        .start()?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    let keys = redis.ask("KEYS gatepost:session:*")?;
    let key = keys.lines().find(|line| line.contains(":session:"));
    let id = key.and_then(|key| key.trim().rsplit(':').next());
    let id = id.context("a session")?;
    let locked = redis.ask(&format!("SET gatepost:renewing:{id} dead EX 60"))?;
    ensure!(locked.contains("OK"), "{locked}");
    pass(Duration::from_secs(4));
    let start = stack.app().url("/akprox/start?rd=/");
    let begun = Instant::now();
    let statuses = at_once(0..4, |_| {
        Ok(alice.page_load(Method::GET, &start).send()?.status())
    });
    let waited = begun.elapsed();
    for status in statuses {
        assert_eq!(status?, StatusCode::FOUND);
    }
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(grants(&stack, "refresh_token"), 0);
    // The next renewal that finds the lock gone asks.
    redis.ask(&format!("DEL gatepost:renewing:{id}"))?;
    until("the provider to be asked", PATIENCE, || {
        alice.page_load(Method::GET, &start).send()?;
        Ok((grants(&stack, "refresh_token") == 1).then_some(()))
    })
}

/// Row B6: packets to Redis are dropped, and not refused.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_redis_that_does_not_answer_delays_no_user_whose_window_is_in_force() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    for renew_after in ["40m", "1s"] {
        let site = Site::builder("deploy/outpost/single.yaml")
            .outpost(&json!({
                "session": { "window": "1h", "renewAfter": renew_after },
                "store": redis.store(),
            }))
            .start()?;
        let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
            .start(&["wiki"])?;
        let page = site.url("wiki", "/")?;
        let alice = Client::new()?;
        alice.sign_in(&page, &ALICE)?;
        pass(Duration::from_secs(2));
        redis.pause();
        let mut waited = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            let asked = Instant::now();
            let status = alice.fetch(Method::GET, &page).send()?.status();
            waited.push(asked.elapsed());
            assert_eq!(status, StatusCode::OK);
        }
        redis.resume();
        // The first finds out, and a busy machine takes its time now and then. Where every request asked
        // Redis, every one would wait for it in vain.
        waited.sort_unstable();
        let usual = waited[waited.len() * 3 / 4];
        assert!(usual < Duration::from_millis(900), "{waited:?}");
        // And it is asked again when it is back.
        let sign_out = site.url("wiki", "/akprox/sign_out")?;
        until("sessions to end again", PATIENCE, || {
            let status = alice.page_load(Method::GET, &sign_out).send()?.status();
            Ok((status != StatusCode::SERVICE_UNAVAILABLE).then_some(()))
        })?;
        let status = alice.fetch(Method::GET, &page).send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    Ok(())
}

/// Returns the status of `/readyz/store`.
fn readiness(stack: &Stack) -> Result<StatusCode> {
    let config = fs::read_to_string(stack.folder().join("gatepost.yaml"))?;
    let settings: Value = serde_json::from_str(&config)?;
    let metrics = settings["listen"]["metrics"].as_str().context("listens")?;
    let url = Url::parse(&format!("http://{metrics}/readyz/store"))?;
    Ok(Client::new()?.bare(Method::GET, &url).send()?.status())
}

/// Row B5: a disk that was full once.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_store_whose_disk_was_full_goes_on_when_there_is_room() -> Result<()> {
    if !geteuid().is_root() {
        left_out("only the superuser can mount a small file system");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let disk = SmallDisk::mount(folder.path(), 4)?;
    let stack = Stack::builder()
        .outpost(&json!({ "store": { "path": folder.path().join("sessions.db") } }))
        // Sessions of a size that soon takes the room that the file has left in it.
        .provider(&many_groups())
        .start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    assert_eq!(readiness(&stack)?, StatusCode::OK);
    disk.fill()?;
    // A write takes room, if only for a moment.
    until("the store to notice", PATIENCE, || {
        let _ = Client::new()?.sign_in(&page, &ALICE);
        Ok((readiness(&stack)? == StatusCode::SERVICE_UNAVAILABLE).then_some(()))
    })?;
    let status = alice.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::OK, "the window is open");
    disk.free()?;
    until("the store to be ready", PATIENCE, || {
        Ok((readiness(&stack)? == StatusCode::OK).then_some(()))
    })?;
    Client::new()?.sign_in(&page, &ALICE)?;
    // Sessions from before are still there.
    let start = stack.app().url("/akprox/start?rd=/");
    let renewed = alice.page_load(Method::GET, &start).send()?;
    let location = renewed.headers().get("location").context("a redirect")?;
    assert_eq!(location.to_str()?, page.as_str());
    assert!(renewed.headers().contains_key("set-cookie"));
    Ok(())
}

/// Row B5: a damaged file, and the sessions that were in it.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_damaged_file_is_set_aside_and_ends_what_was_in_it() -> Result<()> {
    let stack = Stack::builder().revoked_file().start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    stack.outpost().stop();
    let path = stack.folder().join("sessions.db");
    let mut bytes = fs::read(&path)?;
    for byte in bytes.iter_mut().skip(64) {
        *byte ^= 0x5a;
    }
    fs::write(&path, bytes)?;
    stack.outpost().start()?;
    let log = stack.outpost().output();
    assert!(log.contains("is damaged: it is set aside"), "{log}");
    let kept = fs::read_dir(stack.folder())?.filter_map(Result::ok);
    let kept: Vec<String> = kept
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("sessions.db.damaged-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    // The outpost no longer knows whether the session was ended, so the plugin refuses it.
    until("the plugin to refuse the cookie", PATIENCE, || {
        let status = alice.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}
