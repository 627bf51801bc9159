//! The table of annotations: complete, what happens, and what the page shows.

use super::super::annotations::{Annotation, Fate, TABLE, of};
use super::hosts::{imported_all, part};
use super::*;

const ALL: &str = include_str!("../../../../../testdata/ingress-nginx/annotations.txt");
const READ_BY_TRAEFIK: &str =
    include_str!("../../../../../testdata/ingress-nginx/read-by-traefik.txt");

/// Returns a value with which an annotation does something.
fn value(row: &Annotation) -> &'static str {
    match row.name {
        "auth-url" => URL.1,
        "auth-response-headers" => "X-Own",
        "auth-snippet" => "return 200;",
        "auth-type" => "basic",
        "custom-http-errors" => "404,503",
        "satisfy" => "any",
        "rewrite-target" | "app-root" | "x-forwarded-prefix" => "/inner",
        "permanent-redirect" | "temporal-redirect" => "https://elsewhere.example",
        "upstream-vhost" | "server-alias" | "proxy-ssl-name" => "inner.example.com",
        "backend-protocol" => "HTTPS",
        "proxy-ssl-secret" => "apps/upstream",
        "proxy-ssl-verify" | "proxy-ssl-server-name" => "on",
        "enable-global-auth" | "enable-modsecurity" | "enable-owasp-core-rules" => "true",
        name if name.ends_with("source-range") => "192.0.2.0/24",
        _ if row.is_flag => "true",
        _ => "1",
    }
}

/// Returns what another annotation does nothing without.
fn beside(name: &str, form: Form) -> Vec<(&'static str, &'static str)> {
    match (name, form) {
        ("x-forwarded-prefix", Form::Crds | Form::Gateway) => vec![("rewrite-target", "/inner")],
        (name, Form::Crds) if name.starts_with("proxy-ssl-") && name != "proxy-ssl-secret" => {
            let secret = ("proxy-ssl-secret", "apps/upstream");
            let mut all = vec![("backend-protocol", "HTTPS"), secret];
            all.extend(
                (name != "proxy-ssl-name").then_some(("proxy-ssl-name", "upstream.apps.svc")),
            );
            all
        }
        ("proxy-ssl-secret", Form::Crds) => vec![("backend-protocol", "HTTPS")],
        _ => Vec::new(),
    }
}

/// Imports a protected Ingress with these annotations.
fn imported_with(own: &[(&str, &str)], form: Form) -> Imported {
    let is_canary = own.iter().any(|(key, _)| *key == "canary");
    let (first, canary) = if is_canary {
        (vec![URL], Some(part("beta", own, "/", "Prefix")))
    } else {
        ([&[URL], own].concat(), None)
    };
    let mut parts = vec![part("wiki", &first, "/", "Prefix")];
    parts.extend(canary);
    imported_all(&parts, form)
}

fn has_item(text: &str, beginning: &str) -> bool {
    let item = format!("# - {beginning}");
    text.lines().any(|line| line.starts_with(&item))
}

#[test]
fn every_annotation_has_a_row() {
    let rows: std::collections::BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(rows.len(), TABLE.len(), "one row each");
    assert_eq!(rows, ALL.lines().collect());
}

#[test]
fn what_stays_traefik_reads() {
    for row in TABLE {
        let is_read = READ_BY_TRAEFIK.lines().any(|name| name == row.name);
        match row.fate(Form::Annotations) {
            Fate::Kept => assert!(is_read, "{}", row.name),
            // Without `auth-tls-secret`, which is refused, they do nothing.
            Fate::Nothing => {
                let is_part = ["auth-tls-", "auth-method", "modsecurity-transaction-id"];
                let is_part = is_part.iter().any(|part| row.name.starts_with(part));
                assert!(!is_read || is_part, "{}", row.name);
            }
            Fate::Expressed | Fate::Line(_) | Fate::Refused => {}
        }
    }
    for name in READ_BY_TRAEFIK.lines() {
        assert!(of(name).is_some(), "{name}");
    }
}

/// Returns whether a form makes of an annotation what its row says.
fn holds(row: &Annotation, form: Form) -> bool {
    let beside = beside(row.name, form);
    let own = [&beside[..], &[(row.name, value(row))]].concat();
    let imported = imported_with(&own, form);
    let text = &imported.text;
    let has_line = has_item(text, &format!("{}: ", row.name));
    let is_printed = imported.expressed > 0;
    match row.fate(form) {
        Fate::Refused => !is_printed && !imported.refused.is_empty(),
        Fate::Line(line) => is_printed && has_item(text, &format!("{}: {line}", row.name)),
        Fate::Nothing => {
            is_printed && has_item(text, &format!("nothing to do for {}", row.name)) && !has_line
        }
        Fate::Kept => {
            let key = format!("nginx.ingress.kubernetes.io/{}", row.name);
            let mut all = objects(text).into_iter();
            let is_kept = all.any(|it| it["metadata"]["annotations"][&key] == value(row));
            // A canary stays as it is, and so is not printed.
            is_printed && !has_line && (is_kept || row.name == "canary")
        }
        Fate::Expressed => {
            let without = imported_with(&beside, form).text;
            // Traefik always says the name that it looks for.
            let is_same = ["auth-url", "proxy-ssl-server-name"].contains(&row.name);
            let differs = objects(text) != objects(&without) || is_same;
            is_printed && differs && (!has_line || row.is_external)
        }
    }
}

#[test]
fn each_row_is_what_happens() {
    let all = TABLE.iter().flat_map(|row| FORMS.map(|form| (row, form)));
    let wrong: Vec<String> = all
        .filter(|(row, form)| !holds(row, *form))
        .map(|(row, form)| format!("{} {form:?}", row.name))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_is_of_the_old_service_is_printed_as_an_empty_text() {
    // `kubectl apply` would keep what is not there.
    for row in TABLE.iter().filter(|row| row.is_external) {
        let text = imported_with(&[(row.name, value(row))], Form::Annotations).text;
        let kept = &objects(&text)[0]["metadata"]["annotations"];
        let kept = &kept[format!("nginx.ingress.kubernetes.io/{}", row.name)];
        let is_kept = row.fate(Form::Annotations) == Fate::Expressed;
        assert!(
            kept.is_string() && (*kept != "") == is_kept,
            "{}: {kept}",
            row.name
        );
    }
}

#[test]
fn an_annotation_that_nobody_knows_has_a_line() {
    for form in FORMS {
        let text = imported_with(&[("auth-ur1", "x")], form).text;
        assert!(
            has_item(&text, "auth-ur1: NOT taken over"),
            "{form:?}: {text}"
        );
    }
}

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/proxies/out-of-ingress-nginx.md"
);
const BEGIN: &str = "<!-- annotations -->\n";
const END: &str = "<!-- end of the annotations -->\n";

fn cell(fate: Fate) -> &'static str {
    match fate {
        Fate::Kept => "kept",
        Fate::Expressed => "expressed",
        Fate::Line(line) => line,
        Fate::Refused => "**refused**",
        Fate::Nothing => "nothing to do",
    }
}

/// Returns the page's table: the annotations of which the same becomes are in one row.
fn table() -> String {
    let mut rows: Vec<(Vec<String>, String)> = Vec::new();
    for row in TABLE {
        let [annotations, crds, gateway] = FORMS.map(|form| cell(row.fate(form)));
        let cells = match crds == gateway {
            true if annotations == crds => format!("{annotations} | the same"),
            true => format!("{annotations} | {crds}"),
            false => format!("{annotations} | `crds`: {crds}. `gateway`: {gateway}"),
        };
        let name = format!("`{}`", row.name);
        match rows.iter_mut().find(|(_, known)| *known == cells) {
            Some((names, _)) => names.push(name),
            None => rows.push((vec![name], cells)),
        }
    }
    let mut table =
        "| annotation | `traefik-annotations` | `crds`, `gateway` |\n| --- | --- | --- |\n"
            .to_owned();
    for (names, cells) in rows {
        table.push_str(&format!("| {} | {cells} |\n", names.join(", ")));
    }
    table
}

/// `GATEPOST_UPDATE_DOCS=1` writes it.
#[test]
fn the_page_shows_every_row() {
    let table = table();
    let text = std::fs::read_to_string(PAGE).expect("the page");
    let (before, rest) = text.split_once(BEGIN).expect(BEGIN);
    let (shown, after) = rest.split_once(END).expect(END);
    if shown == table {
        return;
    }
    assert!(
        std::env::var_os("GATEPOST_UPDATE_DOCS").is_some(),
        "the page does not show the table; GATEPOST_UPDATE_DOCS=1 writes:\n{table}"
    );
    std::fs::write(PAGE, [before, BEGIN, &table, END, after].concat()).expect("written");
}
