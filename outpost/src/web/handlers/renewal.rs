//! `session?renew`: a browser renews its session beside a page, which it does not leave.
//!
//! The plugin has browsers ask here past `rnw`, by a `Link` at the page. What cannot be renewed so is
//! renewed by a page load in the last quarter of the window, at `start`.

use std::sync::Arc;

use url::Url;

use crate::application::{Application, ReturnTo};
use crate::origin::Mode;
use crate::sessions::{Renewal, SessionLookup};
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;

/// Renews the session where that is due. Whatever comes of it, there is nothing to see: the page goes
/// on in its window.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let Some(page) = Page::of(application, request) else {
        return Failure::CrossSite.into();
    };
    let candidates = request.session_candidates(&application.cookie().name);
    let (sessions, times) = (context.sessions(), context.times());
    let lookup = sessions.look_up(times, application, &candidates, || Renewal::Beside);
    let lookup = lookup.await;
    // The application's rule does not admit the user any more, so the session has ended.
    if let SessionLookup::Refreshed {
        session, record, ..
    } = &lookup
        && record.is_none()
    {
        return Outcome::refused_by_rule(application, session.claims_at_issue());
    }
    let (_, cookies, cause) = lookup.into_parts();
    if let Some(cause) = cause {
        tracing::warn!(%cause, "a renewal beside a page is left to the next page load");
    }
    let outcome = match page {
        Page::OfThisOrigin => Outcome::Renewed { to: None },
        Page::At(origin) => Outcome::Renewed { to: Some(origin) },
    };
    outcome.with_cookies(cookies)
}

/// The page beside which a session is renewed.
enum Page {
    OfThisOrigin,
    /// It is at this origin, which has the same session.
    At(String),
}

impl Page {
    /// Returns the page that a request comes from. `None` where it is not known to be one of the
    /// application: another site could have visitors ask here, and a browser that does not say where
    /// a request comes from is redirected as before.
    fn of(application: &Application, request: &ForwardedRequest<'_>) -> Option<Self> {
        match request.header_text("sec-fetch-site")? {
            "same-origin" => Some(Self::OfThisOrigin),
            "same-site" if matches!(application.mode(), Mode::Domain(_)) => {
                let origin = request.header_text("origin")?;
                let url = Url::parse(origin).ok()?;
                // A browser writes it so, and nothing else is shown back.
                let is_origin = url.origin().ascii_serialization() == origin;
                let page = ReturnTo::parse(url.as_str(), application)?;
                if !is_origin || page.as_str() != url.as_str() {
                    return None;
                }
                Some(Self::At(origin.to_owned()))
            }
            _ => None,
        }
    }
}
