//! Traefik with the built plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use crate::clients::Client;
use crate::programs::Service;
use crate::settings;
use crate::tools::{Tool as _, Traefik};
use crate::wait::{pass, until};
use crate::{built, layout};

/// What Traefik routes for one application.
pub(crate) struct Route<'a> {
    /// Name of application, router, middleware and service.
    pub(crate) application: &'a str,
    /// Host name that the router matches.
    pub(crate) host: &'a str,
    pub(crate) upstream_port: u16,
    pub(crate) outpost_port: u16,
    /// Laid over the plugin's configuration of the template.
    pub(crate) plugin: &'a Map<String, Value>,
}

/// The folder that Traefik runs in.
pub(crate) struct Folder {
    path: PathBuf,
    /// Those that every router is on.
    entry_points: Vec<&'static str>,
}

impl Folder {
    /// Lays out plugin and static configuration.
    ///
    /// `keys` is the folder that the plugin sees as `/keys`.
    pub(crate) fn create(path: PathBuf, port: u16, keys: &Path) -> Result<Self> {
        let plugin = path.join("plugins-local/src/github.com/gatepost/gatepost");
        let dynamic = path.join("dynamic");
        for folder in [&plugin, &dynamic] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        copy(&built::plugin()?, &plugin.join("plugin.wasm"))?;
        copy(
            &layout::root().join(".traefik.yml"),
            &plugin.join(".traefik.yml"),
        )?;
        let mut config = settings::from_template(
            "deploy/traefik/static/plugin.yaml",
            &[
                (":80", &format!("127.0.0.1:{port}")),
                ("/etc/traefik/dynamic", &dynamic.to_string_lossy()),
                ("/etc/gatepost/keys", &keys.to_string_lossy()),
            ],
        )?;
        let quiet = json!({
            "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
            "log": { "level": "INFO" },
        });
        settings::merge(&mut config, &quiet);
        settings::write(&path.join("traefik.yaml"), &config)?;
        Ok(Self {
            path,
            entry_points: vec!["web"],
        })
    }

    /// Writes the routing of one application; a running Traefik reloads it.
    pub(crate) fn route(&self, route: &Route<'_>) -> Result<()> {
        let upstream = format!("127.0.0.1:{}", route.upstream_port);
        let outpost = format!("127.0.0.1:{}", route.outpost_port);
        let mut config = settings::from_template(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &[
                ("wiki.example.com", route.host),
                ("127.0.0.1:8000", &upstream),
                ("127.0.0.1:9000", &outpost),
                ("wiki", route.application),
            ],
        )?;
        let middleware = format!("{}-gatepost", route.application);
        let router = json!({ "entryPoints": self.entry_points });
        let changes = json!({
            "http": {
                "routers": {
                    route.application: router,
                    format!("{}-outpost", route.application): router,
                },
                "middlewares": { middleware: { "plugin": { "gatepost": route.plugin } } },
            }
        });
        settings::merge(&mut config, &changes);
        let file = format!("dynamic/{}.yaml", route.application);
        settings::write(&self.path.join(file), &config)
    }

    /// Lets the plugin read another folder, which it sees at `to`.
    pub(crate) fn mount(&self, folder: &Path, to: &str) -> Result<()> {
        let path = self.path.join("traefik.yaml");
        let mut config: Value = serde_saphyr::from_str(&fs::read_to_string(&path)?)?;
        let mounts = config.pointer_mut("/experimental/localPlugins/gatepost/settings/mounts");
        let mounts = mounts.and_then(Value::as_array_mut);
        let mounts = mounts.context("traefik/static/plugin.yaml has mounts")?;
        mounts.push(json!(format!("{}:{to}:ro", folder.display())));
        settings::write(&path, &config)
    }

    /// Opens a second entry point, for TLS, that has every router of the first.
    pub(crate) fn listen_for_tls(&mut self, port: u16) -> Result<()> {
        self.entry_points.push("websecure");
        let path = self.path.join("traefik.yaml");
        let mut config: Value = serde_saphyr::from_str(&fs::read_to_string(&path)?)?;
        let entry_point = json!({
            "entryPoints": {
                "websecure": {
                    "address": format!("127.0.0.1:{port}"),
                    "http": { "tls": {} },
                },
            },
        });
        settings::merge(&mut config, &entry_point);
        settings::write(&path, &config)
    }

    /// Returns Traefik in this folder.
    pub(crate) fn service(&self, logs: &Path) -> Result<Service> {
        let mut command = Command::new(Traefik.locate()?);
        command
            .arg("--configFile=traefik.yaml")
            .current_dir(&self.path);
        Ok(Service::new("traefik", command, logs))
    }
}

/// Waits until the plugin finds the outpost's folder complete, with the applications of these pages.
pub(crate) fn await_folder(pages: impl Iterator<Item = Url>) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    let client = Client::new()?;
    for page in pages {
        until("the plugin to find the folder", LIMIT, || {
            let status = client.fetch(Method::GET, &page).send()?.status();
            Ok((status != StatusCode::SERVICE_UNAVAILABLE).then_some(()))
        })?;
    }
    // Other guests look again within a second.
    pass(Duration::from_secs(2));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
