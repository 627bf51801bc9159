//! The compose file of authentik's docs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::doubles::docker_api::Container;
use crate::site::Compose;
use crate::site::Site;

impl Compose {
    /// Reads the compose file of authentik's docs; `path` is relative to the checkout. Besides its
    /// application there is one at `files.example.com` with the same labels.
    ///
    /// # Errors
    ///
    /// When it is not as it was.
    pub fn of_authentik(site: &Site, path: &str) -> Result<Self> {
        let outpost = format!("127.0.0.1:{}", site.ports().outpost);
        let text = site.fitted(path, &[("authentik-proxy:9000", &outpost)])?;
        let file: Value = serde_saphyr::from_str(&text).with_context(|| format!("parse {path}"))?;
        let web = format!("=127.0.0.1:{}", site.ports().web);
        let traefik = file
            .pointer("/services/traefik/command")
            .and_then(Value::as_array)
            .context("the service `traefik` has a command")?
            .iter()
            .filter_map(Value::as_str)
            // Without the dashboard, which has a port of its own.
            .filter(|argument| *argument != "--api")
            .map(|argument| argument.replace("=:80", &web))
            .collect();
        let whoami = container(&file, "whoami", site.ports().wiki)?;
        let files = Container {
            name: "files".to_owned(),
            labels: exposing(
                site.ports().files,
                whoami
                    .labels
                    .iter()
                    .filter(|(name, _)| !name.contains(".services."))
                    .map(|(name, value)| {
                        (
                            name.replace("whoami", "files"),
                            value.replace("wiki.", "files."),
                        )
                    })
                    .collect(),
            ),
        };
        let outpost = container(&file, "authentik-proxy", site.ports().outpost)?;
        Ok(Self {
            traefik,
            containers: vec![outpost, whoami, files],
        })
    }
}

fn container(file: &Value, name: &str, port: u16) -> Result<Container> {
    let labels = file
        .pointer(&format!("/services/{name}/labels"))
        .and_then(Value::as_object)
        .with_context(|| format!("the service `{name}` has labels"))?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(Container {
        name: name.to_owned(),
        labels: exposing(
            port,
            labels
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        ),
    })
}

/// Adds to the labels the port on which an image listens, which Traefik learns elsewhere.
fn exposing(port: u16, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.insert(
        format!("traefik.http.services.at-{port}.loadbalancer.server.port"),
        port.to_string(),
    );
    labels
}
