//! What a compose file says, without an engine: Traefik's arguments and the containers' labels.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use crate::doubles::docker_api::Container;
use crate::site::Site;

/// A compose file of this checkout, fitted to a site.
#[derive(Clone, Debug)]
pub struct Compose {
    /// The arguments of the service `traefik`.
    pub traefik: Vec<String>,
    /// The services that have labels, and so routes or middlewares, as containers.
    pub containers: Vec<Container>,
}

impl Compose {
    /// Reads a file; `path` is relative to the checkout.
    ///
    /// All containers are at 127.0.0.1, where each has a port of its own: the labels that say a
    /// port within a container say that one.
    ///
    /// # Errors
    ///
    /// When it is not there, no YAML, or lacks what this needs.
    pub fn read(site: &Site, path: &str) -> Result<Self> {
        let text = site.fitted(path, &[])?;
        let file: Value = serde_saphyr::from_str(&text).with_context(|| format!("parse {path}"))?;
        let services = file.get("services").and_then(Value::as_object);
        let services = services.context("a compose file has services")?;
        let traefik = services
            .get("traefik")
            .and_then(|service| service.get("command")?.as_array())
            .context("the service `traefik` has a command")?;
        let web = format!("127.0.0.1:{}", site.ports().web);
        let traefik = traefik
            .iter()
            .filter_map(Value::as_str)
            .map(|argument| match argument.split_once(".address=") {
                Some((entry_point, _)) => format!("{entry_point}.address={web}"),
                None => argument.to_owned(),
            })
            .collect();
        Ok(Self {
            traefik,
            containers: containers(site, services)?,
        })
    }

    /// Replaces the services by those of another compose file.
    ///
    /// # Errors
    ///
    /// When it is no YAML, or says something of a service that no site has.
    pub fn serving(self, site: &Site, text: &str) -> Result<Self> {
        // Compose puts variables in the place of `$NAME`, and `$` in that of `$$`.
        let file: Value = serde_saphyr::from_str(&text.replace("$$", "$"))?;
        let services = file.get("services").and_then(Value::as_object);
        let services = services.context("a compose file has services")?;
        Ok(Self {
            containers: containers(site, services)?,
            ..self
        })
    }

    /// Adds a label to a container.
    ///
    /// # Errors
    ///
    /// When there is no such container.
    pub fn label(mut self, container: &str, key: &str, value: &str) -> Result<Self> {
        let found = self.containers.iter_mut().find(|c| c.name == container);
        let found = found.with_context(|| format!("no service {container}"))?;
        found.labels.insert(key.to_owned(), value.to_owned());
        Ok(self)
    }
}

fn containers(site: &Site, services: &Map<String, Value>) -> Result<Vec<Container>> {
    services
        .iter()
        .filter(|(name, service)| *name != "traefik" || service.get("labels").is_some())
        .map(|(name, service)| container(site, name, service))
        .collect()
}

fn container(site: &Site, name: &str, service: &Value) -> Result<Container> {
    let empty = Map::new();
    let labels = match service.get("labels") {
        None => &empty,
        Some(Value::Object(labels)) => labels,
        Some(_) => bail!("the labels of `{name}` are to be a map"),
    };
    let ports = site.ports();
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(key, value)| {
            let value = value.as_str().context("a label is a text")?;
            let port = match name {
                "traefik" => ports.web,
                "outpost" => ports.outpost,
                "wiki" | "whoami" => ports.wiki,
                "files" => ports.files,
                "provider" => ports.provider,
                _ => bail!("{name}: no such part of a site"),
            };
            let value = match key.ends_with(".loadbalancer.server.port") {
                true => port.to_string(),
                false => value.to_owned(),
            };
            Ok((key.clone(), value))
        })
        .collect::<Result<_>>()
        .with_context(|| format!("the labels of `{name}`"))?;
    Ok(Container {
        name: name.to_owned(),
        labels,
    })
}
