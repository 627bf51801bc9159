//! What runs for each request.

use std::rc::Rc;

use gatepost_policy::{
    Decision, Deferral, Denial, OUTPOST_VERDICT, Permit, Presentation, RULE_HEADER, Request as _,
    Unauthenticated, VERDICT_HEADER, asks_for_websocket,
};
use gatepost_session::cookie::{self, Candidates, CookieName, Hide};
use gatepost_session::{NumericDate, Verifier};

use crate::answer;
use crate::config::{Config, Fallback};
use crate::host::{Host, Level, View};
use crate::keys::{KeySource, Keys};
use crate::revoked::Revoked;
use crate::verified::{Entry, Recalled, Rendered, Verified};

/// What the proxy does with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Hands it on, with the headers as they are now.
    Next,
    /// Nothing: it has been answered.
    Answered,
}

/// One application's gate: settings, keys and the cookies verified so far.
///
/// Settings that cannot be served make a gate all the same, one that answers every request with
/// 503: a guest that failed to start would take every other router's guests with it.
#[derive(Debug)]
pub struct Gate {
    state: Result<Open, Closed>,
}

/// There are no settings to serve; the log has said why.
#[derive(Debug)]
struct Closed;

#[derive(Debug)]
struct Open {
    config: Config,
    keys: Keys,
    revoked: Revoked,
    /// Absent until the keys have been read.
    verified: Option<Verified>,
    /// What says "allowed" to the routers behind the plugin: several while keys are rotated, so that
    /// a router may still know the old one.
    verdicts: Vec<String>,
}

impl Gate {
    /// A gate for the settings that the proxy handed over as JSON. What is wrong with them, or
    /// with the keys they name, is logged in one line.
    pub fn new(json: &[u8], host: &impl Host) -> Self {
        let state = match Config::read(json) {
            Ok(mut config) => {
                // The source moves to whoever follows it; what stays behind is never read.
                let source = std::mem::replace(&mut config.keys, KeySource::Env(String::new()));
                let named = std::mem::take(&mut config.revoked);
                let revoked = Revoked::new(named, config.revoked_file.take());
                let mut open = Open {
                    config,
                    keys: Keys::new(source),
                    revoked,
                    verified: None,
                    verdicts: Vec::new(),
                };
                open.refresh_keys(host, host.now());
                Ok(open)
            }
            Err(error) => {
                host.log(
                    Level::Error,
                    &format!("{error}; every request is answered 503 until this is mended"),
                );
                Err(Closed)
            }
        };
        Self { state }
    }

    /// Decides on a request: prepares it for the application, or answers it.
    pub fn handle(&mut self, host: &impl Host) -> Outcome {
        match &mut self.state {
            Ok(open) => open.handle(host),
            Err(Closed) => {
                host.respond(answer::unavailable());
                Outcome::Answered
            }
        }
    }
}

impl Open {
    fn handle(&mut self, host: &impl Host) -> Outcome {
        let now = host.now();
        self.refresh_keys(host, now);
        let Self {
            config,
            revoked,
            verified: Some(verified),
            verdicts,
            ..
        } = self
        else {
            host.respond(answer::unavailable());
            return Outcome::Answered;
        };

        let has_cookies = clean_headers(config, host);
        let lines = if has_cookies {
            host.header_values("cookie")
        } else {
            Vec::new()
        };
        let mut refusal = |entry: &Entry| match entry.authentic.current(now, config.clock_skew) {
            Err(reason) => Some(Unauthenticated::Window(reason)),
            Ok(_) => revoked
                .contains(host, entry, now)
                .then_some(Unauthenticated::Revoked),
        };
        let Presented {
            found,
            over,
            cookies,
        } = present(config, verified, host, &lines, &mut refusal);
        let session = match (&found, over) {
            (Err(reason), _) => Err(*reason),
            (Ok(_), Some(reason)) => Err(reason),
            (Ok(entry), None) => {
                let current = entry.authentic.current(now, config.clock_skew);
                current.map_err(Unauthenticated::Window)
            }
        };

        let decision = config.policy.decide(&View(host), session);
        if let (Decision::SignIn(_), Ok(entry)) = (&decision, &found)
            && entry.authentic.session_id().is_of_nobody()
        {
            // `gatepost check` has signed it, to see whether we have the outpost's keys and rule.
            let rule = config.rule_text.as_deref().unwrap_or_default();
            let start = format!("{}/start", config.sign_in.base());
            let answer = answer::unauthenticated(&config.application, &start, Some(rule));
            host.respond(answer);
            return Outcome::Answered;
        }
        let tunnel = matches!(decision, Decision::MethodNotAllowed);
        if config.fallback == Fallback::Route && !tunnel {
            match &decision {
                // Somebody signed in who goes to the outpost needs the session's cookie there.
                Decision::Allow(_) if is_for_the_outpost(config, host) => {
                    host.set_header(VERDICT_HEADER, OUTPOST_VERDICT.as_bytes());
                }
                Decision::Allow(permit) => {
                    for word in verdicts {
                        host.add_header(VERDICT_HEADER, word.as_bytes());
                    }
                    set_identity(config, host, permit, found.as_deref().ok());
                    cookies.forward(host);
                    return Outcome::Next;
                }
                undecided => host.set_header(VERDICT_HEADER, undecided.verdict().as_bytes()),
            }
            if let Some(rule) = &config.rule_text {
                // The outpost decides in our place, and our rule may be the narrower one.
                host.set_header(RULE_HEADER, rule.as_bytes());
            }
            return Outcome::Next;
        }
        let how = || Presentation::of(&View(host));
        match decision {
            Decision::Allow(permit) => {
                set_identity(config, host, &permit, found.as_deref().ok());
                cookies.forward(host);
                return Outcome::Next;
            }
            Decision::Renew(permit) => match how() {
                Presentation::PageLoad => host.respond(answer::redirect(sign_in(config, host))),
                Presentation::Form | Presentation::Data => {
                    set_identity(config, host, &permit, found.as_deref().ok());
                    cookies.forward(host);
                    return Outcome::Next;
                }
            },
            Decision::SignIn(reason) => {
                log_refusal(config, host, &reason);
                require_sign_in(config, host, how());
            }
            Decision::Defer(Deferral::MoreGroups) => require_sign_in(config, host, how()),
            Decision::Defer(Deferral::Authorization) => {
                log(
                    config,
                    host,
                    Level::Warn,
                    "credentials cannot be checked here: `machines` needs `fallback: route`",
                );
                // A program sent them, whatever it accepts: a page to sign in helps it nothing.
                require_sign_in(config, host, Presentation::Data);
            }
            Decision::Deny(denial) => {
                log_denial(config, host, &denial);
                let outpost = config.sign_in.base();
                let answer = answer::denied(how(), &denial, &config.application, &outpost);
                host.respond(answer);
            }
            Decision::MethodNotAllowed => host.respond(answer::method_not_allowed()),
        }
        Outcome::Answered
    }

    /// Follows the keys, and forgets what was verified with others.
    fn refresh_keys(&mut self, host: &impl Host, now: NumericDate) {
        if let Some(ring) = self.keys.refresh(host, now) {
            let mut verifier = Verifier::new(ring, self.config.application.clone());
            for issuer in &self.config.issuers {
                verifier = verifier.with_issuer(issuer);
            }
            if self.verified.is_some() {
                let ids: Vec<&str> = ring.key_ids().map(|id| id.as_str()).collect();
                log(
                    &self.config,
                    host,
                    Level::Info,
                    &format!("keys in force: {}", ids.join(", ")),
                );
            }
            self.verdicts = match (&self.config.verdict, self.config.fallback) {
                (_, Fallback::Redirect) => Vec::new(),
                (Some(word), Fallback::Route) => vec![word.clone()],
                (None, Fallback::Route) => ring.verdicts(&self.config.application),
            };
            self.verified = Some(Verified::new(verifier));
        }
    }
}

/// Removes what a client must not say: every header that is Gatepost's, in every spelling, our
/// names in `Connection`, and what asks the application for another protocol than WebSocket. Tells
/// whether there is a `Cookie` header.
fn clean_headers<H: Host>(config: &Config, host: &H) -> bool {
    let mut has_cookies = false;
    for name in host.header_names() {
        let name = name.as_ref();
        match name {
            b"cookie" => has_cookies = true,
            b"connection" => {
                let lines = host.header_values("connection");
                let lines: Vec<&[u8]> = lines.iter().map(AsRef::as_ref).collect();
                if let Some(cleaned) = config.headers.cleaned_connection(&lines.join(&b',')) {
                    host.set_header("Connection", &cleaned);
                }
            }
            b"upgrade" if is_websocket(host) => {}
            b"upgrade" | b"http2-settings" => host.remove_header(name),
            _ if config.headers.owns(name) => host.remove_header(name),
            _ => {}
        }
    }
    has_cookies
}

fn is_websocket(host: &impl Host) -> bool {
    View(host)
        .header("upgrade")
        .is_some_and(|upgrade| asks_for_websocket(&upgrade))
}

/// What a request's cookies say.
struct Presented {
    /// The session, or why there is none. One that is not in force only where none is.
    found: Result<Rc<Entry>, Unauthenticated>,
    /// Why the session is not in force.
    over: Option<Unauthenticated>,
    cookies: Cookies,
}

/// The `Cookie` header as the application is to see it.
#[derive(Clone, Debug)]
pub(crate) enum Cookies {
    /// As it came.
    AsSent,
    /// Without what is Gatepost's, so that the application cannot replay it.
    Only(Rc<[u8]>),
    /// Not at all: there was nothing else.
    Gone,
}

impl Cookies {
    /// All lines without the cookies to hide, as one.
    fn without<B: AsRef<[u8]>>(hide: Hide<'_>, lines: &[B]) -> Self {
        if !lines.iter().any(|line| hide.any_in(line.as_ref())) {
            return Self::AsSent;
        }
        let kept: Vec<Vec<u8>> = lines
            .iter()
            .filter_map(|line| cookie::strip(line.as_ref(), hide))
            .collect();
        if kept.is_empty() {
            return Self::Gone;
        }
        // One line for all: what several would be joined to in HTTP/2 (RFC 9113 §8.2.3).
        Self::Only(kept.join(&b"; "[..]).into())
    }

    /// Makes the request's header so.
    fn forward(&self, host: &impl Host) {
        match self {
            Self::AsSent => {}
            Self::Only(kept) => host.set_header("Cookie", kept),
            Self::Gone => host.remove_header(b"cookie"),
        }
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Only(kept) => kept.len(),
            Self::AsSent | Self::Gone => 0,
        }
    }
}

/// Looks for the session among the cookies; `refusal` says why one is not in force.
///
/// Most requests bring the very line that another brought before, and then there is nothing to
/// look for.
fn present<H: Host>(
    config: &Config,
    verified: &mut Verified,
    host: &H,
    lines: &[H::Bytes],
    refusal: &mut dyn FnMut(&Entry) -> Option<Unauthenticated>,
) -> Presented {
    let only = match lines {
        [line] => Some(line.as_ref()),
        _ => None,
    };
    if let Some(Recalled { entry, cookies }) = only.and_then(|line| verified.recall(line))
        && refusal(&entry).is_none()
    {
        return Presented {
            found: Ok(entry),
            over: None,
            cookies,
        };
    }
    let (candidates, name) = find_session(config, host, lines);
    let (found, over) = authenticate(verified, &candidates, refusal);
    let cookies = Cookies::without(
        if config.forward_cookie {
            Hide::AllBut(name)
        } else {
            Hide::All(name)
        },
        lines,
    );
    // The plain name counts on some requests and not on others, whatever the line.
    if let (Ok(entry), Some(line)) = (&found, only)
        && *name == config.cookie_name
    {
        verified.remember(entry, line, &cookies);
    }
    Presented {
        found,
        over,
        cookies,
    }
}

/// The values that may be the session, and the name they go by.
///
/// Over plain http a browser refuses the `__Host-` and `__Secure-` names, so the outpost uses a
/// plain one there. It is read only on requests that came that way: over TLS a neighbouring site
/// could have set it.
fn find_session<'l, 'c, H: Host>(
    config: &'c Config,
    host: &H,
    lines: &'l [H::Bytes],
) -> (Candidates<'l>, &'c CookieName) {
    let find = |name| Candidates::find(lines.iter().map(AsRef::as_ref), name);
    let found = find(&config.cookie_name);
    if let Some(plain) = config.plain_cookie_name.as_ref().filter(|_| !found.any()) {
        let plainly_found = find(plain);
        if plainly_found.any() && scheme(host) == "http" {
            return (plainly_found, plain);
        }
    }
    (found, &config.cookie_name)
}

/// The scheme that the browser used, as the proxy says it. WebSockets have schemes of their own
/// there.
fn scheme(host: &impl Host) -> &'static str {
    match host
        .header_values("x-forwarded-proto")
        .first()
        .map(AsRef::as_ref)
    {
        Some(b"http" | b"ws") => "http",
        _ => "https",
    }
}

/// The first value of the cookie that is in force; else the first that is authentic, and why it is
/// not in force; else why none is authentic.
fn authenticate(
    verified: &mut Verified,
    candidates: &Candidates<'_>,
    refusal: &mut dyn FnMut(&Entry) -> Option<Unauthenticated>,
) -> (Result<Rc<Entry>, Unauthenticated>, Option<Unauthenticated>) {
    let mut none = (Err(Unauthenticated::NoCookie), None);
    for value in candidates.values() {
        match verified.authenticate(&value) {
            Ok(entry) => match refusal(&entry) {
                None => return (Ok(entry), None),
                Some(reason) if none.0.is_err() => none = (Ok(entry), Some(reason)),
                Some(_) => {}
            },
            Err(error) if none.0.is_err() => none.0 = Err(Unauthenticated::Invalid(error)),
            Err(_) => {}
        }
    }
    none
}

/// Sets the identity headers of a permitted request.
fn set_identity(config: &Config, host: &impl Host, permit: &Permit<'_>, entry: Option<&Entry>) {
    let render = || {
        let rendered = config.headers.render(permit).map(|(name, value)| Rendered {
            name: name.as_str().into(),
            value: value.as_bytes().into(),
        });
        rendered.collect()
    };
    // A request may pass without an identity although its cookie is authentic.
    if let (Some(entry), Some(_)) = (entry, permit.identity()) {
        for header in entry.headers.get_or_init(render) {
            host.set_header(&header.name, &header.value);
        }
    }
}

/// Whether a request is for the outpost's own paths.
fn is_for_the_outpost(config: &Config, host: &impl Host) -> bool {
    config.sign_in.prefix().contains(host.target().as_ref())
}

/// Answers someone who has no session in force.
fn require_sign_in(config: &Config, host: &impl Host, how: Presentation) {
    if is_for_the_outpost(config, host) {
        let prefix = config.sign_in.prefix();
        log(
            config,
            host,
            Level::Error,
            &format!("a request for {prefix} reached the plugin: route it to the outpost"),
        );
        host.respond(answer::misrouted(prefix.as_str()));
        return;
    }
    let start = format!("{}/start", config.sign_in.base());
    host.respond(match how {
        Presentation::PageLoad => answer::redirect(sign_in(config, host)),
        Presentation::Form => answer::not_delivered(&start),
        Presentation::Data => answer::unauthenticated(&config.application, &start, None),
    });
}

/// The URL at which this page load signs in, and which leads back to it.
fn sign_in(config: &Config, host: &impl Host) -> String {
    let origin = || {
        let lines = host.header_values("host");
        let name = lines.first().map(AsRef::as_ref).unwrap_or_default();
        format!("{}://{}", scheme(host), String::from_utf8_lossy(name))
    };
    config.sign_in.url(origin, host.target().as_ref())
}

fn log_refusal(config: &Config, host: &impl Host, reason: &Unauthenticated) {
    let level = match reason {
        Unauthenticated::NoCookie | Unauthenticated::Revoked => Level::Debug,
        // Someone made it up, or keys differ: worth seeing. A window that has not begun says that
        // a clock is wrong.
        Unauthenticated::Invalid(_) => Level::Info,
        Unauthenticated::Window(gatepost_session::WindowError::NotYet) => Level::Warn,
        Unauthenticated::Window(_) => Level::Debug,
    };
    log(config, host, level, &reason.to_string());
}

/// What an operator compares with the rule: names of groups differ by a letter.
fn log_denial(config: &Config, host: &impl Host, denial: &Denial<'_>) {
    let groups = denial.identity().groups.iter();
    let groups: Vec<&str> = groups.map(String::as_str).collect();
    let groups = groups.join(", ");
    log(
        config,
        host,
        Level::Debug,
        &format!("signed in, but `require` does not admit: groups {groups}"),
    );
}

fn log(config: &Config, host: &impl Host, level: Level, message: &str) {
    if level >= config.log_level {
        host.log(level, message);
    }
}

#[cfg(test)]
mod tests;
