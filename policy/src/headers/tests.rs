use super::*;
use crate::decide::double::{claims, permit};
use crate::header_name::InvalidHeaderName;
use crate::public::PublicPaths;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

/// Returns the default preset with one more header.
fn settings(name: HeaderName, claim: &str) -> HeaderSettings {
    HeaderSettings {
        claims: vec![(name, claim.into())],
        ..HeaderSettings::of(Preset::Gatepost, "wiki")
    }
}

fn rules() -> HeaderRules {
    let department = HeaderName::new("x-department").expect("name");
    HeaderRules::new(settings(department, "department"))
}

fn value(claims: &Claims, header: &str) -> Option<String> {
    permit(claims, |permit| {
        rules()
            .render(permit)
            .find(|(name, _)| name.as_str() == header)
            .map(|(_, value)| value.into_owned())
    })
}

#[test]
fn every_spelling_of_our_names_is_ours() {
    let rules = rules();
    for separator in "!#$%&'*+.^_`|~-".chars() {
        let name = format!("x{separator}AUTH{separator}Username");
        assert!(rules.owns(name.as_bytes()), "{name}");
    }
    for name in [
        "X_Auth-Username",
        "x.auth~username",
        "X-DEPARTMENT",
        "x_gatepost.verdict",
        "X-Gatepost-Require",
        "x_Gatepost-assertion",
    ] {
        assert!(rules.owns(name.as_bytes()), "{name}");
    }
    for name in [
        "X-Auth-User",
        "X-Auth-Token",
        "X-Auth-Key",
        "XAuthUsername",
        "X-Auth-Username-2",
        "X-Forwarded-For",
        "X-Forwarded-Username-2",
        "X-Real-Ip",
        "Cf-Ray",
        // A network in front of Traefik sets these in every request.
        "Cf-Connecting-Ip",
        "True-Client-Ip",
        "Proxy-Connection",
        "Remote",
        "Cookie",
        "",
    ] {
        assert!(!rules.owns(name.as_bytes()), "{name}");
    }
}

#[test]
fn values_that_would_not_arrive_as_they_are_are_left_out() {
    for (name, expected) in [
        ("Jörg Müller", Some("Jörg Müller")),
        ("a\r\nX-Evil: 1", None),
        ("a\nb", None),
        ("a\0b", None),
        ("a\u{85}b", None),
        ("a\u{2028}b", None),
        (" a", None),
        ("a ", None),
        ("", None),
    ] {
        let person = Claims {
            preferred_username: Some(name.into()),
            ..claims("a@b.example")
        };
        assert_eq!(
            value(&person, "X-Auth-Username").as_deref(),
            expected,
            "{name:?}"
        );
    }
}

#[test]
fn no_group_reads_as_two() {
    let groups = ["staff", "a|admins", "ops, night", "x\ny"].map(String::from);
    let person = Claims {
        groups: groups.iter().collect(),
        ..claims("a@b.example")
    };
    assert_eq!(
        value(&person, "X-Auth-Groups").as_deref(),
        Some("staff|ops, night")
    );
}

#[test]
fn a_header_set_by_name_replaces_the_presets() {
    let name = HeaderName::new("x-auth-USERNAME").expect("name");
    let rules = HeaderRules::new(settings(name, "email"));
    permit(&claims("a@b.example"), |permit| {
        let found: Vec<_> = rules
            .render(permit)
            .filter(|(n, _)| n.as_str() == "X-Auth-Username")
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, "a@b.example");
    });
}

#[test]
fn connection_options_that_name_our_headers_go() {
    let rules = rules();
    let cleaned = |value: &str| {
        rules
            .cleaned_connection(value.as_bytes())
            .map(|v| String::from_utf8_lossy(&v).into())
    };
    let expected: &[(&str, Option<&str>)] = &[
        ("keep-alive", None),
        ("Upgrade, x-other", None),
        ("close, X-Auth-Username, X-Forwarded-User", Some("close")),
        ("x_auth_username,Upgrade", Some("Upgrade")),
        ("x-gatepost-verdict", Some("")),
    ];
    for (value, expected) in expected {
        assert_eq!(cleaned(value), expected.map(String::from), "{value}");
    }
}

#[test]
fn names_http_acts_on_cannot_carry_an_identity() {
    for name in [
        "Host",
        "cookie",
        "Connection",
        "X_User",
        "X User",
        "",
        "X-Gatepost-Verdict",
    ] {
        assert_eq!(HeaderName::new(name), Err(InvalidHeaderName), "{name}");
    }
}

/// Row A9: an application that was set up for another system trusts that system's headers.
#[test]
fn the_header_of_api_keys_is_withheld_from_applications() {
    let rules = HeaderRules::new(HeaderSettings {
        api_key: HeaderName::new("x-api-key").ok(),
        pass_through: HeaderName::new("x-api-key").into_iter().collect(),
        ..HeaderSettings::of(Preset::Gatepost, "wiki")
    });
    for (name, carries) in [
        ("x-api-key", true),
        ("X-API-Key", true),
        ("x_api_key", false),
        ("X.Api.Key", false),
    ] {
        assert!(rules.owns(name.as_bytes()), "{name}");
        assert_eq!(rules.carries_api_key(name.as_bytes()), carries, "{name}");
    }
    assert!(rules.withheld().any(|name| name == "X-Api-Key"));
    assert!(rules.names().all(|name| name.as_str() != "X-Api-Key"));
    assert!(!rules.carries_api_key(b"x-other"));
}

#[test]
fn a_client_names_no_user_by_other_systems_headers_with_any_preset() {
    for preset in [Preset::Gatepost, Preset::Authentik, Preset::None] {
        let rules = HeaderRules::new(HeaderSettings::of(preset, "wiki"));
        for name in other_systems::USUAL {
            assert!(rules.owns(name.as_bytes()), "{name} with {preset:?}");
        }
        for name in [
            "x_forwarded_access_token",
            "X-Auth-Request-Anything",
            "X.Auth.Request.User",
            "REMOTE_USER",
            "remote_Groups",
            "X-Remote-Extra-Scopes",
            "x-webauth-role",
            "X-Vouch-IdP-Claims-Name",
            "X_MS_CLIENT_PRINCIPAL",
            "X-MS-Client-Principal-Name",
            "OIDC_CLAIM_sub",
            "Cf_Access-Authenticated-User-Email",
            "Tailscale-User-Login",
        ] {
            assert!(rules.owns(name.as_bytes()), "{name} with {preset:?}");
        }
        let withheld: Vec<&str> = rules.withheld().collect();
        let set = rules.names().any(|name| withheld.contains(&name.as_str()));
        assert!(
            !set && withheld.contains(&"X-Auth-Request-User"),
            "{withheld:?}"
        );
    }
}

/// Row A9: a group with a comma would be read as two where commas separate groups.
#[test]
fn groups_go_out_in_the_form_of_oauth2_proxy_too() {
    let person = Claims {
        groups: ["staff", "ops, night", "a|b"].map(String::from).into(),
        ..claims("a@b.example")
    };
    assert_eq!(
        value(&person, "X-Forwarded-Groups").as_deref(),
        Some("staff,a|b")
    );
    assert_eq!(value(&claims("a@b.example"), "X-Forwarded-Groups"), None);
}

#[test]
fn a_header_that_passes_through_is_not_ours_unless_it_is_set() {
    let name = |text| HeaderName::new(text).expect("name");
    let rules = HeaderRules::new(HeaderSettings {
        pass_through: vec![name("cf-access-jwt-assertion"), name("x-department")],
        ..settings(name("x-department"), "department")
    });
    assert!(!rules.owns(b"Cf-Access-Jwt-Assertion"));
    // The proxy in front overwrites the one spelling.
    assert!(rules.owns(b"Cf.Access-Jwt_Assertion"));
    assert!(rules.owns(b"Cf-Access-Authenticated-User-Email"));
    assert!(rules.owns(b"X-Department"));
}

/// Row A9: an application that takes the path from a header serves another one than was decided on.
#[test]
fn a_client_says_no_other_path_and_no_other_method_where_rules_ask_for_methods() {
    let name = |text: &str| HeaderName::new(text).expect("name");
    let policy = |pattern| Policy {
        public: PublicPaths::parse([pattern]).expect("a pattern"),
        ..Policy::default()
    };
    let rules = |policy, keep: &[&str]| {
        HeaderRules::new(HeaderSettings {
            pass_through: keep.iter().copied().map(name).collect(),
            ..HeaderSettings::of(Preset::None, "wiki")
        })
        .guarding(policy, false)
    };
    let (any, one) = (policy("/hook"), policy("POST=/hook"));
    let preflights = Policy {
        allow_preflight: true,
        ..Policy::default()
    };
    let methods = [
        "X-HTTP-Method-Override",
        "x_http.method",
        "X-Method-Override",
    ];
    for policy in [&any, &one] {
        for name in [
            "X-Original-URL",
            "x_original.url",
            "X-Rewrite-Url",
            "SCRIPT_NAME",
            "X-Script-Name",
        ] {
            assert!(rules(policy, &[]).owns(name.as_bytes()), "{name}");
            let keep = [
                "x-original-url",
                "x-rewrite-url",
                "script-name",
                "x-script-name",
            ];
            let kept = rules(policy, &keep);
            let is_kept = keep.contains(&name.to_lowercase().as_str());
            assert_eq!(kept.owns(name.as_bytes()), !is_kept, "{name}");
        }
    }
    for name in methods {
        assert!(!rules(&any, &[]).owns(name.as_bytes()), "{name}");
        assert!(rules(&one, &[]).owns(name.as_bytes()), "{name}");
        assert!(rules(&preflights, &[]).owns(name.as_bytes()), "{name}");
        let kept = rules(&one, &["x-http-method", "x-method-override"]);
        let is_kept = name == "X-Method-Override";
        assert_eq!(kept.owns(name.as_bytes()), !is_kept, "{name}");
    }
    for name in ["X-Original-Method", "X-Original-Uri", "X-Http-Methods"] {
        assert!(!rules(&one, &[]).owns(name.as_bytes()), "{name}");
    }
    let withheld = |rules: &HeaderRules| -> Vec<String> {
        let names = rules.withheld().map(str::to_ascii_lowercase);
        names.filter(|name| name.contains("method")).collect()
    };
    assert_eq!(withheld(&rules(&any, &[])), [""; 0]);
    assert_eq!(withheld(&rules(&one, &[])).len(), 3);
    assert_eq!(withheld(&rules(&preflights, &[])).len(), 3);
}

/// Traefik's entry points remove `X-Forwarded-Prefix` and `X_Forwarded_Prefix` of clients, and its
/// `StripPrefix` sets the former; a server that reads `.` as `_` takes a client's third spelling for it.
#[test]
fn what_only_proxies_say_is_a_clients_in_every_spelling_but_theirs() {
    let kept = HeaderRules::new(HeaderSettings {
        pass_through: HeaderName::new("x-forwarded-prefix").into_iter().collect(),
        ..HeaderSettings::of(Preset::None, "wiki")
    });
    for rules in [
        HeaderRules::new(HeaderSettings::of(Preset::None, "wiki")),
        kept,
    ] {
        for name in ["Prefix", "Host", "Proto", "For", "Uri", "Anything-Else"] {
            let proxies = format!("X-Forwarded-{name}");
            assert!(!rules.owns(proxies.as_bytes()), "{proxies}");
            assert!(!rules.owns(proxies.to_lowercase().as_bytes()), "{proxies}");
            for sign in "!#$%&'*+.^_`|~".chars() {
                for own in [
                    format!("x{sign}forwarded-{name}"),
                    format!("X-Forwarded{sign}{name}"),
                    proxies.replace('-', &format!("{sign}")),
                ] {
                    assert!(rules.owns(own.as_bytes()), "{own}");
                }
            }
        }
        for sign in "!#$%&'*+.^_`|~".chars() {
            for own in [format!("X-Real{sign}Ip"), format!("x{sign}real-ip")] {
                assert!(rules.owns(own.as_bytes()), "{own}");
            }
        }
        for name in [
            "X-Real-Ip",
            "X.Real.Ips",
            "X-Forwarded",
            "x_forwarded",
            "X-Forward.ed-For",
            "Y_Forwarded_For",
        ] {
            assert!(!rules.owns(name.as_bytes()), "{name}");
        }
    }
}

/// A proxy that takes no pattern removes each name that is known.
#[test]
fn all_known_names_can_be_removed_one_by_one() {
    let name = |text| HeaderName::new(text).expect("name");
    let rules = HeaderRules::new(HeaderSettings {
        pass_through: vec![name("x-real-ip"), name("cf-access-jwt-assertion")],
        api_key: Some(name("x-wiki-key")),
        ..HeaderSettings::of(Preset::Gatepost, "wiki")
    });
    let removed: Vec<String> = rules.removed_by_name().collect();
    for name in [
        "X-Forwarded-Prefix",
        "Forwarded",
        "X-Auth-Roles",
        "X-Forwarded-Login",
        "X-Ms-Client-Principal-Name",
        "X-Gatepost-Verdict",
        "X-Script-Name",
        "X-Wiki-Key",
    ] {
        assert!(removed.iter().any(|own| own == name), "{name}: {removed:?}");
    }
    for name in ["X-Real-Ip", "Cf-Access-Jwt-Assertion", "X-Auth-Username"] {
        assert!(removed.iter().all(|own| own != name), "{name}: {removed:?}");
    }
    let mut once: Vec<String> = removed.iter().map(|name| name.to_lowercase()).collect();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), removed.len());
}

/// A header of a length that no other of ours has is ours as well.
#[test]
fn a_constant_header_is_ours_whatever_its_length() {
    let name = HeaderName::new("X-A-Name-Of-Quite-Another-Length-Than-All").expect("name");
    let rules = HeaderRules::new(HeaderSettings {
        constants: vec![(name.clone(), "1".into())],
        ..HeaderSettings::of(Preset::None, "wiki")
    });
    assert!(rules.owns(name.as_str().as_bytes()));
}

proptest! {
    #[test]
    fn a_value_fits_whichever_way_it_is_looked_at(value in "(\\PC|[ \t\r\n\u{0}|,\u{85}\u{2028}a-z]){0,8}") {
        for unwanted in [b'\0', GROUP_SEPARATOR, COMMA] {
            let by_characters = !value.is_empty() && fits_with_any_character(&value, unwanted);
            prop_assert_eq!(fits_without(&value, unwanted), by_characters);
        }
    }

    #[test]
    fn groups_are_joined_as_any_list_is(groups in prop::collection::vec("[a-z|, \n]{0,4}", 0..6)) {
        for separator in [GROUP_SEPARATOR, COMMA] {
            let own: Vec<&str> = groups
                .iter()
                .map(String::as_str)
                .filter(|group| fits_header(group) && !group.contains(char::from(separator)))
                .collect();
            let expected = own.join(core::str::from_utf8(&[separator]).expect("ASCII"));
            let expected = (!expected.is_empty()).then_some(expected);
            prop_assert_eq!(joined(&groups.iter().collect(), separator), expected);
        }
    }
}
