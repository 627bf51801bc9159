//! From the provider's answer to a session: the code is exchanged, the user is checked, the session
//! begins.

use std::time::Duration;

use gatepost_base::Identity;
use gatepost_oidc::{Provider, SignedIn};
use gatepost_session::{NumericDate, SessionId};
use gatepost_store::SessionRecord;
use openidconnect::{AuthorizationCode, RedirectUrl};

use super::arrival::Callback;
use super::response::Response;
use crate::application::ReturnTo;
use crate::sessions::{IssueError, Issued, Mark};
use crate::sign_in_flow::{PendingSignIn, Purpose, SteppingUp};
use crate::telemetry::audit;
use crate::telemetry::metrics::Success;
use crate::web::device;
use crate::web::failure::Failure;
use crate::web::loop_guard::Attempts;
use crate::web::outcome::{Outcome, Reply};
use crate::web::provider_choice;
use crate::web::step_up::{self, Checked};
use crate::web::urls::start_url;

impl Callback<'_> {
    /// Exchanges the code of a sign-in, and makes its session.
    ///
    /// # Errors
    ///
    /// [`Failure`], and then the user has no new session.
    pub(super) async fn complete(
        self,
        response: Response,
        pending: PendingSignIn,
    ) -> Result<Reply, Failure> {
        let (context, provider) = (self.context, self.provider);
        let is_step_up = pending.purpose.step_up().is_some();
        let code = code(provider, response, is_step_up)?;
        let redirect_uri = RedirectUrl::new(self.application.redirect_uri(provider))
            .map_err(|_| Failure::FlowNotKept)?;
        let PendingSignIn {
            state: _,
            nonce,
            code_verifier,
            return_to,
            purpose,
            restarts: _,
            began,
        } = pending;
        let at_provider = Duration::from_secs(context.now().seconds_since(began));
        let revocations = context.sessions().revoker().mark(began).await;
        let claims = self.application.claims_of_sessions();
        let signed_in = provider
            .finish(code, nonce, code_verifier, redirect_uri, &claims)
            .await?;
        let instead = match &purpose {
            Purpose::Renewal(renewed) => {
                provider.note_silent_request(at_provider);
                let is_its_own = self.check_silent(&signed_in.identity, renewed).await?;
                (!is_its_own).then(|| {
                    let to = start_url(self.application, &return_to, None);
                    Outcome::Redirect { to }.into()
                })
            }
            Purpose::StepUp(step_up) => self.check_step_up(&signed_in, step_up, &return_to).await?,
            Purpose::SignIn => {
                let keeps = self.keeps_live_session(&signed_in, began).await?;
                keeps.then(|| Outcome::back(&return_to).into())
            }
        };
        match instead {
            Some(reply) => Ok(reply),
            None => {
                let stepped_up = purpose.step_up();
                self.begin_session(signed_in, stepped_up, revocations, &return_to)
                    .await
            }
        }
    }

    /// Checks that a silent renewal brought the user of the session that the browser still has. Returns
    /// false where that is not the session that was to be renewed (`renewed`), as after a step-up in another
    /// tab, or where it is bound to a device by now: what came back takes no such session's place.
    async fn check_silent(self, new: &Identity, renewed: &SessionId) -> Result<bool, Failure> {
        // Only now: it may have ended during the redirect or the exchange.
        let (cookie, live) = self.live_session().await?.ok_or(Failure::NoFlow)?;
        if live.id != *renewed || live.is_bound() || cookie.claims_at_issue().bound {
            return Ok(false);
        }
        check_same_user(&live, new).map(|()| true).map_err(|_| {
            // The session's user is not signed in there, which is what the provider itself should have
            // said (OpenID Connect Core 1.0 §3.1.2.1 on `id_token_hint`).
            Failure::ProviderRefused {
                code: "login_required".to_owned(),
                description: Some("another user is signed in at the provider".to_owned()),
            }
        })
    }

    /// Checks that a user who was to authenticate again is the same and has done so. Returns the reply
    /// where no session begins: what was asked for says nothing of what came back, and where less did,
    /// the session from before goes on.
    async fn check_step_up(
        self,
        signed_in: &SignedIn,
        step_up: &SteppingUp,
        return_to: &ReturnTo,
    ) -> Result<Option<Reply>, Failure> {
        let (context, application) = (self.context, self.application);
        let live = self.live_session().await?.map(|(_, record)| record);
        if live.is_none() {
            // The browser may have lost its cookie. A session that was ended does not begin again.
            let (sessions, times) = (context.sessions(), context.times());
            let own = sessions.find_by_id(times, application, &step_up.session);
            let own = own.await.map_err(Failure::Store)?;
            own.ok_or(Failure::NoFlow)?;
        }
        let live = live.as_deref();
        check_user(step_up, live, &signed_in.identity)?;
        let checked = step_up::check(
            context,
            application,
            self.request,
            signed_in,
            step_up,
            live,
            return_to,
        );
        Ok(match checked? {
            Checked::Enough => None,
            Checked::NotNeeded => Some(Outcome::back(return_to).into()),
            Checked::Refused(denied) => Some(Outcome::Denied(*denied).into()),
        })
    }

    /// Returns whether the browser keeps the session that it has by now, since a plain sign-in brought a
    /// weaker one.
    ///
    /// A session that began after this sign-in is the user's latest decision. An older one did not
    /// suffice, or this sign-in would not have begun. Both times are whole seconds, so one of the same
    /// second may have begun after it. (One that began in the second of a sign-out has a time of
    /// creation a second later, so that the sign-out does not end it.)
    ///
    /// # Errors
    ///
    /// [`Failure::OtherUser`] where such a session is another user's.
    async fn keeps_live_session(
        self,
        signed_in: &SignedIn,
        began: NumericDate,
    ) -> Result<bool, Failure> {
        let (context, application) = (self.context, self.application);
        let live = self.live_session().await?.map(|(_, record)| record);
        let Some(live) = live.filter(|live| live.created >= began) else {
            return Ok(false);
        };
        check_same_user(&live, &signed_in.identity)?;
        let (sessions, times) = (context.sessions(), context.times());
        let policy = application.policy();
        let new = sessions.preview(times, application, &signed_in.identity)?;
        let new = new.claims_at_issue();
        let before = sessions.as_if_fresh(times, application, &live, false)?;
        // A user whom no rule admits any more has no session.
        let keeps = policy.may_admit(new) && policy.is_weaker(new, before.claims_at_issue());
        if keeps {
            tracing::info!(
                application = %application.audience(),
                session = live.id.log_id(),
                "a sign-in that began before the browser's session brought a weaker one: the session \
                 goes on"
            );
        }
        Ok(keeps)
    }

    /// Makes the session of a user who has signed in, and sends the browser to where the sign-in was to
    /// lead. The sessions that it had before end.
    async fn begin_session(
        self,
        signed_in: SignedIn,
        step_up: Option<&SteppingUp>,
        revocations: Mark,
        return_to: &ReturnTo,
    ) -> Result<Reply, Failure> {
        let Self {
            context,
            application,
            provider,
            request,
        } = self;
        let identity = signed_in.identity.clone();
        let candidates = request.session_candidates(&application.cookie().name);
        let (sessions, times) = (context.sessions(), context.times());
        let issued = sessions.issue(times, application, signed_in, &candidates, revocations);
        let issued = issued.await.map_err(|error| match error {
            IssueError::Revoked => Failure::NoFlow,
            error => Failure::Issue(error),
        })?;
        let remembered = provider_choice::remember(application, provider);
        let minted = match issued {
            Issued::Cookie(minted) => minted,
            // Not a loop, however often the user tries.
            Issued::Refused(claims) => {
                return Ok(Outcome::refused_by_rule(application, &claims)
                    .and_cookies(remembered)
                    .and_cookies([Attempts::of(request, application, return_to).forget()]));
            }
        };
        let id = minted.session.session_id();
        application.counts().signed_in(Success::Succeeded);
        audit::signed_in(application.audience().as_str(), &identity, id);
        if let Some(step_up) = step_up {
            tracing::info!(
                application = %application.audience(),
                session = id.log_id(),
                before = step_up.session.log_id(),
                "a signed-in user has authenticated again"
            );
        }
        let registration = device::registration(context, application, id);
        Ok(Outcome::back(return_to)
            .with_cookies(minted.cookies)
            .and_cookies(remembered)
            .and_cookies(device::remove_cookies(application, request))
            .with_registration(registration))
    }
}

/// Returns the code that a provider's answer has.
fn code(
    provider: &Provider,
    response: Response,
    is_step_up: bool,
) -> Result<AuthorizationCode, Failure> {
    if response.repeats_issuer {
        return Err(Failure::MalformedCallback);
    }
    provider.check_response_issuer(response.iss.as_deref())?;
    match response.error {
        // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
        Some(code) if is_step_up && code == "unmet_authentication_requirements" => {
            Err(Failure::StepUp)
        }
        Some(code) => Err(Failure::ProviderRefused {
            code,
            description: response.error_description,
        }),
        None => {
            let code = response.code.ok_or(Failure::MalformedCallback)?;
            Ok(AuthorizationCode::new(code))
        }
    }
}

/// Checks that the user who has authenticated again is the one who was to, and whose session the browser
/// has (`live`). Any site can have a browser begin that, and another user may be signed in at the
/// provider.
///
/// # Errors
///
/// [`Failure::OtherUser`].
fn check_user(
    step_up: &SteppingUp,
    live: Option<&SessionRecord>,
    new: &Identity,
) -> Result<(), Failure> {
    if let Some(live) = live {
        check_same_user(live, new)?;
    }
    (step_up.issuer == new.issuer && step_up.subject == new.subject)
        .then_some(())
        .ok_or(Failure::OtherUser)
}

/// Checks that the user who has signed in is the one whose session the browser has.
///
/// # Errors
///
/// [`Failure::OtherUser`].
fn check_same_user(live: &SessionRecord, new: &Identity) -> Result<(), Failure> {
    let own = &live.identity;
    (own.issuer == new.issuer && own.subject == new.subject)
        .then_some(())
        .ok_or(Failure::OtherUser)
}
