//! Scenarios in a real Chromium: the scripts of `e2e/browser/`, driven by Playwright.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use url::Url;

use super::trusted_front::TrustedFront;
use crate::programs::{FakeClock, Process, Service};
use crate::stack::Application;
use crate::tools::{Browser, NodePackages, Tool as _};
use crate::users::{ALICE, BOB, User};
use crate::{layout, settings};

const LIMIT: Duration = Duration::from_secs(300);

/// Runs the scenario in `e2e/browser/NAME.mjs` against an application.
///
/// # Errors
///
/// When the scenario fails: with its output. Screenshot and page are then in `target/e2e/browser/`.
pub fn run(name: &str, app: &Application) -> Result<()> {
    run_at(name, name, &app.url("/"))
}

/// Whose pages one sees who is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// The plugin's own.
    OfThePlugin,
    /// The outpost's.
    OfTheOutpost,
}

/// Looks at every page of an application that is at `app`.
///
/// # Errors
///
/// As [`run`].
pub fn look_at_pages(pages: Pages, app: &Url) -> Result<()> {
    let label = match pages {
        Pages::OfThePlugin => "plugin",
        Pages::OfTheOutpost => "outpost",
    };
    run_at("pages", label, app)
}

/// How long a window of [`renew_beside`] is, in seconds: long enough that a busy machine loads a page
/// in each part of it.
const RENEWED_WINDOW: u64 = 24;

/// Returns the settings of an outpost for [`renew_beside`].
pub fn renewal_settings() -> Value {
    json!({ "session": {
        "window": format!("{RENEWED_WINDOW}s"), "renewAfter": "5s", "refreshAfter": "1s",
    } })
}

/// Loads pages of an application over several windows, none of which may be redirected, also while
/// the outpost does not answer. `label` is the name of the deployment, for the scenario's files.
///
/// # Errors
///
/// As [`run`].
pub fn renew_beside(browser: Browser, label: &str, app: &Url, outpost: &Service) -> Result<()> {
    renew("renewal_beside", browser, label, app, outpost)
}

/// Loads pages of an application whose policy lets them connect to nothing: a page load is redirected
/// in the last quarter of each window, and not earlier.
///
/// # Errors
///
/// As [`run`].
pub fn renew_by_redirect(browser: Browser, app: &Url, outpost: &Service) -> Result<()> {
    renew("renewal_forbidden", browser, "single", app, outpost)
}

fn renew(
    scenario: &str,
    browser: Browser,
    label: &str,
    app: &Url,
    outpost: &Service,
) -> Result<()> {
    let (name, firefox) = match browser {
        Browser::Chromium => ("chromium", None),
        Browser::Firefox => ("firefox", Some(browser.locate()?)),
    };
    let further = json!({
        "firefox": firefox,
        "beside": { "windowSeconds": RENEWED_WINDOW, "outpostGroup": outpost.group() },
    });
    run_with(scenario, &format!("{label}-{name}"), app, &further)
}

/// Which cookies an application's outpost sets, for frames of other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameCookies {
    /// `SameSite=Lax`.
    Lax,
    /// `SameSite=None`.
    None,
    /// `SameSite=None; Partitioned`.
    Partitioned,
}

/// Whether the browser takes cookies of third parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThirdParties {
    /// It takes all.
    Allowed,
    /// It takes those alone that are partitioned.
    Blocked,
}

/// Shows an application in a frame of another site, and signs in and out there as far as these cookies
/// allow it.
///
/// # Errors
///
/// As [`run`].
pub fn show_in_frames(cookies: FrameCookies, third_parties: ThirdParties, app: &Url) -> Result<()> {
    let cookies = match cookies {
        FrameCookies::Lax => "lax",
        FrameCookies::None => "none",
        FrameCookies::Partitioned => "partitioned",
    };
    let third_parties = match third_parties {
        ThirdParties::Allowed => "allowed",
        ThirdParties::Blocked => "blocked",
    };
    let further = json!({
        // Everything is at loopback addresses, also what pages of other sites show.
        "arguments": ["--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"],
        "frames": { "cookies": cookies, "thirdParties": third_parties },
    });
    let label = format!("{cookies}-{third_parties}");
    run_with("frames", &label, app, &further)
}

/// The deployment of an application whose sessions are bound to devices.
#[derive(Debug)]
pub struct BoundApplication<'a> {
    /// The name of the deployment, for the scenario's files.
    pub label: &'a str,
    /// The host of the application, such as `wiki`.
    pub host: &'a str,
    /// Where the proxy listens.
    pub proxy: u16,
    /// The clock of the outpost.
    pub clock: &'a FakeClock,
    /// The file with the keys that sign cookies.
    pub keys: &'a Path,
    /// How long a cookie is valid, in seconds.
    pub window: u64,
    /// Who compares the window with the clock.
    pub decided_by: DecidedBy,
    /// The domain of the cookie, in domain mode, in which the outpost is at `auth`.
    pub cookie_domain: Option<&'a str>,
}

/// Who compares a session's window with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The plugin, by the proxy's clock, which is the system's.
    Proxy,
    /// The outpost, by its own.
    Outpost,
}

/// Keeps a tab of a browser with a device alive over three windows, and tries a copy of its cookie.
///
/// # Errors
///
/// As [`run`].
pub fn stay_bound(front: &TrustedFront, app: &BoundApplication<'_>) -> Result<()> {
    run_bound("device_bound", front, app)
}

/// Has a browser with a device and one without use an application that requires sessions to be
/// bound.
///
/// # Errors
///
/// As [`run`].
pub fn must_be_bound(front: &TrustedFront, app: &BoundApplication<'_>) -> Result<()> {
    run_bound("device_required", front, app)
}

/// Has a browser with a device and one without use an application whose rule asks for bound sessions.
///
/// # Errors
///
/// As [`run`].
pub fn be_admitted_by_device(front: &TrustedFront, app: &BoundApplication<'_>) -> Result<()> {
    run_bound("device_rule", front, app)
}

fn run_bound(scenario: &str, front: &TrustedFront, app: &BoundApplication<'_>) -> Result<()> {
    let input = front.input(app.proxy);
    let features = "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting";
    let further = json!({
        "arguments": [format!("--enable-features={features}")],
        "environment": { "HOME": front.home() },
        "device": {
            "front": input,
            "clock": app.clock.file(),
            "keys": app.keys,
            "windowSeconds": app.window,
            "decidedBy": match app.decided_by {
                DecidedBy::Proxy => "proxy",
                DecidedBy::Outpost => "outpost",
            },
            "cookieDomain": app.cookie_domain,
        },
    });
    let url = Url::parse(&front.origin(app.host))?;
    run_with(scenario, app.label, &url, &further)
}

/// Runs a scenario against an application, with `label` in the names of its files.
fn run_at(name: &str, label: &str, app: &Url) -> Result<()> {
    run_with(name, label, app, &json!({}))
}

fn run_with(name: &str, label: &str, app: &Url, further: &Value) -> Result<()> {
    let folder = NodePackages::browser().locate()?;
    let artefacts = layout::artefacts_dir().join("browser");
    let user = |user: User| json!({ "login": user.login, "password": user.password });
    let mut input = json!({
        "name": label,
        "chromium": Browser::Chromium.locate()?,
        "artefacts": artefacts,
        "app": app.as_str(),
        "alice": user(ALICE),
        "bob": user(BOB),
    });
    settings::merge(&mut input, further);
    let mut command = Command::new("node");
    command
        // Node.js has it without a word from version 22 on.
        .arg("--experimental-websocket")
        .arg(folder.join(format!("{name}.mjs")))
        .env("GATEPOST_SCENARIO", input.to_string())
        .current_dir(&folder);
    let log = artefacts.join(format!("{name}-{label}.log"));
    let mut process = Process::spawn(name, &command, &log)?;
    let status = process.finish(LIMIT)?;
    if !status.success() {
        bail!("browser scenario {name} failed:\n{}", process.output());
    }
    Ok(())
}
