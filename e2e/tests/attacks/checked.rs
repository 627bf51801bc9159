//! What `gatepost check --url` says of the configurations that the docs show.

use anyhow::{Context as _, Result};

use crate::said::{PUBLIC, site};
use crate::shown;

/// Rows A3, A10, A14: it finds nothing wrong with any of those for one application, so that what it finds is worth a
/// look.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_shown_configuration_of_one_application_is_said_to_be_wrong() -> Result<()> {
    none_is_said_to_be_wrong(shown::SINGLE)
}

/// Rows A3, A10, A14: nor with those of a domain.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_shown_configuration_of_a_domain_is_said_to_be_wrong() -> Result<()> {
    none_is_said_to_be_wrong(shown::DOMAIN)
}

fn none_is_said_to_be_wrong(outpost: &str) -> Result<()> {
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
