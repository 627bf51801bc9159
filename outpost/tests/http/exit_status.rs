//! The exit codes of the real program are those of its manual pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gatepost_session::{KeyRing, SessionId};
use gatepost_signing::Signer;
use serde_json::json;

use crate::program::{Folder, Running, write_config};
use crate::provider::Provider;
use crate::world::KEY_A;

const MACHINES: &str = "
applications:
  - {name: app, externalUrl: 'https://app.example.com', machines: [apiKey], apiKeyHeader: X-Api-Key}
";

const TABLE: &str = "cases: [{url: 'https://app.example.com/', expect: EXPECTED}]";

/// An Ingress that ingress-nginx protects. Another takes nothing over.
const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: default
  annotations:
    nginx.ingress.kubernetes.io/auth-url: http://gatepost.gatepost.svc.cluster.local:9000/akprox/auth?nginx
spec:
  ingressClassName: nginx
  rules:
    - host: app.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}
";

/// The codes that commands have ended with, by the names of their pages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Codes(BTreeMap<String, BTreeSet<i32>>);

impl Codes {
    /// Adds one of a command of the program, and so of the names before its own.
    fn add(&mut self, words: &str, code: i32) {
        let mut page = "gatepost".to_owned();
        self.insert(&page, code);
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            page = format!("{page}-{word}");
            self.insert(&page, code);
        }
    }

    fn insert(&mut self, page: &str, code: i32) {
        self.0.entry(page.to_owned()).or_default().insert(code);
    }
}

/// Returns the codes that the manual pages list, each with its meaning.
fn listed(folder: &Path) -> Codes {
    let mut codes = Codes::default();
    for file in fs::read_dir(folder).expect("pages") {
        let file = file.expect("a page").path();
        let name = file.file_stem().expect("a name").to_string_lossy();
        let text = fs::read_to_string(&file).expect("text");
        let (_, section) = text
            .split_once(".SH \"EXIT STATUS\"\n")
            .unwrap_or_else(|| panic!("{name} has no such section: {text}"));
        let section = section.split(".SH").next().unwrap_or_default();
        for entry in section.split(".TP\n").skip(1) {
            let (code, meaning) = entry.split_once('\n').expect("a meaning");
            assert!(meaning.trim().ends_with('.'), "{name}: {meaning}");
            let code = code.trim_start_matches("\\fB").trim_end_matches("\\fR");
            codes.insert(&name, code.parse().expect("a code"));
        }
    }
    codes
}

/// Runs the program as an operator does.
fn code(arguments: &[&str]) -> i32 {
    let status = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let status = status.expect("it runs");
    status
        .code()
        .unwrap_or_else(|| panic!("{arguments:?}: {status}"))
}

/// Returns a cookie that the key of the configuration made.
fn cookie() -> String {
    let claims = json!({
        "iss": "https://id.example.com", "sub": "alice-id", "aud": "app",
        "sid": SessionId::from_random([7; 24]).expose(), "iat": 1_700_000_000, "exp": 1_700_000_900, "rnw": 1_700_000_600,
    });
    let claims = serde_json::from_value(claims).expect("claims");
    let ring = KeyRing::parse(KEY_A).expect("a ring");
    Signer::new(&ring).sign(&claims).expect("signed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_of_the_program_are_those_of_its_manual_pages() {
    let provider = Provider::start().await;
    let folder = Folder::new("exit-status");
    let config = write_config(&folder, &provider, MACHINES);
    let mut running = Running::start(&config);
    running.ready().await;
    let write = |name: &str, text: &str| {
        let path = folder.path(name);
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    // For commands that ask the running outpost: it listens at any port.
    let text = fs::read_to_string(&config).expect("text");
    let metrics = format!("metrics: '{}'", running.metrics);
    let asked = write(
        "asking.yaml",
        &text.replace("metrics: '127.0.0.1:0'", &metrics),
    );
    let alone = write(
        "alone.yaml",
        &text.replace("metrics: '127.0.0.1:0'", "metrics: '127.0.0.1:1'"),
    );
    let wrong = write("wrong.yaml", "nonsense: true");
    let right_table = write("right.yaml", &TABLE.replace("EXPECTED", "sign-in"));
    let wrong_table = write("other.yaml", &TABLE.replace("EXPECTED", "allow"));
    let ingress = write("ingress.yaml", INGRESS);
    let open = write(
        "open.yaml",
        &INGRESS.replace("auth-url", "from-to-www-redirect"),
    );
    let pages = folder.path("pages").to_string_lossy().into_owned();
    let cookie = cookie();

    let run = |words: &str, further: &[&str], config: Option<&str>| {
        let words = words.split(' ').filter(|word| !word.is_empty());
        let config = config.map(|config| ["--config", config]);
        let config = config.iter().flatten().copied();
        let arguments: Vec<&str> = words.chain(further.iter().copied()).chain(config).collect();
        tokio::task::block_in_place(|| code(&arguments))
    };
    let key = ["--subject", "ci", "--application", "app", "--expires", "1h"];
    let taken_over = ["--no-configmap", "--to", "crds", &ingress];
    let nothing_to_take_over = ["--no-configmap", "--to", "crds", &open];
    let app = ["--url", "https://app.example.com/"];
    let elsewhere = ["--url", "https://elsewhere.example.com/"];
    let (asked, alone, wrong) = (Some(&*asked), Some(&*alone), Some(&*wrong));
    let ways: [(&str, &[&str], Option<&str>, i32); 33] = [
        ("", &["--version"], None, 0),
        ("", &[], None, 2),
        ("serve", &[], wrong, 1),
        ("check", &[], asked, 0),
        ("check", &[], wrong, 1),
        ("why", &app, asked, 0),
        ("why", &elsewhere, asked, 1),
        ("test", &[&right_table], asked, 0),
        ("test", &[&wrong_table], asked, 1),
        ("export", &["nginx"], asked, 0),
        ("export", &["keys"], asked, 1),
        ("import ingress-nginx", &taken_over, None, 0),
        ("import ingress-nginx", &nothing_to_take_over, None, 1),
        ("keygen", &[], None, 0),
        ("keygen", &["--kid", "a b"], None, 1),
        ("session inspect", &[&cookie], asked, 0),
        ("session inspect", &["x"], asked, 1),
        ("session list", &[], asked, 0),
        ("session list", &[], alone, 1),
        ("session revoke", &["--subject", "bob"], asked, 0),
        ("session revoke", &["--everyone"], alone, 1),
        ("key create", &key, asked, 0),
        ("key create", &key, alone, 1),
        ("key list", &[], asked, 0),
        ("key list", &[], alone, 1),
        ("key revoke", &["--all"], asked, 0),
        ("key revoke", &["--subject", "nobody"], asked, 1),
        ("config example", &[], None, 0),
        ("completions", &["bash"], None, 0),
        ("man", &[&pages], None, 0),
        ("man", &["/dev/null/pages"], None, 1),
        ("healthcheck", &["--ready"], asked, 0),
        ("healthcheck", &[], alone, 1),
    ];
    let mut ended = Codes::default();
    for (words, further, config, expected) in ways {
        let found = run(words, further, config);
        assert_eq!(found, expected, "{words} {further:?}");
        ended.add(words, found);
        let misused = run(words, &["--no-such-option"], None);
        ended.add(words, misused);
    }
    running.terminate();
    let status = running.end().await;
    ended.add("serve", status.code().expect("a code"));
    assert_eq!(listed(Path::new(&pages)), ended);
}
