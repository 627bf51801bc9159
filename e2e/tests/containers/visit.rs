//! What a visitor sees of an application in a container, which shows each request that reaches it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, until};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

/// For containers to start, and for Traefik to notice.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Returns the status for a script without a session.
pub(crate) fn status(url: &Url) -> Result<StatusCode> {
    Ok(Client::new()?.fetch(Method::GET, url).send()?.status())
}

/// Waits until a script without a session gets this status. An application that lets it through
/// meanwhile fails the test.
pub(crate) fn until_status(url: &Url, wanted: StatusCode) -> Result<()> {
    let mut last = String::new();
    let what = format!("{wanted} at {url}");
    let outcome = until(&what, LIMIT, || {
        let answer = Client::new()?.fetch(Method::GET, url).send();
        last = match answer {
            Ok(answer) => {
                let status = answer.status();
                ensure!(
                    status != StatusCode::OK || wanted == StatusCode::OK,
                    "{url} is open"
                );
                if status == wanted {
                    return Ok(Some(()));
                }
                status.to_string()
            }
            Err(error) => error.to_string(),
        };
        Ok(None)
    });
    outcome.with_context(|| last)
}

/// Signs in at the provider, and returns the client once the application has seen who it is.
pub(crate) fn sign_in(page: &Url) -> Result<Client> {
    let client = Client::new()?;
    let journey = client.sign_in(page, &ALICE)?;
    assert_eq!(journey.landed.url, *page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    sees_alice(&client, page)?;
    Ok(client)
}

/// Checks that the application sees the signed-in user, also where a client names another, and no
/// cookie of the session.
pub(crate) fn sees_alice(client: &Client, page: &Url) -> Result<()> {
    let request = client
        .fetch(Method::GET, page)
        .header("X-Auth-Username", "mallory")
        .header("X-Auth-Groups", "root")
        .header("x_auth_username", "mallory")
        .header("Remote-User", "mallory");
    let answer = request.send()?;
    assert_eq!(answer.status(), StatusCode::OK, "{page}");
    let text = answer.text()?;
    assert!(
        !text.contains("mallory") && !text.contains("root"),
        "{text}"
    );
    let seen: Value = serde_json::from_str(&text).context(text)?;
    for (header, value) in [
        ("x-auth-username", "alice"),
        ("x-auth-groups", "staff|admins"),
        ("x-forwarded-email", "alice@example.com"),
    ] {
        let found = seen.pointer(&format!("/headers/{header}/0"));
        assert_eq!(found, Some(&value.into()), "{seen}");
    }
    let cookies = seen.pointer("/headers/cookie/0").and_then(Value::as_str);
    assert!(!cookies.unwrap_or_default().contains("gatepost"), "{seen}");
    Ok(())
}
