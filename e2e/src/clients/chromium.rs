//! Scenarios in a real Chromium: the scripts of `e2e/browser/`, driven by Playwright.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;
use url::Url;

use crate::layout;
use crate::programs::Process;
use crate::stack::Stack;
use crate::tools::{Chromium, NodePackages, Tool as _};
use crate::users::{ALICE, BOB, User};

const LIMIT: Duration = Duration::from_secs(180);

/// Runs the scenario in `e2e/browser/NAME.mjs` against the first application of a stack.
///
/// # Errors
///
/// When the scenario fails: with its output. Screenshot and page are then in `target/e2e/browser/`.
pub fn run(name: &str, stack: &Stack) -> Result<()> {
    run_at(name, name, &stack.app().url("/"))
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

/// Runs a scenario against an application, with `label` in the names of its files.
fn run_at(name: &str, label: &str, app: &Url) -> Result<()> {
    let folder = NodePackages::browser().locate()?;
    let artefacts = layout::artefacts_dir().join("browser");
    let user = |user: User| json!({ "login": user.login, "password": user.password });
    let input = json!({
        "name": label,
        "chromium": Chromium.locate()?,
        "artefacts": artefacts,
        "app": app.as_str(),
        "alice": user(ALICE),
        "bob": user(BOB),
    });
    let mut command = Command::new("node");
    command
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
