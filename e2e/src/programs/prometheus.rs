//! A real Prometheus, set up by the files of `deploy/prometheus/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::clients::{Answer, Client};
use crate::programs::Service;
use crate::programs::ports;
use crate::site::Site;
use crate::tools::{Packaged, Tool as _};
use crate::{layout, settings, stack};

/// How often it scrapes here.
const SCRAPE_INTERVAL: &str = "1s";

/// Prometheus, until it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    origin: Url,
    client: Client,
    _service: Service,
}

impl Prometheus {
    /// Starts it for the outpost of this site and a Traefik whose metrics are at the site's extra
    /// port.
    ///
    /// # Errors
    ///
    /// When it is not installed, takes offence at the files, or does not become ready.
    pub fn start(site: &Site) -> Result<Self> {
        let folder = site.folder().join("prometheus");
        fs::create_dir_all(&folder)?;
        let text = fs::read_to_string(deployed("prometheus.yaml"))?;
        let mut config: Value = serde_saphyr::from_str(&text).context("parse prometheus.yaml")?;
        let target = |port: u16| json!([{ "targets": [format!("127.0.0.1:{port}")] }]);
        for (job, port) in [
            ("gatepost", site.ports().metrics),
            ("traefik", site.ports().extra),
        ] {
            let jobs = config
                .get_mut("scrape_configs")
                .and_then(Value::as_array_mut);
            let mut jobs = jobs.context("it scrapes")?.iter_mut();
            let shown = jobs
                .find(|shown| shown["job_name"] == job)
                .with_context(|| format!("it scrapes {job}"))?;
            settings::merge(shown, &json!({ "static_configs": target(port) }));
        }
        let own = json!({
            "global": { "scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL },
            "rule_files": [deployed("gatepost.rules.yaml")],
        });
        settings::merge(&mut config, &own);
        let file = folder.join("prometheus.json");
        settings::write(&file, &config)?;

        let port = ports::free()?;
        let origin = Url::parse(&format!("http://127.0.0.1:{port}"))?;
        let mut command = Command::new(Packaged::Prometheus.locate()?);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let logs = stack::logs_folder(None)?;
        let service = Service::new("prometheus", command, &logs)
            .answering(origin.join("/-/ready")?, StatusCode::OK);
        service.start()?;
        Ok(Self {
            origin,
            client: Client::new()?,
            _service: service,
        })
    }

    /// Evaluates an expression now: returns each series with its labels and its value.
    ///
    /// # Errors
    ///
    /// When Prometheus does not take it.
    pub fn query(&self, expression: &str) -> Result<Vec<Series>> {
        let mut url = self.origin.join("/api/v1/query")?;
        url.query_pairs_mut().append_pair("query", expression);
        let result = self.ask(&url)?;
        let result = result.pointer("/data/result").and_then(Value::as_array);
        result
            .context("a result")?
            .iter()
            .map(|series| {
                let value = series.pointer("/value/1").and_then(Value::as_str);
                Ok(Series {
                    labels: series["metric"].clone(),
                    value: value.context("a value")?.parse()?,
                })
            })
            .collect()
    }

    /// Returns the alert rules that it has loaded: each with its name and the health of its
    /// evaluation.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn alerts(&self) -> Result<Vec<(String, String)>> {
        let answer = self.ask(&self.origin.join("/api/v1/rules")?)?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let rules = groups.context("groups of rules")?.iter();
        let rules = rules
            .filter_map(|group| group["rules"].as_array())
            .flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        rules
            .map(|rule| Ok((text(&rule["name"])?, text(&rule["health"])?)))
            .collect()
    }

    fn ask(&self, url: &Url) -> Result<Value> {
        let answer = Answer::read(self.client.bare(Method::GET, url).send()?)?;
        ensure!(answer.status == StatusCode::OK, "{url}: {}", answer.body);
        answer.json()
    }
}

/// A series at one moment.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels.
    pub labels: Value,
    /// Its value, which may be no number.
    pub value: f64,
}

/// Runs `promtool`, which comes with Prometheus, in the folder `deploy/prometheus/`.
///
/// # Errors
///
/// When it is not installed, or reports a problem: with its output.
pub fn promtool(arguments: &[&str]) -> Result<()> {
    let server = Packaged::Prometheus.locate()?;
    let output = Command::new(server.with_file_name("promtool"))
        .args(arguments)
        .current_dir(deployed(""))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}{complained}");
    Ok(())
}

fn deployed(file: &str) -> PathBuf {
    layout::root()
        .join(Path::new("deploy/prometheus"))
        .join(file)
}
