//! Checks whether each response on the path is the right one, and says what is wrong if it is not.

use std::time::SystemTime;

use gatepost_session::CLOCK_SKEW_SECONDS;
use http::StatusCode;
use url::Url;

use super::browser::{Reply, without_query};
use super::problem::CheckProblem;
use crate::application::Application;
use crate::compat::AUTHENTIK_PREFIX;
use crate::dialect::Askers;
use crate::origin::Mode;

/// Checks that the clock of the server that answered agrees with this machine's.
pub(super) fn check_clock(whose: &str, reply: &Reply) -> Result<(), CheckProblem> {
    let Some(date) = reply.date else {
        return Ok(());
    };
    let now = SystemTime::now();
    let apart = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now))
        .unwrap_or_default();
    if apart.as_secs() > CLOCK_SKEW_SECONDS {
        return Err(CheckProblem(format!(
            "the clock of {whose} is {} s from the one here: sessions and tokens would count as \
             expired or not yet valid; keep both by NTP",
            apart.as_secs()
        )));
    }
    Ok(())
}

/// Checks that `ping` of the outpost is answered by the outpost.
pub(super) fn check_ping(
    application: &Application,
    askers: &Askers,
    reply: &Reply,
) -> Result<(), CheckProblem> {
    check_route(application, reply)?;
    let prefix = application.prefix();
    let problem = match reply.status {
        StatusCode::NO_CONTENT => return Ok(()),
        status if status.is_redirection() => format!(
            "{prefix}/ping is redirected to {}: `externalUrl` must be the URL after that redirect",
            reply.location.as_deref().unwrap_or("nowhere")
        ),
        // Asked in place, a proxy's question about this path has no answer but a page load's.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if reply.error().is_some() => {
            return check_script(application, askers, reply);
        }
        // nginx gives its own page for the 403 of a subrequest.
        StatusCode::FORBIDDEN => format!(
            "403: the proxy asks the outpost about {prefix}/ping as about a page of the application, \
             and the outpost refuses that: the proxy needs a route for `{prefix}/` to the outpost on \
             which it does not ask (nginx: `location {prefix}/` with `auth_request off`)"
        ),
        StatusCode::INTERNAL_SERVER_ERROR => cannot_ask(askers),
        StatusCode::NOT_FOUND if reply.error() == Some("not_found".to_owned()) => return Ok(()),
        StatusCode::NOT_FOUND => format!(
            "nothing answers at {prefix}: the proxy has no route for this host, or its route for \
             `{prefix}` does not lead to the outpost, or it has dropped the route for a mistake in it, \
             such as a middleware that does not exist: its log says so"
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
            "the application answers at {prefix}, and not the outpost: the middleware is missing at \
             the application's route, or the outpost's route has to have the higher priority"
        ),
        status => format!("{prefix}/ping answers {status}, which the outpost never does"),
    };
    Err(CheckProblem(problem))
}

/// Checks that a request for the outpost reached it, and not the plugin on the application's route.
pub(super) fn check_route(application: &Application, reply: &Reply) -> Result<(), CheckProblem> {
    if reply.status == StatusCode::SERVICE_UNAVAILABLE
        && reply.body.contains("have to be routed to the outpost")
    {
        let host = match application.mode() {
            Mode::Single => "this host",
            Mode::Domain(_) => "the host of `externalUrl` (and give the plugin `mode: domain`)",
        };
        return Err(CheckProblem(format!(
            "the application's route gets {prefix}, and the plugin on it answers: no outpost runs \
             (a proxy drops the route to a service without servers), or the proxy lacks a route for \
             `{prefix}` at {host} that leads to the outpost and has no plugin",
            prefix = application.prefix()
        )));
    }
    Ok(())
}

/// Returns what is wrong where a proxy fails because of its question to the outpost.
fn cannot_ask(askers: &Askers) -> String {
    let excluded = askers.words().map(|words| {
        format!(". The outpost answers only the proxies that `askedBy` names ({words})")
    });
    format!(
        "500: the proxy takes the outpost's answer for a failure, and the outpost's log says why it gave \
         that one; or, if the outpost was not asked, the proxy cannot reach it at the address that it has \
         for it (compare that with `listen.http`), and the proxy's log says so{}",
        excluded.unwrap_or_default()
    )
}

/// Checks the answer to a script without a session.
pub(super) fn check_script(
    application: &Application,
    askers: &Askers,
    reply: &Reply,
) -> Result<(), CheckProblem> {
    let problem = match (reply.status, reply.error().as_deref()) {
        (StatusCode::UNAUTHORIZED, Some("unauthenticated")) | (StatusCode::FOUND, _) => {
            return Ok(());
        }
        (_, Some("proxy_misconfigured")) => {
            "the outpost does not trust the proxy: `trustedProxies` lacks the address that the \
             proxy connects from, or the proxy does not say which request it asks about (nginx, by \
             `X-Original-URL`), and each sign-in would end in a circle; the outpost's log names it"
                .to_owned()
        }
        (_, Some("unknown_host")) => {
            "the outpost has no application at the host that the proxy passes on: another \
             configuration runs, or the proxy changes `Host`"
                .to_owned()
        }
        (_, Some("not_found")) => {
            let excluded = askers
                .words()
                .map(|words| format!(", or `askedBy`, which names {words}, leaves the proxy out"));
            format!(
                "the outpost itself answers: no proxy in front of it asks for a session and then lets \
                 through to the application; or the proxy asks at an address that the outpost does \
                 not have, where Traefik's is {prefix}/auth/traefik and nginx's {prefix}/auth/nginx; or it \
                 sends users to one, as nginx does by a line for oauth2-proxy (`error_page 401 =403 \
                 /oauth2/sign_in`). The outpost's log names the path{}",
                excluded.unwrap_or_default(),
                prefix = application.prefix()
            )
        }
        // nginx gives its own page for the 401 of a subrequest.
        (StatusCode::UNAUTHORIZED, _) => return Ok(()),
        (StatusCode::INTERNAL_SERVER_ERROR, _) => cannot_ask(askers),
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
            "{status} {}: not an answer to a client without a session",
            error.unwrap_or_default()
        ),
    };
    Err(CheckProblem(problem))
}

/// Returns where a page load without a session is sent, which must be `start`.
pub(super) fn check_page(
    application: &Application,
    at: &Url,
    reply: &Reply,
) -> Result<Url, CheckProblem> {
    let location = match (&reply.location, reply.status) {
        (Some(location), status) if status.is_redirection() => location,
        (_, StatusCode::UNAUTHORIZED) => {
            return Err(CheckProblem(
                "a page load gets 401 and no redirect: the proxy lacks the redirect to `start` \
                 (nginx: `error_page 401`)"
                    .to_owned(),
            ));
        }
        (_, status) => {
            return Err(CheckProblem(format!(
                "a page load gets {status} and no redirect to `start`"
            )));
        }
    };
    let next = at
        .join(location)
        .map_err(|_| CheckProblem(format!("a page load is redirected to `{location}`")))?;
    let at_start = [application.prefix().as_str(), AUTHENTIK_PREFIX]
        .iter()
        .any(|prefix| next.path() == format!("{prefix}/start"));
    // A proxy that asks about every path may be sent to the provider without `start`.
    let is_own_host = at.host_str() == Some(application.external().host());
    if !at_start && is_own_host && matches!(application.mode(), Mode::Domain(_)) {
        return Err(CheckProblem(format!(
            "{} is the outpost's own host: name a page of an application",
            application.external().host()
        )));
    }
    if !at_start {
        return Err(CheckProblem(format!(
            "a page load is redirected to {} and not to `{}/start`: another redirect comes first, \
             or the plugin's `outpostPrefix` is another",
            without_query(&next),
            application.prefix()
        )));
    }
    if next.scheme() != application.external().url().scheme() {
        return Err(CheckProblem(format!(
            "the redirect to `start` is {}: the proxy does not say that browsers use {} \
             (X-Forwarded-Proto), or it makes the redirect itself, and the scheme is written out there \
             (nginx: `return 302`)",
            next.scheme(),
            application.external().url().scheme()
        )));
    }
    Ok(next)
}
