//! The packages that the plugin is built from.

#![allow(clippy::indexing_slicing, reason = "a member that is missing is null")]
// Helpers of tests may panic like the tests themselves; clippy exempts only the latter.
#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The crate that makes session cookies.
const SIGNING: &str = "gatepost-signing";

/// Returns for each package of the workspace those that it is built from; not those of its tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        // The workspace's own manifests alone: nothing is resolved, downloaded or locked.
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"]);
            let built_from = dependencies.iter().filter(|one| one["kind"] != "dev");
            (name(package), built_from.map(name).collect())
        })
        .collect()
}

/// Returns all packages of the workspace that a package is built from.
fn closure<'d>(dependencies: &'d BTreeMap<String, Vec<String>>, of: &'d str) -> BTreeSet<&'d str> {
    let mut found = BTreeSet::new();
    let mut open = vec![of];
    while let Some(package) = open.pop() {
        if found.insert(package) {
            let next = dependencies.get(package).into_iter().flatten();
            open.extend(next.map(String::as_str));
        }
    }
    found
}

/// A program that only verifies cannot make a session by mistake.
#[test]
fn what_only_verifies_cannot_sign() {
    let dependencies = dependencies();
    for package in ["gatepost-plugin", "gatepost-session-js"] {
        let found = closure(&dependencies, package);
        assert!(found.contains("gatepost-session"), "{package}: {found:?}");
        assert!(!found.contains(SIGNING), "{package}: {found:?}");
    }
    assert!(closure(&dependencies, "gatepost").contains(SIGNING));
}
