//! The keys that the chart makes: when they change, and when they do not.

use std::process::Command;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::layout;
use gatepost_session::KeyRing;
use serde_json::json;

use super::{Release, chart, example, make_namespaces};
use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "chart::keys::are_made_once_and_kept",
        run: made_once_and_kept,
    },
    Test {
        name: "chart::keys::an_upgrade_from_the_first_chart_keeps_them",
        run: from_the_first_chart,
    },
    Test {
        name: "chart::keys::no_rollback_brings_one_back",
        run: no_rollback_brings_one_back,
    },
    Test {
        name: "chart::keys::no_release_replaces_those_of_another",
        run: no_release_replaces_those_of_another,
    },
];

/// Puts a key in the place of all that the outpost has.
fn rotate_to(cluster: &Cluster, key: &str) -> Result<()> {
    let patch = json!({ "data": { "gatepost.keys": key } }).to_string();
    let arguments = ["patch", "secret", "gatepost-keys", "-n", "gatepost"];
    let patched = ["--type=merge", "-p", &patch];
    cluster
        .kubectl(&[&arguments[..], &patched].concat(), None)
        .map(drop)
}

fn key(cluster: &Cluster, namespace: &str) -> Result<String> {
    let path = "jsonpath={.data.gatepost\\.keys}";
    let secret = ["get", "secret", "gatepost-keys", "-n", namespace];
    cluster.kubectl(&[&secret[..], &["-o", path]].concat(), None)
}

/// An upgrade signs no user out, and neither does a release that is removed and installed again.
fn made_once_and_kept(cluster: &Cluster) -> Result<()> {
    let release = Release::install(cluster, "gatepost", &[])?;
    let first = key(cluster, "gatepost")?;
    let text = String::from_utf8(STANDARD.decode(&first)?)?;
    let ring = KeyRing::parse(&text)?;
    assert_eq!(ring.key_ids().count(), 1);
    let both_have_it = |when: &str| -> Result<()> {
        for namespace in ["gatepost", "traefik"] {
            let there = key(cluster, namespace).context(when.to_owned())?;
            assert_eq!(there, first, "{namespace} {when}");
        }
        Ok(())
    };
    both_have_it("after it was installed")?;
    // As the page says: what made it is in the release's record, until Helm forgets the revision.
    let hooks = cluster.helm(&["get", "hooks", "gatepost", "-n", "gatepost"])?;
    assert!(hooks.contains(&first), "{hooks}");
    release.helm("upgrade", &[])?;
    let hooks = cluster.helm(&["get", "hooks", "gatepost", "-n", "gatepost"])?;
    assert!(!hooks.contains(&first), "{hooks}");
    both_have_it("after an upgrade")?;
    release.uninstall()?;
    both_have_it("after a removal")?;
    release.helm("install", &[])?;
    both_have_it("after it was installed again")?;
    Ok(())
}

/// The commit with the chart as it was first, whose keys are objects of the release.
const FIRST_CHART: &str = "938ade56f24f";

/// What an upgrade leaves out, Helm removes, unless the object says otherwise.
fn from_the_first_chart(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let unpacked = Command::new("sh")
        .args([
            "-c",
            r#"git archive "$0" deploy/helm | tar -x -C "$1""#,
            FIRST_CHART,
        ])
        .arg(folder.path())
        .current_dir(layout::root())
        .output()?;
    let first_chart = folder.path().join("deploy/helm/gatepost");
    if !first_chart.is_dir() {
        let reason = String::from_utf8_lossy(&unpacked.stderr).into_owned();
        return Err(LeftOut(format!("no history of the chart: {reason}")).into());
    }
    make_namespaces(cluster)?;
    let release = Release {
        cluster,
        name: "gatepost",
    };
    let values = first_chart.join("ci/plugin-values.yaml");
    cluster.helm(&[
        "install",
        "gatepost",
        &first_chart.to_string_lossy(),
        "-n",
        "gatepost",
        "-f",
        &values.to_string_lossy(),
    ])?;
    let first = key(cluster, "gatepost")?;
    for upgrade in ["the first upgrade", "the second upgrade"] {
        release.helm("upgrade", &[])?;
        for namespace in ["gatepost", "traefik"] {
            assert_eq!(key(cluster, namespace)?, first, "{namespace}: {upgrade}");
        }
    }
    Ok(())
}

/// A key that was withdrawn, because it leaked, stays so: at the outpost, and at the plugin.
fn no_rollback_brings_one_back(cluster: &Cluster) -> Result<()> {
    let release = Release::install(cluster, "gatepost", &[])?;
    let withdrawn = key(cluster, "gatepost")?;
    let fresh = |name: &str| STANDARD.encode(format!("{name}:{}\n", STANDARD.encode([7; 32])));
    let back = || {
        let arguments = ["rollback", "gatepost", "1", "-n", "gatepost"];
        cluster.helm(&arguments).map(drop)
    };
    let both_have = |expected: &str, when: &str| -> Result<()> {
        assert_ne!(expected, withdrawn);
        for namespace in ["gatepost", "traefik"] {
            assert_eq!(key(cluster, namespace)?, expected, "{namespace} {when}");
        }
        Ok(())
    };

    let second = fresh("second");
    rotate_to(cluster, &second)?;
    release.helm("upgrade", &[])?;
    both_have(&second, "after an upgrade")?;
    back()?;
    both_have(&second, "after a rollback")?;

    // The rollback that Helm does by itself: no pod of this cluster ever becomes ready.
    let third = fresh("third");
    rotate_to(cluster, &third)?;
    let by_itself = ["--rollback-on-failure", "--timeout=3s"];
    let failed = release.helm("upgrade", &by_itself);
    assert!(failed.is_err(), "{failed:?}");
    both_have(&third, "after Helm's own rollback")?;

    // What the release has made before says no key that is in force now.
    let arguments = ["get", "manifest", "gatepost", "-n", "gatepost"];
    let manifest = cluster.helm(&arguments)?;
    assert!(!manifest.contains("kind: Secret"), "{manifest}");
    Ok(())
}

/// Two releases of one name, in two namespaces, would have one copy in Traefik's.
fn no_release_replaces_those_of_another(cluster: &Cluster) -> Result<()> {
    let _release = Release::install(cluster, "gatepost", &[])?;
    let first = key(cluster, "traefik")?;
    let values = example("plugin");
    let arguments = ["install", "gatepost", &chart(), "-n", "wiki", "-f", &values];
    let refused = cluster.helm(&arguments).expect_err("a second release");
    let refused = format!("{refused:#}");
    assert!(refused.contains("traefik/gatepost-keys"), "{refused}");
    assert_eq!(key(cluster, "traefik")?, first);
    Ok(())
}
