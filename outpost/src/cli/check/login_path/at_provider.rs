//! What the provider answers to the request to sign in.

use std::collections::HashMap;

use gatepost_base::Quoted;
use gatepost_oidc::{AuthorizationOptions, Provider};
use http::header::COOKIE;
use openidconnect::RedirectUrl;
use url::Url;

use super::answers::check_clock;
use super::browser::{Browser, Fetch, Reply, without_query};
use super::problem::CheckProblem;
use crate::application::Application;
use crate::cli::check::report::{Report, Subject};

/// The most redirects that lead from one page of the provider to another.
const MAX_REDIRECTS: usize = 8;

/// The most characters of a provider's error that are shown.
const MAX_WORDS: usize = 300;

/// The scope for which many providers issue refresh tokens (OpenID Connect Core 1.0 §11).
const OFFLINE_ACCESS: &str = "offline_access";

/// Follows the sign-in at the provider, and warns where sessions could not be renewed unnoticed.
pub(super) async fn at_provider(
    browser: &Browser,
    application: &Application,
    provider: &Provider,
    url: &Url,
    report: &mut Report,
) -> Result<(), CheckProblem> {
    follow(browser, application, provider, url, report).await?;
    let scopes = &provider.settings().scopes;
    let asks_for_refresh_tokens = scopes.iter().any(|scope| scope.as_str() == OFFLINE_ACCESS);
    if !asks_for_refresh_tokens && ignores_prompt_none(browser, application, provider).await {
        report.warning(
            &Subject::LoginPath,
            format!(
                "`{}` shows a page to a request that forbids one (`prompt=none`): users see it \
                 whenever a session is renewed, unless the provider issues refresh tokens (for many, \
                 by the scope `{OFFLINE_ACCESS}`)",
                provider.settings().name
            ),
        );
    }
    Ok(())
}

/// Returns whether the provider shows a page to a request that forbids one (OpenID Connect Core 1.0
/// §3.1.2.1), where it should send the browser back with an error. What else goes wrong on the way
/// says nothing of it.
async fn ignores_prompt_none(
    browser: &Browser,
    application: &Application,
    provider: &Provider,
) -> bool {
    let Ok(redirect_uri) = RedirectUrl::new(application.redirect_uri(provider)) else {
        return false;
    };
    let options = AuthorizationOptions {
        silent: true,
        ..AuthorizationOptions::default()
    };
    let Ok(request) = provider.authorize(redirect_uri, options).await else {
        return false;
    };
    let mut jar = Jar::default();
    let mut next = request.url;
    for _ in 0..MAX_REDIRECTS {
        let cookies = jar.line(&next).map(|line| (COOKIE.as_str(), line));
        let reply = browser.ask(next.as_str(), Fetch::Page, cookies.as_slice());
        let Ok(reply) = reply.await else {
            return false;
        };
        jar.keep(&next, &reply);
        let Some(location) = &reply.location else {
            return reply.status.is_success() && !posts_back(application, provider, &reply);
        };
        match next.join(location) {
            Ok(after) if !leads_back(application, provider, &after) => next = after,
            Ok(_) | Err(_) => return false,
        }
    }
    false
}

/// Follows the redirects of the provider from the request to sign in to where it asks the user, or
/// sends the browser back with an error.
async fn follow(
    browser: &Browser,
    application: &Application,
    provider: &Provider,
    url: &Url,
    report: &mut Report,
) -> Result<(), CheckProblem> {
    let mut jar = Jar::default();
    let mut next = url.clone();
    for step in 0..MAX_REDIRECTS {
        let cookies = jar.line(&next);
        let reply = browser.get_with(next.as_str(), Fetch::Page, cookies.as_deref(), report);
        let reply = reply.await?;
        if step == 0 {
            check_clock("the provider", &reply)?;
            check_first(application, provider, &reply)?;
        } else if is_failure(&reply) {
            // It may be what it answers to programs alone.
            report.warning(
                &Subject::LoginPath,
                format!(
                    "{} of the provider answers {} to this check: see whether it does so to \
                     browsers too",
                    without_query(&next),
                    reply.status
                ),
            );
            return Ok(());
        }
        jar.keep(&next, &reply);
        let after = reply
            .location
            .as_ref()
            .filter(|_| reply.status.is_redirection());
        let after = match after.and_then(|location| next.join(location).ok()) {
            Some(after) => after,
            None => return check_form(application, provider, &reply),
        };
        if leads_back(application, provider, &after) {
            return check_answer(provider, &answer_of(&after));
        }
        next = after;
    }
    Ok(())
}

fn is_failure(reply: &Reply) -> bool {
    reply.status.is_client_error() || reply.status.is_server_error()
}

fn check_first(
    application: &Application,
    provider: &Provider,
    reply: &Reply,
) -> Result<(), CheckProblem> {
    if !is_failure(reply) {
        return Ok(());
    }
    let settings = provider.settings();
    Err(CheckProblem(format!(
        "the provider answers {} to the request to sign in: is the client `{}` registered there, \
         with the redirect URI {}?",
        reply.status,
        settings.client_id.as_str(),
        application.redirect_uri(provider)
    )))
}

/// Returns whether a URL is the redirect URI.
fn leads_back(application: &Application, provider: &Provider, url: &Url) -> bool {
    Url::parse(&application.redirect_uri(provider))
        .is_ok_and(|own| own.origin() == url.origin() && own.path() == url.path())
}

/// Returns the parameters of an authorization response.
fn answer_of(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// Checks a page of the provider, which may be a form that posts the authorization response
/// (OAuth 2.0 Form Post Response Mode).
fn check_form(
    application: &Application,
    provider: &Provider,
    reply: &Reply,
) -> Result<(), CheckProblem> {
    if !posts_back(application, provider, reply) {
        return Ok(());
    }
    let names = ["error", "error_description"];
    let fields = names.into_iter().filter_map(|name| {
        let value = field(&reply.body, name)?;
        Some((name.to_owned(), value.to_owned()))
    });
    check_answer(provider, &fields.collect())
}

/// Returns whether a page has a form that goes to the redirect URI.
fn posts_back(application: &Application, provider: &Provider, reply: &Reply) -> bool {
    let uri = application.redirect_uri(provider);
    let body = reply.body.to_ascii_lowercase();
    ["", "/"].iter().any(|end| {
        let action = format!("action=\"{uri}{end}\"");
        body.contains(&action.to_ascii_lowercase())
    })
}

/// Returns the value of a form's hidden field.
fn field<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    body.split('<').find_map(|tag| {
        let tag = tag.split('>').next()?;
        let is_own = ["name", "NAME"]
            .iter()
            .any(|key| tag.contains(&format!("{key}=\"{name}\"")));
        let value = ["value=\"", "VALUE=\""]
            .iter()
            .find_map(|key| tag.split_once(key))?;
        is_own.then_some(value.1.split('"').next()?)
    })
}

/// Checks an authorization response: to a browser in which no user is signed in, all that a provider
/// can send is an error (OpenID Connect Core 1.0 §3.1.2.6).
fn check_answer(provider: &Provider, answer: &HashMap<String, String>) -> Result<(), CheckProblem> {
    let Some(code) = answer.get("error") else {
        return Ok(());
    };
    let settings = provider.settings();
    let words = |text: &String| text.chars().take(MAX_WORDS).collect::<String>();
    let description = answer.get("error_description").map(words);
    let said = match &description {
        Some(description) => format!("{} ({})", Quoted(words(code)), Quoted(description)),
        None => Quoted(words(code)).to_string(),
    };
    let scopes: Vec<&str> = settings.scopes.iter().map(|scope| scope.as_str()).collect();
    let advice = match code.as_str() {
        "invalid_scope" => format!(
            "it does not know one of the scopes `{}`, or the client may not ask for it; remove it \
             from `scopes`, or let the provider have it",
            scopes.join(" ")
        ),
        "unauthorized_client" | "unsupported_response_type" => format!(
            "let the client `{}` use the authorization code flow (Keycloak: Standard flow)",
            settings.client_id.as_str()
        ),
        "invalid_request" => {
            "where it requires pushed authorization requests, set `pushedAuthorization: true`; the \
             provider's log says more"
                .to_owned()
        }
        "access_denied" | "invalid_client" => format!(
            "let users sign in to the client `{}` there",
            settings.client_id.as_str()
        ),
        "login_required" | "interaction_required" | "consent_required" => {
            "it may not ask the user: remove `prompt` from `authorizationParameters`".to_owned()
        }
        _ => "the provider's log says more".to_owned(),
    };
    Err(CheckProblem(format!(
        "the provider refuses the request to sign in with {said}: {advice}"
    )))
}

/// The cookies of the provider, which its pages hand from one to the next.
#[derive(Default)]
struct Jar(Vec<(String, String, String)>);

impl Jar {
    fn keep(&mut self, url: &Url, reply: &Reply) {
        let host = url.host_str().unwrap_or_default();
        for cookie in &reply.cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                let is_other = |(own, other, _): &(String, String, String)| {
                    own != host || other != name.trim()
                };
                self.0.retain(is_other);
                self.0.push((
                    host.to_owned(),
                    name.trim().to_owned(),
                    value.trim().to_owned(),
                ));
            }
        }
    }

    /// Returns the line for a URL.
    fn line(&self, url: &Url) -> Option<String> {
        let own = self
            .0
            .iter()
            .filter(|(host, ..)| Some(host.as_str()) == url.host_str());
        let pairs: Vec<String> = own
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::application;

    #[test]
    fn what_the_provider_refuses_is_named_with_what_to_do() {
        let wiki = application("wiki");
        let provider = wiki.providers().first();
        let back = |query: &str| {
            let url = format!("{}?{query}", wiki.redirect_uri(provider));
            Url::parse(&url).expect("a URL")
        };
        for (query, expected) in [
            ("state=x&code=y", None),
            (
                "error=invalid_scope&error_description=Invalid+scopes%3A+openid+groups&state=x",
                Some("`invalid_scope` (`Invalid scopes: openid groups`)"),
            ),
            ("error=unauthorized_client", Some("Standard flow")),
            ("error=invalid_request", Some("`pushedAuthorization: true`")),
            ("error=login_required", Some("`prompt`")),
            ("error=made%0Aup", Some("`made\\nup`")),
        ] {
            let url = back(query);
            assert!(leads_back(&wiki, provider, &url), "{query}");
            let problem = check_answer(provider, &answer_of(&url)).err();
            let problem = problem.map(|CheckProblem(text)| text);
            assert_eq!(
                problem.is_some(),
                expected.is_some(),
                "{query}: {problem:?}"
            );
            let text = problem.unwrap_or_default();
            assert!(
                text.contains(expected.unwrap_or_default()),
                "{query}: {text}"
            );
        }
        for elsewhere in [
            "https://app.example.com/akprox/start",
            "https://id.example.com/akprox/callback",
        ] {
            let url = Url::parse(elsewhere).expect("a URL");
            assert!(!leads_back(&wiki, provider, &url), "{elsewhere}");
        }
    }

    #[test]
    fn an_error_that_a_form_posts_is_read_too() {
        let wiki = application("wiki");
        let provider = wiki.providers().first();
        let page = |body: &str| Reply {
            status: http::StatusCode::OK,
            location: None,
            challenge: None,
            date: None,
            cookies: Vec::new(),
            body: body.to_owned(),
        };
        let form = |uri: &str, fields: &str| {
            page(&format!(
                "<FORM METHOD=\"POST\" ACTION=\"{uri}\">{fields}</FORM>"
            ))
        };
        let uri = wiki.redirect_uri(provider);
        let field = "<INPUT TYPE=\"HIDDEN\" NAME=\"error\" VALUE=\"invalid_scope\" />";
        for (reply, is_well) in [
            (form(&uri, field), false),
            (
                form(&uri, "<input type=hidden name=\"code\" value=\"x\">"),
                true,
            ),
            (form("https://id.example.com/login", field), true),
            (page("error"), true),
        ] {
            let outcome = check_form(&wiki, provider, &reply);
            assert_eq!(outcome.is_ok(), is_well, "{}", reply.body);
        }
    }

    #[test]
    fn cookies_go_to_the_host_that_set_them() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let mut jar = Jar::default();
        let mut reply = Reply {
            status: http::StatusCode::FOUND,
            location: None,
            challenge: None,
            date: None,
            cookies: vec!["a=1; Path=/".into(), "b=2".into(), "junk".into()],
            body: String::new(),
        };
        jar.keep(&url("https://id.example.com/x"), &reply);
        reply.cookies = vec!["a=3; HttpOnly".into()];
        jar.keep(&url("https://id.example.com/y"), &reply);
        let line = jar.line(&url("https://id.example.com/z"));
        assert_eq!(line.as_deref(), Some("b=2; a=3"));
        assert_eq!(jar.line(&url("https://other.example.com/")), None);
    }
}
