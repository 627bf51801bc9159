//! What the programs say: messages and the fields of log lines have no notation of Rust in them.
//!
//! `Debug` writes `Some("x")`, `SignalKind(15)` and quotes that JSON quotes once more. A message has
//! the text itself, and `gatepost_base::Quoted` around what a client, a provider or a file says.

#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// The folders with the sources of the libraries, the outpost and the plugin.
const FOLDERS: [&str; 8] = [
    "base/src",
    "oidc/src",
    "outpost/src",
    "plugin/src",
    "policy/src",
    "session/src",
    "signing/src",
    "store/src",
];

/// Adds the files with code that is not of tests.
fn add_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_test = matches!(
            name,
            Some("tests" | "tests.rs" | "double.rs" | "fixture.rs")
        );
        match path.extension() {
            _ if is_test => {}
            _ if path.is_dir() => add_sources(&path, found),
            Some(end) if end == "rs" => found.push(path),
            _ => {}
        }
    }
}

/// Returns whether a line writes a value as `Debug` does: by a format, or as a field of a log line.
fn writes_debug(line: &str) -> bool {
    let is_code = !line.trim_start().starts_with("//");
    let formats = [":?}", ":#?}", "field::debug"];
    let by_format = formats.iter().any(|format| line.contains(format));
    let fields = ["= ?", ", ?", "!(?"];
    let by_field = fields.iter().any(|start| {
        let mut ends = line.split(start).skip(1);
        ends.any(|end| end.starts_with(|first: char| first.is_ascii_lowercase()))
    });
    // A field on a line of its own.
    let alone = line.trim_start().starts_with('?');
    is_code && (by_format || by_field || alone)
}

#[test]
fn no_message_has_the_notation_of_rust() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        add_sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 200, "{}", files.len());
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a text");
        // Unit tests are at the end of a file.
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            if writes_debug(line) {
                found.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_notation_of_rust_is_found() {
    for (line, expected) in [
        (r#"format!("{name:?} is invalid")"#, true),
        (r#"write!(f, "{:#?}", self.0)"#, true),
        (r#"tracing::warn!(?state, %error, "x");"#, true),
        ("subject = ?identity.subject,", true),
        ("        ?state,", true),
        ("rule = rule.map(tracing::field::debug),", true),
        (r#"format!("{} is invalid", Quoted(name))"#, false),
        ("// `{name:?}` is how Rust writes it.", false),
        ("fn f<T: ?Sized>(text: &T) {", false),
        ("let x = text.get(1..)?;", false),
        (r#"Some(format!("PathRegexp(`(?i)^{text}`)"))"#, false),
    ] {
        assert_eq!(writes_debug(line), expected, "{line}");
    }
}
