use super::*;
use crate::config::Config;
use crate::runtime::Snapshot;
use gatepost_base::Clock;

const BASE: &str = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
";

fn snapshot(applications: &str, unserved: Vec<Unserved>) -> Snapshot {
    let mut config = Config::parse(&format!("{BASE}{applications}"), []).expect("a configuration");
    config.unserved = unserved;
    Snapshot::new(&config, &Clock::system(), None).expect("a snapshot")
}

fn at<'d>(snapshot: &'d Snapshot, host: &str, path: &str) -> Result<&'d str, NoApplication> {
    let authority = HostPort::parse(host).expect("a host");
    let found = snapshot.applications.at(&authority, path);
    found.map(|found| found.audience().as_str())
}

const WIDE: &str = "
  - {name: tls, externalUrl: 'https://one.example.com'}
  - {name: odd, externalUrl: 'http://odd.localhost:8080'}
  - {name: wide, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.com}
  - {name: narrow, mode: domain, externalUrl: 'https://auth.a.example.com',
     cookieDomain: a.example.com}
";

/// Row A1: a name that an application owns never falls to a wider one, whatever the port.
#[test]
fn a_host_has_the_application_with_the_nearest_name() {
    let snapshot = snapshot(WIDE, Vec::new());
    for (host, expected) in [
        ("one.example.com", Some("tls")),
        ("ONE.Example.com", Some("tls")),
        ("one.example.com:443", Some("tls")),
        ("one.example.com:8443", None),
        ("one.example.com:1", None),
        ("one.example.com:0", None),
        ("odd.localhost:8080", Some("odd")),
        // Some proxies drop the port.
        ("odd.localhost", Some("odd")),
        ("odd.localhost:80", None),
        ("auth.example.com", Some("wide")),
        ("auth.example.com:1", Some("wide")),
        ("auth.a.example.com:1", Some("narrow")),
        ("example.com", Some("wide")),
        ("x.example.com", Some("wide")),
        ("x.one.example.com", Some("wide")),
        ("x.example.com:1", Some("wide")),
        ("x.a.example.com", Some("narrow")),
        ("a.example.com", Some("narrow")),
        ("xa.example.com", Some("wide")),
        ("evilexample.com", None),
        ("example.org", None),
    ] {
        let found = at(&snapshot, host, "/");
        assert_eq!(found.ok(), expected, "{host}");
    }
}

/// Row A4: what cannot be served keeps its names.
#[test]
fn what_cannot_be_served_keeps_its_host_and_its_domain() {
    let unserved = |name: &str, host: Option<(&str, u16)>, domain: Option<&str>| Unserved {
        name: name.to_owned(),
        reason: "its key is too short".to_owned(),
        host: host.map(|(host, port)| (host.to_owned(), Some(port))),
        domain: domain.map(str::to_owned),
    };
    let snapshot = snapshot(
        WIDE,
        vec![
            unserved("board", Some(("board.example.com", 443)), None),
            unserved(
                "inner",
                Some(("auth.b.example.com", 443)),
                Some("b.example.com"),
            ),
            // The one that is served at this address is its owner, and not a wider one.
            unserved("again", Some(("one.example.com", 443)), Some("example.com")),
            // Which of the two a request is for, its name does not say.
            unserved("port", Some(("odd.localhost", 9090)), None),
        ],
    );
    for (host, expected) in [
        ("board.example.com", Err("board")),
        ("board.example.com:1", Err("board")),
        ("auth.b.example.com", Err("inner")),
        ("b.example.com", Err("inner")),
        ("x.y.b.example.com", Err("inner")),
        ("odd.localhost", Err("port")),
        ("odd.localhost:8080", Err("port")),
        ("x.board.example.com", Ok("wide")),
        ("one.example.com", Ok("tls")),
        ("x.example.com", Ok("wide")),
    ] {
        let found = at(&snapshot, host, "/").map_err(|no| match no {
            NoApplication::Unserved(unserved) => unserved.name.clone(),
            NoApplication::Unknown | NoApplication::NotKnownYet(_) | NoApplication::Several => {
                "another reason".to_owned()
            }
        });
        let found = found.as_ref().map(|name| *name).map_err(String::as_str);
        assert_eq!(found, expected, "{host}");
    }
}

#[test]
fn on_one_host_name_the_prefix_of_the_question_decides() {
    let snapshot = snapshot(
        "
  - {name: a, externalUrl: 'https://x.example.com', outpostPrefix: /sso-a, cookieName: a}
  - {name: b, externalUrl: 'https://x.example.com:8443', outpostPrefix: /sso-b, cookieName: b}
",
        Vec::new(),
    );
    for (host, path, expected) in [
        ("x.example.com", "/sso-a/auth/traefik", Ok("a")),
        ("x.example.com", "/sso-b/start?rd=/", Ok("b")),
        ("x.example.com:8443", "/sso-b/start", Ok("b")),
        (
            "x.example.com:8443",
            "/sso-a/start",
            Err(NoApplication::Unknown),
        ),
        (
            "x.example.com:8443",
            "/akprox/start",
            Err(NoApplication::Several),
        ),
        ("x.example.com", "/", Err(NoApplication::Several)),
        (
            "x.example.com",
            "/sso-ab/start",
            Err(NoApplication::Several),
        ),
    ] {
        assert_eq!(at(&snapshot, host, path), expected, "{host} {path}");
    }
}
