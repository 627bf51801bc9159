//! Runs `gatepost check --url` on the configurations that the docs show.

use anyhow::{Context as _, Result};

use crate::said::{PUBLIC, site};
use crate::shown;

/// Rows A3, A10, A14: it finds no problem in any of those for one application, so that its findings
/// can be trusted.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn check_finds_no_problem_in_shown_configurations_of_one_application() -> Result<()> {
    check_finds_no_problem(shown::SINGLE)
}

/// Rows A3, A10, A14: and none in those for a domain.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn check_finds_no_problem_in_shown_configurations_of_a_domain() -> Result<()> {
    check_finds_no_problem(shown::DOMAIN)
}

fn check_finds_no_problem(outpost: &str) -> Result<()> {
    let site = site(outpost)?;
    for shown in shown::with_outpost(outpost) {
        let running = shown.start(&site, PUBLIC).context(shown.name)?;
        let url = site.url("wiki", "/admin")?;
        let (said, well) = site.gatepost(&["check", "--url", url.as_str()])?;
        let looked = said.contains("no header of a client leads past");
        assert!(well && looked, "{}: {said}", shown.name);
        drop(running);
    }
    Ok(())
}
