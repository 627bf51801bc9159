//! The layers: imports run one way, and no files import each other in a circle.
//!
//! [`LAYERS`] is the list for the outpost. `docs/architecture.md` shows it and says what each layer
//! must not know; it also walks through the files for a request, a sign-in and a forward-auth
//! question. Each walk follows the imports, and calls no function of a file that it has left.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use imports::{Arrow, CRATES, File, Files, arrows, files, in_circles};

/// The files of all crates, which takes seconds to read.
static FILES: LazyLock<Files> = LazyLock::new(files);

/// The imports of one of them by another.
static ARROWS: LazyLock<Vec<Arrow>> = LazyLock::new(|| arrows(&FILES));

/// The layers of the outpost, the lowest first: each imports the ones before it. Modules of one
/// layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &[
        "client_certificate",
        "compat",
        "dialect",
        "key_proof",
        "origin",
        "session_times",
    ],
    &[
        "assertion",
        "certificate",
        "device_bound",
        "http_client",
        "rate_limit",
        "service_manager",
        "signals",
        "trusted_proxies",
    ],
    &["telemetry"],
    &["provider_client", "store_observer"],
    &["pages"],
    &["application"],
    &["machine_clients"],
    &["sign_in_flow"],
    &["sessions"],
    &["export"],
    &["import"],
    &["config"],
    &["runtime"],
    &["admin", "web"],
    &["sources"],
    &["server"],
    &["cli"],
];

/// The files that need no layer: the crate's root, and what only unit tests have.
const OUTSIDE: [&str; 3] = ["outpost", "outpost::main", "outpost::fixture"];

/// The folders whose modules do not import each other.
const SIBLINGS_APART: [&str; 1] = ["outpost::web::handlers"];

/// Returns the module of the outpost that a file belongs to.
fn module(file: &str) -> Option<&str> {
    file.strip_prefix("outpost::")?.split("::").next()
}

fn layer(file: &str) -> Option<usize> {
    let module = module(file)?;
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn lines<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.join("\n  ")
}

#[test]
fn every_module_has_a_layer_and_imports_only_what_is_above_it() {
    let files = &*FILES;
    let inside = files
        .keys()
        .filter(|file| !OUTSIDE.contains(&file.as_str()));
    let modules: BTreeSet<&str> = inside.filter_map(|file| module(file)).collect();
    let listed: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    let differing: Vec<_> = modules.symmetric_difference(&listed).collect();
    assert!(
        differing.is_empty(),
        "in `outpost/src` or in `LAYERS`, not in both: {differing:?}"
    );
    let arrows = &*ARROWS;
    let up: Vec<&Arrow> = arrows
        .iter()
        .filter(|arrow| match (layer(&arrow.from), layer(&arrow.to)) {
            (Some(from), Some(to)) => from <= to && module(&arrow.from) != module(&arrow.to),
            // Nothing imports the crate's root.
            (Some(_), None) => arrow.to == "outpost",
            (None, _) => false,
        })
        .collect();
    assert!(
        up.is_empty(),
        "imports against the layers:\n  {}",
        lines(up)
    );
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let arrows = &*ARROWS;
    assert!(
        arrows.len() > 500,
        "too few imports are seen: {}",
        arrows.len()
    );
    let circles = in_circles(arrows);
    for (folder, _) in CRATES {
        let within = |file: &str| {
            circles.contains(file) && file.split("::").next().is_some_and(|own| own == folder)
        };
        let count = circles.iter().filter(|file| within(file)).count();
        let between = arrows
            .iter()
            .filter(|arrow| within(&arrow.from) && within(&arrow.to));
        assert_eq!(
            count,
            0,
            "files of {folder} are in circles of imports:\n  {}",
            lines(between)
        );
    }
}

#[test]
fn handlers_do_not_import_each_other() {
    let arrows = &*ARROWS;
    for folder in SIBLINGS_APART {
        let sibling = |file: &str| {
            let inner = file.strip_prefix(folder)?.strip_prefix("::")?;
            inner.split("::").next().map(str::to_owned)
        };
        let between = arrows.iter().filter(|arrow| {
            let (from, to) = (sibling(&arrow.from), sibling(&arrow.to));
            from.is_some() && to.is_some() && from != to
        });
        let between = lines(between);
        assert!(between.is_empty(), "in {folder}:\n  {between}");
    }
}

/// Returns `docs/architecture.md` from the heading that begins with `heading` to the next one.
fn section(heading: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let docs = std::fs::read_to_string(docs).expect("docs/architecture.md");
    let (_, section) = docs
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("docs/architecture.md has no `{heading}`"));
    let end = section.find("\n#").unwrap_or(section.len());
    section[..end].to_owned()
}

/// Returns the texts between backticks.
fn code(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_documentation_lists_the_layers() {
    let section = section("## Layers of the outpost");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let shown: Vec<Vec<&str>> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1);
            let modules = code(cells.next().expect("modules"));
            let unknown = cells.next().expect("what they must not know");
            assert!(!unknown.trim().is_empty(), "{row}");
            modules
        })
        .collect();
    assert_eq!(shown, LAYERS);
}

/// Returns the files of a walk of the documentation, in order.
fn walk(files: &Files, heading: &str) -> Vec<String> {
    let by_path: BTreeMap<&str, &String> = files
        .iter()
        .map(|(module, file)| (file.path.as_str(), module))
        .collect();
    let section = section(heading);
    let steps = section
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    steps
        .map(|step| {
            let path = *code(step)
                .first()
                .unwrap_or_else(|| panic!("no file: {step}"));
            let module = by_path.get(path);
            module
                .unwrap_or_else(|| panic!("no such file: {step}"))
                .to_string()
        })
        .collect()
}

#[test]
fn each_walk_goes_forward() {
    let (files, arrows) = (&*FILES, &*ARROWS);
    for heading in [
        "### One request through the plugin",
        "### One sign-in",
        "### One forward-auth question",
    ] {
        let walk = walk(files, heading);
        assert!(walk.len() > 5, "{heading}: {walk:?}");
        for (at, file) in walk.iter().enumerate() {
            let before = &walk[..at];
            assert!(!before.contains(file), "{heading} enters {file} twice");
            let back = arrows.iter().filter(|arrow| {
                arrow.from == *file && before.contains(&arrow.to) && arrow.is_function()
            });
            let back = lines(back);
            assert!(back.is_empty(), "{heading} goes back:\n  {back}");
            let mut reached = arrows.iter().filter(|arrow| before.contains(&arrow.from));
            let leads_here = |arrow: &Arrow| {
                // By an import, or by a method of an imported type.
                let methods = |own: &Arrow| {
                    own.from == *file && own.to == arrow.to && files[file].extends(own)
                };
                arrow.to == *file || arrows.iter().any(methods)
            };
            assert!(
                at == 0 || reached.any(leads_here),
                "{heading}: no file before it leads to {file}"
            );
        }
    }
}

#[test]
fn imports_are_read_in_every_form() {
    let source = "
        use crate::a::{self, b::C, d as e};
        pub use crate::only_handed_on;
        pub(in crate::not) mod child;
        use super::f::*;
        use std::not_ours;
        fn g(h: &crate::i::J) { self::child::k(); child::l!(super::super::m::N); x.child() }
        fn o() -> gatepost_policy::Policy { }
        #[cfg(test)] mod tests { use crate::not; }
    ";
    let at = ["outpost", "x", "y"].map(str::to_owned);
    let file = File::read(&at, source);
    let paths: Vec<String> = file.paths().collect();
    let expected = [
        "outpost::a",
        "outpost::a::b::C",
        "outpost::a::d",
        "outpost::x::f",
        "outpost::i::J",
        "outpost::x::y::child::k",
        "outpost::x::y::child::l",
        "outpost::m::N",
        "policy::Policy",
    ];
    assert_eq!(paths, expected);
}
