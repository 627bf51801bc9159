//! Signing in: from `start` to the application.

use axum::http::Method;
use gatepost_oidc::ClientVerdict;
use serde_json::json;
use url::Url;

use crate::world::World;

const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";

#[tokio::test]
async fn a_user_who_signs_in_returns_to_the_page() {
    let world = World::new().await;
    let mut browser = world.browser();
    let reply = browser
        .sign_in(&format!("{START}?rd=%2Fa%2Fb%3Fx%3D1%26y%3D%252F%23f"))
        .await;
    assert_eq!(
        reply.clone().expect(302).location(),
        "https://app.example.com/a/b?x=1&y=%2F#f"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let session = reply
        .set_cookies()
        .into_iter()
        .find(|line| line.starts_with("__Host-gatepost="));
    let (_, attributes) = session
        .expect("a session")
        .split_once("; ")
        .expect("attributes");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=28800; HttpOnly; SameSite=Lax; Secure"
    );
    let mut names = browser.cookie_names();
    names.sort_unstable();
    assert_eq!(
        names,
        ["__Host-gatepost", "__Host-gatepost-attempts"],
        "the flow is over"
    );

    let session = browser.fetch(SESSION).await.expect(200);
    let view = session.json();
    assert_eq!(view["username"], "alice");
    assert_eq!(view["groups"], json!(["staff", "admins"]), "from userinfo");
    let page = browser.load(SESSION).await.expect(200);
    assert!(page.body.contains("Alice Liddell"), "{}", page.body);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    for body in [session.body, page.body] {
        for secret in ["the-access-token", "the-refresh-token", "eyJ"] {
            assert!(!body.contains(secret), "{body}");
        }
    }
}

#[tokio::test]
async fn the_provider_is_asked_with_pkce_state_nonce_and_the_configured_address() {
    let world = World::new().await;
    let mut browser = world.browser();
    let headers = [
        ("Sec-Fetch-Mode", "navigate"),
        ("X-Forwarded-Host", "app2.example.com"),
        ("X-Forwarded-Uri", "//evil.example"),
        ("X-Forwarded-Prefix", "https://evil.example"),
        ("X-Auth-Request-Redirect", "https://evil.example"),
    ];
    let reply = browser
        .request(Method::GET, START, &headers)
        .await
        .expect(302);
    let url = Url::parse(reply.location()).expect("a URL");
    let parameter = |name: &str| {
        let mut values = url.query_pairs().filter(|(own, _)| own == name);
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {name}"))
            .1
            .into_owned();
        assert!(values.next().is_none(), "{name} twice");
        value
    };
    assert_eq!(parameter("response_type"), "code");
    assert_eq!(
        parameter("redirect_uri"),
        "https://app.example.com/akprox/callback"
    );
    assert_eq!(parameter("code_challenge_method"), "S256");
    assert_eq!(parameter("scope"), "openid profile email");
    for random in ["state", "nonce", "code_challenge"] {
        assert!(parameter(random).len() >= 43, "{random}");
    }
    assert!(!reply.location().contains("evil"), "{}", reply.location());
}

#[tokio::test]
async fn a_target_elsewhere_leads_to_the_start_page() {
    let world = World::new().await;
    for rd in [
        "rd=%2F%2Fevil.example",
        "rd=https%3A%2F%2Fevil.example%2F",
        "rd=%2F%5Cevil.example",
        "rd=%2Fa%0D%0ASet-Cookie%3A%20x%3D1",
        "rd=/a&rd=//evil.example",
        "rd=//evil.example&rd=/a",
        "rd[]=/a",
        "RD=/a",
        "rd=",
        "url=/a",
        "target_link_uri=https%3A%2F%2Fevil.example",
        "rd=%2Fakprox%2Fsign_out",
        "rd=%2Fakprox%2Fstart%3Frd%3D%2Fakprox%2Fstart",
        &format!("rd=/{}", "a".repeat(10_000)),
    ] {
        let mut browser = world.browser();
        let reply = browser.sign_in(&format!("{START}?{rd}")).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/", "{rd}");
        assert!(
            reply.headers.get("x").is_none() && reply.sets_session(),
            "{rd}"
        );
    }
}

#[tokio::test]
async fn both_prefixes_begin_a_sign_in() {
    let world = World::new().await;
    let mut browser = world.browser();
    let start = "https://app.example.com/outpost.goauthentik.io/start?rd=/x";
    let reply = browser.sign_in(start).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
}

#[tokio::test]
async fn a_callback_that_this_browser_did_not_ask_for_signs_no_user_in() {
    let world = World::new().await;
    let callback = world.browser().begin(START).await;
    let with = |query: &str| format!("https://app.example.com/akprox/callback{query}");
    let state = callback
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state")
        .1;
    // A browser that has lost its cookies comes like this too: it signs its own user in.
    let reply = world.browser().load(callback.as_str()).await.expect(302);
    assert!(!reply.sets_session());
    let to = reply.location();
    assert!(to.starts_with(&world.provider.issuer), "{to}");
    assert!(!to.contains(&*state), "{to}");
    for (case, url) in [
        ("nothing at all", with("")),
        ("no state", with("?code=x")),
        ("made-up state", with("?code=x&state=y")),
        (
            "two states",
            with(&format!("?code=x&state={state}&state=y")),
        ),
    ] {
        let reply = world.browser().load(&url).await.expect(400);
        assert!(!reply.sets_session(), "{case}");
        assert!(!reply.body.contains(&*state), "{case}");
    }
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn a_callback_works_once_and_is_harmless_afterwards() {
    let world = World::new().await;
    let mut browser = world.browser();
    let callback = browser.begin(&format!("{START}?rd=/x")).await;
    browser.load(callback.as_str()).await.expect(302);
    let again = browser.load(callback.as_str()).await.expect(302);
    assert_eq!(again.location(), "https://app.example.com/x");
    assert!(!again.sets_session());
    browser.drop_cookies(|_| false);
    let again = browser.load(callback.as_str()).await.expect(302);
    assert!(again.location().starts_with(&world.provider.issuer));
    assert!(!again.sets_session());
    assert_eq!(world.provider.script().exchanges, 1);
}

#[tokio::test]
async fn a_callback_is_bound_to_its_application_and_provider() {
    let world = World::new().await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let line = browser.cookie_line(&callback);
    let target = &callback[url::Position::BeforePath..];

    let elsewhere = format!("https://app2.example.com{target}");
    let headers = [("Cookie", &*line), ("Sec-Fetch-Mode", "navigate")];
    let reply = world
        .browser()
        .request(Method::GET, &elsewhere, &headers)
        .await
        .expect(400);
    assert!(!reply.sets_session());

    for iss in ["https://evil.example", "", "&iss=x"] {
        let mut browser = world.browser();
        let mut callback = browser.begin(START).await;
        let kept: Vec<(String, String)> = callback
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| name != "iss")
            .collect();
        callback.query_pairs_mut().clear().extend_pairs(kept);
        let url = match iss {
            "" => callback.to_string(),
            iss => format!("{callback}&iss={iss}"),
        };
        let reply = browser.load(&url).await.expect(400);
        assert!(!reply.sets_session(), "{iss}");
        assert!(
            browser
                .cookie_names()
                .iter()
                .all(|name| !name.contains("flow")),
            "{iss}"
        );
    }
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn the_providers_description_of_a_refusal_is_not_shown_unescaped() {
    let world = World::new().await;
    let mut browser = world.browser();
    let mut callback = browser.begin(START).await;
    let state = callback
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("one")
        .1;
    let state = state.into_owned();
    callback
        .query_pairs_mut()
        .clear()
        .append_pair("state", &state)
        .append_pair("iss", &world.provider.issuer)
        .append_pair("error", "access_denied")
        .append_pair(
            "error_description",
            "<script>alert(1)</script>\r\nX-Evil: 1",
        );
    let reply = browser.load(callback.as_str()).await.expect(403);
    assert!(!reply.body.contains("script") && reply.headers.get("x-evil").is_none());
    assert!(reply.body.contains("Reference"), "{}", reply.body);
    assert!(!reply.sets_session());
    assert!(
        browser
            .cookie_names()
            .iter()
            .all(|name| !name.contains("flow")),
        "the flow is over"
    );
}

#[tokio::test]
async fn tabs_finish_their_sign_ins_in_any_order() {
    let world = World::new().await;
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut browser = world.browser();
        let mut callbacks = Vec::new();
        for tab in 0..3 {
            callbacks.push(browser.begin(&format!("{START}?rd=/tab{tab}")).await);
        }
        for tab in order {
            let reply = browser.load(callbacks[tab].as_str()).await.expect(302);
            assert_eq!(
                reply.location(),
                format!("https://app.example.com/tab{tab}")
            );
        }
        browser.fetch(SESSION).await.expect(200);
    }
}

#[tokio::test]
async fn a_new_sign_in_ends_the_session_before() {
    let world = World::new().await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let late = browser.begin(START).await;
    browser.load(callback.as_str()).await.expect(302);
    let before = browser.clone();
    browser.load(late.as_str()).await.expect(302);
    browser.fetch(SESSION).await.expect(200);
    before.clone().fetch(SESSION).await.expect(401);
}

#[tokio::test]
async fn an_unknown_host_gets_nothing() {
    let world = World::new().await;
    for url in [
        "https://evil.example/akprox/start",
        "https://evil.example/akprox/callback?code=x&state=y",
        "https://evil.example/akprox/session",
        "https://evil.example/akprox/sign_out",
        "https://evilexample.org/akprox/start",
        "https://app.example.com:8443/akprox/start",
    ] {
        let reply = world.browser().load(url).await.expect(404);
        assert!(
            reply.set_cookies().is_empty() && reply.header("location").is_none(),
            "{url}"
        );
    }
}

#[tokio::test]
async fn only_a_page_load_begins_a_sign_in() {
    let world = World::new().await;
    let reply = world.browser().fetch(START).await.expect(401);
    assert!(reply.set_cookies().is_empty());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        world
            .browser()
            .request(method, START, &[])
            .await
            .expect(405);
    }
    let callback = world.browser().begin(START).await;
    world
        .browser()
        .request(Method::HEAD, callback.as_str(), &[])
        .await
        .expect(405);
}

#[tokio::test]
async fn the_page_says_that_the_provider_is_unavailable() {
    let world = World::without_provider("").await;
    let reply = world.browser().load(START).await.expect(503);
    assert!(reply.body.contains("cannot be reached"), "{}", reply.body);
    assert_eq!(reply.header("retry-after"), Some("5"));
    world.find_provider().await;
    world.browser().load(START).await.expect(302);
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_gets_a_page_instead_of_a_loop() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.accepts_cookies = false;
    let mut next = START.to_owned();
    // It may have dropped only some, so it is sent once more, and soon gets a page that says so.
    for _ in 0..3 {
        next = browser.begin(&next).await.into();
    }
    let reply = browser.load(&next).await.expect(400);
    assert!(reply.body.contains("cookies"), "{}", reply.body);
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn a_redirect_loop_is_broken() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(&format!("{START}?rd=/x")).await.expect(302);
    // The proxy sends the browser back each time, although it has a session.
    let mut rounds = 0;
    let last = loop {
        let reply = browser.load(&format!("{START}?rd=/x")).await;
        if reply.status != 302 {
            break reply;
        }
        rounds += 1;
        assert!(rounds < 15, "browsers give up after some 20 redirects");
    };
    assert!(last.expect(400).body.contains("clocks"));
    assert!(rounds >= 3, "a few are no loop");
    browser.load(&format!("{START}?rd=/y")).await.expect(302);
    browser.load(&format!("{START}?rd=/x")).await.expect(302);
}

#[tokio::test]
async fn a_loop_ends_on_a_page_that_says_what_is_wrong() {
    let world = World::new().await;
    let start = format!("{START}?rd=/x");
    let last = async |browser: &mut crate::browser::Browser<'_>| {
        for _ in 0..15 {
            let reply = browser.load(&start).await;
            if reply.status != 302 {
                return reply.expect(400).body;
            }
        }
        panic!("browsers give up after some 20 redirects");
    };
    // The session's cookie never arrives.
    let body = last(&mut world.browser()).await;
    assert!(body.contains("does not keep the session"), "{body}");
    // It is another outpost's, with other keys.
    let mut browser = world.browser();
    browser.sign_in(&start).await.expect(302);
    let other = "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=";
    let yaml = crate::world::configuration(&world.provider, other, "");
    let config = gatepost::config::Config::parse(&yaml, []).expect("a configuration");
    world.outpost.reconfigure(&config).expect("deployed");
    let body = last(&mut browser).await;
    assert!(
        body.contains("belongs to another sign-in service"),
        "{body}"
    );
}

#[tokio::test]
async fn groups_come_from_where_the_configuration_says() {
    let provider = crate::provider::Provider::start().await;
    drop(provider);
    let world = World::without_provider(
        "
applications: [{name: app, externalUrl: 'https://app.example.com', headers: {set: {X-D: dept}}}]
",
    )
    .await;
    world.find_provider().await;
    world.provider.script().claims = Box::new(|claims| {
        claims["groups"] = json!(["from-the-id-token"]);
        claims["dept"] = json!("R&D");
    });
    world.provider.script().userinfo = json!({"sub": "someone else"});
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let session = browser.fetch(SESSION).await.expect(200);
    assert!(
        session.body.contains("from-the-id-token"),
        "{}",
        session.body
    );
}

#[tokio::test]
async fn in_domain_mode_a_sign_in_begins_and_ends_on_the_outposts_host() {
    let world = World::new().await;
    let mut browser = world.browser();
    let start = "https://wiki.example.org/akprox/start?rd=/a%3Fb";
    let reply = browser.load(start).await.expect(302);
    assert_eq!(
        reply.location(),
        "https://auth.example.org/akprox/start?rd=https%3A%2F%2Fwiki.example.org%2Fa%3Fb"
    );
    assert!(reply.set_cookies().is_empty());
    let location = reply.location().to_owned();
    let reply = browser.sign_in(&location).await.expect(302);
    assert_eq!(reply.location(), "https://wiki.example.org/a?b");
    let line = reply
        .set_cookies()
        .into_iter()
        .find(|line| line.starts_with("__Secure-gatepost="));
    assert!(
        line.expect("a session")
            .ends_with("; Domain=example.org; Secure"),
        "{line:?}"
    );
    // Known at every host of the domain, by one sign-in.
    browser
        .fetch("https://other.example.org/akprox/session")
        .await
        .expect(200);
    let home = browser.load("https://auth.example.org/").await.expect(302);
    assert_eq!(home.location(), "https://auth.example.org/akprox/session");
}

#[tokio::test]
async fn whether_the_provider_takes_the_client_is_known_before_anyone_signs_in() {
    let world = World::new().await;
    let snapshot = world.outpost.snapshot();
    let provider = &snapshot.providers[0];
    let callback = "https://app.example.com/akprox/callback";
    let verdict = provider.try_client(callback).await.expect("an answer");
    assert_eq!(verdict, ClientVerdict::Taken);
    // The provider treats it as a wrong secret, and its description is not shown.
    world.provider.script().secret_in_form = true;
    let verdict = provider.try_client(callback).await.expect("an answer");
    let ClientVerdict::Refused(refused) = verdict else {
        panic!("{verdict:?}");
    };
    let said = refused.to_string();
    let expected = "provider `main` refuses the client `gatepost` with its secret (`invalid_client`): \
                    correct `clientId`, `clientSecret` or `clientAuthentication`";
    assert_eq!(said, expected);
    world.provider.script().down = true;
    let error = provider.try_client(callback).await.expect_err("no answer");
    assert!(error.to_string().contains("token endpoint"), "{error}");
}
