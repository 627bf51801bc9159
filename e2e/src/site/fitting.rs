//! What docs show, with a site's names, ports and paths in their place.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::SitePorts;
use crate::doubles::provider;
use crate::layout;

/// The domain of most files that docs show.
pub(super) const SHOWN_DOMAIN: &str = "example.com";

/// The domains of the files, and those in their place, which are loopback for browsers and for
/// [`Client`](crate::Client).
const DOMAINS: [(&str, &str); 2] = [
    (SHOWN_DOMAIN, "example.localhost"),
    ("example.org", "example-org.localhost"),
];

/// The host names below these domains that the files use.
const NAMES: [&str; 5] = ["wiki", "files", "auth", "traefik", "mcp"];

/// Reads a file of the repository.
pub(super) fn read(path: &str) -> Result<String> {
    let path = layout::root().join(path);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Puts this site's names, ports and paths in the place of those that docs show.
pub(crate) fn fit(ports: &SitePorts, folder: &Path, shown: &str) -> String {
    let mut text = fit_names(ports, shown);
    let keys = folder.join("keys");
    for (shown, port) in [
        ("127.0.0.1:8000", ports.wiki),
        ("127.0.0.1:8001", ports.files),
        ("127.0.0.1:9000", ports.outpost),
        ("0.0.0.0:9000", ports.outpost),
        ("gatepost.gatepost.svc.cluster.local:9000", ports.outpost),
        ("gatepost.gatepost.svc:9000", ports.outpost),
        // In authentik's own texts.
        (
            "gatepost-outpost.default.svc.cluster.local:9000",
            ports.outpost,
        ),
        ("gatepost-outpost:9000", ports.outpost),
        ("outpost:9000", ports.outpost),
        ("127.0.0.1:9300", ports.metrics),
    ] {
        text = text.replace(shown, &format!("127.0.0.1:{port}"));
    }
    let state = folder.join("state");
    text.replace("/etc/gatepost/keys", &keys.to_string_lossy())
        .replace("/var/lib/gatepost-state", &state.to_string_lossy())
}

/// Puts this site's host names in the place of those that docs show.
pub(super) fn fit_names(ports: &SitePorts, shown: &str) -> String {
    let issuer = provider::issuer(ports.provider);
    let mut text = shown
        .replace("https://id.example.com", &issuer)
        .replace("http://id.localhost:8080", &issuer)
        .replace(".localhost:8080", &format!(".localhost:{}", ports.web))
        .replace("172.31.90.0/24", "127.0.0.0/8");
    for (domain, actual) in DOMAINS {
        for name in NAMES {
            text = text.replace(
                &format!("http://{name}.{domain}"),
                &format!("http://{name}.{actual}:{}", ports.web),
            );
        }
    }
    fit_domains(&text)
}

/// Puts the domains that are loopback in the place of those that docs show.
pub(super) fn fit_domains(shown: &str) -> String {
    DOMAINS
        .iter()
        .fold(shown.to_owned(), |text, (domain, actual)| {
            text.replace(domain, actual)
        })
}
