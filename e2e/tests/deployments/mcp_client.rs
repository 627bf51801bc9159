//! What the client of the TypeScript SDK for MCP does with a server behind a proxy. The suite of real
//! providers has it too.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, McpClient, Site, forge, pass};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

/// Checks that a client that knows the server's address alone signs its user in, uses the server as that
/// user, renews its token, and is refused once its user's access has ended: the provider takes back
/// refresh tokens at `revocation`.
pub(crate) fn comes_in(site: &Site, host: &str, revocation: &Url) -> Result<()> {
    let server = site.url(host, "/mcp")?;
    let mut client = McpClient::start(&server)?;
    uses_the_server(site, &server, &mut client, revocation)
}

/// Checks the same of a client that has been started.
pub(crate) fn uses_the_server(
    site: &Site,
    server: &Url,
    client: &mut McpClient,
    revocation: &Url,
) -> Result<()> {
    let asked = client.ask("connect")?;
    let sign_in = text(&asked, "/signInAt").context(asked.to_string())?;
    let alice = Client::new()?;
    let came_back = alice.sign_in(&Url::parse(sign_in)?, &ALICE)?;
    assert_eq!(came_back.landed.body, "You can close this page.");

    let connected = client.ask("finish")?;
    assert!(text(&connected, "/session").is_some(), "{connected}");
    assert_eq!(
        client.ask("tools")?,
        json!({ "tools": ["whoami", "count"] })
    );
    let user = client.ask("whoami")?;
    assert_eq!(text(&user, "/user"), Some("alice"), "{user}");
    // Envoy empties it.
    let authorization = text(&user, "/authorization").unwrap_or_default();
    assert_eq!(authorization, "", "{user}");
    let mut groups: Vec<&str> = text(&user, "/groups")
        .unwrap_or_default()
        .split('|')
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, ["admins", "staff"]);
    events_arrive_one_by_one(&client.ask("count")?)?;

    let before = client.ask("tokens")?;
    id_tokens_are_refused(server, &before)?;
    end_access(site, &before)?;
    // The SDK renews its token, and the call goes on.
    assert_eq!(client.ask("whoami")?, user);
    let renewed = client.ask("tokens")?;
    let of =
        |tokens: &Value, name: &str| text(tokens, &format!("/tokens/{name}")).map(str::to_owned);
    assert_ne!(of(&before, "access_token"), of(&renewed, "access_token"));
    let old = of(&before, "access_token").context("a token")?;
    assert_eq!(post(server, &old)?.status, StatusCode::UNAUTHORIZED);

    // The provider renews nothing any more.
    let form = [
        ("client_id", text(&renewed, "/client/client_id")),
        ("token", text(&renewed, "/tokens/refresh_token")),
    ];
    let revoked = Client::new()?.bare(Method::POST, revocation).form(&form);
    assert!(revoked.send()?.status().is_success());
    end_access(site, &renewed)?;
    let refused = client.ask("whoami")?;
    assert_eq!(
        text(&refused, "/error"),
        Some("UnauthorizedError"),
        "{refused}"
    );
    Ok(())
}

/// Checks that no proxy keeps events back until all of them are there.
fn events_arrive_one_by_one(counted: &Value) -> Result<()> {
    let after = counted
        .get("after")
        .and_then(Value::as_array)
        .context(counted.to_string())?;
    let after: Vec<u64> = after.iter().filter_map(Value::as_u64).collect();
    let [first, _, last] = after[..] else {
        anyhow::bail!("three events: {counted}");
    };
    ensure!(last - first > 600, "kept back: {after:?}");
    Ok(())
}

/// Checks that an ID token of the same user is refused, and what the answer says.
fn id_tokens_are_refused(server: &Url, tokens: &Value) -> Result<()> {
    let id_token = text(tokens, "/tokens/id_token").context("a token")?;
    let refused = post(server, id_token)?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let challenge = refused.header("www-authenticate").context("a challenge")?;
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    Ok(())
}

/// Returns the text at a place in a document.
pub(crate) fn text<'v>(document: &'v Value, pointer: &str) -> Option<&'v str> {
    document.pointer(pointer).and_then(Value::as_str)
}

fn post(server: &Url, token: &str) -> Result<Answer> {
    let request = Client::new()?.bare(Method::POST, server);
    Answer::read(request.bearer_auth(token).send()?)
}

/// Has the outpost refuse every token that the user has.
fn end_access(site: &Site, tokens: &Value) -> Result<()> {
    let token = text(tokens, "/tokens/access_token").context("a token")?;
    let claims = forge::claims(token)?;
    let subject = text(&claims, "/sub").context("a subject")?;
    let (said, well) = site.gatepost(&["session", "revoke", "--subject", subject])?;
    ensure!(well, "{said}");
    // A token of the next 30 seconds would count as older: the provider's clock may be ahead.
    pass(Duration::from_millis(31_500));
    Ok(())
}
