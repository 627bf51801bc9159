//! What a router adds to the outpost's folder: it narrows what the folder says, and never widens it.

use super::*;

#[test]
fn a_router_narrows_and_the_log_says_so() {
    let all = json!({
        "require": {"groups": ["staff", "ops"]}, "public": ["/healthz", "/static/*"],
        "issuer": ["https://id.example.com"],
    });
    let mut folder = started(
        &all,
        &json!({"require": {"groups": "admins"}, "public": "/static/css/*", "logLevel": "info"}),
    );
    assert_eq!(
        folder.log,
        ["Info: `require` and `public` narrow what the outpost says"]
    );
    let of = |groups: &[&str]| {
        cookie(&Claims {
            groups: groups.iter().copied().collect(),
            ..claims()
        })
    };
    // Both rules hold, or it is refused.
    for (groups, expected) in [
        (&["staff", "admins"][..], 200),
        (&["staff"], 403),
        (&["admins"], 403),
        (&[], 403),
    ] {
        assert_eq!(folder.status(0, &of(groups)), expected, "{groups:?}");
    }
    for (path, flow) in [
        ("/static/css/a.css", Flow::Continue),
        ("/static/a.js", Flow::Responded),
        ("/healthz", Flow::Responded),
    ] {
        let (own, _) = folder.send(0, Double::at(NOW).to("GET", path));
        assert_eq!(own, flow, "{path}");
    }
    let mut closed = started(&all, &json!({"public": []}));
    let (flow, _) = closed.send(0, Double::at(NOW).to("GET", "/healthz"));
    assert_eq!(flow, Flow::Responded);
    let named = json!({"revoked": claims().sid.expose(), "clockSkew": "5s"});
    assert_eq!(started(&all, &named).status(0, &cookie(&claims())), 401);
}

/// A rule opens before the short form is asked, so a router's `public` would not close it.
#[test]
fn a_router_does_not_seem_to_close_what_a_rule_opens() {
    let application = json!({
        "rules": [{"paths": ["/hooks/*"], "public": true}], "public": ["/healthz"],
        "issuer": ["https://id.example.com"],
    });
    let mut folder = started(&application, &json!({"public": ["/healthz"]}));
    let (flow, _) = folder.send(0, Double::at(NOW).to("POST", "/hooks/x"));
    assert_eq!(flow, Flow::Responded);
    assert_eq!(folder.status(0, &cookie(&claims())), 503);
}

/// Row B9: what would widen what the outpost says is refused, and closes the router.
#[test]
fn a_router_never_widens() {
    let application = json!({
        "require": {"groups": ["staff"]}, "public": ["/static/*"],
        "issuer": ["https://id.example.com"],
    });
    let cases = [
        (
            json!({"public": ["/static/a", "/admin/*"]}),
            "middleware.public: not all of it is public",
        ),
        (
            json!({"public": ["/*"]}),
            "middleware.public: not all of it is public",
        ),
        (json!({"public": ["/x;"]}), "middleware.public: `/x;`: "),
        (
            json!({"clockSkew": "31s"}),
            "middleware.clockSkew: expected at most 30s",
        ),
        (
            json!({"require": {}}),
            "middleware.require.groups: an empty rule",
        ),
        (json!({"require": null}), "middleware.require: has no value"),
        (
            json!({"requires": {"groups": "a"}}),
            "Error: stateDir: middleware.requires: unknown key: did you mean `require`?",
        ),
        (
            json!({"colour": "blue"}),
            "middleware.colour: unknown key: expected stateDir, application, fallback, ",
        ),
        (
            json!({"stateDir": "gatepost"}),
            "stateDir: expected an absolute path",
        ),
        (
            json!({"allowPreflight": true}),
            "middleware.allowPreflight: write it at the outpost",
        ),
        (
            json!({"rules": [{"deny": true}]}),
            "middleware.rules: write it at the outpost",
        ),
        (
            json!({"machines": ["bearer"]}),
            "middleware.machines: write it at the outpost",
        ),
        (
            json!({"forwardCookie": true}),
            "middleware.forwardCookie: write it at the outpost",
        ),
        (
            json!({"issuer": ["https://evil.example"]}),
            "middleware.issuer: write it at the outpost",
        ),
        (
            json!({"keysFile": "/keys/k"}),
            "middleware.keysFile: is in the folder",
        ),
        (
            json!({"keysEnv": "K"}),
            "middleware.keysEnv: is in the folder",
        ),
        (json!({"keys": KEY_B}), "middleware.keys: is in the folder"),
        (
            json!({"revokedFile": "/r"}),
            "middleware.revokedFile: is in the folder",
        ),
        (
            json!({"mode": "single"}),
            "middleware.mode: write it at the outpost",
        ),
        (
            json!({"outpostUrl": "https://evil.example"}),
            "middleware.outpostUrl: write it at the outpost",
        ),
        (
            json!({"outpostPrefix": "/x"}),
            "middleware.outpostPrefix: write it at the outpost",
        ),
        (
            json!({"cookieName": "x"}),
            "middleware.cookieName: write it at the outpost",
        ),
        (
            json!({"plainHttp": true}),
            "middleware.plainHttp: write it at the outpost",
        ),
        (
            json!({"headers": {"preset": "none"}}),
            "middleware.headers: write it at the outpost",
        ),
        (
            json!({"fallback": "route", "public": ["/static/a"]}),
            "middleware.public: with `fallback",
        ),
    ];
    for (more, said) in cases {
        let mut folder = started(&application, &more);
        let log = folder.log.join(" ");
        assert!(
            log.contains(said) && log.starts_with("Error: "),
            "{more}: {log}"
        );
        // The outpost's file is not at fault, and no key is listed that is an error here.
        assert!(!log.contains("QkNE") && !log.contains(".json"), "{log}");
        let listed = log.split("expected ").nth(1).unwrap_or_default();
        assert!(
            !listed.contains("rules") && !listed.contains("keysFile"),
            "{log}"
        );
        assert_eq!(folder.status(0, &cookie(&claims())), 503, "{more}");
        assert_eq!(folder.status(9, &cookie(&claims())), 503, "{more}");
    }
    // What the outpost takes away is not left to a router.
    let mut folder = started(&application, &json!({"public": ["/static/a"]}));
    let at = || Double::at(NOW).to("GET", "/static/a");
    assert_eq!(folder.send(0, at()).0, Flow::Continue);
    folder.write(APPLICATION, file("wiki", KEY_A, &staff_only()).to_string());
    assert_eq!(folder.send(2, at()).1.status(), Some(503));
}

#[test]
fn routers_behind_the_plugin_get_the_words_of_the_folder_and_the_routers_own_rule() {
    let application = json!({"require": {"groups": ["staff"]}});
    let mut folder = started(&application, &json!({"fallback": "route"}));
    let (_, host) = folder.send(0, Double::at(NOW).with("Cookie", &cookie(&claims())));
    assert_eq!(host.header("X-Gatepost-Verdict").as_deref(), Some("word"));
    let (_, host) = folder.send(0, Double::at(NOW));
    assert_eq!(
        host.header("X-Gatepost-Require").as_deref(),
        Some("session&and&any=group:staff"),
        "the outpost may see another path"
    );
    let more = json!({"fallback": "route", "require": {"groups": "admins"}});
    let mut folder = started(&application, &more);
    let (_, host) = folder.send(0, Double::at(NOW));
    assert_eq!(
        host.header("X-Gatepost-Require").as_deref(),
        Some("session&and&any=group:staff&and&any=group:admins")
    );
}

/// In authentik's place, paths are public by expressions, which the folder does not have.
#[test]
fn what_only_the_outpost_knows_to_be_public_stays_so() {
    let mut folder = started(&staff_only(), &json!({"fallback": "route"}));
    let mut changed: Value =
        serde_json::from_str(&file("wiki", KEY_A, &staff_only()).to_string()).expect("JSON");
    changed["expressions"] = json!(true);
    folder.write(APPLICATION, changed.to_string());
    let (_, host) = folder.send(2, Double::at(NOW));
    assert_eq!(
        host.header("X-Gatepost-Require").as_deref(),
        Some("any=group:staff")
    );
}

/// `gatepost check` compares the rules.
#[test]
fn the_probe_is_told_where_the_rule_comes_from() {
    let mut folder = started(&staff_only(), &json!({"require": {"users": "alice"}}));
    let probe = Claims {
        sid: SessionId::probe(),
        exp: NumericDate::from_seconds(NOW - 1),
        rnw: NumericDate::from_seconds(NOW - 1),
        iat: NumericDate::from_seconds(NOW - 1),
        ..claims()
    };
    let host = Double::at(NOW).by_script().with("Cookie", &cookie(&probe));
    let (_, host) = folder.send(0, host);
    let said: Value = serde_json::from_str(&host.body()).expect("JSON");
    assert_eq!(said["require"], "any=group:staff");
    assert_eq!(said["settings"], "stateDir");
    assert_eq!(said["narrowedTo"], "any=user:alice");
}

/// What the outpost takes for a proxy's address is no client's here either, whatever a router says of
/// the addresses before it.
#[test]
fn a_router_does_not_make_a_client_of_an_outposts_proxy() {
    let application = |proxies: &str| {
        json!({
            "rules": [{"networks": ["10.0.0.0/8", "192.0.2.0/24"], "public": true}],
            "trustedProxies": proxies, "issuer": ["https://id.example.com"],
        })
    };
    let inner = json!({"trustedProxies": ["10.9.0.0/16"]});
    for (outposts, router, peer, opens) in [
        ("198.51.100.1", json!({}), "192.0.2.7:1", true),
        ("192.0.2.7", json!({}), "192.0.2.7:1", false),
        ("192.0.2.7", inner.clone(), "192.0.2.7:1", false),
        ("192.0.2.7", inner.clone(), "10.0.0.1:1", true),
        ("10.0.0.0/8", inner.clone(), "10.0.0.1:1", false),
        // Without a word of the router, no inner address is known to be a client's.
        ("192.0.2.7", json!({}), "10.0.0.1:1", false),
        ("192.0.2.7", inner, "10.9.0.1:1", false),
    ] {
        let mut folder = started(&application(outposts), &router);
        let (flow, _) = folder.send(0, Double::at(NOW).with_peer(peer));
        assert_eq!(flow == Flow::Continue, opens, "{outposts} {router} {peer}");
    }
}

/// What the folder says, the outpost finds itself; what a router adds, it can learn from the link alone.
#[test]
fn a_link_says_what_is_to_be_asked_for_only_where_a_router_narrows() {
    let application = json!({
        "require": {"acr": ["silver", "gold"]}, "public": ["/static/*"],
        "issuer": ["https://id.example.com"],
    });
    let conditions = "&authentication=all%3Dclaim%3Aacr%3Asilver%3Agold";
    for (acr, router, expected) in [
        ("bronze", json!({}), ""),
        (
            "bronze",
            json!({"require": {"groups": ["staff"]}}),
            conditions,
        ),
        // It closes what is open at the outpost.
        ("bronze", json!({"public": []}), conditions),
        (
            "silver",
            json!({"require": {"acr": ["gold"]}}),
            &[conditions, "%26all%3Dclaim%3Aacr%3Agold"].concat(),
        ),
    ] {
        let mut folder = started(&application, &router);
        let user = cookie(&Claims {
            acr: Some(acr.into()),
            ..claims()
        });
        let host = Double::at(NOW).to("GET", "/x").with("Cookie", &user);
        let (_, host) = folder.send(0, host);
        let start = format!("/akprox/start?rd=%2Fx&step_up=GET{expected}");
        let location = host.reply_header("Location").expect("a redirect");
        let asked = expected.trim_start_matches("&authentication=");
        let asked = asked
            .replace("%3D", "=")
            .replace("%3A", ":")
            .replace("%26", "&");
        let own = match expected {
            "" => location,
            _ => super::super::step_up::without_proof(&location, &asked),
        };
        assert_eq!(own, start, "{router}");
    }
}
