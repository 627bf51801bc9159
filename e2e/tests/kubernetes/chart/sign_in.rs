//! The chart's routes and configuration at work: real Traefik reads them from the real API, and a user
//! signs in.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{configuration, rendered};
use crate::served::{FORWARD_AUTH, PLUGIN, Running, gateway, serve_with};
use crate::{Test, checks};

/// One way to install it: how Traefik is configured, with which further provider, and the values.
struct Way {
    config: &'static str,
    further: &'static [&'static str],
    values: fn() -> Value,
}

const PLUGIN_BY_INGRESS_ROUTE: Way = Way {
    config: PLUGIN,
    further: &[],
    values: || json!({}),
};

const PLUGIN_BY_HTTP_ROUTE: Way = Way {
    config: PLUGIN,
    further: &["kubernetesGateway"],
    values: || http_route("plugin"),
};

const FORWARD_AUTH_BY_INGRESS_ROUTE: Way = Way {
    config: FORWARD_AUTH,
    further: &[],
    values: || json!({ "mode": "forwardAuth" }),
};

const FORWARD_AUTH_BY_HTTP_ROUTE: Way = Way {
    config: FORWARD_AUTH,
    further: &["kubernetesGateway"],
    values: || http_route("forwardAuth"),
};

fn http_route(mode: &str) -> Value {
    json!({
        "mode": mode,
        "routes": "httpRoute",
        "parentRefs": [{ "name": "web", "namespace": "traefik" }],
    })
}

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "chart::sign_in::plugin_and_ingress_route",
        run: |cluster| single(cluster, &PLUGIN_BY_INGRESS_ROUTE),
    },
    Test {
        name: "chart::sign_in::plugin_and_http_route",
        run: |cluster| single(cluster, &PLUGIN_BY_HTTP_ROUTE),
    },
    Test {
        name: "chart::sign_in::forward_auth_and_http_route",
        run: |cluster| single(cluster, &FORWARD_AUTH_BY_HTTP_ROUTE),
    },
    Test {
        name: "chart::sign_in::domain_by_plugin_and_ingress_route",
        run: |cluster| domain(cluster, &PLUGIN_BY_INGRESS_ROUTE),
    },
    Test {
        name: "chart::sign_in::domain_by_plugin_and_http_route",
        run: |cluster| domain(cluster, &PLUGIN_BY_HTTP_ROUTE),
    },
    Test {
        name: "chart::sign_in::domain_by_forward_auth_and_ingress_route",
        run: |cluster| domain(cluster, &FORWARD_AUTH_BY_INGRESS_ROUTE),
    },
    Test {
        name: "chart::sign_in::over_tls_by_plugin",
        run: |cluster| over_tls(cluster, &PLUGIN_BY_INGRESS_ROUTE),
    },
    Test {
        name: "chart::sign_in::over_tls_by_forward_auth",
        run: |cluster| over_tls(cluster, &FORWARD_AUTH_BY_INGRESS_ROUTE),
    },
    Test {
        name: "chart::sign_in::only_the_proxy_asks_under_a_prefix_of_two_segments",
        run: only_the_proxy_asks,
    },
    Test {
        name: "chart::sign_in::no_client_names_the_user_by_forward_auth",
        run: no_client_names_the_user,
    },
];

fn single(cluster: &Cluster, way: &Way) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _running = installed(cluster, &site, way)?;
    checks::single(&site)
}

fn domain(cluster: &Cluster, way: &Way) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _running = installed(cluster, &site, way)?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)
}

/// With the entry point and the `tls` that the chart has by default: browsers take the cookie `__Host-…`
/// over TLS alone.
fn over_tls(cluster: &Cluster, way: &Way) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .at_its_addresses(
            &json!({ "externalUrl": "https://wiki.example.localhost:8080" }),
            &json!({}),
        )
        .start()?;
    let mut values = (way.values)();
    // As a change to the tests' values: the chart's own.
    values["entryPoints"] = json!(["websecure"]);
    values["tls"] = json!({});
    let ports = site.ports();
    let traefik = json!({ "entryPoints": {
        "web": { "address": format!("127.0.0.1:{}", ports.extra) },
        "websecure": { "address": format!("127.0.0.1:{}", ports.web) },
    } });
    let _running = installed_with(cluster, &site, way, &values, &traefik, &[])?;
    let mut page = site.url("wiki", "/")?;
    ensure!(page.set_scheme("https").is_ok(), "{page}");
    let client = Client::new()?;
    let status =
        |page: &Url| -> Result<StatusCode> { Ok(client.fetch(Method::GET, page).send()?.status()) };
    until("the route over TLS", checks::RENEWAL, || {
        let open = status(&page).is_ok_and(|status| status == StatusCode::UNAUTHORIZED);
        Ok(open.then_some(()))
    })?;
    let journey = client.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    assert_eq!(seen.header("cookie").unwrap_or_default(), "");
    let cookie = || client.cookie(&page, "__Host-gatepost");
    let first = cookie().context("a session")?;
    if way.config == FORWARD_AUTH {
        // The names of the cookie and of its parts are in the Middleware.
        until("a fresh cookie", checks::RENEWAL, || {
            assert_eq!(status(&page)?, StatusCode::OK);
            Ok((cookie().as_ref() != Some(&first)).then_some(()))
        })?;
    }
    assert_eq!(status(&page)?, StatusCode::OK);
    Ok(())
}

/// Row 61, where the outpost has a host of its own: Traefik routes no client to the addresses at which
/// proxies ask. Each such path has the outpost's page that says that there is nothing.
fn only_the_proxy_asks(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .applications(&json!({ "outpostPrefix": "/sso/v2" }))
        .start()?;
    let _running = installed(cluster, &site, &PLUGIN_BY_INGRESS_ROUTE)?;
    let url = site.url("auth", "/")?;
    let asked = |path: &str| {
        let mut connection = RawConnection::connect(site.ports().web)?;
        connection.request(
            &format!("GET {path}"),
            &[("Host", url.authority()), ("Connection", "close")],
        )?;
        connection.head()
    };
    for path in [
        "/",
        "/sso/v2/start",
        "/sso/v2/session",
        "/sso/v2/callback/main",
    ] {
        // Traefik's own 404 has no such id.
        let answer = asked(path)?;
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    // To a proxy without a session it says 401 or 302.
    for prefix in ["/sso/v2", "/akprox", "/outpost.goauthentik.io"] {
        for path in [
            "auth/traefik",
            "auth/caddy",
            "auth/nginx",
            "auth/envoy",
            "auth/envoy/x",
            "auth?nginx",
            "auth?traefik",
            "x/../auth/envoy/x",
            "/auth/envoy/x",
            "%61uth/envoy/x",
        ] {
            let path = format!("{prefix}/{path}");
            assert_eq!(asked(&path)?.status, 404, "{path}");
        }
    }
    let client = Client::new()?;
    let journey = client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// Row A9, where the application receives none of the usual headers: then Traefik has to remove them all
/// the same, in any spelling, except what `keep` names. Its static configuration is not the one that
/// removes other spellings.
fn no_client_names_the_user(cluster: &Cluster) -> Result<()> {
    let headers = json!({
        "preset": "none",
        "set": { "X-Wiki-User": "preferred_username" },
        "keep": ["X-Vouch-User", "X-Webauth-User"],
    });
    let site = checks::site("deploy/outpost/single.yaml")
        // Renewals are not the subject.
        .outpost(&json!({ "session": { "renewAfter": "40m" } }))
        .applications(&json!({
            "headers": headers,
            "public": ["/public/*", "POST=/hook"],
        }))
        .start()?;
    let way = Way {
        config: PLUGIN,
        ..FORWARD_AUTH_BY_INGRESS_ROUTE
    };
    let _running = installed(cluster, &site, &way)?;
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let refused = [
        "X-Wiki-User",
        "X_Wiki_User",
        "X.Wiki-User",
        "X-Auth-Username",
        "x_auth_groups",
        "X-Forwarded-User",
        "X_Forwarded_Email",
        "X-Forwarded-Login",
        "Remote-User",
        "Remote_Groups",
        // Of a family of which one is kept.
        "X-Webauth-Email",
        "X-Webauth-Use",
        "X-Webauth-Users",
        "X-Webauth-Role",
        "X_WEBAUTH_GROUPS",
        "X-Vouch-Idp-Claims-Groups",
        "X-Authentik-Username",
        "X-Pomerium-Claim-Email",
        "X-Gatepost-Verdict",
        "X-Original-URL",
        "X_Rewrite_URL",
        "SCRIPT_NAME",
        "X-Script-Name",
        // `public` has a pattern for one method.
        "X-HTTP-Method-Override",
    ];
    let kept = ["X-Vouch-User", "X-Webauth-User"];
    let names = [&refused[..], &kept].concat();
    for path in ["/", "/public/logo"] {
        let said = checks::headers_that_reach_the_app(&site, &client, path, &names)?;
        assert_eq!(said, ["x-vouch-user", "x-webauth-user"], "{path}");
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        assert_eq!(seen.header("x-wiki-user"), Some("alice"), "{path}");
    }
    Ok(())
}

/// Runs the outpost of this site with the chart's ConfigMap, and Traefik with the chart's routes.
fn installed<'c>(cluster: &'c Cluster, site: &Site, way: &Way) -> Result<Running<'c>> {
    installed_with(cluster, site, way, &(way.values)(), &json!({}), &["wiki"])
}

/// The same with these values of `traefik`, and these changes to Traefik's own configuration; until these
/// hosts are protected.
fn installed_with<'c>(
    cluster: &'c Cluster,
    site: &Site,
    way: &Way,
    traefik: &Value,
    changes: &Value,
    hosts: &[&str],
) -> Result<Running<'c>> {
    let file = site.folder().join("values.json");
    fs::write(&file, values(site, traefik)?.to_string())?;
    let objects = rendered(cluster, &file.to_string_lossy(), &[])?;
    let rendered = configuration(&objects)?;
    site.change_outpost(|config| {
        // What is of this machine: paths, and where it listens.
        for (key, value) in rendered.as_object().context("keys")? {
            if !["listen", "store", "keysFile", "log"].contains(&key.as_str()) {
                config[key] = value.clone();
            }
        }
        Ok(())
    })?;
    let mut routes: Vec<Value> = objects
        .into_iter()
        .filter(|it| {
            let kind = it["kind"].as_str().unwrap_or_default();
            ["Middleware", "IngressRoute", "HTTPRoute", "Service"].contains(&kind)
        })
        .collect();
    assert!(routes.len() >= 4, "{routes:?}");
    if !way.further.is_empty() {
        routes.extend(gateway()?);
    }
    serve_with(
        cluster,
        site,
        (way.config, changes),
        way.further,
        routes,
        hosts,
    )
}

/// Values of the chart with the configuration of this site.
fn values(site: &Site, traefik: &Value) -> Result<Value> {
    let text = fs::read_to_string(site.folder().join("gatepost.yaml"))?;
    let mut own: Value = serde_json::from_str(&text)?;
    let secret = site.folder().join("client-secret");
    for provider in own["providers"].as_array_mut().context("providers")? {
        let provider = provider.as_object_mut().context("a provider")?;
        if let Some(Value::String(text)) = provider.remove("clientSecret") {
            fs::write(&secret, text)?;
            provider.insert("clientSecretFile".into(), json!(secret));
        }
    }
    let host = |name: &str| -> Result<String> {
        let url = site.url(name, "/")?;
        Ok(url.host_str().context("a host")?.to_owned())
    };
    let mut settings = json!({
        "enabled": true,
        "entryPoints": ["web"],
        "tls": null,
        "services": match own["applications"][0]["mode"].as_str() {
            Some("domain") => json!({ "intranet": { "namespace": "default", "hosts": {
                host("wiki")?: { "name": "wiki", "port": 80 },
                host("files")?: { "name": "files", "port": 80 },
            } } }),
            _ => json!({ "wiki": { "namespace": "default", "name": "wiki", "port": 80 } }),
        },
    });
    for (key, value) in traefik.as_object().context("settings")? {
        settings[key] = value.clone();
    }
    Ok(json!({
        "fullnameOverride": "gatepost",
        "keys": { "existingSecret": "gatepost-keys" },
        "store": { "kind": "memory" },
        "replicas": 1,
        "traefik": settings,
        "config": {
            "session": own["session"],
            "trustedProxies": own["trustedProxies"],
            "providers": own["providers"],
            "applications": own["applications"],
        },
    }))
}
