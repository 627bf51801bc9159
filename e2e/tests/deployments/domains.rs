//! Several domains at one outpost.

use anyhow::Result;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Service, Site};
use reqwest::{Method, StatusCode};

use crate::checks;

fn start() -> Result<(Site, Service)> {
    let site = Site::builder("deploy/outpost/domains.yaml").start()?;
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route("deploy/traefik/dynamic/plugin-domains.yaml")?
        .start(&["wiki.example.com", "files.example.org"])?;
    Ok((site, traefik))
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn each_domain_has_its_own_session() -> Result<()> {
    let (site, _traefik) = start()?;
    let client = Client::new()?;
    let wiki = site.url("wiki.example.com", "/a?x=1&y=2")?;
    let files = site.url("files.example.org", "/b?x=1&y=2")?;
    let journey = client.sign_in(&wiki, &ALICE)?;
    assert_eq!(journey.landed.url, wiki, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    let cookie = client.cookie(&wiki, "gatepost");
    assert!(cookie.is_some(), "a session on the first domain");
    assert_eq!(client.cookie(&files, "gatepost"), None, "and only there");
    let status = client.fetch(Method::GET, &files).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    // Carried over by hand, it is refused: it is for another audience.
    let request = Client::new()?
        .fetch(Method::GET, &files)
        .header("Cookie", format!("gatepost={}", cookie.unwrap_or_default()));
    assert_eq!(request.send()?.status(), StatusCode::UNAUTHORIZED);

    // The provider knows the person already.
    let journey = client.open(&files)?;
    assert_eq!(journey.landed.url, files, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(journey.hops().any(|hop| {
        hop.url.host_str() == Some("auth.example-org.localhost")
            && hop.url.path() == "/akprox/callback"
    }));
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_outpost_answers_whatever_a_user_opens_at_its_own_hosts() -> Result<()> {
    let (site, _traefik) = start()?;
    for (application, own) in [
        ("wiki.example.com", "auth.example.com"),
        ("files.example.org", "auth.example.org"),
    ] {
        checks::own_host_answers(&site, application, own)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn sign_in_leads_back_into_its_own_domain_only() -> Result<()> {
    let (site, _traefik) = start()?;
    let port = site.ports().web;
    let auth = site.url("auth.example.com", "/akprox/start")?;
    let good = [
        format!("http://wiki.example.localhost:{port}/x?y=1&z=2"),
        format!("http://deep.down.example.localhost:{port}/"),
    ];
    let bad = [
        format!("http://files.example-org.localhost:{port}/"),
        format!("http://evilexample.localhost:{port}/"),
        format!("http://example.localhost.evil.localhost:{port}/"),
        format!("https://wiki.example.localhost:{port}/"),
        format!("ftp://wiki.example.localhost:{port}/"),
        "http://wiki.example.localhost:1/".to_owned(),
        format!("//evil.localhost:{port}/"),
        format!("http://wiki.example.localhost:{port}@evil.localhost/"),
        "javascript:alert(1)".to_owned(),
    ];
    let targets = good.iter().map(|rd| (rd, true));
    for (rd, accepted) in targets.chain(bad.iter().map(|rd| (rd, false))) {
        let mut start = auth.clone();
        start.query_pairs_mut().append_pair("rd", rd);
        let client = Client::new()?;
        let journey = client.sign_in(&start, &ALICE)?;
        let led = |hop: &gatepost_e2e::Answer| hop.url.as_str() == rd.as_str();
        assert_eq!(journey.hops().any(led), accepted, "{rd}: {journey}");
        let host = journey.landed.url.host_str();
        if !accepted {
            assert_eq!(host, Some("auth.example.localhost"), "{rd}: {journey}");
        }
    }
    Ok(())
}
