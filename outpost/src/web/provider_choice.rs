//! The choice of a provider, where an application has several.

use std::sync::Arc;

use super::outcome::{Outcome, Reply};
use super::request::ForwardedRequest;
use super::sign_in::parameters_from_link;
use super::urls::start_url_with;
use crate::application::Application;
use crate::application::ReturnTo;
use crate::pages::{Choice, Offer};
use gatepost_oidc::Provider;

/// The end of the name of the cookie that has the provider used last.
const NAME: &str = "gatepost-provider";

/// How long that cookie lasts, in seconds: a year.
const REMEMBERED_SECONDS: u32 = 365 * 24 * 3_600;

/// Asks the user for the provider.
pub(super) fn ask(
    application: &Application,
    request: &ForwardedRequest<'_>,
    return_to: &ReturnTo,
) -> Reply {
    let last = last_used(application, request);
    let is_last = |provider: &Provider| {
        last.is_some_and(|last| last.settings().name == provider.settings().name)
    };
    let others = application
        .providers()
        .iter()
        .filter(|provider| !is_last(provider));
    let offers = last.into_iter().chain(others).map(|provider| Offer {
        title: provider.settings().title().to_owned(),
        url: start_url_with(
            application,
            return_to,
            Some(provider),
            &parameters_from_link(provider, request),
        ),
        last_used: is_last(provider),
        available: provider.is_available(),
    });
    Outcome::Choice(Choice {
        application: application.audience().to_string(),
        offers: offers.collect(),
    })
    .into()
}

/// Returns the provider that the user chose, by the query. Where there is only one provider, there is
/// no choice, and the query is ignored.
pub(super) fn chosen<'a>(
    application: &'a Application,
    request: &ForwardedRequest<'_>,
) -> Option<&'a Arc<Provider>> {
    match application.providers().only() {
        Some(_) => None,
        None => application.providers().named(&request.chosen_provider()?),
    }
}

/// Returns the cookie that remembers the provider, where there is a choice.
///
/// Browsers send it to the outpost's paths only, so that requests to the application are no longer.
/// That rules the `__Host-` prefix out, but an attacker who sets it changes only the order of a list.
pub(super) fn remember(application: &Application, provider: &Provider) -> Option<String> {
    let value = application.callback_name(provider)?;
    let name = cookie_name(application);
    let path = application.prefix().as_str();
    Some(application.own_cookie(&name, value, path, REMEMBERED_SECONDS))
}

fn last_used<'a>(
    application: &'a Application,
    request: &ForwardedRequest<'_>,
) -> Option<&'a Arc<Provider>> {
    let name = cookie_name(application);
    let mut cookies = request.cookies();
    let (_, value) = cookies.find(|(own, _)| *own == name)?;
    application.providers().named(value)
}

fn cookie_name(application: &Application) -> String {
    let prefix = if application.cookie().secure {
        "__Secure-"
    } else {
        ""
    };
    format!("{prefix}{NAME}")
}
