//! A request and its sender, and what the configuration decides on them.

use std::borrow::Cow;
use std::net::IpAddr;

use gatepost_base::Identity;
use gatepost_policy::{
    ClientAddress, Decision, Deferral, Reason, Request, StepUp, UNKNOWN_METHOD, Unauthenticated,
};
use gatepost_session::{Audience, Authentic, CLOCK_SKEW_SECONDS, NumericDate, SessionId, Verifier};
use url::Url;

use crate::application::{Application, Applications};
use crate::config::Config;
use crate::origin::HostPort;

/// How long the session of a described user lasts, in seconds: it is made and asked about at once.
const WINDOW_SECONDS: u64 = 900;

/// A request, and who sends it.
#[derive(Debug)]
pub(super) struct Question {
    /// Where to, as it is written: no segment is taken out of its path.
    pub(super) url: String,
    pub(super) method: String,
    /// The client's address; `None` where no proxy vouches for one.
    pub(super) client: Option<IpAddr>,
    pub(super) sender: Sender,
}

/// Who sends a request.
#[derive(Debug)]
pub(super) enum Sender {
    /// A client without a session.
    Anonymous,
    /// A user as described, in a session that is bound to a device or not.
    User(Box<Identity>, bool),
    /// The user that a session's cookie names.
    Cookie(String),
}

/// What is decided on a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) application: String,
    /// Method and target, as they are matched.
    pub(super) request: String,
    /// Who sends it, in words.
    pub(super) sender: String,
    pub(super) verdict: Verdict,
    /// The rule that decides: its name or number, or nothing for the short form.
    pub(super) rule: Option<String>,
    /// The rules that have a part in it.
    pub(super) reasons: Vec<Reason>,
    /// What the provider is asked for, where the user has to authenticate again or in another way.
    pub(super) asked_for: Option<String>,
    /// What else there is to say.
    pub(super) note: Option<String>,
}

/// The decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes, with the user's name.
    Allow,
    /// It passes, without one.
    Anonymous,
    SignIn,
    /// Its user has to authenticate again, or in another way.
    StepUp,
    Deny,
    /// The outpost has to look at more than the request's cookie.
    Defer,
    MethodNotAllowed,
}

impl Verdict {
    /// The words of a table.
    pub(super) const WORDS: [(&str, Self); 5] = [
        ("allow", Self::Allow),
        ("anonymous", Self::Anonymous),
        ("sign-in", Self::SignIn),
        ("step-up", Self::StepUp),
        ("deny", Self::Deny),
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::MethodNotAllowed => "method-not-allowed",
            listed => Self::WORDS
                .iter()
                .find(|(_, own)| *own == listed)
                .map_or("", |(word, _)| word),
        }
    }

    /// Returns what happens to the request, in words.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Allow => "passes, with the user's name",
            Self::Anonymous => "passes, without a user's name",
            Self::SignIn => "a page load leads to a sign-in, any other request gets 401",
            Self::StepUp => {
                "a page load leads to the provider, where the user authenticates again or in \
                 another way; any other request gets 401"
            }
            Self::Deny => "is refused with 403",
            Self::Defer => "the outpost decides, which knows more groups or checks the credentials",
            Self::MethodNotAllowed => "is refused to every client with 405",
        }
    }
}

impl Question {
    /// Decides on the request at `now`.
    ///
    /// # Errors
    ///
    /// Why the question has no answer, in words.
    pub(super) fn answer(
        &self,
        config: &Config,
        applications: &Applications,
        now: NumericDate,
    ) -> Result<Answer, String> {
        let (application, target) = self.place(applications)?;
        let request = Asked {
            method: &self.method,
            target,
            client: self.client.map(ClientAddress::from),
        };
        let session = match &self.sender {
            Sender::Anonymous => None,
            Sender::User(user, bound) => Some(session_of(user, *bound, application, now)?),
            Sender::Cookie(cookie) => Some(session_in(cookie, config, application)?),
        };
        let (session, note) = match &session {
            None => (Err(Unauthenticated::NoCookie), None),
            Some(session) => match session.current(now, CLOCK_SKEW_SECONDS) {
                Ok(current) => (Ok(current), None),
                // Which rule would decide is asked, and not what became of the session since.
                Err(over) => {
                    let then = session.claims_at_issue().iat;
                    let note = format!(
                        "this session is not in force now ({over}): decided as when it was issued"
                    );
                    let current = session.current(then, CLOCK_SKEW_SECONDS);
                    (current.map_err(Unauthenticated::Window), Some(note))
                }
            },
        };
        let policy = application.policy();
        let reasons = policy.why(&request, session.ok());
        let mut asked_for = None;
        let (verdict, denied_by) = match policy.decide(&request, session) {
            Decision::Allow(permit) | Decision::Renew(permit) => match permit.identity() {
                Some(_) => (Verdict::Allow, None),
                None => (Verdict::Anonymous, None),
            },
            Decision::SignIn(_) => (Verdict::SignIn, None),
            Decision::Deny(denial) => {
                asked_for = denial.step_up().map(in_words);
                let verdict = match asked_for {
                    Some(_) => Verdict::StepUp,
                    None => Verdict::Deny,
                };
                (verdict, denial.rule().map(str::to_owned))
            }
            Decision::Defer(Deferral::Authorization | Deferral::MoreGroups) => {
                (Verdict::Defer, None)
            }
            Decision::MethodNotAllowed => (Verdict::MethodNotAllowed, None),
        };
        // The last is the one that is surely for the request.
        let last = reasons.last().and_then(|reason| reason.rule.clone());
        let rule = match verdict {
            Verdict::Deny | Verdict::StepUp => denied_by,
            _ => last,
        };
        let sender = match session {
            Err(_) => "a client without a session".to_owned(),
            Ok(session) => {
                let user = session.claims();
                let name = user.preferred_username.as_deref().unwrap_or(&user.sub);
                format!("{name}, groups: {}", user.groups.join(b','))
            }
        };
        Ok(Answer {
            application: application.audience().to_string(),
            request: format!("{} {}", request.method, request.target),
            sender,
            verdict,
            rule,
            reasons,
            asked_for,
            note,
        })
    }

    /// Returns the application at the URL, and the path and query as they are written there: reading
    /// them as a browser does would hide what some clients send.
    fn place<'a>(
        &self,
        applications: &'a Applications,
    ) -> Result<(&'a Application, String), String> {
        let no_url = |why: String| format!("`{}`: {why}", self.url);
        let url = Url::parse(&self.url).map_err(|error| no_url(format!("not a URL: {error}")))?;
        let host = HostPort::parse(&url[url::Position::BeforeHost..url::Position::AfterPort])
            .ok_or_else(|| no_url("has no host".to_owned()))?;
        let origin = url.origin().ascii_serialization();
        let of_origin = applications
            .iter()
            .find(|application| application.external().origin() == origin);
        let found = of_origin.map_or_else(|| applications.at(&host, url.path()), Ok);
        let application: &Application =
            found.map_err(|_| no_url(format!("no application has the host `{host}`")))?;
        let (_, rest) = self
            .url
            .split_once("://")
            .ok_or_else(|| no_url("not a URL with a host".to_owned()))?;
        let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let target = rest.get(path..).unwrap_or_default();
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok((application, format!("{slash}{target}")))
    }
}

/// Returns what a provider is asked for, as parameters of the request. The outpost adds the class of
/// the session where there is none.
fn in_words(step_up: &StepUp<'_>) -> String {
    let classes = step_up.acr_values();
    let classes = (!classes.is_empty()).then(|| format!("acr_values={classes}"));
    let age = step_up.max_age().map(|age| format!("max_age={age}"));
    let parts: Vec<String> = classes.into_iter().chain(age).collect();
    match parts.is_empty() {
        true => "prompt=login".to_owned(),
        false => parts.join(", "),
    }
}

/// Returns a session of a described user, as the outpost would sign it.
fn session_of(
    user: &Identity,
    bound: bool,
    application: &Application,
    now: NumericDate,
) -> Result<Authentic, String> {
    let issuer = application
        .providers()
        .first()
        .settings()
        .issuer
        .to_string();
    let user = Identity {
        issuer,
        ..user.clone()
    };
    let ends = now.plus_seconds(WINDOW_SECONDS);
    let audience = application.audience().to_string();
    let mut claims = user.into_claims(audience, SessionId::placeholder(), now, ends, ends);
    claims.bound = bound;
    let session = application.signer().vouch_for(&claims);
    session.map_err(|error| format!("no session can have this user: {error}"))
}

/// Returns the session of a cookie that a key of the application has made.
fn session_in(
    cookie: &str,
    config: &Config,
    application: &Application,
) -> Result<Authentic, String> {
    // Browsers copy it with its name; base64url has no `=`.
    let cookie = cookie.trim();
    let cookie = cookie.rsplit_once('=').map_or(cookie, |(_, value)| value);
    let audience: Audience = application.audience().clone();
    let mut applications = config.applications.iter();
    let own = applications.find(|settings| settings.audience == audience);
    let own = own.and_then(|settings| settings.capabilities.keys.as_ref());
    let keys = own.map_or(&config.keys, |own| &own.ring);
    Verifier::new(keys, audience)
        .authenticate(cookie.as_bytes())
        .map_err(|error| {
            let name = application.audience();
            format!("the cookie is no session of `{name}` by these keys: {error}")
        })
}

/// A request that no client has sent.
struct Asked<'q> {
    method: &'q str,
    target: String,
    client: Option<ClientAddress>,
}

impl Request for Asked<'_> {
    fn method(&self) -> Cow<'_, [u8]> {
        match self.method {
            "" => UNKNOWN_METHOD.as_bytes().into(),
            method => method.as_bytes().into(),
        }
    }

    fn target(&self) -> Cow<'_, [u8]> {
        self.target.as_bytes().into()
    }

    fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_address(&self) -> Option<ClientAddress> {
        self.client
    }
}
