//! The names of the headers that no client may say, in each file of `deploy/` that has to remove them one by
//! one. They are those of `policy/src/headers/`: a new name there is the one edit.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::layout;
use gatepost_policy::{
    HeaderRules, HeaderSettings, Policy, Preset, alias_patterns, owned_prefixes,
};

/// The lines between which a file has generated ones.
const BEGIN: &str = "Generated: each header that no client may say.";
const END: &str = "End of the generated lines.";

/// What a file shows of the names.
enum Part {
    /// The lines between the two markers.
    Lines(fn(&HeaderRules) -> Vec<String>),
    /// The value behind the key that a line has.
    Value(&'static str, fn(&HeaderRules) -> String),
}

use Part::{Lines, Value};

static FILES: [(Part, &[&str]); 9] = [
    (
        Lines(nginx),
        &["deploy/nginx/single.conf", "deploy/nginx/domain.conf"],
    ),
    (Lines(lua), &["deploy/haproxy/gatepost.lua"]),
    (
        Lines(caddy),
        &[
            "deploy/caddy/single.Caddyfile",
            "deploy/caddy/domain.Caddyfile",
        ],
    ),
    (
        Lines(envoy),
        &["deploy/envoy/single.yaml", "deploy/envoy/domain.yaml"],
    ),
    (
        Lines(chart),
        &["deploy/helm/gatepost/templates/_traefik.tpl"],
    ),
    (
        Value(ANNOTATION, of_ingress_nginx),
        &[
            "deploy/kubernetes/ingress-nginx/single.yaml",
            "deploy/kubernetes/ingress-nginx/domain.yaml",
        ],
    ),
    (
        Value(ANNOTATION, of_traefiks_ingress_nginx),
        &[
            "deploy/kubernetes/traefik/ingress-nginx-single.yaml",
            "deploy/kubernetes/traefik/ingress-nginx-domain.yaml",
        ],
    ),
    (
        Value(PATTERN, HeaderRules::owned_pattern),
        &[
            "deploy/traefik/dynamic/forward-auth-single.yaml",
            "deploy/traefik/dynamic/forward-auth-domain.yaml",
            "deploy/traefik/dynamic/mcp.yaml",
            "deploy/traefik/dynamic/route-single.yaml",
            "deploy/traefik/dynamic/route-domain.yaml",
            "deploy/kubernetes/traefik/forward-auth-single.yaml",
            "deploy/kubernetes/traefik/forward-auth-domain.yaml",
            "deploy/kubernetes/traefik/gateway-forward-auth-single.yaml",
            "deploy/kubernetes/traefik/route-single.yaml",
        ],
    ),
    (
        Value(PATTERN, in_compose),
        &[
            "deploy/compose/forward-auth-single.yaml",
            "deploy/compose/forward-auth-domain.yaml",
        ],
    ),
];

/// Returns each file of [`FILES`] with its part.
fn parts() -> impl Iterator<Item = (&'static str, &'static Part)> {
    FILES
        .iter()
        .flat_map(|(part, files)| files.iter().map(move |file| (*file, part)))
}

const ANNOTATION: &str = "nginx.ingress.kubernetes.io/auth-response-headers: ";
const PATTERN: &str = "authResponseHeadersRegex: ";

/// The rules of an application that the pages show, with what no client may say where rules ask for methods.
fn rules() -> HeaderRules {
    HeaderRules::new(HeaderSettings::of(Preset::Gatepost, "wiki"))
        .guarding(&Policy::default(), true)
}

fn nginx(rules: &HeaderRules) -> Vec<String> {
    let names = rules.removed_by_name().filter(|name| !is_assertion(name));
    names
        .map(|name| format!("proxy_set_header {name} \"\";"))
        .collect()
}

fn lua(rules: &HeaderRules) -> Vec<String> {
    let names = rules.removed_by_name().filter(|name| !is_assertion(name));
    names
        .map(|name| format!("\"{}\",", name.to_lowercase()))
        .collect()
}

/// The outpost sets it, so that it is in the lists before.
fn is_assertion(name: &str) -> bool {
    name == "X-Gatepost-Assertion"
}

/// Returns the names for a proxy that removes families as such.
fn beside_families(rules: &HeaderRules) -> impl Iterator<Item = String> {
    let own = rules.names().map(ToString::to_string);
    own.chain(rules.removed_by_name().filter(|name| !in_family(name)))
}

fn caddy(rules: &HeaderRules) -> Vec<String> {
    let families = owned_prefixes().map(|prefix| format!("request_header -{}*", title(prefix)));
    let names = beside_families(rules).map(|name| format!("request_header -{name}"));
    families.chain(names).collect()
}

fn title(name: &str) -> String {
    let mut begins = true;
    let letters = name.chars().map(|c| {
        let c = if begins { c.to_ascii_uppercase() } else { c };
        begins = c == '-';
        c
    });
    letters.collect()
}

fn envoy(rules: &HeaderRules) -> Vec<String> {
    let families = owned_prefixes()
        .map(|prefix| format!("- remove_on_match: {{ key_matcher: {{ prefix: {prefix} }} }}"));
    let names = beside_families(rules).map(|name| format!("- remove: {}", name.to_lowercase()));
    families.chain(names).collect()
}

fn of_ingress_nginx(rules: &HeaderRules) -> String {
    annotation(rules, rules.removed_by_name())
}

/// Traefik itself removes what proxies say, and sets some of it.
fn of_traefiks_ingress_nginx(rules: &HeaderRules) -> String {
    annotation(rules, rules.owned_by_name())
}

fn annotation(rules: &HeaderRules, removed: impl Iterator<Item = String>) -> String {
    let own = rules.names().map(ToString::to_string);
    let all = own.chain(removed).chain(["Cookie".to_owned()]);
    all.collect::<Vec<_>>().join(",")
}

/// Compose reads `$` as the beginning of a variable.
fn in_compose(rules: &HeaderRules) -> String {
    rules.owned_pattern().replace('$', "$$")
}

/// The lists of which the chart makes a pattern for each application.
fn chart(rules: &HeaderRules) -> Vec<String> {
    let unguarded = HeaderRules::new(HeaderSettings::of(Preset::None, "wiki"));
    let others: Vec<String> = unguarded
        .owned_by_name()
        .filter(|name| !in_family(name))
        .collect();
    let methods = rules.owned_by_name();
    let methods: Vec<String> = methods
        .filter(|name| !unguarded.owns(name.as_bytes()))
        .collect();
    let prefixes: Vec<String> = owned_prefixes()
        .map(|prefix| prefix.replace('-', "."))
        .collect();
    let aliases: Vec<String> = alias_patterns().map(str::to_owned).collect();
    [
        ("aliases", aliases),
        ("prefixes", prefixes),
        ("others", others),
        ("methods", methods),
    ]
    .map(|(variable, texts)| {
        // In backquotes a backslash is one.
        let texts: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
        format!("{{{{- ${variable} := list {} -}}}}", texts.join(" "))
    })
    .into()
}

fn in_family(name: &str) -> bool {
    let name = name.to_lowercase();
    owned_prefixes().any(|prefix| name.starts_with(prefix))
}

/// Returns a file's text with the names that the policy has.
fn fresh(text: &str, part: &Part) -> Result<String> {
    let mut out = String::new();
    let mut found = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        match part {
            Value(key, value) => match line.split_once(key) {
                Some((before, _)) => {
                    found += 1;
                    out.push_str(&format!("{before}{key}{}\n", value(&rules())));
                }
                None => out.push_str(&format!("{line}\n")),
            },
            Lines(generated) => {
                out.push_str(&format!("{line}\n"));
                if !line.contains(BEGIN) {
                    continue;
                }
                found += 1;
                let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
                for own in generated(&rules()) {
                    out.push_str(&format!("{indent}{own}\n"));
                }
                let end = lines.find(|line| line.contains(END));
                out.push_str(&format!("{}\n", end.context("what is generated ends")?));
            }
        }
    }
    ensure!(found == 1, "{found} places for the names");
    Ok(out)
}

/// Returns each file, with its text as it is and as it should be.
fn files() -> Result<Vec<(PathBuf, String, String)>> {
    parts()
        .map(|(file, part)| {
            let path = layout::root().join(file);
            let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
            let fresh = fresh(&text, part).context(file)?;
            Ok((path, text, fresh))
        })
        .collect()
}

/// Writes the names into the files, once for all tests that run beside each other.
pub(super) fn write() -> Result<()> {
    static WRITTEN: OnceLock<Result<()>> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| {
        for (path, text, fresh) in files()? {
            if text != fresh {
                fs::write(path, fresh)?;
            }
        }
        Ok(())
    });
    let failed = |error| anyhow::anyhow!("{error:#}");
    written.as_ref().map(|&()| ()).map_err(failed)
}

/// Row A9: one list, so that no proxy lets through what another removes.
#[test]
fn each_configuration_removes_the_names_of_the_policy() -> Result<()> {
    if super::updates() {
        write()?;
    }
    let behind: Vec<String> = files()?
        .into_iter()
        .filter(|(_, text, fresh)| text != fresh)
        .map(|(path, ..)| path.display().to_string())
        .collect();
    let files = behind.join("\n");
    assert!(
        behind.is_empty(),
        "run with GATEPOST_UPDATE_DOCS=1:\n{files}"
    );
    Ok(())
}

/// The filter of the Gateway API removes sixteen names at most, so its file has a choice of them.
const BY_HAND: &str = "deploy/kubernetes/cilium/single.yaml";

#[test]
fn the_choice_by_hand_is_of_these_names() -> Result<()> {
    let rules = rules();
    let text = fs::read_to_string(layout::root().join(BY_HAND))?;
    let (_, removed) = text.split_once("remove:\n").context("a list")?;
    let chosen = removed
        .lines()
        .map_while(|line| line.trim().strip_prefix("- "));
    let chosen: Vec<&str> = chosen.collect();
    // As many as the filter takes.
    assert_eq!(chosen.len(), 16, "{chosen:?}");
    for name in chosen {
        // How a proxy describes the request is the proxy's to say, and Cilium leaves a client's.
        let describes = name.starts_with("x-forwarded-");
        assert!(describes || rules.owns(name.as_bytes()), "{name}");
    }
    Ok(())
}

/// A file that removes names has them from here.
#[test]
fn no_other_file_lists_the_names() -> Result<()> {
    let mut left = vec![layout::root().join("deploy")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default().to_lowercase();
        let lists = text.contains("webauth");
        let mut files = parts().map(|(file, _)| file).chain([BY_HAND]);
        let known = files.any(|file| path.ends_with(file));
        assert!(known || !lists, "{}", path.display());
    }
    Ok(())
}
