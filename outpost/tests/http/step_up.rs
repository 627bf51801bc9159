//! Step-up: rules that ask how and when a user authenticated, and providers that answer less.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use gatepost_policy::Demand;
use gatepost_session::{Audience, KeyRing, Verifier};
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Browser, Reply, query, session_value};
use crate::forward_auth::{Asked, DIALECTS};
use crate::program::{Folder, checked};
use crate::provider::Provider;
use crate::world::{KEY_A, World, configuration, now};

mod attacks;
mod links;
mod machines;
mod tabs;
mod users;

const HOST: &str = "app.example.com";
const ORIGIN: &str = "https://app.example.com";
const START: &str = "https://app.example.com/akprox/start";

const RULES: &str = "
applications:
  - name: app
    externalUrl: 'https://app.example.com'
    rules:
      - {name: vault, paths: ['/vault/*'], require: {groups: [staff], acr: [gold, platinum]}}
      - {name: fresh, paths: ['/fresh/*'], require: {maxAge: 5m}}
      - {name: otp, paths: ['/otp/*'], require: {amr: [otp]}}
      - {name: root, paths: ['/root/*'], require: {groups: [root], acr: [gold]}}
      - {name: write, paths: ['/write/*'], methods: [POST], require: {acr: [gold]}}
      - {name: both, paths: ['/both/*'], require: {acr: [gold], maxAge: 5m}}
";

/// Has the provider say this of its users from now on.
fn says(world: &World, more: Value) {
    let at = now();
    let more = more.as_object().expect("an object").clone();
    world.provider.script().claims = Box::new(move |claims| {
        claims["iat"] = at.into();
        claims["exp"] = (at + 300).into();
        for (name, value) in &more {
            claims[name] = value.clone();
        }
    });
}

/// Returns a browser of a user of whom the provider says this.
async fn signed_in<'w>(world: &'w World, claims: Value) -> Browser<'w> {
    says(world, claims);
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    browser
}

/// Returns the parameters with which `start` sends a browser to the provider.
async fn asked_for(browser: &mut Browser<'_>, start: &str) -> HashMap<String, String> {
    let reply = browser.load(start).await.expect(302);
    assert!(!reply.sets_session(), "{reply:?}");
    let location = reply.location();
    assert!(location.contains("/authorize?"), "{location}");
    for name in ["acr_values", "max_age", "prompt"] {
        assert!(location.matches(&format!("&{name}=")).count() < 2);
    }
    query(location)
}

/// Has a user authenticate again as `start` says, and returns the answer of the callback.
async fn step_up(world: &World, browser: &mut Browser<'_>, start: &str, claims: Value) -> Reply {
    says(world, claims);
    browser.sign_in(start).await
}

/// Returns the word by which the plugin vouches for what it demands to the session of a browser.
fn word_for(browser: &Browser<'_>, demand: &str) -> String {
    let url = Url::parse(ORIGIN).expect("a URL");
    let ring = KeyRing::parse(KEY_A).expect("a ring");
    let application = Audience::new("app").expect("a name");
    let verifier = Verifier::new(&ring, application);
    let cookies = browser.cookie_line(&url);
    let session = verifier.authenticate(session_value(&cookies).as_bytes());
    let session = session.expect("a session");
    verifier.vouch(session.session_id(), &Demand::vouched_text(demand))
}

/// Checks that a script gets what is at this path with the browser's session.
async fn opens(world: &World, browser: &Browser<'_>, path: &str) {
    let asked = Asked::fetch(HOST, path).by(browser);
    let reply = asked.ask(world, "auth/traefik").await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
}

/// Checks that the page says that less came back, and that nothing has changed for the session.
#[track_caller]
fn is_too_little(reply: &Reply, case: &str) {
    assert_eq!(reply.status, 403, "{case}: {reply:?}");
    assert!(reply.body.contains("stronger or more recent"), "{case}");
    assert!(!reply.sets_session(), "{case}: {reply:?}");
    assert!(reply.body.contains("again=true"), "{case}: {}", reply.body);
}

#[tokio::test]
async fn a_page_load_is_sent_to_the_provider_by_each_proxy_and_opens_afterwards() {
    for dialect in DIALECTS {
        let world = World::with(RULES).await;
        let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
        let asked = Asked::load(HOST, "/vault/x?y=1");
        let reply = asked.clone().by(&browser).ask(&world, dialect).await;
        let start = if dialect.ends_with("nginx") {
            reply.expect(401);
            // What nginx writes, which knows nothing of the rules.
            format!("{START}?target=/vault/x?y=1")
        } else {
            let location = reply.expect(302).location().to_owned();
            assert_eq!(
                location,
                format!("{START}?rd=%2Fvault%2Fx%3Fy%3D1&step_up=GET"),
                "{dialect}"
            );
            location
        };
        let sent = asked_for(&mut browser, &start).await;
        assert_eq!(sent["acr_values"], "gold platinum");
        assert_eq!(sent["login_hint"], "alice");
        assert!(!sent.contains_key("prompt") && !sent.contains_key("max_age"));
        let before = browser.clone();
        let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
        let reply = reply.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/vault/x?y=1");
        assert!(reply.sets_session());
        asked
            .clone()
            .by(&browser)
            .ask(&world, dialect)
            .await
            .expect(200);
        let over = asked.by(&before).ask(&world, "auth/traefik").await;
        let over = over.expect(302).location().to_owned();
        assert!(!over.contains("step_up"), "the session before is over");
    }
}

#[tokio::test]
async fn scripts_are_challenged_and_forms_are_said_not_to_have_been_delivered() {
    let world = World::with(RULES).await;
    let browser = signed_in(&world, json!({"acr": "silver"})).await;
    for (path, parameters) in [
        ("/vault/x", ", acr_values=\"gold platinum\""),
        ("/fresh/x", ", max_age=\"300\""),
        ("/both/x", ", acr_values=\"gold\", max_age=\"300\""),
        ("/otp/x", ""),
    ] {
        for dialect in DIALECTS {
            let fetch = Asked::fetch(HOST, path).by(&browser);
            let reply = fetch.ask(&world, dialect).await.expect(401);
            let challenge = format!(
                "Bearer realm=\"app\", error=\"insufficient_user_authentication\"{parameters}"
            );
            assert_eq!(reply.header("www-authenticate"), Some(&*challenge));
            let answer = reply.json();
            assert_eq!(answer["error"], "insufficient_user_authentication");
            let escaped = path.replace('/', "%2F");
            let sign_in = answer["signIn"].as_str().expect("a URL");
            assert_eq!(sign_in, format!("{START}?step_up=GET%20{escaped}"));
            let form = Asked::form(HOST, path).by(&browser);
            let reply = form.ask(&world, dialect).await.expect(401);
            assert!(reply.body.contains("not been delivered"), "{}", reply.body);
            assert!(reply.body.contains("more recent sign-in"), "{}", reply.body);
            let link = format!("start?step_up=POST%20{escaped}\"");
            assert!(reply.body.contains(&link), "{}", reply.body);
        }
    }
    // The script's page is where the user comes back to, and the front page after a form.
    for (more, to) in [("&rd=%2Fpage%3Fq", "/page?q"), ("", "/")] {
        let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
        let start = format!("{START}?step_up=POST%20%2Fvault%2Fx{more}");
        let sent = asked_for(&mut browser, &start).await;
        assert_eq!(sent["acr_values"], "gold platinum");
        let less = step_up(&world, &mut browser, &start, json!({"acr": "silver"})).await;
        is_too_little(&less, more);
        assert!(less.body.contains("step_up=POST"), "{}", less.body);
        let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
        assert_eq!(reply.expect(302).location(), format!("{ORIGIN}{to}"));
        let form = Asked::form(HOST, "/vault/x").by(&browser);
        form.ask(&world, "auth/traefik").await.expect(200);
    }
}

/// The method that was asked decides, and not that of the page load afterwards.
#[tokio::test]
async fn a_rule_for_a_method_is_asked_about_with_that_method() {
    let world = World::with(RULES).await;
    let browser = signed_in(&world, json!({"acr": "silver"})).await;
    for dialect in DIALECTS {
        let page = Asked::load(HOST, "/write/x").by(&browser);
        page.ask(&world, dialect).await.expect(200);
        let form = Asked::form(HOST, "/write/x").by(&browser);
        let reply = form.ask(&world, dialect).await.expect(401);
        assert!(reply.body.contains("step_up=POST%20%2Fwrite%2Fx"));
    }
    let start = format!("{START}?step_up=POST%20%2Fwrite%2Fx");
    let sent = asked_for(&mut browser.clone(), &start).await;
    assert_eq!(sent["acr_values"], "gold");
    // nginx leads a page load there, which needs nothing.
    let raw = format!("{START}?target=/write/x");
    let reply = browser.clone().load(&raw).await.expect(302);
    assert_eq!(reply.location(), format!("{ORIGIN}/write/x"));
}

/// Recipes of authentik for nginx do not send the method. Then each request may be the form, and the
/// page load comes back.
#[tokio::test]
async fn a_proxy_that_does_not_say_the_method_makes_no_loop() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let url = url::Url::parse("https://app.example.com/write/x").expect("a URL");
    let cookie = browser.cookie_line(&url);
    let question = [
        ("X-Original-URL", "https://app.example.com/write/x"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Cookie", &*cookie),
    ];
    world.ask("auth/nginx", &question).await.expect(401);
    let start = format!("{START}?target=/write/x");
    let back = browser.load(&start).await.expect(302);
    assert_eq!(back.location(), format!("{ORIGIN}/write/x"));
    let sent = asked_for(&mut browser, &start).await;
    assert_eq!(sent["acr_values"], "gold");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "silver"})).await;
    is_too_little(&reply, "less");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    assert_eq!(reply.expect(302).location(), format!("{ORIGIN}/write/x"));
}

#[tokio::test]
async fn the_age_and_the_method_are_asked_for() {
    let world = World::with(RULES).await;
    let at = now();
    let mut browser = signed_in(&world, json!({"auth_time": at - 301})).await;
    let fresh = format!("{START}?rd=/fresh/x");
    let sent = asked_for(&mut browser, &fresh).await;
    assert_eq!(sent["max_age"], "300");
    assert!(!sent.contains_key("acr_values") && !sent.contains_key("prompt"));
    let reply = step_up(&world, &mut browser, &fresh, json!({"auth_time": at})).await;
    assert_eq!(
        reply.expect(302).location(),
        "https://app.example.com/fresh/x"
    );
    let asked = Asked::load(HOST, "/fresh/x");
    asked
        .by(&browser)
        .ask(&world, "auth/traefik")
        .await
        .expect(200);

    // No request can ask for a method.
    let otp = format!("{START}?rd=/otp/x");
    let sent = asked_for(&mut browser, &otp).await;
    assert_eq!(sent["prompt"], "login");
    assert!(!sent.contains_key("acr_values") && !sent.contains_key("max_age"));
    let reply = step_up(&world, &mut browser, &otp, json!({"amr": ["pwd", "otp"]})).await;
    assert_eq!(
        reply.expect(302).location(),
        "https://app.example.com/otp/x"
    );
}

/// A recent sign-in is not to be a weaker one.
#[tokio::test]
async fn whatever_is_lacking_the_provider_is_asked_for_all_of_a_rule() {
    let world = World::with(RULES).await;
    let at = now();
    for (claims, path, acr_values, max_age) in [
        // Gold, and stale.
        (
            json!({"acr": "gold", "auth_time": at - 400}),
            "/both/x",
            "gold",
            "300",
        ),
        // Fresh, and not gold.
        (
            json!({"acr": "silver", "auth_time": at}),
            "/both/x",
            "gold",
            "300",
        ),
        // The rule names no class: that of the session.
        (
            json!({"acr": "silver", "auth_time": at - 400}),
            "/fresh/x",
            "silver",
            "300",
        ),
    ] {
        let mut browser = signed_in(&world, claims.clone()).await;
        let sent = asked_for(&mut browser, &format!("{START}?rd={path}")).await;
        assert_eq!(sent["acr_values"], acr_values, "{claims}");
        assert_eq!(sent["max_age"], max_age, "{claims}");
    }
}

/// What the plugin's own rules ask goes along in the header, and then in the link.
#[tokio::test]
async fn what_a_proxys_own_rules_ask_is_asked_for_too() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let rule = "session&and&all=claim:acr:gold&all=maxAge:60";
    let asked = Asked::load(HOST, "/x")
        .with("X-Gatepost-Require", rule)
        .with("X-Gatepost-Require-Proof", &word_for(&browser, rule));
    let reply = asked.clone().by(&browser).ask(&world, "auth/traefik").await;
    let start = reply.expect(302).location().to_owned();
    let conditions = "authentication=all%3Dclaim%3Aacr%3Agold%26all%3DmaxAge%3A60";
    let (link, proof) = start.split_once("&proof=").expect("a proof");
    assert_eq!(link, format!("{START}?rd=%2Fx&step_up=GET&{conditions}"));
    assert_eq!(proof.len(), 22, "{proof}");
    let sent = asked_for(&mut browser, &start).await;
    assert_eq!((&*sent["acr_values"], &*sent["max_age"]), ("gold", "60"));
    let less = json!({"acr": "gold", "auth_time": now() - 61});
    let reply = step_up(&world, &mut browser, &start, less).await;
    is_too_little(&reply, "too old");
    assert!(reply.body.contains("authentication=all"), "{}", reply.body);
    let enough = json!({"acr": "gold", "auth_time": now() - 1});
    let reply = step_up(&world, &mut browser, &start, enough).await;
    assert_eq!(reply.expect(302).location(), "https://app.example.com/x");
    asked
        .by(&browser)
        .ask(&world, "auth/traefik")
        .await
        .expect(200);
}

/// A refresh is no authentication, whatever the refreshed ID token says.
#[tokio::test]
async fn a_renewal_makes_no_session_fresh_or_strong() {
    let world = World::with(RULES).await;
    let at = now();
    let browser = signed_in(&world, json!({"auth_time": at, "acr": "silver"})).await;
    opens(&world, &browser, "/fresh/x").await;
    world.wait(11 * 60);
    says(&world, json!({"auth_time": now(), "acr": "gold"}));
    let asked = Asked::load(HOST, "/x").by(&browser);
    let renewed = asked.ask(&world, "auth/traefik").await.expect(200);
    assert!(renewed.sets_session() && world.provider.script().refreshes == 1);
    let cookie = renewed.set_cookies().first().expect("a cookie").to_string();
    let cookie = cookie.split(';').next().expect("a pair");
    for path in ["/fresh/x", "/vault/x"] {
        let asked = Asked::fetch(HOST, path).with("Cookie", cookie);
        let reply = asked.ask(&world, "auth/traefik").await.expect(401);
        assert_eq!(reply.json()["error"], "insufficient_user_authentication");
    }
}

#[tokio::test]
async fn a_domain_has_its_users_authenticate_again_at_the_outposts_own_host() {
    let world = World::with(
        "applications:
  - {name: intranet, mode: domain, externalUrl: 'https://auth.example.org',
     cookieDomain: example.org, rules: [{paths: ['/vault/*'], require: {acr: [gold]}}]}",
    )
    .await;
    says(&world, json!({"acr": "silver"}));
    let mut browser = world.browser();
    let start = "https://auth.example.org/akprox/start";
    let home = format!("{start}?rd=https%3A%2F%2Fwiki.example.org%2F");
    browser.sign_in(&home).await.expect(302);
    let asked = Asked::load("wiki.example.org", "/vault/x");
    let reply = asked.clone().by(&browser).ask(&world, "auth/traefik").await;
    let location = reply.expect(302).location().to_owned();
    let more = "step_up=GET";
    let rd = "rd=https%3A%2F%2Fwiki.example.org%2Fvault%2Fx";
    assert_eq!(location, format!("{start}?{rd}&{more}"));
    // At another host, what the link asks goes along.
    let elsewhere = "https://wiki.example.org/akprox/start";
    let conditions = "authentication=all%3DmaxAge%3A90";
    let other = format!("{elsewhere}?rd=%2Fvault%2Fx&{more}&{conditions}&again=true");
    let reply = browser.load(&other).await.expect(302);
    let all = format!("again=true&{conditions}&{more}");
    assert_eq!(reply.location(), format!("{start}?{rd}&{all}"));
    let form = format!("{elsewhere}?rd=%2Fy&step_up=POST%20%2Fvault%2Fx");
    let reply = browser.load(&form).await.expect(302).location().to_owned();
    assert_eq!(
        query(&reply)["step_up"],
        "POST https://wiki.example.org/vault/x"
    );
    let sent = asked_for(&mut browser, &reply).await;
    assert_eq!(sent["acr_values"], "gold");
    let reply = step_up(&world, &mut browser, &location, json!({"acr": "gold"})).await;
    let back = "https://wiki.example.org/vault/x";
    assert_eq!(reply.expect(302).location(), back);
    asked
        .by(&browser)
        .ask(&world, "auth/traefik")
        .await
        .expect(200);
}

#[tokio::test]
async fn the_new_session_is_bound_anew() {
    let more = format!("{RULES}\nsession: {{deviceBound: prefer}}");
    let world = World::with(&more).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let start = format!("{START}?rd=/vault/x");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    let registers = reply
        .expect(302)
        .header("secure-session-registration")
        .is_some();
    assert!(registers);
}

#[tokio::test]
async fn without_the_store_there_is_a_page_and_no_loop() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    world.store.away.store(true, Ordering::Relaxed);
    let start = format!("{START}?rd=/vault/x");
    for start in [format!("{start}&step_up=GET"), start] {
        browser.load(&start).await.expect(503);
    }
    let elsewhere = browser.load(&format!("{START}?rd=/x")).await;
    assert_eq!(elsewhere.expect(302).location(), format!("{ORIGIN}/x"));
}

#[tokio::test]
async fn check_names_the_classes_and_scopes_that_the_provider_does_not_list() {
    let provider = Provider::start().await;
    provider.script().discovery = Box::new(|members| {
        members["acr_values_supported"] = json!(["silver", "gold"]);
        members["scopes_supported"] = json!(["openid", "email", "groups"]);
    });
    let folder = Folder::new("classes");
    let file = folder.path("gatepost.yaml");
    let yaml = configuration(&provider, KEY_A, RULES);
    std::fs::write(&file, yaml).expect("written");
    let said = checked(file).await;
    for expected in [
        "rules of `app` ask for the `acr` platinum, which its",
        "main: has a scope `groups`, for which `scopes` does not ask, and rules of `app` ask for groups",
        "its `scopes_supported` does not list profile, for which `scopes` asks",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
