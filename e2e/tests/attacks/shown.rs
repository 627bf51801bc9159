//! Every configuration of a proxy that the docs show.

use std::any::Any;
use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::Compose;
use gatepost_e2e::doubles::docker_api::DockerApi;
use gatepost_e2e::doubles::kube_api::KubeApi;
use gatepost_e2e::proxies::{Caddy, Envoy, Haproxy, Nginx, Traefik};
use gatepost_e2e::{Service, Site};
use serde_json::{Map, Value, json};

/// A proxy as a page of the docs shows it.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    /// The outpost's file that goes with it.
    outpost: &'static str,
    proxy: Proxy,
}

enum Proxy {
    /// Traefik's static configuration, and its routing.
    Traefik(&'static str, &'static str),
    Compose(&'static str),
    /// Traefik's static configuration, and manifests.
    Kubernetes(&'static str, &'static str),
    Nginx(&'static str),
    Haproxy(&'static str),
    Caddy(&'static str),
    Envoy(&'static str),
}

/// The outpost's file for one application.
pub(crate) const SINGLE: &str = "deploy/outpost/single.yaml";

/// The outpost's file for a domain.
pub(crate) const DOMAIN: &str = "deploy/outpost/domain.yaml";

const PLUGIN: &str = "deploy/traefik/static/plugin.yaml";
const ASKING: &str = "deploy/traefik/static/forward-auth.yaml";
const ASKING_SINGLE: &str = "deploy/traefik/dynamic/forward-auth-single.yaml";
const KUBERNETES: &str = "deploy/traefik/static/kubernetes-plugin.yaml";
const KUBERNETES_ASKING: &str = "deploy/traefik/static/kubernetes-forward-auth.yaml";

/// Traefik in front of one application, which asks the outpost without the plugin.
pub(crate) fn forward_auth(site: &Site) -> Result<Service> {
    Traefik::new(site, ASKING)?
        .route(ASKING_SINGLE)?
        .start(&["wiki"])
}

const fn shown(name: &'static str, outpost: &'static str, proxy: Proxy) -> Shown {
    Shown {
        name,
        outpost,
        proxy,
    }
}

/// All of them. `docker-compose.yml` at the top, which is for a demo, shows what
/// `compose/plugin-single.yaml` does.
static SHOWN: [Shown; 23] = {
    use Proxy::{Caddy, Compose, Envoy, Haproxy, Kubernetes, Nginx, Traefik};
    [
        shown(
            "plugin",
            SINGLE,
            Traefik(PLUGIN, "deploy/traefik/dynamic/plugin-single.yaml"),
        ),
        shown(
            "plugin, domain",
            DOMAIN,
            Traefik(PLUGIN, "deploy/traefik/dynamic/plugin-domain.yaml"),
        ),
        shown(
            "route",
            SINGLE,
            Traefik(PLUGIN, "deploy/traefik/dynamic/route-single.yaml"),
        ),
        shown(
            "route, domain",
            DOMAIN,
            Traefik(PLUGIN, "deploy/traefik/dynamic/route-domain.yaml"),
        ),
        shown("forwardAuth", SINGLE, Traefik(ASKING, ASKING_SINGLE)),
        shown(
            "forwardAuth, domain",
            DOMAIN,
            Traefik(ASKING, "deploy/traefik/dynamic/forward-auth-domain.yaml"),
        ),
        shown(
            "labels, plugin",
            SINGLE,
            Compose("deploy/compose/plugin-single.yaml"),
        ),
        shown(
            "labels, plugin, domain",
            DOMAIN,
            Compose("deploy/compose/plugin-domain.yaml"),
        ),
        shown(
            "labels, forwardAuth",
            SINGLE,
            Compose("deploy/compose/forward-auth-single.yaml"),
        ),
        shown(
            "labels, forwardAuth, domain",
            DOMAIN,
            Compose("deploy/compose/forward-auth-domain.yaml"),
        ),
        shown(
            "Kubernetes, plugin",
            SINGLE,
            Kubernetes(KUBERNETES, "deploy/kubernetes/traefik/plugin-single.yaml"),
        ),
        shown(
            "Kubernetes, plugin, domain",
            DOMAIN,
            Kubernetes(KUBERNETES, "deploy/kubernetes/traefik/plugin-domain.yaml"),
        ),
        shown(
            "Kubernetes, route",
            SINGLE,
            Kubernetes(KUBERNETES, "deploy/kubernetes/traefik/route-single.yaml"),
        ),
        shown(
            "Kubernetes, forwardAuth",
            SINGLE,
            Kubernetes(
                KUBERNETES_ASKING,
                "deploy/kubernetes/traefik/forward-auth-single.yaml",
            ),
        ),
        shown(
            "Kubernetes, forwardAuth, domain",
            DOMAIN,
            Kubernetes(
                KUBERNETES_ASKING,
                "deploy/kubernetes/traefik/forward-auth-domain.yaml",
            ),
        ),
        shown("nginx", SINGLE, Nginx("deploy/nginx/single.conf")),
        shown("nginx, domain", DOMAIN, Nginx("deploy/nginx/domain.conf")),
        shown("HAProxy", SINGLE, Haproxy("deploy/haproxy/single.cfg")),
        shown(
            "HAProxy, domain",
            DOMAIN,
            Haproxy("deploy/haproxy/domain.cfg"),
        ),
        shown("Caddy", SINGLE, Caddy("deploy/caddy/single.Caddyfile")),
        shown(
            "Caddy, domain",
            DOMAIN,
            Caddy("deploy/caddy/domain.Caddyfile"),
        ),
        shown("Envoy", SINGLE, Envoy("deploy/envoy/single.yaml")),
        shown("Envoy, domain", DOMAIN, Envoy("deploy/envoy/domain.yaml")),
    ]
};

/// Returns the configurations that go with this file of the outpost's: they can take turns in front
/// of one site.
pub(crate) fn with_outpost(file: &str) -> impl Iterator<Item = &'static Shown> {
    SHOWN.iter().filter(move |shown| shown.outpost == file)
}

/// A running proxy, with the source of its configuration.
pub(crate) type Running = Vec<Box<dyn Any>>;

impl Shown {
    /// Returns whether it is Traefik with a file, which a load balancer can be put in front of.
    pub(crate) fn can_be_balanced(&self) -> bool {
        matches!(self.proxy, Proxy::Traefik(..))
    }

    fn is_domain(&self) -> bool {
        self.outpost == DOMAIN
    }

    /// Returns the host at which the outpost answers browsers.
    pub(crate) fn outpost_host(&self) -> &'static str {
        if self.is_domain() { "auth" } else { "wiki" }
    }

    /// Starts it in front of a site. Plugins in it have these public paths.
    pub(crate) fn start(&self, site: &Site, public: &[&str]) -> Result<Running> {
        self.start_behind(site, public, false)
    }

    /// Starts it as [`Self::start`] does, behind a load balancer.
    pub(crate) fn start_balanced(&self, site: &Site, public: &[&str]) -> Result<Running> {
        self.start_behind(site, public, true)
    }

    fn start_behind(&self, site: &Site, public: &[&str], balanced: bool) -> Result<Running> {
        // What another configuration left there, in front of the same site.
        let folder = site.folder().join("traefik");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let hosts: &[&str] = if self.is_domain() {
            &["wiki", "files"]
        } else {
            &["wiki"]
        };
        let service = match self.proxy {
            Proxy::Traefik(own, dynamic) => {
                let mut traefik = Traefik::new(site, own)?
                    .route_with(dynamic, &opened(site, dynamic, public)?)?;
                if balanced {
                    traefik = traefik.behind_load_balancer();
                    // As the page says for this case.
                    if dynamic == ASKING_SINGLE {
                        traefik = traefik.route("deploy/traefik/dynamic/outpost-single.yaml")?;
                    }
                }
                traefik.start(hosts)?
            }
            Proxy::Compose(file) => return labels(site, file, public, hosts),
            Proxy::Kubernetes(own, manifests) => {
                return cluster(site, own, manifests, public, hosts);
            }
            Proxy::Nginx(file) => Nginx::start(site, file, hosts)?,
            Proxy::Haproxy(file) => Haproxy::start(site, file, hosts)?,
            Proxy::Caddy(file) => Caddy::start(site, file, hosts)?,
            Proxy::Envoy(file) => Envoy::start(site, file, hosts)?,
        };
        Ok(vec![Box::new(service)])
    }
}

/// Returns the changes that give each plugin of a routing configuration these public paths.
fn opened(site: &Site, dynamic: &str, public: &[&str]) -> Result<Value> {
    let config: Value = serde_saphyr::from_str(&site.fitted(dynamic, &[])?)?;
    let middlewares = config.pointer("/http/middlewares");
    let middlewares = middlewares
        .and_then(Value::as_object)
        .context(dynamic.to_owned())?;
    let plugins: Map<String, Value> = middlewares
        .iter()
        .filter(|(_, middleware)| middleware.get("plugin").is_some())
        .map(|(name, _)| {
            let public = json!({ "plugin": { "gatepost": { "public": public } } });
            (name.clone(), public)
        })
        .collect();
    Ok(json!({ "http": { "middlewares": plugins } }))
}

fn labels(site: &Site, file: &str, public: &[&str], hosts: &[&str]) -> Result<Running> {
    let mut compose = Compose::read(site, file)?;
    for container in &mut compose.containers {
        let applications: Vec<String> = container
            .labels
            .keys()
            .filter_map(|key| key.strip_suffix(".plugin.gatepost.application"))
            .map(str::to_owned)
            .collect();
        for middleware in applications {
            let key = format!("{middleware}.plugin.gatepost.public");
            container.labels.insert(key, public.join(","));
        }
    }
    let socket = site.folder().join("docker.sock");
    if socket.exists() {
        fs::remove_file(&socket)?;
    }
    let engine = DockerApi::start(&socket, compose.containers.clone())?;
    let traefik = Traefik::of_compose(site, &compose, &socket)?.start(hosts)?;
    Ok(vec![Box::new(traefik), Box::new(engine)])
}

fn cluster(
    site: &Site,
    own: &str,
    manifests: &str,
    public: &[&str],
    hosts: &[&str],
) -> Result<Running> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&site.fitted(manifests, &[])?)?;
    for object in &mut objects {
        if let Some(Value::Object(plugin)) = object.pointer_mut("/spec/plugin/gatepost") {
            plugin.insert("public".into(), json!(public));
        }
    }
    let cluster = KubeApi::of_site(site, objects)?;
    let traefik = Traefik::new(site, own)?
        .configure(&json!({ "providers": { "kubernetesCRD": cluster.traefik_access() } }))
        .start(hosts)?;
    Ok(vec![Box::new(traefik), Box::new(cluster)])
}
