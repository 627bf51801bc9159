use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::doubles::kube_api::{KubeApi, app_service};
use crate::programs::Service;
use crate::site::Compose;
use crate::site::Site;
use crate::tools::{self, Tool as _};
use crate::{built, layout, settings};

/// Traefik, with or without the plugin, as its static configuration says.
#[derive(Debug)]
pub struct Traefik<'s> {
    site: &'s Site,
    folder: PathBuf,
    config: Option<Value>,
    arguments: Vec<String>,
    program: Option<PathBuf>,
}

impl<'s> Traefik<'s> {
    /// Creates Traefik with this static configuration.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, or the plugin is not built.
    pub fn new(site: &'s Site, static_file: &str) -> Result<Self> {
        let folder = folder(site)?;
        let dynamic = folder.join("dynamic");
        fs::create_dir_all(&dynamic)?;
        let web = format!("127.0.0.1:{}", site.ports().web);
        let text = site.fitted(static_file, &[(":80", &web)])?;
        let text = text.replace("/etc/traefik/dynamic", &dynamic.to_string_lossy());
        let mut config: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {static_file}"))?;
        let quiet = json!({
            "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
            "log": { "level": "INFO" },
        });
        settings::merge(&mut config, &quiet);
        if config.pointer("/experimental/localPlugins").is_some() {
            lay_out_plugin(&folder)?;
        }
        Ok(Self {
            site,
            folder,
            config: Some(config),
            arguments: vec!["--configFile=traefik.yaml".to_owned()],
            program: None,
        })
    }

    /// Creates Traefik with the arguments of a compose file, which gets the labels from this
    /// engine.
    ///
    /// # Errors
    ///
    /// When the plugin is not built, or a file cannot be written.
    pub fn of_compose(site: &'s Site, compose: &Compose, socket: &Path) -> Result<Self> {
        let folder = folder(site)?;
        lay_out_plugin(&folder)?;
        let mut arguments = compose.traefik.clone();
        let state = site.state();
        if arguments
            .iter()
            .any(|it| it.contains(&*state.to_string_lossy()))
        {
            // Each instance of the plugin that met no folder answers 503 for a second more.
            site.await_state()?;
        }
        arguments.retain(|argument| !argument.starts_with("--log.level="));
        arguments.extend([
            format!("--providers.docker.endpoint=unix://{}", socket.display()),
            "--global.checkNewVersion=false".to_owned(),
            "--log.level=INFO".to_owned(),
        ]);
        Ok(Self {
            site,
            folder,
            config: None,
            arguments,
            program: None,
        })
    }

    /// Creates Traefik with these arguments alone, in this folder.
    pub fn of_arguments(site: &'s Site, folder: PathBuf, arguments: Vec<String>) -> Self {
        Self {
            site,
            folder,
            config: None,
            arguments,
            program: None,
        }
    }

    /// Lays changes over the file with the static configuration.
    pub fn configure(mut self, changes: &Value) -> Self {
        if let Some(config) = &mut self.config {
            settings::merge(config, changes);
        }
        self
    }

    /// Runs this Traefik. Without this, the one that the tests run.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Listens where a [`LoadBalancer`](super::LoadBalancer) leads, and believes its headers.
    pub fn behind_load_balancer(self) -> Self {
        let at = format!("127.0.0.1:{}", self.site.ports().extra);
        self.configure(&json!({ "entryPoints": { "web": {
            "address": at,
            "forwardedHeaders": { "trustedIPs": ["127.0.0.1/32"] },
        } } }))
    }

    /// Adds a file of `deploy/` to the routing configuration.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn route(self, dynamic_file: &str) -> Result<Self> {
        self.route_with(dynamic_file, &Value::Null)
    }

    /// Adds routing as [`Self::route`] does, with changes laid over it.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn route_with(self, dynamic_file: &str, changes: &Value) -> Result<Self> {
        let text = self.site.fitted(dynamic_file, &[])?;
        let mut config: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {dynamic_file}"))?;
        if !changes.is_null() {
            settings::merge(&mut config, changes);
        }
        let name = dynamic_file.replace('/', "-");
        settings::write(&self.folder.join("dynamic").join(name), &config)?;
        Ok(self)
    }

    /// Starts Traefik and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(self, hosts: &[&str]) -> Result<Service> {
        if let Some(config) = &self.config {
            settings::write(&self.folder.join("traefik.yaml"), config)?;
        }
        let program = match self.program {
            Some(program) => program,
            None => tools::Traefik.locate()?,
        };
        let mut command = Command::new(program);
        command.args(&self.arguments).current_dir(&self.folder);
        self.site.front("traefik", command, hosts)
    }
}

impl Traefik<'_> {
    /// Starts Traefik, whose provider `kubernetesIngressNGINX` reads the annotations for ingress-nginx, with
    /// the manifests of a file of `deploy/`, and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn of_ingress_nginx(site: &Site, file: &str, hosts: &[&str]) -> Result<(Service, KubeApi)> {
        let mut objects: Vec<Value> = serde_saphyr::from_multiple(&site.fitted(file, &[])?)?;
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": { "name": "nginx" },
            "spec": { "controller": "k8s.io/ingress-nginx" },
        }));
        objects.extend(["wiki", "files"].map(app_service));
        let cluster = KubeApi::of_site(site, objects)?;
        let access = json!({ "kubernetesIngressNGINX": cluster.traefik_access() });
        let static_file = "deploy/traefik/static/kubernetes-ingress-nginx.yaml";
        let traefik = Traefik::new(site, static_file)?
            .configure(&json!({ "providers": access }))
            .start(hosts)?;
        Ok((traefik, cluster))
    }
}

/// Returns the service of this name, as a server at this address.
pub fn service(name: &str, url: &str) -> Value {
    json!({ (name): { "loadBalancer": { "servers": [{ "url": url }] } } })
}

/// Traefik's working directory.
fn folder(site: &Site) -> Result<PathBuf> {
    let folder = site.folder().join("traefik");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn lay_out_plugin(folder: &Path) -> Result<()> {
    let plugin = folder.join("plugins-local/src/github.com/gatepost/gatepost");
    fs::create_dir_all(&plugin)?;
    fs::copy(built::plugin()?, plugin.join("plugin.wasm"))?;
    fs::copy(
        layout::root().join(".traefik.yml"),
        plugin.join(".traefik.yml"),
    )?;
    Ok(())
}
