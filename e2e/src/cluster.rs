//! A real Kubernetes API: etcd and the API server, without nodes, so that nothing is ever run.
//!
//! What a node would do, tests do: [`network`] gives pods addresses that the API accepts, and names
//! to Services.

pub mod names;
pub mod network;

use std::fs;
use std::io::Write as _;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs::{Process, ports};
use crate::tools::{CustomResources, KubeApiServer, KubernetesClients, Packaged, Tool as _};
use crate::wait;

/// For the API server to start on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(300);

/// The token of the administrator, who may do everything.
const TOKEN: &str = "administrator-of-the-tests";

/// What the tokens of service accounts have in `iss`.
pub const ISSUER: &str = "https://kubernetes.default.svc";

/// How `kubectl` applies objects.
const APPLY: [&str; 3] = ["apply", "--validate=strict", "--warnings-as-errors"];

/// How `kubectl` removes objects.
const DELETE: [&str; 3] = ["delete", "--ignore-not-found", "--wait=false"];

/// An API server with the custom resources that the manifests use, until it is dropped.
#[derive(Debug)]
pub struct Cluster {
    // In this order: the server first, which would complain about etcd.
    _server: Process,
    _etcd: Process,
    folder: TempDir,
    kubectl: PathBuf,
    helm: PathBuf,
    port: u16,
}

impl Cluster {
    /// Says what a cluster needs that is not installed.
    ///
    /// # Errors
    ///
    /// When something is missing.
    pub fn locate() -> Result<()> {
        KubeApiServer.locate()?;
        Packaged::Etcd.locate()?;
        KubernetesClients.locate()?;
        CustomResources.locate()?;
        Ok(())
    }

    /// Starts etcd and the API server, and defines the custom resources.
    ///
    /// # Errors
    ///
    /// When something is not installed or does not become ready.
    pub fn start(logs: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("gatepost-cluster-")
            .tempdir()?;
        let at = folder.path();
        let (etcd_port, peers, port) = (ports::free()?, ports::free()?, ports::free()?);
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let etcd = Process::spawn(
            "etcd",
            &etcd(&at.join("etcd"), &etcd_url, peers)?,
            &logs.join("etcd.log"),
        )?;
        let mut server = Process::spawn(
            "kube-apiserver",
            &api_server(at, &etcd_url, port)?,
            &logs.join("kube-apiserver.log"),
        )?;
        fs::write(at.join("kubeconfig"), kubeconfig(port).to_string())?;
        let clients = KubernetesClients.locate()?;
        let (kubectl, helm) = (clients.kubectl, clients.helm);
        let mut refusal = None;
        let ready = server.ready(START_LIMIT, || {
            let mut command = kubectl_command(&kubectl, at);
            command.args(["get", "--raw=/readyz", "--request-timeout=5s"]);
            refusal = run(&mut command, None).err();
            refusal.is_none()
        });
        ready.with_context(|| refusal.map_or_else(String::new, |error| format!("{error:#}")))?;
        let cluster = Self {
            _server: server,
            _etcd: etcd,
            folder,
            kubectl,
            helm,
            port,
        };
        cluster.define_custom_resources()?;
        Ok(cluster)
    }

    fn define_custom_resources(&self) -> Result<()> {
        let folder = CustomResources.locate()?;
        let folder = folder.to_string_lossy();
        // Server-side: some are larger than the annotation that the other way writes.
        // On a busy machine the server gives up on one of them now and then.
        wait::until_ok("custom resources to be defined", START_LIMIT, || {
            self.kubectl(&["apply", "--server-side", "-f", &folder], None)
        })?;
        let established = ["wait", "--for=condition=Established", "crd", "--all"];
        self.kubectl(&established, None)?;
        // What `kubectl` validates by. The server writes it when it is first asked for, which on a busy
        // machine takes longer than `kubectl` waits where it validates, or than the server itself does.
        wait::until_ok("the schemas of all objects", START_LIMIT, || {
            self.kubectl(&["get", "--raw=/openapi/v2"], None)
        })?;
        Ok(())
    }

    /// Makes a namespace where Pods must fit the standard `restricted`.
    ///
    /// # Errors
    ///
    /// When the API server refuses it.
    pub fn restricted_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            } },
        });
        self.change(&APPLY, &[namespace])
    }

    /// Applies objects as `kubectl` does, and takes a warning for an error: unknown fields,
    /// deprecated versions, Pods that the namespace's standard would not admit.
    ///
    /// They are in the cluster until what this returns is dropped.
    ///
    /// # Errors
    ///
    /// When the API server refuses one of them or warns of it. Those before it are then removed.
    pub fn apply(&self, objects: Vec<Value>) -> Result<Applied<'_>> {
        let applied = Applied {
            cluster: self,
            objects,
        };
        self.change(&APPLY, &applied.objects)?;
        Ok(applied)
    }

    /// Runs `kubectl` with these arguments, for these objects.
    fn change(&self, arguments: &[&str], objects: &[Value]) -> Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.kubectl(&[arguments, &["-f", "-"]].concat(), Some(&list.to_string()))?;
        Ok(())
    }

    /// Runs `kubectl` as the administrator: what it printed.
    ///
    /// # Errors
    ///
    /// When it fails; with what it printed.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut command = kubectl_command(&self.kubectl, self.folder.path());
        run(command.args(arguments), input)
    }

    /// Runs `helm` as the administrator: what it printed.
    ///
    /// # Errors
    ///
    /// When it fails; with what it printed.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.helm);
        command
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HELM_CACHE_HOME", self.folder.path().join("helm"))
            .env("HELM_CONFIG_HOME", self.folder.path().join("helm"))
            .env("HELM_DATA_HOME", self.folder.path().join("helm"));
        run(command.args(arguments), None)
    }

    /// Returns a token for a service account, as `kubectl` gets one: for this audience, or for the
    /// API server itself.
    ///
    /// # Errors
    ///
    /// When the API server refuses it.
    pub fn token_of(
        &self,
        namespace: &str,
        account: &str,
        audience: Option<&str>,
    ) -> Result<String> {
        let audience = audience.map(|audience| format!("--audience={audience}"));
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        arguments.extend(audience.as_deref());
        Ok(self.kubectl(&arguments, None)?.trim().to_owned())
    }

    /// Returns the API server's address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the file with the certificate of the API server.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    /// Returns the file with which clients find the API server, as the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Returns the settings with which one of Traefik's providers reaches the API server.
    pub fn traefik_access(&self) -> Value {
        json!({
            "endpoint": self.url(),
            "token": TOKEN,
            "certAuthFilePath": self.certificate(),
        })
    }
}

/// Runs `helm` without a cluster: what it printed.
///
/// # Errors
///
/// When it is not installed, or fails; with what it printed.
pub fn helm_alone(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(KubernetesClients.locate()?.helm);
    run(command.args(arguments), None)
}

/// Objects in a cluster, until this is dropped.
#[derive(Debug)]
pub struct Applied<'c> {
    cluster: &'c Cluster,
    objects: Vec<Value>,
}

impl Applied<'_> {
    /// Removes the objects.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub fn remove(mut self) -> Result<()> {
        let objects = mem::take(&mut self.objects);
        self.cluster.change(&DELETE, &objects)
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        if let Err(error) = self.cluster.change(&DELETE, &self.objects) {
            eprintln!("objects are left for the next test: {error:#}");
        }
    }
}

fn etcd(data: &Path, url: &str, peers: u16) -> Result<Command> {
    let peers = format!("http://127.0.0.1:{peers}");
    let mut command = Command::new(Packaged::Etcd.locate()?);
    command
        .arg("--data-dir")
        .arg(data)
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=default={peers}"))
        // What is lost when the machine fails is lost with the test.
        .arg("--unsafe-no-fsync");
    Ok(command)
}

fn api_server(folder: &Path, etcd_url: &str, port: u16) -> Result<Command> {
    // Signs the tokens of accounts.
    let accounts = KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
    let administrator = format!("{TOKEN},administrator,administrator,system:masters\n");
    fs::write(folder.join("tokens.csv"), administrator)?;
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut command = Command::new(KubeApiServer.locate()?);
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--secure-port={port}"))
        .arg(format!("--cert-dir={}", file("certificates")))
        .arg(format!("--token-auth-file={}", file("tokens.csv")))
        .arg("--authorization-mode=RBAC")
        .arg(format!("--service-account-issuer={ISSUER}"))
        .arg(format!(
            "--service-account-key-file={}",
            file("accounts.pub")
        ))
        .arg(format!(
            "--service-account-signing-key-file={}",
            file("accounts.key")
        ))
        .arg("--service-cluster-ip-range=10.96.0.0/16")
        // No controller makes the account `default` of a namespace, which Pods would need.
        .arg("--disable-admission-plugins=ServiceAccount")
        // No client asks for it, and without a network the server finds no address.
        .arg(format!("--advertise-address={}", network::API_SERVER))
        .arg("--endpoint-reconciler-type=none");
    Ok(command)
}

fn kubeconfig(port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [{ "name": "tests", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": "certificates/apiserver.crt",
        } }],
        "users": [{ "name": "administrator", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "tests", "context": {
            "cluster": "tests",
            "user": "administrator",
        } }],
    })
}

fn kubectl_command(kubectl: &Path, folder: &Path) -> Command {
    let mut command = Command::new(kubectl);
    command
        .arg("--kubeconfig")
        .arg(folder.join("kubeconfig"))
        .arg("--cache-dir")
        .arg(folder.join("kubectl"));
    command
}

/// Runs a command to its end, with this input: what it printed.
fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.unwrap_or_default().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        let complained = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed:\n{said}{complained}");
    }
    Ok(said)
}
