//! An application at whose door people choose among two real providers, behind real proxies.

use anyhow::{Context as _, Result, anyhow};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Journey, Service, Site, until};
use reqwest::{Method, StatusCode};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use url::Url;

use crate::checks::{self, RENEWAL};
use crate::plugin::middlewares;
use crate::{forward_auth, nginx, route};

/// The header that names the user's provider to the app.
const ISSUER: &str = "X-Auth-Issuer";

fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .partners()
        .applications(&json!({ "headers": { "set": { ISSUER: "iss" } } }))
        .start()
}

/// Returns settings of the plugin that match the outpost's.
fn plugin() -> Value {
    json!({ "public": checks::PUBLIC, "headers": { "set": { ISSUER: "iss" } } })
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_single() -> Result<()> {
    let site = site()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &middlewares(&["wiki-gatepost"], &plugin()),
        )?
        .start(&["wiki"])?;
    a_user_keeps_the_chosen_provider(&site, StatusCode::OK)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let _traefik = route::handing_on(&site, &plugin(), &[ISSUER], &json!({}))?;
    a_user_keeps_the_chosen_provider(&site, StatusCode::OK)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let _traefik = forward_auth::handing_on(&site, &[ISSUER], &json!({}))?;
    a_user_keeps_the_chosen_provider(&site, StatusCode::UNAUTHORIZED)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, ISSUER)?;
    a_user_keeps_the_chosen_provider(&site, StatusCode::OK)
}

/// Returns the links of a page, by the provider that each leads to, in their order.
fn offers(page: &Answer) -> Result<Vec<(String, Url)>> {
    let links = Selector::parse("a[href]").map_err(|error| anyhow!("{error}"))?;
    let html = Html::parse_document(&page.body);
    let hrefs = html.select(&links).filter_map(|link| link.attr("href"));
    hrefs
        .map(|href| {
            let url = page.url.join(href)?;
            let mut pairs = url.query_pairs();
            let (_, name) = pairs
                .find(|(own, _)| own == "provider")
                .with_context(|| format!("{url} is no offer"))?;
            Ok((name.into_owned(), url.clone()))
        })
        .collect()
}

/// Opens the page, which must offer the providers in this order, and gives the link of one.
fn choose(
    site: &Site,
    client: &Client,
    status: StatusCode,
    expected: [&str; 2],
    name: &str,
) -> Result<Url> {
    let journey = client.open(&site.url("wiki", "/reports?q=1")?)?;
    assert_eq!(journey.landed.status, status, "{journey}");
    let offers = offers(&journey.landed)?;
    let names: Vec<&str> = offers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected, "{journey}");
    let chosen = offers.into_iter().find(|(own, _)| own == name);
    Ok(chosen.context("an offer")?.1)
}

/// Returns the address and the provider of the last user whom the app saw.
fn seen(site: &Site) -> Result<(String, String)> {
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    let header = |name: &str| seen.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-auth-username"), "alice");
    assert_eq!(header("x-forwarded-user"), "248289761001");
    assert_eq!(
        header("cookie"),
        "",
        "the app does not see the remembered provider"
    );
    Ok((header("x-forwarded-email"), header("x-auth-issuer")))
}

fn arrives(journey: &Journey) {
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.landed.url.path(), "/reports", "{journey}");
    assert_eq!(journey.landed.url.query(), Some("q=1"), "{journey}");
}

/// Returns how often a provider has answered a grant of this type since it was started.
fn grants(provider: &Service, kind: &str) -> usize {
    provider
        .output()
        .matches(&format!("granted {kind}"))
        .count()
}

fn a_user_keeps_the_chosen_provider(site: &Site, page: StatusCode) -> Result<()> {
    check_walks_to_each(site)?;
    let corporate = format!("http://127.0.0.1:{}", site.ports().provider);
    let partners = format!("http://127.0.0.2:{}", site.ports().partners);
    let client = Client::new()?;
    let link = choose(site, &client, page, ["main", "partners"], "main")?;
    arrives(&client.sign_in(&link, &ALICE)?);
    let own = ("alice@example.com".to_owned(), corporate.clone());
    assert_eq!(seen(site)?, own);

    // Signing out leads to the session's own provider, and then there is a choice again.
    let journey = client.open(&site.url("wiki", "/akprox/sign_out")?)?;
    let at = journey.landed.url.as_str();
    assert!(at.starts_with(&corporate), "{journey}");
    let link = choose(site, &client, page, ["main", "partners"], "partners")?;
    arrives(&client.sign_in(&link, &ALICE)?);
    let own = ("alice@partners.example".to_owned(), partners);
    assert_eq!(seen(site)?, own);

    a_mixed_up_response_signs_no_user_in(site, page)?;
    a_logout_at_one_provider_ends_no_session_of_the_other(site, &client, page)?;

    // While the other provider is away, the session is renewed as if nothing were.
    site.provider().stop();
    let before = grants(site.partners()?, "refresh_token");
    until("a renewal", RENEWAL, || {
        let journey = client.open(&site.url("wiki", "/reports?q=1")?)?;
        arrives(&journey);
        Ok((grants(site.partners()?, "refresh_token") > before).then_some(()))
    })?;
    assert_eq!(seen(site)?, own);
    let status = client
        .fetch(Method::GET, &site.url("wiki", "/")?)
        .send()?
        .status();
    assert_eq!(status, StatusCode::OK);

    client.open(&site.url("wiki", "/akprox/sign_out")?)?;
    choose(site, &client, page, ["partners", "main"], "partners")?;
    site.provider().start()
}

/// Checks that `gatepost check` prints the URLs to register at each provider, and follows the
/// sign-in to both.
fn check_walks_to_each(site: &Site) -> Result<()> {
    let page = site.url("wiki", "/reports?q=1")?;
    let (said, well) = site.gatepost(&["check", "--url", page.as_str()])?;
    assert!(well && said.contains("all well"), "{said}");
    for name in ["main", "partners"] {
        let uri = site.url("wiki", &format!("/akprox/callback/{name}"))?;
        assert!(said.contains(uri.as_str()), "{uri}\n{said}");
        let step = format!("the page asks where to sign in: `{name}`");
        assert!(said.contains(&step), "{step}\n{said}");
    }
    Ok(())
}

/// Brings the response of one provider to the address of the other.
fn a_mixed_up_response_signs_no_user_in(site: &Site, page: StatusCode) -> Result<()> {
    let client = Client::new()?;
    let link = choose(site, &client, page, ["main", "partners"], "main")?;
    client.sign_in(&link, &ALICE)?;
    // The provider knows the user from now on, so its next response needs no form.
    let wiki = site.url("wiki", "/")?;
    client.add_cookie(&wiki, "gatepost=; Max-Age=0; Path=/");
    let link = choose(site, &client, page, ["main", "partners"], "main")?;
    let begun = Answer::read(client.page_load(Method::GET, &link).send()?)?;
    let at_provider = begun.location().context("a redirect to the provider")?;
    let answer = Answer::read(client.page_load(Method::GET, &at_provider).send()?)?;
    let right = answer.location().context("a redirect back")?;
    assert_eq!(right.path(), "/akprox/callback/main");
    let mut wrong = right.clone();
    wrong.set_path("/akprox/callback/partners");
    let exchanges = (
        grants(site.provider(), "authorization_code"),
        grants(site.partners()?, "authorization_code"),
    );
    // The wrong address ends the sign-in, so the right one begins another.
    for (url, status) in [(wrong, StatusCode::BAD_REQUEST), (right, StatusCode::FOUND)] {
        let answer = Answer::read(client.page_load(Method::GET, &url).send()?)?;
        assert_eq!(answer.status, status, "{}", url.path());
        assert_eq!(client.cookie(&wiki, "gatepost"), None, "{}", url.path());
        if let Some(to) = answer.location() {
            let sent = |name: &str| to.query_pairs().find(|(own, _)| own == name);
            assert_eq!(to.origin(), at_provider.origin(), "{to}");
            assert!(sent("state").is_some() && sent("code").is_none(), "{to}");
            assert_ne!(to, at_provider, "another sign-in");
        }
    }
    let after = (
        grants(site.provider(), "authorization_code"),
        grants(site.partners()?, "authorization_code"),
    );
    assert_eq!(after, exchanges, "no code was sent anywhere");
    // The audit log names the provider at which the sign-in began.
    let issuer = format!("http://127.0.0.1:{}", site.ports().provider);
    until("a line of the audit log", RENEWAL, || {
        let output = site.outpost().output();
        let line = output.lines().find(|line| line.contains("other_provider"));
        Ok(line.map(|line| assert!(line.contains(&issuer), "{line}")))
    })
}

/// Ends a session at the first provider, whose back-channel logout reaches the outpost.
fn a_logout_at_one_provider_ends_no_session_of_the_other(
    site: &Site,
    at_partners: &Client,
    page: StatusCode,
) -> Result<()> {
    let wiki = site.url("wiki", "/")?;
    let (ending, watching) = (Client::new()?, Client::new()?);
    let link = choose(site, &ending, page, ["main", "partners"], "main")?;
    ending.sign_in(&link, &ALICE)?;
    // The same session in another place.
    let cookie = ending.cookie(&wiki, "gatepost").context("a session")?;
    watching.add_cookie(&wiki, &format!("gatepost={cookie}; Path=/"));
    let end = Url::parse(&format!(
        "http://127.0.0.1:{}/session/end",
        site.ports().provider
    ))?;
    let asked = Answer::read(ending.page_load(Method::GET, &end).send()?)?;
    ending.confirm_sign_out(&asked)?;
    let session = site.url("wiki", "/akprox/session")?;
    let outpost = Url::parse(&format!("http://127.0.0.1:{}", site.ports().outpost))?;
    let asked_of_outpost = |client: &Client| -> Result<StatusCode> {
        let url = outpost.join(session.path())?;
        let host = wiki[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let cookie = client.cookie(&wiki, "gatepost").unwrap_or_default();
        let request = Client::new()?
            .fetch(Method::GET, &url)
            .header("Host", host)
            .header("Cookie", format!("gatepost={cookie}"));
        Ok(request.send()?.status())
    };
    until("the session to end", RENEWAL, || {
        Ok((asked_of_outpost(&watching)? == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    assert_eq!(asked_of_outpost(at_partners)?, StatusCode::OK);
    Ok(())
}
