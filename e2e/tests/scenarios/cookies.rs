//! Cookies that must not pass, and one that must.

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Application, ApplicationSpec, Client, Stack, forge};
use reqwest::{Method, StatusCode};

/// Asks for a page and for data with a hand-made cookie.
fn statuses(app: &Application, cookie: &str) -> Result<[StatusCode; 2]> {
    let client = Client::new()?;
    let header = format!("{}={cookie}", app.cookie_name().as_str());
    let url = app.url("/");
    let page = client.page_load(Method::GET, &url);
    let data = client.fetch(Method::GET, &url);
    Ok([
        page.header("Cookie", &header).send()?.status(),
        data.header("Cookie", &header).send()?.status(),
    ])
}

const REFUSED: [StatusCode; 2] = [StatusCode::FOUND, StatusCode::UNAUTHORIZED];

#[test]
fn cookies_that_are_not_in_force_here_are_refused() -> Result<()> {
    let stack = Stack::builder().start()?;
    let app = stack.app();
    let ring = stack.keys().ring()?;
    let good = forge::valid(&ring, app.name())?;
    let mut short = good.clone();
    short.pop();
    let cases = [
        ("empty", String::new()),
        ("made up", forge::MADE_UP.to_owned()),
        ("not even a token", "%%%\"..\\".to_owned()),
        ("very long", "A".repeat(20_000)),
        ("right in all but the key", forge::wrong_key(app.name())?),
        ("one byte altered", forge::altered(&ring, app.name())?),
        ("cut short", short),
        ("something appended", format!("{good}A")),
        ("expired", forge::expired(&ring, app.name())?),
        ("of another application", forge::valid(&ring, "other")?),
        (
            "of an application with a longer name",
            forge::valid(&ring, "app2")?,
        ),
    ];
    for (name, cookie) in cases {
        assert_eq!(statuses(app, &cookie)?, REFUSED, "{name}");
    }
    assert_eq!(app.requests(), [], "nothing reached the app");

    // The forger's work is otherwise good: the same cookie unharmed passes.
    assert_eq!(statuses(app, &good)?, [StatusCode::OK; 2]);
    Ok(())
}

#[test]
fn session_of_one_application_is_refused_at_another() -> Result<()> {
    let stack = Stack::builder()
        .application(ApplicationSpec::new("app"))
        .application(ApplicationSpec::new("other"))
        .start()?;
    let other = stack.application("other")?;
    let client = Client::new()?;
    let page = stack.app().url("/");
    client.sign_in(&page, &ALICE)?;
    let cookie = client
        .cookie(&page, stack.app().cookie_name().as_str())
        .expect("a session cookie");

    assert_eq!(statuses(stack.app(), &cookie)?, [StatusCode::OK; 2]);
    assert_eq!(statuses(other, &cookie)?, REFUSED);
    assert_eq!(other.requests(), [], "nothing reached the other app");
    Ok(())
}

#[test]
fn app_does_not_see_the_session_cookie() -> Result<()> {
    let stack = Stack::builder().start()?;
    let app = stack.app();
    let cookie = forge::valid(&stack.keys().ring()?, app.name())?;
    let header = format!(
        "theme=dark; {}={cookie}; lang=en",
        app.cookie_name().as_str()
    );
    let request = Client::new()?.page_load(Method::GET, &app.url("/"));
    let answer = Answer::read(request.header("Cookie", header).send()?)?;
    assert_eq!(answer.status, StatusCode::OK);
    let requests = app.requests();
    assert_eq!(requests[0].header("cookie"), Some("theme=dark; lang=en"));
    Ok(())
}
