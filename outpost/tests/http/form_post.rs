//! A provider that has the browser post its answer (OAuth 2.0 Form Post Response Mode).

use axum::body::Body;
use axum::http::{Method, Request};
use url::{Url, form_urlencoded};

use crate::browser::Reply;
use crate::world::{KEY_A, World, configuration};

const START: &str = "https://app.example.com/akprox/start";
const FORM: &str = "application/x-www-form-urlencoded";

async fn world(mode: &str) -> World {
    let provider = crate::provider::Provider::start().await;
    let named = format!("{{name: main, responseMode: {mode},");
    let yaml = configuration(&provider, KEY_A, "").replace("{name: main,", &named);
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    world
}

/// Posts a form as a browser does that comes from the provider's page: without `Lax` cookies.
async fn post(world: &World, url: &Url, media_type: &str, body: String) -> Reply {
    let request = Request::post(url.path())
        .header("Host", url.host_str().expect("a host"))
        .header("Content-Type", media_type)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Accept", "text/html")
        .body(Body::from(body))
        .expect("a request");
    world.send_from("192.0.2.1:5000", request).await
}

/// The form that a provider would have the browser post, by the URL that it would send it to.
fn form(callback: &Url) -> String {
    callback.query().expect("parameters").to_owned()
}

#[tokio::test]
async fn a_posted_answer_signs_in_and_shows_its_code_in_no_url() {
    let world = world("formPost").await;
    let mut browser = world.browser();
    let start = browser.load(&format!("{START}?rd=/x")).await.expect(302);
    assert!(start.location().contains("&response_mode=form_post"));
    let callback = world.provider.authorize(start.location());
    let hop = post(&world, &callback, FORM, form(&callback)).await;
    let hop = hop.expect(303);
    assert!(hop.set_cookies().is_empty());
    let back = hop.location();
    let path = "https://app.example.com/akprox/callback?response=";
    assert!(back.starts_with(path), "{back}");
    assert!(!back.contains("code-"), "{back}");
    let done = browser.load(back).await.expect(302);
    assert_eq!(done.location(), "https://app.example.com/x");
    assert!(done.sets_session());
    // Once, as any other.
    assert!(!browser.load(back).await.sets_session());
}

#[tokio::test]
async fn a_posted_refusal_is_a_refusal() {
    let world = world("formPost").await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let state = callback.query_pairs().find(|(name, _)| name == "state");
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("state", &state.expect("a state").1)
        .append_pair("iss", &world.provider.issuer)
        .append_pair("error", "access_denied")
        .finish();
    let hop = post(&world, &callback, FORM, body).await.expect(303);
    let reply = browser.load(hop.location()).await;
    assert!(!reply.sets_session());
    assert!(reply.status.is_client_error(), "{}", reply.status);
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn an_answer_still_counts_that_comes_in_the_query_all_the_same() {
    let world = world("formPost").await;
    let mut browser = world.browser();
    assert!(browser.sign_in(START).await.expect(302).sets_session());
}

#[tokio::test]
async fn another_browser_gains_nothing_by_a_posted_answer() {
    let world = world("formPost").await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let hop = post(&world, &callback, FORM, form(&callback)).await;
    let hop = hop.expect(303);
    let back = hop.location();
    // Without the flow's cookie.
    let reply = world.browser().load(back).await;
    assert!(!reply.sets_session());
    // At another application.
    let elsewhere = back.replace("//app.", "//app2.");
    browser.load(&elsewhere).await.expect(400);
    // Changed, or twice.
    let mut damaged = back.to_owned();
    damaged.replace_range(damaged.len() - 4.., "AAAA");
    let (_, value) = back.split_once("response=").expect("an answer");
    for back in [
        damaged,
        format!("{back}&response={value}"),
        "https://app.example.com/akprox/callback?response=".to_owned(),
    ] {
        browser.load(&back).await.expect(400);
    }
    // Too late.
    world.wait(61);
    browser.load(back).await.expect(400);
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn only_the_form_that_was_asked_for_is_taken() {
    let world = world("formPost").await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let good = form(&callback);
    let (_, state) = callback
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state");
    for (case, media_type, body) in [
        ("JSON", "application/json", good.clone()),
        ("no form", "text/plain", good.clone()),
        ("empty", FORM, String::new()),
        ("no state", FORM, "code=c".to_owned()),
        ("two states", FORM, format!("{good}&state={state}")),
        ("two codes", FORM, format!("{good}&code=c")),
        (
            "two issuers",
            FORM,
            format!("{good}&iss=https://other.example"),
        ),
        (
            "too long for a URL",
            FORM,
            format!("state={state}&code={}", "c".repeat(6_000)),
        ),
        (
            "too long",
            FORM,
            format!("{good}&more={}", "c".repeat(17_000)),
        ),
    ] {
        let reply = post(&world, &callback, media_type, body).await;
        assert_eq!(reply.status, 400, "{case}");
    }
    for method in [Method::HEAD, Method::PUT, Method::OPTIONS] {
        let reply = browser.request(method, callback.as_str(), &[]).await;
        assert_eq!(reply.status, 405);
    }
    // A proxy that asks about such a request keeps its body.
    let reply = world
        .ask(
            "auth/traefik",
            &[
                ("X-Forwarded-Method", "POST"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example.com"),
                ("X-Forwarded-Uri", "/akprox/callback"),
            ],
        )
        .await;
    assert_eq!(reply.status, 405, "{}", reply.body);
    assert_eq!(world.provider.script().exchanges, 0);
}

#[tokio::test]
async fn no_form_is_taken_where_no_provider_was_asked_for_one() {
    let world = world("query").await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let reply = post(&world, &callback, FORM, form(&callback)).await;
    assert_eq!(reply.status, 405);
    assert!(browser.load(callback.as_str()).await.sets_session());
}
