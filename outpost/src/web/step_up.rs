//! Step-up (RFC 9470): what a session's authentication lacks for a request, and how the provider is
//! asked for it.
//!
//! The application's rules decide, at `start` and again when the browser is back. A link says for
//! which request, and what the rules of a proxy ask that the outpost does not have. Any site can make
//! such a link: it asks for an authentication, and opens nothing. A proxy's own link has a word that
//! vouches for it; what any other link asks for is for the user to confirm.

use std::borrow::Cow;

use gatepost_oidc::{AskedAuthentication, SignedIn};
use gatepost_policy::{ClientAddress, Decision, LinkedConditions, Request, StepUp, is_class_name};
use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, Claims, Current};
use url::{Position, Url};

use super::context::Context;
use super::denied;
use super::failure::Failure;
use super::request::ForwardedRequest;
use crate::application::{Application, ReturnTo};
use crate::origin::HostPort;
use crate::pages::Denied;
use crate::sign_in_flow::{AskedRequest, SteppingUp};
use crate::telemetry::audit;
use gatepost_store::SessionRecord;

mod link;

pub(super) use self::link::{Link, is_replacing, parameters, replacing};

/// The least age in seconds that a link can ask for: otherwise it could have the provider ask a user
/// again and again.
const LEAST_LINKED_AGE: u64 = 60;

/// How often a browser may come back before the provider is to ask whatever it remembers.
const PATIENCE: u32 = 3;

/// The decision for a request that a user wants to send.
pub(super) enum Ahead {
    /// No authentication is lacking: the browser goes there, whatever is decided then.
    Open,
    /// The user has to authenticate as this says.
    Lacking(Box<Lacking>),
    /// An authentication is lacking, and the provider is not asked for it: the user has only just
    /// authenticated, or the link is invalid.
    NotAsked,
    /// A link asks for an authentication, and nobody vouches for it: the user has to say so.
    Unconfirmed,
    /// The user is refused there however they authenticate.
    Closed(Box<Denied>),
}

/// An authentication that is lacking.
#[derive(Debug)]
pub(super) struct Lacking {
    /// How the provider is asked for it.
    pub(super) asked: AskedAuthentication,
    request: Option<AskedRequest>,
    /// What the link asks besides the rules, where that alone is lacking.
    conditions: Option<LinkedConditions>,
}

impl Lacking {
    /// Returns what the sign-in's cookies keep of it, for the user of this session.
    pub(super) fn of(&self, record: &SessionRecord) -> SteppingUp {
        SteppingUp {
            request: self.request.clone(),
            conditions: self.conditions.clone(),
            ..same_user(record)
        }
    }
}

/// Returns what the sign-in's cookies keep where only the user of this session may come back.
pub(super) fn same_user(record: &SessionRecord) -> SteppingUp {
    SteppingUp {
        session: record.id.clone(),
        issuer: record.identity.issuer.clone(),
        subject: record.identity.subject.clone(),
        request: None,
        conditions: None,
        replaces: false,
    }
}

/// A browser at `start`.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) context: Context<'a>,
    pub(super) application: &'a Application,
    pub(super) request: &'a ForwardedRequest<'a>,
    pub(super) return_to: &'a ReturnTo,
    pub(super) link: &'a Link,
    /// How often it has been here in the last moments on its way to the same page.
    pub(super) earlier: u32,
}

impl<'a> Arrival<'a> {
    /// Decides what a session in the store lacks. It is bound to a device if its cookie says so
    /// (`bound`).
    pub(super) fn ahead_of(self, record: &SessionRecord, bound: bool) -> Ahead {
        let (sessions, times) = (self.context.sessions(), self.context.times());
        match sessions.as_if_fresh(times, self.application, record, bound) {
            Ok(session) => self.ahead(&session),
            // The way back says why.
            Err(_) => Ahead::Open,
        }
    }

    /// Decides what a session lacks.
    pub(super) fn ahead(self, session: &Authentic) -> Ahead {
        let now = self.context.now();
        let Ok(current) = session.current(now, CLOCK_SKEW_SECONDS) else {
            return Ahead::Open;
        };
        match self.ahead_at(current, current) {
            // By a clock that is ahead of this one, the proxy would send the browser here again.
            Ahead::Open if self.link.is_marked => {
                let later = now.plus_seconds(CLOCK_SKEW_SECONDS);
                let later = session.current(later, CLOCK_SKEW_SECONDS);
                later.map_or(Ahead::Open, |later| self.ahead_at(later, current))
            }
            ahead => ahead,
        }
    }

    /// Decides what a session lacks at a moment, which may be later than `now`.
    fn ahead_at(self, session: Current<'_>, now: Current<'_>) -> Ahead {
        let Self {
            application, link, ..
        } = self;
        let claims = session.claims();
        let mut request = link.request.clone();
        let mut own = self.rules(request.as_ref(), session);
        // A proxy that does not know the method meets more rules than those of a page load, and one
        // that knows nothing of the client meets even more. No other writes its target so.
        if self.earlier > 0 && self.request.has_raw_target() && matches!(own, Rules::AskNothing) {
            let unknown = request.clone();
            let unknown = unknown.map(|asked| asked.of_unknown_method(self.earlier > 1));
            let by_proxy = self.rules(unknown.as_ref(), session);
            if matches!(by_proxy, Rules::Ask(_)) {
                (own, request) = (by_proxy, unknown);
            }
        }
        // By the clock of a proxy that is ahead, what the provider remembers is too old again.
        let again = self.request.is_asked_again() || self.earlier >= PATIENCE;
        let linked = link.conditions();
        let linked = linked.filter(|linked| !linked.step_up().is_met_by(session));
        let floored = linked.map(|linked| linked.clone().with_ages_from(LEAST_LINKED_AGE));
        // By the clock of a proxy that is ahead, it may have been a minute and is not by this one.
        let has_only_just = |floored: &LinkedConditions| {
            let least = LEAST_LINKED_AGE + CLOCK_SKEW_SECONDS;
            floored.step_up().is_met_by(now)
                && linked.is_some_and(|linked| linked.clone().with_ages_from(least) != *linked)
        };
        let lacking = |asked: &StepUp<'_>, conditions| {
            Ahead::Lacking(Box::new(Lacking {
                asked: authentication(asked, claims, again),
                request: request.clone(),
                conditions,
            }))
        };
        match (own, &floored) {
            // What the link adds is asked for at once, and does not count when the browser is back:
            // a link cannot keep a user from what the rules ask.
            (Rules::Ask(own), Some(linked)) => {
                let both = own.clone().and(&linked.step_up());
                lacking(both.as_ref().unwrap_or(&own), None)
            }
            (Rules::Ask(own), None) => lacking(&own, None),
            (Rules::Refuse(rule), _) if link.is_marked => {
                audit::denied(application.audience().as_str(), claims, rule.as_deref());
                Ahead::Closed(Box::new(denied::by_policy(application, Some(claims), rule)))
            }
            (Rules::Refuse(_), _) => Ahead::Open,
            (Rules::AskNothing, Some(linked)) if has_only_just(linked) => Ahead::NotAsked,
            (Rules::AskNothing, Some(_)) if !link.is_vouched_for(application, &claims.sid) => {
                tracing::info!(
                    application = %application.audience(),
                    "a link asks for an authentication, and neither the plugin nor the outpost has \
                     made it for this session: the user is asked first"
                );
                Ahead::Unconfirmed
            }
            (Rules::AskNothing, Some(linked)) => lacking(&linked.step_up(), Some(linked.clone())),
            (Rules::AskNothing, None) if link.is_unreadable() => {
                tracing::info!(
                    application = %application.audience(),
                    "a link asks for an authentication that cannot be read: where a proxy has rules \
                     of its own, name fewer or shorter classes in them, or write them at the outpost"
                );
                Ahead::NotAsked
            }
            // For which request it was is not known, and elsewhere nothing would be lacking.
            (Rules::AskNothing, None)
                if link.is_marked && link.is_lost && link.conditions().is_none() =>
            {
                Ahead::NotAsked
            }
            (Rules::AskNothing, None) => Ahead::Open,
        }
    }

    fn rules<'s>(self, asked: Option<&AskedRequest>, session: Current<'s>) -> Rules<'s>
    where
        'a: 's,
    {
        let Some(asked) = asked else {
            return Rules::AskNothing;
        };
        Target::of(self.request, asked, self.return_to).decide(self.application, session)
    }
}

/// Returns how to ask the provider for what rules ask of the user of a session. `again` has the user
/// authenticate whatever the provider remembers.
fn authentication(step_up: &StepUp<'_>, session: &Claims, again: bool) -> AskedAuthentication {
    let acr_values = step_up.acr_values();
    let class = session.acr.as_deref().unwrap_or_default();
    let suffices = step_up.accepts_class(class);
    AskedAuthentication {
        // Nothing asks for a method (`amr`), or for a class of which the rule has only the beginning.
        again: again || step_up.asks_for_method() || (acr_values.is_empty() && !suffices),
        class_of_session: (suffices && is_class_name(class)).then(|| class.to_owned()),
        acr_values,
        max_age: step_up.max_age(),
    }
}

/// What has come of a step-up, where it has not failed.
pub(super) enum Checked {
    /// The user has what was asked for.
    Enough,
    /// The browser has a session by now that suffices, and that the new one would be weaker than.
    NotNeeded,
    /// The user is refused however they authenticate.
    Refused(Box<Denied>),
}

/// Checks that a user who has authenticated again has what the rules for the request ask, and what a
/// link asked for alone; and that a new session would not be weaker than the browser's (`live`), unless
/// the rules for the request ask for another class or method than that one has, or its user has said
/// that it may be.
///
/// # Errors
///
/// [`Failure::StepUp`] where something is lacking; [`Failure::Issue`] where no session could be
/// made of the user.
pub(super) fn check(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    signed_in: &SignedIn,
    step_up: &SteppingUp,
    live: Option<&SessionRecord>,
    return_to: &ReturnTo,
) -> Result<Checked, Failure> {
    let (sessions, times) = (context.sessions(), context.times());
    let session = sessions.preview(times, application, &signed_in.identity)?;
    let current = session.current(context.now(), CLOCK_SKEW_SECONDS);
    let current = current.map_err(|_| Failure::StepUp)?;
    let claims = current.claims();
    // No rule admits the user any more: the session ends, as it would at its next renewal.
    if !application.policy().may_admit(claims) {
        return Ok(Checked::Enough);
    }
    let asked = step_up.request.as_ref();
    let target = asked.map(|asked| Target::of(request, asked, return_to));
    let decide = |session| {
        let target = target.as_ref();
        target.map(|target| target.decide(application, session))
    };
    match decide(current) {
        Some(Rules::Ask(_)) => return Err(Failure::StepUp),
        Some(Rules::Refuse(rule)) => {
            audit::denied(application.audience().as_str(), claims, rule.as_deref());
            let denied = denied::by_policy(application, Some(claims), rule);
            return Ok(Checked::Refused(Box::new(denied)));
        }
        Some(Rules::AskNothing) | None => {}
    }
    let meets = |session| {
        let linked = step_up.conditions.as_ref();
        linked.is_none_or(|linked| linked.step_up().is_met_by(session))
    };
    if !meets(current) {
        return Err(Failure::StepUp);
    }
    let Some(live) = live.filter(|live| !(step_up.replaces && live.id == step_up.session)) else {
        return Ok(Checked::Enough);
    };
    let before = sessions.as_if_fresh(times, application, live, false)?;
    let policy = application.policy();
    if !policy.is_weaker(claims, before.claims_at_issue()) {
        return Ok(Checked::Enough);
    }
    let Ok(before) = before.current(context.now(), CLOCK_SKEW_SECONDS) else {
        return Err(Failure::StepUp);
    };
    match decide(before) {
        Some(Rules::AskNothing) if meets(before) => Ok(Checked::NotNeeded),
        Some(Rules::Ask(own))
            if live.id == step_up.session && own.lacks_class_or_method(before) =>
        {
            Ok(Checked::Enough)
        }
        _ => Err(Failure::StepUp),
    }
}

/// What the application's own rules say.
enum Rules<'p> {
    AskNothing,
    Ask(StepUp<'p>),
    /// With the name or the number of the rule.
    Refuse(Option<String>),
}

/// A request that a user wants to send.
struct Target<'r> {
    request: &'r ForwardedRequest<'r>,
    method: &'r str,
    is_from_anywhere: bool,
    host: Option<HostPort>,
    target: String,
}

impl<'r> Target<'r> {
    fn of(
        request: &'r ForwardedRequest<'r>,
        asked: &'r AskedRequest,
        return_to: &ReturnTo,
    ) -> Self {
        let url = asked.url.as_ref().unwrap_or(return_to);
        let url = Url::parse(url.as_str()).ok();
        let part = |from, to| url.as_ref().map(|url| url[from..to].to_owned());
        Self {
            request,
            method: &asked.method,
            is_from_anywhere: asked.is_from_anywhere,
            host: part(Position::BeforeHost, Position::AfterPort)
                .and_then(|host| HostPort::parse(&host)),
            target: part(Position::BeforePath, Position::AfterQuery).unwrap_or_default(),
        }
    }

    fn decide<'s>(&self, application: &'s Application, session: Current<'s>) -> Rules<'s> {
        let host = self.host.as_ref();
        let skipped = host.and_then(|host| application.policy_of_skip_path(host, self));
        let policy = skipped.unwrap_or(application.policy());
        match policy.decide(self, Ok(session)) {
            Decision::Deny(denial) => match denial.step_up() {
                Some(step_up) => Rules::Ask(step_up.clone()),
                None if denial.lacks_device() => Rules::AskNothing,
                None => Rules::Refuse(denial.rule().map(str::to_owned)),
            },
            Decision::Allow(_)
            | Decision::Renew(_)
            | Decision::SignIn(_)
            | Decision::Defer(_)
            | Decision::MethodNotAllowed => Rules::AskNothing,
        }
    }
}

impl Request for Target<'_> {
    fn method(&self) -> Cow<'_, [u8]> {
        self.method.as_bytes().into()
    }

    fn target(&self) -> Cow<'_, [u8]> {
        self.target.as_bytes().into()
    }

    fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_address(&self) -> Option<ClientAddress> {
        let is_known = !self.is_from_anywhere;
        is_known.then(|| self.request.client_address()).flatten()
    }
}
