//! Whoever copies a key out of this repository's pages, examples or vectors has sessions that
//! everybody can make. So each is known, and refused by what serves users.

#![allow(missing_docs)]
#![allow(clippy::expect_used)]

use std::fs;
use std::path::Path;

use gatepost_session::KeyRing;

/// What users and contributors read or copy, seen from the repository.
const READ: [&str; 9] = [
    "README.md",
    "SECURITY.md",
    "docker-compose.yml",
    "deploy",
    "docs",
    "session/js/README.md",
    "session/js/examples",
    "session/js/test/types",
    "testdata/cookies.json",
];

/// Returns the entries `kid:base64` of a text that a ring takes.
fn entries(text: &str) -> Vec<(String, KeyRing)> {
    let is_of_entry = |c: char| c.is_ascii_alphanumeric() || ":+/=._-".contains(c);
    let words = text.split(|c| !is_of_entry(c));
    let found = words.filter_map(|word| {
        let (id, secret) = word.split_once(':')?;
        // A digest of a file is none, and 32 bytes have at least 43 characters.
        let is_secret = !id.starts_with("sha") && secret.trim_end_matches('=').len() == 43;
        let ring = KeyRing::parse(word).ok().filter(|_| is_secret)?;
        Some((word.to_owned(), ring))
    });
    found.collect()
}

fn read(path: &Path, all: &mut Vec<(String, KeyRing)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            read(&entry.expect("an entry").path(), all);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        all.extend(entries(&text));
    }
}

#[test]
fn every_key_that_is_shown_is_known_as_published() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut shown = Vec::new();
    for path in READ {
        let path = root.join(path);
        assert!(path.exists(), "{}", path.display());
        read(&path, &mut shown);
    }
    assert!(shown.len() > 4, "{shown:?}");
    for (entry, ring) in shown {
        assert!(ring.check_unpublished().is_err(), "{entry}");
    }
}

#[test]
fn a_published_key_is_found_anywhere_in_a_ring_and_in_either_alphabet() {
    let own = "own:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
    let ring = KeyRing::parse(own).expect("a ring");
    assert_eq!(ring.check_unpublished(), Ok(()));
    for shown in [
        "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=",
        "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE",
        "enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno",
    ] {
        let ring = KeyRing::parse(&format!("{own}\nmine:{shown}")).expect("a ring");
        let error = ring.check_unpublished().expect_err("published");
        assert_eq!(error.id.as_str(), "mine");
        assert!(!error.to_string().contains(shown), "{error}");
    }
}
