//! Row A14: a user whom the application's rule at the outpost refuses gets no session for it,
//! whatever rule the proxy in front sends.

use gatepost::config::Config;
use serde_json::json;

use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::world::{KEY_A, World, configuration};

const ADMIN: &str = "admin.example.com";
const START: &str = "https://admin.example.com/akprox/start?rd=/x";

const APPLICATIONS: &str = "
applications:
  - {name: admin, externalUrl: 'https://admin.example.com', public: ['/public/*'],
     require: {groups: [admins]}}
  - {name: app, externalUrl: 'https://app.example.com'}
  - {name: intranet, mode: domain, externalUrl: 'https://auth.example.org',
     cookieDomain: example.org, require: {groups: [admins]}}
";

async fn world(more: &str) -> World {
    World::with(&format!("{more}\n{APPLICATIONS}")).await
}

fn is_staff(world: &World) {
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": ["staff"]});
}

#[tokio::test]
async fn a_user_whom_the_rule_refuses_gets_no_session_at_sign_in() {
    let world = world("").await;
    is_staff(&world);
    for start in [START, "https://wiki.example.org/akprox/start"] {
        let mut browser = world.browser();
        // The browser is not led in circles, and the outpost reports no redirect loop.
        for _ in 0..10 {
            let mut reply = browser.load(start).await.expect(302);
            if !reply.location().starts_with(&world.provider.issuer) {
                let own = reply.location().to_owned();
                reply = browser.load(&own).await.expect(302);
            }
            let back = world.provider.authorize(reply.location());
            let reply = browser.load(back.as_str()).await.expect(403);
            assert!(!reply.sets_session());
            for text in ["alice", "group:admins", "sign_out"] {
                assert!(reply.body.contains(text), "{text}: {}", reply.body);
            }
            assert_eq!(browser.cookie_names(), [""; 0]);
        }
    }
    // The link leads to the provider where the user is signed in, so that another user can sign in
    // next.
    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(403);
    let link = "https://admin.example.com/akprox/sign_out?provider=main";
    assert!(
        reply.body.replace("&#x2f;", "/").contains(link),
        "{}",
        reply.body
    );
    let reply = browser.load(link).await.expect(302);
    let logout = format!("{}/logout?", world.provider.issuer);
    assert!(
        reply.location().starts_with(&logout),
        "{}",
        reply.location()
    );
    assert!(!reply.location().contains("id_token_hint"));
    // Another application has another rule.
    signed_in(&world, "app.example.com").await;
}

#[tokio::test]
async fn the_session_before_ends_with_a_sign_in_that_is_refused() {
    let world = world("").await;
    let mut browser = world.browser();
    let tab = browser.begin(START).await;
    assert!(browser.sign_in(START).await.expect(302).sets_session());
    let before = browser.clone();
    is_staff(&world);
    browser.load(tab.as_str()).await.expect(403);
    let asked = Asked::fetch(ADMIN, "/").by(&before);
    asked.ask(&world, "auth/traefik").await.expect(401);
}

#[tokio::test]
async fn a_session_whose_groups_are_gone_ends_at_its_renewal() {
    for by_proxy in [None].into_iter().chain(DIALECTS.map(Some)) {
        let world = world("session: {refreshAfter: 60s}").await;
        let mut browser = signed_in(&world, ADMIN).await;
        is_staff(&world);
        world.wait(11 * 60);
        let old = browser.clone();
        let reply = match by_proxy {
            None => browser.load(START).await.expect(403),
            Some(dialect) => {
                let asked = Asked::load(ADMIN, "/").by(&browser);
                asked.ask(&world, dialect).await.expect(403)
            }
        };
        assert!(!reply.sets_session(), "{by_proxy:?}");
        assert!(reply.body.contains("alice"), "{by_proxy:?}");
        // It has ended everywhere: the cookie's window is open for minutes, and no longer good.
        let asked = Asked::fetch(ADMIN, "/").by(&old);
        let reply = asked.ask(&world, "auth/traefik").await;
        assert_eq!(reply.status.as_u16(), 401, "{by_proxy:?}");
        // Public paths still pass, without an identity.
        let asked = Asked::fetch(ADMIN, "/public/x").by(&old);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        assert_eq!(reply.header("x-auth-username"), None, "{by_proxy:?}");
    }
}

#[tokio::test]
async fn a_rule_that_was_narrowed_ends_sessions_at_their_renewal_from_the_store() {
    let world = world("").await;
    let mut browser = signed_in(&world, ADMIN).await;
    let narrowed = APPLICATIONS.replace("groups: [admins]", "groups: [board]");
    let yaml = configuration(&world.provider, KEY_A, &narrowed);
    let config = Config::parse(&yaml, []).expect("right");
    world.outpost.reconfigure(&config).expect("deployed");
    let reply = browser.load(START).await.expect(403);
    assert!(!reply.sets_session());
    assert!(reply.body.contains("group:board"), "{}", reply.body);
    let exchanges = world.provider.script().exchanges;
    assert_eq!(exchanges, 1, "the provider was not asked");
}

/// Where the outpost is asked about each request, a new rule applies to sessions in their window at
/// once. A plugin learns of it at the renewal, which the test above has.
#[tokio::test]
async fn a_rule_that_was_narrowed_applies_at_once_where_a_proxy_asks() {
    let world = world("").await;
    let browser = signed_in(&world, ADMIN).await;
    let asked = Asked::fetch(ADMIN, "/").by(&browser);
    asked.clone().ask(&world, "auth/traefik").await.expect(200);
    let narrowed = APPLICATIONS.replace("groups: [admins]", "groups: [board]");
    let yaml = configuration(&world.provider, KEY_A, &narrowed);
    let config = Config::parse(&yaml, []).expect("right");
    world.outpost.reconfigure(&config).expect("deployed");
    for dialect in DIALECTS {
        asked.clone().ask(&world, dialect).await.expect(403);
    }
}

/// Applications whose domains lie within each other share the name of the cookie, and no session.
#[tokio::test]
async fn a_session_of_a_wider_domain_does_not_count_for_a_rule_of_a_narrower_one() {
    const WIDE: &str = "wiki.example.org";
    const NARROW: &str = "files.inner.example.org";
    let world = World::without_provider(
        "
applications:
  - {name: wide, mode: domain, externalUrl: 'https://auth.example.org', cookieDomain: example.org}
  - {name: narrow, mode: domain, externalUrl: 'https://auth.inner.example.org',
     cookieDomain: inner.example.org, require: {groups: [admins]}}
",
    )
    .await;
    world.find_provider().await;
    is_staff(&world);
    let mut browser = world.browser();
    let start = "https://auth.example.org/akprox/start";
    browser.sign_in(start).await.expect(302);
    let status = async |browser: &crate::browser::Browser<'_>, host| {
        let asked = Asked::fetch(host, "/").by(browser);
        asked.ask(&world, "auth/traefik").await.status.as_u16()
    };
    assert_eq!(status(&browser, WIDE).await, 200);
    assert_eq!(status(&browser, NARROW).await, 401);
    // The refusal takes nothing from the other application.
    let start = "https://auth.inner.example.org/akprox/start";
    let reply = browser.sign_in(start).await.expect(403);
    assert!(!reply.sets_session());
    assert_eq!(status(&browser, NARROW).await, 401);
    assert_eq!(status(&browser, WIDE).await, 200);
}
