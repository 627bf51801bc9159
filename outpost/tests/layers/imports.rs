//! Which files import which.
//!
//! The sources are read as tokens: `use` declarations, and paths that begin with `crate`, `super`,
//! `self`, one of our crates, a module that the file declares or a name that it imports. Code under
//! `#[cfg(test)]` is left out. An import of a name that a file only re-exports is one of the file
//! that the name comes from, and a re-export does not count as an import of the file that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The programs and their libraries: the folder of each crate, and how others name it.
pub(crate) const CRATES: [(&str, &str); 10] = [
    ("base", "gatepost_base"),
    ("session/scan", "gatepost_scan"),
    ("session", "gatepost_session"),
    ("signing", "gatepost_signing"),
    ("policy", "gatepost_policy"),
    ("oidc", "gatepost_oidc"),
    ("store", "gatepost_store"),
    ("plugin/wasi", "gatepost_wasi"),
    ("plugin", "gatepost_plugin"),
    ("outpost", "gatepost"),
];

/// Every file, by its module path. That begins with the folder of the crate:
/// `outpost::web::service`.
pub(crate) type Files = BTreeMap<String, File>;

/// A module that is a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Where it lies in the repository, with `/` between folders.
    pub(crate) path: String,
    imports: Vec<Import>,
    /// The modules that it declares.
    children: BTreeSet<String>,
    /// How often each word occurs in it.
    words: BTreeMap<String, usize>,
    /// The types that it has methods of.
    extends: BTreeSet<String>,
    /// The paths of the names that it imports, which others may import from it.
    names: BTreeMap<String, Vec<String>>,
}

/// A path in a file.
#[derive(Clone, Debug)]
struct Import {
    line: usize,
    /// From the folder of the crate.
    path: Vec<String>,
}

/// An import of one file by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    file: String,
    line: usize,
    name: String,
}

impl Arrow {
    /// Returns whether the import is a function or a module, and not a type.
    pub(crate) fn is_function(&self) -> bool {
        self.name
            .starts_with(|first: char| first.is_ascii_lowercase())
    }
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
        write!(f, "{file}:{line} imports `{name}` of `{to}`")
    }
}

/// Reads the files of all crates.
pub(crate) fn files() -> Files {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository");
    let mut files = Files::new();
    for (folder, _) in CRATES {
        let src = repository.join(folder).join("src");
        for path in sources(&src) {
            let inner = path.strip_prefix(&src).expect("below src");
            let at = module_path(folder, inner);
            if at.last().is_some_and(|name| name == "tests") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            let mut file = File::read(&at, &text);
            let inner = inner.display().to_string();
            let inner = inner.replace(std::path::MAIN_SEPARATOR, "/");
            file.path = format!("{folder}/src/{inner}");
            files.insert(at.join("::"), file);
        }
    }
    files
}

/// Returns the Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns the module path of a file of a crate. The crate's root is the folder alone.
fn module_path(folder: &str, inner: &Path) -> Vec<String> {
    let parts = inner.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    let parts = parts.filter(|part| part != "lib");
    std::iter::once(folder.to_owned()).chain(parts).collect()
}

impl File {
    /// Reads the file that is the module `at`.
    pub(crate) fn read(at: &[String], text: &str) -> Self {
        let tokens: TokenStream = text.parse().expect("Rust");
        let mut file = Self::default();
        file.count(tokens.clone());
        file.declare(tokens.clone());
        file.import(at, tokens);
        file
    }

    /// Returns the paths that it imports.
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        self.imports.iter().map(|import| import.path.join("::"))
    }

    /// Counts its words, without those of unit tests.
    fn count(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            if let Some(after) = after_tests(&tokens, next) {
                next = after;
                continue;
            }
            match token {
                TokenTree::Group(group) => self.count(group.stream()),
                TokenTree::Ident(word) => {
                    *self.words.entry(word.to_string()).or_default() += 1;
                }
                _ => {}
            }
            next += 1;
        }
    }

    /// Returns whether it has methods of the type that an arrow imports.
    pub(crate) fn extends(&self, arrow: &Arrow) -> bool {
        self.extends.contains(&arrow.name)
    }

    /// Notes which modules it declares, and which types it has methods of.
    fn declare(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for two in tokens.windows(2) {
            if let [TokenTree::Ident(word), TokenTree::Ident(name)] = two
                && word == "impl"
            {
                self.extends.insert(name.to_string());
            }
        }
        for three in tokens.windows(3) {
            if let [
                TokenTree::Ident(word),
                TokenTree::Ident(name),
                TokenTree::Punct(end),
            ] = three
                && word == "mod"
                && end.as_char() == ';'
            {
                self.children.insert(name.to_string());
            }
        }
    }

    /// Notes its imports.
    fn import(&mut self, at: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next = 0;
        let mut is_public = false;
        while let Some(token) = tokens.get(next) {
            if let Some(after) = after_tests(&tokens, next) {
                next = after;
                continue;
            }
            match token {
                TokenTree::Ident(word) if word == "pub" => {
                    // What follows in parentheses is a visibility.
                    let restricted = matches!(tokens.get(next + 1), Some(TokenTree::Group(_)));
                    next += usize::from(restricted);
                    is_public = true;
                    next += 1;
                    continue;
                }
                TokenTree::Group(group) => self.import(at, group.stream()),
                // `use<'a>` captures a lifetime.
                TokenTree::Ident(word)
                    if word == "use" && !tokens.get(next + 1).is_some_and(|t| is_punct(t, '<')) =>
                {
                    let length = tokens[next..].iter().position(|t| is_punct(t, ';'));
                    let end = next + length.expect("a declaration ends");
                    for (line, path, alias) in expand(&tokens[next + 1..end]) {
                        if let Some(path) = self.absolute(at, &path) {
                            if !is_public || self.words.get(&alias).is_some_and(|uses| *uses > 1) {
                                let path = path.clone();
                                self.imports.push(Import { line, path });
                            }
                            self.names.insert(alias, path);
                        }
                    }
                    next = end;
                }
                TokenTree::Ident(_) if !goes_on_a_path(&tokens, next) => {
                    let (line, path, after) = path_from(&tokens, next);
                    if path.len() > 1
                        && let Some(path) = self.absolute(at, &path)
                    {
                        self.imports.push(Import { line, path });
                    }
                    next = after;
                    is_public = false;
                    continue;
                }
                _ => {}
            }
            is_public = false;
            next += 1;
        }
    }

    /// Returns a path from the folder of its crate; `None` when it leads to none of ours.
    fn absolute(&self, at: &[String], path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        let (base, ups) = match first {
            "crate" => (at.get(..1)?, 1),
            "self" => (at, 1),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                (at.get(..at.len().checked_sub(ups)?)?, ups)
            }
            _ if self.children.contains(first) => (at, 0),
            _ if self.names.contains_key(first) => {
                let rest = path.iter().skip(1);
                return Some(self.names.get(first)?.iter().chain(rest).cloned().collect());
            }
            _ => {
                let (folder, _) = CRATES.iter().find(|(_, name)| *name == first)?;
                let rest = path.iter().skip(1).cloned();
                return Some(std::iter::once((*folder).to_owned()).chain(rest).collect());
            }
        };
        let rest = path.iter().skip(ups);
        Some(base.iter().chain(rest).cloned().collect())
    }
}

/// Returns the end of the item after the `#[cfg(test)]` at `next`.
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
    let length = tokens[next..].iter().position(ends)?;
    Some(next + length + 1)
}

fn is_punct(token: &TokenTree, what: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == what)
}

/// Returns whether a word is within a path, or is a method.
fn goes_on_a_path(tokens: &[TokenTree], next: usize) -> bool {
    let before = &tokens[..next];
    match before {
        [.., two, one] if is_punct(one, ':') && is_punct(two, ':') => true,
        [.., one] => is_punct(one, '.'),
        [] => false,
    }
}

/// Reads the path that begins at `next`, and returns its line and where it ends.
fn path_from(tokens: &[TokenTree], mut next: usize) -> (usize, Vec<String>, usize) {
    let line = tokens[next].span().start().line;
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(next) {
        path.push(word.to_string());
        let colons = tokens.get(next + 1..next + 3);
        if !colons.is_some_and(|two| two.iter().all(|t| is_punct(t, ':'))) {
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
    let last = || path.last().cloned().unwrap_or_default();
    match tree.get(after) {
        Some(TokenTree::Group(group)) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let trees = inner.split(|token| is_punct(token, ','));
            let all = trees.flat_map(expand);
            all.map(|(line, rest, alias)| match rest.as_slice() {
                [own] if own == "self" => (line, path.clone(), last()),
                _ => (line, [path.as_slice(), &rest].concat(), alias),
            })
            .collect()
        }
        Some(TokenTree::Ident(word)) if word == "as" => {
            let alias = tree.get(after + 1).map(ToString::to_string);
            vec![(line, path, alias.unwrap_or_default())]
        }
        _ => {
            let alias = last();
            vec![(line, path, alias)]
        }
    }
}

/// Returns the file that a path leads to, and the name there, through the re-exports on the way.
fn target(files: &Files, path: &[String]) -> Option<(String, String)> {
    let mut path = path.to_vec();
    loop {
        let is_file = |depth: &usize| files.contains_key(&path[..*depth].join("::"));
        let depth = (1..=path.len()).rev().find(is_file)?;
        let module = path[..depth].join("::");
        let Some(name) = path.get(depth) else {
            return Some((module, path.last()?.clone()));
        };
        match files.get(&module)?.names.get(name) {
            // An enum's variant or a function of a type may follow.
            Some(further) if *further != path[..=depth] => {
                path = [further.as_slice(), &path[depth + 1..]].concat();
            }
            _ => return Some((module, name.clone())),
        }
    }
}

/// Returns every import of one file by another.
pub(crate) fn arrows(files: &Files) -> Vec<Arrow> {
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

/// Returns the files that lead back to themselves.
pub(crate) fn in_circles(arrows: &[Arrow]) -> BTreeSet<&str> {
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        imports.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let leads_back = |start: &&str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(next) = open.pop() {
            let reached = imports.get(next).into_iter().flatten();
            open.extend(reached.filter(|file| seen.insert(**file)).copied());
        }
        seen.contains(start)
    };
    imports.keys().copied().filter(leads_back).collect()
}
