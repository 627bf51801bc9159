//! What an application behind authentik's recipes sees of a session, for a user with many groups: with
//! the recipes as they are, and with the lines that the guide adds.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::{Client, Site, layout, users};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TRAEFIK: &str = "testdata/authentik/traefik-standalone.yaml";
const NGINX: &str = "testdata/authentik/nginx.conf";

/// The most bytes that a browser keeps of a cookie.
const COOKIE_BYTES: usize = 4096;

/// A cookie of the application's own.
const OWN: &str = "theme=dark";

/// Gives alice 300 groups at the provider, and returns them.
fn many_groups(site: &Site) -> Result<Vec<String>> {
    let groups = (0..300).map(|number| format!("department-{number:0>24}"));
    let groups: Vec<String> = groups.collect();
    let file = site.folder().join("provider.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let known = config.pointer_mut("/users/alice/groups");
    *known.context("alice has groups")? = json!(groups);
    fs::write(file, config.to_string())?;
    Ok(groups)
}

/// Returns a browser in which alice is signed in, with this cookie of the application.
fn signed_in(site: &Site, own: Option<&str>) -> Result<Client> {
    let alice = Client::new()?;
    let page = site.url("wiki", "/private")?;
    if let Some(own) = own {
        alice.add_cookie(&page, own);
    }
    let journey = alice.sign_in(&page, &users::ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(alice)
}

/// Returns the `Cookie` header that the application sees, which learns of every group.
fn cookies_seen(site: &Site, client: &Client, groups: &[String]) -> Result<Option<String>> {
    let asked = client.fetch(Method::GET, &site.url("wiki", "/api")?);
    assert_eq!(asked.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.uri, "/api");
    let of_the_user = seen.header("x-authentik-groups");
    assert_eq!(of_the_user, Some(groups.join("|").as_str()));
    Ok(seen.header("cookie").map(str::to_owned))
}

/// Checks what the guide says of a recipe as it is: the session reaches the application, in so few
/// bytes that browsers and servers take it.
fn shows_the_session(site: &Site, groups: &[String]) -> Result<()> {
    let alice = signed_in(site, Some(OWN))?;
    let seen = cookies_seen(site, &alice, groups)?.context("cookies")?;
    assert!(seen.contains(OWN) && seen.contains("gatepost="), "{seen}");
    assert!(seen.len() < COOKIE_BYTES, "{}", seen.len());
    Ok(())
}

/// Checks that the application sees its own cookies and no other.
fn hides_the_session(site: &Site, groups: &[String]) -> Result<()> {
    for own in [Some(OWN), None] {
        let alice = signed_in(site, own)?;
        assert_eq!(cookies_seen(site, &alice, groups)?.as_deref(), own);
    }
    Ok(())
}

/// Checks that the guide has these lines.
fn is_in_the_guide(lines: &[&str]) -> Result<()> {
    let guide = fs::read_to_string(layout::root().join("docs/authentik.md"))?;
    for line in lines {
        assert!(guide.contains(&format!("`{line}`")), "{line}");
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_application_behind_traefik_sees_its_own_cookies_alone() -> Result<()> {
    is_in_the_guide(&["Cookie", "authResponseHeaders"])?;
    let (site, _authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let groups = many_groups(&site)?;
    let traefik = |changes: &Value| {
        Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .route_with(TRAEFIK, changes)?
            .start(&["wiki"])
    };
    let running = traefik(&Value::Null)?;
    shows_the_session(&site, &groups)?;
    drop(running);
    fs::remove_dir_all(site.folder().join("traefik"))?;

    let recipe: Value = serde_saphyr::from_str(&site.fitted(TRAEFIK, &[])?)?;
    let names = recipe.pointer("/http/middlewares/authentik/forwardAuth/authResponseHeaders");
    let mut names = names.and_then(Value::as_array).cloned().context("names")?;
    names.push(json!("Cookie"));
    let changes = json!({ "http": { "middlewares": { "authentik": {
        "forwardAuth": { "authResponseHeaders": names },
    } } } });
    let _running = traefik(&changes)?;
    hides_the_session(&site, &groups)
}

/// With authentik's text of today. To that of 2021, in which a client can ask too, the outpost answers
/// without cookies.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_application_behind_nginx_sees_its_own_cookies_alone() -> Result<()> {
    const TAKEN: &str = "auth_request_set $app_cookie $upstream_http_cookie;";
    const GIVEN: &str = "proxy_set_header Cookie $app_cookie;";
    is_in_the_guide(&[TAKEN, GIVEN])?;
    let (site, _authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let groups = many_groups(&site)?;
    let running = Nginx::of_authentik(&site, NGINX, &[], &["wiki"])?;
    shows_the_session(&site, &groups)?;
    drop(running);

    let host = "proxy_set_header    Host $host;";
    let url = format!("{host}\nproxy_set_header X-Original-URL $scheme://$http_host$request_uri;");
    let last = "proxy_set_header X-authentik-uid $authentik_uid;";
    let cookies = format!("{last}\n{TAKEN}\n{GIVEN}");
    let today = [("/akprox", "/outpost.goauthentik.io"), (host, &*url)];
    let running = Nginx::of_authentik(&site, NGINX, &today, &["wiki"])?;
    shows_the_session(&site, &groups)?;
    drop(running);
    let with_cookies = [today[0], today[1], (last, &*cookies)];
    let _running = Nginx::of_authentik(&site, NGINX, &with_cookies, &["wiki"])?;
    hides_the_session(&site, &groups)
}
