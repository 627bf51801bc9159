//! Several tabs, old tabs, and browsers that keep no cookies.

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, FakeClock, Stack, at_once};
use reqwest::StatusCode;

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn twelve_tabs_end_in_twelve_pages() -> Result<()> {
    let stack = Stack::builder().start()?;
    let alice = Client::new()?;
    let pages: Vec<_> = (1..=12)
        .map(|number| stack.app().url(&format!("/page/{number}?tab={number}")))
        .collect();
    let landed = at_once(&pages, |page| alice.sign_in(page, &ALICE));
    let mut at_once = 0;
    for (page, journey) in pages.iter().zip(landed) {
        let journey = match journey {
            Ok(journey) if journey.landed.url == *page => {
                at_once += 1;
                journey
            }
            // A tab that comes when another has signed in finds no form. One that is half a step
            // behind finds a second form: the tabs share the provider's cookie, and the provider
            // has set it once more for another tab.
            _ => alice.open(page)?,
        };
        assert_eq!(journey.landed.url, *page, "{journey}");
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    }
    assert!(at_once > 0, "no tab came to its page by itself");
    Ok(())
}

/// A user leaves the provider's page open for half an hour.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_sign_in_may_take_half_an_hour() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
    // The sign-in begins that long ago.
    let clock = FakeClock::create(folder.path())?.at_once();
    clock.jump(-30 * 60)?;
    let stack = Stack::builder().outpost_clock(&clock).start()?;
    let page = stack.app().url("/draft?of=alice");
    let alice = Client::new()?;
    let form = alice.open(&page)?;
    assert!(form.shows("input[type=password]")?, "{form}");
    clock.jump(0)?;
    let journey = alice.fill_in(form, "input[type=password]", &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let started = journey
        .hops()
        .filter(|hop| hop.url.path() == "/akprox/start");
    assert_eq!(started.count(), 1, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_old_callback_leads_on_with_a_session_and_signs_no_user_in() -> Result<()> {
    let stack = Stack::builder().start()?;
    let page = stack.app().url("/x");
    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    let mut hops = journey.hops();
    let callback = hops.find(|hop| hop.url.path() == "/akprox/callback");
    let callback = callback.context("a callback")?.url.clone();
    let again = alice.open(&callback)?;
    assert_eq!(again.landed.url, page, "{again}");
    assert_eq!(again.landed.status, StatusCode::OK, "{again}");

    // Another browser is asked who its user is.
    let other = Client::new()?;
    let without = other.open(&callback)?;
    let host = without.landed.url.host_str();
    assert_ne!(host, page.host_str(), "at the provider: {without}");
    assert!(other.cookie(&page, "gatepost").is_none(), "{without}");
    Ok(())
}
