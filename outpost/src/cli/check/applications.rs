//! What `gatepost check` finds about the applications.

use gatepost_oidc::{Grant, Provider};
use gatepost_policy::VERDICT_HEADER;
use gatepost_session::KeyRing;

use super::report::{Report, Subject};
use crate::application::{Application, MachineClientSettings};
use crate::origin::Mode;
use crate::runtime::Snapshot;

/// Adds the settings of each application, and whether its machine clients can be checked.
pub(super) fn check(snapshot: &Snapshot, keys: &KeyRing, report: &mut Report) {
    for application in snapshot.applications.iter() {
        let subject = Subject::Application(application.audience().to_string());
        note_addresses(application, &subject, report);
        note_rule(application, &subject, report);
        if let Some(word) = application.verdicts(keys).first() {
            report.note(
                &subject,
                format!(
                    "routers behind a plugin with `fallback: route` and no `verdict` of its own \
                     match Header(`{VERDICT_HEADER}`, `{word}`)"
                ),
            );
        }
        if let Some(settings) = &application.machine_clients() {
            check_machine_clients(application, settings, &subject, report);
        }
    }
}

fn note_addresses(application: &Application, subject: &Subject, report: &mut Report) {
    let mode = match application.mode() {
        Mode::Single => "one host".to_owned(),
        Mode::Domain(domain) => format!("every host under {}", domain.as_str()),
    };
    let origin = application.external().origin();
    let name = application.audience();
    report.note(subject, format!("{name}: {origin} ({mode})"));
    for provider in application.providers().iter() {
        let name = &provider.settings().name;
        let uri = application.redirect_uri(provider);
        report.note(
            subject,
            format!("register at `{name}` the redirect URI {uri}"),
        );
        let uri = application.post_logout_uri();
        report.note(
            subject,
            format!("register at `{name}` the post-logout redirect URI {uri}"),
        );
        let uri = format!("{origin}{}/backchannel_logout", application.prefix());
        report.note(
            subject,
            format!(
                "register at `{name}` the back-channel logout URI {uri}, or another under which it \
                 reaches the outpost, where it has back-channel logout"
            ),
        );
    }
}

fn note_rule(application: &Application, subject: &Subject, report: &mut Report) {
    if application.providers().only().is_none() {
        report.note(
            subject,
            "`require` does not ask at which provider a user signed in",
        );
    }
    let policy = application.policy();
    let mut allowed = match policy.require.to_text() {
        Some(rule) => format!("users by `{rule}`"),
        None => "every user who is signed in".to_owned(),
    };
    if !policy.rules.is_empty() {
        allowed.push_str(", and whom one of its `rules` may admit,");
    }
    report.note(
        subject,
        format!(
            "admits {allowed} at sign-in, renewal and forward auth; a plugin applies its own \
             `rules` and `require` to every request"
        ),
    );
    report.note(subject, format!("cookie `{}`", application.cookie().name));
    let names = application.headers().names();
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    if !names.is_empty() {
        report.note(subject, format!("headers {}", names.join(", ")));
    }
}

fn check_machine_clients(
    application: &Application,
    settings: &MachineClientSettings,
    subject: &Subject,
    report: &mut Report,
) {
    let schemes = &application.policy().machine_clients;
    let audience = match settings.tokens.audience.as_slice() {
        [] => client_ids(application).join(", "),
        audience => audience.join(", "),
    };
    if schemes.bearer {
        report.note(
            subject,
            format!("machine clients may send access tokens for {audience}"),
        );
    }
    if schemes.basic {
        let credentials = match settings.exchange.grant {
            Grant::ClientCredentials => "id and secret of a client",
            Grant::Password | Grant::Authentik => "name and password of a user",
        };
        report.note(
            subject,
            format!("machine clients may send {credentials}, exchanged for a token for {audience}"),
        );
    }
    if schemes.api_key {
        let also = schemes.api_key_header();
        let also = also.map(|name| format!(", also in {name}"));
        report.note(
            subject,
            format!(
                "machine clients may send API keys{}",
                also.unwrap_or_default()
            ),
        );
    }
    if (schemes.bearer || schemes.basic) && application.providers().only().is_none() {
        let first = &application.providers().first().settings().name;
        let name = settings.provider.as_ref().unwrap_or(first);
        report.note(
            subject,
            format!("provider `{name}` checks passwords, and tokens that name no issuer"),
        );
    }
    let reached = application.providers().iter();
    let reached: Vec<&Provider> = reached
        .map(|provider| &**provider)
        .filter(|provider| provider.is_available())
        .collect();
    if !settings.tokens.introspect || reached.is_empty() {
        return;
    }
    let lacking = reached.iter().filter(|provider| !provider.introspects());
    let lacking: Vec<&&Provider> = lacking.collect();
    for provider in &lacking {
        let name = &provider.settings().name;
        report.failure(
            subject,
            format!("`introspect`, but provider `{name}` has no introspection endpoint"),
        );
    }
    if lacking.is_empty() {
        report.note(subject, "the provider is asked about each token");
    }
}

/// Returns the outpost's client ids at the application's providers, each once.
fn client_ids(application: &Application) -> Vec<&str> {
    let mut ids = Vec::new();
    for provider in application.providers().iter() {
        let id = provider.settings().client_id.as_str();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
