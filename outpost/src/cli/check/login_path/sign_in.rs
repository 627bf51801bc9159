//! The steps of the path from `start` to the provider.

use gatepost_base::Quoted;
use gatepost_oidc::Provider;
use http::StatusCode;
use url::Url;

use super::answers::check_route;
use super::at_provider::at_provider;
use super::browser::{Browser, Fetch, Reply};
use super::problem::CheckProblem;
use crate::application::Application;
use crate::cli::check::report::{Report, Subject};

/// Follows the sign-in from `start` to where the application's providers ask for a password.
pub(super) async fn sign_in(
    browser: &Browser,
    application: &Application,
    mut next: Url,
    report: &mut Report,
) -> Result<(), CheckProblem> {
    // In domain mode `start` may send the browser to its own host first.
    for _ in 0..3 {
        let reply = browser.get(next.as_str(), Fetch::Page, report).await?;
        let provider = application.providers().first();
        match check_start(application, provider, &next, &reply)? {
            SignInStep::Elsewhere(url) => next = url,
            SignInStep::AtProvider(url) => {
                return at_provider(browser, application, provider, &url, report).await;
            }
            SignInStep::Choice => return each_choice(browser, application, &next, report).await,
        }
    }
    Err(CheckProblem(
        "`start` leads to itself again and again: compare `externalUrl` with the host that the \
         proxy passes on"
            .to_owned(),
    ))
}

/// Follows the sign-in from the page where users choose among the application's providers, to each of them.
async fn each_choice(
    browser: &Browser,
    application: &Application,
    at: &Url,
    report: &mut Report,
) -> Result<(), CheckProblem> {
    for provider in application.providers().iter() {
        let name = &provider.settings().name;
        report.note(
            &Subject::LoginPath,
            format!("the page asks where to sign in: `{name}`"),
        );
        // The links of our own page; a template of the operator's may show them in any way.
        let mut next = at.clone();
        let mut query = next.query_pairs_mut();
        query
            .clear()
            .extend_pairs([("rd", "/"), ("provider", name)]);
        drop(query);
        let reply = browser.get(next.as_str(), Fetch::Page, report).await?;
        match check_start(application, provider, &next, &reply)? {
            SignInStep::AtProvider(url) => {
                at_provider(browser, application, provider, &url, report).await?
            }
            SignInStep::Elsewhere(_) | SignInStep::Choice => {
                return Err(CheckProblem(format!(
                    "`start?provider={name}` does not lead to that provider: the outpost that \
                     answers runs with another configuration"
                )));
            }
        }
    }
    Ok(())
}

/// Where a sign-in goes on to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignInStep {
    /// On another host of the application.
    Elsewhere(Url),
    /// At a provider.
    AtProvider(Url),
    /// On the page that asks at which provider.
    Choice,
}

/// Returns where `start` leads: if to a provider, then to `provider`.
pub(super) fn check_start(
    application: &Application,
    provider: &Provider,
    at: &Url,
    reply: &Reply,
) -> Result<SignInStep, CheckProblem> {
    check_route(application, reply)?;
    let has_choice = application.providers().only().is_none();
    // Asked in place, a page is answered with 401.
    let is_page = matches!(reply.status, StatusCode::OK | StatusCode::UNAUTHORIZED);
    if has_choice && is_page && reply.location.is_none() && reply.title().is_some() {
        return Ok(SignInStep::Choice);
    }
    let Some(next) = reply
        .location
        .as_ref()
        .filter(|_| reply.status == StatusCode::FOUND)
        .and_then(|location| at.join(location).ok())
    else {
        let title = reply.title().unwrap_or_default();
        return Err(CheckProblem(format!(
            "`start` answers {} {} and no redirect; the outpost's log says why",
            reply.status,
            Quoted(title)
        )));
    };
    if next.path() == at.path() {
        return Ok(SignInStep::Elsewhere(next));
    }
    let parameter = |name: &str| {
        let mut pairs = next.query_pairs();
        pairs
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into_owned())
    };
    let settings = provider.settings();
    // A pushed authorization request has its other parameters at the provider (RFC 9126 §4).
    let is_pushed = parameter("request_uri").is_some();
    for (name, sent, configured) in [
        (
            "client_id",
            parameter("client_id"),
            settings.client_id.to_string(),
        ),
        (
            "redirect_uri",
            parameter("redirect_uri"),
            application.redirect_uri(provider),
        ),
    ] {
        if name == "redirect_uri" && sent.is_none() && is_pushed {
            continue;
        }
        if sent.as_ref() != Some(&configured) {
            return Err(CheckProblem(format!(
                "the outpost that answers sends {name} `{}`, by this configuration it is \
                 `{configured}`: it runs with another",
                sent.unwrap_or_default()
            )));
        }
    }
    let flow = |cookie: &&String| cookie.contains("gatepost-flow");
    let Some(cookie) = reply.cookies.iter().find(flow) else {
        return Err(CheckProblem(
            "the sign-in's cookie does not reach the browser: the proxy drops `Set-Cookie` of \
             `start`"
                .to_owned(),
        ));
    };
    let secure = cookie
        .split(';')
        .any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"));
    if secure && at.scheme() != "https" {
        return Err(CheckProblem(
            "the sign-in's cookie is for https, and this is http: browsers drop it".to_owned(),
        ));
    }
    Ok(SignInStep::AtProvider(next))
}
