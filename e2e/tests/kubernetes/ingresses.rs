//! Ingresses for ingress-nginx, and what `gatepost import ingress-nginx` prints of them.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::built;
use serde_json::{Map, Value, json};

/// An annotation, without the prefix of ingress-nginx, and its value.
pub(crate) type Annotation = (&'static str, &'static str);

/// Where nginx asks the outpost.
pub(crate) const AUTH_URL: &str =
    "http://gatepost.gatepost.svc.cluster.local:9000/akprox/auth?nginx";
/// The annotation by which it asks there.
pub(crate) const AUTH: Annotation = ("auth-url", AUTH_URL);

/// Returns an Ingress of the class `nginx` in the namespace `default`, which leads one path of a host to
/// `wiki`.
pub(crate) fn ingress(
    name: &str,
    host: &str,
    (path, kind): (&str, &str),
    annotations: &[Annotation],
) -> Value {
    let annotations = annotations
        .iter()
        .map(|(key, value)| (format!("nginx.ingress.kubernetes.io/{key}"), json!(value)));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": annotations.collect::<Map<_, _>>(),
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{ "host": host, "http": { "paths": [{
                "path": path,
                "pathType": kind,
                "backend": { "service": { "name": "wiki", "port": { "number": 80 } } },
            }] } }],
        },
    })
}

/// Returns the text of a file with these objects.
pub(crate) fn list_of(objects: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()
}

/// What the import made of a file.
pub(crate) struct Imported {
    pub(crate) text: String,
    pub(crate) complained: String,
    /// Whether nothing was refused.
    pub(crate) whole: bool,
}

/// Runs the import with these arguments, of a file with this text.
pub(crate) fn import(arguments: &[&str], text: &str) -> Result<Imported> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("before.yaml");
    fs::write(&file, text)?;
    let mut command = built::gatepost()?;
    command.args(["import", "ingress-nginx"]).args(arguments);
    let output = command.arg(&file).output()?;
    Ok(Imported {
        text: String::from_utf8(output.stdout)?,
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
        whole: output.status.success(),
    })
}

/// The applications that the text names for the outpost, at the addresses of a site.
pub(crate) fn applications(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
    let lines = lines.skip_while(|line| *line != "applications:");
    let lines: Vec<&str> = lines.collect();
    let mut config: Value = serde_saphyr::from_str(&lines.join("\n"))?;
    let applications = config["applications"].as_array_mut();
    let applications = applications.context("applications")?;
    for application in &mut *applications {
        let host = application["name"].as_str().context("a name")?;
        application["externalUrl"] = format!("http://{host}:8080").into();
        application["mode"] = "single".into();
    }
    Ok(std::mem::take(applications))
}
