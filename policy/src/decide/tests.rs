use super::double::{NOW, authentic, claims};
use super::*;
use crate::authorization::Scheme;
use crate::header_name::HeaderName;
use crate::request::double::Sent;
use std::format;
use std::string::String;

#[test]
fn each_combination_of_session_rule_and_path_has_its_decision() {
    let staff = || Claims {
        groups: ["staff"].into(),
        ..claims("a@example.com")
    };
    let policy = Policy {
        rules: Rules::default(),
        public: PublicPaths::parse(["/public/*"]).expect("patterns"),
        require: Require::any_group([String::from("staff")]),
        allow_preflight: true,
        machine_clients: AuthorizationSchemes::default(),
    };
    let preflight = Sent::new("OPTIONS", "/x")
        .with("Origin", "https://a.example")
        .with("Access-Control-Request-Method", "PUT");
    let half_a_preflight = Sent::new("OPTIONS", "/x").with("Origin", "https://a.example");
    let at = |target: &str| Sent::new("GET", target);
    let outsider = || Some(claims("a@example.com"));
    let due = || {
        Some(Claims {
            rnw: NOW,
            ..staff()
        })
    };
    let reduced = || {
        Some(Claims {
            grp_more: true,
            ..claims("a@example.com")
        })
    };

    let cases = [
        ("admitted", Some(staff()), at("/x"), "allow", Some("alice")),
        (
            "admitted, public",
            Some(staff()),
            at("/public/x"),
            "allow",
            Some("alice"),
        ),
        ("renewal due", due(), at("/x"), "renew", Some("alice")),
        (
            "renewal due, public",
            due(),
            at("/public/x"),
            "allow",
            Some("alice"),
        ),
        ("outsider", outsider(), at("/x"), "deny", None),
        (
            "outsider, public",
            outsider(),
            at("/public/x"),
            "allow",
            None,
        ),
        ("groups left out", reduced(), at("/x"), "defer", None),
        (
            "groups left out, public",
            reduced(),
            at("/public/x"),
            "allow",
            None,
        ),
        ("no session", None, at("/x"), "sign-in", None),
        ("no session, public", None, at("/public/x"), "allow", None),
        (
            "no session, nearly public",
            None,
            at("/public/../x"),
            "sign-in",
            None,
        ),
        (
            "no session, preflight",
            None,
            preflight.clone(),
            "allow",
            None,
        ),
        (
            "admitted, tunnel",
            Some(staff()),
            Sent::new("CONNECT", "/x"),
            "method-not-allowed",
            None,
        ),
        (
            "no session, tunnel, public",
            None,
            Sent::new("CONNECT", "/public/x"),
            "method-not-allowed",
            None,
        ),
        (
            "no session, bare OPTIONS",
            None,
            half_a_preflight,
            "sign-in",
            None,
        ),
    ];
    for (case, session, request, verdict, user) in cases {
        let authentic = session.as_ref().map(authentic);
        let current = authentic
            .as_ref()
            .map(|a| a.current(NOW, 0).map_err(Unauthenticated::Window))
            .unwrap_or(Err(Unauthenticated::NoCookie));
        let decision = policy.decide(&request, current);
        assert_eq!(decision.verdict(), verdict, "{case}");
        if let Decision::Allow(permit) | Decision::Renew(permit) = decision {
            let name = permit
                .identity()
                .and_then(|c| c.preferred_username.as_deref());
            assert_eq!(name, user, "{case}");
        }
    }

    let strict = Policy {
        allow_preflight: false,
        ..policy
    };
    let decision = strict.decide(&preflight, Err(Unauthenticated::NoCookie));
    assert_eq!(format!("{decision:?}"), "SignIn(NoCookie)");
}

#[test]
fn a_session_without_a_device_is_refused_where_the_rule_asks_for_one() {
    let staff = || Require::any_group([String::from("staff")]);
    let none = || None;
    let with_device = |text| Require::from_text(text).expect("a rule");
    let device = || Some(Demand::from_text("all=deviceBound:true").expect("a demand"));
    let session = |groups: &[&str], bound| Claims {
        groups: groups.iter().copied().collect(),
        bound,
        ..claims("a@example.com")
    };
    let public = "/public/x";
    for (case, own, extra, claims, target, verdict, lacks_device) in [
        (
            "bound",
            with_device("any=group:staff&all=deviceBound:true"),
            none(),
            session(&["staff"], true),
            "/x",
            "allow",
            false,
        ),
        (
            "unbound",
            with_device("any=group:staff&all=deviceBound:true"),
            none(),
            session(&["staff"], false),
            "/x",
            "deny",
            true,
        ),
        (
            "unbound, by the proxy's rule",
            staff(),
            device(),
            session(&["staff"], false),
            "/x",
            "deny",
            true,
        ),
        (
            "unbound outsider",
            with_device("any=group:staff&all=deviceBound:true"),
            none(),
            session(&[], false),
            "/x",
            "deny",
            false,
        ),
        (
            "bound outsider",
            with_device("any=group:staff&all=deviceBound:true"),
            none(),
            session(&[], true),
            "/x",
            "deny",
            false,
        ),
        (
            "unbound, not asked",
            staff(),
            none(),
            session(&["staff"], false),
            "/x",
            "allow",
            false,
        ),
        (
            "unbound, public",
            with_device("any=group:staff&all=deviceBound:true"),
            none(),
            session(&["staff"], false),
            public,
            "allow",
            false,
        ),
    ] {
        let policy = Policy {
            rules: Rules::default(),
            public: PublicPaths::parse(["/public/*"]).expect("patterns"),
            require: own,
            ..Policy::default()
        };
        let authentic = authentic(&claims);
        let current = authentic.current(NOW, 0).map_err(Unauthenticated::Window);
        let request = Sent::new("GET", target);
        let decision = policy.decide_with(&request, current, extra.as_ref());
        assert_eq!(decision.verdict(), verdict, "{case}");
        match decision {
            Decision::Deny(denial) => assert_eq!(denial.lacks_device(), lacks_device, "{case}"),
            Decision::Allow(permit) if target == public => {
                assert!(permit.identity().is_none(), "{case}");
            }
            _ => {}
        }
    }
}

#[test]
fn api_keys_are_told_from_tokens_by_their_beginning() {
    let bearer = |token: &str| Sent::new("GET", "/").with("Authorization", token);
    let in_header = || Sent::new("GET", "/").with("X-Api-Key", "anything");
    for (case, machines, request, expected) in [
        (
            "a key",
            "apiKey",
            bearer("Bearer gp_x"),
            Some(Scheme::ApiKey),
        ),
        (
            "two blanks",
            "apiKey",
            bearer("bearer  gp_x"),
            Some(Scheme::ApiKey),
        ),
        ("a token", "apiKey", bearer("Bearer x"), None),
        ("a password", "apiKey", bearer("Basic gp_x"), None),
        ("its own scheme", "apiKey", bearer("apiKey gp_x"), None),
        (
            "no keys",
            "bearer",
            bearer("Bearer gp_x"),
            Some(Scheme::Bearer),
        ),
        ("a header", "apiKey", in_header(), Some(Scheme::ApiKey)),
    ] {
        let mut machines = AuthorizationSchemes::parse([machines]).expect("schemes");
        if machines.api_key {
            machines.accept_api_key_header(HeaderName::new("X-Api-Key").expect("a name"));
        }
        assert_eq!(machines.scheme_of(&request), expected, "{case}");
    }
    let none = AuthorizationSchemes::parse(["apiKey"]).expect("schemes");
    assert_eq!(none.scheme_of(&in_header()), None, "no header is named");
}

#[test]
fn allowed_credentials_count_where_there_is_no_session() {
    let policy = |machines: &[&str]| Policy {
        rules: Rules::default(),
        public: PublicPaths::parse(["/public/*"]).expect("patterns"),
        require: Require::any_group([String::from("staff")]),
        allow_preflight: true,
        machine_clients: AuthorizationSchemes::parse(machines.iter().copied()).expect("schemes"),
    };
    let at = |target: &str, credentials: &str| {
        Sent::new("GET", target).with("Authorization", credentials)
    };
    let staff = Claims {
        groups: ["staff"].into(),
        ..claims("a@example.com")
    };
    let outsider = claims("a@example.com");
    let cases = [
        ("allowed", None, at("/x", "Bearer a.b.c"), "defer"),
        ("lower case", None, at("/x", "bearer a.b.c"), "defer"),
        ("nothing after it", None, at("/x", "Bearer"), "defer"),
        ("another scheme", None, at("/x", "Basic YTpi"), "sign-in"),
        ("a longer word", None, at("/x", "Bearers a"), "sign-in"),
        ("none", None, Sent::new("GET", "/x"), "sign-in"),
        ("public", None, at("/public/x", "Bearer a"), "allow"),
        ("a session", Some(&staff), at("/x", "Bearer a"), "allow"),
        (
            "an outsider's",
            Some(&outsider),
            at("/x", "Bearer a"),
            "deny",
        ),
    ];
    for (case, session, request, verdict) in cases {
        let authentic = session.map(authentic);
        let current = || match &authentic {
            Some(session) => session.current(NOW, 0).map_err(Unauthenticated::Window),
            None => Err(Unauthenticated::NoCookie),
        };
        let accepting = policy(&["bearer"]);
        let decision = accepting.decide(&request, current());
        assert_eq!(decision.verdict(), verdict, "{case}");
        // Where no scheme is allowed, no credentials count.
        let verdict = verdict.replace("defer", "sign-in");
        let accepting = policy(&[]);
        let decision = accepting.decide(&request, current());
        assert_eq!(decision.verdict(), verdict, "{case}, without machines");
    }
}
