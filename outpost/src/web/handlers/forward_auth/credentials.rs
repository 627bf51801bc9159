//! Decides on a request without a session whose client has credentials.

use gatepost_base::Secret;
use gatepost_policy::{API_KEY_PREFIX, Decision, Presentation, Scheme, Unauthenticated};
use gatepost_session::CLOCK_SKEW_SECONDS;

use super::bound::{self, Unproven};
use super::rules::Rules;
use crate::application::{Application, InvalidCredentials};
use crate::dialect::Dialect;
use crate::machine_clients::{self, ApiKey, CheckError, Credentials, InvalidDpopProof};
use crate::origin::HostPort;
use crate::rate_limit::TooMany;
use crate::telemetry::audit;
use crate::web::challenges;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Refused};
use crate::web::pass::Pass;
use crate::web::request::ForwardedRequest;

/// Decides on the credentials of a request that the policy leaves to them.
///
/// # Errors
///
/// [`Invalid`] where they identify no client.
pub(super) async fn decide(
    context: Context<'_>,
    dialect: Dialect,
    rules: Rules<'_>,
    request: &ForwardedRequest<'_>,
) -> Result<Outcome, Invalid> {
    let application = rules.application;
    let allowed = rules.policy.machine_clients.scheme_of(request);
    let (Some(clients), Some(scheme)) = (context.snapshot.machine_clients(application), allowed)
    else {
        return Ok(Outcome::Failed(Failure::Undecidable));
    };
    let invalid = |outcome| Invalid {
        treatment: clients.settings().invalid_credentials,
        outcome,
    };
    let refused = |retry_after| {
        invalid(Outcome::Refused(Refused {
            challenge: challenges::for_invalid(application, request, scheme),
            retry_after,
            is_step_up: false,
        }))
    };
    let of_invalid_proof = |reason: InvalidDpopProof| {
        tracing::info!(application = %application.audience(), %reason, "a proof of a key is invalid");
        invalid(Outcome::Refused(Refused {
            challenge: challenges::for_invalid_proof(application, request),
            retry_after: None,
            is_step_up: false,
        }))
    };
    // One moment for all: a token may expire between them.
    let now = context.now();
    let Some(sent) = Sent::of(rules, request, scheme) else {
        return Err(refused(None));
    };
    let certificate = context.snapshot.certificate_header.as_ref();
    let certificate = certificate.and_then(|header| request.client_certificate(header));
    let check = machine_clients::Context {
        failed_attempts: &context.outpost.failed_attempts,
        revocations: context.sessions().revoker().revocations(),
        clock: &context.outpost.clock,
        application,
        times: context.times(),
        client: request.client(),
        certificate: certificate.as_ref(),
    };
    let is_in_authorization = !matches!(sent, Sent::KeyInHeader(_));
    let is_bound = matches!(sent, Sent::Bound(..));
    let checked = match sent {
        Sent::Key(key) | Sent::KeyInHeader(key) => {
            context.outpost.api_keys.check(check, &key).await
        }
        Sent::Other(credentials) => clients.check(check, credentials).await,
        Sent::Bound(token) => {
            let checked = bound::check(context, clients, check, request, token, now).await;
            match checked {
                Ok(machine) => Ok(machine),
                Err(Unproven::Token(error)) => Err(error),
                Err(Unproven::Proof(reason)) => return Err(of_invalid_proof(reason)),
                Err(Unproven::TooMany(TooMany { retry_after })) => {
                    return Err(refused(Some(retry_after)));
                }
                Err(Unproven::Store(error)) => {
                    return Err(invalid(Outcome::Failed(error.into())));
                }
            }
        }
    };
    let machine = match checked {
        Ok(machine) => machine,
        Err(error) => {
            return Err(match &*error {
                CheckError::Refused(_) | CheckError::ApiKey(_) => refused(None),
                CheckError::Store(error) => invalid(Outcome::Failed(error.clone().into())),
                CheckError::TooMany(too_many) => refused(Some(too_many.retry_after)),
                CheckError::NotAnswered(_) | CheckError::Busy => {
                    invalid(Outcome::Failed(Failure::Credentials(error)))
                }
            });
        }
    };
    let Ok(session) = machine.session(application, now) else {
        return Err(refused(None));
    };
    let current = session
        .current(now, CLOCK_SKEW_SECONDS)
        .map_err(Unauthenticated::Window);
    let demand = request.demand_of(current);
    match rules
        .policy
        .decide_with(request, current, demand.as_deref())
    {
        Decision::Allow(permit) | Decision::Renew(permit) => {
            let pass = Pass::new(&permit, application, request, dialect);
            // An application that sees an API key could use it at others. One that came in its own
            // header says nothing of `Authorization`, which is the application's then.
            let is_forwarded = clients.settings().forward && machine.token.is_some();
            let pass = if is_forwarded || !is_in_authorization {
                pass
            } else {
                pass.without_credentials(dialect)
            };
            let token_headers = application.capabilities().token_headers.as_ref();
            // Without its key, which the client has, a bound token is of no use to the application. A
            // token of a further issuer is not one of the provider whose services the application calls.
            let issuer = &machine.holder.identity.issuer;
            let is_providers = application.providers().of_issuer(issuer).is_some();
            let goes_on = permit.identity().is_some() && is_providers && !is_bound;
            let token_headers = token_headers.filter(|_| goes_on);
            let pass = match (token_headers, &machine.token) {
                (Some(own), Some(token)) => {
                    pass.with_headers(own.of_token(token, &machine.holder.claims))
                }
                _ => pass,
            };
            Ok(Outcome::Pass(pass))
        }
        // Who has a token can get another. With a name and a password, or a key, there is no other.
        Decision::Deny(denial)
            if machine.token.is_some() && matches!(scheme, Scheme::Bearer | Scheme::Dpop) =>
        {
            Ok(match denial.step_up() {
                Some(step_up) => {
                    if let Some(user) = denial.identity() {
                        audit::step_up(application.audience().as_str(), user, denial.rule());
                    }
                    Outcome::Refused(Refused {
                        challenge: challenges::for_weak_token(
                            application,
                            request,
                            scheme,
                            step_up,
                        ),
                        retry_after: None,
                        is_step_up: true,
                    })
                }
                None => Outcome::denied(application, &denial),
            })
        }
        Decision::Deny(denial) => Ok(Outcome::denied(application, &denial)),
        Decision::SignIn(_) => Err(refused(None)),
        Decision::MethodNotAllowed => Ok(Outcome::Failed(Failure::MethodNotAllowed)),
        Decision::Defer(_) => Ok(Outcome::Failed(Failure::Undecidable)),
    }
}

/// The credentials of a request.
enum Sent {
    /// An API key in `Authorization`.
    Key(Secret),
    /// An API key in its own header.
    KeyInHeader(Secret),
    /// An access token that comes with the proof of a key.
    Bound(Secret),
    /// Others.
    Other(Credentials),
}

impl Sent {
    /// Reads them. `None` where they are invalid for their scheme; also where they have two lines,
    /// which are of two senders.
    fn of(rules: Rules<'_>, request: &ForwardedRequest<'_>, scheme: Scheme) -> Option<Self> {
        if scheme != Scheme::Dpop {
            return Self::without_proof(rules, request, scheme);
        }
        let token = Credentials::bound_token(request.header_text("authorization")?)?;
        (!Self::is_key(rules, token.expose())).then_some(Self::Bound(token))
    }

    fn without_proof(
        rules: Rules<'_>,
        request: &ForwardedRequest<'_>,
        scheme: Scheme,
    ) -> Option<Self> {
        let accepted = &rules.policy.machine_clients;
        if accepted.has_api_key_header(request) {
            let name = accepted.api_key_header()?.as_str();
            let key = request.header_text(name)?;
            return Some(Self::KeyInHeader(Secret::new(key.to_owned())));
        }
        let credentials = Credentials::parse(request.header_text("authorization")?)?;
        let is_key = |text: &str| Self::is_key(rules, text);
        let secret = credentials.secret();
        // In the place of a name or a password, a key serves programs that know no tokens.
        if scheme == Scheme::ApiKey || is_key(secret.expose()) {
            return Some(Self::Key(secret.clone()));
        }
        match credentials {
            Credentials::Basic { user, .. } if is_key(&user) => Some(Self::Key(Secret::new(user))),
            other => Some(Self::Other(other)),
        }
    }

    /// Returns whether a text has to be kept from providers: a key of ours, whatever the application
    /// accepts; where it accepts keys, also a part of one.
    fn is_key(rules: Rules<'_>, text: &str) -> bool {
        let accepts = rules.policy.machine_clients.api_key;
        (accepts && text.starts_with(API_KEY_PREFIX)) || ApiKey::parse(text).is_some()
    }
}

/// Credentials that identify no client, or that could not be checked.
pub(super) struct Invalid {
    treatment: InvalidCredentials,
    /// The refusal, where the credentials were meant for the outpost.
    outcome: Outcome,
}

impl Invalid {
    /// Returns the outcome for a request that needs a session.
    pub(super) fn outcome(
        self,
        application: &Application,
        host: &HostPort,
        request: &ForwardedRequest<'_>,
    ) -> Outcome {
        let is_page_load = request.presentation() == Presentation::PageLoad;
        let ignored = match self.treatment {
            InvalidCredentials::Refuse => false,
            InvalidCredentials::SignInOnPageLoad => is_page_load,
            InvalidCredentials::Ignore => true,
        };
        if ignored {
            Outcome::sign_in(application, host, request)
        } else {
            self.outcome
        }
    }
}
