//! Ends of sessions before their time, and who learns of them.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, Stack, built, forge, until};
use gatepost_session::SessionId;
use gatepost_signing::RevokedList;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

/// A safety net on a busy machine. Every plugin is promised to know within five seconds, which is
/// two of the plugin's and one of the outpost's and not for a test to time.
const PROMISED: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_sign_out_at_the_provider_ends_the_sessions_of_every_application() -> Result<()> {
    let stack = Stack::builder()
        .application(ApplicationSpec::new("app"))
        .application(ApplicationSpec::new("other"))
        .revoked_file()
        .start()?;
    let page = stack.app().url("/");
    let other = stack.application("other")?.url("/");
    let (alice, elsewhere) = (Client::new()?, Client::new()?);
    for client in [&alice, &elsewhere] {
        client.sign_in(&page, &ALICE)?;
        // The provider knows the person already.
        let journey = client.open(&other)?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    }
    let copied = stack.app().cookie_name();
    let copied = alice.cookie(&page, copied.as_str()).context("a cookie")?;

    // RP-initiated: the outpost sends the browser to the provider, which notifies every client.
    let journey = alice.open(&stack.app().url("/akprox/sign_out"))?;
    let asked = alice.confirm_sign_out(&journey.landed)?;
    assert_eq!(asked.location().as_ref(), Some(&page), "{}", asked.body);

    until("the other application's session to end", PROMISED, || {
        let status = alice.fetch(Method::GET, &other).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    // A cookie that was copied before is refused too.
    let thief = Client::new()?;
    thief.add_cookie(
        &page,
        &format!("{}={copied}", stack.app().cookie_name().as_str()),
    );
    until("the copied cookie to be refused", PROMISED, || {
        let status = thief.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    // The same person's session in another browser is another session at the provider.
    let status = elsewhere.fetch(Method::GET, &other).send()?.status();
    assert_eq!(status, StatusCode::OK);
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_revoked_session_is_refused_in_time_among_ten_thousand() -> Result<()> {
    let stack = Stack::builder().revoked_file().start()?;
    let page = stack.app().url("/");
    let (alice, carol) = (Client::new()?, Client::new()?);
    alice.sign_in(&page, &ALICE)?;
    carol.sign_in(&page, &ALICE)?;
    let name = stack.app().cookie_name();
    let cookie = alice.cookie(&page, name.as_str()).context("a cookie")?;
    let claims = forge::claims(&cookie)?;
    let sid = claims["sid"].as_str().and_then(SessionId::parse);
    let sid = sid.context("a session")?;

    let mut list = RevokedList::new();
    for number in 0..10_000_u64 {
        let mut id = [0; 24];
        id[..8].copy_from_slice(&number.to_be_bytes());
        list.add_session(&SessionId::from_random(id));
    }
    // The outpost writes only when something changes, so the file is the test's from here on.
    stack.outpost().stop();
    let write = |list: &RevokedList, generation: u64| -> Result<()> {
        let draft = stack.revoked_file().with_extension("test");
        fs::write(&draft, list.to_bytes(generation))?;
        Ok(fs::rename(draft, stack.revoked_file())?)
    };
    write(&list, u64::MAX - 1)?;
    let load = || -> Result<()> {
        for _ in 0..200 {
            let status = carol.fetch(Method::GET, &page).send()?.status();
            assert_eq!(status, StatusCode::OK, "not revoked");
        }
        Ok(())
    };
    load()?;
    list.add_session(&sid);
    write(&list, u64::MAX)?;
    std::thread::scope(|scope| -> Result<()> {
        let busy: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        until("the session to be refused", PROMISED, || {
            let status = alice.fetch(Method::GET, &page).send()?.status();
            Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
        })?;
        for thread in busy {
            thread.join().expect("no panic")?;
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_operator_lists_and_ends_sessions_of_the_running_outpost() -> Result<()> {
    let stack = Stack::builder().revoked_file().start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    let config = stack.folder().join("gatepost.yaml");
    let run = |arguments: &[&str]| -> Result<String> {
        let mut command = built::gatepost()?;
        command.arg("session").args(arguments).arg("--config");
        let output = command.arg(&config).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let listed = run(&["list"])?;
    assert!(
        listed.contains("`alice` subject=`248289761001`"),
        "{listed}"
    );
    assert!(listed.ends_with("1 sessions\n"), "{listed}");
    let mark = listed
        .split("session=")
        .nth(1)
        .context("its name in the log")?;
    let mark = mark.split_whitespace().next().unwrap_or_default();
    let logged = stack.outpost().output();
    assert!(
        logged
            .lines()
            .any(|line| line.contains("signed in") && line.contains(mark)),
        "{mark}: {logged}"
    );

    for whose in [&["--subject", "248289761001"][..], &["--everyone"]] {
        let ended = run(&[&["revoke"], whose].concat())?;
        assert_eq!(ended, "1 sessions ended\n", "{whose:?}");
        until("the session to be refused", PROMISED, || {
            let status = alice.fetch(Method::GET, &page).send()?.status();
            Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
        })?;
        // Signing in again works, also in the same second.
        until("a new session", PROMISED, || {
            let journey = alice.open(&page)?;
            let status = journey.landed.status;
            assert_eq!(status, StatusCode::OK, "{whose:?}: {journey}");
            // Not every instance of the plugin looks at the file at the same time.
            Ok(journey.passed("/akprox/callback").then_some(()))
        })?;
    }
    let id = run(&["list"])?;
    let id = id
        .split_whitespace()
        .next()
        .context("a session")?
        .to_owned();
    assert_eq!(run(&["revoke", "--id", &id])?, "1 sessions ended\n");
    assert_eq!(run(&["list"])?, "0 sessions\n");
    // One id in 64 looks like an option.
    let hyphen = format!("-{}", "A".repeat(31));
    assert_eq!(run(&["revoke", "--id", &hyphen])?, "0 sessions ended\n");

    // A client without the keys gets no answer.
    let settings: Value = serde_json::from_str(&fs::read_to_string(&config)?)?;
    let metrics = settings["listen"]["metrics"].as_str().context("listens")?;
    let url = Url::parse(&format!("http://{metrics}/sessions"))?;
    let asked = Client::new()?.bare(Method::POST, &url).body("everything");
    assert_eq!(asked.send()?.status(), StatusCode::FORBIDDEN);
    Ok(())
}
