//! What providers may answer, and browsers may bring.

use super::*;

#[tokio::test]
async fn less_than_was_asked_for_opens_nothing_and_makes_no_loop() {
    let world = World::with(RULES).await;
    let at = now();
    for (path, less) in [
        ("/vault/x", json!({})),
        ("/vault/x", json!({"acr": null})),
        ("/vault/x", json!({"acr": "silver"})),
        ("/vault/x", json!({"acr": "Gold"})),
        ("/vault/x", json!({"acr": "gold platinum"})),
        ("/vault/x", json!({"acr": ["gold"]})),
        ("/vault/x", json!({"amr": ["gold"]})),
        ("/fresh/x", json!({})),
        ("/fresh/x", json!({"auth_time": at - 301})),
        ("/fresh/x", json!({"auth_time": at + 45})),
        ("/fresh/x", json!({"auth_time": at + 3_600})),
        ("/fresh/x", json!({"auth_time": "now"})),
        ("/fresh/x", json!({"acr": "gold"})),
        ("/both/x", json!({"acr": "silver", "auth_time": at})),
        ("/both/x", json!({"acr": "gold", "auth_time": at - 301})),
        ("/otp/x", json!({"amr": ["pwd"], "auth_time": at})),
        ("/otp/x", json!({"acr": "otp"})),
    ] {
        let case = format!("{path}: {less}");
        let before = json!({"acr": "bronze", "auth_time": at - 600});
        let mut browser = signed_in(&world, before).await;
        let start = format!("{START}?rd={path}");
        for _ in 0..2 {
            let reply = step_up(&world, &mut browser, &start, less.clone()).await;
            is_too_little(&reply, &case);
            let asked = Asked::fetch(HOST, path).by(&browser);
            asked.ask(&world, "auth/traefik").await.expect(401);
            // The session goes on where it sufficed.
            opens(&world, &browser, "/x").await;
        }
        let again = asked_for(&mut browser, &format!("{start}&again=true")).await;
        assert_eq!(again["prompt"], "login", "{case}");
    }
}

/// The provider's clock is ahead. The proxy refuses, and `start` must not send the browser back to it.
#[tokio::test]
async fn a_time_that_is_slightly_ahead_makes_no_loop() {
    let world = World::with(RULES).await;
    for ahead in [31, 45, 60, 90] {
        let at = now();
        let mut browser = signed_in(&world, json!({"auth_time": at + ahead})).await;
        let asked = Asked::load(HOST, "/fresh/x").by(&browser);
        let reply = asked.ask(&world, "auth/traefik").await.expect(302);
        let start = reply.location().to_owned();
        let sent = asked_for(&mut browser, &start).await;
        assert_eq!(sent["max_age"], "300", "{ahead}");
        let later = json!({"auth_time": at + ahead});
        is_too_little(&step_up(&world, &mut browser, &start, later).await, "ahead");
    }
    // What a proxy with a clock that is ahead finds too old by now.
    let at = now();
    let mut browser = signed_in(&world, json!({"auth_time": at - 290})).await;
    let start = format!("{START}?rd=/fresh/x&step_up=GET");
    for insists in [false, false, false, true] {
        let sent = asked_for(&mut browser, &start).await;
        assert_eq!(sent["max_age"], "300");
        assert_eq!(sent.contains_key("prompt"), insists, "{sent:?}");
    }
}

/// OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
#[tokio::test]
async fn a_provider_that_says_that_it_cannot_is_believed() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let location = browser.load(&format!("{START}?rd=/vault/x")).await;
    let unmet = "error=unmet_authentication_requirements";
    let issuer = &world.provider.issuer;
    let back = crate::browser::answered(location.expect(302).location(), unmet, issuer);
    is_too_little(&browser.load(&back).await, "unmet");
}

/// Userinfo is not about one authentication, and nobody signs it.
#[tokio::test]
async fn what_userinfo_says_of_an_authentication_is_not_believed() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": null, "auth_time": null})).await;
    let at = now();
    let mut userinfo = world.provider.script().userinfo.clone();
    for (name, value) in [
        ("acr", json!("gold")),
        ("amr", json!(["otp"])),
        ("auth_time", json!(at)),
    ] {
        userinfo[name] = value;
    }
    world.provider.script().userinfo = userinfo;
    for path in ["/vault/x", "/fresh/x", "/otp/x"] {
        let start = format!("{START}?rd={path}");
        let nothing = json!({"acr": null, "auth_time": null});
        let reply = step_up(&world, &mut browser, &start, nothing).await;
        is_too_little(&reply, path);
    }
}

/// The answer to a step-up serves once, and only the browser that was sent there.
#[tokio::test]
async fn an_answer_serves_once_and_its_own_browser() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let mut other = browser.clone();
    let start = format!("{START}?rd=/vault/x");
    says(&world, json!({"acr": "gold"}));
    let callback = browser.begin(&start).await;
    let reply = other.load(callback.as_str()).await;
    assert!(!reply.sets_session(), "{reply:?}");
    let flow = browser.clone();
    browser.load(callback.as_str()).await.expect(302);
    for mut browser in [browser, flow] {
        let reply = browser.load(callback.as_str()).await;
        assert!(!reply.sets_session(), "{reply:?}");
    }
}

/// A browser that does not keep the flow's cookie would go round for ever.
#[tokio::test]
async fn without_the_cookie_of_the_flow_there_is_a_page_and_the_session_goes_on() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    says(&world, json!({"acr": "gold"}));
    let callback = browser.begin(&format!("{START}?rd=/vault/x")).await;
    browser.drop_cookies(|name| !name.contains("flow"));
    let reply = browser.load(callback.as_str()).await.expect(400);
    assert!(
        reply.body.contains("This sign-in has ended"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("rd="), "{}", reply.body);
    assert!(!reply.sets_session());
    opens(&world, &browser, "/x").await;
    assert_eq!(world.provider.script().exchanges, 1);
}

/// The back button, or a browser that restores its tabs: the user has what was asked for.
#[tokio::test]
async fn an_answer_that_is_loaded_again_leads_on() {
    let world = World::with(RULES).await;
    for (link, to) in [
        ("rd=/vault/x", "/vault/x"),
        ("step_up=POST%20/write/x", "/"),
    ] {
        let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
        says(&world, json!({"acr": "gold"}));
        let callback = browser.begin(&format!("{START}?{link}")).await;
        // Who has not done so yet sees for what the page asks again.
        let mut without = browser.clone();
        without.drop_cookies(|name| !name.contains("flow"));
        let page = without.load(callback.as_str()).await.expect(400);
        assert!(page.body.contains("start?rd="), "{}", page.body);
        let is_form = link.contains("POST");
        assert_eq!(page.body.contains("step_up=POST"), is_form);
        browser.load(callback.as_str()).await.expect(302);
        let again = browser.load(callback.as_str()).await.expect(302);
        assert_eq!(again.location(), format!("{ORIGIN}{to}"));
        assert!(!again.sets_session());
    }
}

/// The tab that comes back last does not take away what the other has got.
#[tokio::test]
async fn of_two_tabs_the_last_one_takes_nothing_away() {
    let world = World::with(RULES).await;
    let at = now();
    let old = json!({"acr": "silver", "auth_time": at - 600});
    for (path, gold) in [
        // Its own page still needs something.
        ("/fresh/x", json!({"acr": "gold", "auth_time": at - 600})),
        // It does not.
        ("/fresh/x", json!({"acr": "gold", "auth_time": at})),
    ] {
        let mut browser = signed_in(&world, old.clone()).await;
        let callback = browser.begin(&format!("{START}?rd={path}")).await;
        let suffices = gold["auth_time"] == at;
        let vault = format!("{START}?rd=/vault/x");
        let reply = step_up(&world, &mut browser, &vault, gold).await;
        reply.expect(302);
        says(&world, json!({"acr": "silver", "auth_time": at}));
        let reply = browser.load(callback.as_str()).await;
        assert!(!reply.sets_session(), "{reply:?}");
        if suffices {
            assert_eq!(reply.expect(302).location(), format!("{ORIGIN}{path}"));
        } else {
            is_too_little(&reply, path);
        }
        opens(&world, &browser, "/vault/x").await;
    }
}
