//! Assertions: the keys that sign them, and what applications want.

use std::path::{Path, PathBuf};

use gatepost_policy::config::{Fields, has_a_meaning};
use gatepost_policy::{ASSERTION_CLAIM, HeaderName};
use serde_json::{Map, Value, json};

use super::files::Files;
use crate::application::ApplicationSettings;
use crate::assertion::{
    Algorithm, AssertedClaims, AssertionKeys, AssertionSettings, DEFAULT_HEADER, HEADER_WORDS,
};

/// The key that names the file.
const KEYS_FILE: &str = "assertionKeysFile";

/// Reads the keys. `None` after reporting why they cannot be read.
pub(super) fn keys(
    fields: &mut Fields<'_>,
    files: &Files,
    state_dir: Option<&Path>,
    keys_file: Option<&Path>,
) -> Option<AssertionKeys> {
    let Some(path) = fields.text(KEYS_FILE) else {
        return Some(AssertionKeys::default());
    };
    if state_dir.is_some_and(|folder| lies_in(Path::new(&path), folder)) {
        fields.problem(
            KEYS_FILE,
            "lies in the folder of `stateDir`, which proxies read: no proxy may sign assertions",
        );
    }
    // A proxy that reads the keys of sessions is often given their folder as a whole.
    if keys_file.is_some_and(|own| share_folder(Path::new(&path), own)) {
        fields.problem(
            KEYS_FILE,
            "lies in the folder of `keysFile`, which proxies read: put it into another one, since no \
             proxy may sign assertions",
        );
    }
    let text = files.read(fields, KEYS_FILE, &path)?;
    AssertionKeys::parse(&text)
        .map_err(|error| fields.problem(KEYS_FILE, format!("{path}: {error}")))
        .ok()
}

/// Returns whether a file lies in a folder, also by way of links.
fn lies_in(file: &Path, folder: &Path) -> bool {
    file.starts_with(folder) || real(file).starts_with(real(folder))
}

/// Returns whether two files lie in the same folder, also by way of links.
fn share_folder(one: &Path, other: &Path) -> bool {
    one.parent() == other.parent() || real(one).parent() == real(other).parent()
}

/// Returns a path without links.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Reads what an application wants. `None` after reporting a header that cannot be.
pub(super) fn settings(mut section: Fields<'_>) -> Option<AssertionSettings> {
    let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = section.choice("algorithm", &algorithms).unwrap_or_default();
    let written = section.value("header").is_some();
    let header = match written {
        true => section.parsed("header", header),
        false => HeaderName::new(DEFAULT_HEADER).ok(),
    };
    let claims = section.list("claims").map_or(AssertedClaims::ALL, |names| {
        let mut claims = AssertedClaims::NONE;
        for name in &names {
            match name.as_str() {
                "email" => claims.email = true,
                "name" => claims.name = true,
                "preferred_username" => claims.preferred_username = true,
                "groups" => claims.groups = true,
                _ => {
                    let accepted = "expected `email`, `name`, `preferred_username` or `groups`";
                    section.problem("claims", format!("`{name}`: {accepted}"));
                }
            }
        }
        claims
    });
    let taken = header.as_ref().filter(|name| has_a_meaning(name));
    if let Some(name) = taken {
        let message = format!("`{name}` has another meaning to proxies or to the outpost");
        section.problem("header", message);
    }
    section.finish();
    Some(AssertionSettings {
        algorithm,
        header: header?,
        claims,
    })
}

fn header(text: &str) -> Result<HeaderName, gatepost_policy::InvalidHeaderName> {
    let mut words = HEADER_WORDS.into_iter();
    let named = words.find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
    HeaderName::new(named.map_or(text, |(_, name)| name))
}

/// Adds the header to those of the application, as one that has a claim: `shared` has the settings that
/// plugins share. Reports a header that has a second value, and one that has the claim by another name.
pub(super) fn set_header(
    assertion: Option<&AssertionSettings>,
    shared: &mut Map<String, Value>,
    fields: &Fields<'_>,
) {
    let set = value_of(shared, "headers").and_then(|headers| value_of(headers.as_object()?, "set"));
    for (name, claim) in set.and_then(Value::as_object).into_iter().flatten() {
        if claim.as_str() == Some(ASSERTION_CLAIM) {
            let message =
                format!("`{ASSERTION_CLAIM}` is not a claim of a provider: write `assertion`");
            fields.problem("headers.set", message);
        }
        let is_same = |own: &AssertionSettings| HeaderName::new(name).as_ref() == Ok(&own.header);
        if assertion.is_some_and(is_same) {
            fields.problem(
                "headers.set",
                format!("`{name}` is the header of `assertion`"),
            );
        }
    }
    let Some(own) = assertion else {
        return;
    };
    if let Some(headers) = place_of(shared, "headers")
        && let Some(set) = headers.as_object_mut().and_then(|own| place_of(own, "set"))
        && let Some(set) = set.as_object_mut()
    {
        set.insert(own.header.to_string(), json!(ASSERTION_CLAIM));
    }
}

/// Returns the value of a key in any case.
fn value_of<'v>(section: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    let mut entries = section.iter();
    entries.find_map(|(own, value)| own.eq_ignore_ascii_case(key).then_some(value))
}

/// Returns the place of a section, which is made where it is missing.
fn place_of<'v>(within: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Value> {
    let own = within.keys().find(|own| own.eq_ignore_ascii_case(key));
    let key = own.cloned().unwrap_or_else(|| key.to_owned());
    Some(within.entry(key).or_insert_with(|| json!({})))
}

/// Reports applications whose assertions no key could sign. `keys` is `None` where a problem with them
/// was reported.
pub(super) fn report(
    applications: &[ApplicationSettings],
    keys: Option<&AssertionKeys>,
    fields: &Fields<'_>,
) {
    let Some(keys) = keys else {
        return;
    };
    for (at, application) in applications.iter().enumerate() {
        let Some(own) = &application.assertion else {
            continue;
        };
        if keys.signing(own.algorithm).is_some() {
            continue;
        }
        let algorithm = own.algorithm.name();
        let path = format!("applications[{at}].assertion");
        let problem = format!(
            "needs a key for {algorithm} in `{KEYS_FILE}`: `gatepost keygen --assertion {algorithm}` \
             makes one"
        );
        fields.problems().add(path, problem);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use crate::assertion::{Algorithm, AssertionKeys};
    use crate::config::Config;
    use crate::fixture::{KEYS, problems};

    const WIKI: &str = "name: wiki, externalUrl: 'https://wiki.example.com'";

    /// Returns the problems of a configuration with these settings and this application.
    fn findings(settings: &str, application: &str) -> Result<Config, String> {
        let yaml = format!(
            "
keys: ['{}']
{settings}
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications: [{{{WIKI}, {application}}}]",
            KEYS[0]
        );
        Config::parse(&yaml, []).map_err(|error| error.to_string())
    }

    fn keys_file(folder: &std::path::Path, algorithm: Algorithm) -> String {
        let path = folder.join("assertion.keys");
        let mut file = std::fs::File::create(&path).expect("a file");
        let key = AssertionKeys::generate(algorithm).expect("a key");
        file.write_all(key.as_bytes()).expect("written");
        path.display().to_string()
    }

    #[test]
    fn an_application_gets_the_header_that_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = format!(
            "assertionKeysFile: {}",
            keys_file(folder.path(), Algorithm::Es256)
        );
        for (text, expected) in [
            ("assertion: {}", "X-Gatepost-Assertion"),
            ("assertion: {header: cloudflare}", "Cf-Access-Jwt-Assertion"),
            ("assertion: {header: google}", "X-Goog-Iap-Jwt-Assertion"),
            ("assertion: {header: Pomerium}", "X-Pomerium-Jwt-Assertion"),
            ("assertion: {header: x-token}", "X-Token"),
            (
                "assertion: {header: x-token}, headers: {Set: {X-Mail: email}}",
                "X-Token",
            ),
            (
                "assertion: {header: x-authentik-jwt}, headers: {preset: authentik}",
                "X-Authentik-Jwt",
            ),
        ] {
            let config = findings(&file, text).expect(text);
            let [application] = &config.applications[..] else {
                panic!("one application")
            };
            let own = application.assertion.as_ref().expect("an assertion");
            assert_eq!(own.header.as_str(), expected, "{text}");
            assert!(application.headers.sets(expected.as_bytes()), "{text}");
            // A provider's claim of this name is never asked for.
            assert!(
                application
                    .headers
                    .claims()
                    .all(|claim| claim != "gatepost_assertion")
            );
            let shared = application.shared["headers"].to_string();
            let written = format!("\"{expected}\":\"gatepost_assertion\"");
            assert!(shared.contains(&written), "{shared}");
        }
    }

    #[test]
    fn what_cannot_be_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = keys_file(folder.path(), Algorithm::EdDsa);
        let file = format!("assertionKeysFile: {path}");
        let within = format!("{file}\nstateDir: {}", folder.path().display());
        let beside = folder.path().join("gatepost.keys");
        std::fs::write(&beside, KEYS[0]).expect("written");
        let beside = format!("{file}\nkeysFile: {}", beside.display());
        for (settings, application, expected) in [
            ("", "assertion: {}", "needs a key for ES256"),
            (
                &*file,
                "assertion: {algorithm: ES256}",
                "needs a key for ES256",
            ),
            (
                &file,
                "assertion: {algorithm: HS256}",
                "is not one of ES256, EdDSA",
            ),
            (
                &file,
                "assertion: {algorithm: none}",
                "is not one of ES256, EdDSA",
            ),
            (
                &file,
                "assertion: {header: Cookie}",
                "not a name for an identity header",
            ),
            (
                &file,
                "assertion: {header: X-Forwarded-Host}",
                "has another meaning",
            ),
            (
                &file,
                "assertion: {algorithm: EdDSA}, upstreamTokens: {idToken: x-gatepost-assertion}",
                "names the user",
            ),
            (
                &file,
                "assertion: {header: X_Token}",
                "not a name for an identity header",
            ),
            (
                &file,
                "assertion: {claims: [sub]}",
                "`sub`: expected `email`",
            ),
            (&within, "forwardCookie: false", "folder of `stateDir`"),
            (&beside, "forwardCookie: false", "folder of `keysFile`"),
            (
                "assertionKeysFile: /nowhere",
                "forwardCookie: false",
                "cannot read /nowhere",
            ),
            (
                &file,
                "assertion: {algorithm: EdDSA, header: x-a}, apiKeyHeader: X-A, machines: [apiKey]",
                "names the user",
            ),
            (
                &file,
                "assertion: {algorithm: EdDSA, header: x-a}, headers: {keep: [X-A]}",
                "is set here",
            ),
            (
                &file,
                "assertion: {algorithm: EdDSA, header: x-a}, headers: {set: {X-A: email}}",
                "is the header of `assertion`",
            ),
        ] {
            let found = findings(settings, application).expect_err(application);
            assert!(found.contains(expected), "{application}: {found}");
        }
        let lines = problems(&format!(
            "  - {{{WIKI}, headers: {{set: {{X-A: gatepost_assertion}}}}}}\n"
        ));
        assert!(
            lines.len() == 1 && lines[0].contains("write `assertion`"),
            "{lines:?}"
        );
    }
}
