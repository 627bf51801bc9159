//! What real Traefik serves of what is in the real API: each file of `deploy/kubernetes/traefik/`,
//! with the sign-in and everything else that a deployment must do.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_e2e::cluster::{Applied, Cluster, network};
use gatepost_e2e::doubles::kube_api::app_service;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Service, Site, layout};
use serde_json::{Value, json};

use crate::{Test, checks};

pub(crate) const PLUGIN: &str = "deploy/traefik/static/kubernetes-plugin.yaml";
pub(crate) const FORWARD_AUTH: &str = "deploy/traefik/static/kubernetes-forward-auth.yaml";
pub(crate) const INGRESS_NGINX: &str = "deploy/traefik/static/kubernetes-ingress-nginx.yaml";

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "served::plugin_single",
        run: |cluster| single(cluster, PLUGIN, &[], "plugin-single"),
    },
    Test {
        name: "served::plugin_domain",
        run: |cluster| domain(cluster, PLUGIN, "plugin-domain"),
    },
    Test {
        name: "served::route_single",
        run: |cluster| single(cluster, PLUGIN, &[], "route-single"),
    },
    Test {
        name: "served::forward_auth_single",
        run: |cluster| single(cluster, FORWARD_AUTH, &[], "forward-auth-single"),
    },
    Test {
        name: "served::forward_auth_domain",
        run: |cluster| domain(cluster, FORWARD_AUTH, "forward-auth-domain"),
    },
    Test {
        name: "served::ingress_plugin_single",
        run: |cluster| {
            let further = ["kubernetesIngress"];
            single(cluster, PLUGIN, &further, "ingress-plugin-single")
        },
    },
    Test {
        name: "served::gateway_plugin_single",
        run: |cluster| {
            let further = ["kubernetesGateway"];
            single(cluster, PLUGIN, &further, "gateway-plugin-single")
        },
    },
    Test {
        name: "served::gateway_forward_auth_single",
        run: |cluster| {
            let further = ["kubernetesGateway"];
            single(
                cluster,
                FORWARD_AUTH,
                &further,
                "gateway-forward-auth-single",
            )
        },
    },
    Test {
        name: "served::ingress_nginx_single",
        run: |cluster| single(cluster, INGRESS_NGINX, &[], "ingress-nginx-single"),
    },
    Test {
        name: "served::ingress_nginx_domain",
        run: |cluster| domain(cluster, INGRESS_NGINX, "ingress-nginx-domain"),
    },
];

/// One application, by this file.
fn single(cluster: &Cluster, config: &str, further: &[&str], file: &str) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let objects = shown(&site, file)?;
    let _running = serve(cluster, &site, config, further, objects, &["wiki"])?;
    checks::single(&site)
}

/// All hosts of a domain, by this file.
fn domain(cluster: &Cluster, config: &str, file: &str) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let objects = shown(&site, file)?;
    let _running = serve(cluster, &site, config, &[], objects, &["wiki", "files"])?;
    checks::domain(&site)?;
    // ingress-nginx's rules have no words for the rest of a host's paths.
    if config != INGRESS_NGINX {
        checks::the_outposts_own_host_answers(&site)?;
    }
    Ok(())
}

/// The objects of a file of `deploy/kubernetes/traefik/`, with the public paths of the checks.
pub(crate) fn shown(site: &Site, file: &str) -> Result<Vec<Value>> {
    let path = format!("deploy/kubernetes/traefik/{file}.yaml");
    let mut objects = objects_of(&site.fitted_in_cluster(&path)?)?;
    for object in &mut objects {
        if let Some(Value::Object(plugin)) = object.pointer_mut("/spec/plugin/gatepost") {
            plugin.insert("public".into(), json!(checks::PUBLIC));
        }
    }
    Ok(objects)
}

/// The Gateway that HTTPRoutes attach to, with its class.
pub(crate) fn gateway() -> Result<Vec<Value>> {
    let path = layout::root().join("deploy/kubernetes/traefik/gateway-plugin-single.yaml");
    let mut objects = objects_of(&fs::read_to_string(path)?)?;
    objects.retain(|it| it["kind"] == "Gateway" || it["kind"] == "GatewayClass");
    ensure!(objects.len() == 2, "a Gateway and its class");
    Ok(objects)
}

/// The objects of a text with several documents.
pub(crate) fn objects_of(text: &str) -> Result<Vec<Value>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(objects
        .into_iter()
        .filter(|object| !object.is_null())
        .collect())
}

/// Traefik at work in the cluster, until this is dropped: then the objects are removed too.
pub(crate) struct Running<'c> {
    // In this order: Traefik first, which would read that they are gone.
    traefik: Service,
    _laid_out: LaidOut<'c>,
}

impl Running<'_> {
    /// Returns Traefik.
    pub(crate) fn traefik(&self) -> &Service {
        &self.traefik
    }
}

/// Applies these objects, with what a cluster has besides, and starts Traefik with this static
/// configuration and these providers more.
pub(crate) fn serve<'c>(
    cluster: &'c Cluster,
    site: &Site,
    config: &str,
    further: &[&str],
    objects: Vec<Value>,
    hosts: &[&str],
) -> Result<Running<'c>> {
    let config = (config, &json!({}));
    serve_with(cluster, site, config, further, objects, hosts)
}

/// The same with changes to the static configuration.
pub(crate) fn serve_with<'c>(
    cluster: &'c Cluster,
    site: &Site,
    (config, changes): (&str, &Value),
    further: &[&str],
    objects: Vec<Value>,
    hosts: &[&str],
) -> Result<Running<'c>> {
    let traefik = traefik(cluster, site, (config, changes), further)?;
    serve_by(cluster, site, traefik, objects, hosts)
}

/// Returns a Traefik that knows where the cluster is, with this static configuration, changes to it,
/// and these providers more.
pub(crate) fn traefik<'s>(
    cluster: &Cluster,
    site: &'s Site,
    (config, changes): (&str, &Value),
    further: &[&str],
) -> Result<Traefik<'s>> {
    let text = fs::read_to_string(layout::root().join(config))?;
    let config_now: Value = serde_saphyr::from_str(&text)?;
    let shown = config_now["providers"].as_object().context("providers")?;
    let own_services = config_now.pointer("/providers/kubernetesCRD/crossProviderNamespaces");
    let own_services = own_services.cloned();
    let mut traefik = Traefik::new(site, config)?.configure(changes);
    for provider in shown
        .keys()
        .map(String::as_str)
        .chain(further.iter().copied())
    {
        let mut access = cluster.traefik_access();
        // As the page of the Gateway API has it.
        if let (true, Some(namespaces)) = (provider == "kubernetesGateway", &own_services) {
            access["crossProviderNamespaces"] = namespaces.clone();
        }
        traefik = traefik.configure(&json!({ "providers": { provider: access } }));
    }
    Ok(traefik)
}

/// The same with a Traefik that knows where the cluster is.
pub(crate) fn serve_by<'c>(
    cluster: &'c Cluster,
    site: &Site,
    traefik: Traefik<'_>,
    objects: Vec<Value>,
    hosts: &[&str],
) -> Result<Running<'c>> {
    let laid_out = lay_out(cluster, site, objects)?;
    Ok(Running {
        traefik: traefik.start(hosts)?,
        _laid_out: laid_out,
    })
}

/// Objects in the cluster, with the pods of their Services, until this is dropped.
pub(crate) struct LaidOut<'c> {
    _objects: Applied<'c>,
    _pods: Vec<network::PodPort>,
}

/// Applies these objects, with what a cluster has besides.
pub(crate) fn lay_out<'c>(
    cluster: &'c Cluster,
    site: &Site,
    mut objects: Vec<Value>,
) -> Result<LaidOut<'c>> {
    for namespace in ["gatepost", "traefik"] {
        cluster.restricted_namespace(namespace)?;
    }
    let ports = *site.ports();
    let has_outpost = objects
        .iter()
        .any(|it| is_service(it) && name(it) == "gatepost");
    if !has_outpost {
        objects.push(outpost_service()?);
    }
    // These files are of applications that are there, and so have Services.
    for app in ["wiki", "files"] {
        let is_there = |it: &&Value| is_service(it) && name(it) == app;
        if objects.iter().find(is_there).is_none() {
            objects.push(app_service(app));
        }
    }
    for (class, controller) in [
        ("nginx", "k8s.io/ingress-nginx"),
        ("traefik", "traefik.io/ingress-controller"),
    ] {
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": { "name": class },
            "spec": { "controller": controller },
        }));
    }
    for object in &mut objects {
        // The entry point's, which is another one in each test.
        let listener = object.pointer_mut("/spec/listeners/0/port");
        if let Some(port) = listener {
            *port = json!(ports.web);
        }
    }
    let mut pods = BTreeMap::new();
    for service in objects.clone().iter().filter(|it| is_service(it)) {
        let program = match name(service) {
            "wiki" => ports.wiki,
            "files" => ports.files,
            "gatepost" => ports.outpost,
            "gatepost-metrics" => continue,
            other => bail!("no pods of {other}"),
        };
        objects.push(endpoint_slice(service, program, ports.extra, &mut pods)?);
    }
    let pods = pods
        .into_iter()
        .map(|((address, port), program)| network::PodPort::open(address, port, program))
        .collect::<Result<Vec<_>>>()?;
    Ok(LaidOut {
        _objects: cluster.apply(objects)?,
        _pods: pods,
    })
}

fn is_service(object: &Value) -> bool {
    object["kind"] == "Service" && object["apiVersion"] == "v1"
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The Service of the base, in the namespace that the manifests say.
fn outpost_service() -> Result<Value> {
    let path = layout::root().join("deploy/kubernetes/base/service.yaml");
    let mut objects = objects_of(&fs::read_to_string(path)?)?.into_iter();
    let mut service = objects
        .find(|it| name(it) == "gatepost")
        .context("a Service")?;
    service["metadata"]["namespace"] = json!("gatepost");
    Ok(service)
}

/// Where the pods of a Service are, which no controller of this cluster says, and the ports that are
/// to be open there: 443 leads to what has a certificate.
fn endpoint_slice(
    service: &Value,
    program: u16,
    with_tls: u16,
    pods: &mut BTreeMap<(std::net::Ipv4Addr, u16), u16>,
) -> Result<Value> {
    let name = name(service);
    let address = network::pod_address(name).with_context(|| format!("no pods of {name}"))?;
    let shown = service["spec"]["ports"].as_array().context("ports")?;
    let mut ports = Vec::new();
    for port in shown {
        let number = port["targetPort"].as_u64().or(port["port"].as_u64());
        let number = u16::try_from(number.context("a port")?)?;
        let program = if number == 443 { with_tls } else { program };
        pods.insert((address, number), program);
        let name = port.get("name").cloned().unwrap_or_else(|| "".into());
        ports.push(json!({ "name": name, "port": number, "protocol": "TCP" }));
    }
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-1"),
            "namespace": service["metadata"].get("namespace").cloned().unwrap_or("default".into()),
            "labels": { "kubernetes.io/service-name": name },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": ports,
    }))
}
