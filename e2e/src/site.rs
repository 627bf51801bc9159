//! The programs behind a proxy: apps, the outpost and its provider.
//!
//! A [`Stack`](crate::Stack) has Traefik with the plugin in front; a [`Site`] leaves the front to
//! one of the [`proxies`](crate::proxies), configured by the files of `deploy/` that the docs
//! show. Those files speak of `example.com`; a [`Site`] fits them to itself.

mod compose;
mod fitting;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_session::Audience;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::doubles::provider;
use crate::doubles::upstream::{Seen, Upstream};
use crate::keys::Keys;
use crate::programs::ports;
use crate::programs::{FakeClock, Service};
use crate::{built, settings, stack, wait};

pub use self::compose::Compose;
pub(crate) use self::fitting::fit;
use self::fitting::{SHOWN_DOMAIN, fit_domains, fit_names, read};

/// For the outpost to write the folder for plugins.
const STATE_LIMIT: Duration = Duration::from_secs(60);

/// The placeholder in the files for the plugin's word for "allowed".
const WORD_SHOWN: &str = "`WORD`";

/// The ports that a site and its proxy use.
#[derive(Clone, Copy, Debug)]
pub struct SitePorts {
    /// Where the proxy listens.
    pub web: u16,
    /// Where the proxy listens for other purposes: TLS, an API, a provider's double.
    pub extra: u16,
    /// Where the outpost listens.
    pub outpost: u16,
    /// Where the outpost's health, metrics and routing configuration are.
    pub metrics: u16,
    /// Where the provider listens.
    pub provider: u16,
    /// Where a second provider listens, if there is one.
    pub partners: u16,
    /// Where the app `wiki` listens.
    pub wiki: u16,
    /// Where the app `files` listens.
    pub files: u16,
}

impl SitePorts {
    /// Returns ports that are not in use.
    ///
    /// # Errors
    ///
    /// When there is no such port or provider.
    pub fn free() -> Result<Self> {
        Ok(Self {
            web: ports::free()?,
            extra: ports::free()?,
            outpost: ports::free()?,
            metrics: ports::free()?,
            provider: ports::free()?,
            partners: ports::free()?,
            wiki: ports::free()?,
            files: ports::free()?,
        })
    }
}

/// Apps, the outpost and its provider, with nothing in front yet.
#[derive(Debug)]
pub struct Site {
    pub(crate) outpost: Service,
    pub(crate) provider: Service,
    pub(crate) partners: Option<Service>,
    pub(crate) wiki: Upstream,
    pub(crate) wiki_host: String,
    pub(crate) files: Upstream,
    pub(crate) turned_away: StatusCode,
    pub(crate) keys: Keys,
    pub(crate) ports: SitePorts,
    pub(crate) folder: TempDir,
    pub(crate) logs: PathBuf,
    /// The outpost's environment, where it has no configuration file.
    pub(crate) environment: Vec<(String, String)>,
}

/// Says what a [`Site`] is to be.
#[derive(Debug)]
pub struct SiteBuilder {
    outpost_file: String,
    outpost_program: Option<PathBuf>,
    outpost_clock: Option<FakeClock>,
    wiki_host: Option<String>,
    turned_away: StatusCode,
    outpost: Vec<Value>,
    further: Vec<Value>,
    applications: Vec<Value>,
    provider: Vec<Value>,
    fitted: Vec<(Value, Value)>,
    partners: bool,
    state_folder: bool,
}

impl SiteBuilder {
    /// Has the outpost write the folder for plugins (`stateDir`), where files of `deploy/` mount it.
    pub fn state_folder(mut self) -> Self {
        self.state_folder = true;
        self
    }

    /// Runs this build of the outpost. Without this, the one that the tests run.
    pub fn outpost_program(mut self, program: PathBuf) -> Self {
        self.outpost_program = Some(program);
        self
    }

    /// Sets that the outpost knows its applications by another port than the proxy's: a client that
    /// comes to the proxy itself finds no application.
    pub fn behind_another_port(mut self) -> Self {
        self.turned_away = StatusCode::NOT_FOUND;
        self
    }

    /// Has the outpost believe this clock.
    pub fn outpost_clock(mut self, clock: &FakeClock) -> Self {
        self.outpost_clock = Some(clock.clone());
        self
    }

    /// Sets that the proxy sends every client to sign in, and not only page loads.
    pub fn redirects_everyone(mut self) -> Self {
        self.turned_away = StatusCode::FOUND;
        self
    }

    /// Sets the host of the app `wiki`, as the files of `deploy/` have it.
    pub fn wiki_at(mut self, host: &str) -> Self {
        self.wiki_host = Some(host.to_owned());
        self
    }

    /// Adds applications to those of the outpost's file, fitted as files are.
    pub fn further_applications(mut self, applications: Vec<Value>) -> Self {
        self.further.extend(applications);
        self
    }

    /// Lays changes over each application in the outpost's configuration.
    pub fn applications(mut self, changes: &Value) -> Self {
        self.applications.push(changes.clone());
        self
    }

    /// Lays changes over the outpost's configuration.
    pub fn outpost(mut self, changes: &Value) -> Self {
        self.outpost.push(changes.clone());
        self
    }

    /// Lays changes over the provider's configuration.
    pub fn provider(mut self, changes: &Value) -> Self {
        self.provider.push(changes.clone());
        self
    }

    /// Lays changes over each application and over the provider's configuration, in which addresses are
    /// fitted as in files.
    pub fn at_its_addresses(mut self, application: &Value, provider: &Value) -> Self {
        self.fitted.push((application.clone(), provider.clone()));
        self
    }

    /// Adds a second provider, called `partners`, where the same subjects and names are other
    /// people's: at every application, people choose between it and `main`.
    pub fn partners(mut self) -> Self {
        self.partners = true;
        self.applications(&json!({ "provider": null, "providers": ["main", "partners"] }))
    }

    /// Starts apps, provider and outpost.
    ///
    /// # Errors
    ///
    /// When something is not built or installed, or does not become ready; with the end of its
    /// log.
    pub fn start(mut self) -> Result<Site> {
        let ports = SitePorts::free()?;
        let logs = stack::logs_folder(None)?;
        let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        for (application, provider) in std::mem::take(&mut self.fitted) {
            let fitted = |changes: Value| {
                serde_json::from_str::<Value>(&fit(&ports, folder.path(), &changes.to_string()))
            };
            self.applications.push(fitted(application)?);
            self.provider.push(fitted(provider)?);
        }
        let keys_folder = folder.path().join("keys");
        fs::create_dir(&keys_folder)?;
        let keys = Keys::create(keys_folder.join("gatepost.keys"))?;

        let text = fit(&ports, folder.path(), &read(&self.outpost_file)?);
        let mut config: Value = serde_saphyr::from_str(&text)
            .with_context(|| format!("parse {}", self.outpost_file))?;
        let own = json!({
            "providers": [{
                "name": "main",
                "issuer": provider::issuer(ports.provider),
                "clientId": provider::CLIENT_ID,
                "clientSecret": provider::CLIENT_SECRET,
                "scopes": ["openid", "profile", "email", "groups"],
                "groupsClaim": "groups",
            }],
            "store": { "path": folder.path().join("sessions.db") },
        });
        settings::merge(&mut config, &own);
        if config.get("keysFile").is_some() {
            settings::merge(
                &mut config,
                &json!({ "keysFile": keys_folder.join("gatepost.keys") }),
            );
        }
        if self.state_folder {
            settings::merge(
                &mut config,
                &json!({ "stateDir": folder.path().join("state") }),
            );
        }
        if self.partners {
            let issuer = provider::second_issuer(ports.partners);
            add_provider(&mut config, "partners", "Our partners", &issuer)?;
        }
        for changes in &self.outpost {
            settings::merge(&mut config, changes);
        }
        for further in &self.further {
            let text = fit(&ports, folder.path(), &further.to_string());
            applications(&mut config)?.push(serde_json::from_str(&text)?);
        }
        for application in applications(&mut config)? {
            for changes in &self.applications {
                settings::merge(application, changes);
            }
        }
        let origins = origins(&mut config)?;
        let provider = provider::service(
            &provider::Seat::main(ports.provider),
            &origins,
            ports.outpost,
            &self.provider,
            folder.path(),
            &logs,
        )?;
        let second = || {
            let seat = provider::Seat::partners(ports.partners);
            provider::service(&seat, &origins, ports.outpost, &[], folder.path(), &logs)
        };
        let partners = self.partners.then(second).transpose()?;
        let wiki = Upstream::start(ports.wiki)?;
        let files = Upstream::start(ports.files)?;
        provider.start()?;
        if let Some(partners) = &partners {
            partners.start()?;
        }
        let file = folder.path().join("gatepost.yaml");
        settings::write(&file, &config)?;
        let program = match self.outpost_program {
            Some(program) => built::gatepost_at(&program),
            None => built::gatepost()?,
        };
        let clock = self.outpost_clock.as_ref();
        let outpost = stack::outpost(clock, program, &file, ports.outpost, &logs)?
            .answering(stack::readiness(ports.metrics)?, StatusCode::OK);
        outpost.start()?;
        Ok(Site {
            outpost,
            provider,
            partners,
            wiki,
            wiki_host: self.wiki_host.unwrap_or_else(|| "wiki".to_owned()),
            files,
            turned_away: self.turned_away,
            keys,
            ports,
            folder,
            environment: Vec::new(),
            logs,
        })
    }
}

impl Site {
    /// Returns a builder for two apps on one domain and an outpost configured by this file of
    /// `deploy/`.
    pub fn builder(outpost_file: &str) -> SiteBuilder {
        SiteBuilder {
            outpost_file: outpost_file.to_owned(),
            outpost_program: None,
            outpost_clock: None,
            wiki_host: None,
            turned_away: StatusCode::UNAUTHORIZED,
            outpost: Vec::new(),
            further: Vec::new(),
            applications: Vec::new(),
            provider: Vec::new(),
            fitted: Vec::new(),
            partners: false,
            state_folder: false,
        }
    }

    /// Returns the status for a script without a session.
    pub fn turned_away(&self) -> StatusCode {
        self.turned_away
    }

    /// Returns the ports in use.
    pub fn ports(&self) -> &SitePorts {
        &self.ports
    }

    /// Returns the keys that outpost and plugin share.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Changes the configuration file of the running outpost, which reloads it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or `change` fails.
    pub fn change_outpost(&self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let file = self.folder.path().join("gatepost.yaml");
        let mut config = serde_json::from_str(&fs::read_to_string(&file)?)?;
        change(&mut config)?;
        settings::write(&file, &config)
    }

    /// Returns the folder of the programs' logs.
    pub(crate) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Returns a folder for the proxy's files. It is removed when the site stops.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder that the outpost writes for plugins, with [`SiteBuilder::state_folder`].
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Waits until the outpost has written it.
    ///
    /// # Errors
    ///
    /// When it is not there within a minute.
    pub fn await_state(&self) -> Result<()> {
        let renewed = self.state().join("gatepost-state");
        wait::until("the folder for plugins", STATE_LIMIT, || {
            Ok(renewed.exists().then_some(()))
        })
    }

    /// Returns the outpost.
    pub fn outpost(&self) -> &Service {
        &self.outpost
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Service {
        &self.provider
    }

    /// Runs `gatepost` with the outpost's configuration: returns its output, and whether it
    /// succeeded.
    ///
    /// # Errors
    ///
    /// When it is not built, or its output is not text.
    pub fn gatepost(&self, arguments: &[&str]) -> Result<(String, bool)> {
        let output = self.run(arguments)?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        Ok((said, output.status.success()))
    }

    /// Runs `gatepost` like [`Self::gatepost`]: what it printed on standard output, and on standard
    /// error.
    ///
    /// # Errors
    ///
    /// When it is not built, fails, or its output is not text.
    pub fn printed(&self, arguments: &[&str]) -> Result<(String, String)> {
        let output = self.run(arguments)?;
        let complaints = String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{complaints}");
        Ok((String::from_utf8(output.stdout)?, complaints))
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = built::gatepost()?;
        command.args(arguments);
        if self.environment.is_empty() {
            command
                .arg("--config")
                .arg(self.folder.path().join("gatepost.yaml"));
        } else {
            command.envs(self.environment.iter().cloned());
        }
        Ok(command.output()?)
    }

    /// Returns the second provider.
    ///
    /// # Errors
    ///
    /// When there is no such port or provider.
    pub fn partners(&self) -> Result<&Service> {
        self.partners.as_ref().context("the site has one provider")
    }

    /// Returns an address at the proxy. `host` is a name as the files of `deploy/` have it, whole
    /// or without the first domain: `files.example.org`, `wiki`. `path` starts with a slash.
    ///
    /// # Errors
    ///
    /// When these make no address.
    pub fn url(&self, host: &str, path: &str) -> Result<Url> {
        let mut host = match host {
            "wiki" => self.wiki_host.clone(),
            host => host.to_owned(),
        };
        if !host.contains('.') {
            host = format!("{host}.{SHOWN_DOMAIN}");
        }
        let url = format!("http://{}:{}{path}", fit_domains(&host), self.ports.web);
        Url::parse(&url).with_context(|| url)
    }

    /// Returns the requests to the app `wiki` so far.
    pub fn wiki(&self) -> Vec<Arc<Seen>> {
        self.wiki.requests()
    }

    /// Returns the bytes that came to the app `wiki` on each connection so far, the first MiB of each.
    pub fn wiki_received(&self) -> Vec<Vec<u8>> {
        self.wiki.received()
    }

    /// Returns the requests to the app `files` so far.
    pub fn files(&self) -> Vec<Arc<Seen>> {
        self.files.requests()
    }

    /// Returns a file of `deploy/` as text, fitted to this site, with further texts replaced.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or one of the further texts does not occur: the file has
    /// then changed and the caller has not.
    pub fn fitted(&self, path: &str, further: &[(&str, &str)]) -> Result<String> {
        let mut text = read(path)?;
        for (shown, actual) in further {
            if !text.contains(shown) {
                bail!("{path} no longer contains {shown:?}");
            }
            text = text.replace(shown, actual);
        }
        let text = self.with_verdict(text)?;
        Ok(fit(&self.ports, self.folder.path(), &text))
    }

    /// As [`Self::fitted`], for a cluster: Services keep their names and ports.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn fitted_in_cluster(&self, path: &str) -> Result<String> {
        let text = self.with_verdict(read(path)?)?;
        Ok(fit_names(&self.ports, &text))
    }

    /// Replaces the placeholder in a file by the plugin's word for "allowed".
    fn with_verdict(&self, text: String) -> Result<String> {
        if !text.contains(WORD_SHOWN) {
            return Ok(text);
        }
        Ok(text.replace(WORD_SHOWN, &format!("`{}`", self.verdict(&text)?)))
    }

    /// Returns the plugin's word for "allowed" in a file, as `gatepost check` prints it.
    fn verdict(&self, text: &str) -> Result<String> {
        let mut lines = text.lines().map(str::trim);
        let application = lines.find_map(|line| line.strip_prefix("application: "));
        let application = Audience::new(application.context("the file names an application")?)?;
        let word = self.keys.ring()?.verdicts(&application).into_iter().next();
        word.context("a ring has a word")
    }

    /// Returns a proxy in front of this site, which works when it refuses users without a session
    /// at these hosts.
    pub(crate) fn front(
        &self,
        name: &'static str,
        command: Command,
        hosts: &[&str],
    ) -> Result<Service> {
        let mut service = Service::new(name, command, &self.logs);
        for host in hosts {
            service = service.answering(self.url(host, "/ready?")?, self.turned_away);
        }
        service.start()?;
        Ok(service)
    }
}

fn applications(config: &mut Value) -> Result<&mut Vec<Value>> {
    config
        .get_mut("applications")
        .and_then(Value::as_array_mut)
        .context("the outpost's configuration has applications")
}

/// Adds a provider to the one of the outpost's configuration, alike but for this.
fn add_provider(config: &mut Value, name: &str, title: &str, issuer: &str) -> Result<()> {
    let providers = config.get_mut("providers").and_then(Value::as_array_mut);
    let providers = providers.context("the outpost's configuration has providers")?;
    let mut added = providers.first().context("a provider")?.clone();
    let own = json!({ "name": name, "title": title, "issuer": issuer });
    settings::merge(&mut added, &own);
    providers.push(added);
    Ok(())
}

/// Returns the origins that the provider sends browsers back to.
fn origins(config: &mut Value) -> Result<Vec<String>> {
    applications(config)?
        .iter()
        .map(|application| {
            let url = application.get("externalUrl").and_then(Value::as_str);
            url.map(str::to_owned).context("an application has a URL")
        })
        .collect()
}
