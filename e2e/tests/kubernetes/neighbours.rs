//! What the word of a foreign namespace counts: of a neighbour who may write routes there, and
//! nothing in the application's own. The names that the attacks need are made of public parts.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::{Cluster, network};
use gatepost_e2e::{Answer, Client, layout, until};
use reqwest::Method;
use reqwest::header::HOST;
use serde_json::{Value, json};

use crate::served::{PLUGIN, gateway, objects_of, serve, shown};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "neighbours::reach_no_service_of_another_namespace",
        run: by_ingress_route,
    },
    Test {
        name: "neighbours::reach_no_service_of_another_provider",
        run: by_another_provider,
    },
    Test {
        name: "neighbours::of_a_gateway_reach_no_service_of_another_provider",
        run: by_gateway,
    },
    Test {
        name: "neighbours::whom_only_the_cluster_refuses",
        run: what_only_the_cluster_refuses,
    },
    Test {
        name: "neighbours::ask_an_application_as_any_user_unless_the_cluster_refuses",
        run: questions_to_applications,
    },
];

/// What a neighbour sends to the application in an admitted user's name.
const FORGED: (&str, &str) = ("x-auth-username", "mallory");

/// The neighbour's own host.
const GUEST: &str = "guest.example.com";

/// For Traefik to see a change of the cluster.
pub(crate) const SEEN: Duration = Duration::from_secs(60);

/// An IngressRoute beside those of the application.
fn by_ingress_route(cluster: &Cluster) -> Result<()> {
    let mut routes = ingress_routes(&[
        json!({ "name": "wiki", "namespace": "default", "port": 80 }),
        json!({ "kind": "TraefikService", "name": "wiki", "namespace": "default" }),
        json!({ "kind": "TraefikService", "name": BEHIND_PLUGIN }),
        json!({ "kind": "TraefikService", "name": OF_TRAEFIK }),
        json!({ "name": "outside", "port": 80 }),
    ]);
    routes.push(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "outside", "namespace": "guest" },
        "spec": {
            "type": "ExternalName",
            "externalName": "wiki.default.svc",
            "ports": [{ "port": 80 }],
        },
    }));
    let attack = Attack {
        shown: "plugin-single",
        further: &[],
        routes,
    };
    attack.run(cluster, PLUGIN, Outcome::Refused)
}

/// An IngressRoute to the Service of a plain Ingress, whose provider runs beside.
fn by_another_provider(cluster: &Cluster) -> Result<()> {
    let service = json!({ "kind": "TraefikService", "name": "default-wiki-80@kubernetes" });
    let attack = Attack {
        shown: "ingress-plugin-single",
        further: &["kubernetesIngress"],
        routes: ingress_routes(&[service]),
    };
    attack.run(cluster, &unrestricted()?, Outcome::Reaches)?;
    attack.run(cluster, PLUGIN, Outcome::Refused)
}

/// An HTTPRoute to what the provider of IngressRoutes made of one, and to a `TraefikService`.
fn by_gateway(cluster: &Cluster) -> Result<()> {
    let service = |name: &str| json!({ "group": "traefik.io", "kind": "TraefikService", "name": name, "port": 80 });
    let attack = Attack {
        shown: "plugin-single",
        further: &["kubernetesGateway"],
        routes: http_routes(&[service(BEHIND_PLUGIN), service(OF_TRAEFIK)]),
    };
    attack.run(cluster, &unrestricted()?, Outcome::Reaches)?;
    attack.run(cluster, PLUGIN, Outcome::Refused)
}

/// The Service of the IngressRoute `default/wiki`.
const BEHIND_PLUGIN: &str = "default_wiki_0_lb@kubernetescrd";
/// The TraefikService `default/wiki`.
const OF_TRAEFIK: &str = "default_wiki@kubernetescrd";

/// Objects of a neighbour, whose routes for `/0`, `/1` and so on of a host of its own name the
/// application's Service each in another way.
struct Attack {
    /// The application's file in `deploy/kubernetes/traefik/`.
    shown: &'static str,
    further: &'static [&'static str],
    routes: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Reaches,
    Refused,
}

impl Attack {
    fn run(&self, cluster: &Cluster, config: &str, outcome: Outcome) -> Result<()> {
        let site = checks::site("deploy/outpost/single.yaml").start()?;
        cluster.restricted_namespace("guest")?;
        let mut objects = shown(&site, self.shown)?;
        if self.further.contains(&"kubernetesGateway") {
            objects.extend(gateway()?);
        }
        objects.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": { "name": "wiki" },
            "spec": { "weighted": { "services": [{ "name": "wiki", "port": 80 }] } },
        }));
        let _running = serve(cluster, &site, config, self.further, objects, &["wiki"])?;
        let _neighbour = cluster.apply([self.routes.clone(), own_service("files")].concat())?;
        let client = Client::new()?;
        let ask = |path: &str| {
            let request = client.page_load(Method::GET, &site.url("wiki", path)?);
            let request = request.header(HOST, GUEST).header(FORGED.0, FORGED.1);
            Answer::read(request.send()?)
        };
        until("the neighbour's own application", SEEN, || {
            Ok((ask("/own")?.status == 200).then_some(()))
        })?;
        let names = self
            .routes
            .iter()
            .filter(|it| it["kind"] != "Service")
            .count()
            - 1;
        ensure!(names > 0, "no attack");
        for number in 0..names {
            let before = site.wiki().len();
            let status = ask(&format!("/{number}"))?.status.as_u16();
            let reached = site.wiki().len() > before;
            match outcome {
                Outcome::Reaches => ensure!(reached, "{number} is no attack: {status}"),
                Outcome::Refused => {
                    ensure!(!reached, "{number} reached the application: {status}");
                    ensure!([404, 500].contains(&status), "{number}: {status}");
                }
            }
        }
        // The rightful route is there all the same.
        let own = client.page_load(Method::GET, &site.url("wiki", "/")?);
        let status = Answer::read(own.send()?)?.status;
        ensure!(status == 302, "the application's own: {status}");
        Ok(())
    }
}

/// A static configuration of which `crossProviderNamespaces` was left out.
fn unrestricted() -> Result<String> {
    let text = fs::read_to_string(layout::root().join(PLUGIN))?;
    let mut config: Value = serde_saphyr::from_str(&text)?;
    if let Some(provider) = config["providers"]["kubernetesCRD"].as_object_mut() {
        provider.remove("crossProviderNamespaces");
    }
    let path = layout::artefacts_dir().join("kubernetes/unrestricted.yaml");
    fs::write(&path, serde_json::to_string_pretty(&config)?)?;
    Ok(path.to_string_lossy().into_owned())
}

fn ingress_routes(services: &[Value]) -> Vec<Value> {
    let route = |path: &str, service: &Value| {
        json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": { "name": format!("guest-{path}"), "namespace": "guest" },
            "spec": { "routes": [{
                "kind": "Rule",
                "match": format!("Host(`{GUEST}`) && Path(`/{path}`)"),
                "services": [service],
            }] },
        })
    };
    each(services, route)
}

fn http_routes(services: &[Value]) -> Vec<Value> {
    let route = |path: &str, service: &Value| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": { "name": format!("guest-{path}"), "namespace": "guest" },
            "spec": {
                "parentRefs": [{ "name": "web", "namespace": "traefik" }],
                "hostnames": [GUEST],
                "rules": [{
                    "matches": [{ "path": { "type": "Exact", "value": format!("/{path}") } }],
                    "backendRefs": [service],
                }],
            },
        })
    };
    each(services, route)
}

/// A route to each of these Services, and one to the neighbour's own.
fn each(services: &[Value], route: impl Fn(&str, &Value) -> Value) -> Vec<Value> {
    let numbered = services.iter().enumerate();
    let mut routes: Vec<Value> = numbered
        .map(|(number, service)| route(&number.to_string(), service))
        .collect();
    routes.push(route("own", &json!({ "name": "own", "port": 80 })));
    routes
}

/// The neighbour's own Service, with the pods of this one.
pub(crate) fn own_service(pods: &str) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": "own", "namespace": "guest" },
            "spec": { "ports": [{ "port": 80 }] },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "own-1",
                "namespace": "guest",
                "labels": { "kubernetes.io/service-name": "own" },
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": [network::pod_address(pods)],
                "conditions": { "ready": true },
            }],
            "ports": [{ "name": "", "port": 80, "protocol": "TCP" }],
        }),
    ]
}

/// What Traefik cannot refuse a neighbour who may write these objects; `docs/proxies/kubernetes.md`
/// says so.
fn what_only_the_cluster_refuses(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    cluster.restricted_namespace("guest")?;
    let objects = shown(&site, "plugin-single")?;
    let own = objects
        .iter()
        .find(|it| it["kind"] == "IngressRoute" && it["metadata"]["name"] == "wiki");
    let rule = own.context("the application's route")?["spec"]["routes"][0]["match"].as_str();
    let longer = format!("{} && PathPrefix(`/reports`)", rule.context("a rule")?);
    let _running = serve(cluster, &site, PLUGIN, &[], objects, &["wiki"])?;
    let client = Client::new()?;
    let get = |host: Option<&str>, path: &str| {
        let request = client.page_load(Method::GET, &site.url("wiki", path)?);
        let request = match host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        Answer::read(request.header("cookie", "gatepost=a").send()?)
    };
    // A longer rule of the same host, which then gets the session's cookie.
    let mut routes = ingress_routes(&[]);
    routes[0]["spec"]["routes"][0]["match"] = json!(longer);
    let neighbour = cluster.apply([routes, own_service("files")].concat())?;
    until("the longer path", SEEN, || {
        Ok((get(None, "/reports")?.status == 200).then_some(()))
    })?;
    let seen = site.files();
    let seen = seen.last().context("a request")?;
    ensure!(format!("{seen:?}").contains("gatepost=a"), "{seen:?}");
    neighbour.remove()?;
    // An EndpointSlice with the address of the application's pods.
    let _neighbour = cluster.apply([ingress_routes(&[]), own_service("wiki")].concat())?;
    until("the application's pods", SEEN, || {
        Ok((get(Some(GUEST), "/own")?.status == 200).then_some(()))
    })?;
    ensure!(
        !site.wiki().is_empty(),
        "these are no pods of the application"
    );
    Ok(())
}

/// A `forwardAuth` of a neighbour's asks the application itself, from Traefik's own address and in any user's
/// name. Traefik cannot refuse it; the API server does, with the shown policy.
fn questions_to_applications(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    cluster.restricted_namespace("guest")?;
    let asks = |address: &str, further: Value| {
        let mut asks = json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "Middleware",
            "metadata": { "name": "asks", "namespace": "guest" },
            "spec": { "forwardAuth": { "address": address } },
        });
        if let (Some(own), Value::Object(further)) =
            (asks["spec"]["forwardAuth"].as_object_mut(), further)
        {
            own.extend(further);
        }
        asks
    };
    let wiki = "http://wiki.default.svc/admin/delete";
    let outpost = "http://gatepost.gatepost.svc:9000/akprox/auth/traefik";
    let ingress = |key: &str, value: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "asks",
                "namespace": "guest",
                "annotations": { format!("nginx.ingress.kubernetes.io/{key}"): value },
            },
            "spec": { "defaultBackend": { "service": { "name": "own", "port": { "number": 80 } } } },
        })
    };
    let objects = shown(&site, "plugin-single")?;
    let _running = serve(cluster, &site, PLUGIN, &[], objects, &["wiki"])?;
    let mut routes = ingress_routes(&[]);
    routes[0]["spec"]["routes"][0]["middlewares"] = json!([{ "name": "asks" }]);
    routes.push(asks(wiki, json!({ "preserveRequestMethod": true })));
    let neighbour = cluster.apply([routes, own_service("files")].concat())?;
    let client = Client::new()?;
    until("the application to be asked", SEEN, || {
        let request = client.fetch(Method::PUT, &site.url("wiki", "/own")?);
        let request = request.header(HOST, GUEST).header(FORGED.0, FORGED.1);
        request.send()?;
        Ok((!site.wiki().is_empty()).then_some(()))
    })?;
    let seen = site.wiki();
    let seen = seen.last().context("a request")?;
    assert_eq!(seen.header(FORGED.0), Some(FORGED.1));
    neighbour.remove()?;

    let policy = layout::root().join("deploy/kubernetes/policies/other-namespaces.yaml");
    let _policy = cluster.apply(objects_of(&fs::read_to_string(policy)?)?)?;
    // The API server takes a moment to hear of it.
    until("the policy", SEEN, || {
        Ok(cluster.apply(vec![asks(wiki, json!({}))]).err())
    })?;
    for (what, object) in [
        (
            "trust",
            asks(outpost, json!({ "trustForwardHeader": true })),
        ),
        (
            "longer host",
            asks(
                "http://gatepost.gatepost.svc.evil.example:9000/akprox/auth/traefik",
                json!({}),
            ),
        ),
        (
            "user",
            asks(
                "http://gatepost.gatepost.svc:9000@wiki.default.svc/akprox/auth/traefik",
                json!({}),
            ),
        ),
        ("auth-url", ingress("auth-url", wiki)),
        ("mirror-target", ingress("mirror-target", wiki)),
        ("server-alias", ingress("server-alias", "*.example.com")),
        ("expression", ingress("server-alias", "~^wiki")),
    ] {
        ensure!(cluster.apply(vec![object]).is_err(), "{what} is accepted");
    }
    for object in [
        asks(outpost, json!({ "trustForwardHeader": false })),
        ingress("auth-url", crate::ingresses::AUTH_URL),
        ingress("server-alias", "other.example.com"),
    ] {
        cluster.apply(vec![object])?.remove()?;
    }
    Ok(())
}
