//! Finds out with an expired session whether a plugin has the outpost's keys, and which users it
//! admits.
//!
//! The session opens nothing, so nothing happens at the application. It has no user, and only for
//! such a session does the plugin say whether it is authentic, and which rule applies.

use gatepost_policy::Require;
use gatepost_session::{NumericDate, SessionId};

use super::browser::Reply;
use super::problem::CheckProblem;
use crate::application::Application;
use crate::runtime::Snapshot;
use gatepost_base::{Clock, Identity};

/// How long ago the session that a plugin is sent expired: no proxy's clock is that slow, so it opens
/// nothing anywhere.
pub(super) const LONG_AGO_SECONDS: u64 = 365 * 24 * 3_600;

/// Returns a cookie line with a session that expired long ago, signed as the outpost's are.
pub(super) fn cookie(application: &Application) -> Result<String, CheckProblem> {
    let ended = Clock::system().now().as_seconds();
    let ended = NumericDate::from_seconds(ended.saturating_sub(LONG_AGO_SECONDS));
    let user = Identity {
        issuer: application
            .providers()
            .first()
            .settings()
            .issuer
            .to_string(),
        subject: "gatepost-check".to_owned(),
        ..Identity::default()
    };
    let audience = application.audience().to_string();
    let claims = user.into_claims(audience, SessionId::probe(), ended, ended, ended);
    let token = application.signer().sign(&claims);
    let token = token.map_err(|error| CheckProblem(format!("cannot sign a session: {error}")))?;
    Ok(format!("{}={token}", application.cookie().name))
}

/// Checks that a plugin that was sent [`cookie`] found it authentic.
pub(super) fn check(application: &Application, reply: &Reply) -> Result<(), CheckProblem> {
    if is_plugins(reply) {
        return Ok(());
    }
    let plain_http = if application.external().is_https() {
        ""
    } else {
        ", or `plainHttp: true` is missing"
    };
    Err(CheckProblem(format!(
        "the plugin does not accept what these keys sign for `{}` in the cookie `{}`: its keys \
         file, `application`, `cookieName` or `issuer` is another{plain_http}, so signing in would lead in a \
         circle; with `--log.level=INFO`, Traefik's log says which",
        application.audience(),
        application.cookie().name
    )))
}

/// Returns whether a plugin answered [`cookie`] and found it authentic.
pub(super) fn is_plugins(reply: &Reply) -> bool {
    reply.field("probe").as_deref() == Some("known")
}

/// Compares the rule that a plugin answered [`cookie`] with and the application's: the plugin decides
/// alone on most requests, so it must not admit a user whom the application's rule refuses.
pub(super) fn compare_rules(
    application: &Application,
    reply: &Reply,
) -> Result<String, CheckProblem> {
    let Some(said) = reply.field("require") else {
        return Ok("the plugin does not say its `require`: it is an older version".to_owned());
    };
    let plugins = match said.as_str() {
        "" => Ok(Require::default()),
        text => Require::from_text(text),
    };
    let own = &application.policy().require;
    let shown = |rule: &Require| match rule.to_text() {
        Some(text) => format!("asks for `{text}`"),
        None => "admits every user who is signed in".to_owned(),
    };
    // Where the rule comes from the outpost's folder, the router's own must hold as well.
    let in_folder = is_in_folder(reply);
    let narrowed_to = reply.field("narrowedTo").unwrap_or_default();
    match plugins {
        Ok(plugins) if in_folder && plugins == *own => Ok(format!(
            "the plugin reads the folder of `stateDir`, whose `require` is this configuration's: it \
             {}{}. The check compares the rest of the folder where it runs on the outpost's machine",
            shown(&plugins),
            match Require::from_text(&narrowed_to) {
                Ok(narrower) => format!("; this router narrows it: it also {}", shown(&narrower)),
                Err(_) if narrowed_to.is_empty() => String::new(),
                Err(_) => return Err(other_version("by which this router narrows the outpost's")),
            }
        )),
        Ok(plugins) if in_folder => Err(CheckProblem(format!(
            "the plugin's folder says for `{}` that `require` {}, and this configuration {}: \
             another outpost has written it, or the outpost has not read this configuration yet",
            application.audience(),
            shown(&plugins),
            shown(own)
        ))),
        Ok(plugins) if plugins.is_within(own) => {
            Ok(format!("the plugin's `require` {}", shown(&plugins)))
        }
        Ok(plugins) => Err(CheckProblem(format!(
            "the plugin's `require` {}, and the outpost's for `{}` {}. The plugin decides on every \
             request of a session in force: write the outpost's rule there too",
            shown(&plugins),
            application.audience(),
            shown(own)
        ))),
        Err(_) => Err(other_version("of the plugin")),
    }
}

/// Compares the list of rules and the public paths that a plugin answered [`cookie`] with and the
/// application's. By a list that the plugin lacks, or a path that only the plugin opens, requests pass
/// that the outpost refuses.
pub(super) fn compare_lists(application: &Application, reply: &Reply) -> Result<(), CheckProblem> {
    let policy = application.policy();
    let name = application.audience();
    let in_folder = is_in_folder(reply);
    let mend = if in_folder {
        "another outpost has written it, or the outpost has not read this configuration yet"
    } else {
        "write the outpost's into the middleware too, or use `stateDir`"
    };
    let whose = if in_folder {
        "the plugin's folder has"
    } else {
        "the plugin has"
    };
    let own = policy.fingerprints_of_rules();
    let own = entries(&own);
    let Some(rules) = reply.field("rules") else {
        if own.is_empty() {
            return Ok(());
        }
        return Err(CheckProblem(format!(
            "the plugin does not say its `rules`, and the outpost has some for `{name}`: it is an \
             older version. Replace it"
        )));
    };
    let rules = entries(&rules);
    let first_other = (0..own.len().max(rules.len())).find(|at| own.get(*at) != rules.get(*at));
    if let Some(at) = first_other {
        let which = match (at < own.len(), at < rules.len()) {
            (true, true) => format!("another rule {}", policy.rules.label(at)),
            (true, false) => format!("no rule {}", policy.rules.label(at)),
            _ => format!("a rule {}, which the outpost does not have", at + 1),
        };
        return Err(CheckProblem(format!(
            "`rules` of `{name}`: {whose} {which} ({} rules, and the outpost {}): {mend}",
            rules.len(),
            own.len()
        )));
    }
    // In the folder a router may have narrowed its paths, which the plugin itself compares. And
    // authentik's expressions open paths that no pattern says.
    let comparable = !in_folder && application.capabilities().skip_paths.is_empty();
    let own = policy.fingerprints_of_paths();
    let own = entries(&own);
    let paths = reply.field("public").unwrap_or_default();
    let opened = entries(&paths);
    if comparable && opened.iter().any(|path| !own.contains(path)) {
        return Err(CheckProblem(format!(
            "`public` or `allowPreflight` of `{name}`: the plugin opens what is not open by the \
             outpost's configuration: compare both, and write the same there or use `stateDir`"
        )));
    }
    Ok(())
}

/// Compares where a plugin that answered [`cookie`] reads the list of revoked sessions with where an outpost of
/// this configuration writes it. Returns what the operator may not want.
pub(super) fn compare_revoked(
    snapshot: &Snapshot,
    reply: &Reply,
) -> Result<Option<&'static str>, CheckProblem> {
    let then = match is_in_folder(reply) {
        true => {
            "it leaves every session to the outpost: compare the folder's owner and mode with Traefik's user"
        }
        false => {
            "ended sessions go on to the end of their windows: mount the folder for plugins \
             (`settings.mounts`), have Traefik's user read it, and restart Traefik"
        }
    };
    Ok(match reply.field("revokedFile").as_deref() {
        Some("unread") => {
            return Err(CheckProblem(format!(
                "the plugin cannot read the list of revoked sessions (`revokedFile`), so {then}"
            )));
        }
        Some("") if snapshot.revoked_file.is_some() && !is_in_folder(reply) => Some(
            "the plugin has no `revokedFile`, and the outpost writes one: behind this plugin, ended \
             sessions go on to the end of their windows",
        ),
        Some(_) => None,
        None if snapshot.revoked_file.is_some() && !is_in_folder(reply) => {
            Some("the plugin does not say whether it reads `revokedFile`: it is an older version")
        }
        None => None,
    })
}

/// Returns the fingerprints of a field.
fn entries(field: &str) -> Vec<&str> {
    field.split(',').filter(|entry| !entry.is_empty()).collect()
}

/// Returns whether the plugin reads the outpost's folder.
fn is_in_folder(reply: &Reply) -> bool {
    reply.field("settings").as_deref() == Some("stateDir")
}

/// Compares the headers for tokens that a plugin answered [`cookie`] with and the application's: a plugin
/// that does not know of one lets signed-in users pass with what they write there.
pub(super) fn compare_token_headers(
    application: &Application,
    reply: &Reply,
) -> Result<(), CheckProblem> {
    let tokens = application.capabilities().token_headers.as_ref();
    let own = tokens.map_or_else(String::new, |tokens| tokens.names_for_plugin());
    let plugins = reply.field("upstreamTokens").unwrap_or_default();
    if plugins == own {
        return Ok(());
    }
    let shown = |names: &str| match names {
        "" => "none".to_owned(),
        names => format!("`{names}`"),
    };
    Err(CheckProblem(format!(
        "the headers of `upstreamTokens` are {} at the plugin, or it is an older version, and {} at the \
         outpost for `{}`: write the outpost's there too, or signed-in users could write these headers \
         themselves",
        shown(&plugins),
        shown(&own),
        application.audience()
    )))
}

/// Returns the problem with a rule of another version.
fn other_version(whose: &str) -> CheckProblem {
    CheckProblem(format!(
        "the `require` {whose} has an entry that is unknown here: use one version of both"
    ))
}
