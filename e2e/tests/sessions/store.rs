//! The embedded store.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Stack, pass};
use reqwest::StatusCode;

use crate::{kill, short_windows, visited};

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn sessions_outlive_an_outpost_that_is_killed() -> Result<()> {
    let stack = Stack::builder().outpost(&short_windows()).start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    for _ in 0..2 {
        kill(stack.outpost())?;
        stack.outpost().start()?;
        // Past the window, only the store can identify the user.
        pass(Duration::from_secs(9));
        let journey = alice.open(&page)?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        assert!(journey.passed("/akprox/start"), "{journey}");
        assert!(!visited(&journey, &stack), "{journey}");
    }
    let file = fs::read(stack.folder().join("sessions.db"))?;
    let shows = |word: &str| file.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(!shows("alice"), "the file shows who is signed in");
    Ok(())
}
