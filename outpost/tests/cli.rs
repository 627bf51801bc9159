//! The command line: what an operator sees.

#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const KEY: &str = "k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

/// Runs `gatepost` with only these variables, and `input` as its standard input.
fn gatepost(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may end without having read.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Returns a configuration in the environment alone, whose provider does not answer.
fn right() -> Vec<(&'static str, &'static str)> {
    vec![
        ("GATEPOST_KEYS", KEY),
        ("GATEPOST_LISTEN_METRICS", "127.0.0.1:1"),
        ("GATEPOST_STORE_KIND", "memory"),
        ("GATEPOST_PROVIDERS_0_NAME", "main"),
        ("GATEPOST_PROVIDERS_0_ISSUER", "http://127.0.0.1:1"),
        ("GATEPOST_PROVIDERS_0_CLIENT_ID", "gatepost"),
        ("GATEPOST_PROVIDERS_0_CLIENT_SECRET", "very-secret"),
        ("GATEPOST_APPLICATIONS_0_NAME", "wiki"),
        (
            "GATEPOST_APPLICATIONS_0_EXTERNAL_URL",
            "https://wiki.example.com",
        ),
    ]
}

#[test]
fn keygen_prints_a_new_key_each_time_that_the_configuration_takes() {
    let key = || {
        stdout(&gatepost(&["keygen", "--kid", "2026a"], &[], ""))
            .trim()
            .to_owned()
    };
    let (one, other) = (key(), key());
    assert!(one.starts_with("2026a:") && one != other, "{one} {other}");
    gatepost_session::KeyRing::parse(&one).expect("a key ring");
    let unnamed = || stdout(&gatepost(&["keygen"], &[], ""));
    let both = format!("{}{}", unnamed(), unnamed());
    gatepost_session::KeyRing::parse(&both).expect("two keys of one day go into one ring");
    let bad = gatepost(&["keygen", "--kid", "a b"], &[], "");
    assert!(
        !bad.status.success() && stderr(&bad).contains("--kid"),
        "{}",
        stderr(&bad)
    );
}

#[test]
fn nothing_is_served_on_a_wrong_configuration_and_every_problem_is_said() {
    let mut variables = right();
    variables.retain(|(name, _)| *name != "GATEPOST_KEYS");
    variables.push(("GATEPOST_APPLICATIONS_0_MOOD", "x"));
    for command in ["serve", "check"] {
        let output = gatepost(&[command], &variables, "");
        assert!(!output.status.success());
        let lines = stderr(&output);
        assert!(
            lines.contains("GATEPOST_APPLICATIONS_0_MOOD: no such key"),
            "{lines}"
        );
        assert!(lines.contains("keys: missing"), "{lines}");
        assert!(!lines.contains("very-secret"), "{lines}");
    }
    let output = gatepost(&["serve", "--config", "/nonexistent.yaml"], &[], "");
    assert!(
        stderr(&output).starts_with("/nonexistent.yaml: "),
        "{}",
        stderr(&output)
    );
}

/// Anyone could make sessions of an outpost that signs with one.
#[test]
fn no_outpost_starts_with_a_key_that_the_documentation_shows() {
    const SHOWN: &str = "QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE";
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("gatepost.keys");
    std::fs::write(&keys, format!("{KEY}\nold:{SHOWN}\n")).expect("written");
    let keys = keys.to_string_lossy();
    let inline = format!("mine:{SHOWN}=");
    for (variable, value, id) in [
        ("GATEPOST_KEYS", &*inline, "mine"),
        ("GATEPOST_KEYS_FILE", &*keys, "old"),
    ] {
        let mut variables = right();
        variables[0] = (variable, value);
        for arguments in [&["serve"][..], &["check"]] {
            let output = gatepost(arguments, &variables, "");
            let said = stderr(&output) + &stdout(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            let named = said.contains(&format!(
                "key `{id}` is published in Gatepost's documentation"
            ));
            assert!(named && !said.contains(SHOWN), "{arguments:?}: {said}");
        }
    }
}

/// With the line of the file, as all problems have it.
#[test]
fn the_commented_example_has_a_key_that_no_outpost_takes() {
    let example = include_str!("../../deploy/outpost/gatepost.yaml");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatepost.yaml");
    std::fs::write(&path, example).expect("written");
    let line = example.lines().position(|line| line.starts_with("keys:"));
    let line = line.expect("a key") + 1;
    let path = path.to_string_lossy();
    let output = gatepost(&["serve", "--config", &path], &[], "");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!("{path}:{line}: keys: key `test-only` is published");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn check_says_what_to_register_and_what_is_wrong() {
    let output = gatepost(&["check"], &right(), "");
    let said = stdout(&output);
    assert!(!output.status.success(), "the provider does not answer");
    for line in [
        "FAILED: cannot reach it",
        "https://wiki.example.com/akprox/callback",
        "URI https://wiki.example.com/akprox/backchannel_logout",
        "cookie `__Host-gatepost`",
        "`trustedProxies` is not set",
        "not ok",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(
        !said.contains("very-secret") && !said.contains("Zm9yLXRoZS"),
        "{said}"
    );
}

/// What an operator registers: for each application, and at each of its providers.
#[test]
fn check_says_every_uri_to_register() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gatepost.yaml");
    let config = format!(
        "keys: ['{KEY}']
listen: {{metrics: '127.0.0.1:1'}}
store: {{kind: memory}}
providers:
  - {{name: main, issuer: 'http://127.0.0.1:1', clientId: gatepost, clientSecret: hush}}
  - {{name: partners, issuer: 'http://127.0.0.1:2', clientId: gatepost, clientSecret: hush}}
applications:
  - {{name: wiki, externalUrl: 'https://wiki.example.com', provider: main}}
  - name: intranet
    mode: domain
    externalUrl: https://auth.example.org
    cookieDomain: example.org
    outpostPrefix: /sso
    providers: [main, partners]
"
    );
    std::fs::write(&file, config).expect("written");
    let file = file.to_string_lossy();
    let said = stdout(&gatepost(&["check", "--config", &file], &[], ""));
    let wiki = "https://wiki.example.com/akprox";
    let intranet = "https://auth.example.org/sso";
    for line in [
        format!("register at `main` the redirect URI {wiki}/callback\n"),
        "register at `main` the post-logout redirect URI https://wiki.example.com/\n".to_owned(),
        format!("register at `main` the back-channel logout URI {wiki}/backchannel_logout,"),
        format!("register at `main` the redirect URI {intranet}/callback/main\n"),
        format!("register at `partners` the redirect URI {intranet}/callback/partners\n"),
        "register at `partners` the post-logout redirect URI https://auth.example.org/\n"
            .to_owned(),
        format!("register at `main` the back-channel logout URI {intranet}/backchannel_logout,"),
        format!(
            "register at `partners` the back-channel logout URI {intranet}/backchannel_logout,"
        ),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
}

#[test]
fn check_reports_in_json_what_it_reports_as_text() {
    let output = gatepost(&["check", "--format", "json"], &right(), "");
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert!(!output.status.success(), "the provider does not answer");
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().expect("a list");
    let failures: Vec<_> = findings
        .iter()
        .filter(|finding| finding["severity"] == "failure")
        .collect();
    assert_eq!(failures.len(), 1, "{report:#}");
    assert_eq!(failures[0]["subject"]["kind"], "provider");
    let message = failures[0]["message"].as_str().expect("a text");
    assert!(message.starts_with("cannot reach it"), "{message}");
    assert!(
        findings
            .iter()
            .any(|finding| finding["severity"] == "warning"),
        "{report:#}"
    );
}

/// Row A7, and part C: the check says which settings of the proxy it cannot see.
#[test]
fn check_says_what_the_proxy_has_to_be_and_to_say() {
    let mut variables = right();
    variables.extend([
        ("GATEPOST_TRUSTED_PROXIES", "10.0.0.7"),
        ("GATEPOST_TRAEFIK_OUTPOST_URL", "http://outpost:9000"),
    ]);
    let said = stdout(&gatepost(&["check"], &variables, ""));
    for line in [
        "traefik      has to be 3.7.13 or later",
        "rateLimit    20 a second, 400 at once, for each client that the proxy names",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[cfg(unix)]
#[test]
fn check_warns_of_keys_that_anybody_can_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gatepost.keys");
    std::fs::write(&file, KEY).expect("written");
    let path = file.to_str().expect("text");
    let mut variables = right();
    variables.retain(|(name, _)| *name != "GATEPOST_KEYS");
    variables.push(("GATEPOST_KEYS_FILE", path));
    for (mode, warned) in [(0o644, true), (0o640, false), (0o600, false)] {
        let mode_of_file = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, mode_of_file).expect("a mode");
        let said = stdout(&gatepost(&["check"], &variables, ""));
        assert_eq!(
            said.contains("can be read by others"),
            warned,
            "{mode:o} {said}"
        );
    }
}

#[test]
fn inspect_shows_what_a_cookie_says_and_whether_a_key_made_it() {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let header = part(r#"{"alg":"HS256","kid":"k","typ":"gatepost+jwt"}"#);
    let claims = part(r#"{"aud":"wiki","sub":"alice-id"}"#);
    let forged = format!("{header}.{claims}.{}\n", URL_SAFE_NO_PAD.encode([0; 32]));
    let output = gatepost(&["session", "inspect", "-"], &right(), &forged);
    let said = stdout(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("alice-id") && said.contains("not signed by a key of the ring"),
        "{said}"
    );
    let named = format!("__Host-gatepost={forged}");
    let output = gatepost(&["session", "inspect", "-"], &right(), &named);
    assert_eq!(stdout(&output), said, "as a browser copies it");
    for junk in ["", "x", "a.b.c", "a.b.c.d"] {
        let output = gatepost(&["session", "inspect", "-"], &right(), junk);
        assert!(!output.status.success() && stderr(&output).contains("not a session cookie"));
    }
}

#[test]
fn healthcheck_fails_if_no_outpost_answers() {
    let output = gatepost(&["healthcheck"], &right(), "");
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("http://127.0.0.1:1/healthz"),
        "{}",
        stderr(&output)
    );
}

/// A program that reads the report learns of an invalid configuration by it too.
#[test]
fn check_reports_an_invalid_configuration_in_json() {
    let mut variables = right();
    variables.retain(|(name, _)| *name != "GATEPOST_KEYS");
    variables.push(("GATEPOST_APPLICATIONS_0_MOOD", "x"));
    let text = gatepost(&["check"], &variables, "");
    let output = gatepost(&["check", "--format", "json"], &variables, "");
    assert_eq!(output.status.code(), text.status.code());
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().expect("a list");
    let messages: Vec<&str> = findings
        .iter()
        .map(|finding| {
            assert_eq!(finding["severity"], "failure");
            assert_eq!(finding["subject"]["kind"], "configuration");
            finding["message"].as_str().expect("a text")
        })
        .collect();
    let said = stderr(&text);
    assert_eq!(messages, said.lines().collect::<Vec<_>>());
    assert!(messages.len() > 2, "{messages:?}");
    let missing = ["check", "--format", "json", "--config", "/nonexistent.yaml"];
    let output = gatepost(&missing, &[], "");
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let message = report["findings"][0]["message"].as_str().expect("a text");
    assert!(message.starts_with("/nonexistent.yaml: "), "{message}");
}

#[test]
fn check_says_whom_it_trusts_and_what_is_open() {
    let mut variables = right();
    variables.push(("GATEPOST_TRUSTED_PROXIES", "0.0.0.0/0"));
    variables.push(("GATEPOST_APPLICATIONS_0_PUBLIC", "/*"));
    let said = stdout(&gatepost(&["check"], &variables, ""));
    for line in [
        "warning      `trustedProxies`: 0.0.0.0/0 trusts clients",
        "open without a session: /*",
        "warning      wiki: `public` opens every path to every client",
        "neither `stateDir` nor `revokedFile` is set: behind the plugin, an ended session goes on to \
         the end of its window (15 minutes at most)",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn an_address_that_is_in_use_is_said_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = taken.local_addr().expect("an address").to_string();
    for (variable, key) in [
        ("GATEPOST_LISTEN_HTTP", "`listen.http`: "),
        ("GATEPOST_LISTEN_METRICS", "`listen.metrics`: "),
    ] {
        let mut variables = right();
        variables.retain(|(name, _)| !name.starts_with("GATEPOST_LISTEN"));
        variables.push(("GATEPOST_LISTEN_HTTP", "127.0.0.1:0"));
        variables.push(("GATEPOST_LISTEN_METRICS", "127.0.0.1:0"));
        variables.retain(|(name, _)| *name != variable);
        variables.push((variable, &address));
        let output = gatepost(&["serve"], &variables, "");
        assert!(!output.status.success());
        let said = stderr(&output);
        let expected = format!("{key}cannot listen on {address}");
        assert!(said.contains(&expected), "{expected}\n{said}");
        assert!(said.contains("another program listens there"), "{said}");
    }
}

/// The check may run elsewhere than the outpost, unless it is told that it does not.
#[test]
fn check_fails_without_a_store_where_one_is_required() {
    let mut variables = right();
    variables.retain(|(name, _)| *name != "GATEPOST_STORE_KIND");
    variables.push(("GATEPOST_STORE_KIND", "redis"));
    variables.push(("GATEPOST_STORE_URL", "redis://127.0.0.1:1"));
    for (further, severity) in [(&[][..], "warning"), (&["--require-store"], "failure")] {
        let arguments = [&["check", "--format", "json"], further].concat();
        let said = stdout(&gatepost(&arguments, &variables, ""));
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let findings = said["findings"].as_array().expect("findings");
        let about_it = findings.iter().find(|finding| {
            let message = finding["message"].as_str();
            let expected = "`store`: cannot be looked at from here: 127.0.0.1:1: ";
            message.is_some_and(|it| it.starts_with(expected))
        });
        let about_it = about_it.expect("a finding about the store");
        assert_eq!(about_it["severity"], severity, "{further:?}: {said}");
    }
}

/// The store's file is the outpost's: the check neither makes nor opens it.
#[test]
fn check_says_whether_the_store_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let check = |path: &std::path::Path| {
        let mut variables = right();
        variables.retain(|(name, _)| *name != "GATEPOST_STORE_KIND");
        variables.push(("GATEPOST_STORE_PATH", path.to_str().expect("text")));
        stdout(&gatepost(&["check"], &variables, ""))
    };
    let file = folder.join("deep/down/sessions.db");
    let said = check(&file);
    assert!(said.contains("sessions.db can be written by"), "{said}");
    assert!(!folder.join("deep").exists(), "nothing is made");
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 0);
    // A file in the place of a folder, which stops root too.
    let blocked = folder.join("file");
    std::fs::write(&blocked, "").expect("written");
    let said = check(&blocked.join("sessions.db"));
    assert!(
        said.contains("FAILED: ") && said.contains("cannot be written by"),
        "{said}"
    );
}

/// A user who owns nothing, by number, with a group of the same.
#[cfg(unix)]
const NOT_ROOT: u32 = 64_321;

/// Returns a folder of root that every user can enter. `None`, and says so, for a user who cannot run the
/// program as others.
#[cfg(unix)]
fn folder_of_root() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o755);
    if std::os::unix::fs::chown(folder.path(), Some(0), Some(0)).is_err() {
        eprintln!("skipped: only root can run the check as several users");
        return None;
    }
    Some(folder)
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("a mode");
}

/// The check speaks of the user who runs it: the outpost's, if the operator follows the advice.
#[cfg(unix)]
#[test]
fn check_tries_the_store_as_the_user_who_runs_it() {
    use std::os::unix::fs::chown;
    use std::os::unix::process::CommandExt as _;

    const OUTPOST: u32 = NOT_ROOT;
    let Some(folder) = folder_of_root() else {
        return;
    };
    let folder = folder.path();
    let check = |user: u32| {
        let path = folder.join("sessions.db");
        let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("check")
            .current_dir("/")
            .env_clear()
            .envs(
                right()
                    .into_iter()
                    .filter(|(name, _)| *name != "GATEPOST_STORE_KIND"),
            )
            .env("GATEPOST_STORE_PATH", path)
            .uid(user)
            .gid(user)
            .output();
        stdout(&output.expect("the program ends"))
    };
    let warning = format!("belongs to `#{OUTPOST}`, and root runs this check");
    let advice = format!("`sudo -u '#{OUTPOST}' gatepost check …`");

    let said = check(OUTPOST);
    let refusal = format!("cannot be written by `#{OUTPOST}`, who runs this check");
    assert!(
        said.contains("FAILED: ") && said.contains(&refusal),
        "{said}"
    );
    let said = check(0);
    assert!(said.contains("can be written by `root`"), "{said}");
    assert!(!said.contains("belongs to"), "{said}");

    chown(folder, Some(OUTPOST), Some(OUTPOST)).expect("an owner");
    let said = check(OUTPOST);
    let well = format!("sessions.db can be written by `#{OUTPOST}`");
    assert!(
        said.contains(&well) && !said.contains("belongs to"),
        "{said}"
    );
    let said = check(0);
    assert!(said.contains(&warning) && said.contains(&advice), "{said}");
}

/// The file may hold secrets, and any user can run the command.
#[cfg(unix)]
#[test]
fn no_advice_opens_a_closed_file_to_the_user_who_runs_the_check() {
    use std::os::unix::process::CommandExt as _;

    let Some(folder) = folder_of_root() else {
        return;
    };
    let file = folder.path().join("gatepost.yaml");
    std::fs::write(&file, "x: y").expect("written");
    set_mode(&file, 0o640);
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(["check", "--config"])
        .arg(&file)
        .current_dir("/")
        .env_clear()
        .uid(NOT_ROOT)
        .gid(NOT_ROOT)
        .output();
    let said = stderr(&output.expect("the program ends"));
    assert!(!said.contains("chown"), "{said}");
    assert!(
        said.contains("sudo -u gatepost") && said.contains("`#64321`"),
        "{said}"
    );
}

#[test]
fn a_package_can_ship_completions_manual_and_an_example_that_is_valid() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&gatepost(&["completions", shell], &[], ""));
        assert!(script.contains("healthcheck"), "{shell}: {script}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let manual = folder.path().join("man1");
    let output = gatepost(&["man", &manual.to_string_lossy()], &[], "");
    assert!(output.status.success(), "{}", stderr(&output));
    for page in [
        "gatepost.1",
        "gatepost-serve.1",
        "gatepost-session-revoke.1",
    ] {
        let page = std::fs::read_to_string(manual.join(page)).expect(page);
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }

    // As it is, but for the file with the keys, which is not there yet.
    let keys = folder.path().join("gatepost.keys");
    std::fs::write(&keys, KEY).expect("written");
    let example = stdout(&gatepost(&["config", "example"], &[], ""));
    for of_the_key in ["test", "this one", "published"] {
        assert!(!example.contains(of_the_key), "{of_the_key}: {example}");
    }
    assert!(example.contains("\nkeysFile: /etc/gatepost/keys/gatepost.keys\n"));
    let file = folder.path().join("gatepost.yaml");
    std::fs::write(&file, example).expect("written");
    let file = file.to_string_lossy();
    let keys = keys.to_string_lossy();
    let arguments = ["export", "compose", "--config", &file];
    let output = gatepost(&arguments, &[("GATEPOST_KEYS_FILE", &keys)], "");
    assert!(output.status.success(), "{}", stderr(&output));

    // What somebody begins with has one application and nothing that is to be removed first.
    for (which, host) in [("single", "wiki"), ("domain", "auth")] {
        let begun = stdout(&gatepost(&["config", "example", which], &[], ""));
        assert!(begun.contains(&format!("externalUrl: http://{host}.example.com")));
        assert_eq!(begun.matches("externalUrl:").count(), 1, "{begun}");
        for foreign in ["upstream", "rules:", "public:", "example.org"] {
            assert!(!begun.contains(foreign), "{which}: {foreign}");
        }
    }
}
