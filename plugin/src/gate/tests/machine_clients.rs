//! Requests with credentials in `Authorization`.

use super::*;

#[test]
fn credentials_are_left_to_the_outpost_unless_there_is_a_session() {
    let machines = json!({"machines": "bearer,basic", "fallback": "route"});
    let due = Claims {
        rnw: NumericDate::from_seconds(NOW),
        ..claims()
    };
    for (case, cookie, credentials, verdict) in [
        ("a token", None, "Bearer a.b.c", "defer"),
        ("a password", None, "Basic YTpi", "defer"),
        ("another scheme", None, "Digest a", "sign-in"),
        ("with a session", Some(claims()), "Bearer a.b.c", "allow"),
        ("with one that is due", Some(due), "Bearer a.b.c", "renew"),
    ] {
        let mut host = Double::at(NOW).with("Authorization", credentials);
        if let Some(claims) = &cookie {
            host = host.with("Cookie", &self::cookie(claims));
        }
        assert_eq!(
            gate(machines.clone()).handle(&host),
            Flow::Continue,
            "{case}"
        );
        let said = host.header("X-Gatepost-Verdict");
        let expected = match verdict {
            "allow" => route::WORD_A,
            other => other,
        };
        assert_eq!(said.as_deref(), Some(expected), "{case}");
        // It is between client and application, or between client and outpost.
        let kept = host.header("Authorization");
        assert_eq!(kept.as_deref(), Some(credentials), "{case}");
        let user = host.header("X-Auth-Username");
        assert_eq!(user.is_some(), verdict == "allow", "{case}");
    }
}

/// The outpost needs the key, and no application gets it.
#[test]
fn a_key_in_its_header_reaches_the_outpost_and_no_application() {
    let settings = json!({
        "machines": "apiKey", "apiKeyHeader": "X-Api-Key", "fallback": "route",
        "public": "/public/*",
    });
    for (case, cookie, path, verdict, kept) in [
        ("no session", None, "/x", "defer", true),
        ("a session", Some(claims()), "/x", route::WORD_A, false),
        ("a public path", None, "/public/x", route::WORD_A, false),
    ] {
        let mut host = Double::at(NOW)
            .to("GET", path)
            .with("X-Api-Key", "gp_secret");
        host = host.with("X_Api_Key", "gp_another");
        if let Some(claims) = &cookie {
            host = host.with("Cookie", &self::cookie(claims));
        }
        assert_eq!(gate(settings.clone()).handle(&host), Flow::Continue);
        let said = host.header("X-Gatepost-Verdict");
        assert_eq!(said.as_deref(), Some(verdict), "{case}");
        assert_eq!(host.header("X-Api-Key").is_some(), kept, "{case}");
        assert_eq!(host.header("X_Api_Key"), None, "{case}");
    }
    // Where none is named, it is the application's.
    let host = Double::at(NOW)
        .to("GET", "/public/x")
        .with("X-Api-Key", "gp_x");
    let settings = json!({"machines": "apiKey", "public": "/public/*"});
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    assert!(host.header("X-Api-Key").is_some());
}

/// Where a key does not decide, `Authorization` is the application's, but for keys.
#[test]
fn a_key_in_authorization_reaches_the_outpost_and_no_application() {
    let settings = |machines: &str| {
        json!({
            "machines": machines, "apiKeyHeader": "X-Api-Key", "fallback": "route",
            "public": "/public/*",
        })
    };
    // u:gp_x and gp_x:
    let keys = ["Bearer gp_x", "Basic dTpncF94", "basic Z3BfeDo="];
    for (case, cookie, path, verdict, keeps) in [
        ("no session", None, "/x", "defer", true),
        ("a session", Some(claims()), "/x", route::WORD_A, false),
        ("a public path", None, "/public/x", route::WORD_A, false),
    ] {
        for (sent, kept) in [
            (keys[0], keeps),
            (keys[1], keeps),
            (keys[2], keeps),
            ("Bearer a.gp_x", true),
        ] {
            let mut host = Double::at(NOW).to("GET", path).with("Authorization", sent);
            if let Some(claims) = &cookie {
                host = host.with("Cookie", &self::cookie(claims));
            }
            assert_eq!(
                gate(settings("apiKey,basic,bearer")).handle(&host),
                Flow::Continue
            );
            let said = host.header("X-Gatepost-Verdict");
            assert_eq!(said.as_deref(), Some(verdict), "{case}: {sent}");
            let is_kept = host.header("Authorization").is_some();
            assert_eq!(is_kept, kept, "{case}: {sent}");
        }
    }
    // Where no keys are accepted, it is the application's.
    let host = Double::at(NOW)
        .to("GET", "/public/x")
        .with("Authorization", keys[0]);
    let settings = json!({"machines": "bearer", "public": "/public/*"});
    assert_eq!(gate(settings).handle(&host), Flow::Continue);
    assert!(host.header("Authorization").is_some());
}

#[test]
fn nothing_is_asked_of_the_host_about_credentials_that_do_not_count() {
    let with = |cookie: Option<Claims>| {
        let host = Double::at(NOW).with("Authorization", "Bearer a.b.c");
        match cookie {
            Some(claims) => host.with("Cookie", &self::cookie(&claims)),
            None => host,
        }
    };
    let route = |machines: &str| json!({"machines": machines, "fallback": "route"});
    for (case, settings, host, asks) in [
        (
            "a session in force",
            route("bearer"),
            with(Some(claims())),
            false,
        ),
        ("none allowed", route(""), with(None), false),
        (
            "no session, and some allowed",
            route("bearer"),
            with(None),
            true,
        ),
    ] {
        let _ = gate(settings).handle(&host);
        let asked = host
            .asked
            .borrow()
            .iter()
            .any(|name| name == "authorization");
        assert_eq!(asked, asks, "{case}");
    }
}

#[test]
fn credentials_that_cannot_be_checked_are_refused_and_the_log_says_why() {
    let mut gate = gate(json!({"machines": ["bearer"]}));
    let host = Double::at(NOW).with("Authorization", "Bearer a.b.c");
    assert_eq!(gate.handle(&host), Flow::Responded);
    assert_eq!(host.status(), Some(401), "also where it accepts a page");
    assert!(host.reply_header("WWW-Authenticate").is_some());
    let log = host.log.borrow().join(" ");
    assert!(
        log.contains("`fallback: route`") && !log.contains("a.b.c"),
        "{log}"
    );
}
