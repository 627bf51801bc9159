//! A machine client's token of an issuer that is no provider of the application
//! (`machineTokens.issuers`), through Traefik: with the plugin, and with forward auth alone.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Answer, Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What the tokens are for.
pub(crate) const AUDIENCE: &str = "https://wiki.example.com";

/// A machine client, and what the outpost has to make of it.
pub(crate) struct MachineClient {
    /// Its token, for [`AUDIENCE`].
    pub(crate) token: String,
    /// The entry of `machineTokens.issuers`, without `audience`.
    pub(crate) issuer: Value,
    /// Its name.
    pub(crate) name: &'static str,
    /// A group that it is in.
    pub(crate) group: &'static str,
}

/// Checks that the client comes in with its token where audience and rule admit it, and nowhere
/// else.
pub(crate) fn comes_in(client: &MachineClient) -> Result<()> {
    for (audience, group, expected) in [
        (AUDIENCE, client.group, StatusCode::OK),
        (AUDIENCE, "of-no-account", StatusCode::FORBIDDEN),
        (
            "https://elsewhere.example.com",
            client.group,
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let site = site(&client.issuer, audience, group)?;
        let plugin = json!({ "machines": "bearer", "require": { "groups": [group] } });
        let changes = json!({ "http": { "middlewares": {
            "gatepost": { "plugin": { "gatepost": plugin } },
            "ask-outpost": handing_on(),
        }}});
        let with_plugin = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with("deploy/traefik/dynamic/route-single.yaml", &changes)?
            .start(&["wiki"])?;
        asks(&site, client, expected).context("with the plugin")?;
        drop((with_plugin, site));

        let site = self::site(&client.issuer, audience, group)?;
        let changes = json!({ "http": { "middlewares": { "gatepost": handing_on() } } });
        let _forward_auth = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
            .start(&["wiki"])?;
        asks(&site, client, expected).context("with forward auth")?;
    }
    Ok(())
}

/// Checks that an outpost that knows the issuer so refuses this token, behind forward auth.
#[allow(dead_code, reason = "not every suite has such a token")]
pub(crate) fn is_refused(
    client: &MachineClient,
    issuer: &Value,
    token: &str,
    expected: StatusCode,
) -> Result<()> {
    let site = site(issuer, AUDIENCE, client.group)?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    let answer = call(&site, token)?;
    assert_eq!(answer.status, expected, "{}", answer.body);
    assert_eq!(site.wiki().len(), 0, "the application was asked");
    Ok(())
}

/// Starts an application whose users sign in elsewhere.
fn site(issuer: &Value, audience: &str, group: &str) -> Result<Site> {
    let mut issuer = issuer.clone();
    issuer["audience"] = json!([audience]);
    Site::builder("deploy/outpost/single.yaml")
        .applications(&json!({
            "require": { "groups": [group] },
            "machines": ["bearer"],
            "machineTokens": { "issuers": [issuer] },
        }))
        .start()
}

/// Changes of the middleware that asks the outpost: the application gets what the outpost says of a
/// machine client, and not the token.
pub(crate) fn handing_on() -> Value {
    let names = [
        "X-Auth-Username",
        "X-Auth-Groups",
        "X-Forwarded-User",
        "Cookie",
        "Authorization",
    ];
    json!({ "forwardAuth": { "authResponseHeaders": names } })
}

fn asks(site: &Site, client: &MachineClient, expected: StatusCode) -> Result<()> {
    let before = site.wiki().len();
    let answer = call(site, &client.token)?;
    assert_eq!(answer.status, expected, "{}", answer.body);
    if expected == StatusCode::OK {
        let seen = site.wiki();
        let seen = seen.last().context("the application was asked")?;
        assert_eq!(seen.header("x-auth-username"), Some(client.name));
        let groups = seen.header("x-auth-groups").unwrap_or_default();
        assert!(groups.split('|').any(|own| own == client.group), "{groups}");
        assert_eq!(seen.header("authorization"), None);
    } else {
        assert_eq!(site.wiki().len(), before, "the application was asked");
    }
    let after = site.wiki().len();
    // Of another signature, and without one.
    let (signed, signature) = client.token.rsplit_once('.').context("a JWT")?;
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{other}{}", signature.get(1..).unwrap_or_default());
    for token in [forged.as_str(), signed] {
        let answer = call(site, token)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    }
    assert_eq!(site.wiki().len(), after, "a forged token came in");
    Ok(())
}

/// Asks the application for a page with this token.
fn call(site: &Site, token: &str) -> Result<Answer> {
    let request = Client::new()?.bare(Method::GET, &site.url("wiki", "/api")?);
    Answer::read(request.bearer_auth(token).send()?)
}
