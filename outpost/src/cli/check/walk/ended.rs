//! Whether a plugin knows what the outpost's keys sign, and whom it admits, found out with a
//! session that is over.
//!
//! It opens nothing, so nothing happens at the application; it is nobody's, and only of such a one
//! does the plugin say whether it is authentic, and what it requires.

use gatepost_policy::Require;
use gatepost_session::{Claims, NumericDate, SessionId};

use super::{Reply, Wrong};
use crate::application::Application;
use gatepost_base::Clock;

/// How long ago the session that a plugin is shown ended: a proxy's clock is not that slow, so it
/// opens nothing anywhere.
pub(super) const LONG_AGO_SECONDS: u64 = 365 * 24 * 3_600;

/// A cookie line with a session that ended long ago, signed as the outpost's are.
pub(super) fn cookie(application: &Application) -> Result<String, Wrong> {
    let ended = Clock::system().now().as_seconds();
    let ended = NumericDate::from_seconds(ended.saturating_sub(LONG_AGO_SECONDS));
    let claims = Claims {
        iss: application.providers.first().settings().issuer.to_string(),
        sub: "gatepost-check".to_owned(),
        aud: application.audience.to_string(),
        sid: SessionId::probe(),
        iat: ended,
        exp: ended,
        rnw: ended,
        nbf: None,
        preferred_username: None,
        name: None,
        email: None,
        email_verified: None,
        groups: Vec::new(),
        grp_more: false,
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        ext: Default::default(),
    };
    let token = application.signer.sign(&claims);
    let token = token.map_err(|error| Wrong(format!("cannot sign a session: {error}")))?;
    Ok(format!("{}={token}", application.cookie.name))
}

/// Whether a plugin that was shown [`cookie`] saw that it is one.
pub(super) fn check(application: &Application, reply: &Reply) -> Result<(), Wrong> {
    if is_plugins(reply) {
        return Ok(());
    }
    Err(Wrong(format!(
        "the plugin does not take what these keys sign for `{}` in the cookie `{}`: its keys \
         file, `application`, `cookieName` or `issuer` is another, so signing in would lead in a \
         circle; with `log.level: INFO`, Traefik's log says which",
        application.audience, application.cookie.name
    )))
}

/// Whether a plugin answered [`cookie`], and knows it.
pub(super) fn is_plugins(reply: &Reply) -> bool {
    reply.field("probe").as_deref() == Some("known")
}

/// What there is to say of the rule that a plugin answered [`cookie`] with, which may admit nobody
/// whom the application's refuses: on most requests it decides alone.
pub(super) fn compare_rules(application: &Application, reply: &Reply) -> Result<String, Wrong> {
    let Some(said) = reply.field("require") else {
        return Ok("the plugin does not say its `require`: it is older than this".to_owned());
    };
    let plugins = match said.as_str() {
        "" => Ok(Require::default()),
        text => Require::from_text(text),
    };
    let own = &application.policy.require;
    let shown = |rule: &Require| match rule.to_text() {
        Some(text) => format!("asks for `{text}`"),
        None => "admits everyone who is signed in".to_owned(),
    };
    match plugins {
        Ok(plugins) if plugins.is_within(own) => {
            Ok(format!("the plugin's `require` {}", shown(&plugins)))
        }
        Ok(plugins) => Err(Wrong(format!(
            "the plugin's `require` {}, and the outpost's for `{}` {}. The plugin decides on every \
             request of a session in force: write the outpost's rule there too",
            shown(&plugins),
            application.audience,
            shown(own)
        ))),
        Err(_) => Err(Wrong(
            "the plugin's `require` has an entry that is unknown here: use one version of both"
                .to_owned(),
        )),
    }
}
