//! `cargo xtask docs`: checks the pages, and makes a book of them.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::layout;
use gatepost_e2e::tools::{Mdbook, Tool as _};

use self::page::Page;

/// The folder of the pages, from the top of the checkout.
const FOLDER: &str = "docs";

/// The book's table of contents, in [`FOLDER`].
const SUMMARY: &str = "SUMMARY.md";

/// Where the book's readers find what lies outside of [`FOLDER`].
const REPOSITORY: &str = "https://github.com/gatepost/gatepost/blob/main/";

/// Folders without pages of ours; the last is a published crate, whose links are its own.
const SKIPPED: &[&str] = &["target", "node_modules", ".git", "http-wasm-guest"];

/// Makes the book in `target/book/`.
///
/// # Errors
///
/// When a link leads nowhere, or mdbook fails or warns.
pub(crate) fn book() -> Result<()> {
    let problems = problems()?;
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let source = layout::target_dir().join("book-source");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    stage(&layout::root().join(FOLDER), &source)?;
    let book = layout::target_dir().join("book");
    let output = Command::new(Mdbook.ensure()?)
        .arg("build")
        .arg(&source)
        .arg("--dest-dir")
        .arg(&book)
        .output()
        .context("run mdbook")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("WARN") {
        bail!("mdbook: {said}");
    }
    println!("{}", book.join("index.html").display());
    Ok(())
}

/// Returns one line for each link that leads nowhere and each page that the book lacks.
///
/// Only links within the checkout: others are not ours to keep.
///
/// # Errors
///
/// When a page cannot be read.
pub(crate) fn problems() -> Result<Vec<String>> {
    let root = layout::root();
    let mut pages = BTreeMap::new();
    for path in markdown_below(&root)? {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        pages.insert(path, Page::parse(&text));
    }
    let mut problems = Vec::new();
    for (path, page) in &pages {
        let shown = path.strip_prefix(&root).unwrap_or(path).display();
        for link in &page.links {
            if let Some(problem) = problem(link, path, &pages) {
                problems.push(format!("{shown}: `{link}`: {problem}"));
            }
        }
    }
    problems.extend(missing_from_summary(&root.join(FOLDER), &pages)?);
    Ok(problems)
}

/// Returns the problem with a link on a page, if there is one.
fn problem(link: &str, on: &Path, pages: &BTreeMap<PathBuf, Page>) -> Option<&'static str> {
    if is_elsewhere(link) {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let target = match file {
        "" => on.to_owned(),
        file => normal(&on.parent()?.join(file)),
    };
    if !target.exists() {
        return Some("no such file");
    }
    let anchor = anchor?;
    match pages.get(&target) {
        Some(page) if page.anchors.contains(anchor) => None,
        Some(_) => Some("no such heading"),
        None => Some("a heading of a file that is no page"),
    }
}

/// Returns one line for each page in the folder that the table of contents does not name.
fn missing_from_summary(folder: &Path, pages: &BTreeMap<PathBuf, Page>) -> Result<Vec<String>> {
    let summary = folder.join(SUMMARY);
    let listed = pages.get(&summary).context("the book has a summary")?;
    let listed: BTreeSet<PathBuf> = listed
        .links
        .iter()
        .map(|link| normal(&folder.join(link)))
        .collect();
    Ok(pages
        .keys()
        .filter(|path| path.starts_with(folder) && **path != summary && !listed.contains(*path))
        .map(|path| format!("{}: missing from {SUMMARY}", path.display()))
        .collect())
}

/// Copies the pages, with links that leave the folder led to the repository.
fn stage(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry has a name")?);
        if path.is_dir() {
            stage(&path, &target)?;
        } else if is_markdown(&path) {
            fs::write(&target, for_book(&fs::read_to_string(&path)?, &path))?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Returns the text of a page with links that lead somewhere in the book.
fn for_book(text: &str, path: &Path) -> String {
    let root = layout::root();
    let folder = path.parent().unwrap_or(&root);
    let mut text = text.to_owned();
    for link in Page::parse(&text).links {
        let target = normal(&folder.join(&link));
        if is_elsewhere(&link) || link.starts_with('#') {
            continue;
        }
        let url = if target.starts_with(root.join(FOLDER)) {
            // A folder's first page: GitHub shows README.md, mdbook calls it index.
            link.replace("README.md", "index.md")
        } else {
            let outside = target.strip_prefix(&root).unwrap_or(&target);
            format!("{REPOSITORY}{}", outside.display())
        };
        text = text.replace(&format!("]({link})"), &format!("]({url})"));
    }
    text
}

/// Returns every page below a folder.
fn markdown_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| SKIPPED.contains(&name)) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(markdown_below(&path)?);
        } else if is_markdown(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Returns whether a link leads out of the checkout.
fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// Resolves `.` and `..` by the text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_somewhere_and_the_book_has_every_page() -> Result<()> {
        let problems = problems()?;
        assert!(problems.is_empty(), "{problems:#?}");
        Ok(())
    }

    #[test]
    fn broken_links_are_found() {
        let page = layout::root().join("docs/sessions.md");
        let pages = BTreeMap::from([(page.clone(), Page::parse("# Sessions\n\n## A `renewal`\n"))]);
        for (link, expected) in [
            ("#a-renewal", None),
            ("sessions.md#a-renewal", None),
            ("../README.md", None),
            ("https://example.com/#nowhere", None),
            ("#windows", Some("no such heading")),
            ("no-such-page.md", Some("no such file")),
            (
                "../Cargo.toml#x",
                Some("a heading of a file that is no page"),
            ),
        ] {
            assert_eq!(problem(link, &page, &pages), expected, "{link}");
        }
    }

    #[test]
    fn links_are_fitted_to_the_book() {
        let page = layout::root().join("docs/proxies/nginx.md");
        for (link, expected) in [
            ("../sessions.md", "../sessions.md".to_owned()),
            ("#x", "#x".to_owned()),
            ("README.md#tls", "index.md#tls".to_owned()),
            (
                "../../deploy/nginx/single.conf",
                format!("{REPOSITORY}deploy/nginx/single.conf"),
            ),
        ] {
            let text = format!("[a]({link})");
            assert_eq!(for_book(&text, &page), format!("[a]({expected})"));
        }
    }
}
