//! The way back from the provider: every tab arrives, and every end has a link that starts the sign-in again.

use url::Url;

use crate::browser::{Browser, Reply};
use crate::redirects::world;
use crate::world::World;

const START: &str = "https://app.example.com/akprox/start";
const HOME: &str = "https://app.example.com/";

/// Follows redirects through outpost and provider, to a page or the application.
async fn arrive(world: &World, browser: &mut Browser<'_>, url: &str) -> Reply {
    let mut next = url.to_owned();
    // Browsers give up after 20.
    for _ in 0..20 {
        let reply = browser.load(&next).await;
        let Some(location) = reply.header("location") else {
            return reply;
        };
        if location.starts_with(HOME) && !location.contains("/akprox/") {
            return reply;
        }
        next = if location.starts_with(&world.provider.issuer) {
            world.provider.authorize(location).into()
        } else {
            location.to_owned()
        };
    }
    panic!("a loop at {next}");
}

/// A browser that is started again loads all its tabs at once, and each is sent to the provider
/// before any is back.
#[tokio::test]
async fn all_restored_tabs_arrive() {
    let world = world().await;
    for number in [12, 30] {
        for is_oldest_first in [true, false] {
            let mut browser = world.browser();
            let mut tabs = Vec::new();
            for tab in 0..number {
                let target = format!("/tab/{tab}?of={number}&{}", "x".repeat(60));
                let start = format!("{START}?target={target}");
                tabs.push((target, browser.begin(&start).await));
                let line = browser.cookie_line(&tabs[0].1);
                assert!(line.len() < 5_500, "{}", line.len());
            }
            if !is_oldest_first {
                tabs.reverse();
            }
            for (target, callback) in tabs {
                let reply = arrive(&world, &mut browser, callback.as_str()).await;
                let expected = format!("https://app.example.com{target}");
                assert_eq!(reply.expect(302).location(), expected);
            }
            let left: Vec<&str> = browser.cookie_names();
            assert!(!left.iter().any(|name| name.contains("flow")), "{left:?}");
        }
    }
}

#[tokio::test]
async fn a_long_target_comes_back() {
    let world = world().await;
    let target = format!("/d/board?state={}", "a%2Fb~".repeat(1_362));
    assert!((8_180..8_192).contains(&target.len()), "{}", target.len());
    let escaped =
        percent_encoding::utf8_percent_encode(&target, percent_encoding::NON_ALPHANUMERIC);
    for query in [format!("target={target}"), format!("rd={escaped}")] {
        let mut browser = world.browser();
        let callback = browser.begin(&format!("{START}?{query}")).await;
        assert!(callback.as_str().len() < 1_000, "{callback}");
        let reply = browser.load(callback.as_str()).await.expect(302);
        assert_eq!(reply.location(), format!("https://app.example.com{target}"));
        let left = browser.cookie_names();
        assert!(!left.iter().any(|name| name.contains("flow")), "{left:?}");
    }
}

#[tokio::test]
async fn a_sign_in_may_take_as_long_as_the_providers_page() {
    let world = world().await;
    for (minutes, is_in_time) in [(9, true), (31, true), (40, false)] {
        let mut browser = world.browser();
        let callback = browser.begin(&format!("{START}?rd=/x")).await;
        world.wait(minutes * 60);
        let reply = browser.load(callback.as_str()).await.expect(302);
        let to = reply.location().to_owned();
        assert_eq!(to == "https://app.example.com/x", is_in_time, "{minutes}");
        if !is_in_time {
            // At the provider, the user is signed in.
            let back = world.provider.authorize(&to);
            let reply = browser.load(back.as_str()).await.expect(302);
            assert_eq!(reply.location(), "https://app.example.com/x");
        }
    }
}

/// Returns the provider's answer with an error in the place of the code.
fn refused(callback: &Url, error: &str) -> String {
    let mut url = callback.clone();
    let kept: Vec<(String, String)> = callback
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| name != "code")
        .collect();
    let mut pairs = url.query_pairs_mut();
    pairs.clear().extend_pairs(kept).append_pair("error", error);
    drop(pairs);
    url.into()
}

#[tokio::test]
async fn a_provider_that_is_busy_is_asked_once_more() {
    let world = world().await;
    let mut browser = world.browser();
    let callback = browser.begin(&format!("{START}?rd=/x")).await;
    let busy = refused(&callback, "temporarily_unavailable");
    let again = browser.load(&busy).await.expect(302);
    let back = world.provider.authorize(again.location());
    assert_ne!(back, callback);
    let reply = browser.load(back.as_str()).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");

    // Once, and no more.
    let mut browser = world.browser();
    let callback = browser.begin(&format!("{START}?rd=/x")).await;
    let busy = refused(&callback, "temporarily_unavailable");
    let again = browser.load(&busy).await.expect(302);
    let back = world.provider.authorize(again.location());
    let busy = refused(&back, "temporarily_unavailable");
    browser.load(&busy).await.expect(400);
}

/// Every page at which a sign-in ends has a link that starts it again, with the same target.
#[tokio::test]
async fn every_end_has_a_link_that_starts_the_sign_in_again() {
    let world = world().await;
    let start = format!("{START}?rd=/x");
    let mut ends = Vec::new();
    for (error, status) in [
        ("access_denied", 403),
        ("invalid_scope", 400),
        ("server_error", 400),
    ] {
        let mut browser = world.browser();
        let callback = browser.begin(&start).await;
        let reply = browser.load(&refused(&callback, error)).await;
        ends.push((error, reply.expect(status), "/x"));
    }
    world.provider.script().signature = crate::provider::Signature::Forged(9);
    let reply = world.browser().sign_in(&start).await.expect(502);
    ends.push(("invalid ID token", reply, "/x"));
    world.provider.script().signature = crate::provider::Signature::Genuine;
    let callback = "https://app.example.com/akprox/callback";
    for (case, url) in [
        ("no state", callback.to_owned()),
        ("no flow", format!("{callback}?code=x&state=y")),
    ] {
        ends.push((case, world.browser().load(&url).await.expect(400), "/"));
    }
    let mut browser = world.browser();
    let mut last = browser.load(&start).await;
    while last.status == 302 {
        last = browser.load(&start).await;
    }
    ends.push(("a loop", last.expect(400), "/x"));
    let away = World::without_provider("").await;
    let reply = away.browser().load(&start).await.expect(503);
    ends.push(("no provider", reply, "/x"));
    for (case, page, target) in ends {
        let mut browser = world.browser();
        let link = link(&page).unwrap_or_else(|| panic!("{case}: {}", page.body));
        let reply = browser.sign_in(&link).await.expect(302);
        assert_eq!(
            reply.location(),
            format!("https://app.example.com{target}"),
            "{case}"
        );
    }
}

/// Returns where the button of a page leads.
fn link(page: &Reply) -> Option<String> {
    let (_, rest) = page.body.split_once("class=\"action\" href=\"")?;
    let (link, _) = rest.split_once('"')?;
    Some(link.replace("&#x2f;", "/").replace("&amp;", "&"))
}
