//! What others read of a release: the images that pages and manifests name are those that it publishes, and
//! the plugin catalog shows no key.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

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

/// The catalog's page shows it, without its comments, as the configuration to copy.
#[test]
fn the_catalog_shows_no_key_to_copy() {
    let manifest = read(".traefik.yml");
    let (_, shown) = manifest.split_once("\ntestData:\n").unwrap();
    assert!(shown.contains("stateDir:"), "{shown}");
    assert!(!shown.contains("keys:") && !shown.contains('='), "{shown}");
}
