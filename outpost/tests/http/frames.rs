//! Cookies for frames of other sites: every one that counts there is set and removed as such.

use crate::browser::Reply;
use crate::world::World;

const APP: &str = "https://app.example.com";

async fn world(session: &str) -> World {
    World::with(&format!(
        "
session: {{{session}}}
applications:
  - {{name: app, externalUrl: '{APP}'}}
  - {{name: intranet, mode: domain, externalUrl: 'https://auth.example.org', cookieDomain: example.org,
     sameSite: lax}}
"
    ))
    .await
}

fn all_say(reply: &Reply, expected: &str, case: &str) -> usize {
    let lines = reply.set_cookies();
    for line in &lines {
        let attributes: Vec<&str> = line.split("; ").collect();
        for attribute in ["SameSite=None", "Secure", "HttpOnly"] {
            assert!(attributes.contains(&attribute), "{case}: {line}");
        }
        let partitioned = attributes.contains(&"Partitioned");
        assert_eq!(
            partitioned,
            expected.contains("Partitioned"),
            "{case}: {line}"
        );
        assert!(!line.contains("SameSite=Lax"), "{case}: {line}");
    }
    lines.len()
}

#[tokio::test]
async fn every_cookie_of_a_sign_in_and_of_a_renewal_is_for_frames() {
    for (settings, expected) in [
        ("sameSite: none", "SameSite=None"),
        (
            "sameSite: none, partitioned: true",
            "SameSite=None; Partitioned",
        ),
    ] {
        let world = world(settings).await;
        let mut alice = world.browser();
        // State and loop guard.
        let start = alice
            .load(&format!("{APP}/akprox/start?rd=/x"))
            .await
            .expect(302);
        let state = all_say(&start, expected, settings);
        assert!(state >= 3, "{:?}", start.set_cookies());
        let back = world.provider.authorize(start.location());
        let reply = alice.load(back.as_str()).await.expect(302);
        // The session, and the removal of the state.
        assert!(reply.sets_session() && all_say(&reply, expected, settings) > 2);
        world.wait(11 * 60);
        let renewed = alice
            .load(&format!("{APP}/akprox/start?rd=/x"))
            .await
            .expect(302);
        assert!(renewed.sets_session(), "{settings}");
        all_say(&renewed, expected, settings);
    }
}

#[tokio::test]
async fn a_cookie_for_frames_is_removed_by_a_line_with_the_same_attributes() {
    for (settings, count) in [
        ("sameSite: none", 6),
        ("sameSite: none, partitioned: true", 12),
    ] {
        let world = world(settings).await;
        let reply = world
            .browser()
            .load(&format!("{APP}/akprox/sign_out"))
            .await;
        let reply = reply.expect(200);
        let lines = reply.set_cookies();
        assert_eq!(lines.len(), count, "{lines:?}");
        let removal =
            |end: &str| format!("__Host-gatepost=; Path=/; Max-Age=0; HttpOnly; {end}; Secure");
        let own = if count == 12 {
            "SameSite=None; Partitioned"
        } else {
            "SameSite=None"
        };
        assert!(lines.contains(&&*removal(own)), "{lines:?}");
        // What a browser has from before the setting is in another jar.
        assert!(lines.contains(&&*removal("SameSite=None")), "{lines:?}");
    }
}

#[tokio::test]
async fn an_application_may_say_otherwise() {
    let world = world("sameSite: none, partitioned: true").await;
    let mut alice = world.browser();
    let reply = alice
        .sign_in("https://auth.example.org/akprox/start")
        .await
        .expect(302);
    for line in reply.set_cookies() {
        let lax = line.contains("SameSite=Lax") && !line.contains("Partitioned");
        assert!(lax, "{line}");
    }
}

/// What the cookie keeps from other sites no longer, the outpost still does.
#[tokio::test]
async fn no_other_site_renews_or_ends_a_session_although_its_cookie_comes_along() {
    let world = world("sameSite: none").await;
    let mut alice = world.browser();
    alice
        .sign_in(&format!("{APP}/akprox/start"))
        .await
        .expect(302);
    for (target, mode, dest) in [
        ("sign_out", "no-cors", "image"),
        ("sign_out", "cors", "empty"),
        // A frame that no user sees.
        ("sign_out", "navigate", "iframe"),
        ("session?renew", "no-cors", "image"),
        ("session?renew", "cors", "empty"),
    ] {
        let headers = [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", dest),
        ];
        let url = format!("{APP}/akprox/{target}");
        let method = axum::http::Method::GET;
        let reply = alice.request(method, &url, &headers).await.expect(403);
        assert!(reply.set_cookies().is_empty(), "{target} {mode} {dest}");
    }
    // A link of the application within a frame is the user's.
    let headers = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "iframe"),
        ("Accept", "text/html"),
    ];
    let url = format!("{APP}/akprox/sign_out");
    let reply = alice.request(axum::http::Method::GET, &url, &headers).await;
    reply.expect(302);
}
