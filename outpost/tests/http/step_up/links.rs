//! What links may say: those of proxies with rules of their own, and those of other sites.

use super::*;

/// Returns a link to a path that asks for these conditions.
fn link(path: &str, conditions: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(conditions.as_bytes()).collect();
    format!("{START}?rd={path}&step_up=GET&authentication={escaped}")
}

/// What cannot be read was asked for by a proxy that refuses the request: back there, it would refuse
/// it again.
#[tokio::test]
async fn a_link_that_cannot_be_read_leads_to_a_page_and_not_to_a_loop() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let long = ["all=claim:acr:", &"a".repeat(2_048)].concat();
    for (at, conditions) in [
        "deny",
        "session",
        "all=group:root",
        "any=claim:acr:gold",
        "not=claim:acr:silver",
        "all=deviceBound:true",
        "all=claim:acr:gold&all=claim:acr:platinum",
        "\0",
        "",
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let reply = browser.load(&link(&format!("/{at}"), conditions)).await;
        is_too_little(&reply, conditions);
    }
    let twice = format!(
        "{}&authentication=all%3DmaxAge%3A9",
        link("/x", "all=maxAge:9")
    );
    is_too_little(&browser.load(&twice).await, "twice");
    // The application's own rules are asked for all the same.
    let sent = asked_for(&mut browser, &link("/vault/x", &long)).await;
    assert_eq!(sent["acr_values"], "gold platinum");
}

#[tokio::test]
async fn a_link_asks_for_nothing_that_is_there() {
    let world = World::with(RULES).await;
    let at = now(&world);
    let mut browser = signed_in(&world, json!({"acr": "silver", "auth_time": at})).await;
    for conditions in ["all=claim:acr:silver", "all=claim:acr:sil*&all=maxAge:61"] {
        let conditions = conditions.replace('*', "%2A");
        let reply = browser.load(&link("/x", &conditions)).await;
        assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/x"));
    }
    // Without a session it is a sign-in like any other.
    let reply = world
        .browser()
        .sign_in(&link("/x", "all=claim:acr:gold"))
        .await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/x"));
}

/// A link cannot weaken what a rule asks, and cannot keep a user from it.
#[tokio::test]
async fn what_a_link_adds_to_a_rule_is_asked_for_and_does_not_count() {
    let world = World::with(RULES).await;
    for (conditions, asked) in [
        ("all=claim:acr:bronze", "gold platinum"),
        ("all=claim:acr:platinum:bronze", "platinum"),
        ("all=claim:acr:none", "gold platinum"),
    ] {
        let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
        let start = link("/vault/x", conditions);
        let sent = asked_for(&mut browser, &start).await;
        assert_eq!(sent["acr_values"], asked, "{conditions}");
        let reply = step_up(&world, &mut browser, &start, json!({"acr": "bronze"})).await;
        is_too_little(&reply, conditions);
        let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
        let to = reply.expect(302).location().to_owned();
        assert_eq!(to, format!("{ORIGIN}/vault/x"), "{conditions}");
    }
}

/// Of a page that needs nothing: the user is asked, and loses nothing.
#[tokio::test]
async fn a_needless_link_costs_no_session() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let start = link("/x", "all=claim:acr:platinum");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "bronze"})).await;
    is_too_little(&reply, "needless");
    let asked = Asked::fetch(HOST, "/x").by(&browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
}

/// A link cannot have the provider ask a user again and again.
#[tokio::test]
async fn a_link_does_not_ask_again_for_what_is_a_minute_old() {
    let world = World::with(RULES).await;
    let at = now(&world);
    for (asked, age, asks) in [
        (0, 0, false),
        (0, 59, false),
        (59, 59, false),
        (0, 61, true),
        (60, 61, true),
    ] {
        let mut browser = signed_in(&world, json!({"auth_time": at - age})).await;
        for more in ["", "&again=true"] {
            let start = format!("{}{more}", link("/x", &format!("all=maxAge:{asked}")));
            if asks {
                let sent = asked_for(&mut browser, &start).await;
                assert_eq!(sent["max_age"], "60");
            } else {
                is_too_little(&browser.load(&start).await, &start);
            }
        }
    }
}

/// The target may be too long for the link of a proxy. Then the front page decides nothing.
#[tokio::test]
async fn without_a_target_the_rules_of_the_front_page_are_not_asked() {
    let world = World::with(
        "applications:
  - {name: app, externalUrl: 'https://app.example.com',
     rules: [{paths: ['/'], deny: true}]}",
    )
    .await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let start = format!("{START}?authentication=all%3Dclaim%3Aacr%3Agold");
    assert_eq!(asked_for(&mut browser, &start).await["acr_values"], "gold");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/"));
    // A form says where it went.
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let start = format!("{START}?step_up=POST%20%2Fform&authentication=all%3Dclaim%3Aacr%3Agold");
    assert_eq!(asked_for(&mut browser, &start).await["acr_values"], "gold");
}

/// Rows 1 to 14 hold for the second URL of a link, too: the browser is never sent there.
#[tokio::test]
async fn the_request_of_a_link_is_nowhere_to_go() {
    let world = World::with(RULES).await;
    for hostile in [
        "https://evil.example/vault/x",
        "//evil.example/",
        "javascript:x",
    ] {
        let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
        let escaped: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        let start = format!("{START}?rd=/vault/x&step_up=POST%20{escaped}");
        // For which request it is remains unknown, and the page of another decides nothing.
        for start in [start.clone(), start.replace("rd=/vault/x&", "")] {
            let reply = browser.load(&start).await;
            is_too_little(&reply, hostile);
            assert!(!reply.body.contains("evil"), "{}", reply.body);
        }
    }
}

/// Pages of a request that only the proxy understands, or whose URL had no room: the front page would
/// say nothing of what is lacking.
#[tokio::test]
async fn a_request_that_a_link_cannot_say_leads_to_a_page() {
    let world = World::with(RULES).await;
    let browser = signed_in(&world, json!({"acr": "silver"})).await;
    for link in [
        "rd=%2F%2Fvault%2Fx&step_up=GET",
        "step_up=POST%20",
        "rd=%2Fpage&step_up=POST%20",
    ] {
        is_too_little(
            &browser.clone().load(&format!("{START}?{link}")).await,
            link,
        );
    }
    // By nobody's rule, it is a sign-in like any other.
    let reply = browser.clone().load(&format!("{START}?rd=%2F%2Fx")).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/"));
    // Forms to long URLs, and to very long ones: what a proxy's own rules ask is asked for.
    for bytes in [1_500, 4_000] {
        let target = format!("/vault/{}", "x".repeat(bytes));
        for rule in ["", "session&and&all=claim:acr:gold:urn%3Aa"] {
            let form = Asked::form(HOST, &target).by(&browser);
            let form = match rule {
                "" => form,
                rule => form.with("X-Gatepost-Require", rule),
            };
            let reply = form.ask(&world, "auth/traefik").await.expect(401);
            let link = reply.body.split("start?").nth(1).expect("a link");
            let link = link.split('"').next().expect("its end");
            let link = link.replace("&amp;", "&").replace("&#x2f;", "/");
            let start = format!("{START}?{link}");
            if rule.is_empty() {
                is_too_little(&browser.clone().load(&start).await, &start);
            } else {
                let sent = asked_for(&mut browser.clone(), &start).await;
                assert_eq!(sent["acr_values"], "gold", "{start}");
            }
        }
    }
}

/// A link alone asked, so that the user keeps what the application's rules may ask of them.
#[tokio::test]
async fn a_link_makes_no_session_weaker() {
    let world = World::with(RULES).await;
    let at = now(&world);
    for (own, conditions, less) in [
        (
            json!({"acr": "gold", "auth_time": at}),
            "all=claim:acr:bronze",
            json!({"acr": "bronze", "auth_time": at}),
        ),
        (
            json!({"acr": "gold", "auth_time": at - 90}),
            "all=maxAge:60",
            json!({"acr": "silver", "auth_time": at}),
        ),
        (
            json!({"amr": ["pwd", "otp"], "auth_time": at - 90}),
            "all=maxAge:60",
            json!({"amr": ["pwd"], "auth_time": at}),
        ),
    ] {
        let mut browser = signed_in(&world, own.clone()).await;
        let start = link("/x", conditions);
        let reply = step_up(&world, &mut browser, &start, less).await;
        is_too_little(&reply, conditions);
        let path = if own.get("amr").is_some() {
            "/otp/x"
        } else {
            "/vault/x"
        };
        let asked = Asked::fetch(HOST, path).by(&browser);
        asked.ask(&world, "auth/traefik").await.expect(200);
    }
}

/// By the clock of its proxy, which is ahead, the sign-in is too old: the provider is asked.
#[tokio::test]
async fn a_link_of_a_proxy_whose_clock_is_ahead_is_no_page() {
    let world = World::with(RULES).await;
    let at = now(&world);
    let mut browser = signed_in(&world, json!({"auth_time": at - 590})).await;
    let start = link("/x", "all=maxAge:600");
    assert_eq!(asked_for(&mut browser, &start).await["max_age"], "600");
    let reply = step_up(&world, &mut browser, &start, json!({"auth_time": at})).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/x"));
    // What is less than a minute old is not asked for again.
    let mut browser = signed_in(&world, json!({"auth_time": at - 50})).await;
    is_too_little(&browser.load(&link("/x", "all=maxAge:61")).await, "young");
}

/// Two tabs that a browser restores, or a link that is clicked twice: a page load is none of a form.
#[tokio::test]
async fn a_link_that_comes_twice_asks_for_no_more() {
    let world = World::with(
        "applications:
  - {name: app, externalUrl: 'https://app.example.com', rules: [
      {paths: ['/net/*'], networks: [192.0.2.0/24], signedIn: true},
      {paths: ['/net/*'], require: {acr: [gold]}},
      {paths: ['/write/*'], methods: [POST], require: {acr: [gold]}}]}",
    )
    .await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    for link in ["rd=%2Fwrite%2Fx", "rd=%2Fwrite%2Fx&step_up=GET"] {
        for _ in 0..3 {
            let reply = browser.load(&format!("{START}?{link}")).await.expect(302);
            assert_eq!(reply.location(), format!("{ORIGIN}/write/x"), "{link}");
        }
    }
    // nginx may not say the method, and may say the client.
    let raw = format!("{START}?target=/net/x");
    for _ in 0..2 {
        let reply = browser.load(&raw).await.expect(302);
        assert_eq!(reply.location(), format!("{ORIGIN}/net/x"));
    }
    assert_eq!(asked_for(&mut browser, &raw).await["acr_values"], "gold");
}
