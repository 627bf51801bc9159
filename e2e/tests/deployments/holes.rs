//! Proxies that let a client's headers decide, and `gatepost check --url`, which says so.

use anyhow::Result;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::plugin::middlewares;
use crate::{checks, route};

/// Runs `gatepost check --url` on the application's page: returns its output, and whether it found
/// no problem.
fn checked(site: &Site) -> Result<(String, bool)> {
    let url = site.url("wiki", "/admin")?;
    site.gatepost(&["check", "--url", url.as_str()])
}

/// Returns the status of the application's page for a client that sends this header.
fn answered(site: &Site, name: &str, value: &str) -> Result<StatusCode> {
    let request = Client::new()?.bare(Method::GET, &site.url("wiki", "/admin")?);
    Ok(request.header(name, value).send()?.status())
}

/// Row A10: without `parentRefs`, as where an old CRD drops them, a verdict opens the application:
/// any client's where routers still match `allow`, else that of a client which knows the word.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_verdict_that_opens_the_application_without_the_plugin_is_found() -> Result<()> {
    let old = json!({
        "wiki-allowed": { "rule": "Header(`X-Gatepost-Verdict`, `allow`)" },
        "wiki-undecided": { "rule": "!Header(`X-Gatepost-Verdict`, `allow`)" },
    });
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    for (rules, expected) in [
        (old, "FAILED: a client that sends `X-Gatepost-Verdict`"),
        (json!({}), "FAILED: a client that knows the plugin's word"),
    ] {
        let mut changes = middlewares(&["gatepost"], &json!({ "public": checks::PUBLIC }));
        changes["http"]["routers"] = rules;
        changes["http"]["routers"]["wiki"] = json!(null);
        for child in ["wiki-allowed", "wiki-undecided"] {
            changes["http"]["routers"][child]["parentRefs"] = json!(null);
        }
        let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with("deploy/traefik/dynamic/route-single.yaml", &changes)?
            .start(&["wiki"])?;
        let opened = answered(&site, "X-Gatepost-Verdict", "allow")? == StatusCode::OK;
        let (said, well) = checked(&site)?;
        assert!(!well && said.contains(expected), "{said}");
        assert!(said.contains("parentRefs"), "{said}");
        assert_eq!(said.contains("a client that sends"), opened, "{said}");
    }
    Ok(())
}

/// Row A10: with them it does not, and the check reports nothing.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_verdict_that_the_plugin_sets_is_no_hole() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let settings = json!({ "public": checks::PUBLIC });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/route-single.yaml",
            &middlewares(&["gatepost"], &settings),
        )?
        .start(&["wiki"])?;
    let (said, well) = checked(&site)?;
    assert!(
        well && said.contains("no header of a client leads past"),
        "{said}"
    );
    Ok(())
}

/// Row A3: where a proxy believes what a client writes into `X-Forwarded-Uri`, and where it does
/// not.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_path_that_a_client_names_is_found() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    for believes in [true, false] {
        let changes = json!({ "http": { "middlewares": { "gatepost": { "forwardAuth": {
            "trustForwardHeader": believes,
        } } } } });
        let believing = json!({ "entryPoints": { "web": { "forwardedHeaders": {
            "insecure": believes,
        } } } });
        let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .configure(&believing)
            .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
            .start(&["wiki"])?;
        let opened = answered(&site, "X-Forwarded-Uri", "/public/x")? == StatusCode::OK;
        assert_eq!(opened, believes);
        let (said, well) = checked(&site)?;
        assert_eq!(well, !believes, "{said}");
        let wrong = "names a public path in `X-Forwarded-Uri` opens this one";
        assert_eq!(said.contains(wrong), believes, "{said}");
        assert_eq!(
            said.contains("trustForwardHeader: false"),
            believes,
            "{said}"
        );
    }
    Ok(())
}

/// Row A14: a plugin that admits users whom the outpost's rule refuses, with both fallbacks.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_plugin_whose_rule_is_wider_than_the_outposts_is_found() -> Result<()> {
    for (file, middleware) in [
        ("deploy/traefik/dynamic/plugin-single.yaml", "wiki-gatepost"),
        ("deploy/traefik/dynamic/route-single.yaml", "gatepost"),
    ] {
        let site = checks::site("deploy/outpost/single.yaml").start()?;
        for (require, expected) in [
            (json!(null), "`require` admits every user who is signed in"),
            (
                json!({ "groups": ["guests"] }),
                "`require` asks for `any=group:guests`",
            ),
            (json!({ "groups": ["admins"] }), ""),
        ] {
            let settings = json!({ "public": checks::PUBLIC, "require": require });
            let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
                .route_with(file, &middlewares(&[middleware], &settings))?
                .start(&["wiki"])?;
            let (said, well) = checked(&site)?;
            assert_eq!(well, expected.is_empty(), "{file}: {said}");
            assert!(said.contains(expected), "{file}: {said}");
        }
    }
    Ok(())
}

/// Row A14: a middleware from before the application had rules, and one with public paths of its own.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_plugin_with_other_rules_or_paths_than_the_outposts_is_found() -> Result<()> {
    let rules = json!([
        { "paths": ["/healthz"], "methods": ["GET"], "networks": ["10.0.0.0/8"], "public": true },
        { "name": "admins", "paths": ["/admin/*"], "require": { "groups": ["admins"] } },
    ]);
    let other = json!([rules[0], { "paths": ["/admin/*"], "signedIn": true }]);
    let require = json!({ "groups": ["staff", "admins"] });
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "public": checks::PUBLIC, "rules": rules, "require": require,
        }))
        .start()?;
    for (rules, public, expected) in [
        // Labels have a list as text.
        (json!(rules.to_string()), json!(checks::PUBLIC), ""),
        (
            json!(null),
            json!(checks::PUBLIC),
            "the plugin has no rule 1",
        ),
        (
            other,
            json!(checks::PUBLIC),
            "the plugin has another rule admins",
        ),
        (
            rules,
            json!(["/public/*", "/wide/*"]),
            "the plugin opens what is not open",
        ),
    ] {
        let settings = json!({ "public": public, "rules": rules, "require": require });
        let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with(
                "deploy/traefik/dynamic/plugin-single.yaml",
                &middlewares(&["wiki-gatepost"], &settings),
            )?
            .start(&["wiki"])?;
        let url = site.url("wiki", "/private")?;
        let (said, well) = site.gatepost(&["check", "--url", url.as_str()])?;
        let found = said.contains(expected);
        assert!(found && well == expected.is_empty(), "{said}");
    }
    Ok(())
}

/// A plugin of the long form that does not know the headers of the tokens lets a signed-in user pass with
/// what that user writes there.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_plugin_without_the_headers_for_tokens_is_found() -> Result<()> {
    let tokens = json!({ "accessToken": "Authorization", "idToken": "X-Id-Token" });
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "session": { "window": "1h", "renewAfter": "50m" } }))
        .applications(&json!({ "upstreamTokens": tokens }))
        .start()?;
    for (tokens, opens, expected) in [
        (tokens, false, ""),
        (
            json!({ "accessToken": "Authorization" }),
            false,
            "are `Authorization` at the plugin",
        ),
        (json!(null), true, "are none at the plugin"),
    ] {
        let settings = json!({ "public": checks::PUBLIC, "upstreamTokens": tokens });
        let handed_on = ["Authorization", "X-Id-Token"];
        let _traefik = route::handing_on(&site, &settings, &handed_on, &json!({}))?;
        let client = Client::new()?;
        let page = site.url("wiki", "/")?;
        client.sign_in(&page, &ALICE)?;
        let request = client.fetch(Method::GET, &page);
        let request = request.header("X-Id-Token", "of-another");
        assert_eq!(request.send()?.status(), StatusCode::OK);
        let seen = site.wiki();
        let arrived = seen.last().and_then(|seen| seen.header("x-id-token"));
        assert_eq!(arrived == Some("of-another"), opens, "{arrived:?}");
        let (said, well) = checked(&site)?;
        assert_eq!(well, expected.is_empty(), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    Ok(())
}
