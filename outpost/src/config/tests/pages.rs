//! The pages on providers: what an operator copies from them is a configuration, and each says what
//! one of its kind has to say.

use std::collections::HashSet;
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
    all_blocks(page)
        .filter(|block| block.starts_with("providers:\n"))
        .map(str::to_owned)
        .collect()
}

/// Returns all blocks of YAML.
fn all_blocks(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split("```yaml\n").skip(1);
    parts.filter_map(|part| part.split("```").next())
}

/// The page for those who come from oauth2-proxy: each block, with what another block has and the keys.
#[test]
fn what_comes_from_oauth2_proxy_is_a_configuration_that_decides_as_it_did() {
    let page = include_str!("../../../../docs/from-oauth2-proxy.md");
    let mut found = 0;
    for block in all_blocks(page) {
        let mut whole = block.replace(
            "clientSecretFile: /etc/gatepost/secret",
            "clientSecret: hush",
        );
        if !whole.contains("providers:") {
            whole +=
                "providers: [{name: main, issuer: 'https://id.example.com', clientId: wiki}]\n";
        }
        let file = "keysFile: /etc/gatepost/keys/gatepost.keys";
        let keys = "keys: ['k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']";
        whole = match whole.contains(file) {
            true => whole.replace(file, keys),
            false => whole + keys,
        };
        let config = Config::parse(&whole, []);
        let config = config.unwrap_or_else(|problems| panic!("{problems}\n{whole}"));
        let own = &config.applications[0];
        if own.audience.as_str() == "wiki" {
            for (method, path, open) in [
                ("GET", "/healthz", true),
                ("POST", "/healthz", false),
                ("GET", "/healthz/x", false),
                ("GET", "/static/a/b", true),
                ("GET", "/", false),
            ] {
                let public = &own.policy.public;
                let is_open = public.contains(method.as_bytes(), path.as_bytes());
                assert_eq!(is_open, open, "{method} {path}");
            }
            let groups: Vec<&str> = own.policy.groups().collect();
            assert_eq!(groups, ["staff", "admins"]);
            let headers: Vec<String> = own
                .headers
                .names()
                .map(|name| name.as_str().to_owned())
                .collect();
            for name in [
                "X-Auth-Request-User",
                "X-Auth-Request-Email",
                "X-Forwarded-Groups",
            ] {
                let is_set = headers.iter().any(|own| own.eq_ignore_ascii_case(name));
                assert!(is_set, "{name}: {headers:?}");
            }
        }
        found += 1;
    }
    assert_eq!(found, 2);
}

/// Each key of Gatepost that the page names is one.
#[test]
fn the_page_for_oauth2_proxy_names_keys_that_exist() {
    let page = include_str!("../../../../docs/from-oauth2-proxy.md");
    let (_, table) = page.split_once("## Options").expect("a table");
    let (table, _) = table.split_once("## What has no equal").expect("its end");
    let mut named = 0;
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let key = line.split(" | ").nth(1).expect("a column of keys");
        for key in key.split('`').skip(1).step_by(2) {
            let word = key.split([':', ' ']).next().unwrap_or_default();
            let levels = |own: &str| -> Vec<String> {
                let levels = own.split('.');
                levels
                    .map(|level| level.replace(['[', ']', '{', '}'], ""))
                    .collect()
            };
            // As a whole, or without the section that the page has said.
            let word = levels(word);
            let known = super::example::keys()
                .any(|own| levels(own).windows(word.len()).any(|part| part == word));
            assert!(known, "`{key}` of: {line}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}

/// Each option of oauth2-proxy is on the page: one that decides who may pass must not be lost in a move.
#[test]
fn the_page_for_oauth2_proxy_has_each_of_its_options() {
    let page = include_str!("../../../../docs/from-oauth2-proxy.md");
    let options = include_str!("../../../../testdata/oauth2-proxy/options-7.15.6.txt");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let named: HashSet<&str> = quoted
        .flat_map(|quoted| quoted.split(|letter| !is_part(letter)))
        .collect();
    let missing: Vec<&str> = options.lines().filter(|it| !named.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let count = format!("each of the {} options", options.lines().count());
    assert!(page.contains(&count), "{count}");
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
    lines.push("keys: ['k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']".to_owned());
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
