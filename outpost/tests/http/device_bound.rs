//! Sessions that are bound to a device: a browser registers a key, and renews with proofs.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, Reply};
use crate::device_bound::key::{DeviceKey, registration_challenge};
use crate::forward_auth::Asked;
use crate::world::World;

mod asserted;
mod attacks;
mod interrupted;
pub(crate) mod key;
mod limits;
mod reported;
mod required;
mod rules;
mod same_user;

const HOST: &str = "app.example.com";
const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";
const SIGN_OUT: &str = "https://app.example.com/akprox/sign_out";
const REGISTER: &str = "https://app.example.com/akprox/device/register";
const REFRESH: &str = "https://app.example.com/akprox/device/refresh";

const PREFER: &str = "session: {deviceBound: prefer}";

/// How the name of the cookie begins that the browser watches.
const DEVICE: &str = "__Host-gatepost-device-";

const MINUTE: u64 = 60;

/// A browser with a device, which has signed in.
struct Bound<'w> {
    browser: Browser<'w>,
    key: DeviceKey,
    /// The session, as the outpost calls it.
    id: String,
}

impl<'w> Bound<'w> {
    /// Signs in, registers a key, and binds the session by a first proof.
    async fn sign_in(world: &'w World) -> Self {
        let mut bound = Self::register(world).await;
        bound.refresh().await.expect(200);
        bound
    }

    /// Signs in and registers a key.
    async fn register(world: &'w World) -> Self {
        let mut browser = world.browser();
        let reply = browser.sign_in(START).await.expect(302);
        let key = DeviceKey::new();
        let proof = key.registration(&registration_challenge(&reply));
        let reply = register(&mut browser, &proof).await.expect(200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.set_cookies(), [""; 0]);
        let id = session_id(&reply);
        Self { browser, key, id }
    }

    /// Returns a challenge of the outpost.
    async fn challenge(&mut self) -> String {
        let reply = refresh(&mut self.browser, &self.id, None).await.expect(403);
        challenge(&reply, &self.id)
    }

    /// Renews, as a browser does.
    async fn refresh(&mut self) -> Reply {
        let challenge = self.challenge().await;
        let proof = self.key.proof(&challenge);
        refresh(&mut self.browser, &self.id, Some(&proof)).await
    }
}

async fn register(browser: &mut Browser<'_>, proof: &str) -> Reply {
    let headers = [
        ("Secure-Session-Response", proof),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    browser.request(Method::POST, REGISTER, &headers).await
}

async fn refresh(browser: &mut Browser<'_>, id: &str, proof: Option<&str>) -> Reply {
    let mut headers = vec![
        ("Sec-Secure-Session-Id", id),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    headers.extend(proof.map(|proof| ("Secure-Session-Response", proof)));
    browser.request(Method::POST, REFRESH, &headers).await
}

/// Returns the id of the session for which a browser has registered its key.
fn session_id(reply: &Reply) -> String {
    let instructions = reply.json();
    let id = instructions["session_identifier"].as_str();
    id.expect("an id").to_owned()
}

/// Returns the name of the cookie that a browser is to watch.
fn watched_cookie(reply: &Reply) -> String {
    let instructions = reply.json();
    let name = instructions["credentials"][0]["name"].as_str();
    name.expect("a name").to_owned()
}

/// Returns the challenge of a reply for this session.
fn challenge(reply: &Reply, id: &str) -> String {
    let header = reply
        .header("secure-session-challenge")
        .expect("a challenge");
    let (challenge, parameter) = header.split_once(';').expect("a parameter");
    assert_eq!(parameter, format!("id=\"{id}\""));
    challenge.trim_matches('"').to_owned()
}

/// Returns whether the answer has the browser forget the session.
fn ends(reply: &Reply) -> bool {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    reply.status == StatusCode::OK && body["continue"] == json!(false)
}

fn leads_to_provider(world: &World, reply: &Reply) -> bool {
    reply.status == StatusCode::FOUND && reply.location().starts_with(&world.provider.issuer)
}

#[tokio::test]
async fn a_browser_that_can_binds_its_session_and_renews_it_with_proofs_alone() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    for _ in 0..3 {
        world.wait(9 * MINUTE);
        let reply = bound.refresh().await.expect(200);
        assert!(reply.sets_session());
        let cookies = reply.set_cookies();
        let device = cookies.iter().find(|line| line.starts_with(DEVICE));
        let (_, attributes) = device.and_then(|line| line.split_once('=')).expect("it");
        let expected = "1; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(attributes, expected);
        let view = bound.browser.fetch(SESSION).await.expect(200).json();
        assert_eq!(view["deviceBound"], json!(true));
        assert_eq!(
            view["renewsAt"], view["windowEndsAt"],
            "no page load renews"
        );
    }
    // One sign-in, and one question to the provider for each renewal that was due.
    assert_eq!(world.provider.script().exchanges, 1);

    let reply = bound.refresh().await.expect(200);
    let name = watched_cookie(&reply);
    let names = bound.browser.cookie_names();
    assert!(names.contains(&name.as_str()), "{name}");
    assert_eq!(
        reply.json(),
        json!({
            "session_identifier": bound.id,
            "refresh_url": REFRESH,
            "scope": {
                "origin": "https://app.example.com",
                "include_site": false,
                "scope_specification": [
                    {"type": "exclude", "domain": "*", "path": "/akprox/device"},
                ],
            },
            "credentials": [{
                "type": "cookie",
                "name": name,
                "attributes": "Path=/; HttpOnly; SameSite=Lax; Secure",
            }],
            "allowed_refresh_initiators": ["*"],
        })
    );
}

/// A browser compares the attributes of the cookie with those of the instructions.
#[tokio::test]
async fn a_cookie_for_frames_has_the_attributes_that_the_browser_is_told() {
    let settings = "
session: {deviceBound: prefer, sameSite: none}
applications: [{name: app, externalUrl: 'https://app.example.com'}]
";
    let world = World::with(settings).await;
    let mut bound = Bound::sign_in(&world).await;
    world.wait(9 * MINUTE);
    let reply = bound.refresh().await.expect(200);
    let cookies = reply.set_cookies();
    let device = cookies.iter().find(|line| line.starts_with(DEVICE));
    let (_, set) = device
        .and_then(|line| line.split_once("; Max-Age=600; "))
        .expect("it");
    assert_eq!(set, "Path=/; HttpOnly; SameSite=None; Secure");
    assert_eq!(reply.json()["credentials"][0]["attributes"], set);
}

/// The point of it: a copy of the cookie is worth nothing from the end of its window on.
#[tokio::test]
async fn a_copy_of_the_cookie_is_renewed_nowhere() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let thief = bound.browser.clone();
    let asked = |thief: &Browser<'_>, load: bool| {
        let asked = match load {
            true => Asked::load(HOST, "/x"),
            false => Asked::fetch(HOST, "/x"),
        };
        asked.by(thief)
    };

    // In the window it is as good as the original, and cannot be made better.
    let reply = asked(&thief, true).ask(&world, "auth/traefik").await;
    assert!(!reply.expect(200).sets_session());
    world.wait(11 * MINUTE);
    for load in [true, false] {
        let reply = asked(&thief, load).ask(&world, "auth/traefik").await;
        assert!(!reply.expect(200).sets_session());
    }
    let reply = thief.clone().load(START).await.expect(302);
    assert_eq!(reply.location(), format!("https://{HOST}/"));
    assert!(!reply.sets_session());

    // Meanwhile the browser goes on.
    assert!(bound.refresh().await.expect(200).sets_session());
    world.wait(5 * MINUTE);
    let reply = asked(&bound.browser, false)
        .ask(&world, "auth/traefik")
        .await;
    reply.expect(200);

    // From the end of the copy's window on.
    let reply = asked(&thief, false).ask(&world, "auth/traefik").await;
    reply.expect(401);
    let reply = asked(&thief, true).ask(&world, "auth/traefik").await;
    assert!(reply.expect(302).location().starts_with(START));
    let reply = thief.clone().load(START).await;
    assert!(leads_to_provider(&world, &reply), "{reply:?}");
    assert!(!reply.sets_session());
    thief.clone().fetch(SESSION).await.expect(401);
    // And it ends nothing either.
    assert!(bound.refresh().await.expect(200).sets_session());
}

/// The cookie of the sign-in itself is not bound yet.
#[tokio::test]
async fn a_copy_from_before_the_first_proof_is_renewed_nowhere_either() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::register(&world).await;
    let mut thief = bound.browser.clone();
    bound.refresh().await.expect(200);
    for minutes in [11, 5] {
        world.wait(minutes * MINUTE);
        let reply = thief.load(START).await;
        assert!(leads_to_provider(&world, &reply), "{reply:?}");
        for load in [Asked::load(HOST, "/x"), Asked::fetch(HOST, "/x")] {
            let reply = load.by(&thief).ask(&world, "auth/traefik").await;
            assert!(!reply.sets_session(), "{reply:?}");
        }
    }
}

/// A browser may register a key and then not renew by it: a proxy that drops the header, a device
/// that cannot sign. Nothing is lost then.
#[tokio::test]
async fn a_session_without_a_first_proof_is_renewed_as_ever() {
    let world = World::with(PREFER).await;
    let mut registered = Bound::register(&world).await;
    world.wait(11 * MINUTE);
    let reply = registered.browser.load(&format!("{START}?rd=/x")).await;
    assert!(reply.expect(302).sets_session());
    world.wait(16 * MINUTE);
    let reply = Asked::fetch(HOST, "/x").by(&registered.browser);
    let reply = reply.ask(&world, "auth/traefik").await;
    assert!(reply.expect(200).sets_session());
}

#[tokio::test]
async fn a_browser_that_cannot_is_served_as_ever() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for _ in 0..2 {
        world.wait(11 * MINUTE);
        assert!(browser.load(START).await.expect(302).sets_session());
        world.wait(16 * MINUTE);
        assert!(browser.load(START).await.expect(302).sets_session());
    }
    assert_eq!(world.provider.script().exchanges, 1);
}

#[tokio::test]
async fn a_session_is_bound_where_it_is_configured_and_can_be() {
    let own = "applications:
  - {name: app, externalUrl: 'https://app.example.com', deviceBound: off}
  - {name: other, externalUrl: 'https://other.example.com'}
session: {deviceBound: prefer}";
    let only = "applications:
  - {name: app, externalUrl: 'https://app.example.com', deviceBound: prefer}
  - {name: other, externalUrl: 'https://other.example.com'}";
    let short = "session: {deviceBound: prefer, window: 5m}";
    for (more, start, offered) in [
        (PREFER, START, true),
        ("", START, false),
        ("session: {deviceBound: off}", START, false),
        (own, START, false),
        (own, "https://other.example.com/akprox/start", true),
        (only, START, true),
        (only, "https://other.example.com/akprox/start", false),
        // Without TLS no browser does it.
        (PREFER, "http://plain.localhost:8080/akprox/start", false),
        // The whole site.
        (PREFER, "https://auth.example.org/akprox/start", true),
        // Browsers would renew with every request, and then stop for minutes.
        (short, START, false),
    ] {
        let world = World::with(more).await;
        let reply = world.browser().sign_in(start).await.expect(302);
        let header = reply.header("secure-session-registration");
        assert_eq!(header.is_some(), offered, "{more} {start}");
    }
}

/// Behind a proxy that asks about every path, the answer to a registration would be consent.
#[tokio::test]
async fn nothing_is_bound_through_a_proxys_question() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    let target = &callback[url::Position::BeforePath..];
    let asked = Asked::load(HOST, target).by(&browser);
    let reply = asked.ask(&world, "auth/traefik").await.expect(302);
    assert!(reply.sets_session());
    assert_eq!(reply.header("secure-session-registration"), None);
    for path in ["/akprox/device/register", "/akprox/device/refresh"] {
        let asked = Asked::fetch(HOST, path).by(&browser);
        let reply = asked.ask(&world, "auth/traefik").await;
        assert!(!reply.status.is_success(), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn signing_out_and_revocations_end_the_browsers_side_too() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let reply = bound.browser.load(SIGN_OUT).await;
    assert!(
        reply
            .set_cookies()
            .iter()
            .any(|line| line.starts_with(DEVICE) && line.contains("=; Max-Age=0")),
        "{reply:?}"
    );
    let reply = refresh(&mut bound.browser, &bound.id, None).await;
    assert!(ends(&reply), "{reply:?}");

    // The window has ended: the cookie still says which session is to end.
    let mut bound = Bound::sign_in(&world).await;
    world.wait(16 * MINUTE);
    bound.browser.load(SIGN_OUT).await;
    assert!(ends(&refresh(&mut bound.browser, &bound.id, None).await));

    // Revoked at the store, as back-channel logout and an operator's command do it.
    let mut bound = Bound::sign_in(&world).await;
    let challenge = bound.challenge().await;
    world.store.forget();
    let proof = bound.key.proof(&challenge);
    let reply = refresh(&mut bound.browser, &bound.id, Some(&proof)).await;
    assert!(ends(&reply), "{reply:?}");
    assert!(!reply.sets_session());
}

/// The user signs in again, although the browser still has the session before.
#[tokio::test]
async fn a_session_that_another_has_replaced_does_not_come_back() {
    let world = World::with(PREFER).await;
    let mut first = Bound::sign_in(&world).await;
    let challenge = first.challenge().await;
    // A sign-in in which the browser sends no cookie of the first: it stays in the store.
    let mut second = Bound::sign_in(&world).await;
    let proof = first.key.proof(&challenge);
    for proof in [None, Some(&*proof)] {
        let reply = refresh(&mut second.browser, &first.id, proof).await;
        assert!(ends(&reply), "{reply:?}");
        assert!(!reply.sets_session());
    }
    second.refresh().await.expect(200);
}

#[tokio::test]
async fn each_renewal_has_the_users_groups_of_the_moment_and_the_rule_decides() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    world.wait(11 * MINUTE);
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": ["new"]});
    bound.refresh().await.expect(200);
    let view = bound.browser.fetch(SESSION).await.expect(200).json();
    assert_eq!(view["groups"], json!(["new"]));

    // The provider has ended the session.
    world.wait(11 * MINUTE);
    world.provider.script().refresh_answer = Some((
        400,
        &[("Content-Type", "application/json")],
        r#"{"error":"invalid_grant"}"#,
    ));
    let reply = bound.refresh().await;
    assert!(ends(&reply), "{reply:?}");
}

#[tokio::test]
async fn a_browser_tries_again_while_the_store_or_the_provider_is_away() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    world.store.away.store(true, Ordering::Relaxed);
    // 4xx would make the browser forget the session.
    for proof in [None, Some(&*proof)] {
        let reply = refresh(&mut bound.browser, &bound.id, proof).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    world.store.away.store(false, Ordering::Relaxed);
    let reply = refresh(&mut bound.browser, &bound.id, Some(&proof)).await;
    assert!(reply.expect(200).sets_session());
}

/// Every replica can judge what another began.
#[tokio::test]
async fn a_challenge_is_good_at_every_replica_and_once() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let replica = world.replica_with(PREFER).await;
    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    let mut there = bound.browser.clone().at(&replica);
    let reply = refresh(&mut there, &bound.id, Some(&proof)).await;
    assert!(reply.expect(200).sets_session());
    let reply = refresh(&mut bound.browser, &bound.id, Some(&proof)).await;
    assert!(!reply.expect(403).sets_session());
}

/// What the browser watches ends with each session: the next one is bound at once.
#[tokio::test]
async fn each_sign_in_is_bound_at_once_whatever_was_before() {
    let world = World::with(PREFER).await;
    let devices = |browser: &Browser<'_>| {
        let names = browser.cookie_names().into_iter();
        let own = names.filter(|name| name.starts_with(DEVICE));
        own.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut first = Bound::sign_in(&world).await;
    let before = devices(&first.browser);
    assert_eq!(before.len(), 1);
    // It ended otherwise than by signing out.
    world.store.forget();
    let reply = first.browser.sign_in(START).await.expect(302);
    assert!(reply.header("secure-session-registration").is_some());
    assert_eq!(
        devices(&first.browser),
        [""; 0],
        "a browser with one would not renew"
    );
    let proof = first.key.registration(&registration_challenge(&reply));
    let reply = register(&mut first.browser, &proof).await.expect(200);
    assert_ne!(
        watched_cookie(&reply),
        before[0],
        "each session has its own"
    );
}

/// Without refresh tokens only the browser can ask the provider, by a page load.
#[tokio::test]
async fn without_a_refresh_token_the_next_page_load_asks_the_provider() {
    let world = World::with(PREFER).await;
    world.provider.issue_no_refresh_tokens();
    let mut bound = Bound::sign_in(&world).await;
    world.wait(11 * MINUTE);
    let reply = bound.refresh().await.expect(200);
    assert!(reply.sets_session(), "fetches go on");
    let asked = Asked::fetch(HOST, "/x").by(&bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
    let asked = Asked::load(HOST, "/x").by(&bound.browser);
    let reply = asked.ask(&world, "auth/traefik").await.expect(302);
    assert!(reply.location().starts_with(START));
    let reply = bound.browser.load(START).await;
    assert!(leads_to_provider(&world, &reply), "{reply:?}");
}

/// Nothing but a page load finds out what it means, and the browser is not to ask before each
/// request.
#[tokio::test]
async fn a_refresh_token_that_is_refused_without_a_reason_extends_no_window() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let ends = async |browser: &mut Browser<'_>| {
        let view = browser.fetch(SESSION).await.expect(200).json();
        view["windowEndsAt"].as_u64().expect("a time")
    };
    let before = ends(&mut bound.browser).await;
    world.wait(11 * MINUTE);
    world.provider.script().refresh_answer = Some((400, &[], ""));
    let reply = bound.refresh().await.expect(200);
    let cookies = reply.set_cookies();
    assert!(
        cookies.iter().any(|line| line.starts_with(DEVICE)),
        "{cookies:?}"
    );
    assert_eq!(ends(&mut bound.browser).await, before);
    world.wait(MINUTE);
    let asked = Asked::load(HOST, "/x").by(&bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(302);
    let reply = bound.browser.load(START).await;
    assert!(leads_to_provider(&world, &reply), "{reply:?}");
}

/// Both headers, as RFC 9651 has them and as browsers send them.
#[tokio::test]
async fn headers_are_read_as_structured_fields() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let quoted = |text: &str| format!("\"{text}\"");
    for form in [
        (|text: String| text) as fn(String) -> String,
        |text| format!("{text};a=b"),
        |text| format!(" {text} ; x; y=\"z;\" "),
    ] {
        let id = form(quoted(&bound.id));
        let reply = refresh(&mut bound.browser, &id, None).await.expect(403);
        let proof = bound.key.proof(&challenge(&reply, &bound.id));
        let proof = form(quoted(&proof));
        let reply = refresh(&mut bound.browser, &id, Some(&proof)).await;
        assert!(reply.expect(200).sets_session(), "{id}");
    }
}
