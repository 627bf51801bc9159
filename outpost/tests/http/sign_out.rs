//! Signing out.

use axum::http::Method;

use crate::world::World;

const START: &str = "https://app.example.com/akprox/start";
const SIGN_OUT: &str = "https://app.example.com/akprox/sign_out";
const SESSION: &str = "https://app.example.com/akprox/session";

#[tokio::test]
async fn signing_out_ends_the_session_here_and_at_the_provider() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let stolen = browser.clone();
    let reply = browser
        .load(&format!("{SIGN_OUT}?rd=https://evil.example/"))
        .await
        .expect(302);
    let location = reply.location();
    assert!(location.starts_with(&format!(
        "{}/logout?id_token_hint=ey",
        world.provider.issuer
    )));
    assert!(location.ends_with(
        "&client_id=gatepost&post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F"
    ));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    let names = browser.cookie_names();
    assert!(
        names
            .iter()
            .all(|name| *name != "__Host-gatepost" && !name.starts_with("__Host-gatepost.")),
        "{names:?}"
    );
    // The cookie is worth nothing at the outpost from then on.
    stolen.clone().fetch(SESSION).await.expect(401);
    let renewed = stolen.clone().load(START).await.expect(302);
    assert!(
        renewed.location().starts_with(&world.provider.issuer),
        "{}",
        renewed.location()
    );
}

#[tokio::test]
async fn a_user_with_a_cookie_without_a_session_can_still_sign_out_at_the_provider() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let mut copy = browser.clone();
    browser.load(SIGN_OUT).await.expect(302);
    let reply = copy.load(SIGN_OUT).await.expect(302);
    let expected = format!("{}/logout?client_id=gatepost", world.provider.issuer);
    assert!(
        reply.location().starts_with(&expected),
        "{}",
        reply.location()
    );
}

#[tokio::test]
async fn every_cookie_of_the_session_is_removed_as_it_was_set() {
    let world = World::new().await;
    for (url, domain) in [
        (SIGN_OUT, ""),
        (
            "https://wiki.example.org/akprox/sign_out",
            "; Domain=example.org",
        ),
    ] {
        let reply = world.browser().load(url).await.expect(200);
        let lines = reply.set_cookies();
        assert_eq!(lines.len(), 6, "the whole and five chunks: {lines:?}");
        let attributes = format!("=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{domain}; Secure");
        assert!(
            lines.iter().all(|line| line.ends_with(&attributes)),
            "{lines:?}"
        );
        assert!(reply.body.contains("Signed out"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_session_whose_window_has_ended_can_be_signed_out() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(3_600);
    let reply = browser.load(SIGN_OUT).await.expect(302);
    assert!(
        reply.location().contains("id_token_hint"),
        "{}",
        reply.location()
    );
}

#[tokio::test]
async fn another_site_cannot_sign_anyone_out_by_an_image_or_a_form() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let get = |site, mode, dest| {
        vec![
            ("Sec-Fetch-Site", site),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", dest),
        ]
    };
    for (case, method, headers, ends) in [
        (
            "image",
            Method::GET,
            get("cross-site", "no-cors", "image"),
            false,
        ),
        (
            "sibling's image",
            Method::GET,
            get("same-site", "no-cors", "image"),
            false,
        ),
        (
            "frame",
            Method::GET,
            get("cross-site", "navigate", "iframe"),
            false,
        ),
        (
            "script",
            Method::GET,
            get("cross-site", "cors", "empty"),
            false,
        ),
        (
            "form",
            Method::POST,
            get("cross-site", "navigate", "document"),
            false,
        ),
        (
            "sibling's form",
            Method::POST,
            get("same-site", "navigate", "document"),
            false,
        ),
        (
            "form of unknown origin",
            Method::POST,
            vec![("Origin", "https://evil.example")],
            false,
        ),
        ("form of no origin", Method::POST, vec![], false),
        (
            "link",
            Method::GET,
            get("cross-site", "navigate", "document"),
            true,
        ),
        (
            "own link",
            Method::GET,
            get("same-origin", "navigate", "document"),
            true,
        ),
        (
            "typed",
            Method::GET,
            get("none", "navigate", "document"),
            true,
        ),
        (
            "own form",
            Method::POST,
            get("same-origin", "navigate", "document"),
            true,
        ),
        (
            "own form, old browser",
            Method::POST,
            vec![("Origin", "https://app.example.com")],
            true,
        ),
        (
            "script of the application",
            Method::GET,
            get("same-origin", "cors", "empty"),
            true,
        ),
    ] {
        let mut tab = browser.clone();
        tab.request(method, SIGN_OUT, &headers).await;
        let status = tab.fetch(SESSION).await.status.as_u16();
        assert_eq!(status, if ends { 401 } else { 200 }, "{case}");
        if ends {
            browser = world.browser();
            browser.sign_in(START).await.expect(302);
        }
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_the_users_other_sessions_if_the_application_says_so() {
    let world = World::without_provider(
        "
applications:
  - {name: app, externalUrl: 'https://app.example.com', signOut: everywhere}
  - {name: app2, externalUrl: 'https://app2.example.com'}
",
    )
    .await;
    world.find_provider().await;
    let other = |path: &str| format!("https://app2.example.com/akprox/{path}");
    let mut there = world.browser();
    there.sign_in(&other("start")).await.expect(302);
    let mut here = world.browser();
    here.sign_in(START).await.expect(302);
    let copy = here.clone();
    // The other application ends its own session alone.
    let mut third = world.browser();
    third.sign_in(&other("start")).await.expect(302);
    third.load(&other("sign_out")).await.expect(302);
    there.fetch(&other("session")).await.expect(200);
    here.fetch(SESSION).await.expect(200);

    let reply = here.load(SIGN_OUT).await.expect(302);
    // With it, the provider asks the user nothing.
    assert!(
        reply.location().contains("id_token_hint="),
        "{}",
        reply.location()
    );
    there.fetch(&other("session")).await.expect(401);
    // The cookie of an ended session ends no other.
    there.sign_in(&other("start")).await.expect(302);
    copy.clone().load(SIGN_OUT).await.expect(302);
    there.fetch(&other("session")).await.expect(200);
}
