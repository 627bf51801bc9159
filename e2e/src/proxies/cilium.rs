// JSON has null where a key is missing, and one that is set is made.
#![allow(clippy::indexing_slicing)]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::programs::Service;
use crate::settings;
use crate::site::Site;
use crate::tools::{self, Tool as _};

/// Envoy with the resources that Cilium's operator makes of objects of the Gateway API.
///
/// Its agent, which hands these to the Envoy of each node, needs the node's kernel. In its place, this
/// writes them into Envoy's own configuration: what the resources say of a request stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Cilium;

impl Cilium {
    /// Starts Envoy for these objects, each as the API server has it, by the names that the translator
    /// has for their kinds; and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When a program is not installed, or does not become ready.
    pub fn start(site: &Site, objects: &Value, hosts: &[&str]) -> Result<Service> {
        let mut listener = Value::Null;
        let mut routes = Map::new();
        let mut clusters = Vec::new();
        for mut resource in translated(objects)? {
            let kind = resource.as_object_mut().and_then(|it| it.remove("@type"));
            let kind = kind.context("a resource without a type")?;
            match kind.as_str().and_then(|kind| kind.rsplit('.').next()) {
                Some("Listener") => listener = resource,
                Some("RouteConfiguration") => {
                    let name = resource["name"].as_str().context("a name")?.to_owned();
                    routes.insert(name, resource);
                }
                Some("Cluster") => clusters.push(at_its_address(site, resource)?),
                _ => bail!("{kind} is a resource of no test"),
            }
        }
        let address = json!({ "address": "127.0.0.1", "portValue": site.ports().web });
        listener["address"] = json!({ "socketAddress": address });
        for chain in listener["filterChains"].as_array_mut().context("chains")? {
            let manager = &mut chain["filters"][0]["typedConfig"];
            let manager = manager.as_object_mut().context("a connection manager")?;
            let named = manager.remove("rds").context("its routes")?;
            let named = named["routeConfigName"].as_str().context("their name")?;
            let named = routes.get(named).context("routes of this name")?;
            manager.insert("routeConfig".into(), named.clone());
        }
        let config = json!({ "staticResources": {
            "listeners": [listener],
            "clusters": clusters,
        } });
        let folder = site.folder().join("cilium");
        fs::create_dir_all(&folder)?;
        let path = folder.join("envoy.json");
        settings::write(&path, &config)?;
        let mut command = Command::new(tools::Envoy.locate()?);
        command
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .arg("--config-path")
            .arg(&path);
        site.front("cilium", command, hosts)
    }
}

/// Returns Envoy's resources for these objects.
fn translated(objects: &Value) -> Result<Vec<Value>> {
    let mut child = Command::new(tools::CiliumTranslator.locate()?.program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("its input")?;
    input.write_all(objects.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "not translated: {complaint}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Puts the address of a program of this site in the place of the endpoints, which Cilium's agent knows.
fn at_its_address(site: &Site, mut cluster: Value) -> Result<Value> {
    let ports = site.ports();
    let service = cluster
        .as_object_mut()
        .and_then(|it| it.remove("edsClusterConfig"));
    let service = service.context("a cluster of no Service")?;
    let port = match service["serviceName"].as_str() {
        Some("default/wiki:80") => ports.wiki,
        Some("gatepost/gatepost:9000") => ports.outpost,
        _ => bail!("no program of {service}"),
    };
    let address = json!({ "address": "127.0.0.1", "portValue": port });
    let endpoint = json!({ "endpoint": { "address": { "socketAddress": address } } });
    cluster["type"] = json!("STATIC");
    cluster["loadAssignment"] = json!({
        "clusterName": cluster["name"],
        "endpoints": [{ "lbEndpoints": [endpoint] }],
    });
    Ok(cluster)
}
