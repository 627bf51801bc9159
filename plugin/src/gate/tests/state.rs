//! The two-key form: what the outpost's folder says is in force, and nothing else.

use super::*;
use gatepost_session::{DerivedKey, Purpose};
use gatepost_signing::RevokedList;
use serde_json::Value;

mod narrowing;

const RENEWED: &str = "/gatepost/gatepost-state";
const APPLICATION: &str = "/gatepost/application-wiki.json";
const REVOKED: &str = "/gatepost/revoked";

/// A folder as the outpost writes it, and a gate that follows it.
struct Folder {
    files: Vec<(String, Vec<u8>)>,
    gate: Option<Gate>,
    log: Vec<String>,
}

/// Returns what says that the folder was renewed after so many seconds.
fn renewed(seconds: u64) -> String {
    gatepost_policy::state::renewed_text(NumericDate::from_seconds(NOW + seconds))
}

fn file(name: &str, key: &str, settings: &Value) -> Value {
    let keys = KeyRing::parse(key).expect("ring").derive(Purpose::Session);
    let keys: Vec<String> = keys
        .iter()
        .map(|key| DerivedKey::to_entry(key).to_string())
        .collect();
    json!({
        "format": 1, "application": name, "keys": keys, "verdicts": ["word"],
        "settings": settings,
    })
}

impl Folder {
    /// Creates the folder of an outpost with one application, `wiki`.
    fn new(settings: &Value) -> Self {
        let mut folder = Self {
            files: Vec::new(),
            gate: None,
            log: Vec::new(),
        };
        folder.write(RENEWED, renewed(0));
        folder.write(REVOKED, RevokedList::new().to_bytes(1));
        folder.write(APPLICATION, file("wiki", KEY_A, settings).to_string());
        folder
    }

    fn write(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.remove(path);
        self.files.push((path.to_owned(), content.into()));
    }

    fn remove(&mut self, path: &str) {
        self.files.retain(|(own, _)| own != path);
    }

    fn with(&self, host: Double) -> Double {
        host.files.borrow_mut().extend(self.files.iter().cloned());
        host
    }

    /// Starts a guest of a router that writes `more` besides.
    fn start(&mut self, more: &Value) {
        let mut settings = json!({"application": "wiki", "stateDir": "/gatepost"});
        if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
            settings.extend(more.clone());
        }
        let host = self.with(Double::at(NOW));
        self.gate = Some(Gate::new(settings.to_string().as_bytes(), &host));
        self.log = host.log.take();
    }

    /// Sends a request after so many seconds.
    fn send(&mut self, seconds: u64, host: Double) -> (Flow, Double) {
        let host = self.with(host);
        host.now.set(NOW + seconds);
        let gate = self.gate.as_mut().expect("started");
        let flow = gate.handle(&host);
        self.log = host.log.take();
        (flow, host)
    }

    /// Returns the status of the answer to a script with this cookie; 200 where it passes.
    fn status(&mut self, seconds: u64, cookie: &str) -> u16 {
        let (flow, host) = self.send(seconds, Double::at(NOW).by_script().with("Cookie", cookie));
        match flow {
            Flow::Continue => 200,
            Flow::Responded => host.status().expect("a status"),
        }
    }
}

fn started(settings: &Value, more: &Value) -> Folder {
    let mut folder = Folder::new(settings);
    folder.start(more);
    folder
}

/// Returns the first bytes of a text of ASCII.
fn first(text: &str, bytes: usize) -> String {
    text.chars().take(bytes).collect()
}

fn staff_only() -> Value {
    json!({"require": {"groups": ["staff"]}, "issuer": ["https://id.example.com"]})
}

#[test]
fn two_keys_are_enough() {
    let mut folder = started(
        &json!({
            "require": {"groups": ["staff"]}, "public": ["/healthz"],
            "headers": {"preset": "authentik"}, "outpostPrefix": "/sso",
        }),
        &json!({}),
    );
    assert!(folder.log.is_empty(), "{:?}", folder.log);
    let (flow, host) = folder.send(0, Double::at(NOW).with("Cookie", &cookie(&claims())));
    assert_eq!(flow, Flow::Continue);
    assert_eq!(
        host.header("X-Authentik-Username").as_deref(),
        Some("alice")
    );
    let (_, host) = folder.send(0, Double::at(NOW));
    let location = host.reply_header("Location").expect("a redirect");
    assert_eq!(location, "/sso/start?rd=%2F");
    assert_eq!(
        folder.send(0, Double::at(NOW).to("GET", "/healthz")).0,
        Flow::Continue
    );
}

/// Row B9: no part of the folder may be taken for all of it, or for another's.
#[test]
fn a_folder_that_is_missing_damaged_or_anothers_serves_nothing() {
    let whole = file("wiki", KEY_A, &staff_only()).to_string();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = file("wiki", KEY_A, &staff_only());
        change(&mut value);
        value.to_string()
    };
    let cases: Vec<(&str, &str, Option<String>, &str)> = vec![
        (
            "no application's file",
            APPLICATION,
            None,
            "entity not found; has the outpost's configuration an application `wiki`?",
        ),
        ("no sign of renewal", RENEWED, None, "entity not found"),
        (
            "an empty file",
            APPLICATION,
            Some(String::new()),
            "not JSON",
        ),
        (
            "half of it",
            APPLICATION,
            Some(first(&whole, whole.len() / 2)),
            "not JSON",
        ),
        (
            "all but the end",
            APPLICATION,
            Some(first(&whole, whole.len() - 1)),
            "not JSON",
        ),
        (
            "more than it",
            APPLICATION,
            Some(format!("{whole}x")),
            "not JSON",
        ),
        (
            "a list",
            APPLICATION,
            Some("[]".into()),
            "expected a section",
        ),
        (
            "another format",
            APPLICATION,
            Some(changed(&|v| v["format"] = json!(2))),
            "another format",
        ),
        (
            "no format",
            APPLICATION,
            Some(changed(&|v| v["format"] = Value::Null)),
            "format: ",
        ),
        (
            "renewed by another format",
            RENEWED,
            Some(renewed(0).replace(" 1 ", " 2 ")),
            "another format",
        ),
        (
            "renewed never",
            RENEWED,
            Some("gatepost-state 1\n".into()),
            "another format",
        ),
        (
            "half of a renewal",
            RENEWED,
            Some(renewed(0).trim_end().into()),
            "another format",
        ),
        (
            "application: another's",
            APPLICATION,
            Some(file("chat", KEY_A, &staff_only()).to_string()),
            "application: another's",
        ),
        (
            "no name",
            APPLICATION,
            Some(changed(&|v| v["application"] = json!(""))),
            "application: another's",
        ),
        (
            "no keys",
            APPLICATION,
            Some(changed(&|v| v["keys"] = json!([]))),
            "keys: invalid",
        ),
        (
            "keys cut short",
            APPLICATION,
            Some(changed(&|v| v["keys"] = json!(["a:QkNE"]))),
            "keys: invalid",
        ),
        (
            "no settings",
            APPLICATION,
            Some(changed(&|v| v["settings"] = json!("x"))),
            "settings: expected a section",
        ),
        (
            "a rule without entries",
            APPLICATION,
            Some(changed(&|v| v["settings"] = json!({"require": {}}))),
            "an empty rule",
        ),
        (
            "a list of rules without a rule",
            APPLICATION,
            Some(changed(&|v| v["settings"]["rules"] = json!([]))),
            "settings.rules",
        ),
        (
            "a rule with a key that is unknown here",
            APPLICATION,
            Some(changed(&|v| {
                v["settings"]["rules"] = json!([{"deny": true, "hours": "8-17"}]);
            })),
            "settings.rules[0]",
        ),
        (
            "more than an outpost writes",
            APPLICATION,
            Some(changed(&|v| v["further"] = json!("x"))),
            "further: unknown key",
        ),
        (
            "too long",
            APPLICATION,
            Some(format!("{whole}{}", " ".repeat(70_000))),
            "larger than 65536 bytes",
        ),
    ];
    for (case, path, content, said) in cases {
        let mut folder = Folder::new(&staff_only());
        match content {
            Some(content) => folder.write(path, content),
            None => folder.remove(path),
        }
        folder.start(&json!({}));
        let log = folder.log.join(" ");
        assert!(
            log.starts_with("Error: stateDir: ") && log.contains(said) && log.contains("503"),
            "{case}: {log}"
        );
        assert!(!log.contains("QkNE"), "{case}: {log}");
        assert_eq!(folder.status(0, &cookie(&claims())), 503, "{case}");
        // Not the same line for each request.
        assert_eq!(folder.status(5, &cookie(&claims())), 503, "{case}");
        assert!(folder.log.is_empty(), "{case}: {:?}", folder.log);
        // And it is served when it is as it should be.
        folder.write(RENEWED, renewed(0));
        folder.write(APPLICATION, whole.clone());
        assert_eq!(folder.status(6, &cookie(&claims())), 200, "{case}");
        assert!(folder.log.join(" ").contains("in force again"), "{case}");
    }
}

/// Row B9: an application that is removed at the outpost, or whose file is damaged while it is
/// served.
#[test]
fn what_goes_while_it_is_served_is_not_served_any_more() {
    for content in [None, Some("{"), Some("")] {
        let mut folder = started(&staff_only(), &json!({}));
        assert_eq!(folder.status(0, &cookie(&claims())), 200);
        match content {
            Some(content) => folder.write(APPLICATION, content),
            None => folder.remove(APPLICATION),
        }
        assert_eq!(
            folder.status(1, &cookie(&claims())),
            200,
            "looked at every two seconds"
        );
        assert_eq!(folder.status(2, &cookie(&claims())), 503, "{content:?}");
    }
}

#[test]
fn a_change_is_in_force_within_two_seconds() {
    let mut folder = started(&staff_only(), &json!({}));
    assert_eq!(folder.status(0, &cookie(&claims())), 200);
    let admins = json!({"require": {"groups": ["admins"]}});
    folder.write(APPLICATION, file("wiki", KEY_A, &admins).to_string());
    assert_eq!(folder.status(2, &cookie(&claims())), 403);
    // Keys are rotated: both verify, then the new one alone.
    let both = format!("{KEY_B}\n{KEY_A}");
    for (seconds, keys, by_old, by_new) in [(4, both.as_str(), 200, 200), (6, KEY_B, 401, 200)] {
        folder.write(APPLICATION, file("wiki", keys, &staff_only()).to_string());
        assert_eq!(folder.status(seconds, &cookie(&claims())), by_old, "{keys}");
        let new = cookie_signed_by(KEY_B, &claims());
        assert_eq!(folder.status(seconds, &new), by_new, "{keys}");
    }
}

/// Row B9: the keys of the folder are derived: no secret of theirs opens anything else.
#[test]
fn the_secret_of_a_ring_is_no_key_of_the_folder() {
    let mut folder = Folder::new(&staff_only());
    let mut value = file("wiki", KEY_A, &staff_only());
    value["keys"] = json!([KEY_A]);
    folder.write(APPLICATION, value.to_string());
    folder.start(&json!({}));
    assert_eq!(folder.status(0, &cookie(&claims())), 503);
}

#[test]
fn a_session_that_is_revoked_in_the_folder_is_refused_and_so_are_all_without_its_list() {
    let mut folder = started(&staff_only(), &json!({}));
    assert_eq!(folder.status(0, &cookie(&claims())), 200);
    let mut list = RevokedList::new();
    list.add_session(&claims().sid);
    folder.write(REVOKED, list.to_bytes(2));
    assert_eq!(folder.status(2, &cookie(&claims())), 401);
    folder.write(REVOKED, RevokedList::new().to_bytes(3));
    assert_eq!(folder.status(4, &cookie(&claims())), 200);
    folder.remove(REVOKED);
    assert_eq!(folder.status(6, &cookie(&claims())), 401);
    assert!(
        folder
            .log
            .iter()
            .any(|line| line.starts_with("Error: revokedFile") && line.contains("are refused")),
        "{:?}",
        folder.log
    );
}

/// What it said last stays in force: the keys end what they must, and the log says the rest.
#[test]
fn a_folder_that_nobody_renews_is_said_once() {
    let mut folder = started(&staff_only(), &json!({}));
    let fresh = cookie(&claims());
    assert_eq!(folder.status(120, &fresh), 200);
    assert!(folder.log.is_empty(), "{:?}", folder.log);
    assert_eq!(folder.status(122, &fresh), 200);
    let log = folder.log.join(" ");
    assert!(
        log.contains("Error: stateDir: the outpost has not renewed it for two minutes"),
        "{log}"
    );
    assert_eq!(folder.status(130, &fresh), 200);
    assert!(folder.log.is_empty(), "{:?}", folder.log);
    folder.write(RENEWED, renewed(132));
    assert_eq!(folder.status(132, &fresh), 200);
    assert!(
        folder.log.join(" ").contains("the outpost renews it again"),
        "{:?}",
        folder.log
    );
}

/// Row B9: a name leads to no other file.
#[test]
fn a_name_that_is_a_path_leads_nowhere() {
    for name in [
        "../wiki",
        "../gatepost/application-wiki",
        "/gatepost/application-wiki",
        "wiki/.",
    ] {
        let mut folder = Folder::new(&staff_only());
        folder.write("/wiki.json", file(name, KEY_A, &staff_only()).to_string());
        folder.start(&json!({"application": name}));
        assert_eq!(folder.status(0, &cookie(&claims())), 503, "{name}");
        let log = folder.log.join(" ");
        assert!(!log.contains("/../"), "{log}");
    }
}
