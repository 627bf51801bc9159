//! A list of ended sessions that was written in part: on a full disk, or by a copy that broke off.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::{Client, Stack, forge, pass, until};
use gatepost_session::SessionId;
use gatepost_signing::RevokedList;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::PATIENCE;

/// Row B8: however much of the list is left, and whatever look-ups failed before, no session in it
/// is accepted; and the outpost writes the whole list again.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn half_a_list_accepts_no_session_in_it() -> Result<()> {
    let stack = Stack::builder().revoked_file().start()?;
    let page = stack.app().url("/");
    let name = stack.app().cookie_name();
    let client = Client::new()?;
    let status = |cookie: &str| -> Result<StatusCode> {
        let request = client.fetch(Method::GET, &page);
        let request = request.header("Cookie", format!("{}={cookie}", name.as_str()));
        Ok(request.send()?.status())
    };
    let ring = stack.keys().ring()?;
    let cookies = (0..20).map(|_| forge::valid(&ring, stack.app().name()));
    let cookies = cookies.collect::<Result<Vec<_>>>()?;
    let mut list = RevokedList::new();
    for cookie in &cookies {
        list.add_session(&session_of(cookie)?);
    }
    // A new store revokes all sessions of the second in which it begins, and of before.
    let free = until(
        "a session that the new store does not revoke",
        PATIENCE,
        || {
            let free = forge::valid(&ring, stack.app().name())?;
            Ok((status(&free)? == StatusCode::OK).then_some(free))
        },
    )?;
    let whole = list.to_bytes(u64::MAX - 1);
    // It would write the file again.
    stack.outpost().stop();
    for left in [whole.len(), whole.len() / 2, whole.len() - 1, 60, 20, 0] {
        fs::write(stack.revoked_file(), &whole[..left])?;
        until("the plugins to look at the file", PATIENCE, || {
            let refused = status(&cookies[0])? == StatusCode::UNAUTHORIZED;
            Ok(refused.then_some(()))
        })?;
        // Every guest has looked by now, and each look-up must answer for itself.
        pass(Duration::from_secs(3));
        for _ in 0..5 {
            for cookie in &cookies {
                let status = status(cookie)?;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{left} bytes left");
            }
        }
    }
    stack.outpost().start()?;
    until("the outpost to write the file again", PATIENCE, || {
        Ok((status(&free)? == StatusCode::OK).then_some(()))
    })
}

fn session_of(cookie: &str) -> Result<SessionId> {
    let claims = forge::claims(cookie)?;
    let sid = claims.get("sid").and_then(Value::as_str);
    sid.and_then(SessionId::parse).context("a session")
}
