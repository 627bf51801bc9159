//! What follows when authentik's tokens name another issuer than its configuration did: an operator
//! has changed the slug of the application there.

use std::sync::Arc;
use std::time::Duration;

use crate::application::ReturnTo;
use crate::compat::Conventions;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use crate::web::urls::start_url;
use gatepost_oidc::{IdTokenError, Provider, SignInError};

/// How long a user waits for what authentik says now.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether the provider can be used.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Returns whether a sign-in failed because of the issuer.
fn is_about_the_issuer(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::SignIn(
            SignInError::IdToken(IdTokenError::Issuer(_)) | SignInError::ResponseIssuer
        )
    )
}

/// Asks authentik for its configuration where a sign-in failed because of the issuer, and has the user
/// sign in with that. `None` where the failure is another, or where authentik says what it said before.
pub(super) async fn sign_in_again(
    context: Context<'_>,
    request: &ForwardedRequest<'_>,
    provider: &Provider,
    failure: &Failure,
    return_to: &ReturnTo,
) -> Option<Reply> {
    let follows = context.snapshot.applications.conventions() == Conventions::Authentik;
    if !follows || !is_about_the_issuer(failure) {
        return None;
    }
    let reference = provider.settings().name.as_str();
    tracing::info!(provider = reference, %failure, "asking authentik whether it has changed");
    context.outpost.refresh.ask(PATIENCE).await;
    let snapshot = context.outpost.snapshot();
    let application = request.application(&snapshot.applications).ok()?;
    let renamed = application.providers().first();
    if renamed.settings().issuer == provider.settings().issuer {
        return None;
    }
    wait_until_usable(renamed).await;
    let return_to = ReturnTo::parse(return_to.as_str(), application);
    let return_to = return_to.unwrap_or_else(|| ReturnTo::fallback(application));
    let to = start_url(application, &return_to, None);
    Some(Outcome::Redirect { to }.into())
}

/// Waits until a new provider can be used.
async fn wait_until_usable(provider: &Arc<Provider>) {
    let usable = async {
        while !provider.is_available() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // If it cannot, the next request says so to the user.
    let _ = tokio::time::timeout(PATIENCE, usable).await;
}
