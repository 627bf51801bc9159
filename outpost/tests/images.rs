//! What others read of a release: the images that pages and manifests name are those that it publishes, and
//! the plugin catalog shows no key.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

const PUBLISHED: &str = "ghcr.io/gatepost/gatepost/";

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn every_page_names_the_image_of_the_release() {
    let release = read(".github/workflows/release.yml");
    assert!(release.contains("NAME: ghcr.io/${{ github.repository }}/${{ matrix.image }}"));
    assert!(release.contains("VERSION=${GITHUB_REF_NAME#v}"));
    assert!(release.contains("tags: ${{ env.NAME }}:${{ env.VERSION }}"));

    let tag = concat!(":", env!("CARGO_PKG_VERSION"));
    for path in [
        "README.md",
        "SECURITY.md",
        "deploy/compose/forward-auth-domain.yaml",
        "deploy/compose/forward-auth-single.yaml",
        "deploy/compose/plugin-domain.yaml",
        "deploy/compose/plugin-single.yaml",
        "deploy/helm/gatepost/values.yaml",
        "deploy/kubernetes/base/deployment.yaml",
        "deploy/kubernetes/base/kustomization.yaml",
        "docs/authentik.md",
        "docs/getting-started.md",
        "docs/proxies/docker-compose.md",
        "docs/running.md",
        "testdata/authentik/docker-compose.yml",
    ] {
        let text = read(path);
        assert!(text.contains(PUBLISHED), "{path}");
        for image in ["outpost", "traefik"] {
            for short in [" gatepost/", "`gatepost/", "docker.io/gatepost/"] {
                assert!(!text.contains(&format!("{short}{image}")), "{path}");
            }
            for (at, name) in text.match_indices(&format!("{PUBLISHED}{image}")) {
                let after = text.get(at + name.len()..).unwrap();
                // The chart and the kustomization have the tag in a field of its own.
                let apart = path.contains("/helm/") || path.ends_with("kustomization.yaml");
                assert!(apart || after.starts_with(tag), "{path}: {after:.20}");
            }
        }
    }
    // What is built here has a name that no registry can have.
    let demo = read("docker-compose.yml");
    assert!(!demo.contains("image: gatepost/") && demo.contains("image: localhost/gatepost/"));
}

/// The packages, the chart, the tags and the files that pages have users download are those of one release.
#[test]
fn every_version_is_that_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("deploy/helm/gatepost/Chart.yaml");
    for line in [
        format!("\nversion: {version}\n"),
        format!("\nappVersion: \"{version}\"\n"),
    ] {
        assert!(chart.contains(&line), "{line}");
    }
    let npm = read("session/js/package.json");
    assert!(
        npm.contains(&format!("\"version\": \"{version}\"")),
        "{npm}"
    );
    // What stands before the version, and how often a page may have none of it.
    let before = [
        "releases/download/v",
        "gatepost-plugin-",
        "gatepost-session-",
        "gatepost_",
        "charts/gatepost:",
        "charts/gatepost --version ",
        "base?ref=v",
        "newTag: \"",
        "version: v",
    ];
    let mut found = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for mark in before {
            for (at, _) in text.match_indices(mark) {
                let after = text.get(at + mark.len()..).unwrap();
                if !after.starts_with(|first: char| first.is_ascii_digit()) {
                    continue;
                }
                let is_own = after.strip_prefix(version);
                let ends =
                    is_own.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
                assert!(ends, "{}: {mark}{after:.20}", path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 10, "{found}: what pages say has changed");
}

/// Returns the pages, and the files that say how to use them in their comments.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pages = vec![
        root.join("README.md"),
        root.join("SECURITY.md"),
        root.join("deploy/kubernetes/base/kustomization.yaml"),
    ];
    for folder in ["docs", "docs/proxies"] {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|own| own == "md")));
    }
    pages
}

/// The catalog's page shows it, without its comments, as the configuration to copy.
#[test]
fn the_catalog_shows_no_key_to_copy() {
    let manifest = read(".traefik.yml");
    let (_, shown) = manifest.split_once("\ntestData:\n").unwrap();
    assert!(shown.contains("stateDir:"), "{shown}");
    assert!(!shown.contains("keys:") && !shown.contains('='), "{shown}");
}
