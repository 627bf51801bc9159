//! The way from a first visit to a signed-in session.

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client};
use reqwest::{Method, StatusCode};

use crate::shared;

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn first_visit_leads_to_the_page_with_its_path_and_query() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("deep-link")?;
    let page = app.url("/reports/2026?quarter=3&sort=a%2Fb&empty=");
    let client = Client::new()?;

    let journey = client.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(journey.passed("/akprox/start"), "{journey}");
    assert!(journey.passed("/akprox/callback"), "{journey}");

    let requests = app.requests();
    assert_eq!(requests.len(), 1, "only the signed-in request got through");
    let seen = &requests[0];
    assert_eq!(seen.uri, "/reports/2026?quarter=3&sort=a%2Fb&empty=");
    for (name, value) in [
        ("x-auth-username", "alice"),
        ("x-auth-groups", "staff|admins"),
        ("x-forwarded-email", "alice@example.com"),
        ("x-forwarded-preferred-username", "alice"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }

    let second = client.open(&app.url("/next"))?;
    assert_eq!(second.earlier.len(), 0, "the second page took {second}");
    assert_eq!(second.landed.status, StatusCode::OK);
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn script_without_session_gets_401_with_the_address_to_sign_in_at() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("script")?;
    let client = Client::new()?;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = Answer::read(client.fetch(method.clone(), &app.url("/api/data")).send()?)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method}");
        assert!(answer.header("www-authenticate").is_some(), "{method}");
        let body = answer.json()?;
        let address = body
            .as_object()
            .and_then(|fields| {
                fields
                    .values()
                    .find_map(|value| value.as_str().filter(|text| text.contains("/akprox/start")))
            })
            .with_context(|| format!("{method}: no sign-in address in {body}"))?;
        assert!(app.url("/").join(address).is_ok(), "{method}: {address}");
    }
    assert_eq!(app.requests(), [], "nothing reached the app");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn post_without_session_is_not_redirected() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("form")?;
    let request = Client::new()?.page_load(Method::POST, &app.url("/form"));
    let answer = Answer::read(request.body("a=1").send()?)?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.requests(), [], "nothing reached the app");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn tabs_that_sign_in_at_the_same_time_do_not_disturb_each_other() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("tabs")?;
    let client = Client::new()?;
    let [first, second] = ["/first", "/second?tab=2"].map(|path| app.url(path));
    // Both tabs are at the provider's form before either goes on.
    client.open(&first)?;
    let journey = client.sign_in(&second, &ALICE)?;
    assert_eq!(journey.landed.url, second, "{journey}");
    // The provider knows the person now and asks nothing in the first tab.
    let journey = client.open(&first)?;
    assert_eq!(journey.landed.url, first, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn sign_in_ends_on_the_own_site_whatever_the_link_said() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("targets")?;
    for target in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "http://app.localhost@evil.example/",
    ] {
        let mut start = app.url("/akprox/start");
        start.query_pairs_mut().append_pair("rd", target);
        let journey = Client::new()?.sign_in(&start, &ALICE)?;
        assert_eq!(journey.landed.url, app.url("/"), "{target}: {journey}");
    }
    Ok(())
}
