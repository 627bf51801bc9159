//! What `gatepost check` finds about the providers.

use std::sync::Arc;

use gatepost_oidc::{ClientVerdict, Provider, ProviderSettings, SignInError, SignOut, Summary};

use super::report::{Report, Subject};
use crate::application::Application;
use crate::compat::Conventions;
use crate::runtime::Snapshot;

/// Reaches every provider, and sends it the client where an application has the provider.
pub(super) async fn check(snapshot: &Snapshot, report: &mut Report) {
    for provider in &snapshot.providers {
        let settings = provider.settings();
        let subject = Subject::Provider(settings.name.clone());
        let issuer = settings.issuer.as_str();
        report.note(&subject, format!("{} ({issuer})", settings.name));
        match provider.discover().await {
            Ok(summary) => {
                let conventions = snapshot.applications.conventions();
                note_summary(&summary, settings.sign_out, conventions, &subject, report);
                check_scopes(snapshot, provider, &summary, &subject, report);
                check_classes(snapshot, provider, &summary, &subject, report);
                if let Some(redirect_uri) = redirect_uri(snapshot, provider) {
                    let verdict = provider.try_client(&redirect_uri).await;
                    add_verdict(settings, &verdict, &subject, report);
                }
            }
            Err(error) => report.failure(&subject, error.to_string()),
        }
    }
}

/// Returns the redirect URI of the first application that has this provider.
fn redirect_uri(snapshot: &Snapshot, provider: &Arc<Provider>) -> Option<String> {
    let application = applications_of(snapshot, provider).next()?;
    Some(application.redirect_uri(provider))
}

/// Returns the applications that have this provider.
fn applications_of<'s>(
    snapshot: &'s Snapshot,
    provider: &'s Arc<Provider>,
) -> impl Iterator<Item = &'s Arc<Application>> {
    snapshot.applications.iter().filter(|application| {
        let mut own = application.providers().iter();
        own.any(|own| Arc::ptr_eq(own, provider))
    })
}

fn note_summary(
    summary: &Summary,
    sign_out: SignOut,
    conventions: Conventions,
    subject: &Subject,
    report: &mut Report,
) {
    let endpoint = &summary.authorization_endpoint;
    report.note(subject, format!("reached; users sign in at {endpoint}"));
    if !summary.names_pkce {
        report.note(
            subject,
            "does not list PKCE with S256; Gatepost uses it all the same",
        );
    }
    if !summary.has_userinfo {
        report.note(subject, "has no userinfo: groups must be in the ID token");
    }
    let signs_out = match (summary.signs_out, sign_out) {
        (true, SignOut::AtProvider) if conventions == Conventions::Authentik => {
            "signing out leads to the provider's invalidation flow in authentik; authentik's default \
             one, `default-provider-invalidation-flow`, leaves the user signed in there, and \
             `default-invalidation-flow` does not"
        }
        (true, SignOut::AtProvider) => "signing out ends the session there too",
        (true, SignOut::LocalOnly) => "signing out is local, as `signOut` says",
        (false, _) => "signing out is local: it has no end session endpoint",
    };
    report.note(subject, signs_out);
}

/// Warns where rules ask for groups and the request does not ask for the provider's scope for them, and
/// names scopes that the provider does not list. It need not list all (OpenID Connect Discovery 1.0 §3).
fn check_scopes(
    snapshot: &Snapshot,
    provider: &Arc<Provider>,
    summary: &Summary,
    subject: &Subject,
    report: &mut Report,
) {
    const GROUPS: &str = "groups";
    let Some(listed) = &summary.scopes else {
        return;
    };
    let settings = provider.settings();
    let asked: Vec<&str> = settings.scopes.iter().map(|own| own.as_str()).collect();
    let asks_for_groups = applications_of(snapshot, provider)
        .find(|application| application.policy().groups().next().is_some());
    if let Some(application) = asks_for_groups
        && listed.iter().any(|own| own == GROUPS)
        && !asked.contains(&GROUPS)
    {
        report.warning(
            subject,
            format!(
                "{}: has a scope `{GROUPS}`, for which `scopes` does not ask, and rules of `{}` ask \
                 for groups: add it, unless the groups arrive without it",
                settings.name,
                application.audience()
            ),
        );
    }
    let unlisted = asked
        .into_iter()
        .filter(|own| !listed.iter().any(|listed| listed == own));
    let unlisted: Vec<&str> = unlisted.collect();
    if !unlisted.is_empty() {
        report.note(
            subject,
            format!(
                "its `scopes_supported` does not list {}, for which `scopes` asks; some providers \
                 refuse such a request to sign in",
                unlisted.join(", ")
            ),
        );
    }
}

/// Warns of classes of authentication that rules name, and that the provider does not list: then a
/// step-up may never succeed.
fn check_classes(
    snapshot: &Snapshot,
    provider: &Arc<Provider>,
    summary: &Summary,
    subject: &Subject,
    report: &mut Report,
) {
    let Some(listed) = &summary.classes else {
        return;
    };
    for application in applications_of(snapshot, provider) {
        let classes = application.policy().classes();
        let unlisted = classes
            .into_iter()
            .filter(|class| !listed.iter().any(|own| own == class));
        let unlisted: Vec<&str> = unlisted.collect();
        if !unlisted.is_empty() {
            report.warning(
                subject,
                format!(
                    "rules of `{}` ask for the `acr` {}, which its `acr_values_supported` does not \
                     list",
                    application.audience(),
                    unlisted.join(", ")
                ),
            );
        }
    }
}

/// Adds the provider's verdict on the client.
fn add_verdict(
    settings: &ProviderSettings,
    verdict: &Result<ClientVerdict, SignInError>,
    subject: &Subject,
    report: &mut Report,
) {
    match verdict {
        Ok(ClientVerdict::Taken) => report.note(
            subject,
            format!(
                "accepts the client `{}` with {}",
                settings.client_id.as_str(),
                settings.client_proof()
            ),
        ),
        Ok(ClientVerdict::Refused(refused)) => report.failure(subject, refused.to_string()),
        Ok(ClientVerdict::Unclear) => {}
        Err(error) => report.failure(subject, error.to_string()),
    }
}
