//! The session that a request's cookies carry, and the cookies that the application gets.

use std::rc::Rc;

use gatepost_policy::Unauthenticated;
use gatepost_session::cookie::{self, Candidates, CookieName, Hide, Rest};
use gatepost_session::{Current, NumericDate};

use crate::config::{Config, PlainHttp};
use crate::forwarded_cookies::Cookies;
use crate::host::{Host, Texts, first_line, scheme};
use crate::session_cache::{CacheHit, SessionCache, SummedLines, VerifiedSession};

/// The session and the cookies of a request.
pub(super) struct Presented {
    /// The session, or why the request has no session. A session that is not in force counts only
    /// without another one.
    pub(super) session: Result<Rc<VerifiedSession>, Unauthenticated>,
    /// Why the session is not in force.
    refusal: Option<Unauthenticated>,
    /// The cookies for the application.
    pub(super) cookies: Cookies,
}

impl Presented {
    /// Returns what a request without cookies has.
    pub(super) fn nothing() -> Self {
        Self {
            session: Err(Unauthenticated::NoCookie),
            refusal: None,
            cookies: Cookies::AsSent,
        }
    }

    /// Returns the session in force at `now`, or why the request has no session.
    pub(super) fn current(
        &self,
        now: NumericDate,
        skew_seconds: u64,
    ) -> Result<Current<'_>, Unauthenticated> {
        match (&self.session, self.refusal) {
            (Err(reason), _) => Err(*reason),
            (Ok(_), Some(reason)) => Err(reason),
            (Ok(session), None) => {
                let current = session.authentic.current(now, skew_seconds);
                current.map_err(Unauthenticated::Window)
            }
        }
    }
}

/// Looks for the session among the cookies; `refusal` says why a session is not in force.
///
/// Most requests have the very line that an earlier one had, and then there is nothing to look for.
pub(super) fn present(
    config: &Config,
    sessions: &mut SessionCache,
    host: &impl Host,
    mut refusal: impl FnMut(&VerifiedSession) -> Option<Unauthenticated>,
) -> Presented {
    let recalled = host.with_header_lines("cookie", |lines| match sessions.recall(lines) {
        Ok(hit) => Ok(hit),
        Err(sum) => Err(SummedLines::new(lines, sum)),
    });
    let lines = match recalled {
        Ok(CacheHit { session, cookies }) if refusal(&session).is_none() => {
            return Presented {
                session: Ok(session),
                refusal: None,
                cookies,
            };
        }
        // Another session of the line may be in force.
        Ok(_) => host.with_header_lines("cookie", SummedLines::of),
        Err(lines) => lines,
    };
    search(config, sessions, host, lines, &mut refusal)
}

/// Looks for the session in lines that are not in the cache.
fn search(
    config: &Config,
    sessions: &mut SessionCache,
    host: &impl Host,
    lines: SummedLines,
    refusal: &mut dyn FnMut(&VerifiedSession) -> Option<Unauthenticated>,
) -> Presented {
    let (candidates, rest, name) = separate(config, host, lines.texts());
    let (session, refusal) = authenticate(sessions, &candidates, refusal);
    let cookies = Cookies::from(rest);
    // The plain name counts on some requests and not on others, whatever the line.
    if let Ok(session) = &session
        && *name == config.cookie_name
    {
        sessions.remember(session, lines, &cookies);
    }
    Presented {
        session,
        refusal,
        cookies,
    }
}

/// Returns the values that may be the session, the other cookies, and the session cookie's name.
///
/// Over plain http a browser refuses the `__Host-` and `__Secure-` names, so the outpost uses a
/// plain one there. It is read only on requests that came that way, to a site that is reached that
/// way: over TLS a neighbouring site could have set it.
fn separate<'l, 'c>(
    config: &'c Config,
    host: &impl Host,
    lines: Texts<'l>,
) -> (Candidates<'l>, Rest, &'c CookieName) {
    let separate = |name| {
        let hide = if config.forward_cookie {
            Hide::AllBut(name)
        } else {
            Hide::All(name)
        };
        cookie::separate(lines.iter(), hide)
    };
    let (found, rest) = separate(&config.cookie_name);
    let may_be_plain = !found.any() && config.plain_http != PlainHttp::Nowhere;
    if let Some(plain) = config.plain_cookie_name.as_ref().filter(|_| may_be_plain) {
        let (plainly_found, rest) = separate(plain);
        if plainly_found.any() && is_plain(config.plain_http, host) {
            return (plainly_found, rest, plain);
        }
    }
    (found, rest, &config.cookie_name)
}

/// Returns whether a browser sent the request over plain http.
fn is_plain(plain_http: PlainHttp, host: &impl Host) -> bool {
    let may_be = match plain_http {
        PlainHttp::Everywhere => true,
        PlainHttp::OnLocalhost => first_line(host, "host").is_some_and(|name| is_local(&name)),
        PlainHttp::Nowhere => false,
    };
    may_be && scheme(host) == "http"
}

/// Returns whether a `Host` names the browser's own machine (RFC 6761 §6.3).
fn is_local(authority: &[u8]) -> bool {
    if authority.starts_with(b"[") {
        return authority.starts_with(b"[::1]");
    }
    let name = authority.split(|byte| *byte == b':').next();
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let is_address = name.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    name == b"localhost"
        || name.ends_with(b".localhost")
        || (is_address && name.starts_with(b"127."))
}

/// Returns the first session that is in force; else the first that is authentic, and why it is not
/// in force; else why none is authentic.
fn authenticate(
    sessions: &mut SessionCache,
    candidates: &Candidates<'_>,
    refusal: &mut dyn FnMut(&VerifiedSession) -> Option<Unauthenticated>,
) -> (
    Result<Rc<VerifiedSession>, Unauthenticated>,
    Option<Unauthenticated>,
) {
    let mut best = (Err(Unauthenticated::NoCookie), None);
    for value in candidates.values() {
        match sessions.authenticate(&value) {
            Ok(session) => match refusal(&session) {
                None => return (Ok(session), None),
                Some(reason) if best.0.is_err() => best = (Ok(session), Some(reason)),
                Some(_) => {}
            },
            Err(error) if best.0.is_err() => best.0 = Err(Unauthenticated::Invalid(error)),
            Err(_) => {}
        }
    }
    best
}
