use super::*;
use crate::host::double::Double;
use gatepost_session::{Audience, Claims, KeyRing, SessionId, Verifier};
use gatepost_signing::Signer;
use serde_json::json;

mod cookies;
mod device;
mod keys;
mod machine_clients;
mod misrouted;
mod networks;
mod renewal;
mod revoked;
mod route;
mod state;
mod step_up;

const NOW: u64 = 1_800_000_000;
const KEY_A: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const KEY_B: &str = "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=";

fn claims() -> Claims {
    let now = NumericDate::from_seconds(NOW);
    serde_json::from_value(json!({
        "iss": "https://id.example.com",
        "sub": "1234",
        "aud": "wiki",
        "sid": SessionId::from_random([7; 24]),
        "iat": now,
        "exp": now.plus_seconds(900),
        "rnw": now.plus_seconds(600),
        "preferred_username": "alice",
        "email": "alice@example.com",
        "groups": ["staff", "ops"],
    }))
    .expect("claims")
}

fn cookie_of(ring: &KeyRing, claims: &Claims) -> String {
    let token = Signer::new(ring).sign(claims).expect("token");
    format!("__Host-gatepost={token}")
}

fn cookie_signed_by(key: &str, claims: &Claims) -> String {
    cookie_of(&KeyRing::parse(key).expect("ring"), claims)
}

fn cookie(claims: &Claims) -> String {
    cookie_signed_by(KEY_A, claims)
}

/// Creates a gate with the settings of most tests and `more`.
fn gate(more: serde_json::Value) -> Gate {
    let mut settings = json!({"application": "wiki", "keys": KEY_A});
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        settings.extend(more.clone());
    }
    Gate::new(settings.to_string().as_bytes(), &Double::at(NOW))
}

#[test]
fn a_session_in_force_reaches_the_application_with_its_identity_only() {
    let host = Double::at(NOW)
        .with(
            "Cookie",
            &format!("theme=dark; {}; lang=de", cookie(&claims())),
        )
        .with("X-Auth-Username", "mallory")
        .with("X_Auth_Groups", "admins")
        .with("X.Forwarded.Prefix", "/public")
        .with("X-Forwarded-Prefix", "/wiki")
        .with("x.forwarded~user", "0")
        .with("X-Forwarded-Groups", "admins")
        .with("X-Forwarded-Access-Token", "made-up")
        .with("X_Auth_Request.User", "mallory")
        .with("Remote-User", "mallory")
        .with("X-Gatepost-Verdict", "allow")
        .with("Connection", "keep-alive, X-Auth-Username")
        .with("X-Other", "kept");
    assert_eq!(gate(json!({})).handle(&host), Flow::Continue);
    for (name, expected) in [
        ("X-Auth-Username", Some("alice")),
        ("X-Auth-Groups", Some("staff|ops")),
        ("X-Forwarded-Email", Some("alice@example.com")),
        ("X-Forwarded-Preferred-Username", Some("alice")),
        ("X-Forwarded-User", Some("1234")),
        ("X-Forwarded-Groups", Some("staff,ops")),
        ("X-Forwarded-Access-Token", None),
        ("X_Auth_Request.User", None),
        ("Remote-User", None),
        ("X_Auth_Groups", None),
        ("X.Forwarded.Prefix", None),
        ("X-Forwarded-Prefix", Some("/wiki")),
        ("x.forwarded~user", None),
        ("X-Gatepost-Verdict", None),
        ("Connection", Some("keep-alive")),
        ("Cookie", Some("theme=dark; lang=de")),
        ("X-Other", Some("kept")),
    ] {
        assert_eq!(host.header(name).as_deref(), expected, "{name}");
    }
}

/// Row A7: no request goes on in another protocol than WebSocket, and none as a tunnel.
#[test]
fn no_request_goes_on_in_another_protocol_than_websocket() {
    for settings in [
        json!({"public": ["/*"]}),
        json!({"public": ["/*"], "fallback": "route"}),
    ] {
        for (lines, expected) in [
            (&["h2c"][..], None),
            (&["websocket, h2c"], None),
            (&["websocket", "h2c"], None),
            (&["h2c", "websocket"], None),
            (&["TLS/1.0"], None),
            (&["WebSocket"], Some("WebSocket")),
            (&[], None),
        ] {
            for sent in ["a=1".to_owned(), cookie(&claims())] {
                let host = lines
                    .iter()
                    .fold(Double::at(NOW), |host, line| host.with("Upgrade", line))
                    .with("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
                    .with("Cookie", &sent);
                let outcome = gate(settings.clone()).handle(&host);
                assert_eq!(outcome, Flow::Continue, "{lines:?}");
                assert_eq!(host.header("Upgrade").as_deref(), expected, "{lines:?}");
                assert_eq!(host.header("HTTP2-Settings"), None, "{lines:?}");

                let host = Double::at(NOW).to("CONNECT", "/").with("Cookie", &sent);
                let outcome = gate(settings.clone()).handle(&host);
                assert_eq!(outcome, Flow::Responded);
                assert_eq!(host.status(), Some(405));
                assert_eq!(host.header("X-Gatepost-Verdict"), None);
            }
        }
    }
}

#[test]
fn an_absent_claim_leaves_no_header_of_a_client() {
    let person = Claims {
        email: None,
        ..claims()
    };
    let host = Double::at(NOW)
        .with("Cookie", &cookie(&person))
        .with("X-Forwarded-Email", "mallory@example.com");
    assert_eq!(gate(json!({})).handle(&host), Flow::Continue);
    assert_eq!(host.header("X-Forwarded-Email"), None);
}

#[test]
fn a_client_without_a_session_in_force_is_sent_to_sign_in() {
    let now = NumericDate::from_seconds(NOW);
    let mut forged = cookie(&claims());
    forged.replace_range(forged.len() - 2.., "AA");
    let cases = [
        ("no cookie", "theme=dark".to_owned()),
        ("made up", "__Host-gatepost=a.b.c".into()),
        ("forged", forged),
        ("key of another ring", cookie_signed_by(KEY_B, &claims())),
        (
            "other application",
            cookie(&Claims {
                aud: "wiki2".into(),
                ..claims()
            }),
        ),
        (
            "window ended this second",
            cookie(&Claims {
                exp: now,
                ..claims()
            }),
        ),
        (
            "made in the future",
            cookie(&Claims {
                iat: now.plus_seconds(31),
                ..claims()
            }),
        ),
        (
            "under another name",
            cookie(&claims()).replace("__Host-", "__Secure-"),
        ),
    ];
    let mut gate = gate(json!({}));
    for (case, sent) in cases {
        let page = Double::at(NOW)
            .to("GET", "/deep/link?x=1&y=2")
            .with("Cookie", &sent);
        assert_eq!(gate.handle(&page), Flow::Responded, "{case}");
        assert_eq!(page.status(), Some(302), "{case}");
        assert_eq!(
            page.reply_header("Location").as_deref(),
            Some("/akprox/start?rd=%2Fdeep%2Flink%3Fx%3D1%26y%3D2"),
            "{case}"
        );
        assert_eq!(
            page.reply_header("Cache-Control").as_deref(),
            Some("no-store"),
            "{case}"
        );

        let script = Double::at(NOW).by_script().with("Cookie", &sent);
        assert_eq!(gate.handle(&script), Flow::Responded, "{case}");
        assert_eq!(script.status(), Some(401), "{case}");
        let body: serde_json::Value = serde_json::from_str(&script.body()).expect(case);
        assert_eq!(body["error"], "unauthenticated", "{case}");
        assert_eq!(body["signIn"], "/akprox/start", "{case}");
        let members: Vec<_> = body.as_object().expect(case).keys().collect();
        assert_eq!(members, ["error", "message", "signIn"], "{case}");
        assert!(script.reply_header("WWW-Authenticate").is_some(), "{case}");
    }
}

#[test]
fn a_form_after_the_session_gets_a_page_that_says_so() {
    let mut gate = gate(json!({}));
    let host = Double::at(NOW).to("POST", "/comment");
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(401));
    assert_eq!(host.reply_header("Location"), None);
    assert!(host.body().contains("has not been delivered"));
    assert!(host.body().contains("/akprox/start"));
    let due = Claims {
        rnw: NumericDate::from_seconds(NOW),
        ..claims()
    };
    let host = Double::at(NOW)
        .to("POST", "/comment")
        .with("Cookie", &cookie(&due));
    assert_eq!(
        gate.handle(&host),
        Flow::Continue,
        "renewal does not lose a form"
    );
}

#[test]
fn a_clock_a_little_ahead_is_tolerated() {
    let now = NumericDate::from_seconds(NOW);
    let ahead = |seconds| {
        cookie(&Claims {
            iat: now.plus_seconds(seconds),
            ..claims()
        })
    };
    let passes = |gate: &mut Gate, seconds| {
        gate.handle(&Double::at(NOW).with("Cookie", &ahead(seconds))) == Flow::Continue
    };
    assert!(passes(&mut gate(json!({})), 29));
    assert!(!passes(&mut gate(json!({"clockSkew": "10s"})), 11));
}

#[test]
fn a_window_is_checked_each_time_a_remembered_cookie_is_sent() {
    let mut gate = gate(json!({}));
    let sent = cookie(&claims());
    for (seconds, expected) in [(0, None), (599, None), (600, Some(302)), (900, Some(302))] {
        let host = Double::at(NOW + seconds).with("Cookie", &sent);
        let outcome = gate.handle(&host);
        assert_eq!(host.status(), expected, "page load after {seconds} s");
        assert_eq!(
            outcome == Flow::Continue,
            expected.is_none(),
            "page load after {seconds} s"
        );
    }
    for (seconds, expected) in [(600, None), (899, None), (900, Some(401))] {
        let host = Double::at(NOW + seconds).by_script().with("Cookie", &sent);
        let _ = gate.handle(&host);
        assert_eq!(host.status(), expected, "script after {seconds} s");
    }
}

#[test]
fn remembered_cookies_never_answer_for_others() {
    let mut gate = gate(json!({}));
    for round in 0..3 {
        for person in 0..20 {
            let name = format!("user{person}");
            let person = Claims {
                preferred_username: Some(name.clone()),
                ..claims()
            };
            let host = Double::at(NOW).with("Cookie", &cookie(&person));
            assert_eq!(gate.handle(&host), Flow::Continue, "{name}, round {round}");
            assert_eq!(host.header("X-Auth-Username"), Some(name));
        }
        let host = Double::at(NOW);
        assert_eq!(gate.handle(&host), Flow::Responded, "no session after one");
        assert_eq!(host.header("X-Auth-Username"), None);
    }
}

#[test]
fn chunks_and_duplicates_of_the_cookie_are_read() {
    let large = Claims {
        groups: (0..200).map(|n| format!("group-{n:030}")).collect(),
        ..claims()
    };
    let whole = cookie(&large);
    let token = whole.split_once('=').expect("pair").1;
    assert!(token.len() > 3_800);
    let (first, rest) = token.split_at(3_800);
    let (second, third) = rest.split_at(3_800.min(rest.len()));
    let mut chunks = format!("__Host-gatepost.0={first}; __Host-gatepost.1={second}");
    if !third.is_empty() {
        chunks = format!("{chunks}; __Host-gatepost.2={third}");
    }
    let host = Double::at(NOW).with("Cookie", &chunks);
    assert_eq!(gate(json!({})).handle(&host), Flow::Continue);
    assert_eq!(host.header("Cookie"), None);

    let good = cookie(&claims());
    for lines in [
        ["__Host-gatepost=bad", good.as_str()],
        [good.as_str(), "__Host-gatepost=bad"],
    ] {
        let host = Double::at(NOW)
            .with("Cookie", lines[0])
            .with("Cookie", lines[1]);
        assert_eq!(gate(json!({})).handle(&host), Flow::Continue, "{lines:?}");
        assert_eq!(host.header("Cookie"), None);
    }
}

/// `gatepost check` signs an ended session with the id of a probe, to see whether the plugin has its
/// keys and to compare its rule (row A14).
#[test]
fn a_probe_learns_whether_it_is_authentic_and_opens_nothing() {
    let probe = Claims {
        sid: SessionId::probe(),
        exp: NumericDate::from_seconds(NOW - 1),
        ..claims()
    };
    let staff = json!({"require": {"groups": "staff"}});
    let routed = json!({"fallback": "route", "require": {"groups": "staff"}});
    for (case, settings, key, known, rule) in [
        ("our key", json!({}), KEY_A, json!("known"), json!("")),
        (
            "a rule",
            staff.clone(),
            KEY_A,
            json!("known"),
            json!("any=group:staff"),
        ),
        // The outpost, which is asked about all others without a session, would not know it.
        (
            "route",
            routed,
            KEY_A,
            json!("known"),
            json!("any=group:staff"),
        ),
        ("another key", staff, KEY_B, json!(null), json!(null)),
    ] {
        let host = Double::at(NOW)
            .with("Sec-Fetch-Mode", "cors")
            .with("Cookie", &cookie_signed_by(key, &probe));
        assert_eq!(gate(settings).handle(&host), Flow::Responded, "{case}");
        let body: serde_json::Value = serde_json::from_str(&host.body()).expect(case);
        assert_eq!(
            (&body["probe"], &body["require"]),
            (&known, &rule),
            "{case}"
        );
    }
}

#[test]
fn a_refused_user_sees_who_is_signed_in() {
    let mut gate = gate(json!({"require": {"groups": "admins"}}));
    let person = Claims {
        preferred_username: Some("<b>bob".into()),
        ..claims()
    };
    let page = Double::at(NOW).with("Cookie", &cookie(&person));
    assert_eq!(gate.handle(&page), Flow::Responded);
    assert_eq!(page.status(), Some(403));
    assert!(page.body().contains("&lt;b&gt;bob") && !page.body().contains("<b>bob"));
    assert!(page.body().contains("/akprox/sign_out"));

    let script = Double::at(NOW).by_script().with("Cookie", &cookie(&person));
    assert_eq!(gate.handle(&script), Flow::Responded);
    assert_eq!(script.status(), Some(403));
    let body: serde_json::Value = serde_json::from_str(&script.body()).expect("JSON");
    assert_eq!(body["error"], "denied");
    assert!(script.log.borrow().is_empty());
}

#[test]
fn the_debug_log_shows_the_groups_of_a_refused_user() {
    let mut gate = gate(json!({"require": {"groups": "Staff"}, "logLevel": "debug"}));
    let host = Double::at(NOW).with("Cookie", &cookie(&claims()));
    assert_eq!(gate.handle(&host), Flow::Responded);
    let log = host.log.borrow().join(" ");
    assert!(log.contains("does not admit: groups staff|ops"), "{log}");
}

#[test]
fn public_paths_pass_without_an_identity_of_the_clients_making() {
    let mut gate = gate(json!({"public": "/public/*"}));
    let host = Double::at(NOW)
        .to("GET", "/public/x")
        .with("X_Auth_Username", "mallory")
        .with("Cookie", "a=1; __Host-gatepost=junk");
    assert_eq!(gate.handle(&host), Flow::Continue);
    assert_eq!(host.header("X_Auth_Username"), None);
    assert_eq!(host.header("Cookie").as_deref(), Some("a=1"));
    let known = Double::at(NOW)
        .to("GET", "/public/x")
        .with("Cookie", &cookie(&claims()));
    assert_eq!(gate.handle(&known), Flow::Continue);
    assert_eq!(known.header("X-Auth-Username").as_deref(), Some("alice"));
}

#[test]
fn domain_mode_leads_to_the_outposts_host_and_back() {
    let settings = json!({"mode": "domain", "outpostUrl": "https://auth.example.com"});
    let host = Double::at(NOW)
        .to("GET", "/x")
        .with("X-Forwarded-Proto", "https");
    assert_eq!(gate(settings).handle(&host), Flow::Responded);
    assert_eq!(
        host.reply_header("Location").as_deref(),
        Some("https://auth.example.com/akprox/start?rd=https%3A%2F%2Fwiki.example.com%2Fx")
    );
}

#[test]
fn wrong_settings_serve_nothing_and_say_why_in_one_line() {
    let host = Double::at(NOW).with("Cookie", &cookie(&claims()));
    let mut gate = Gate::new(br#"{"application":"wiki","keys":"k:c2hvcnQ="}"#, &host);
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(503));
    assert!(
        !host.body().contains("key `k`"),
        "the client learns no detail"
    );
    assert_eq!(
        *host.log.borrow(),
        [
            "Error: keys: key `k` has 5 bytes: expected 32 or more (`gatepost keygen` makes one); \
         every request is answered 503 until this is mended"
        ]
    );
}
