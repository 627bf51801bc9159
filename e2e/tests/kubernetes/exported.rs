//! What `gatepost export kubernetes` prints, as it is, on the real API server and real Traefik.

pub(crate) mod routes;

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, Site, built};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::served::{FORWARD_AUTH, PLUGIN, objects_of, serve};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "exported::plugin_single",
        run: |cluster| single(cluster, PLUGIN, &json!({})),
    },
    Test {
        name: "exported::forward_auth_single",
        run: |cluster| single(cluster, FORWARD_AUTH, &no_plugin()),
    },
    Test {
        name: "exported::no_client_names_the_user_by_forward_auth",
        run: no_client_names_the_user,
    },
    Test {
        name: "exported::what_an_earlier_export_left_is_removed",
        run: stale_objects,
    },
    Test {
        name: "exported::texts_are_what_the_configuration_says",
        run: texts,
    },
    Test {
        name: "exported::what_is_no_service_is_refused",
        run: refusals,
    },
    Test {
        name: "exported::machine_clients_get_in",
        run: machines,
    },
];

/// A program that the provider knows.
const ROBOT: (&str, &str) = ("robot", "a secret of its own");

/// What its tokens are for.
const RESOURCE: &str = "https://wiki.example/api";

/// A section `traefik` for a cluster whose Traefik has no plugin.
fn no_plugin() -> Value {
    json!({ "outpostUrl": "http://gatepost.gatepost.svc:9000" })
}

/// The site's own configuration with its parts in a cluster, and what this changes of it.
fn in_cluster(site: &Site, traefik: &Value, change: impl FnOnce(&mut Value)) -> Result<Value> {
    let text = fs::read_to_string(site.folder().join("gatepost.yaml"))?;
    let mut config: Value = serde_saphyr::from_str(&text)?;
    config["applications"][0]["upstream"] = json!("http://wiki.default.svc:80");
    // Where the base has the outpost listen.
    config["listen"] = json!({ "http": "0.0.0.0:9000" });
    if traefik.as_object().is_some_and(|own| !own.is_empty()) {
        config["traefik"] = traefik.clone();
    }
    change(&mut config);
    Ok(config)
}

fn run(site: &Site, config: &Value) -> Result<Output> {
    let file = site.folder().join("exported.yaml");
    fs::write(&file, config.to_string())?;
    let mut command = built::gatepost()?;
    command.args(["export", "kubernetes", "--config"]);
    Ok(command.arg(&file).output()?)
}

/// What is printed: on standard output, and on standard error.
fn exported(site: &Site, config: &Value) -> Result<(String, String)> {
    let output = run(site, config)?;
    let complaints = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{complaints}");
    Ok((String::from_utf8(output.stdout)?, complaints))
}

/// Checks that each object is where its Service is.
fn check_namespaces(objects: &[Value]) {
    for object in objects {
        let metadata = &object["metadata"];
        let of_outpost = object["spec"]["routes"][0]["services"][0]["name"] == "gatepost";
        let expected = if of_outpost { "gatepost" } else { "default" };
        assert_eq!(metadata["namespace"], expected, "{object}");
    }
}

fn single(cluster: &Cluster, config: &str, traefik: &Value) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let (text, _) = exported(&site, &in_cluster(&site, traefik, |_| {})?)?;
    let objects = objects_of(&text)?;
    check_namespaces(&objects);
    let _running = serve(cluster, &site, config, &[], objects, &["wiki"])?;
    checks::single(&site)
}

fn no_client_names_the_user(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let (text, _) = exported(&site, &in_cluster(&site, &no_plugin(), |_| {})?)?;
    let _running = serve(
        cluster,
        &site,
        FORWARD_AUTH,
        &[],
        objects_of(&text)?,
        &["wiki"],
    )?;
    checks::no_client_names_the_user(&site, "/public/logo")
}

/// The exported objects of the cluster: kind, namespace, name.
fn there(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let kinds = "ingressroutes.traefik.io,middlewares.traefik.io,serverstransports.traefik.io";
    let label = "app.kubernetes.io/managed-by=gatepost-export";
    let text = cluster.kubectl(&["get", kinds, "-A", "-l", label, "-o", "json"], None)?;
    let list: Value = serde_json::from_str(&text)?;
    let items = list["items"].as_array().context("a list")?;
    Ok(items.iter().map(identity).collect())
}

fn identity(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{} {} {}",
        object["kind"], metadata["namespace"], metadata["name"]
    )
}

fn stale_objects(cluster: &Cluster) -> Result<()> {
    for namespace in ["gatepost", "dev", "apps"] {
        cluster.restricted_namespace(namespace)?;
    }
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let export = |upstream: &str, group: &str| -> Result<(Vec<Value>, String)> {
        let config = in_cluster(&site, &json!({}), |config| {
            config["applications"][0]["upstream"] = json!(upstream);
            config["applications"][0]["require"] = json!({ "groups": [group] });
        })?;
        let (text, said) = exported(&site, &config)?;
        Ok((objects_of(&text)?, said))
    };
    let (before, _) = export("https://wiki.dev.svc", "staff")?;
    let (after, said) = export("http://wiki.apps.svc", "admins")?;
    let _before = cluster.apply(before.clone())?;
    // What the operator adds by the command of the first export stays.
    let patch = [
        "-n",
        "dev",
        "patch",
        "serverstransports.traefik.io",
        "gatepost-wiki",
    ];
    let roots = r#"{"spec":{"rootCAs":[{"configMap":"wiki-ca"}]}}"#;
    cluster.kubectl(
        &[&patch[..], &["--type", "merge", "-p", roots]].concat(),
        None,
    )?;
    let _again = cluster.apply(before)?;
    let get = [
        "-n",
        "dev",
        "get",
        "serverstransports.traefik.io",
        "gatepost-wiki",
        "-o",
        "json",
    ];
    let stored: Value = serde_json::from_str(&cluster.kubectl(&get, None)?)?;
    assert_eq!(stored["spec"]["rootCAs"][0]["configMap"], "wiki-ca");
    assert_eq!(stored["spec"]["serverName"], "wiki.dev.svc");
    let expected: BTreeSet<String> = after.iter().map(identity).collect();
    let _after = cluster.apply(after)?;
    assert!(there(cluster)?.len() > expected.len(), "both are there");
    let command = said
        .lines()
        .find_map(|line| line.split_once("kubectl delete "));
    let command = command.context("the command")?.1.replace('\'', "");
    let arguments: Vec<&str> = ["delete"].into_iter().chain(command.split(' ')).collect();
    cluster.kubectl(&arguments, None)?;
    assert_eq!(there(cluster)?, expected);
    Ok(())
}

/// YAML has other texts for some of these.
fn texts(cluster: &Cluster) -> Result<()> {
    cluster.restricted_namespace("gatepost")?;
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let groups = json!([
        "no",
        "y",
        "1e3",
        "0x1F",
        "<<",
        "~",
        "null",
        "2001-01-01",
        "a: b",
        "#"
    ]);
    let config = in_cluster(&site, &json!({}), |config| {
        config["applications"][0]["require"] = json!({ "groups": groups });
    })?;
    let (text, _) = exported(&site, &config)?;
    // By the parser that users have.
    cluster.kubectl(&["apply", "--validate=strict", "-f", "-"], Some(&text))?;
    let get = [
        "get",
        "middlewares.traefik.io",
        "gatepost-wiki",
        "-o",
        "json",
    ];
    let stored = cluster.kubectl(&get, None);
    cluster.kubectl(&["delete", "-f", "-"], Some(&text))?;
    let stored: Value = serde_json::from_str(&stored?)?;
    assert_eq!(
        stored["spec"]["plugin"]["gatepost"]["require"]["groups"],
        groups
    );
    Ok(())
}

fn refusals(_: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let long = format!("http://{}.apps.svc", "a".repeat(64));
    for (upstream, expected) in [
        ("http://10.0.0.7", "EndpointSlice"),
        ("http://[2001:db8::7]", "EndpointSlice"),
        ("http://localhost:8000", "loopback"),
        ("https://example.com", "allowExternalNameServices"),
        ("http://nas.lan:5000", "not a Service"),
        ("http://my_wiki.apps.svc", "no Service that can be"),
        (&*long, "no Service that can be"),
        ("http://wiki.apps.svc:0", ""),
        ("http://wiki.apps.svc/base", ""),
        ("http://user:hunter2@wiki.apps.svc", ""),
        ("http://wiki", "--namespace"),
    ] {
        let config = in_cluster(&site, &json!({}), |config| {
            config["applications"][0]["upstream"] = json!(upstream);
        })?;
        let output = run(&site, &config)?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{upstream}: {said}");
        assert!(output.stdout.is_empty(), "{upstream}");
        assert!(said.contains(expected), "{upstream}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    Ok(())
}

/// Alone, the plugin answers each with 401.
fn machines(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "machines": ["basic"],
            "machineTokens": { "audience": [RESOURCE], "parameters": { "resource": RESOURCE } },
        }))
        .provider(&json!({
            "resources": [RESOURCE],
            "programs": { ROBOT.0: { "secret": ROBOT.1, "groups": ["staff"] } },
        }))
        .start()?;
    let (text, said) = exported(&site, &in_cluster(&site, &json!({}), |_| {})?)?;
    assert!(said.contains("aliasHeadersStrategy"), "{said}");
    let _running = serve(cluster, &site, PLUGIN, &[], objects_of(&text)?, &["wiki"])?;
    let request = Client::new()?.fetch(Method::GET, &site.url("wiki", "/")?);
    let request = request.basic_auth(ROBOT.0, Some(ROBOT.1));
    assert_eq!(request.send()?.status(), StatusCode::OK);
    Ok(())
}
