//! `gatepost check --url`: follows the path that a browser takes to a sign-in, step by step, and
//! reports the problem at the first step that does not lead on.
//!
//! Nothing is signed in and nothing changes: the request to the provider ends where it would ask
//! for a password, and the session that a plugin is sent expired long ago.

use gatepost_session::KeyRing;
use url::Url;

use super::configuration::TRAEFIK_NEEDED;
use super::report::{Report, Subject};
use crate::application::Application;
use crate::runtime::Snapshot;
use browser::{Browser, Fetch};
use problem::CheckProblem;

mod answers;
mod at_provider;
mod browser;
mod bypasses;
mod plugin_keys;
mod problem;
mod sign_in;
mod target;
#[cfg(test)]
mod tests;

/// Follows the path from `url`, and adds each step, the problem at which it ends, and every way past
/// the sign-in.
pub(super) async fn check(snapshot: &Snapshot, keys: &KeyRing, url: &str, report: &mut Report) {
    let found = Url::parse(url)
        .map_err(|error| CheckProblem(format!("`{url}` is not a URL: {error}")))
        .and_then(|url| {
            let application = target::application_of(&snapshot.applications, &url)?;
            Ok((Browser::new(snapshot, &url)?, application, url))
        });
    let (browser, application, url) = match found {
        Ok(found) => found,
        Err(problem) => {
            report.failure(&Subject::LoginPath, problem.to_string());
            return;
        }
    };
    let followed = follow(&browser, application, snapshot, &url, report).await;
    if let Err(problem) = &followed {
        report.failure(&Subject::LoginPath, problem.to_string());
    }
    let words = application.verdicts(keys);
    let bypasses = bypasses::find(&browser, snapshot, application, &words, &url).await;
    for bypass in &bypasses {
        report.failure(&Subject::LoginPath, bypass.to_string());
    }
    if followed.is_ok() && bypasses.is_empty() {
        report.note(
            &Subject::LoginPath,
            "no header of a client leads past the sign-in",
        );
        report.note(
            &Subject::LoginPath,
            "leads to the provider's sign-in: all well",
        );
    }
}

async fn follow(
    browser: &Browser,
    application: &Application,
    snapshot: &Snapshot,
    url: &Url,
    report: &mut Report,
) -> Result<(), CheckProblem> {
    let askers = &snapshot.askers;
    let origin = application.external().origin();
    let ping = format!("{origin}{}/ping", application.prefix());
    let reply = browser.get(&ping, Fetch::Script, report).await?;
    answers::check_clock("the server at this address", &reply)?;
    answers::check_ping(application, askers, &reply)?;

    let reply = browser.get(url.as_str(), Fetch::Script, report).await?;
    answers::check_script(application, askers, &reply)?;
    let by_plugin = reply.is_plugins();
    if by_plugin {
        answers::check_clock("the proxy", &reply)?;
    }
    let reply = browser.get(url.as_str(), Fetch::Page, report).await?;
    let next = answers::check_page(application, url, &reply)?;
    sign_in::sign_in(browser, application, next, report).await?;

    // Only by its answer to this can a plugin be seen that leaves the rest to the outpost.
    let cookie = plugin_keys::cookie(application)?;
    let reply = browser.get_with(url.as_str(), Fetch::Script, Some(&cookie), report);
    let reply = reply.await?;
    if by_plugin {
        plugin_keys::check(application, &reply)?;
    }
    if plugin_keys::is_plugins(&reply) {
        let subject = Subject::LoginPath;
        report.note(&subject, "the plugin has the keys of this configuration");
        report.note(&subject, format!("Traefik {TRAEFIK_NEEDED}"));
        plugin_keys::compare_token_headers(application, &reply)?;
        plugin_keys::compare_lists(application, &reply)?;
        if let Some(warning) = plugin_keys::compare_revoked(snapshot, &reply)? {
            report.warning(&subject, warning);
        }
        let rule = plugin_keys::compare_rules(application, &reply)?;
        report.note(&subject, rule);
    }
    Ok(())
}
