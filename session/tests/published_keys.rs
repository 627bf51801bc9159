//! Anyone can make sessions with a key that this repository's pages, examples or vectors show. So each
//! such key is known, and a ring refuses it.

#![allow(missing_docs)]
#![allow(clippy::expect_used)]

use std::fs;
use std::path::Path;

use gatepost_session::{KeyRing, KeyRingError};

/// Folders that are built, or not of this repository.
const SKIPPED: [&str; 5] = [".git", "dist", "node_modules", "target", "vendor"];

/// What the keys of the tests begin with. Nobody is shown one to copy, and the tests run what takes no
/// published key.
const OF_TESTS: &str = "Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZT";

/// Returns the entries `kid:base64` of a text that are keys.
fn entries(text: &str) -> Vec<&str> {
    let is_of_entry = |c: char| c.is_ascii_alphanumeric() || ":+/=._-".contains(c);
    let words = text.split(|c| !is_of_entry(c));
    let is_key = |word: &&str| {
        let Some((id, secret)) = word.split_once(':') else {
            return false;
        };
        // A digest of a file is none, and 32 bytes have 43 characters.
        let is_secret = !id.starts_with("sha") && secret.trim_end_matches('=').len() == 43;
        is_secret && (KeyRing::parse(word).is_ok() || KeyRing::parse_published(word).is_ok())
    };
    words.filter(is_key).collect()
}

/// Hands every text file below a folder to `f`.
fn read(folder: &Path, f: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            if SKIPPED.iter().all(|name| entry.file_name() != *name) {
                read(&path, f);
            }
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            f(&path, &text);
        }
    }
}

#[test]
fn every_key_in_the_repository_is_published_or_of_the_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut published = Vec::new();
    read(&root, &mut |path, text| {
        for entry in entries(text) {
            if KeyRing::parse_published(entry).is_ok() {
                published.push(path.strip_prefix(&root).expect("below").to_owned());
            } else {
                let is_of_tests = entry.contains(&format!(":{OF_TESTS}"));
                // It may be a key in use: the log of a test must not have it.
                let id = entry.split(':').next().unwrap_or_default();
                assert!(is_of_tests, "{}: key `{id}`", path.display());
            }
        }
    });
    for shown in ["deploy/outpost/gatepost.yaml", "testdata/cookies.json"] {
        assert!(published.contains(&shown.into()), "{shown}: {published:?}");
    }
}

#[test]
fn a_published_key_is_refused_anywhere_in_a_ring_and_in_either_alphabet() {
    let own = format!("own:{OF_TESTS}E=");
    for shown in [
        "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=",
        "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE",
        "enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno",
    ] {
        let mine = format!("mine:{shown}");
        for ring in [
            KeyRing::parse(&format!("{own}\n{mine}")),
            KeyRing::from_entries([mine.as_str(), own.as_str()]),
        ] {
            let error = ring.expect_err("published");
            assert!(
                matches!(&error, KeyRingError::PublishedKey { id } if id.as_str() == "mine"),
                "{error}"
            );
            assert!(!error.to_string().contains(shown), "{error}");
        }
    }
}

/// A program that uses the door for vectors by mistake does not start.
#[test]
fn the_door_for_published_keys_takes_no_others() {
    let own = format!("own:{OF_TESTS}E=");
    let shown = "shown:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
    assert!(KeyRing::parse_published(shown).is_ok());
    for text in [own.clone(), format!("{shown}\n{own}")] {
        let error = KeyRing::parse_published(&text).expect_err("not published");
        assert!(
            matches!(&error, KeyRingError::UnpublishedKey { id } if id.as_str() == "own"),
            "{error}"
        );
    }
}
