use super::*;
use crate::fixture::{application, deployment};

fn reply(status: u16, location: Option<&str>, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        location: location.map(str::to_owned),
        date: None,
        cookies: Vec::new(),
        body: body.to_owned(),
    }
}

fn says<T: std::fmt::Debug>(case: &str, outcome: Result<T, Wrong>, expected: &str) {
    match outcome {
        Ok(_) => assert_eq!(expected, "", "{case}"),
        Err(Wrong(what)) => {
            assert!(
                !expected.is_empty() && what.contains(expected),
                "{case}: {what}"
            );
        }
    }
}

#[test]
fn a_url_belongs_to_an_application() {
    let deployment = deployment(&crate::fixture::KEYS);
    for (url, expected) in [
        ("https://app.example.com/x", ""),
        ("http://app.localhost:8080/", ""),
        ("https://any.example.org/", ""),
        ("http://app.example.com/", "`externalUrl` is https"),
        ("https://other.example.com/", "no application has the host"),
    ] {
        let url = Url::parse(url).expect("a URL");
        says(
            url.as_str(),
            application_of(&deployment.applications, &url),
            expected,
        );
    }
}

#[test]
fn each_wrong_answer_names_what_to_mend() {
    let wiki = application("wiki");
    let json = |code: &str| format!("{{\"error\":\"{code}\"}}");
    for (status, body, expected) in [
        (204, String::new(), ""),
        (
            404,
            "404 page not found".into(),
            "does not lead to the outpost",
        ),
        (200, "<html>".into(), "higher priority"),
        (502, String::new(), "does not reach the outpost"),
    ] {
        says(
            expected,
            check_ping(&wiki, &reply(status, None, &body)),
            expected,
        );
    }
    for (status, body, expected) in [
        (401, json("unauthenticated"), ""),
        (401, json("proxy_misconfigured"), "trustedProxies"),
        (404, json("unknown_host"), "changes `Host`"),
        (404, json("not_found"), "the outpost itself answers"),
        (200, "<html>".into(), "not on this route"),
        (503, String::new(), "plugin refuses its settings"),
        (404, "404 page not found".into(), "no route here"),
    ] {
        says(
            expected,
            check_script(&reply(status, None, &body)),
            expected,
        );
    }
    let at = Url::parse("https://app.example.com/x").expect("a URL");
    for (status, location, expected) in [
        (302, Some("/akprox/start?rd=%2Fx"), ""),
        (
            302,
            Some("http://app.example.com/akprox/start"),
            "X-Forwarded-Proto",
        ),
        (
            301,
            Some("https://www.example.com/x"),
            "another redirect comes first",
        ),
        (401, None, "error_page 401"),
        (200, None, "no redirect"),
    ] {
        says(
            expected,
            check_page(&wiki, &at, &reply(status, location, "")),
            expected,
        );
    }
}

#[test]
fn a_sign_in_that_begins_wrongly_says_what_differs() {
    let wiki = application("wiki");
    let at = Url::parse("https://app.example.com/akprox/start").expect("a URL");
    let to = |client: &str, redirect: &str| {
        format!("https://id.example.com/authorize?client_id={client}&redirect_uri={redirect}")
    };
    let right = to("gatepost", "https://app.example.com/akprox/callback");
    for (location, cookie, expected) in [
        (right.clone(), "__Secure-gatepost-flow-x=1; Secure", ""),
        (right.clone(), "other=1", "drops `Set-Cookie`"),
        (
            to("other", "https://app.example.com/akprox/callback"),
            "",
            "client_id",
        ),
        (
            to("gatepost", "https://old.example.com/callback"),
            "",
            "redirect_uri",
        ),
    ] {
        let mut reply = reply(302, Some(&location), "");
        reply.cookies.push(cookie.to_owned());
        says(expected, check_start(&wiki, &at, &reply), expected);
    }
    let page = reply(
        503,
        None,
        "<title>The sign-in service cannot be reached</title>",
    );
    says("away", check_start(&wiki, &at, &page), "cannot be reached");
}

#[test]
fn a_clock_that_is_off_is_named() {
    let mut reply = reply(204, None, "");
    for (seconds, expected) in [(0, ""), (20, ""), (600, "NTP")] {
        reply.date = Some(SystemTime::now() - Duration::from_secs(seconds));
        says("clock", check_clock("the provider", &reply), expected);
    }
}
