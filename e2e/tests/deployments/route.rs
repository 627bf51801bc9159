//! Traefik with the plugin in front of two routers: one for whom it lets pass, and one where the
//! outpost is asked (`fallback: route`).

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Client, Service, Site, forge};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;
use crate::plugin::middlewares;

fn traefik(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
    traefik_with(site, file, hosts, &json!({ "public": checks::PUBLIC }))
}

fn traefik_with(site: &Site, file: &str, hosts: &[&str], plugin: &Value) -> Result<Service> {
    Traefik::new(site, "traefik/traefik.yaml")?
        .route_with(file, &middlewares(&["gatepost"], plugin))?
        .start(hosts)
}

#[test]
fn single() -> Result<()> {
    let site = checks::site("outpost/single.yaml").start()?;
    let _traefik = traefik(&site, "traefik/route-single.yaml", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)?;
    verdicts_of_clients_decide_nothing(&site)?;
    whom_the_plugin_lets_pass_does_without_the_outpost(&site)
}

#[test]
fn domain() -> Result<()> {
    let site = checks::site("outpost/domain.yaml").start()?;
    let _traefik = traefik(&site, "traefik/route-domain.yaml", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")?;
    verdicts_of_clients_decide_nothing(&site)
}

/// The outpost decides in the plugin's place, and must not let in whom only the plugin's rule
/// refuses: neither whoever is signed in, nor whose window has ended, nor whose groups do not fit
/// the cookie.
#[test]
fn the_plugins_own_rule_holds_where_the_outpost_decides() -> Result<()> {
    let filler = (0..500).map(|number| format!("{number:0>60}"));
    let many = |own: &[&str]| -> Vec<String> {
        filler
            .clone()
            .chain(own.iter().map(|group| (*group).to_owned()))
            .collect()
    };
    for (case, alice, bob) in [
        ("few groups", json!(["staff", "admins"]), json!(["staff"])),
        (
            "more than a cookie holds",
            json!(many(&["staff", "admins"])),
            json!(many(&["staff"])),
        ),
    ] {
        let users = json!({ "users": { "alice": { "groups": alice }, "bob": { "groups": bob } } });
        let site = checks::site("outpost/domain.yaml")
            .provider(&users)
            .start()?;
        let rule = json!({ "require": { "groups": ["admins"] } });
        let hosts = ["wiki", "files"];
        let _traefik = traefik_with(&site, "traefik/route-domain.yaml", &hosts, &rule)?;
        let page = site.url("wiki", "/")?;
        let journey = Client::new()?.sign_in(&page, &BOB)?;
        assert_eq!(
            journey.landed.status,
            StatusCode::FORBIDDEN,
            "{case}: {journey}"
        );
        assert_eq!(site.wiki().len(), 0, "{case}: nothing reached the app");

        let alice = Client::new()?;
        let journey = alice.sign_in(&page, &ALICE)?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{case}: {journey}");
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        let told = seen.headers.keys().filter(|name| name.contains("gatepost"));
        assert_eq!(told.count(), 0, "{case}: {:?}", seen.headers);
        let groups = seen.headers.get("x-auth-groups").context("groups")?;
        assert!(
            groups.join("|").split('|').any(|group| group == "admins"),
            "{case}: {groups:?}"
        );
    }
    Ok(())
}

fn verdicts_of_clients_decide_nothing(site: &Site) -> Result<()> {
    let page = site.url("wiki", "/private")?;
    let client = Client::new()?;
    for name in [
        "X-Gatepost-Verdict",
        "x_gatepost_verdict",
        "X.Gatepost-Verdict",
    ] {
        let data = client.fetch(Method::GET, &page).header(name, "allow");
        let status = data.send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}");
    }
    let data = client
        .fetch(Method::GET, &page)
        .header("X-Gatepost-Verdict", "allow")
        .header("Connection", "X-Gatepost-Verdict");
    assert_eq!(data.send()?.status(), StatusCode::UNAUTHORIZED);

    client.sign_in(&page, &ALICE)?;
    let data = client
        .fetch(Method::GET, &page)
        .header("X-Gatepost-Verdict", "deny")
        .header("x_gatepost_verdict", "deny");
    assert_eq!(data.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    let verdicts = seen.headers.keys().filter(|name| name.contains("verdict"));
    assert_eq!(verdicts.count(), 0, "{:?}", seen.headers);
    Ok(())
}

/// The hot path has no hop: with the outpost gone, whoever has a session in force goes on.
fn whom_the_plugin_lets_pass_does_without_the_outpost(site: &Site) -> Result<()> {
    let cookie = forge::valid(&site.keys().ring()?, "wiki")?;
    site.outpost().stop();
    let page = site.url("wiki", "/")?;
    let client = Client::new()?;
    let request = client
        .fetch(Method::GET, &page)
        .header("Cookie", format!("gatepost={cookie}"));
    assert_eq!(request.send()?.status(), StatusCode::OK, "signed in");
    // And whoever needs the outpost does not get past it.
    let before = site.wiki().len();
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert!(status.is_server_error(), "not signed in: {status}");
    assert_eq!(site.wiki().len(), before, "nothing reached the app");
    site.outpost().start()
}
