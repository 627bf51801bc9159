//! `gatepost check --url`: the path that a browser takes to a sign-in, step by step, and what is
//! wrong at the first step that does not lead on.
//!
//! Nothing is signed in and nothing changes: the request to the provider ends where it would ask
//! for a password, and the session that a plugin is shown ended long ago.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use gatepost_session::KeyRing;
use http::StatusCode;
use url::Url;

use super::super::output::say;
use super::TRAEFIK_NEEDED;
use crate::application::Application;
use crate::application::{Applications, NoApplication};
use crate::compat::AUTHENTIK_PREFIX;
use crate::origin::{HostPort, Mode};
use crate::runtime::Snapshot;
use gatepost_oidc::Provider;

use walker::{As, Reply, Walker, without_query};

mod ended;
mod holes;
#[cfg(test)]
mod tests;
mod walker;

/// By how much a clock may differ: tokens last minutes, and this much is what verifiers allow.
const MAX_SKEW_SECONDS: u64 = 30;

/// What is wrong, and what an operator can do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// Walks the path from `url`, says each step, and whether all of them lead on and none leads past.
pub(super) async fn walk(snapshot: &Snapshot, keys: &KeyRing, url: &str) -> bool {
    let wrong = |what: &dyn fmt::Display| say(&format!("walk         WRONG: {what}"));
    let found = Url::parse(url)
        .map_err(|error| Wrong(format!("`{url}` is no URL: {error}")))
        .and_then(|url| {
            let application = application_of(&snapshot.applications, &url)?;
            Ok((Walker::new(snapshot, &url)?, application, url))
        });
    let (walker, application, url) = match found {
        Ok(found) => found,
        Err(what) => {
            wrong(&what);
            return false;
        }
    };
    let walked = steps(&walker, application, &url).await;
    if let Err(what) = &walked {
        wrong(what);
    }
    let words = application.verdicts(keys);
    let holes = holes::find(&walker, snapshot, application, &words, &url).await;
    for hole in &holes {
        wrong(hole);
    }
    if walked.is_err() || !holes.is_empty() {
        return false;
    }
    say("walk         no header of a client leads past the sign-in");
    say("walk         leads to the provider's sign-in: all well");
    true
}

async fn steps(walker: &Walker, application: &Application, url: &Url) -> Result<(), Wrong> {
    let origin = application.external.origin();
    let ping = format!("{origin}{}/ping", application.prefix);
    let reply = walker.get(&ping, As::Script).await?;
    check_clock("the server at this address", &reply)?;
    check_ping(application, &reply)?;

    let reply = walker.get(url.as_str(), As::Script).await?;
    check_script(&reply)?;
    let by_plugin = reply.is_plugins();
    if by_plugin {
        check_clock("the proxy", &reply)?;
    }
    let reply = walker.get(url.as_str(), As::Page).await?;
    let next = check_page(application, url, &reply)?;
    sign_in(walker, application, next).await?;

    // A plugin that leaves the rest to the outpost is seen by its answer to this alone.
    let cookie = ended::cookie(application)?;
    let shown = walker.get_with(url.as_str(), As::Script, Some(&cookie));
    let shown = shown.await?;
    if by_plugin {
        ended::check(application, &shown)?;
    }
    if ended::is_plugins(&shown) {
        say("walk         the plugin knows what these keys sign");
        say(&format!("walk         Traefik {TRAEFIK_NEEDED}"));
        let rule = ended::compare_rules(application, &shown)?;
        say(&format!("walk         {rule}"));
    }
    Ok(())
}

/// Walks from `start` to where the application's providers ask for a password.
async fn sign_in(walker: &Walker, application: &Application, mut next: Url) -> Result<(), Wrong> {
    // In domain mode `start` may send the browser to its own host first.
    for _ in 0..3 {
        let reply = walker.get(next.as_str(), As::Page).await?;
        let provider = application.providers.first();
        match check_start(application, provider, &next, &reply)? {
            Begun::Elsewhere(url) => next = url,
            Begun::AtProvider(url) => {
                return at_provider(walker, application, provider, &url).await;
            }
            Begun::Choice => return each_choice(walker, application, &next).await,
        }
    }
    Err(Wrong(
        "`start` leads to itself again and again: compare `externalUrl` with the host that the \
         proxy passes on"
            .to_owned(),
    ))
}

/// Walks on from the page where one chooses among the application's providers, to each of them.
async fn each_choice(walker: &Walker, application: &Application, at: &Url) -> Result<(), Wrong> {
    for provider in application.providers.iter() {
        let name = &provider.settings().name;
        say(&format!(
            "walk         the page asks where to sign in: `{name}`"
        ));
        // The page's own links, which a template of the operator's may show in any way.
        let mut next = at.clone();
        let mut query = next.query_pairs_mut();
        query
            .clear()
            .extend_pairs([("rd", "/"), ("provider", name)]);
        drop(query);
        let reply = walker.get(next.as_str(), As::Page).await?;
        match check_start(application, provider, &next, &reply)? {
            Begun::AtProvider(url) => at_provider(walker, application, provider, &url).await?,
            Begun::Elsewhere(_) | Begun::Choice => {
                return Err(Wrong(format!(
                    "`start?provider={name}` does not lead to that provider: the outpost that \
                     answers runs with another configuration"
                )));
            }
        }
    }
    Ok(())
}

/// The application at a URL, if the URL is one of its own.
fn application_of<'a>(applications: &'a Applications, url: &Url) -> Result<&'a Application, Wrong> {
    let authority = HostPort::parse(&url[url::Position::BeforeHost..url::Position::AfterPort])
        .ok_or_else(|| Wrong(format!("`{url}` has no host")))?;
    // On one host name, several differ in their ports too.
    let same_origin = |application: &&Arc<Application>| {
        application.external.origin() == url.origin().ascii_serialization()
    };
    let found = applications.iter().find(same_origin);
    let found = found.map_or_else(|| applications.at(&authority, url.path()), Ok);
    if let Err(NoApplication::Unserved(unserved)) = &found {
        return Err(Wrong(format!(
            "`{}` is configured for `{authority}` and cannot be served: {}",
            unserved.name, unserved.reason
        )));
    }
    let Ok(application) = found else {
        let known: Vec<String> = applications
            .iter()
            .map(|application| {
                let origin = application.external.origin();
                match &application.mode {
                    Mode::Single => origin.to_owned(),
                    Mode::Domain(domain) => {
                        format!("{origin} (for every host under {})", domain.as_str())
                    }
                }
            })
            .collect();
        return Err(Wrong(format!(
            "no application has the host `{authority}`: the `externalUrl`s are {}",
            known.join(", ")
        )));
    };
    let scheme = application.external.url().scheme();
    if url.scheme() != scheme {
        return Err(Wrong(format!(
            "{}: `externalUrl` is {scheme}, this URL is {}: write the scheme that browsers use",
            application.audience,
            url.scheme()
        )));
    }
    Ok(application)
}

fn check_clock(whose: &str, reply: &Reply) -> Result<(), Wrong> {
    let Some(date) = reply.date else {
        return Ok(());
    };
    let now = SystemTime::now();
    let apart = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now))
        .unwrap_or_default();
    if apart.as_secs() > MAX_SKEW_SECONDS {
        return Err(Wrong(format!(
            "the clock of {whose} is {} s from the one here: sessions and tokens would count as \
             expired or not yet valid; keep both by NTP",
            apart.as_secs()
        )));
    }
    Ok(())
}

fn check_ping(application: &Application, reply: &Reply) -> Result<(), Wrong> {
    check_route(application, reply)?;
    let prefix = &application.prefix;
    let wrong = match reply.status {
        StatusCode::NO_CONTENT => return Ok(()),
        status if status.is_redirection() => format!(
            "{prefix}/ping is redirected to {}: `externalUrl` must be the URL after that redirect",
            reply.location.as_deref().unwrap_or("nowhere")
        ),
        // Asked in place, a proxy's question about this path has no answer but a page load's.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if reply.error().is_some() => {
            return check_script(reply);
        }
        StatusCode::NOT_FOUND if reply.error() == Some("not_found".to_owned()) => return Ok(()),
        StatusCode::NOT_FOUND => format!(
            "nothing answers at {prefix}: the proxy has no route for this host, or its route for \
             `{prefix}` does not lead to the outpost"
        ),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            "the proxy does not reach the outpost: compare its address with `listen.http`"
                .to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "503: the plugin refuses its settings, or the outpost is away; Traefik's log says \
             which, and what is wrong with the settings"
                .to_owned()
        }
        status if status.is_success() => format!(
            "the application answers at {prefix}, and not the outpost: give the outpost's route \
             the higher priority"
        ),
        status => format!("{prefix}/ping answers {status}, which the outpost never does"),
    };
    Err(Wrong(wrong))
}

/// Whether a request for the outpost reached it, and not the plugin on the application's route.
fn check_route(application: &Application, reply: &Reply) -> Result<(), Wrong> {
    if reply.status == StatusCode::SERVICE_UNAVAILABLE
        && reply.body.contains("have to be routed to the outpost")
    {
        let host = match application.mode {
            Mode::Single => "this host",
            Mode::Domain(_) => "the host of `externalUrl` (and give the plugin `mode: domain`)",
        };
        return Err(Wrong(format!(
            "the application's route gets {prefix}, and the plugin on it answers: the proxy needs \
             a route for `{prefix}` at {host} that leads to the outpost and has no plugin",
            prefix = application.prefix
        )));
    }
    Ok(())
}

/// What a script gets that has no session.
fn check_script(reply: &Reply) -> Result<(), Wrong> {
    let wrong = match (reply.status, reply.error().as_deref()) {
        (StatusCode::UNAUTHORIZED, Some("unauthenticated")) | (StatusCode::FOUND, _) => {
            return Ok(());
        }
        (_, Some("proxy_misconfigured")) => {
            "the outpost does not believe the proxy: `trustedProxies` lacks the address that the \
             proxy connects from, or the proxy does not say which request it asks about; the \
             outpost's log names it"
                .to_owned()
        }
        (_, Some("unknown_host")) => {
            "the outpost has no application at the host that the proxy passes on: another \
             configuration runs, or the proxy changes `Host`"
                .to_owned()
        }
        (_, Some("not_found")) => {
            "the outpost itself answers: nothing stands in front of it that asks for a session and \
             then lets through to the application"
                .to_owned()
        }
        // nginx gives its own page for the 401 of a subrequest.
        (StatusCode::UNAUTHORIZED, _) => return Ok(()),
        (StatusCode::INTERNAL_SERVER_ERROR, _) => {
            "500: the proxy takes the outpost's answer for a failure; its log says why".to_owned()
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => {
            "503: the plugin refuses its settings, or the store is away; Traefik's log names the \
             setting, the outpost's the store"
                .to_owned()
        }
        (StatusCode::NOT_FOUND, _) => {
            "404: the proxy has no route here, or its middleware is broken, which Traefik answers \
             with 404; its log says so (like \"unknown plugin type\")"
                .to_owned()
        }
        (status, _) if status.is_success() => {
            "a client without a session is not asked to sign in: the middleware is not on this \
             route, or the path is `public`"
                .to_owned()
        }
        (status, error) => format!(
            "{status} {}: not an answer to someone without a session",
            error.unwrap_or_default()
        ),
    };
    Err(Wrong(wrong))
}

/// Where a page load without a session is sent.
fn check_page(application: &Application, at: &Url, reply: &Reply) -> Result<Url, Wrong> {
    let location = match (&reply.location, reply.status) {
        (Some(location), status) if status.is_redirection() => location,
        (_, StatusCode::UNAUTHORIZED) => {
            return Err(Wrong(
                "a page load gets 401 and no redirect: the proxy lacks the redirect to `start` \
                 (nginx: `error_page 401`)"
                    .to_owned(),
            ));
        }
        (_, status) => {
            return Err(Wrong(format!(
                "a page load gets {status} and no redirect to `start`"
            )));
        }
    };
    let next = at
        .join(location)
        .map_err(|_| Wrong(format!("a page load is redirected to `{location}`")))?;
    let at_start = [application.prefix.as_str(), AUTHENTIK_PREFIX]
        .iter()
        .any(|prefix| next.path() == format!("{prefix}/start"));
    // A proxy that asks about every path may be sent to the provider at once.
    if !at_start {
        return Err(Wrong(format!(
            "a page load is redirected to {} and not to `{}/start`: another redirect comes first, \
             or the plugin's `outpostPrefix` is another",
            without_query(&next),
            application.prefix
        )));
    }
    if next.scheme() != application.external.url().scheme() {
        return Err(Wrong(format!(
            "the redirect to `start` is {}: the proxy does not say that browsers use {} \
             (X-Forwarded-Proto)",
            next.scheme(),
            application.external.url().scheme()
        )));
    }
    Ok(next)
}

/// Where a sign-in goes on.
#[derive(Debug, PartialEq, Eq)]
enum Begun {
    /// On another host of the application.
    Elsewhere(Url),
    /// At a provider.
    AtProvider(Url),
    /// On the page that asks at which provider.
    Choice,
}

/// Where `start` leads, which is to `provider` if it leads to any.
fn check_start(
    application: &Application,
    provider: &Provider,
    at: &Url,
    reply: &Reply,
) -> Result<Begun, Wrong> {
    check_route(application, reply)?;
    let has_choice = application.providers.only().is_none();
    // Asked in place, a page is answered with 401.
    let is_page = matches!(reply.status, StatusCode::OK | StatusCode::UNAUTHORIZED);
    if has_choice && is_page && reply.location.is_none() && reply.title().is_some() {
        return Ok(Begun::Choice);
    }
    let Some(next) = reply
        .location
        .as_ref()
        .filter(|_| reply.status == StatusCode::FOUND)
        .and_then(|location| at.join(location).ok())
    else {
        let title = reply.title().unwrap_or_default();
        return Err(Wrong(format!(
            "`start` answers {} {title:?} and no redirect; the outpost's log says why",
            reply.status
        )));
    };
    if next.path() == at.path() {
        return Ok(Begun::Elsewhere(next));
    }
    let parameter = |name: &str| {
        let mut pairs = next.query_pairs();
        pairs
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into_owned())
    };
    let settings = provider.settings();
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
        if sent.as_ref() != Some(&configured) {
            return Err(Wrong(format!(
                "the outpost that answers sends {name} `{}`, by this configuration it is \
                 `{configured}`: it runs with another",
                sent.unwrap_or_default()
            )));
        }
    }
    let flow = |cookie: &&String| cookie.contains("gatepost-flow");
    let Some(cookie) = reply.cookies.iter().find(flow) else {
        return Err(Wrong(
            "the sign-in's cookie does not reach the browser: the proxy drops `Set-Cookie` of \
             `start`"
                .to_owned(),
        ));
    };
    let secure = cookie
        .split(';')
        .any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"));
    if secure && at.scheme() != "https" {
        return Err(Wrong(
            "the sign-in's cookie is for https, and this is http: browsers drop it".to_owned(),
        ));
    }
    Ok(Begun::AtProvider(next))
}

async fn at_provider(
    walker: &Walker,
    application: &Application,
    provider: &Provider,
    url: &Url,
) -> Result<(), Wrong> {
    let reply = walker.get(url.as_str(), As::Page).await?;
    check_clock("the provider", &reply)?;
    if reply.status.is_client_error() || reply.status.is_server_error() {
        let settings = provider.settings();
        return Err(Wrong(format!(
            "the provider answers {} to the request to sign in: is the client `{}` registered \
             there, with the redirect URI {}?",
            reply.status,
            settings.client_id.as_str(),
            application.redirect_uri(provider)
        )));
    }
    Ok(())
}
