//! The routes that are exported: to a Service with a private certificate, to Services of several
//! namespaces, and those of an application that is gone.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::doubles::kube_api::app_service;
use gatepost_e2e::proxies::Nginx;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, until, write_certificates};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{exported, in_cluster};
use crate::served::{PLUGIN, objects_of, serve, serve_with};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "exported::routes::a_private_authority_signs_one_of_two_upstreams",
        run: private_authority,
    },
    Test {
        name: "exported::routes::a_domain_has_services_of_two_namespaces_beside_tokens",
        run: two_namespaces,
    },
    Test {
        name: "exported::routes::an_application_that_is_gone_has_no_route",
        run: gone,
    },
];

/// For Traefik to see a change of the cluster.
const SEEN: Duration = Duration::from_secs(60);

/// The application `files` beside `wiki`.
fn files() -> Value {
    json!({
        "name": "files",
        "externalUrl": "http://files.example.com",
        "provider": "main",
        "require": { "groups": ["staff"] },
    })
}

/// The site's configuration in a cluster, with this upstream for `wiki` and a plain one for `files`.
fn with_files(site: &Site, wiki: &str) -> Result<Value> {
    in_cluster(site, &json!({}), |config| {
        config["applications"][0]["upstream"] = json!(wiki);
        config["applications"][1]["upstream"] = json!("http://files.default.svc");
    })
}

/// A client with a session at both hosts.
fn signed_in(site: &Site) -> Result<Client> {
    let client = Client::new()?;
    client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    // The provider knows the user by now.
    client.open(&site.url("files", "/")?)?;
    Ok(client)
}

fn status(site: &Site, client: &Client, host: &str) -> Result<StatusCode> {
    let request = client.fetch(Method::GET, &site.url(host, "/page")?);
    Ok(request.send()?.status())
}

/// Runs a command of those that the export printed.
fn printed_command(cluster: &Cluster, said: &str, verb: &str, ca: &str) -> Result<()> {
    let mut commands = said.split("kubectl ").skip(1);
    let command = commands.find(|it| it.contains(verb));
    let command = command.with_context(|| format!("no {verb} in {said}"))?;
    let command = command.lines().next().unwrap_or_default();
    let command = command.split('`').next().unwrap_or_default();
    // No part of it has a space.
    let arguments: Vec<String> = command
        .split(' ')
        .map(|it| it.replace('\'', "").replace("NAME", ca))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cluster.kubectl(&arguments, None)?;
    Ok(())
}

/// Until the operator says who signs the certificate, nobody gets a page, and nothing goes there
/// without TLS.
fn private_authority(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(vec![files()])
        .start()?;
    let certificates = site.folder().join("certificates");
    fs::create_dir(&certificates)?;
    write_certificates(&certificates, &[("wiki", &["wiki.default.svc"])])?;
    let (certificate, key) = (certificates.join("wiki.pem"), certificates.join("wiki.key"));
    let _wiki = Nginx::before_wiki(&site, &certificate, &key)?;
    let (text, said) = exported(&site, &with_files(&site, "https://wiki.default.svc")?)?;
    let mut objects = objects_of(&text)?;
    let mut service = app_service("wiki");
    // And a plain port, where nothing may arrive.
    service["spec"]["ports"] = json!([
        { "name": "https", "port": 443 },
        { "name": "http", "port": 80 },
    ]);
    objects.push(service);
    let _running = serve(cluster, &site, PLUGIN, &[], objects, &["wiki", "files"])?;
    let client = signed_in(&site)?;
    assert_eq!(status(&site, &client, "files")?, StatusCode::OK);
    assert_eq!(
        status(&site, &client, "wiki")?,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    ensure!(site.wiki().is_empty(), "asked without its certificate");

    // Another authority than that of the certificate.
    let others = site.folder().join("others");
    fs::create_dir(&others)?;
    write_certificates(&others, &[])?;
    let authority = |name: &str, folder: &std::path::Path| -> Result<Value> {
        let text = fs::read_to_string(folder.join("authority.pem"))?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" },
            "data": { "ca.crt": text },
        }))
    };
    let _authorities = cluster.apply(vec![
        authority("wiki-ca", &certificates)?,
        authority("others-ca", &others)?,
    ])?;
    let until_wiki_answers = |what: &str, expected: StatusCode| {
        until(what, SEEN, || {
            Ok((status(&site, &client, "wiki")? == expected).then_some(()))
        })
    };
    printed_command(cluster, &said, "patch", "wiki-ca")?;
    until_wiki_answers("Traefik to know the authority", StatusCode::OK)?;
    printed_command(cluster, &said, "patch", "others-ca")?;
    until_wiki_answers("another authority", StatusCode::INTERNAL_SERVER_ERROR)?;
    let before = site.wiki().len();
    assert_eq!(
        status(&site, &client, "wiki")?,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    ensure!(site.wiki().len() == before, "asked with another authority");
    printed_command(cluster, &said, "patch", "wiki-ca")?;
    until_wiki_answers("the right authority again", StatusCode::OK)?;
    assert_eq!(status(&site, &client, "files")?, StatusCode::OK);
    assert_eq!(
        status(&site, &Client::new()?, "wiki")?,
        site.turned_away(),
        "a stranger"
    );
    Ok(())
}

/// The hosts of a domain need no `allowCrossNamespace`. An application with tokens beside them has them
/// from the outpost, and no client's in their place.
fn two_namespaces(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .outpost(&json!({ "askedBy": ["traefik"] }))
        .further_applications(vec![json!({
            "name": "archive",
            "externalUrl": "http://files.example.org",
            "provider": "main",
            "require": { "groups": ["staff"] },
            "upstreamTokens": { "accessToken": "X-Access-Token" },
        })])
        .start()?;
    cluster.restricted_namespace("apps")?;
    let config = in_cluster(&site, &json!({}), |config| {
        let application = &mut config["applications"][0];
        if let Some(own) = application.as_object_mut() {
            own.remove("upstream");
        }
        let host = |name: &str| format!("{name}.example.localhost");
        application["upstreams"] = json!({
            (host("wiki")): "http://wiki.default.svc",
            (host("files")): "http://files.apps.svc",
        });
        config["applications"][1]["upstream"] = json!("http://files.apps.svc");
    })?;
    let (text, said) = exported(&site, &config)?;
    ensure!(said.contains("aliasHeadersStrategy: delete"), "{said}");
    let mut objects = objects_of(&text)?;
    let mut service = app_service("files");
    service["metadata"]["namespace"] = json!("apps");
    objects.push(service);
    let as_advised =
        json!({ "entryPoints": { "web": { "http": { "aliasHeadersStrategy": "delete" } } } });
    let _running = serve_with(
        cluster,
        &site,
        (PLUGIN, &as_advised),
        &[],
        objects,
        &["wiki", "files", "files.example.org"],
    )?;
    checks::domain(&site)?;
    let client = Client::new()?;
    client.sign_in(&site.url("files.example.org", "/")?, &ALICE)?;
    let request = client.fetch(Method::GET, &site.url("files.example.org", "/api")?);
    let request = ["X-Access-Token", "X_Access_Token"]
        .iter()
        .fold(request, |request, name| {
            request.header(*name, "of-the-client")
        });
    assert_eq!(request.send()?.status(), StatusCode::OK);
    let seen = site.files();
    let seen = seen.last().context("the app was asked")?;
    ensure!(seen.header("x-access-token").is_some(), "{seen:?}");
    let mut values = seen.headers.values().flatten();
    ensure!(!values.any(|it| it.contains("of-the-client")), "{seen:?}");
    checks::only_the_proxy_asks(&site, &["files.example.org"])
}

/// By the printed line; and no start of Traefik brings the route back.
fn gone(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(vec![files()])
        .start()?;
    let before = with_files(&site, "http://wiki.default.svc")?;
    let mut after = before.clone();
    let applications = after["applications"].as_array_mut();
    applications.context("applications")?.truncate(1);
    let (text, _) = exported(&site, &before)?;
    let objects = objects_of(&text)?;
    let running = serve(cluster, &site, PLUGIN, &[], objects, &["wiki"])?;
    let client = signed_in(&site)?;
    assert_eq!(status(&site, &client, "files")?, StatusCode::OK);
    let (text, said) = exported(&site, &after)?;
    cluster.kubectl(&["apply", "--validate=strict", "-f", "-"], Some(&text))?;
    printed_command(cluster, &said, "delete", "")?;
    until("the route to be gone", SEEN, || {
        let answers = [
            status(&site, &client, "files")?,
            status(&site, &Client::new()?, "files")?,
        ];
        // Never open, also while its parts go one after another.
        ensure!(answers[1] != StatusCode::OK, "a stranger gets in");
        Ok((answers == [StatusCode::NOT_FOUND; 2]).then_some(()))
    })?;
    let asked = site.files().len();
    for start in 1..=3 {
        running.traefik().stop();
        running.traefik().start()?;
        for path in ["/", "/akprox/start?rd=/", "/akprox/sign_out"] {
            let request = client.fetch(Method::GET, &site.url("files", path)?);
            let got = request.send()?.status();
            assert_eq!(got, StatusCode::NOT_FOUND, "start {start}: {path}");
        }
        assert_eq!(status(&site, &client, "wiki")?, StatusCode::OK);
    }
    assert_eq!(site.files().len(), asked);
    Ok(())
}
