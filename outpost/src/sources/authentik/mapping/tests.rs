use gatepost_signing::CrossSite;

use super::super::configured::configured;
use super::*;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let basic = [
        ("AUTHENTIK_HOST", "http://authentik-server:9000"),
        ("AUTHENTIK_TOKEN", "t0ken"),
    ];
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Settings::read(basic.iter().chain(pairs).map(owned))
        .expect("right")
        .expect("authentik's")
}

/// Returns a provider as the API describes it, with changes.
fn provider(changes: Value) -> Value {
    let mut provider = json!({
        "pk": 7,
        "name": "Wiki",
        "external_host": "https://wiki.company",
        "client_id": "id-of-wiki",
        "client_secret": "secret-of-wiki",
        "cookie_secret": "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
        "mode": "forward_single",
        "cookie_domain": "",
        "scopes_to_request": ["profile", "openid", "ak_proxy", "email"],
        "access_token_validity": 3600.0,
        "assigned_application_slug": "wiki",
        "assigned_application_name": "The wiki",
        "oidc_configuration": {
            "issuer": "http://authentik-server:9000/application/o/wiki/",
            "authorization_endpoint": "http://authentik-server:9000/application/o/authorize/",
            "token_endpoint": "http://authentik-server:9000/application/o/token/",
            "userinfo_endpoint": "http://authentik-server:9000/application/o/userinfo/",
            "end_session_endpoint":
                "http://authentik-server:9000/application/o/wiki/end-session/",
            "jwks_uri": "http://authentik-server:9000/application/o/wiki/jwks/",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256"],
        },
        "a field that is not known": [],
    });
    let (Value::Object(all), Value::Object(changes)) = (&mut provider, changes) else {
        panic!("objects");
    };
    all.extend(changes);
    provider
}

fn map_all(providers: Vec<Value>, environment: &[(&str, &str)]) -> Mapped {
    let snapshot = Snapshot {
        outpost: json!({"pk": "x", "name": "our outpost", "config": {}}),
        providers,
        absent: Vec::new(),
    };
    map(&snapshot, &settings(environment))
}

/// `session.sameSite` is none of authentik's settings, and holds for all of its applications.
#[test]
fn cookies_are_for_frames_where_the_environment_says_so() {
    let read = |host: &str, environment: &[(&str, &str)]| {
        let snapshot = Snapshot {
            outpost: json!({"pk": "x", "name": "our outpost", "config": {}}),
            providers: vec![provider(json!({"external_host": host}))],
            absent: Vec::new(),
        };
        let (config, _) = configured(&settings(environment), &snapshot)?;
        let mut all = config.applications.iter().map(|own| own.cross_site);
        Ok::<_, crate::config::ConfigError>(all.next())
    };
    let none = ("GATEPOST_SESSION_SAME_SITE", "none");
    let partitioned = ("GATEPOST_SESSION_PARTITIONED", "true");
    let bound = ("GATEPOST_SESSION_DEVICE_BOUND", "prefer");
    for (environment, wiki) in [
        (&[][..], CrossSite::Withheld),
        (&[none], CrossSite::Sent),
        (&[none, partitioned], CrossSite::Partitioned),
        (&[none, bound], CrossSite::Sent),
    ] {
        let found = read("https://wiki.company", environment).expect("right");
        assert_eq!(found, Some(wiki), "{environment:?}");
        let plain = read("http://wiki.company", environment).expect("right");
        assert_eq!(plain, Some(CrossSite::Withheld), "{environment:?}");
    }
    for (environment, problem) in [
        (&[partitioned][..], "partitioned: needs `sameSite: none`"),
        (
            &[none, partitioned, bound],
            "session.partitioned: needs `deviceBound: off`",
        ),
    ] {
        let error = read("https://wiki.company", environment).expect_err("wrong");
        let error = error.to_string();
        assert!(error.contains(problem), "{error}");
    }
}

fn endpoint(client: &ProviderSettings, key: &str) -> String {
    let fixed = client.static_provider.as_ref().expect("static");
    fixed.document[key].as_str().expect("a URL").to_owned()
}

#[test]
fn a_single_application_is_what_authentik_says() {
    let mapped = map_all(vec![provider(json!({}))], &[]);
    assert_eq!(mapped.problems, [""; 0]);
    let [application] = &mapped.applications[..] else {
        panic!("one application")
    };
    let [client] = &mapped.providers[..] else {
        panic!("one provider")
    };
    assert_eq!(application.audience.as_str(), "wiki");
    assert_eq!(application.mode, Mode::Single);
    assert_eq!(application.prefix.as_str(), "/outpost.goauthentik.io");
    assert_eq!(application.cookie_name.as_str(), "__Host-gatepost");
    let own = &application.capabilities;
    assert_eq!(own.lifetime, Some(3601));
    let machines = application
        .machine_clients
        .as_ref()
        .expect("always checked");
    assert!(application.policy.machine_clients.bearer && application.policy.machine_clients.basic);
    assert!(machines.tokens.introspect);
    let changed = map_all(vec![provider(json!({"intercept_header_auth": false}))], &[]);
    let [without] = &changed.applications[..] else {
        panic!("one application")
    };
    for (application, expected) in [
        (application, InvalidCredentials::SignInOnPageLoad),
        (without, InvalidCredentials::Ignore),
    ] {
        let clients = application
            .machine_clients
            .as_ref()
            .expect("always checked");
        assert_eq!(clients.invalid_credentials, expected);
        assert!(application.policy.machine_clients.any());
    }
    assert_eq!(client.client_id.as_str(), "id-of-wiki");
    let scopes: Vec<&str> = client.scopes.iter().map(|scope| scope.as_str()).collect();
    assert_eq!(scopes, ["ak_proxy", "email", "profile"]);
}

fn own_keys(mapped: &Mapped) -> &OwnKeys {
    let capabilities = &mapped.applications[0].capabilities;
    capabilities.keys.as_ref().expect("keys of its own")
}

#[test]
fn the_cookie_secret_is_the_key() {
    let mapped = map_all(vec![provider(json!({}))], &[]);
    let own = own_keys(&mapped);
    let entry = own.entry.expose();
    let (id, key) = entry.split_once(':').expect("kid:base64");
    assert_eq!(
        STANDARD.decode(key).expect("base64"),
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    );
    assert!(id.starts_with("ak-") && id.len() == 11, "{id}");
    let other = map_all(
        vec![provider(
            json!({"cookie_secret": "ABCDEFGHIJKLMNOPQRSTUVWXYZ012346"}),
        )],
        &[],
    );
    let other = own_keys(&other);
    assert!(
        !other.entry.expose().starts_with(id),
        "a new secret has a new key id"
    );
    assert!(!format!("{mapped:?}").contains("ABCDEFGHIJKLMNOP"));
}

#[test]
fn browsers_go_to_the_public_address_and_the_outpost_to_the_internal_one() {
    let browser = [("AUTHENTIK_HOST_BROWSER", "https://authentik.company")];
    let mapped = map_all(vec![provider(json!({}))], &browser);
    let client = &mapped.providers[0];
    assert_eq!(
        client.issuer.as_str(),
        "https://authentik.company/application/o/wiki/"
    );
    for (key, expected) in [
        ("issuer", "https://authentik.company/application/o/wiki/"),
        (
            "authorization_endpoint",
            "https://authentik.company/application/o/authorize/",
        ),
        (
            "end_session_endpoint",
            "https://authentik.company/application/o/wiki/end-session/",
        ),
        (
            "token_endpoint",
            "http://authentik-server:9000/application/o/token/",
        ),
        (
            "userinfo_endpoint",
            "http://authentik-server:9000/application/o/userinfo/",
        ),
        (
            "jwks_uri",
            "http://authentik-server:9000/application/o/wiki/jwks/",
        ),
    ] {
        assert_eq!(endpoint(client, key), expected, "{key}");
    }
    let plain = map_all(vec![provider(json!({}))], &[]);
    let issuer = plain.providers[0].issuer.as_str();
    assert_eq!(issuer, "http://authentik-server:9000/application/o/wiki/");
    assert!(
        plain.providers[0]
            .static_provider
            .as_ref()
            .expect("static")
            .asked_as
            .is_none()
    );
}

#[test]
fn a_domain_has_its_cookie_domain_with_or_without_a_dot() {
    for cookie_domain in ["company.com", ".company.com"] {
        let mapped = map_all(
            vec![provider(json!({
                "mode": "forward_domain",
                "external_host": "https://auth.company.com/",
                "cookie_domain": cookie_domain,
            }))],
            &[],
        );
        assert_eq!(mapped.problems, [""; 0], "{cookie_domain}");
        let mode = &mapped.applications[0].mode;
        assert!(
            matches!(mode, Mode::Domain(domain) if domain.as_str() == "company.com"),
            "{mode:?}"
        );
    }
}

#[test]
fn what_cannot_be_used_is_left_out_and_named() {
    let secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    for (changes, expected) in [
        (json!({"external_host": "wiki"}), "external_host"),
        (json!({"cookie_secret": "short"}), "cookie_secret"),
        (json!({"cookie_secret": null}), "cookie_secret"),
        (json!({"client_id": null}), "client_id"),
        (json!({"mode": "forward_domain"}), "cookie_domain"),
        (
            json!({"mode": "forward_domain", "cookie_domain": "other.com"}),
            "cookie_domain",
        ),
        (json!({"mode": "sideways"}), "not as the API describes it"),
        (
            json!({"oidc_configuration": {}}),
            "oidc_configuration.issuer",
        ),
    ] {
        let bad = provider(changes);
        let good = provider(json!({
            "external_host": "https://other.company",
            "assigned_application_slug": "other",
        }));
        let mapped = map_all(vec![bad, good], &[]);
        let names: Vec<&str> = mapped
            .applications
            .iter()
            .map(|application| application.audience.as_str())
            .collect();
        assert_eq!(names, ["other"], "{expected}");
        let problem = mapped.problems.join("\n");
        assert!(
            problem.starts_with("provider `Wiki`: ") && problem.contains(expected),
            "{expected}: {problem}"
        );
        assert!(
            !problem.contains(secret) && !problem.contains("secret-of-wiki"),
            "{problem}"
        );
    }
    let twice = map_all(vec![provider(json!({})), provider(json!({"pk": 8}))], &[]);
    assert_eq!(twice.applications.len(), 1);
    assert_eq!(
        twice.problems,
        ["provider `Wiki`: `wiki` has a provider already: left out"]
    );
}

/// Row A4: each keeps its names, whatever is wrong with it.
#[test]
fn an_unserved_provider_keeps_its_host_and_its_domain() {
    let domain = json!({"mode": "forward_domain", "external_host": "https://auth.a.company",
        "cookie_domain": ".A.company", "cookie_secret": "short"});
    let broken = |changes: Value| {
        let mut provider = provider(changes);
        provider["cookie_secret"] = json!(null);
        provider
    };
    for (case, value, host, kept_domain) in [
        (
            "a bad secret",
            provider(json!({"cookie_secret": "short"})),
            Some(("wiki.company", 443)),
            None,
        ),
        (
            "no client",
            provider(json!({"client_id": ""})),
            Some(("wiki.company", 443)),
            None,
        ),
        (
            "no issuer",
            provider(json!({"oidc_configuration": {}})),
            Some(("wiki.company", 443)),
            None,
        ),
        (
            "a domain",
            provider(domain),
            Some(("auth.a.company", 443)),
            Some("a.company"),
        ),
        (
            "a domain that it is not in",
            provider(json!({"mode": "forward_domain", "cookie_domain": "other.com"})),
            Some(("wiki.company", 443)),
            Some("other.com"),
        ),
        (
            "a domain without a name",
            provider(json!({"mode": "forward_domain"})),
            Some(("wiki.company", 443)),
            Some("wiki.company"),
        ),
        (
            "a mode that is not known",
            provider(json!({"mode": "sideways", "cookie_domain": "company"})),
            Some(("wiki.company", 443)),
            Some("company"),
        ),
        (
            "no number",
            provider(json!({"pk": "x"})),
            Some(("wiki.company", 443)),
            None,
        ),
        (
            "a port, capitals and a dot",
            broken(json!({"external_host": "http://WIKI.company.:8080/x"})),
            Some(("wiki.company", 8080)),
            None,
        ),
        (
            "no scheme",
            broken(json!({"external_host": "wiki.company:81"})),
            Some(("wiki.company", 81)),
            None,
        ),
        (
            "another scheme",
            broken(json!({"external_host": "ftp://Wiki.company"})),
            Some(("wiki.company", 443)),
            None,
        ),
        ("no text", broken(json!({"external_host": 1})), None, None),
    ] {
        let mapped = map_all(vec![value], &[]);
        assert!(mapped.applications.is_empty(), "{case}");
        let [unserved] = &mapped.unserved[..] else {
            panic!("{case}: {:?}", mapped.unserved);
        };
        let expected = host.map(|(host, port)| (host.to_owned(), Some(port)));
        assert_eq!(unserved.host, expected, "{case}");
        assert_eq!(unserved.domain.as_deref(), kept_domain, "{case}");
        let names_it = mapped
            .problems
            .iter()
            .any(|problem| problem.contains("its host is not known"));
        assert_eq!(names_it, host.is_none(), "{case}: {:?}", mapped.problems);
    }
}

/// Rows A1, A4: two on one host name, which differ in the port alone.
#[test]
fn two_ports_of_one_host_are_a_clash() {
    let second = provider(json!({
        "pk": 8, "name": "Board", "assigned_application_slug": "board",
        "external_host": "https://wiki.company:8443",
    }));
    let mapped = map_all(vec![provider(json!({})), second], &[]);
    let expected = Some(("wiki.company".to_owned(), Some(8443)));
    assert_eq!(
        mapped
            .unserved
            .first()
            .map(|unserved| unserved.host.clone()),
        Some(expected)
    );
    assert!(
        mapped.problems[0].contains("a port does not distinguish them"),
        "{:?}",
        mapped.problems
    );
}

#[test]
fn a_provider_that_is_no_longer_listed_keeps_its_host() {
    let snapshot = |keys: Value, providers: Vec<Value>| Snapshot {
        outpost: json!({"pk": "x", "providers": keys}),
        providers,
        absent: Vec::new(),
    };
    let other = provider(json!({"pk": 8, "name": "Other"}));
    let before = snapshot(json!([7, 8]), vec![provider(json!({})), other.clone()]);
    // It has lost its application: the outpost still has it.
    let gone = snapshot(json!([7, 8]), vec![other.clone()]).after(&before);
    let mapped = map(&gone, &settings(&[]));
    assert_eq!(mapped.unserved[0].name, "Wiki");
    assert!(
        mapped.problems[0].contains("give it an application"),
        "{:?}",
        mapped.problems
    );
    // Asked again, nothing has changed.
    let again = snapshot(json!([7, 8]), vec![other.clone()]).after(&gone);
    assert_eq!(again, gone);
    // It is another outpost's now, or there again.
    assert!(
        snapshot(json!([8]), vec![other.clone()])
            .after(&gone)
            .absent
            .is_empty()
    );
    let back = snapshot(json!([7, 8]), vec![provider(json!({})), other]).after(&gone);
    assert!(back.absent.is_empty());
}

/// The shapes of a real server's answers, with made-up values.
#[test]
fn what_a_real_authentik_answers_is_an_application() {
    let result = |page: &str| {
        let page: Value = serde_json::from_str(page).expect("JSON");
        page["results"][0].clone()
    };
    let snapshot = Snapshot {
        outpost: result(include_str!(
            "../../../../../testdata/authentik/recorded/instances.json"
        )),
        providers: vec![result(include_str!(
            "../../../../../testdata/authentik/recorded/proxy.json"
        ))],
        absent: Vec::new(),
    };
    let mapped = map(&snapshot, &settings(&[]));
    assert_eq!(mapped.problems, [""; 0]);
    let [application] = &mapped.applications[..] else {
        panic!("one application")
    };
    assert_eq!(application.audience.as_str(), "handbook");
    assert_eq!(application.capabilities.lifetime, Some(86_401));
    assert_eq!(snapshot.refresh_interval().as_secs(), 300);
}
