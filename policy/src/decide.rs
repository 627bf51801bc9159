//! The decision.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_session::{Claims, Current, OpenError, WindowError};

use crate::authorization::AuthorizationSchemes;
use crate::fingerprint::Fingerprint;
use crate::public::{PublicPaths, RequestPath};
use crate::request::{Request, is_preflight};
use crate::require::{Require, Ruling, Situation, StepUp};
use crate::rules::{Asked, Demand, Rules};

/// An application's rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Ordered rules. Where none of them decides, the short form does: `public` and `require`.
    pub rules: Rules,
    /// The paths that need no session.
    pub public: PublicPaths,
    /// The rule for signed-in users.
    pub require: Require,
    /// Whether CORS preflights pass without a session: browsers send them without cookies.
    pub allow_preflight: bool,
    /// The credentials that are accepted in place of a session.
    pub machine_clients: AuthorizationSchemes,
}

/// The decision on a request.
///
/// There is no default, and only the variants that carry a [`Permit`] let anything reach the
/// upstream.
#[derive(Debug)]
#[must_use]
pub enum Decision<'s> {
    /// It goes upstream.
    Allow(Permit<'s>),
    /// It may go upstream, and a page load should renew the session first, or
    /// [beside](Permit::can_renew_beside).
    Renew(Permit<'s>),
    /// Its sender has to sign in.
    SignIn(Unauthenticated),
    /// Its sender may not pass: a user who is signed in, or any client.
    Deny(Denial<'s>),
    /// The cookie does not contain enough to decide: the proxy has to ask the outpost.
    Defer(Deferral),
    /// It is refused to every client: `CONNECT` asks for a tunnel (RFC 9110 §9.3.6), and requests
    /// in a tunnel would not be decided on.
    MethodNotAllowed,
}

impl Decision<'_> {
    /// Returns the verdict's name, as [`VERDICT_HEADER`](crate::VERDICT_HEADER) carries it.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Renew(_) => "renew",
            Self::SignIn(_) => "sign-in",
            Self::Deny(_) => "deny",
            Self::Defer(_) => "defer",
            Self::MethodNotAllowed => "method-not-allowed",
        }
    }
}

/// Permission for one request to go upstream. Only [`Policy::decide`] grants it.
#[derive(Debug)]
pub struct Permit<'s> {
    identity: Option<Current<'s>>,
}

impl<'s> Permit<'s> {
    /// Returns the claims of the sender's session; `None` when the request passes without an
    /// identity.
    pub fn identity(&self) -> Option<&'s Claims> {
        self.identity.map(|session| session.claims())
    }

    /// Returns whether a session whose renewal is due may go on while its browser renews it, since
    /// its window is far from its end. One that is bound to a device is renewed by a proof: where a
    /// renewal of it is due, the browser has to go to the provider.
    pub fn can_renew_beside(&self) -> bool {
        self.identity
            .is_some_and(|session| !session.claims().bound && !session.is_near_its_end())
    }
}

/// The refusal of a signed-in user, or of every client.
#[derive(Debug)]
pub struct Denial<'s> {
    session: Option<Current<'s>>,
    rule: Option<String>,
    lacks: Lacks<'s>,
}

/// What a session lacks that a user whom the rules admit can have.
#[derive(Debug)]
enum Lacks<'p> {
    /// More than that.
    More,
    /// It would have to be bound to a device.
    Device,
    /// The user would have to authenticate again, or in another way.
    Authentication(StepUp<'p>),
}

impl<'s> Denial<'s> {
    /// Returns the claims of the refused user; `None` where the request is refused to every client,
    /// and this one is not signed in.
    pub fn identity(&self) -> Option<&'s Claims> {
        self.session.map(|session| session.claims())
    }

    /// Returns the name or the number of the rule that refuses; `None` for the short form.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// Returns whether the user is refused only because the session is not bound to a device.
    pub fn lacks_device(&self) -> bool {
        matches!(self.lacks, Lacks::Device)
    }

    /// Returns what the rules ask of the user's authentication, which does not suffice; `None` where the
    /// user is refused for another reason too. The session may lack a device besides: the one after
    /// the authentication is another, which is bound anew.
    pub fn step_up(&self) -> Option<&StepUp<'s>> {
        match &self.lacks {
            Lacks::Authentication(step_up) => Some(step_up),
            Lacks::More | Lacks::Device => None,
        }
    }
}

/// Why a request has no session in force. For logs: the client must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// It carries no session cookie.
    NoCookie,
    /// It carries a session cookie that is not authentic.
    Invalid(OpenError),
    /// It carries a session cookie whose window has ended or not begun.
    Window(WindowError),
    /// Its session was ended before its window.
    Revoked,
}

impl fmt::Display for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCookie => f.write_str("no session cookie"),
            Self::Invalid(error) => write!(f, "session cookie refused: {error}"),
            Self::Window(error) => write!(f, "session cookie not in force: {error}"),
            Self::Revoked => f.write_str("session revoked"),
        }
    }
}

/// Why only the outpost can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// The rule depends on groups that the cookie leaves out.
    MoreGroups,
    /// There is no session, and credentials in `Authorization` have to be checked.
    Authorization,
}

impl Policy {
    /// Returns the fingerprint of each rule of the list, in order, with commas between. Names do not
    /// count: they decide nothing.
    pub fn fingerprints_of_rules(&self) -> String {
        self.rules.fingerprints()
    }

    /// Returns the fingerprint of each public path, with commas between, and one for preflights where
    /// they pass.
    pub fn fingerprints_of_paths(&self) -> String {
        let mut all = self.public.fingerprints();
        if self.allow_preflight {
            Fingerprint::new().append_to(&mut all);
        }
        all
    }

    /// Returns whether the decision on a request may depend on its method. A preflight passes by its
    /// method, and an application may serve it as the method that a header says.
    pub fn asks_for_methods(&self) -> bool {
        self.allow_preflight || self.public.ask_for_methods() || self.rules.ask_for_methods()
    }

    /// Decides on a request, with the session in force that it carries or the reason why it carries
    /// none.
    ///
    /// A public path is open to every client: a signed-in user whom the rule admits is named to the
    /// application there too, and every other request passes without an identity.
    ///
    /// A session in force decides alone: `Authorization` is looked at only where there is no
    /// session, so that a request never has two senders.
    pub fn decide<'s>(
        &'s self,
        request: &impl Request,
        session: Result<Current<'s>, Unauthenticated>,
    ) -> Decision<'s> {
        self.decide_with(request, session, None)
    }

    /// Decides as [`Self::decide`] does, with what the proxy that asked demands besides, by rules of
    /// its own. That cannot admit a user whom this policy refuses.
    pub fn decide_with<'s>(
        &'s self,
        request: &impl Request,
        session: Result<Current<'s>, Unauthenticated>,
        extra: Option<&'s Demand>,
    ) -> Decision<'s> {
        let method = request.method();
        if *method == *b"CONNECT" {
            return Decision::MethodNotAllowed;
        }
        // Nearly every request where there is no list: nothing but `require` says who may pass, on a
        // public path too.
        if let (true, None, Ok(session)) = (self.rules.is_empty(), extra, session)
            && !session.renewal_due()
            && self.require.rule(session.claims(), Situation::of(session)) == Ruling::Holds
        {
            return Decision::Allow(Permit {
                identity: Some(session),
            });
        }
        let asked = self.ask(request, &method);
        if asked.denied.is_some() || extra.is_some_and(|extra| extra.deny) {
            return self.deny(session.ok(), asked.denied, Lacks::More);
        }
        let ruling = match session {
            Ok(session) => asked.ruling(extra, session.claims(), Situation::of(session)),
            Err(_) => (Ruling::Fails, None),
        };
        let identity = session.ok().filter(|_| ruling.0 == Ruling::Holds);
        if identity.is_some_and(|session| !session.renewal_due()) {
            return Decision::Allow(Permit { identity });
        }
        if !extra.is_some_and(|extra| extra.session) && self.is_open(request, &asked) {
            return Decision::Allow(Permit { identity });
        }
        match (session, ruling) {
            (Err(_), _) if self.machine_clients.scheme_of(request).is_some() => {
                Decision::Defer(Deferral::Authorization)
            }
            (Err(reason), _) => Decision::SignIn(reason),
            (Ok(_), (Ruling::Holds, _)) => Decision::Renew(Permit { identity }),
            (Ok(_), (Ruling::Undecidable, _)) => Decision::Defer(Deferral::MoreGroups),
            (Ok(session), (Ruling::Fails | Ruling::Unknown, by)) => {
                self.deny(Some(session), by, asked.lacks(extra, session))
            }
        }
    }

    /// Returns what the rules ask of a request: where nothing else is asked, by `public` and
    /// `require`.
    pub(crate) fn ask(&self, request: &impl Request, method: &[u8]) -> Asked<'_> {
        let by_path = !(self.rules.is_empty() && self.public.is_empty());
        let target = if by_path {
            request.target()
        } else {
            Default::default()
        };
        let path = RequestPath::of(&target);
        let mut asked = self.rules.ask(request, method, &path);
        if !asked.decided {
            asked.by_public_paths = self.public.surely_meant_by(method, &path);
        }
        // Who is named to the application on a public path is said by `require`.
        asked.open = asked.is_public() && asked.requires().next().is_none();
        if asked.open || !(asked.is_public() || asked.decided) {
            asked.push(None, &self.require);
        }
        asked
    }

    fn deny<'s>(
        &self,
        session: Option<Current<'s>>,
        by: Option<usize>,
        lacks: Lacks<'s>,
    ) -> Decision<'s> {
        Decision::Deny(Denial {
            session,
            rule: by.map(|at| self.rules.label(at)),
            lacks,
        })
    }

    fn is_open(&self, request: &impl Request, asked: &Asked<'_>) -> bool {
        asked.open || (self.allow_preflight && is_preflight(request))
    }

    /// Returns whether this request needs no session: its path is public, or it is a preflight that
    /// may pass, and the proxy that asks demands no session.
    pub fn needs_no_session(&self, request: &impl Request, extra: Option<&Demand>) -> bool {
        let asked = self.ask(request, &request.method());
        let is_needed = extra.is_some_and(|extra| extra.deny || extra.session);
        !is_needed && asked.denied.is_none() && self.is_open(request, &asked)
    }

    /// Returns what this request needs by these rules as the text of a header, for another decider, who
    /// may see another path, host or address: see [`Demand`]. `beside` is a further rule for users, in the
    /// same form. `None` where nothing is needed.
    ///
    /// Where the other has public paths of its own, without a list of rules here, these stay public.
    pub fn demand(
        &self,
        request: &impl Request,
        has_own_paths: bool,
        beside: Option<&str>,
    ) -> Option<String> {
        let asked = self.ask(request, &request.method());
        if asked.denied.is_some() {
            return Some(String::from(Demand::DENY));
        }
        let mut text = String::new();
        let mut add = |part: &str| {
            if !text.is_empty() {
                text.push_str(Demand::AND);
            }
            text.push_str(part);
        };
        let says_all = !has_own_paths || !self.rules.is_empty();
        if says_all && !self.is_open(request, &asked) {
            add(Demand::SESSION);
        }
        for (_, require) in asked.requires() {
            require.to_text().as_deref().into_iter().for_each(&mut add);
        }
        beside.into_iter().for_each(add);
        (!text.is_empty()).then_some(text)
    }

    /// Returns whether some request of this user may be admitted. A user who is not gets no session.
    pub fn may_admit(&self, claims: &Claims) -> bool {
        let by_short_form = || {
            !self
                .require
                .rule(claims, Situation::OF_NO_REQUEST)
                .refuses()
        };
        self.rules.may_admit(claims) || (!self.rules.have_last() && by_short_form())
    }

    /// Returns whether some rule asks for a session that is bound to a device.
    pub fn needs_device(&self) -> bool {
        self.require.needs_device() || self.rules.requires().any(Require::needs_device)
    }

    /// Returns whether every request that needs a session needs one that is bound to a device.
    pub fn always_needs_device(&self) -> bool {
        let by_short_form = self.rules.have_last() || self.require.needs_device();
        let by_rules = self.rules.requires().all(Require::needs_device);
        self.needs_device() && by_short_form && by_rules
    }

    /// Returns the groups that rules name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.requires().flat_map(Require::groups);
        self.require.groups().chain(rules)
    }

    /// Returns the classes of authentication (`acr`) that rules name, each once.
    pub fn classes(&self) -> Vec<&str> {
        let rules = self.rules.requires().flat_map(Require::classes);
        let mut names: Vec<&str> = self.require.classes().chain(rules).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns whether a session is weaker than another: a rule asks for a class or a method of
    /// authentication that it lacks and the other has, or its user authenticated longer ago.
    pub fn is_weaker(&self, new: &Claims, old: &Claims) -> bool {
        // A provider may say the time only where it is asked for it.
        let is_older = new.auth_time.is_some() && new.auth_time < old.auth_time;
        let mut rules = core::iter::once(&self.require).chain(self.rules.requires());
        is_older || rules.any(|rule| rule.is_weaker(new, old))
    }

    /// Returns the claims that rules name besides those of every session.
    pub fn claims(&self) -> Vec<&str> {
        let rules = self.rules.requires().flat_map(Require::claims);
        let mut names: Vec<&str> = self.require.claims().chain(rules).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl<'p> Asked<'p> {
    /// Returns the result for a session of all these rules and of a demand, and the rule of the list
    /// that it comes from.
    #[inline(never)]
    fn ruling(
        &self,
        extra: Option<&Demand>,
        claims: &Claims,
        now: Situation,
    ) -> (Ruling, Option<usize>) {
        let mut ruling = (Ruling::Holds, None);
        let mut lessen = |at: Option<usize>, require: &Require| {
            let own = require.rule(claims, now);
            if own < ruling.0 {
                ruling = (own, at);
            }
        };
        for (at, require) in self.requires() {
            lessen(*at, require);
        }
        for require in extra.map_or(&[][..], |extra| &extra.requires) {
            lessen(None, require);
        }
        ruling
    }

    /// Returns what the session of a user lacks whom these rules or a demand refuse.
    #[inline(never)]
    fn lacks(&self, extra: Option<&'p Demand>, session: Current<'_>) -> Lacks<'p> {
        let claims = session.claims();
        let as_if_bound = Situation {
            bound: true,
            ..Situation::of(session)
        };
        let (ruling, _) = self.ruling(extra, claims, as_if_bound);
        if !ruling.refuses() {
            return Lacks::Device;
        }
        let extra = extra.map_or(&[][..], |extra| &extra.requires);
        let rules = self.requires().map(|(_, require)| *require).chain(extra);
        let step_up = StepUp::for_rules(rules, claims, as_if_bound);
        step_up.map_or(Lacks::More, Lacks::Authentication)
    }
}

#[cfg(test)]
pub(crate) mod double {
    use super::*;
    use gatepost_session::{
        Audience, Authentic, KeyRing, NumericDate, SessionId, TextList, Verifier,
    };
    use gatepost_signing::Signer;
    use std::string::ToString;

    /// The instant at which [`claims`] are in force.
    pub(crate) const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

    /// Returns a person whose session is in force at [`NOW`] and not due for renewal.
    pub(crate) fn claims(email: &str) -> Claims {
        Claims {
            iss: "https://id.example.com".into(),
            sub: "1234".into(),
            aud: "wiki".into(),
            sid: SessionId::from_random([7; 24]),
            iat: NOW,
            exp: NOW.plus_seconds(900),
            rnw: NOW.plus_seconds(600),
            nbf: None,
            preferred_username: Some("alice".into()),
            name: None,
            email: Some(email.into()),
            email_verified: None,
            groups: TextList::default(),
            grp_more: false,
            acr: None,
            amr: TextList::default(),
            auth_time: None,
            bound: false,
            ext: Default::default(),
        }
    }

    /// Returns the same claims as a verifier hands them out: there is no other way to a session.
    pub(crate) fn authentic(claims: &Claims) -> Authentic {
        let ring = KeyRing::parse("k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=").expect("ring");
        let token = Signer::new(&ring).sign(claims).expect("token");
        let audience = Audience::new(&claims.aud.to_string()).expect("audience");
        Verifier::new(&ring, audience)
            .authenticate(token.as_bytes())
            .expect("authentic")
    }

    /// Hands a permit with that identity to `f`.
    pub(crate) fn permit<R>(claims: &Claims, f: impl FnOnce(&Permit<'_>) -> R) -> R {
        let authentic = authentic(claims);
        let session = authentic.current(NOW, 0).expect("in force");
        f(&Permit {
            identity: Some(session),
        })
    }
}

#[cfg(test)]
mod tests;
