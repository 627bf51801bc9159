//! What links may say: those of proxies with rules of their own, and those of other sites.

use super::*;

/// Returns a link to a path that asks for these conditions.
fn link(path: &str, conditions: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(conditions.as_bytes()).collect();
    format!("{START}?rd={path}&step_up=GET&authentication={escaped}")
}

/// Rules of an outpost whose plugin has others.
const RULES_WITHOUT_CLASSES: &str = "
applications:
  - {name: app, externalUrl: 'https://app.example.com'}
";

/// Returns the link of a proxy whose own rules ask this of the user of the browser.
async fn proven(world: &World, browser: &mut Browser<'_>, path: &str, conditions: &str) -> String {
    let word = word_for(browser, conditions);
    let asked = Asked::load(HOST, path)
        .with("X-Gatepost-Require", conditions)
        .with("X-Gatepost-Require-Proof", &word);
    let reply = asked.by(browser).ask(world, "auth/traefik").await;
    let location = reply.expect(302).location().to_owned();
    assert!(location.contains("&proof="), "{location}");
    location
}

/// Returns the same link as the proxy of the browser's session makes it.
pub(super) async fn vouched(browser: &Browser<'_>, start: &str) -> String {
    let page = browser.clone().load(start).await;
    with_proof_of(start, &restart_of(&page))
}

/// Returns this link with the proof of the other one.
fn with_proof_of(start: &str, other: &str) -> String {
    let proof = query(other).remove("proof");
    format!("{start}&proof={}", proof.expect("a proof"))
}

/// Returns where the link of a page leads.
fn restart_of(page: &Reply) -> String {
    let link = page.body.split("start?").nth(1).expect("a link");
    let link = link.split('"').next().expect("its end");
    let link = link.replace("&amp;", "&").replace("&#x2f;", "/");
    format!("{START}?{link}")
}

/// A proxy may hand on what a client says in the plugin's place, such as a script of the application. The
/// outpost vouches for nothing of it.
#[tokio::test]
async fn no_client_has_the_outpost_vouch_for_what_it_demands() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "gold"})).await;
    let other = signed_in(&world, json!({"acr": "gold"})).await;
    let rule = "all=claim:acr:tenant%3Aevil:bronze";
    let words = [
        None,
        Some(String::new()),
        Some("A".repeat(22)),
        // The plugin's, for another session and for another demand; and that of a link.
        Some(word_for(&other, rule)),
        Some(word_for(&browser, "all=claim:acr:bronze")),
        proven(&world, &mut browser, "/x", rule)
            .await
            .split_once("&proof=")
            .map(|(_, word)| word.to_owned()),
    ];
    for word in words {
        let asked = Asked::load(HOST, "/x").with("X-Gatepost-Require", rule);
        let asked = match &word {
            Some(word) => asked.with("X-Gatepost-Require-Proof", word),
            None => asked,
        };
        let reply = asked.by(&browser).ask(&world, "auth/traefik").await;
        let start = reply.expect(302).location().to_owned();
        assert!(!start.contains("proof="), "{word:?}: {start}");
        // The page that asks, and not the provider.
        let page = browser.clone().load(&start).await;
        assert_eq!(page.status, 403, "{word:?}: {page:?}");
        assert!(page.body.contains("stronger or more recent"), "{word:?}");
    }
}

/// With `stateDir` the plugin has the outpost's own rules: then the link says nothing of them, also by a
/// plugin that does not vouch.
#[tokio::test]
async fn what_the_outposts_own_rules_ask_is_not_said_again() {
    let world = World::with(RULES).await;
    let browser = signed_in(&world, json!({"acr": "silver"})).await;
    let own = "session&and&any=group:staff&all=claim:acr:gold:platinum";
    let asked = Asked::load(HOST, "/vault/x").with("X-Gatepost-Require", own);
    let reply = asked.by(&browser).ask(&world, "auth/traefik").await;
    let expected = format!("{START}?rd=%2Fvault%2Fx&step_up=GET");
    assert_eq!(reply.expect(302).location(), expected);
    // What it adds is said with them, each once.
    let more = [own, "&and&all=claim:acr:gold:platinum&all=maxAge:300"].concat();
    let asked = Asked::load(HOST, "/vault/x").with("X-Gatepost-Require", &more);
    let reply = asked.by(&browser).ask(&world, "auth/traefik").await;
    let said = query(reply.expect(302).location()).remove("authentication");
    let expected = "all=claim:acr:gold:platinum&all=maxAge:300";
    assert_eq!(said.as_deref(), Some(expected));
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
    let at = now();
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
    let start = vouched(&browser, &start).await;
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "bronze"})).await;
    is_too_little(&reply, "needless");
    opens(&world, &browser, "/x").await;
}

/// A link cannot have the provider ask a user again and again.
#[tokio::test]
async fn a_link_does_not_ask_again_for_what_is_a_minute_old() {
    let world = World::with(RULES).await;
    let at = now();
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
            let start = vouched(&browser, &start).await;
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
    let start = vouched(&browser, &start).await;
    assert_eq!(asked_for(&mut browser, &start).await["acr_values"], "gold");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/"));
    // A form says where it went.
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let start = format!("{START}?step_up=POST%20%2Fform&authentication=all%3Dclaim%3Aacr%3Agold");
    let start = vouched(&browser, &start).await;
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
                rule => form
                    .with("X-Gatepost-Require", rule)
                    .with("X-Gatepost-Require-Proof", &word_for(&browser, rule)),
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
    let at = now();
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
        let start = vouched(&browser, &link("/x", conditions)).await;
        let reply = step_up(&world, &mut browser, &start, less).await;
        is_too_little(&reply, conditions);
        let path = if own.get("amr").is_some() {
            "/otp/x"
        } else {
            "/vault/x"
        };
        opens(&world, &browser, path).await;
    }
}

/// A plugin's own rule names the class that the user has, and none of the outpost's does: a link that
/// another site has made leaves it to the user whether to authenticate as it says.
#[tokio::test]
async fn a_link_that_no_proxy_has_made_asks_the_user_first() {
    let world = World::with(RULES_WITHOUT_CLASSES).await;
    let at = now();
    for conditions in ["all=claim:acr:bronze", "all=claim:amr:pwd", "all=maxAge:60"] {
        let own = json!({"acr": "gold", "amr": ["hwk"], "auth_time": at - 90});
        let mut browser = signed_in(&world, own).await;
        let start = link("/x", conditions);
        let less = json!({"acr": "bronze", "amr": ["pwd"], "auth_time": at});
        says(&world, less.clone());
        // Neither a proof of another session nor one of another condition is one.
        let mut other = signed_in(&world, json!({"acr": "gold", "auth_time": at - 90})).await;
        let foreign = proven(&world, &mut other, "/x", conditions).await;
        let elsewhere = proven(&world, &mut browser, "/x", "all=claim:acr:none").await;
        let elsewhere = with_proof_of(&start, &elsewhere);
        for start in [&start, &foreign, &elsewhere, &format!("{start}&again=true")] {
            says(&world, less.clone());
            let reply = browser.load(start).await;
            assert_eq!(reply.status, 403, "{start}: {reply:?}");
            assert!(reply.body.contains("stronger or more recent"), "{start}");
            for rule in ["all=claim:acr:gold", "all=claim:amr:hwk"] {
                let asked = Asked::fetch(HOST, "/x").with("X-Gatepost-Require", rule);
                let asked = asked.by(&browser);
                asked.ask(&world, "auth/traefik").await.expect(200);
            }
        }
        // The link of the page is the user's own act.
        let page = browser.load(&start).await;
        let reply = browser.sign_in(&restart_of(&page)).await.expect(302);
        assert_eq!(reply.location(), format!("{ORIGIN}/x"));
        assert!(reply.sets_session(), "{reply:?}");
    }
}

/// A page that needs a recent sign-in is no reason to lose a class: a link leads there as well.
#[tokio::test]
async fn a_recent_sign_in_that_is_weaker_takes_the_place_by_the_users_own_act_alone() {
    let world = World::with(RULES).await;
    let at = now();
    for (own, less, path) in [
        (json!({"acr": "gold"}), json!({"acr": "silver"}), "/vault/x"),
        (json!({"amr": ["otp"]}), json!({"amr": ["pwd"]}), "/otp/x"),
    ] {
        let with = |claims: &Value, auth_time: u64| {
            let mut claims = claims.clone();
            claims["auth_time"] = auth_time.into();
            claims
        };
        let mut browser = signed_in(&world, with(&own, at - 400)).await;
        let start = format!("{START}?rd=/fresh/x");
        for start in [
            &start,
            &format!("{start}&again=true"),
            &format!("{start}&replace=true"),
        ] {
            let reply = step_up(&world, &mut browser, start, with(&less, at)).await;
            is_too_little(&reply, path);
            opens(&world, &browser, path).await;
        }
        let page = step_up(&world, &mut browser, &start, with(&less, at)).await;
        let again = restart_of(&page);
        let mut other = signed_in(&world, with(&own, at - 400)).await;
        is_too_little(
            &step_up(&world, &mut other, &again, with(&less, at)).await,
            "another's",
        );
        let sent = asked_for(&mut browser.clone(), &again).await;
        assert_eq!(sent["prompt"], "login");
        let reply = step_up(&world, &mut browser, &again, with(&less, at)).await;
        assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/fresh/x"));
        opens(&world, &browser, "/fresh/x").await;
    }
}

/// What a rule asks for may come with a sign-in that is longer ago than that of the session.
#[tokio::test]
async fn an_older_sign_in_takes_no_place() {
    let world = World::with(RULES).await;
    let at = now();
    let mut browser = signed_in(&world, json!({"auth_time": at - 90})).await;
    let start = proven(&world, &mut browser, "/x", "all=claim:acr:bronze").await;
    let older = json!({"acr": "bronze", "auth_time": at - 400});
    let reply = step_up(&world, &mut browser, &start, older).await;
    is_too_little(&reply, "older");
    opens(&world, &browser, "/fresh/x").await;
}

/// A callback with the note of anybody's sign-in is a link, too.
#[tokio::test]
async fn a_callback_of_another_browser_replaces_no_session_whose_window_is_over() {
    let world = World::with(RULES).await;
    let mut attacker = world.browser();
    let callback = attacker.begin(&format!("{START}?rd=/x")).await;
    let mut browser = signed_in(&world, json!({"acr": "gold"})).await;
    world.wait(16 * 60);
    let reply = browser.load(callback.as_str()).await.expect(302);
    let location = reply.location().to_owned();
    assert!(location.starts_with(&format!("{START}?rd=")), "{location}");
    let reply = browser.load(&location).await.expect(302);
    assert_eq!(reply.location(), format!("{ORIGIN}/x"));
    opens(&world, &browser, "/vault/x").await;
}

/// By the clock of its proxy, which is ahead, the sign-in is too old: the provider is asked.
#[tokio::test]
async fn a_link_of_a_proxy_whose_clock_is_ahead_is_no_page() {
    let world = World::with(RULES).await;
    let at = now();
    let mut browser = signed_in(&world, json!({"auth_time": at - 590})).await;
    let start = vouched(&browser, &link("/x", "all=maxAge:600")).await;
    assert_eq!(asked_for(&mut browser, &start).await["max_age"], "600");
    let reply = step_up(&world, &mut browser, &start, json!({"auth_time": at})).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/x"));
    // What is less than a minute old is not asked for again.
    let mut browser = signed_in(&world, json!({"auth_time": at - 50})).await;
    let young = vouched(&browser, &link("/x", "all=maxAge:61")).await;
    is_too_little(&browser.load(&young).await, "young");
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
