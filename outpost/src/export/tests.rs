//! Tests: what Traefik removes by a pattern is what the plugin removes.

use gatepost_policy::{HeaderName, HeaderRules, HeaderSettings, Preset};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};

use super::traefik::dynamic_configuration;
use crate::config::Config;

/// Names of each system, and names that are nobody's, each in spellings that applications read alike
/// or not.
fn names() -> Vec<String> {
    let mut all = Vec::new();
    for name in [
        "X-Gatepost-Verdict",
        "X-Gatepost",
        "Remote-Foo",
        "Remote-User",
        "Remotes",
        "X-Webauth-Role",
        "X-Webauth-User",
        "X-Webauth-Use",
        "X-Webauth-Users",
        "X-Webauth-Used",
        "X-Webauth-Email",
        "X-Webauth-Email-2",
        "X-Webauth-",
        "X-Webauth",
        "X-Webauthn-Token",
        "X-Vouch-User",
        "X-Vouch-Idp-Claims-Groups",
        "X-Vouch-IdpXClaims-Groups",
        "X-Pomerium-Claim-Email",
        "X-Authentik-Entitlements",
        "X-Auth-Username",
        "X-Auth-Usernames",
        "X-Auth-Roles",
        "X-Auth-Token",
        "X-Forwarded-Login",
        "X-Forwarded-User",
        "X-Forwarded-For",
        "X-Forwarded-Prefix",
        "X-Forwarded.Prefix",
        "X-Forwarded-Pre.fix",
        "X-Forwarded-Host",
        "X-Forwarded-Ssl",
        "Forwarded",
        "X-Real-Ip",
        "X-Real-Ips",
        "Tailscale-User-Login",
        "Oidc-Claim-Sub",
        "X-Ms-Client-Principal",
        "X-Ms-Client-Principals",
        "X-Ms-Client-Principal-Id",
        "X-Original-URL",
        "X-Original-URI",
        "Script-Name",
        "X-Http-Method",
        "X-Http-Method-Override",
        "X-Department",
        "X-Wiki-Key",
        "X-Api-Key",
        "Authorization",
        "Cookie",
        "Accept",
        "Host",
    ] {
        all.extend([
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase().replace('-', "_"),
            name.replacen('-', ".", 1),
            name.replace('-', ""),
            format!("{name}s"),
        ]);
    }
    all
}

/// Compiles a pattern as Traefik does, to which `\W` is one of the ASCII characters.
fn compiled(pattern: &str) -> Regex {
    let mut builder = RegexBuilder::new(pattern);
    builder.unicode(false).build().expect("a pattern")
}

#[test]
fn the_pattern_has_what_these_rules_own_and_no_more() {
    let name = |name: &str| HeaderName::new(name).expect("a name");
    for preset in [Preset::Gatepost, Preset::Authentik, Preset::None] {
        for kept in [
            &[][..],
            &["X-Webauth-User"],
            &[
                "X-Webauth-User",
                "X-Webauth-Email",
                "X-Vouch-Idp-Claims-Groups",
            ],
            &["X-Webauth-User", "X-Webauth-Use", "X-Webauth-U-Ser"],
            &["X-Forwarded-User", "Script-Name", "X-Wiki-Key"],
            &["X-Forwarded-Prefix"],
            &["Forwarded", "X-Forwarded-Ssl"],
        ] {
            let rules = HeaderRules::new(HeaderSettings {
                claims: vec![
                    (name("X-Department"), "department".to_owned()),
                    (name("X-Vouch-User"), "email".to_owned()),
                ],
                pass_through: kept.iter().map(|kept| name(kept)).collect(),
                api_key: Some(name("X-Wiki-Key")),
                ..HeaderSettings::of(preset, "wiki")
            });
            let pattern = compiled(&rules.owned_pattern());
            for name in names() {
                let owned = rules.owns(name.as_bytes());
                let kept = kept.join(", ");
                assert_eq!(
                    pattern.is_match(name.as_bytes()),
                    owned,
                    "{name}, kept: {kept}: {pattern}"
                );
            }
        }
    }
}

/// Returns what Traefik gets of a configuration with a `traefik` section.
pub(super) fn served(config: &Config) -> Value {
    let settings = config.traefik.as_ref().expect("configured");
    let (applications, of_all) = (&config.applications, config.device_bound);
    let (brand, proxies) = (&config.brand, &config.trusted_proxies);
    dynamic_configuration(applications, settings, brand, of_all, proxies)
}

#[test]
fn traefik_removes_what_clients_may_not_say_wherever_it_asks_the_outpost() {
    let text = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
traefik: {outpostUrl: 'http://outpost:9000'}
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki
    public: ['POST=/hook']
    upstreamTokens: {idToken: X-Id-Token}
";
    let config = Config::parse(text, []).expect("right");
    let served = served(&config);
    let asks = &served["http"]["middlewares"]["gatepost-wiki"]["forwardAuth"];
    let pattern = asks["authResponseHeadersRegex"].as_str();
    let pattern = compiled(pattern.expect("a pattern"));
    for name in names().iter().map(String::as_str).chain(["X_Id_Token"]) {
        let owned = config.applications[0].headers.owns(name.as_bytes());
        assert_eq!(pattern.is_match(name.as_bytes()), owned, "{name}");
    }
    assert!(pattern.is_match(b"X-Http-Method-Override"), "{pattern}");
    // And no name of the list is one that the pattern leaves to the client, but for these.
    let named = asks["authResponseHeaders"].as_array().expect("names");
    for name in named.iter().filter_map(Value::as_str) {
        let is_shared = matches!(name, "Cookie" | "Authorization");
        assert!(is_shared || pattern.is_match(name.as_bytes()), "{name}");
    }
}

/// Traefik connects to a container's address, which is in no certificate.
#[test]
fn labels_for_an_https_upstream_name_a_transport_that_says_whose_certificate_it_is() {
    let text = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
traefik: {outpostUrl: 'http://outpost:9000'}
applications:
  - {name: wiki, externalUrl: https://wiki.example.com, upstream: 'https://wiki:8443'}
  - {name: chat, externalUrl: https://chat.example.com, upstream: 'http://chat'}
";
    let config = Config::parse(text, []).expect("right");
    let served = served(&config);
    let settings = config.traefik.as_ref().expect("configured");
    let labels = super::compose::services(settings, &served);
    let transport = "traefik.http.services.gatepost-wiki.loadbalancer.serverstransport";
    assert_eq!(
        labels["services"]["wiki"]["labels"][transport],
        "gatepost-wiki@file"
    );
    let of_chat = labels["services"]["chat"]["labels"].to_string();
    assert!(!of_chat.contains("serverstransport"), "{of_chat}");
    let transports =
        json!({"http": {"serversTransports": {"gatepost-wiki": {"serverName": "wiki"}}}});
    assert_eq!(super::compose::transports(&served), Some(transports));
}
