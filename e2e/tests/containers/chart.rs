//! The pods of the Helm chart, run as a node runs them: with the rendered arguments, variables, mounts, user
//! and rights, and with our image. The API server of the Kubernetes suite runs none.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::cluster::{helm_alone, network::PodPort};
use gatepost_e2e::containers::Engine;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::tools::{KubernetesClients, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Redis, Site, layout, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "chart::its_pods_run_and_sign_a_user_in",
    run: its_pods_run_and_sign_a_user_in,
}];

/// For a pod to be ready.
const LIMIT: Duration = Duration::from_secs(90);

const IMAGE: &str = "localhost/gatepost/outpost";

/// The group that the mounted files have.
const GROUP: u32 = 65532;

fn its_pods_run_and_sign_a_user_in(engine: &Engine) -> Result<()> {
    if let Err(error) = KubernetesClients.locate() {
        return Err(LeftOut(format!("no helm: {error:#}")).into());
    }
    let site = Site::builder("deploy/outpost/single.yaml").start()?;
    let mut redis = Redis::start(site.folder(), &[])?;
    redis.ask("CONFIG SET requirepass hush")?;
    let secrets = json!({
        "gatepost-provider": { "client-secret": secret_of_the_client(&site)? },
        "gatepost-redis": { "url": format!("redis://:hush@127.0.0.1:{}", redis.port()) },
    });
    let release = Release {
        engine,
        folder: engine.folder("chart")?,
        objects: rendered(&site)?,
        secrets,
    };
    // The site's own outpost makes place for the pod, which has the keys that the chart made.
    site.outpost().stop();
    let keys = release.files_of_secret("gatepost-keys")?;
    let (_, keys) = keys.first().context("keys")?;
    fs::write(site.folder().join("keys/gatepost.keys"), keys)?;
    let _way = PodPort::open([127, 0, 0, 1].into(), site.ports().outpost, 9000)?;

    let deployment = release.object("Deployment")?;
    let pod = &deployment["spec"]["template"]["spec"];
    let outpost = release.run("outpost", pod, &["--detach"])?;
    let until_probe = |probe: &str, status: StatusCode| {
        let path = pod["containers"][0][probe]["httpGet"]["path"].as_str();
        let path = path.context("a path")?;
        let url = Url::parse("http://127.0.0.1:9300")?.join(path)?;
        until(&format!("{status} of {probe}"), LIMIT, || {
            let answer = Client::new()?.fetch(Method::GET, &url).send();
            let is_so = answer.is_ok_and(|answer| answer.status() == status);
            Ok(is_so.then_some(()))
        })
        .with_context(|| outpost.said())
    };
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        until_probe(probe, StatusCode::OK)?;
    }

    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route("deploy/traefik/dynamic/plugin-single.yaml")?
        .start(&["wiki"])?;
    let page = site.url("wiki", "/page")?;
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));

    // `helm test`.
    let check = release.object("Pod")?;
    drop(release.run("check", &check["spec"], &["--rm"])?);
    redis.stop();
    // A pod that begins now waits; this one goes on for who is signed in.
    until_probe("startupProbe", StatusCode::SERVICE_UNAVAILABLE)?;
    until_probe("readinessProbe", StatusCode::OK)?;
    let failed = release.run("check", &check["spec"], &["--rm"]);
    let failed = failed.err().context("the check finds no store")?;
    let failed = format!("{failed:#}");
    assert!(failed.contains("`store`: cannot be looked at"), "{failed}");
    Ok(())
}

fn secret_of_the_client(site: &Site) -> Result<String> {
    let text = fs::read_to_string(site.folder().join("gatepost.yaml"))?;
    let config: Value = serde_json::from_str(&text)?;
    let secret = config["providers"][0]["clientSecret"].as_str();
    Ok(secret.context("a secret")?.to_owned())
}

/// The chart's objects for this site.
fn rendered(site: &Site) -> Result<Vec<Value>> {
    let text = fs::read_to_string(site.folder().join("gatepost.yaml"))?;
    let mut config: Value = serde_json::from_str(&text)?;
    for key in ["listen", "store", "keysFile", "log"] {
        config.as_object_mut().context("keys")?.remove(key);
    }
    let provider = config["providers"][0].as_object_mut();
    let provider = provider.context("a provider")?;
    provider.remove("clientSecret");
    let file = "/etc/gatepost/secrets/gatepost-provider/client-secret";
    provider.insert("clientSecretFile".into(), file.into());
    let values = site.folder().join("values.json");
    let text = json!({
        "image": { "repository": IMAGE, "tag": "latest" },
        "store": { "redis": { "existingSecret": "gatepost-redis" } },
        "secrets": ["gatepost-provider"],
        "config": config,
    });
    fs::write(&values, text.to_string())?;
    let chart = layout::root().join("deploy/helm/gatepost");
    let said = helm_alone(&[
        "template",
        "gatepost",
        &chart.to_string_lossy(),
        "-f",
        &values.to_string_lossy(),
    ])?;
    Ok(serde_saphyr::from_multiple(&said)?)
}

/// What the chart made, with the Secrets that an operator makes.
struct Release<'e> {
    engine: &'e Engine,
    folder: PathBuf,
    objects: Vec<Value>,
    secrets: Value,
}

impl Release<'_> {
    fn object(&self, kind: &str) -> Result<&Value> {
        let found = self.objects.iter().find(|object| object["kind"] == kind);
        found.with_context(|| format!("a {kind}"))
    }

    fn files_of_secret(&self, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let made =
            |object: &&Value| object["kind"] == "Secret" && object["metadata"]["name"] == name;
        if let Some(made) = self.objects.iter().find(made) {
            let data = made["data"].as_object().context("data")?;
            let decoded = data.iter().map(|(file, text)| {
                let text = text.as_str().context("a text")?;
                Ok((file.clone(), STANDARD.decode(text)?))
            });
            return decoded.collect();
        }
        texts(&self.secrets[name])
    }

    /// Runs the one container of a pod, with these arguments for the engine besides.
    fn run(&self, name: &str, pod: &Value, further: &[&str]) -> Result<Container<'_>> {
        let container = &pod["containers"][0];
        let user = |key: &str| pod["securityContext"][key].as_u64().context(key.to_owned());
        ensure!(user("fsGroup")? == u64::from(GROUP), "{pod}");
        let security = &container["securityContext"];
        let mut arguments = vec![
            "run".to_owned(),
            format!("--name=chart-{name}"),
            // The provider, Redis and Traefik are in the same network of the tests' own.
            "--network=host".to_owned(),
            format!("--user={}:{}", user("runAsUser")?, user("runAsGroup")?),
        ];
        arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
        for (is_so, argument) in [
            (
                security["readOnlyRootFilesystem"] == true,
                "--read-only --read-only-tmpfs=false",
            ),
            (
                security["allowPrivilegeEscalation"] == false,
                "--security-opt=no-new-privileges",
            ),
            (
                security["capabilities"]["drop"] == json!(["ALL"]),
                "--cap-drop=all",
            ),
        ] {
            ensure!(is_so, "no {argument} in {security}");
            arguments.extend(argument.split(' ').map(str::to_owned));
        }
        for variable in container["env"].as_array().context("variables")? {
            let text = |key: &str| variable[key].as_str().context(key.to_owned());
            arguments.push(format!("--env={}={}", text("name")?, text("value")?));
        }
        for mount in container["volumeMounts"].as_array().context("mounts")? {
            let at = mount["mountPath"].as_str().context("a path")?;
            let from = self.volume(name, pod, &mount["name"])?;
            let access = if mount["readOnly"] == true {
                "ro"
            } else {
                "rw"
            };
            arguments.push(format!("--volume={}:{at}:{access}", from.display()));
        }
        arguments.push(container["image"].as_str().context("an image")?.to_owned());
        for argument in container["args"].as_array().context("arguments")? {
            arguments.push(argument.as_str().context("an argument")?.to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let started = Container {
            engine: self.engine,
            name: format!("chart-{name}"),
        };
        self.engine.podman(&arguments)?;
        Ok(started)
    }

    /// Lays out a volume of a pod as a kubelet does.
    fn volume(&self, pod_name: &str, pod: &Value, name: &Value) -> Result<PathBuf> {
        let volumes = pod["volumes"].as_array().context("volumes")?;
        let volume = volumes.iter().find(|volume| volume["name"] == *name);
        let volume = volume.with_context(|| format!("a volume {name}"))?;
        let at = self
            .folder
            .join(pod_name)
            .join(name.as_str().context("a name")?);
        let _ = fs::remove_dir_all(&at);
        fs::create_dir_all(&at)?;
        chown(&at, Some(0), Some(GROUP))?;
        fs::set_permissions(&at, fs::Permissions::from_mode(0o2775))?;
        if let Some(secret) = volume["secret"]["secretName"].as_str() {
            let mode = volume["secret"]["defaultMode"].as_u64().context("a mode")?;
            let mode = u32::try_from(mode)?;
            mounted(&at, &self.files_of_secret(secret)?, mode)?;
        } else if let Some(map) = volume["configMap"]["name"].as_str() {
            let object = self.object("ConfigMap")?;
            ensure!(object["metadata"]["name"] == map, "{object}");
            mounted(&at, &texts(&object["data"])?, 0o644)?;
        } else if volume["emptyDir"].is_null() {
            bail!("{volume} is of no kind that this knows");
        }
        Ok(at)
    }
}

fn texts(section: &Value) -> Result<Vec<(String, Vec<u8>)>> {
    let files = section.as_object().context("files")?.iter();
    let files = files.map(|(name, text)| {
        let text = text.as_str().context("a text")?;
        Ok((name.clone(), text.as_bytes().to_vec()))
    });
    files.collect()
}

/// Writes the files behind links, which a kubelet turns round all at once.
fn mounted(at: &Path, files: &[(String, Vec<u8>)], mode: u32) -> Result<()> {
    let version = "..2026_11_27_00_00_00.1234567890";
    fs::create_dir(at.join(version))?;
    symlink(version, at.join("..data"))?;
    for (name, bytes) in files {
        let file = at.join(version).join(name);
        fs::write(&file, bytes)?;
        chown(&file, Some(0), Some(GROUP))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        symlink(format!("..data/{name}"), at.join(name))?;
    }
    Ok(())
}

/// A container, until this is dropped.
struct Container<'e> {
    engine: &'e Engine,
    name: String,
}

impl Container<'_> {
    fn said(&self) -> String {
        let said = self.engine.podman(&["logs", &self.name]);
        said.unwrap_or_else(|error| format!("{error:#}"))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self
            .engine
            .podman(&["rm", "--force", "--ignore", "--time=1", &self.name]);
    }
}
