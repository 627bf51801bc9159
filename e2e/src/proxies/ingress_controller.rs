use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::{Cluster, names};
use crate::layout;
use crate::programs::{Service, ports};
use crate::site::Site;
use crate::tools::{self, NGINX_MODULES, Tool as _};

/// The controller of ingress-nginx itself, which reads Ingresses from a real API server and writes
/// and runs nginx's configuration.
///
/// Only its nginx is another one, Debian's; `e2e/ingress-nginx/` has what that lacks.
#[derive(Clone, Copy, Debug)]
pub struct IngressController;

/// The namespace and the name of its ConfigMap.
const CONFIG_MAP: &str = "ingress-nginx/ingress-nginx-controller";

impl IngressController {
    /// Returns the Pod in which it believes itself to be, which it looks for when it starts.
    pub fn pod() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "ingress-nginx-controller", "namespace": "ingress-nginx" },
            "spec": {
                "securityContext": {
                    "runAsNonRoot": true,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "controller",
                    "image": "controller",
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": { "drop": ["ALL"] },
                    },
                }],
            },
        })
    }

    /// Returns its ConfigMap, with these settings.
    pub fn config_map(data: &Value) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "ingress-nginx-controller", "namespace": "ingress-nginx" },
            "data": data,
        })
    }

    /// Starts the controller, whose nginx listens at this port, and waits until it protects these
    /// hosts of the site.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(cluster: &Cluster, site: &Site, port: u16, hosts: &[&str]) -> Result<Service> {
        let controller = tools::IngressController.locate()?;
        let own = layout::root().join("e2e/ingress-nginx");
        let folder = site.folder().join("ingress-nginx");
        fs::create_dir_all(&folder)?;
        let mut command = Command::new("unshare");
        command
            // The controller puts nginx into a process group of its own, which has to end too. It
            // looks for nginx among the processes.
            .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(own.join("image.sh"))
            .arg(folder)
            .arg(controller.files)
            .arg(names::SERVER.to_string())
            .arg(controller.program)
            .arg(format!("--kubeconfig={}", cluster.kubeconfig().display()))
            .arg(format!("--configmap={CONFIG_MAP}"))
            .arg(format!("--http-port={port}"))
            .arg(format!("--https-port={}", ports::free()?))
            // As since 1.12, where this is the default.
            .arg("--enable-annotation-validation=true")
            // Every change at once: the default is one in three seconds.
            .arg("--sync-rate-limit=20")
            // What needs a cluster with nodes, or a network.
            .arg("--update-status=false")
            .arg("--disable-leader-election=true")
            .arg("--enable-metrics=false")
            .arg("--profiling=false")
            .arg("--post-shutdown-grace-period=0")
            .env("POD_NAMESPACE", "ingress-nginx")
            .env("POD_NAME", "ingress-nginx-controller")
            .env("NGINX_BINARY", own.join("nginx.sh"))
            .env("GATEPOST_NGINX", controller.nginx)
            .env("GATEPOST_NGINX_MODULES", NGINX_MODULES)
            .env("GATEPOST_ABSENT_LUA", own.join("absent.lua"));
        site.front("ingress-nginx", command, hosts)
    }
}
