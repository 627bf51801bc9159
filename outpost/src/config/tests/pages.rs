//! The pages on providers: what an operator copies from them is a configuration, and each says what
//! one of its kind has to say.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/providers");

/// The pages, with their texts.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(FOLDER)).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        (
            name.into_owned(),
            fs::read_to_string(&path).expect("a text"),
        )
    };
    paths.map(read).collect()
}

/// Returns the blocks of YAML that begin with `providers`.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("```yaml\n").skip(1);
    let blocks = parts.filter_map(|part| part.split("```").next());
    blocks
        .filter(|block| block.starts_with("providers:\n"))
        .map(str::to_owned)
        .collect()
}

/// Returns a block with what every configuration needs besides, and without files that are not here.
fn whole(block: &str) -> String {
    let mut lines = Vec::new();
    for line in block.lines() {
        lines.push(match line.trim_start().starts_with("clientSecretFile:") {
            true => "    clientSecret: hush".to_owned(),
            false => line.to_owned(),
        });
        let is_first = line == "  - name: main";
        if is_first && !block.contains("clientId:") {
            lines.push("    clientId: gatepost".to_owned());
        }
        if line == "  - name: wiki" {
            lines.push("    externalUrl: https://wiki.example.com".to_owned());
        }
    }
    lines.push("keys: ['k:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']".to_owned());
    if !block.contains("applications:") {
        lines.push("applications:".to_owned());
        lines.push("  - {name: wiki, externalUrl: 'https://wiki.example.com'}".to_owned());
    }
    lines.join("\n")
}

#[test]
fn what_an_operator_copies_from_a_page_is_a_configuration() {
    let mut found = 0;
    for (name, text) in pages() {
        for block in blocks(&text) {
            let whole = whole(&block);
            if let Err(problems) = Config::parse(&whole, []) {
                panic!("{name}: {problems}\n{whole}");
            }
            found += 1;
        }
    }
    assert!(found >= 18, "{found}");
}

#[test]
fn each_page_says_what_to_do_there_and_here_and_how_sessions_end() {
    let mut found = 0;
    for (name, text) in pages() {
        if name == "README.md" {
            continue;
        }
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        for beginning in [
            "# ",
            "## At ",
            "## In the outpost's configuration",
            "## Sessions and sign-outs",
        ] {
            let has = headings.iter().any(|line| line.starts_with(beginning));
            assert!(has, "{name}: {beginning}");
        }
        assert_eq!(blocks(&text).len(), 1, "{name}");
        // How far it was tried is said before anything else.
        let mut lines = text.lines().skip(1).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let says = ["The tests ", "**Not tried", "Run by hand "];
        assert!(
            says.iter().any(|own| first.starts_with(own)),
            "{name}: {first}"
        );
        found += 1;
    }
    assert_eq!(found, 16);
}
