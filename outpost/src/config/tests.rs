use std::collections::BTreeSet;

use super::*;
use gatepost_oidc::ProviderSettings;

mod advice;
mod environment;
mod example;
mod pages;

const KEY: &str = "k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

/// Returns the problems of a configuration, as lines.
fn problems(yaml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match Config::parse(yaml, variables(environment)) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// Returns a valid configuration, with `more` appended to its only application.
fn minimal(more: &str) -> String {
    format!(
        "keys: ['{KEY}']\n\
         providers: [{{name: main, issuer: 'https://id.example.com', clientId: gatepost}}]\n\
         applications:\n  - name: wiki\n    externalUrl: https://wiki.example.com\n{more}"
    )
}

/// Row B9: a folder that cannot work is said before anything is served.
#[test]
fn the_folder_of_plugins_fits_the_rest_of_the_configuration() {
    let traefik = |folder: &str| {
        format!(
            "traefik: {{outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginStateDir: \
             {folder}}}\n"
        )
    };
    let slashes = minimal("").replace("wiki\n", &format!("{}\n", "/".repeat(76)));
    for (yaml, expected) in [
        (minimal(&traefik("/gatepost")), "needs `stateDir`"),
        (
            minimal(&format!("stateDir: /state\n{}", traefik("gatepost"))),
            "absolute path as the plugin sees it",
        ),
        (
            minimal("stateDir: /state\nrevokedFile: /state/revoked\n"),
            "revokedFile: lies in the folder of `stateDir`",
        ),
        (
            format!("{slashes}stateDir: /state\n"),
            "too long for a file",
        ),
        (
            minimal("stateDir: state\n"),
            "stateDir: expected an absolute path",
        ),
    ] {
        let found = problems(&yaml, &[]);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{expected}: {found:?}"
        );
    }
    for yaml in [
        minimal(&format!("stateDir: /state\n{}", traefik("/gatepost"))),
        minimal("stateDir: /state\nrevokedFile: /state-of-others/revoked\n"),
        slashes,
    ] {
        assert_eq!(problems(&yaml, &[]), Vec::<String>::new());
    }
}

#[test]
fn a_resource_is_at_the_application() {
    for (settings, problem) in [
        (
            "{resource: 'https://app.example.com/mcp'}",
            "resource: `https://app.example.com/mcp` is not an address of the application",
        ),
        (
            "{resource: 'http://wiki.example.com'}",
            "is not an address of the application",
        ),
        (
            "{resource: 'https://wiki.example.com/akprox/x'}",
            "resource: its path is the outpost's own",
        ),
        (
            "{resource: 'https://wiki.example.com/?x'}",
            "expected an http or https URL",
        ),
        (
            "{resource: 'https://wiki.example.com', scopes: ['a\"b']}",
            "scopes: `a\"b` is not a scope",
        ),
        ("{publicClient: mcp}", "publicClient: needs `resource`"),
        (
            "{resource: 'https://wiki.example.com', publicClient: gatepost}",
            "publicClient: `gatepost` is the outpost's own client",
        ),
        (
            "{redirectUris: ['https://app.example/']}",
            "redirectUris: has no effect without `publicClient`",
        ),
        (
            "{resource: 'https://wiki.example.com', publicClient: mcp, redirectUris: ['https://*.example/']}",
            "is not a whole redirect URI",
        ),
    ] {
        let more = format!("    machines: bearer\n    machineTokens: {settings}\n");
        let said = problems(&minimal(&more), &[]);
        assert!(
            said.iter().any(|line| line.contains(problem)),
            "{settings}: {said:?}"
        );
    }
    let more =
        "    machines: bearer\n    machineTokens: {resource: 'https://wiki.example.com/mcp'}\n";
    assert_eq!(problems(&minimal(more), &[]), Vec::<String>::new());
}

#[test]
fn rules_that_decide_nothing_are_named() {
    let file = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: x}]
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    rules:
      - { name: all, paths: [/a/*], signedIn: true }
      - { paths: [/a/b], deny: true }
      - { paths: [/b], require: { claims: { exp: 1 } } }
";
    let error = Config::parse(file, [])
        .expect_err("two problems")
        .to_string();
    let line = |text: &str| error.lines().any(|line| line.contains(text));
    let covered = "applications[0].rules[1]: never decides: rule 1 (`all`)";
    assert!(line(covered), "{error}");
    let claim = "rules[2].require.claims: `exp` has a key of its own";
    assert!(line(claim), "{error}");
}

#[test]
fn an_invalid_configuration_reports_every_problem_and_no_secret() {
    let yaml = "
listen: {http: localhost, metrics: 127.0.0.1:9300}
log: {level: verbose}
keys: ['short:c2hvcnQtc2VjcmV0']
trustedProxies: [10.0.0.0/8, traefik]
askedBy: [nginx, haproxy]
store: {kind: sqlite}
session: {window: 10m, renewAfter: 20m, idle: 5m, lifetime: soon}
providers:
  - {name: main, issuer: 'id.example.com', clientId: gatepost, clientSecret: very-secret, scope: x}
  - {name: main, issuer: 'https://id.example.com', clientId: ''}
applications:
  - {name: 'two words', externalUrl: 'https://wiki.example.com/path', provider: other}
  - {name: a, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: co.uk}
  - {name: b, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.org}
  - {name: c, externalUrl: 'http://c.example.com', cookieName: __Host-c, cookieDomain: example.com}
colour: blue
";
    let lines = problems(yaml, &[]);
    let expected = [
        "listen.http: expected an address and a port, like `0.0.0.0:9000` or `[::]:9000`",
        "log.level: `verbose` is not one of error, warn, info, debug",
        "keys: key `short` has 12 bytes",
        "trustedProxies: `traefik`: expected networks or addresses, like 10.0.0.0/8 or 127.0.0.1",
        "askedBy: `haproxy`: expected `traefik` (HAProxy too), `caddy`, `envoy` or `nginx`",
        "store.kind: `sqlite` is not one of memory, embedded, redis",
        "session.lifetime: `soon` is not a duration",
        "session.renewAfter: must be shorter than `window`",
        "session.idle: must not be shorter than `window`",
        "providers[0].issuer: expected an http or https URL",
        "providers[0].scope: unknown key: did you mean `scopes`?",
        "providers[1].clientId: missing: the id that the provider gave Gatepost",
        "applications[0].name: not an application name",
        "applications[0].externalUrl: expected scheme and host without a path",
        "applications[1].cookieDomain: `co.uk`: strangers can have hosts under a public suffix",
        "applications[2].cookieDomain: `auth.example.com` of externalUrl is not in it",
        "applications[3].cookieDomain: needs `mode: domain`",
        "applications[3].cookieName: browsers take this prefix over https only",
        "colour: unknown key",
    ];
    for start in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{lines:#?}"
        );
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    let all = lines.join("\n");
    assert!(
        !all.contains("very-secret") && !all.contains("c2hvcnQ"),
        "{all}"
    );
}

#[test]
fn an_application_names_one_provider_or_several_with_different_names() {
    const KNOWN: &str = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers:
  - {name: main, issuer: 'https://id.example.com', clientId: g, title: Example Ltd}
  - {name: partners, issuer: 'https://id.example.net', clientId: g}
  - {name: again, issuer: 'https://id.example.com', clientId: h}
  - {name: 'odd / name', issuer: 'https://id.example.org', clientId: g}
";
    let yaml = |named: &str| {
        format!("{KNOWN}applications: [{{name: a, externalUrl: 'https://a.example.com'{named}}}]")
    };
    for (named, expected) in [
        (", provider: main", &["main"][..]),
        (", providers: [main]", &["main"]),
        (", providers: 'odd / name'", &["odd / name"]),
        (", providers: [partners, main]", &["partners", "main"]),
        (", providers: 'main, partners'", &["main", "partners"]),
    ] {
        let config = Config::parse(&yaml(named), []).expect(named);
        assert_eq!(config.applications[0].providers, expected, "{named}");
    }
    let at = |key: &str| format!("applications[0].{key}: ");
    let known = "main, partners, again, odd / name";
    for (named, expected) in [
        (
            "",
            format!("{}missing: one of {known}, or several", at("provider")),
        ),
        (
            ", provider: other",
            format!(
                "{}`other` is not one of the providers: {known}",
                at("provider")
            ),
        ),
        (
            ", providers: [main, other]",
            format!(
                "{}`other` is not one of the providers: {known}",
                at("providers")
            ),
        ),
        (
            ", provider: main, providers: [main, partners]",
            format!("{}cannot be combined with `provider`", at("providers")),
        ),
        (", providers: []", format!("{}is empty", at("providers"))),
        (
            ", providers: [main, partners, main]",
            format!("{}names `main` twice", at("providers")),
        ),
        (
            ", providers: [main, again]",
            format!("{}`main` and `again` have the same issuer", at("providers")),
        ),
        (
            ", providers: [main, 'odd / name']",
            format!(
                "{}`odd / name` becomes part of a redirect URI",
                at("providers")
            ),
        ),
        (
            ", providers: [main, partners], machines: basic, machineTokens: {provider: again}",
            format!(
                "{}`again` is not one of the application's providers: main, partners",
                at("machineTokens.provider")
            ),
        ),
    ] {
        let lines = problems(&yaml(named), &[]);
        assert!(
            lines.len() == 1 && lines[0].starts_with(&expected),
            "{named}: {lines:?}"
        );
    }
    // By variables as in the file.
    let variable = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let config = Config::parse(
        &yaml(""),
        [
            variable("GATEPOST_APPLICATIONS_0_PROVIDERS", "main,partners"),
            variable("GATEPOST_PROVIDERS_1_TITLE", "Our partners"),
        ],
    )
    .expect("a configuration");
    assert_eq!(config.applications[0].providers, ["main", "partners"]);
    let titles: Vec<&str> = config
        .providers
        .iter()
        .map(ProviderSettings::title)
        .collect();
    assert_eq!(
        titles,
        ["Example Ltd", "Our partners", "again", "odd / name"]
    );
}

#[test]
fn a_problem_of_a_file_says_where() {
    let folder = std::env::temp_dir().join(format!("gatepost-place-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("gatepost.yaml");
    let yaml = minimal("    colour: blue\n  - name: other\n").replace("https://wiki", "wiki");
    std::fs::write(&path, yaml).expect("written");
    let wrong = [("GATEPOST_LOG_LEVEL".to_owned(), "loud".to_owned())];
    let error = Config::load(Some(&path), wrong)
        .expect_err("wrong")
        .to_string();
    std::fs::remove_dir_all(&folder).expect("removed");
    let at = |line: u8| format!("{}:{line}: ", path.display());
    let expected = [
        // A value from the environment has no line in a file.
        "log.level: `loud`".to_owned(),
        format!("{}applications[0].externalUrl: expected scheme", at(5)),
        format!("{}applications[0].colour: unknown key", at(6)),
        format!("{}applications[1].externalUrl: missing", at(7)),
    ];
    let lines: Vec<&str> = error.lines().collect();
    for start in &expected {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{error}"
        );
    }
    assert_eq!(lines.len(), expected.len(), "{error}");
}

#[test]
fn the_configuration_of_the_kustomize_base_is_one() {
    let base = include_str!("../../../deploy/kubernetes/base/gatepost.yaml");
    let yaml = base
        .replace(
            "keysFile: /etc/gatepost/keys/gatepost.keys",
            &format!("keys: ['{KEY}']"),
        )
        .replace(
            "clientSecretFile: /etc/gatepost/provider/client-secret",
            "clientSecret: x",
        );
    assert_eq!(problems(&yaml, &[]), [""; 0]);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        problems("", &[]),
        [
            "keys: missing: entries `kid:base64` of at least 32 bytes, or `keysFile`; `gatepost keygen` \
         makes one",
            "providers: missing: at least one OpenID provider",
            "applications: missing: at least one application",
        ]
    );
    let no_domain = minimal("    mode: domain\n");
    assert_eq!(
        problems(&no_domain, &[]),
        [
            "applications[0].cookieDomain: missing: the domain whose hosts share the session, like \
         `example.com`"
        ]
    );
}

#[test]
fn text_that_is_not_yaml_is_refused_without_being_quoted() {
    for yaml in [
        "keys: [",
        "a: b: c: super-secret",
        "- a list",
        "keys: x\nkeys: super-secret",
    ] {
        let lines = problems(yaml, &[]);
        assert_eq!(lines.len(), 1, "{yaml}: {lines:?}");
        assert!(
            lines[0].contains("not valid YAML") && !lines[0].contains("super-secret"),
            "{lines:?}"
        );
    }
    // A mistake has its place once, in the form that other problems have, and a word on what to look at.
    let lines = problems(
        "listen:\n  http: 127.0.0.1:9000\n metrics: 127.0.0.1:9300\n",
        &[],
    );
    assert!(lines[0].starts_with("line 3, column "), "{lines:?}");
    assert!(
        lines[0].contains(": not valid YAML: ") && lines[0].contains("indented"),
        "{lines:?}"
    );
    assert!(
        !lines[0].contains("error:") && lines[0].matches("line 3").count() == 1,
        "{lines:?}"
    );
    // No other mistake has that word, or the library's for programmers.
    for yaml in [
        "keys: x\nkeys: y\n",
        "keys: \"x\n",
        "keys: *x\n",
        "keys: \"\\q\"\n",
        "keys: x\n---\nlisten: y\n",
        "keys: [a\n",
    ] {
        let lines = problems(yaml, &[]);
        let line = &lines[0];
        let is_plain = ["indented", "Options", "from_str"]
            .iter()
            .all(|word| !line.contains(word));
        assert!(is_plain && line.contains("not valid YAML: "), "{line}");
    }
}

#[test]
fn applications_must_differ() {
    let yaml = minimal(
        "  - {name: wiki, externalUrl: 'https://other.example.com'}\n  \
           - {name: third, externalUrl: 'https://WIKI.example.com:443/'}\n",
    );
    assert_eq!(
        problems(&yaml, &[]),
        [
            "applications[1]: two are called `wiki`",
            "applications[2]: two have the externalUrl `https://wiki.example.com`",
        ]
    );
}

/// Row A11: a key that restricts is never read as absent, be it null, an empty list or an empty
/// variable.
#[test]
fn a_key_that_narrows_is_never_absent_because_it_is_empty() {
    const NO_VALUE: &str = "has no value: write one, or leave the key out";
    const EMPTY: &str = "an empty list: leave the key out, or write an entry";
    for (key, problem) in [
        ("require:", format!("applications[0].require: {NO_VALUE}")),
        ("require: ~", format!("applications[0].require: {NO_VALUE}")),
        (
            "require: {groups: , users: [a]}",
            format!("applications[0].require.groups: {NO_VALUE}"),
        ),
        (
            "require: {groups: [], users: [a]}",
            format!("applications[0].require.groups: {EMPTY}"),
        ),
        (
            "cookieDomain:",
            format!("applications[0].cookieDomain: {NO_VALUE}"),
        ),
        (
            "cookieGroups:",
            format!("applications[0].cookieGroups: {NO_VALUE}"),
        ),
        (
            "machines: [bearer]\n    machineTokens: {clients: []}",
            "applications[0].machineTokens.clients: an empty list: leave the key out to accept any"
                .to_owned(),
        ),
    ] {
        let said = problems(&minimal(&format!("    {key}\n")), &[]);
        assert!(
            said.iter().any(|line| line.contains(&problem)),
            "{key}: {said:?}"
        );
    }
    for (variable, problem) in [
        (
            "GATEPOST_APPLICATIONS_0_REQUIRE_GROUPS",
            "applications[0].require.groups: ",
        ),
        (
            "GATEPOST_APPLICATIONS_0_REQUIRE_ALL_USERS",
            "applications[0].require.all.users: ",
        ),
    ] {
        let said = problems(&minimal(""), &[(variable, "")]);
        assert!(
            said.iter().any(|line| line.starts_with(problem)),
            "{variable}: {said:?}"
        );
    }
}
