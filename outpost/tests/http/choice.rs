//! Applications with several providers: choosing one, and staying with it.

use axum::body::Body;
use axum::http::Request;
use gatepost::config::Config;
use serde_json::json;
use url::Url;

use crate::browser::{Browser, Reply, answered};
use crate::forward_auth::Asked;
use crate::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use crate::world::{KEY_A, World, now};

mod machines;
mod step_up;

const HOST: &str = "app.example.com";
const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";
const SIGN_OUT: &str = "https://app.example.com/akprox/sign_out";

const PARTNERS: &str = "https://app.example.com/akprox/start?rd=%2Fx&provider=partners";
const CORPORATE: &str = "https://app.example.com/akprox/start?rd=%2Fx&provider=corporate";

/// An outpost with two providers, each of which has a user with the same subject.
struct Two {
    world: World,
    partners: Provider,
}

impl Two {
    async fn new() -> Self {
        let two = Self::unfound("").await;
        two.world.find_provider().await;
        two
    }

    /// Starts the same outpost with further settings of the application `app`, before it has
    /// discovered the providers.
    async fn unfound(more: &str) -> Self {
        let (corporate, partners) = (Provider::start().await, Provider::start().await);
        partners.script().key = (2, "key-2");
        let yaml = configuration(&corporate, &partners, "[corporate, partners]", more);
        Self {
            world: World::configured(corporate, &yaml),
            partners,
        }
    }

    fn corporate(&self) -> &Provider {
        &self.world.provider
    }

    /// Signs the user in at a provider, and returns the URL to which the provider sends the browser
    /// back.
    fn authorize(&self, location: &str) -> Url {
        let at_partners = location.starts_with(&self.partners.issuer);
        let provider = if at_partners {
            &self.partners
        } else {
            self.corporate()
        };
        provider.authorize(location)
    }

    /// Signs in by a link of the page.
    async fn sign_in(&self, browser: &mut Browser<'_>, link: &str) -> Reply {
        let reply = browser.load(link).await.expect(302);
        let callback = self.authorize(reply.location());
        browser.load(callback.as_str()).await
    }

    /// Returns how many codes were exchanged at each provider.
    fn exchanges(&self) -> (u32, u32) {
        let at = |provider: &Provider| provider.script().exchanges;
        (at(self.corporate()), at(&self.partners))
    }
}

fn configuration(corporate: &Provider, partners: &Provider, of_app: &str, more: &str) -> String {
    let client = format!("clientId: {CLIENT_ID}, clientSecret: '{CLIENT_SECRET}'");
    let (corporate, partners) = (&corporate.issuer, &partners.issuer);
    format!(
        "
keys: ['{KEY_A}']
trustedProxies: [127.0.0.1]
providers:
  - {{name: corporate, issuer: '{corporate}', title: Example Ltd, {client}}}
  - {{name: partners, issuer: '{partners}', {client}}}
applications:
  - {{name: app, externalUrl: 'https://{HOST}', providers: {of_app},
     headers: {{set: {{X-Auth-Issuer: iss}}}} {more}}}
  - {{name: admin, externalUrl: 'https://admin.example.com', providers: [corporate, partners],
     require: {{groups: [admins]}}}}
  - {{name: single, externalUrl: 'https://single.example.com', provider: corporate}}
  - {{name: plain, externalUrl: 'http://plain.localhost:8080', providers: [corporate, partners]}}
  - {{name: intranet, mode: domain, externalUrl: 'https://auth.example.org',
     cookieDomain: example.org, providers: [corporate, partners]}}
"
    )
}

/// Returns the texts and links that a page offers.
fn offers(reply: &Reply) -> Vec<(String, String)> {
    let items = reply.body.split("<li><a href=\"").skip(1);
    items
        .map(|item| {
            let (url, rest) = item.split_once("\">").expect("a link");
            let (text, _) = rest.split_once("</a>").expect("its end");
            let text = text
                .replace("<span class=\"quiet\">", "(")
                .replace("</span>", ")");
            (text, url.replace("&#x2f;", "/").replace("&amp;", "&"))
        })
        .collect()
}

fn texts(reply: &Reply) -> Vec<String> {
    offers(reply).into_iter().map(|(text, _)| text).collect()
}

#[tokio::test]
async fn a_user_without_a_session_chooses_a_provider_and_returns_to_the_page() {
    let two = Two::new().await;
    let mut browser = two.world.browser();
    let page = browser
        .load(&format!("{START}?rd=%2Fx%3Fy%26z"))
        .await
        .expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
    assert_eq!(texts(&page), ["Example Ltd", "partners"]);

    for ((_, link), provider) in offers(&page).iter().zip([two.corporate(), &two.partners]) {
        let mut browser = browser.clone();
        let reply = browser.load(link).await.expect(302);
        let name = link.rsplit_once('=').expect("a name").1;
        let at = Url::parse(reply.location()).expect("a URL");
        assert!(at.as_str().starts_with(&provider.issuer), "{at}");
        let sent = at.query_pairs().find(|(own, _)| own == "redirect_uri");
        let expected = format!("https://{HOST}/akprox/callback/{name}");
        assert_eq!(sent.expect("a redirect URI").1, expected);
        let callback = two.authorize(reply.location());
        let reply = browser.load(callback.as_str()).await.expect(302);
        assert_eq!(reply.location(), format!("https://{HOST}/x?y&z"), "{name}");
        assert!(reply.sets_session(), "{name}");
        // The application learns which provider signed the user in.
        let asked = Asked::load(HOST, "/").by(&browser);
        let reply = asked.ask(&two.world, "auth/traefik").await.expect(200);
        assert_eq!(reply.header("x-auth-issuer"), Some(&*provider.issuer));
    }
}

#[tokio::test]
async fn only_a_provider_of_the_application_is_a_choice() {
    let two = Two::new().await;
    for query in [
        "",
        "?provider=",
        "?provider=other",
        "?provider=Corporate",
        "?provider=corporate&provider=partners",
        // What runs on in the target, as nginx writes it, is the target's.
        "?rd=/x?a&provider=partners",
    ] {
        let page = two.world.browser().load(&format!("{START}{query}")).await;
        assert_eq!(texts(&page.expect(200)).len(), 2, "{query}");
    }
    let url = format!("{START}?rd=/x?a&provider=partners");
    let page = two.world.browser().load(&url).await;
    let (_, link) = &offers(&page)[0];
    let rd = "rd=https%3A%2F%2Fapp.example.com%2Fx%3Fa%26provider%3Dpartners&provider=corporate";
    assert!(link.ends_with(rd), "{link}");

    // With one provider the user is not asked to choose, and the query has no effect.
    let start = "https://single.example.com/akprox/start";
    for query in ["", "?provider=partners", "?rd=/&provider=other"] {
        let mut browser = two.world.browser();
        let reply = browser.load(&format!("{start}{query}")).await.expect(302);
        let callback = two.authorize(reply.location());
        assert_eq!(callback.path(), "/akprox/callback", "{query}");
        let reply = browser.load(callback.as_str()).await.expect(302);
        let remembered = |line: &&str| line.contains("gatepost-provider");
        assert!(!reply.set_cookies().iter().any(remembered), "{query}");
    }
}

#[tokio::test]
async fn the_provider_that_was_used_last_is_first() {
    let two = Two::new().await;
    let mut browser = two.world.browser();
    let reply = two.sign_in(&mut browser, PARTNERS).await.expect(302);
    let remembered = "__Secure-gatepost-provider=partners; Path=/akprox; Max-Age=31536000; \
                      HttpOnly; SameSite=Lax; Secure";
    assert!(reply.set_cookies().contains(&remembered), "{reply:?}");
    browser.load(SIGN_OUT).await.expect(302);
    let page = browser.load(START).await.expect(200);
    assert_eq!(texts(&page), ["partners (Used last)", "Example Ltd"]);
    let (_, other) = &offers(&page)[1];
    two.sign_in(&mut browser, other).await.expect(302);
    browser.load(SIGN_OUT).await.expect(302);
    let page = browser.load(START).await.expect(200);
    assert_eq!(texts(&page), ["Example Ltd (Used last)", "partners"]);

    let mut browser = two.world.browser();
    let start = "http://plain.localhost:8080/akprox/start?provider=partners";
    let reply = two.sign_in(&mut browser, start).await.expect(302);
    let remembered = "gatepost-provider=partners; Path=/akprox; Max-Age=31536000; HttpOnly; \
                      SameSite=Lax";
    assert!(reply.set_cookies().contains(&remembered), "{reply:?}");
    // A remembered provider that is not one of the application's is not offered.
    let request = Request::get("/akprox/start")
        .header("Host", HOST)
        .header("Accept", "text/html")
        .header("Cookie", "__Secure-gatepost-provider=other")
        .body(Body::empty());
    let request = request.expect("a request");
    let page = two.world.send_from("192.0.2.1:5000", request).await;
    assert_eq!(texts(&page), ["Example Ltd", "partners"]);
}

#[tokio::test]
async fn a_provider_that_is_away_is_offered_and_said_to_be() {
    let two = Two::unfound("").await;
    two.partners.script().down = true;
    for provider in &two.world.outpost.snapshot().providers {
        let _ = provider.discover().await;
    }
    let mut browser = two.world.browser();
    let page = browser.load(START).await.expect(200);
    let expected = ["Example Ltd", "partners (Cannot be reached at the moment)"];
    assert_eq!(texts(&page), expected);
    browser.load(PARTNERS).await.expect(503);
    two.sign_in(&mut browser, CORPORATE).await.expect(302);
}

#[tokio::test]
async fn a_session_is_renewed_at_its_own_provider_and_by_no_other() {
    let two = Two::new().await;
    let mut browser = two.world.browser();
    two.sign_in(&mut browser, PARTNERS).await.expect(302);
    two.corporate().script().down = true;
    for refreshes in 1..=3 {
        two.world.wait(11 * 60);
        // A user with a session has already chosen.
        let reply = browser.load(CORPORATE).await.expect(302);
        assert_eq!(reply.location(), format!("https://{HOST}/x"));
        assert!(reply.sets_session());
        assert_eq!(two.partners.script().refreshes, refreshes);
    }
    two.world.wait(11 * 60);
    let asked = Asked::fetch(HOST, "/").by(&browser);
    let reply = asked.ask(&two.world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-auth-issuer"), Some(&*two.partners.issuer));
    assert_eq!(two.partners.script().refreshes, 4);
    assert_eq!(two.corporate().script().refreshes, 0);
    assert_eq!(two.exchanges(), (0, 1));
}

/// Signs in at a provider that gives no refresh token.
async fn without_refresh_token<'w>(two: &'w Two, link: &str) -> Browser<'w> {
    for provider in [two.corporate(), &two.partners] {
        provider.issue_no_refresh_tokens();
    }
    let mut browser = two.world.browser();
    two.sign_in(&mut browser, link).await.expect(302);
    browser
}

#[tokio::test]
async fn a_user_whom_the_sessions_provider_no_longer_knows_may_choose_again() {
    let two = Two::new().await;
    let mut browser = without_refresh_token(&two, PARTNERS).await;
    two.world.wait(11 * 60);
    let reply = browser.load(CORPORATE).await.expect(302);
    let location = reply.location();
    assert!(location.starts_with(&two.partners.issuer), "{location}");
    assert!(location.contains("prompt=none"), "{location}");
    let back = answered(location, "error=login_required", &two.partners.issuer);
    let reply = browser.load(&back).await.expect(302);
    assert!(reply.location().starts_with(START), "{reply:?}");
    let page = browser.load(reply.location()).await.expect(200);
    assert_eq!(texts(&page), ["partners (Used last)", "Example Ltd"]);
    browser.fetch(SESSION).await.expect(401);
}

#[tokio::test]
async fn what_one_provider_says_does_not_end_a_session_of_another() {
    let two = Two::new().await;
    let mut browser = without_refresh_token(&two, PARTNERS).await;
    two.world.wait(11 * 60);
    let silent = browser.load(START).await.expect(302);
    // Meanwhile, in another tab.
    browser.load(SIGN_OUT).await.expect(302);
    two.sign_in(&mut browser, CORPORATE).await.expect(302);
    let back = answered(
        silent.location(),
        "error=login_required",
        &two.partners.issuer,
    );
    browser.load(&back).await.expect(302);
    let reply = browser.fetch(SESSION).await.expect(200);
    let view = reply.json();
    assert_eq!(view["issuer"], two.corporate().issuer);
    assert_eq!(view["provider"], "Example Ltd");
}

/// A flow renews the session for which it began, and no other, whatever the browser says that its
/// provider answers.
#[tokio::test]
async fn a_silent_flow_of_one_provider_renews_no_session_of_another() {
    for answer in [
        "error=server_error",
        "error=temporarily_unavailable",
        "error=login_required",
    ] {
        let two = Two::new().await;
        let partners = without_refresh_token(&two, PARTNERS).await;
        let mut browser = partners.clone();
        two.world.wait(11 * 60);
        let silent = browser.load(START).await.expect(302);
        let mut other = without_refresh_token(&two, CORPORATE).await;
        two.world.wait(20 * 60);
        browser.copy_cookies(&other, |name| name == "__Host-gatepost");
        let back = answered(silent.location(), answer, &two.partners.issuer);
        let reply = browser.load(&back).await.expect(302);
        assert!(!reply.sets_session(), "{answer}: {reply:?}");
        assert!(reply.location().starts_with(START), "{answer}: {reply:?}");
        // Its own provider decides.
        let reply = other.load(START).await.expect(302);
        let location = reply.location();
        assert!(location.starts_with(&two.corporate().issuer), "{location}");
        assert!(location.contains("prompt=none"), "{location}");
    }
}

/// A provider that gets browsers to bring it another's code gets none (RFC 9700 §4.4).
#[tokio::test]
async fn an_answer_at_another_providers_address_is_refused_unopened() {
    let two = Two::new().await;
    for (link, other, status) in [
        (CORPORATE, "/akprox/callback/partners", 400),
        (PARTNERS, "/akprox/callback/corporate", 400),
        // No provider knows this redirect URI.
        (CORPORATE, "/akprox/callback", 400),
        (CORPORATE, "/akprox/callback/other", 404),
        (CORPORATE, "/akprox/callback/", 404),
    ] {
        let mut browser = two.world.browser();
        let reply = browser.load(link).await.expect(302);
        let right = two.authorize(reply.location());
        let mut wrong = right.clone();
        wrong.set_path(other);
        let reply = browser.load(wrong.as_str()).await.expect(status);
        assert!(!reply.sets_session(), "{link} {other}");
        assert_eq!(two.exchanges(), (0, 0), "{link} {other}");
        // The outpost treats it as an attack and ends the flow.
        if status == 400 {
            let reply = browser.load(right.as_str()).await.expect(302);
            let to = reply.location();
            assert!(to.contains("/authorize?") && !to.contains("code="), "{to}");
            assert_eq!(two.exchanges(), (0, 0), "{link} {other}");
        }
    }
    // The right address with another's `iss` (RFC 9207).
    let mut browser = two.world.browser();
    let reply = browser.load(CORPORATE).await.expect(302);
    let right = two.authorize(reply.location());
    let mut wrong = right.clone();
    let pairs = right.query_pairs().filter(|(name, _)| name != "iss");
    wrong.query_pairs_mut().clear().extend_pairs(pairs);
    wrong
        .query_pairs_mut()
        .append_pair("iss", &two.partners.issuer);
    browser.load(wrong.as_str()).await.expect(400);
    assert_eq!(two.exchanges(), (0, 0));
    // An application with one provider has one address.
    let mut browser = two.world.browser();
    let url = "https://single.example.com/akprox/callback/corporate?state=x&code=y";
    browser.load(url).await.expect(404);
}

#[tokio::test]
async fn signing_out_ends_the_session_at_its_own_provider_and_leads_to_the_choice() {
    let two = Two::new().await;
    for (link, provider) in [(PARTNERS, &two.partners), (CORPORATE, two.corporate())] {
        let mut browser = two.world.browser();
        let link = link.replace(HOST, "admin.example.com");
        two.sign_in(&mut browser, &link).await.expect(302);
        let asked = Asked::load("admin.example.com", "/").by(&browser);
        let asked = asked.with("X-Gatepost-Require", "any=group:root");
        let denied = asked.ask(&two.world, "auth/traefik").await.expect(403);
        let switch = "https://admin.example.com/akprox/sign_out";
        assert!(
            denied.body.replace("&#x2f;", "/").contains(switch),
            "{denied:?}"
        );
        let reply = browser.load(switch).await.expect(302);
        let location = reply.location();
        assert!(location.starts_with(&provider.issuer), "{location}");
        let page = browser.load("https://admin.example.com/akprox/start").await;
        assert_eq!(texts(&page.expect(200)).len(), 2);
    }
}

#[tokio::test]
async fn a_logout_at_one_provider_leaves_the_same_subject_of_another_alone() {
    let two = Two::new().await;
    let (mut at_corporate, mut at_partners) = (two.world.browser(), two.world.browser());
    two.sign_in(&mut at_corporate, CORPORATE).await.expect(302);
    two.sign_in(&mut at_partners, PARTNERS).await.expect(302);
    let now = now();
    let claims = json!({
        "iss": two.corporate().issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": "1",
        "sub": "alice-id", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let header = json!({"alg": "EdDSA", "kid": "key-1", "typ": "logout+jwt"});
    let token = two.corporate().sign(&header, &claims);
    let request = Request::post("/akprox/backchannel_logout")
        .header("Host", "outpost:9000")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(Body::from(format!("logout_token={token}")))
        .expect("a request");
    two.world
        .send_from("192.0.2.1:4000", request)
        .await
        .expect(200);
    at_corporate.fetch(SESSION).await.expect(401);
    at_partners.fetch(SESSION).await.expect(200);
}

#[tokio::test]
async fn a_session_of_a_provider_that_the_application_no_longer_has_is_refused() {
    let two = Two::new().await;
    let (mut at_corporate, mut at_partners) = (two.world.browser(), two.world.browser());
    two.sign_in(&mut at_corporate, CORPORATE).await.expect(302);
    two.sign_in(&mut at_partners, PARTNERS).await.expect(302);
    let yaml = configuration(two.corporate(), &two.partners, "[corporate]", "");
    let config = Config::parse(&yaml, []).expect("a configuration");
    two.world.outpost.reconfigure(&config).expect("redeployed");
    at_corporate.fetch(SESSION).await.expect(200);
    at_partners.fetch(SESSION).await.expect(401);
    let asked = Asked::load(HOST, "/").by(&at_partners);
    asked.ask(&two.world, "auth/traefik").await.expect(302);
    let reply = at_partners.load(START).await.expect(302);
    assert!(reply.location().starts_with(&two.corporate().issuer));
}

#[tokio::test]
async fn looking_at_the_page_is_no_attempt_and_a_loop_is_noticed_all_the_same() {
    let two = Two::new().await;
    let mut browser = two.world.browser();
    for _ in 0..20 {
        browser.load(&format!("{START}?rd=%2Fx")).await.expect(200);
    }
    // The browser does not keep the session of any sign-in.
    for _ in 0..6 {
        browser.load(&format!("{START}?rd=%2Fx")).await.expect(200);
        two.sign_in(&mut browser, PARTNERS).await.expect(302);
        browser.drop_cookies(|name| name != "__Host-gatepost");
    }
    let page = browser.load(&format!("{START}?rd=%2Fx")).await.expect(400);
    assert!(
        page.body.contains("does not keep the session"),
        "{}",
        page.body
    );
}

/// Where a proxy asks about every path, the page is met in place, and must not be consent.
#[tokio::test]
async fn the_page_is_met_in_place_without_letting_anything_upstream() {
    let two = Two::new().await;
    let browser = two.world.browser();
    for dialect in ["auth/traefik", "auth/caddy", "auth/envoy"] {
        let asked = Asked::load(HOST, "/akprox/start?rd=%2Fx").by(&browser);
        let page = asked.ask(&two.world, dialect).await.expect(401);
        assert_eq!(texts(&page), ["Example Ltd", "partners"], "{dialect}");
        let asked = Asked::load(HOST, "/akprox/start?rd=%2Fx&provider=partners").by(&browser);
        let reply = asked.ask(&two.world, dialect).await.expect(302);
        assert!(
            reply.location().starts_with(&two.partners.issuer),
            "{dialect}"
        );
    }
    let asked = Asked::load(HOST, "/akprox/start?rd=%2Fx").by(&browser);
    asked.ask(&two.world, "auth/nginx").await.expect(403);
    // A client that asks for JSON gets JSON.
    let request = Request::get("/akprox/start")
        .header("Host", HOST)
        .body(Body::empty())
        .expect("a request");
    let reply = two
        .world
        .send_from("192.0.2.1:5000", request)
        .await
        .expect(200);
    let said = reply.json();
    assert_eq!(said["signInAt"][1]["title"], "partners", "{said}");
}

#[tokio::test]
async fn in_domain_mode_a_choice_survives_the_way_to_the_outposts_host() {
    let two = Two::new().await;
    let mut browser = two.world.browser();
    let start = "https://wiki.example.org/akprox/start?rd=%2Fx";
    let reply = browser.load(start).await.expect(302);
    let page = browser.load(reply.location()).await.expect(200);
    let (_, link) = &offers(&page)[1];
    assert!(
        link.starts_with("https://auth.example.org/akprox/start?"),
        "{link}"
    );
    let reply = two.sign_in(&mut browser, link).await.expect(302);
    assert_eq!(reply.location(), "https://wiki.example.org/x");

    let mut browser = two.world.browser();
    let reply = browser
        .load(&format!("{start}&provider=partners"))
        .await
        .expect(302);
    let reply = two
        .sign_in(&mut browser, reply.location())
        .await
        .expect(302);
    assert_eq!(reply.location(), "https://wiki.example.org/x");
    assert_eq!(two.exchanges(), (0, 2));
}

#[tokio::test]
async fn a_choice_keeps_the_parameters_of_the_link_that_each_provider_takes() {
    let (corporate, partners) = (Provider::start().await, Provider::start().await);
    let yaml = configuration(&corporate, &partners, "[corporate, partners]", "").replace(
        "{name: corporate,",
        "{name: corporate, parametersFromLink: [login_hint],",
    );
    let world = World::configured(corporate, &yaml);
    world.find_provider().await;
    let query = "?rd=%2Fx&login_hint=alice%40example.com&acr_values=low";
    let page = world.browser().load(&format!("{START}{query}")).await;
    let page = page.expect(200);
    let hint = "&login_hint=alice%40example.com";
    let link = |provider| format!("{START}?rd=https%3A%2F%2F{HOST}%2Fx&provider={provider}");
    let expected = [link("corporate") + hint, link("partners")];
    let links: Vec<String> = offers(&page).into_iter().map(|(_, url)| url).collect();
    assert_eq!(links, expected);
    let sent = world.browser().load(&expected[0]).await.expect(302);
    assert!(sent.location().contains(hint), "{}", sent.location());

    // In domain mode the page is at another host, which gets the hint too.
    let link = format!("https://app.example.org/akprox/start{query}");
    let hop = world.browser().load(&link).await.expect(302);
    let page = world.browser().load(hop.location()).await.expect(200);
    let hinted = |(_, url): &(String, String)| url.contains(hint);
    assert_eq!(
        offers(&page).iter().filter(|offer| hinted(offer)).count(),
        1
    );
}
