//! The layers of the outpost: every module imports only modules of the layers above its own, and no
//! files import each other in a circle.
//!
//! [`LAYERS`] is the list, which `docs/architecture.md` shows. The sources are read as tokens: `use`
//! declarations and paths that begin with `crate`, `super`, `self` or a module that the file
//! declares. Code under `#[cfg(test)]` is left out. A name that a file only re-exports counts as an
//! import of the file that the name comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The layers, the lowest first: each imports the ones before it. Modules of one layer do not
/// import each other.
const LAYERS: &[&[&str]] = &[
    &["origin", "session_times", "compat"],
    &[
        "http_client",
        "rate_limit",
        "trusted_proxies",
        "certificate",
    ],
    &["telemetry"],
    &["provider_client", "store_observer"],
    &["pages"],
    &["application"],
    &["machine_clients"],
    &["sign_in_flow"],
    &["sessions"],
    &["export"],
    &["config"],
    &["runtime"],
    &["web", "admin"],
    &["sources"],
    &["server"],
    &["cli"],
];

/// The modules that need no layer: the root, and what only unit tests have.
const OUTSIDE: &[&str] = &["lib", "main", "fixture"];

/// The folders whose modules do not import each other.
const SIBLINGS_APART: &[&str] = &["web::handlers"];

/// A module that is a file.
#[derive(Debug, Default)]
struct File {
    path: PathBuf,
    /// The names that its paths begin with, by the line where they stand.
    imports: Vec<Import>,
    /// The modules that it declares.
    children: BTreeSet<String>,
    /// The paths of the names that it imports, which others may import from it.
    names: BTreeMap<String, Vec<String>>,
}

/// A path in a file.
#[derive(Clone, Debug)]
struct Import {
    line: usize,
    /// Absolute, without `crate`.
    path: Vec<String>,
}

/// An import of one file by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    file: PathBuf,
    line: usize,
    name: String,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            to,
            file,
            line,
            name,
            ..
        } = self;
        write!(f, "{}:{line} imports `{name}` of `{to}`", file.display())
    }
}

/// Reads all files below `src`, by their module paths.
fn files() -> BTreeMap<String, File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let inner = path.strip_prefix(&src).expect("below src");
            let module = inner.with_extension("").display().to_string();
            let module = module.replace(std::path::MAIN_SEPARATOR, "::");
            if module.rsplit("::").any(|part| part == "tests") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            let tokens: TokenStream = text.parse().expect("Rust");
            let at = if matches!(&*module, "lib" | "main") {
                Vec::new()
            } else {
                module.split("::").map(str::to_owned).collect()
            };
            let mut file = File {
                path: Path::new("outpost/src").join(inner),
                ..File::default()
            };
            declare(&mut file, tokens.clone());
            read(&mut file, &at, tokens);
            files.insert(module, file);
        }
    }
    files
}

/// Notes which modules a file declares.
fn declare(file: &mut File, tokens: TokenStream) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for three in tokens.windows(3) {
        if let [
            TokenTree::Ident(word),
            TokenTree::Ident(name),
            TokenTree::Punct(end),
        ] = three
            && word == "mod"
            && end.as_char() == ';'
        {
            file.children.insert(name.to_string());
        }
    }
}

/// Notes the paths of a file, which is the module `at`.
fn read(file: &mut File, at: &[String], tokens: TokenStream) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut next = 0;
    while let Some(token) = tokens.get(next) {
        if let Some(after) = after_tests(&tokens, next) {
            next = after;
            continue;
        }
        match token {
            TokenTree::Ident(word) if word == "pub" => {
                // What follows in parentheses is a visibility.
                let restricted = matches!(tokens.get(next + 1), Some(TokenTree::Group(_)));
                next += 1 + usize::from(restricted);
                continue;
            }
            TokenTree::Group(group) => read(file, at, group.stream()),
            TokenTree::Ident(word) if word == "use" => {
                let end = tokens.iter().skip(next).position(|t| is_punct(t, ';'));
                let end = next + end.unwrap_or(1);
                let tree: Vec<TokenTree> = tokens[next + 1..end].to_vec();
                for (line, path, alias) in expand(&tree) {
                    if let Some(path) = absolute(file, at, &path) {
                        file.names.insert(alias, path.clone());
                        file.imports.push(Import { line, path });
                    }
                }
                next = end;
            }
            TokenTree::Ident(_) if !follows_path(&tokens, next) => {
                let (line, path, after) = path_from(&tokens, next);
                if path.len() > 1
                    && let Some(path) = absolute(file, at, &path)
                {
                    file.imports.push(Import { line, path });
                }
                next = after;
                continue;
            }
            _ => {}
        }
        next += 1;
    }
}

/// Returns where the item ends that `#[cfg(test)]` at `next` stands before.
fn after_tests(tokens: &[TokenTree], next: usize) -> Option<usize> {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens.get(next..)? else {
        return None;
    };
    let attribute = group.stream().to_string().replace(' ', "");
    if hash.as_char() != '#' || attribute != "cfg(test)" {
        return None;
    }
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';'),
    };
    let end = tokens.iter().skip(next).position(ends)?;
    Some(next + end + 1)
}

fn is_punct(token: &TokenTree, what: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == what)
}

/// Whether `::` stands before, so that the word begins no path.
fn follows_path(tokens: &[TokenTree], next: usize) -> bool {
    next >= 2 && tokens[next - 2..next].iter().all(|t| is_punct(t, ':'))
        || next >= 1 && is_punct(&tokens[next - 1], '.')
}

/// Reads the path that begins at `next`, and returns its line and where it ends.
fn path_from(tokens: &[TokenTree], mut next: usize) -> (usize, Vec<String>, usize) {
    let line = tokens[next].span().start().line;
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(next) {
        path.push(word.to_string());
        let goes_on = tokens.get(next + 1..next + 3);
        if !goes_on.is_some_and(|two| two.iter().all(|t| is_punct(t, ':'))) {
            return (line, path, next + 1);
        }
        next += 3;
    }
    (line, path, next)
}

/// Returns the paths of a `use` declaration, with their lines and the names that they get.
fn expand(tree: &[TokenTree]) -> Vec<(usize, Vec<String>, String)> {
    let Some(first) = tree.first() else {
        return Vec::new();
    };
    let (line, path, after) = match first {
        TokenTree::Ident(_) => path_from(tree, 0),
        _ => (first.span().start().line, Vec::new(), 0),
    };
    match tree.get(after) {
        Some(TokenTree::Group(group)) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            inner
                .split(|token| is_punct(token, ','))
                .flat_map(expand)
                .map(|(line, rest, alias)| ([path.clone(), rest].concat(), alias, line))
                .map(|(path, alias, line)| (line, path, alias))
                .collect()
        }
        Some(TokenTree::Ident(renamed)) if renamed == "as" => {
            let alias = tree.get(after + 1).map(ToString::to_string);
            vec![(line, path, alias.unwrap_or_default())]
        }
        _ => {
            let alias = path.last().cloned().unwrap_or_default();
            vec![(line, path, alias)]
        }
    }
}

/// Returns a path from the crate's root; `None` when it leads out of the crate.
fn absolute(file: &File, at: &[String], path: &[String]) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    let rest = |from: usize| path.iter().skip(from).cloned();
    match first {
        "crate" => Some(rest(1).collect()),
        "self" => Some(at.iter().cloned().chain(rest(1)).collect()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = at.get(..at.len().checked_sub(ups)?)?;
            Some(base.iter().cloned().chain(rest(ups)).collect())
        }
        _ if file.children.contains(first) => Some(at.iter().cloned().chain(rest(0)).collect()),
        _ => None,
    }
}

/// Returns the file that a path leads to, through the re-exports on the way.
fn target(files: &BTreeMap<String, File>, path: &[String]) -> Option<(String, String)> {
    let mut path = path.to_vec();
    for _ in 0..8 {
        let depth = (1..=path.len())
            .rev()
            .find(|depth| files.contains_key(&path[..*depth].join("::")));
        let (module, name) = match depth {
            Some(depth) => (path[..depth].join("::"), path.get(depth)),
            None => ("lib".to_owned(), path.first()),
        };
        let further = name.and_then(|name| files.get(&module)?.names.get(name));
        match further {
            Some(further) if *further != path => path.clone_from(further),
            _ => {
                let name = name.map_or_else(|| module.clone(), String::clone);
                return Some((module, name));
            }
        }
    }
    None
}

fn arrows(files: &BTreeMap<String, File>) -> Vec<Arrow> {
    let mut arrows = BTreeSet::new();
    for (from, file) in files {
        for import in &file.imports {
            let Some((to, name)) = target(files, &import.path) else {
                continue;
            };
            if to != *from {
                arrows.insert(Arrow {
                    from: from.clone(),
                    to,
                    file: file.path.clone(),
                    line: import.line,
                    name,
                });
            }
        }
    }
    arrows.into_iter().collect()
}

/// The module at the crate's root that a file belongs to.
fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&top(module)))
}

/// Returns the files that lead back to themselves.
fn in_circles(arrows: &[Arrow]) -> BTreeSet<&str> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        reach.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let starts: Vec<&str> = reach.keys().copied().collect();
    starts
        .into_iter()
        .filter(|start| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&str> = reach[start].iter().copied().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(reach.get(next).into_iter().flatten());
                }
            }
            seen.contains(start)
        })
        .collect()
}

#[test]
fn imports_are_read_in_every_form() {
    let source = "
        pub use crate::a::{self, b::C, d as e};
        pub(in crate::not) mod child;
        use super::f::*;
        use std::crate_less;
        fn g(h: &crate::i::J) { self::child::k(); child::l!(super::super::m::N); x.child() }
        #[cfg(test)] mod tests { use crate::not; }
    ";
    let tokens: TokenStream = source.parse().expect("Rust");
    let at = ["x".to_owned(), "y".to_owned()];
    let mut file = File::default();
    declare(&mut file, tokens.clone());
    read(&mut file, &at, tokens);
    let paths: Vec<String> = file.imports.iter().map(|i| i.path.join("::")).collect();
    let expected = [
        "a::self",
        "a::b::C",
        "a::d",
        "x::f",
        "i::J",
        "x::y::child::k",
        "x::y::child::l",
        "m::N",
    ];
    assert_eq!(paths, expected);
}

fn lines<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.join("\n  ")
}

#[test]
fn every_module_has_a_layer_and_imports_only_what_is_above_it() {
    let files = files();
    let modules: BTreeSet<&str> = files.keys().map(|module| top(module)).collect();
    let listed: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    let of_layers = modules.iter().filter(|module| !OUTSIDE.contains(module));
    let of_layers: BTreeSet<&str> = of_layers.copied().collect();
    let unlisted: Vec<_> = of_layers.difference(&listed).collect();
    assert!(unlisted.is_empty(), "in no layer: {unlisted:?}");

    let arrows = arrows(&files);
    let up = arrows.iter().filter(|arrow| {
        let apart = top(&arrow.from) != top(&arrow.to);
        apart && layer(&arrow.from).is_some() && layer(&arrow.to) >= layer(&arrow.from)
    });
    let up: Vec<&Arrow> = up.collect();
    assert!(up.is_empty(), "against the layers:\n  {}", lines(up));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = files();
    let arrows = arrows(&files);
    let circles = in_circles(&arrows);
    let between = arrows
        .iter()
        .filter(|arrow| circles.contains(&*arrow.from) && circles.contains(&*arrow.to));
    assert!(
        circles.is_empty(),
        "{} files are in circles of imports:\n  {}",
        circles.len(),
        lines(between)
    );
}

#[test]
fn handlers_do_not_import_each_other() {
    let files = files();
    let arrows = arrows(&files);
    for folder in SIBLINGS_APART {
        let sibling = |module: &str| {
            let inner = module.strip_prefix(folder)?.strip_prefix("::")?;
            Some(top(inner).to_owned())
        };
        let between = arrows.iter().filter(|arrow| {
            let (from, to) = (sibling(&arrow.from), sibling(&arrow.to));
            from.is_some() && to.is_some() && from != to
        });
        let between = lines(between);
        assert!(between.is_empty(), "in {folder}:\n  {between}");
    }
}
