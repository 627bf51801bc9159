//! Whether a plugin knows what the outpost's keys sign, found out with a session that is over.
//!
//! It opens nothing, so nothing happens at the application; it is nobody's, and only of such a one
//! does the plugin say whether it is authentic.

use gatepost_session::{Claims, NumericDate, SessionId};

use super::{Reply, Wrong};
use crate::application::Application;
use crate::outpost::Clock;

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
        sid: SessionId::of_nobody(),
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
    if reply.field("probe").as_deref() == Some("known") {
        return Ok(());
    }
    Err(Wrong(format!(
        "the plugin does not take what these keys sign for `{}` in the cookie `{}`: its keys \
         file, `application`, `cookieName` or `issuer` is another, so signing in would lead in a \
         circle; with `log.level: INFO`, Traefik's log says which",
        application.audience, application.cookie.name
    )))
}
