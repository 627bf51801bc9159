//! The docs show the same files that the tests run.
//!
//! In `docs/proxies/` and `docs/assertion.md`, a comment before each block of code names the file that the block shows.
//! `GATEPOST_UPDATE_DOCS=1` writes the files into the blocks, and before that the names of headers into the
//! files.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::layout;

mod headers;

fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(layout::root().join("docs/proxies"))? {
        pages.push(entry?.path());
    }
    pages.push(layout::root().join("docs/assertion.md"));
    pages.sort();
    ensure!(!pages.is_empty(), "there are pages");
    Ok(pages)
}

/// Returns a page with each of its blocks replaced by the file that is named before it.
fn with_files(page: &str, shown: &mut BTreeSet<String>) -> Result<String> {
    let mut lines = page.lines();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let named = line.strip_prefix("<!-- file: ");
        let Some(file) = named.and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let content = fs::read_to_string(layout::root().join(file))
            .with_context(|| format!("read {file}"))?;
        let fence = lines.next().unwrap_or_default();
        ensure!(fence.starts_with("```"), "a block follows {file}");
        out.push_str(fence);
        out.push('\n');
        out.push_str(&content);
        let end = lines.find(|line| line.starts_with("```"));
        out.push_str(end.with_context(|| format!("the block of {file} ends"))?);
        out.push('\n');
        shown.insert(file.to_owned());
    }
    Ok(out)
}

/// Returns whether the tests write what they otherwise compare.
fn updates() -> bool {
    std::env::var_os("GATEPOST_UPDATE_DOCS").is_some()
}

#[test]
fn pages_show_the_files_that_the_tests_run() -> Result<()> {
    let update = updates();
    if update {
        headers::write()?;
    }
    let mut shown = BTreeSet::new();
    for path in pages()? {
        let page = fs::read_to_string(&path)?;
        let fresh = with_files(&page, &mut shown).with_context(|| path.display().to_string())?;
        if update {
            fs::write(&path, &fresh)?;
        } else {
            let name = path.display();
            assert!(fresh == page, "{name}: run with GATEPOST_UPDATE_DOCS=1");
        }
    }
    for file in configurations()? {
        assert!(shown.contains(&file), "no page shows {file}");
    }
    Ok(())
}

/// Returns the configurations that operators deploy.
fn configurations() -> Result<Vec<String>> {
    let mut files = vec!["docker-compose.yml".to_owned()];
    for folder in [
        "traefik/static",
        "traefik/dynamic",
        "nginx",
        "kubernetes/traefik",
        "kubernetes/ingress-nginx",
        "kubernetes/cilium",
        "caddy",
        "haproxy",
        "envoy",
        "compose",
        "compose/demo",
    ] {
        for entry in fs::read_dir(layout::root().join("deploy").join(folder))? {
            let path = entry?.path();
            if path.is_dir() {
                continue;
            }
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.context("a file has a name")?;
            files.push(format!("deploy/{folder}/{name}"));
        }
    }
    Ok(files)
}

/// Row 61, where the outpost has a host of its own: the rule names the paths that lead to the outpost. An
/// operator who sets another prefix and forgets the rule then has no sign-in, and no open `auth/*`.
#[test]
fn a_host_of_the_outposts_own_is_routed_by_its_prefix() -> Result<()> {
    const PATHS: &str = " && (Path(`/`) || PathPrefix(`/akprox/`)) && !PathPrefix(`/akprox/auth`)";
    // With these, the outpost is asked for one path alone.
    const ELSEWHERE: [&str; 3] = [
        "middlewares: [elsewhere]",
        "- name: gatepost-elsewhere",
        "traefik.http.routers.gatepost-elsewhere.middlewares: gatepost-elsewhere",
    ];
    let mut found = 0;
    for folder in ["traefik/dynamic", "kubernetes/traefik", "compose"] {
        for file in fs::read_dir(layout::root().join("deploy").join(folder))? {
            let path = file?.path();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let lines: Vec<&str> = text.lines().collect();
            for (at, rule) in lines.iter().enumerate() {
                if !rule.contains("Host(`auth.") {
                    continue;
                }
                // The rest of the host may lead to the outpost, if never by a path that a client chose.
                let to_nothing = |line: &&str| ELSEWHERE.contains(&line.trim());
                let mut next = lines.iter().skip(at + 1).take(3);
                let rest = !rule.contains("Path") && next.any(to_nothing);
                assert!(rest || rule.ends_with(PATHS), "{}: {rule}", path.display());
                found += usize::from(!rest);
            }
        }
    }
    assert!(found >= 8, "{found}");
    Ok(())
}
