//! Sign-ins under way: the state that has to survive the redirect to the provider.
//!
//! Everything is in encrypted cookies of each flow, so that tabs do not disturb each other, any
//! replica can finish what another began, and a user who does not come back leaves nothing behind.
//! The cookies' name is derived from `state`, so a callback finds its own.
//!
//! Servers refuse requests with too many cookies, so the oldest flows make room for a new one; and
//! cookies end, with their flow or with the browser. `state` itself therefore carries a [`Note`],
//! sealed too: where a callback finds no flow, the note says where the user was going, and the
//! sign-in starts again. A note signs no user in.
//!
//! The cookie is large, so it is sent to the outpost's paths only. That rules out the `__Host-`
//! prefix, without which another host of the domain could set a flow of its own and so sign a user
//! in as another. Over TLS a second cookie with that prefix, which no other host can set, therefore
//! says that this browser began the flow here.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_policy::{LinkedConditions, UNKNOWN_METHOD};
use gatepost_session::{NumericDate, SessionId};
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::application::Application;
use crate::application::ReturnTo;
use gatepost_base::SealingKeys;
use gatepost_oidc::{AuthorizationRequest, Provider};

pub(crate) mod long_targets;
#[cfg(test)]
mod tests;

/// How long a user may take at the provider, in seconds: a little longer than the half hour that
/// the pages of providers last.
pub(crate) const LIFETIME_SECONDS: u32 = 2_100;

/// The room that the cookies of all flows of a browser share, in bytes. Beyond it the oldest flows
/// are dropped: many servers accept 8 KiB of cookies, of which a session takes up to half. The
/// newest flow is kept, whatever its size.
const ROOM: usize = 4_096;

/// The most flows that one response drops: proxies refuse a response with too many headers, and another
/// host of the domain can give a browser more than a hundred cookies that look like flows.
const MAX_DROPPED: usize = 4;

/// The longest part of a sealed flow that one cookie holds, in bytes: browsers store 4096, with the
/// name and the attributes.
const CHUNK: usize = 3_600;

/// The most cookies of one flow: enough for the longest target.
const MAX_CHUNKS: usize = 4;

/// The longest target that a note carries, in bytes: it is part of a URL of the provider.
const MAX_NOTED_BYTES: usize = 1_024;

/// A sign-in that waits for its callback. Consumed when its code is exchanged, so state, nonce and
/// code verifier serve once.
#[derive(Debug)]
pub(crate) struct PendingSignIn {
    /// Binds the callback to this browser (RFC 6749 §10.12).
    pub state: CsrfToken,
    /// Binds the ID token to this flow (OpenID Connect Core 1.0 §3.1.2.1).
    pub nonce: Nonce,
    /// Binds the code to this flow (RFC 7636).
    pub code_verifier: PkceCodeVerifier,
    /// Where the browser goes afterwards.
    pub return_to: ReturnTo,
    /// What it is for.
    pub purpose: Purpose,
    /// How often the sign-in was restarted before, without the user.
    pub restarts: u8,
    /// When the browser was sent to the provider.
    pub began: NumericDate,
}

/// What a sign-in is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session begins.
    SignIn,
    /// This session is renewed, and the provider shows no page. The flow says nothing of any other
    /// session.
    Renewal(SessionId),
    /// A signed-in user authenticates again.
    StepUp(SteppingUp),
}

impl Purpose {
    /// Returns who is to authenticate again, if anyone is.
    pub(crate) fn step_up(&self) -> Option<&SteppingUp> {
        match self {
            Self::StepUp(step_up) => Some(step_up),
            Self::SignIn | Self::Renewal(_) => None,
        }
    }

    /// Returns the session that is renewed, if one is.
    pub(crate) fn renewed(&self) -> Option<&SessionId> {
        match self {
            Self::Renewal(session) => Some(session),
            Self::SignIn | Self::StepUp(_) => None,
        }
    }
}

/// A signed-in user who is to authenticate again. What the application's rules ask for is looked up
/// when the browser is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SteppingUp {
    /// The user's session.
    pub session: SessionId,
    /// The user's provider. No other user's session takes the place of this one.
    pub issuer: String,
    /// The user's id there.
    pub subject: String,
    /// The request for which the authentication has to suffice, where it is known.
    pub request: Option<AskedRequest>,
    /// What a link alone asks of the authentication.
    pub conditions: Option<LinkedConditions>,
    /// Whether the user takes a weaker session for the one before, as a page has said.
    pub replaces: bool,
}

/// A request that a user wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskedRequest {
    /// Its method.
    pub method: String,
    /// Whether its proxy may say nothing of the client either, so that no address is known.
    pub is_from_anywhere: bool,
    /// Where it goes, unless that is where the browser goes after the sign-in.
    pub url: Option<ReturnTo>,
}

impl AskedRequest {
    /// Returns the same request, of which its proxy does not say the method, and perhaps not the client
    /// either.
    #[must_use]
    pub(crate) fn of_unknown_method(self, is_from_anywhere: bool) -> Self {
        Self {
            method: UNKNOWN_METHOD.to_owned(),
            is_from_anywhere,
            ..self
        }
    }
}

impl PendingSignIn {
    /// Returns what to keep of an authorization request until its callback, of a sign-in that begins
    /// `now`.
    pub(crate) fn new(
        request: AuthorizationRequest,
        note: Note,
        purpose: Purpose,
        now: NumericDate,
    ) -> Self {
        let AuthorizationRequest {
            url: _,
            state,
            nonce,
            verifier,
        } = request;
        let Note {
            return_to,
            restarts,
            step_up: _,
        } = note;
        Self {
            state,
            nonce,
            code_verifier: verifier,
            return_to,
            purpose,
            restarts,
            began: now,
        }
    }
}

/// What `state` carries behind its random part, sealed.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Where the user was going.
    pub return_to: ReturnTo,
    /// How often the sign-in was restarted before, without the user.
    pub restarts: u8,
    /// Set where a signed-in user was to authenticate again: the parameters of the link that asked.
    pub step_up: Option<Vec<(String, String)>>,
}

/// The plaintext of a note.
#[derive(Serialize, Deserialize)]
struct SealedNote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rd: Option<String>,
    #[serde(default)]
    restarts: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_up: Option<Vec<(String, String)>>,
}

impl Note {
    /// Returns the note as text for `state`. `None` when the operating system has no randomness.
    pub(crate) fn seal(&self, application: &Application, keys: &SealingKeys) -> Option<String> {
        let rd = self.return_to.as_str();
        let room = MAX_NOTED_BYTES.checked_sub(rd.len());
        // If the parameters do not fit, an empty list still says that this was a step-up.
        let step_up = self.step_up.clone().map(|mut parameters| {
            let bytes: usize = parameters.iter().map(|(_, value)| value.len()).sum();
            parameters.retain(|_| room.is_some_and(|room| bytes <= room));
            parameters
        });
        let note = SealedNote {
            rd: room.map(|_| rd.to_owned()),
            restarts: self.restarts,
            step_up,
        };
        keys.seal_text(&note_context(application), &serde_json::to_vec(&note).ok()?)
    }

    /// Returns the note in a `state` that was made here for this application.
    fn open(state: &str, application: &Application, keys: &SealingKeys) -> Option<Self> {
        let (_, note) = state.split_once(NOTE_MARK)?;
        let note = keys.open_text(&note_context(application), note)?;
        let SealedNote {
            rd,
            restarts,
            step_up,
        } = serde_json::from_slice(&note).ok()?;
        let return_to = rd.and_then(|rd| ReturnTo::parse(&rd, application));
        Some(Self {
            return_to: return_to.unwrap_or_else(|| ReturnTo::fallback(application)),
            restarts,
            step_up,
        })
    }
}

/// Returns what a note is sealed for: it opens for its application alone.
fn note_context(application: &Application) -> String {
    format!("note of {}", application.audience())
}

/// The plaintext of a flow cookie.
#[derive(Serialize, Deserialize)]
struct Sealed {
    application: String,
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    rd: String,
    #[serde(default)]
    silent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_up: Option<SealedStepUp>,
    #[serde(default)]
    restarts: u8,
    exp: NumericDate,
}

/// The plaintext of a [`SteppingUp`] in a flow cookie.
#[derive(Serialize, Deserialize)]
struct SealedStepUp {
    session: String,
    iss: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default)]
    anywhere: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conditions: Option<String>,
    #[serde(default)]
    replaces: bool,
}

impl SealedStepUp {
    fn of(step_up: &SteppingUp) -> Self {
        let request = step_up.request.as_ref();
        let url = request.and_then(|request| request.url.as_ref());
        let conditions = step_up.conditions.as_ref();
        Self {
            session: step_up.session.expose().to_owned(),
            iss: step_up.issuer.clone(),
            sub: step_up.subject.clone(),
            method: request.map(|request| request.method.clone()),
            anywhere: request.is_some_and(|request| request.is_from_anywhere),
            url: url.map(|url| url.as_str().to_owned()),
            conditions: conditions.map(|conditions| conditions.step_up().to_text()),
            replaces: step_up.replaces,
        }
    }

    /// Returns what was sealed; `None` where it is no more valid.
    fn open(self, application: &Application) -> Option<SteppingUp> {
        let url = match self.url {
            Some(url) => Some(ReturnTo::parse(&url, application)?),
            None => None,
        };
        let conditions = self.conditions;
        let conditions = conditions.map(|text| LinkedConditions::from_text(&text));
        Some(SteppingUp {
            session: SessionId::parse(&self.session)?,
            issuer: self.iss,
            subject: self.sub,
            request: self.method.map(|method| AskedRequest {
                method,
                is_from_anywhere: self.anywhere,
                url,
            }),
            conditions: conditions.transpose().ok()?,
            replaces: self.replaces,
        })
    }
}

/// The flow cookies of one request for one application.
pub(crate) struct FlowCookies<'a> {
    application: &'a Application,
    keys: &'a SealingKeys,
    /// The values of each name.
    values: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> FlowCookies<'a> {
    /// Finds them among the cookies of a request.
    pub(crate) fn find(
        cookies: impl IntoIterator<Item = (&'a str, &'a str)>,
        application: &'a Application,
        keys: &'a SealingKeys,
    ) -> Self {
        let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, value) in cookies {
            if name.starts_with(flow_prefix(application)) || name.starts_with(MARK_PREFIX) {
                values.entry(name).or_default().push(value);
            }
        }
        Self {
            application,
            keys,
            values,
        }
    }

    /// Returns the `Set-Cookie` lines that store a new flow, and drop the oldest if there are too
    /// many.
    ///
    /// `None` when the operating system has no randomness or the flow does not fit a cookie.
    pub(crate) fn begin(&self, provider: &Provider, flow: &PendingSignIn) -> Option<Vec<String>> {
        let id = id_of(flow.state.secret());
        let name = self.name(&id);
        let sealed = Sealed {
            application: self.application.audience().to_string(),
            provider: provider.settings().issuer.to_string(),
            state: random_part(flow.state.secret()).to_owned(),
            nonce: flow.nonce.secret().clone(),
            verifier: flow.code_verifier.secret().clone(),
            // What does not fit is kept by `LongTargets`.
            rd: match flow.return_to.fits_cookies(self.application) {
                true => flow.return_to.as_str().to_owned(),
                false => ReturnTo::fallback(self.application).as_str().to_owned(),
            },
            silent: flow.purpose.renewed().is_some(),
            session: flow.purpose.renewed().map(|id| id.expose().to_owned()),
            step_up: flow.purpose.step_up().map(SealedStepUp::of),
            restarts: flow.restarts,
            exp: flow.began.plus_seconds(LIFETIME_SECONDS.into()),
        };
        let value = self
            .keys
            .seal_text(&name, &serde_json::to_vec(&sealed).ok()?)?;
        if value.len() > CHUNK * MAX_CHUNKS {
            return None;
        }
        let mut lines = self.setting(&id, &value);
        let size = name.len() + value.len();
        for id in self.surplus(size, flow.began) {
            lines.extend(self.removal(id));
        }
        Some(lines)
    }

    /// Returns the note in the `state` of a callback, if the sign-in began here for this
    /// application. The browser may be another.
    pub(crate) fn note(&self, state: &str) -> Option<Note> {
        Note::open(state, self.application, self.keys)
    }

    /// Returns the flow that a callback with this `state` finishes, if this browser began it here
    /// for this application and one of its providers, and not too long ago; and that provider,
    /// which alone may finish it.
    pub(crate) fn take(
        &self,
        state: &str,
        now: NumericDate,
    ) -> Option<(&'a Arc<Provider>, PendingSignIn)> {
        let id = id_of(state);
        let name = self.name(&id);
        if !self.is_begun_here(&id) {
            return None;
        }
        let sealed = self.open(&name)?;
        let provider = self.application.providers().of_issuer(&sealed.provider)?;
        let state = random_part(state);
        let right = bool::from(sealed.state.as_bytes().ct_eq(state.as_bytes()))
            && sealed.application == self.application.audience().as_str()
            && now < sealed.exp;
        if !right {
            return None;
        }
        let return_to = ReturnTo::parse(&sealed.rd, self.application)
            .unwrap_or_else(|| ReturnTo::fallback(self.application));
        let purpose = match (sealed.silent, sealed.session, sealed.step_up) {
            (false, None, None) => Purpose::SignIn,
            (true, Some(session), None) => Purpose::Renewal(SessionId::parse(&session)?),
            (false, None, Some(step_up)) => Purpose::StepUp(step_up.open(self.application)?),
            _ => return None,
        };
        let began = sealed
            .exp
            .as_seconds()
            .saturating_sub(LIFETIME_SECONDS.into());
        let pending = PendingSignIn {
            state: CsrfToken::new(sealed.state),
            nonce: Nonce::new(sealed.nonce),
            code_verifier: PkceCodeVerifier::new(sealed.verifier),
            return_to,
            purpose,
            restarts: sealed.restarts,
            began: NumericDate::from_seconds(began),
        };
        Some((provider, pending))
    }

    /// Returns the `Set-Cookie` lines that end the flow of this `state`, if the request carries it.
    pub(crate) fn end(&self, state: &str) -> Vec<String> {
        let id = id_of(state);
        if self.values.contains_key(&*self.name(&id)) {
            self.removal(&id)
        } else {
            Vec::new()
        }
    }

    /// Returns the flows to drop so that a new one of `size` bytes has room: first those that
    /// cannot be opened, then the oldest. Flows that were not begun here stay: they have a `Domain`, without
    /// which a response does not remove them.
    fn surplus(&self, size: usize, now: NumericDate) -> Vec<&'a str> {
        let prefix = flow_prefix(self.application);
        let mut sizes: BTreeMap<&'a str, usize> = BTreeMap::new();
        for (name, values) in &self.values {
            if let Some(rest) = name.strip_prefix(prefix) {
                let id = rest.split('.').next().unwrap_or(rest);
                let bytes = values.iter().map(|value| name.len() + value.len());
                *sizes.entry(id).or_default() += bytes.sum::<usize>();
            }
        }
        sizes.retain(|id, _| self.is_begun_here(id));
        let expiry = |id: &str| {
            let expiry = self.open(&self.name(id)).map(|sealed| sealed.exp);
            expiry.filter(|expiry| now < *expiry)
        };
        let mut flows: Vec<(Option<NumericDate>, &'a str, usize)> = sizes
            .into_iter()
            .map(|(id, size)| (expiry(id), id, size))
            .collect();
        flows.sort_unstable();
        let mut total = size + flows.iter().map(|(.., size)| size).sum::<usize>();
        let mut dropped = Vec::new();
        for (expiry, id, size) in flows {
            if dropped.len() == MAX_DROPPED || (total <= ROOM && expiry.is_some()) {
                break;
            }
            total -= size;
            dropped.push(id);
        }
        dropped
    }

    /// Returns the values of the cookies of that name.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values.get(name).into_iter().flatten().copied()
    }

    /// Returns whether no other host can have set this flow, over TLS.
    fn is_begun_here(&self, id: &str) -> bool {
        !self.application.cookie().secure || self.values.contains_key(&*mark_name(id))
    }

    /// Opens a flow.
    fn open(&self, name: &str) -> Option<Sealed> {
        let further: String = (1..MAX_CHUNKS)
            .map_while(|at| self.values(&chunk_name(name, at)).next())
            .collect();
        // More than one means tampering; only a few are tried, to bound the work.
        let plaintext = self.values(name).take(4).find_map(|first| {
            let value = format!("{first}{further}");
            self.keys.open_text(name, &value)
        })?;
        serde_json::from_slice(&plaintext).ok()
    }

    /// Returns the `Set-Cookie` lines that set a flow.
    fn setting(&self, id: &str, value: &str) -> Vec<String> {
        let name = self.name(id);
        let mut rest = value;
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at_checked(CHUNK).unwrap_or((rest, ""));
            lines.push(self.line(&chunk_name(&name, lines.len()), chunk, LIFETIME_SECONDS));
            rest = after;
        }
        lines.extend(self.mark(id, "1", LIFETIME_SECONDS));
        lines
    }

    /// Returns the `Set-Cookie` lines that remove a flow, as far as the request carries it.
    fn removal(&self, id: &str) -> Vec<String> {
        let name = self.name(id);
        let carried = |at: &usize| *at == 0 || self.values.contains_key(&*chunk_name(&name, *at));
        let chunks = (0..MAX_CHUNKS).filter(carried);
        let mut lines: Vec<String> = chunks
            .map(|at| self.line(&chunk_name(&name, at), "", 0))
            .collect();
        lines.extend(self.mark(id, "", 0));
        lines
    }

    fn line(&self, name: &str, value: &str, max_age: u32) -> String {
        let path = self.application.flow_path();
        self.application.own_cookie(name, value, path, max_age)
    }

    /// Returns the line of the cookie that marks a flow as begun here, over TLS.
    fn mark(&self, id: &str, value: &str, max_age: u32) -> Option<String> {
        let name = mark_name(id);
        let is_secure = self.application.cookie().secure;
        is_secure.then(|| self.application.own_cookie(&name, value, "/", max_age))
    }

    fn name(&self, id: &str) -> String {
        format!("{}{id}", flow_prefix(self.application))
    }
}

/// Returns the name of one of the cookies that a flow is in.
fn chunk_name(name: &str, at: usize) -> String {
    match at {
        0 => name.to_owned(),
        at => format!("{name}.{at}"),
    }
}

/// What stands between the random part of `state` and its note. The random part has none.
const NOTE_MARK: char = '.';

/// Returns the random part of `state`, without the note.
fn random_part(state: &str) -> &str {
    state.split(NOTE_MARK).next().unwrap_or(state)
}

/// The prefix of the cookie that marks a flow as begun here.
const MARK_PREFIX: &str = "__Host-gatepost-flow-";

fn mark_name(id: &str) -> String {
    format!("{MARK_PREFIX}{id}")
}

/// Returns the prefix of a flow's cookie.
fn flow_prefix(application: &Application) -> &'static str {
    if application.cookie().secure {
        "__Secure-gatepost-flow-"
    } else {
        "gatepost-flow-"
    }
}

/// Returns the id of a flow, which the names of its cookies have. It is a hash, so that a name,
/// which is in more logs than a value, does not reveal `state`.
fn id_of(state: &str) -> String {
    let digest = Sha256::digest(random_part(state).as_bytes());
    let short: Vec<u8> = digest.iter().copied().take(12).collect();
    URL_SAFE_NO_PAD.encode(short)
}
