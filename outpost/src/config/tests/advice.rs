//! What an operator reads of a common mistake: the key, its line, and what to write in its place.

use super::*;

/// Returns the lines of the report on this file, with the file's name taken out. `files` are written
/// beside it; `{folder}` in the text is their folder.
fn report(
    name: &str,
    yaml: &str,
    files: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> Vec<String> {
    let folder =
        std::env::temp_dir().join(format!("gatepost-advice-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let shown = folder.display().to_string();
    let path = folder.join("gatepost.yaml");
    std::fs::write(&path, yaml.replace("{folder}", &shown)).expect("written");
    let read = Config::load(Some(&path), variables(environment));
    std::fs::remove_dir_all(&folder).expect("removed");
    let Err(error) = read else {
        return Vec::new();
    };
    let lines = error.to_string();
    let lines = lines
        .lines()
        .map(|line| line.replace(&format!("{shown}/"), ""));
    lines.collect()
}

/// Returns a configuration whose provider has these lines.
fn with_client(lines: &str) -> String {
    format!(
        "keys: ['{KEY}']\nproviders:\n  - name: main\n    issuer: https://id.example.com\n    {lines}\n\
         applications: [{{name: a, externalUrl: 'https://a.example.com'}}]\n"
    )
}

#[test]
fn a_file_that_holds_nothing_of_use_is_named() {
    let more = "    clientSecretFile: '{folder}/secret'\n    caFile: '{folder}/ca'\n";
    let yaml = format!(
        "keys: ['{KEY}']\nproviders:\n  - name: main\n    issuer: https://id.example.com\n    \
         clientId: g\n{more}applications: [{{name: a, externalUrl: 'https://a.example.com'}}]\n\
         tracing: {{endpoint: 'http://c:4318', caFile: '{{folder}}/ca'}}\n"
    );
    assert_eq!(
        report("files", &yaml, &[("secret", "\n"), ("ca", "host-1\n")], &[]),
        [
            "gatepost.yaml:6: providers[0].clientSecretFile: secret is empty: write the client's secret \
             into it",
            "gatepost.yaml:7: providers[0].caFile: ca has no certificate, or an invalid one: expected \
             PEM",
            "gatepost.yaml:9: tracing.caFile: ca has no certificate, or an invalid one: expected PEM",
        ]
    );
}

#[test]
fn a_rule_that_a_plugin_could_not_send_along_is_named() {
    let many = |count: usize, text: &str| -> String {
        let all = (0..count).map(|at| format!("{text}{at}"));
        all.collect::<Vec<_>>().join(", ")
    };
    let with = |classes: usize, groups: usize| {
        format!(
            "keys: ['{KEY}']\nproviders:\n  - {{name: main, issuer: 'https://id.example.com', clientId: g, \
             clientSecret: s}}\napplications:\n  - name: a\n    externalUrl: 'https://a.example.com'\n    \
             require: {{groups: [{}]}}\n    rules:\n      - {{paths: [/x], require: {{acr: [{}]}}}}\n",
            many(groups, "g"),
            many(classes, "class-"),
        )
    };
    assert_eq!(report("long", &with(150, 4_096), &[], &[]), [""; 0]);
    let message = "has more than 4096 names and values, or more than 2048 bytes of `acr`, \
                   `amr` and `maxAge`";
    assert_eq!(
        report("longer", &with(250, 4_097), &[], &[]),
        [
            format!("gatepost.yaml:7: applications[0].require: {message}"),
            format!("gatepost.yaml:9: applications[0].rules[0].require: {message}"),
        ]
    );
}

#[test]
fn a_rule_that_could_never_match_or_is_misspelt_is_named_as_what_it_is() {
    for (require, expected) in [
        (
            "{emails: [example.com]}",
            "gatepost.yaml:6: applications[0].require.emails: `example.com` is not a plain address: \
             write domains under `emailDomains`",
        ),
        (
            "{emailDomains: [alice@example.com]}",
            "gatepost.yaml:6: applications[0].require.emailDomains: `alice@example.com` is not a \
             plain domain: write addresses under `emails`",
        ),
        (
            "{emailDomains: ['*']}",
            "gatepost.yaml:6: applications[0].require.emailDomains: `*` is not a plain \
             domain: without `require`, every signed-in user passes",
        ),
        (
            "{not: {emailDomains: ['@']}}",
            "gatepost.yaml:6: applications[0].require.not.emailDomains: `@` is not a plain \
             domain: write addresses under `emails`",
        ),
        (
            "{not: {emailDomains: [example.com.]}}",
            "gatepost.yaml:6: applications[0].require.not.emailDomains: `example.com.` is not a \
             plain domain: write addresses under `emails`",
        ),
        (
            "{emails: [alice@]}",
            "gatepost.yaml:6: applications[0].require.emails: `alice@` is not a plain address: \
             write domains under `emailDomains`",
        ),
        // No advice to admit everyone.
        (
            "{group: [staff]}",
            "gatepost.yaml:6: applications[0].require.group: unknown key: did you mean `groups`?",
        ),
    ] {
        let yaml = minimal(&format!("    require: {require}\n"));
        assert_eq!(report("rule", &yaml, &[], &[]), [expected], "{require}");
    }
    let good =
        minimal("    require: {emails: [a@example.com], emailDomains: ['@example.com', b.org]}\n");
    assert_eq!(problems(&good, &[]), [""; 0]);
}

#[test]
fn the_later_of_two_that_clash_has_the_line() {
    let yaml = minimal(
        "  - name: other\n    externalUrl: https://wiki.example.com\n  - name: wiki\n    externalUrl: \
         https://third.example.com\n",
    );
    let lines = report("clash", &yaml, &[], &[]);
    assert_eq!(
        lines,
        [
            "gatepost.yaml:6: applications[1]: two have the externalUrl `https://wiki.example.com`",
            "gatepost.yaml:8: applications[2]: two are called `wiki`",
        ]
    );
}

#[test]
fn a_mistake_of_the_text_is_at_its_line() {
    let tab = format!("{}\trequire: {{}}\n", minimal(""));
    assert_eq!(
        report("tab", &tab, &[], &[]),
        ["gatepost.yaml:6:1: not valid YAML: a tab in the indentation: write blanks"]
    );
    let copied = format!("{}\u{a0}\u{a0}  require: {{}}\n", minimal(""));
    assert_eq!(
        report("copied", &copied, &[], &[]),
        [
            "gatepost.yaml:6: require: begins with U+00A0, which looks like a blank and is none: write \
             blanks"
        ]
    );
    for (secret, advice) in [
        ("@x", "quote a value that begins with `@`, `%`"),
        ("%x", "quote a value that begins with `@`, `%`"),
        ("abc: def", "quote a value that has `: ` in it"),
    ] {
        let yaml = with_client(&format!("clientId: g\n    clientSecret: {secret}"));
        let lines = report("sign", &yaml, &[], &[]);
        assert!(lines.concat().contains(advice), "{secret}: {lines:?}");
    }
    let key = format!("{}trustedProxy: 10.0.0.1\n", minimal(""));
    assert_eq!(
        report("key", &key, &[], &[]),
        ["gatepost.yaml:6: trustedProxy: unknown key: did you mean `trustedProxies`?"]
    );
    let issuer = "https://id.example.com/.well-known/openid-configuration";
    let issuer = minimal("").replace("https://id.example.com", issuer);
    assert_eq!(
        report("issuer", &issuer, &[], &[]),
        [
            "gatepost.yaml:2: providers[0].issuer: the address of the discovery document, which \
             begins with the issuer: leave `/.well-known/openid-configuration` out"
        ]
    );
}

#[test]
fn a_variable_is_named_and_not_a_line_of_the_file() {
    let misspelt = [("GATEPOST_PROVIDERS_0_CLIENTID", "x")];
    assert_eq!(
        report("misspelt", &minimal(""), &[], &misspelt),
        [
            "GATEPOST_PROVIDERS_0_CLIENTID: no such key: `providers[].clientId` is \
             GATEPOST_PROVIDERS_0_CLIENT_ID"
        ]
    );
    let one_too_many = [("GATEPOST_PROVIDERS_1_CLIENT_ID", "x")];
    let lines = report("entry", &minimal(""), &[], &one_too_many);
    assert_eq!(
        lines[0],
        "providers[1].name: missing: what applications call this provider; this entry is only in \
         variables GATEPOST_PROVIDERS_1_…"
    );
    assert!(
        lines.iter().all(|line| !line.contains("gatepost.yaml")),
        "{lines:?}"
    );
}

#[test]
fn a_file_in_another_encoding_has_a_line_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatepost.yaml");
    let mut bytes = b"pages:\n  title: Caf".to_vec();
    bytes.extend([0xe9, b'\n']);
    std::fs::write(&path, bytes).expect("written");
    let error = Config::load(Some(&path), [])
        .expect_err("not UTF-8")
        .to_string();
    assert!(
        error.contains("gatepost.yaml:2:13: ") && error.contains("UTF-8"),
        "{error}"
    );
}

/// The secret in the place of its file, and what compose files expand.
#[test]
fn a_secret_in_the_wrong_place_is_not_shown_and_a_variable_is_named() {
    for secret in ["s3cr3t-of-mine", "/s3cr3t-of-mine", "s3cr3t/of-mine"] {
        let lines = report(
            "secret",
            &with_client(&format!("clientId: g\n    clientSecretFile: {secret}")),
            &[],
            &[],
        );
        let said = lines.concat();
        assert!(
            said.contains("clientSecretFile: there is no such file"),
            "{said}"
        );
        assert!(!said.contains("of-mine"), "{said}");
    }
    for more in [
        "clientId: ${CLIENT}",
        "clientId: g\n    clientSecret: ${SECRET}",
    ] {
        let said = report("variable", &with_client(more), &[], &[]).concat();
        assert!(
            said.contains("are not expanded") && !said.contains("SECRET}"),
            "{said}"
        );
    }
    let fine = with_client("clientId: g\n    clientSecret: a${b");
    assert_eq!(problems(&fine, &[]), [""; 0]);
}

#[test]
fn scopes_may_stand_in_one_text() {
    let yaml = with_client("clientId: g\n    scopes: openid profile groups");
    let config = Config::parse(&yaml, []).expect("right");
    let scopes = config.providers[0].scopes.iter();
    assert_eq!(
        scopes.map(|scope| scope.as_str()).collect::<Vec<_>>(),
        ["profile", "groups"]
    );
}
