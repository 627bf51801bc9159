//! Objects for Traefik on Kubernetes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::dynamic::{entries, server};

/// Why objects for Kubernetes cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// An upstream, or the outpost, is not a Service.
    #[error(
        "{0} is not a Service of a cluster: write `http://NAME.NAMESPACE.svc:PORT`. For a server \
         outside the cluster, make a Service for it, such as one of the type ExternalName"
    )]
    NotAService(Url),
    /// Traefik would look for the outpost in the wrong namespace.
    #[error(
        "{0} names no namespace, and Traefik would look for it in its own: write \
         `http://NAME.NAMESPACE.svc:PORT` for `traefik.outpostUrl`"
    )]
    NoNamespace(Url),
    /// Two names become one.
    #[error("two objects would be called `{0}`: rename one of the applications")]
    SameName(String),
}

/// Returns Middlewares and IngressRoutes.
///
/// Each IngressRoute is in the namespace of its Service, and has its Middleware there: Traefik takes
/// objects of other namespaces only with `allowCrossNamespace`. Where a URL names no namespace,
/// neither do the objects, and the one that they are applied to counts.
///
/// # Errors
///
/// When a URL is not that of a Service, or two objects would have one name.
pub fn objects(dynamic: &Value) -> Result<Vec<Value>, KubernetesError> {
    let mut routes = Vec::new();
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        if let Some(url) = url {
            routes.push((name, router, Service::of(&url)?));
        }
    }
    let mut documents = Documents::default();
    for (name, middleware) in entries(dynamic, "middlewares") {
        check_forward_auth(middleware)?;
        let mut namespaces: BTreeSet<Option<&str>> = routes
            .iter()
            .filter(|(_, router, _)| middlewares(router).any(|own| own == name))
            .map(|(_, _, service)| service.namespace.as_deref())
            .collect();
        if namespaces.is_empty() {
            // The operator's own routes can then refer to the middleware.
            namespaces.insert(None);
        }
        for namespace in namespaces {
            documents.add("Middleware", name, namespace, middleware.clone())?;
        }
    }
    for (name, router, service) in &routes {
        let namespace = service.namespace.as_deref();
        documents.add("IngressRoute", name, namespace, route(router, service))?;
    }
    Ok(documents.all)
}

/// The objects so far.
#[derive(Default)]
struct Documents {
    all: Vec<Value>,
    names: BTreeSet<String>,
}

impl Documents {
    fn add(
        &mut self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
        spec: Value,
    ) -> Result<(), KubernetesError> {
        let name = object_name(name);
        let key = format!("{kind}/{}/{name}", namespace.unwrap_or_default());
        if !self.names.insert(key) {
            return Err(KubernetesError::SameName(name));
        }
        let mut metadata = Map::from_iter([("name".to_owned(), json!(name))]);
        if let Some(namespace) = namespace {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        self.all.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        }));
        Ok(())
    }
}

/// A Service, as a URL names it in a cluster.
struct Service {
    name: String,
    namespace: Option<String>,
    port: Option<u16>,
    scheme: String,
}

impl Service {
    /// Reads `NAME`, `NAME.NAMESPACE`, `NAME.NAMESPACE.svc` and the same with the cluster's domain.
    fn of(url: &Url) -> Result<Self, KubernetesError> {
        let not_a_service = || KubernetesError::NotAService(url.clone());
        let Some(Host::Domain(host)) = url.host() else {
            return Err(not_a_service());
        };
        let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
        let (name, namespace) = match labels[..] {
            [name] if name != "localhost" => (name, None),
            [name, namespace] if namespace != "localhost" => (name, Some(namespace)),
            [name, namespace, "svc", ..] => (name, Some(namespace)),
            _ => return Err(not_a_service()),
        };
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            port: url.port_or_known_default(),
            scheme: url.scheme().to_owned(),
        })
    }
}

/// Checks that Traefik, which resolves the address in its own namespace, finds the outpost.
fn check_forward_auth(middleware: &Value) -> Result<(), KubernetesError> {
    let address = middleware.pointer("/forwardAuth/address");
    let address = address.and_then(Value::as_str).map(Url::parse);
    let Some(Ok(url)) = address else {
        return Ok(());
    };
    match Service::of(&url)?.namespace {
        Some(_) => Ok(()),
        None => Err(KubernetesError::NoNamespace(url)),
    }
}

fn middlewares(router: &Value) -> impl Iterator<Item = &str> {
    let names = router.get("middlewares").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The `spec` of an IngressRoute.
fn route(router: &Value, service: &Service) -> Value {
    let mut route = Map::from_iter([
        ("kind".to_owned(), json!("Rule")),
        (
            "match".to_owned(),
            router.get("rule").cloned().unwrap_or_default(),
        ),
        (
            "services".to_owned(),
            // With the scheme: without it, Traefik guesses by the port.
            json!([{"name": service.name, "port": service.port, "scheme": service.scheme}]),
        ),
    ]);
    let middlewares: Vec<Value> = middlewares(router)
        .map(|name| json!({"name": object_name(name)}))
        .collect();
    if !middlewares.is_empty() {
        route.insert("middlewares".to_owned(), middlewares.into());
    }
    let mut spec = Map::from_iter([("routes".to_owned(), json!([route]))]);
    for key in ["entryPoints", "tls"] {
        if let Some(value) = router.get(key) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    spec.into()
}

/// Returns a name in the form that Kubernetes accepts (RFC 1123).
pub(super) fn object_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || c == '-' => c.to_ascii_lowercase(),
            _ => '-',
        })
        .collect();
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(url: &str) -> Option<(String, Option<String>)> {
        let service = Service::of(&Url::parse(url).expect("a URL"));
        service.ok().map(|it| (it.name, it.namespace))
    }

    #[test]
    fn a_url_in_a_cluster_names_a_service() {
        for (url, name, namespace) in [
            ("http://wiki:8080", "wiki", None),
            ("http://wiki.apps", "wiki", Some("apps")),
            ("http://wiki.apps.svc:80", "wiki", Some("apps")),
            ("http://wiki.apps.svc.cluster.local", "wiki", Some("apps")),
            ("http://wiki.apps.svc.k8s.example.", "wiki", Some("apps")),
        ] {
            let expected = (name.to_owned(), namespace.map(str::to_owned));
            assert_eq!(service(url), Some(expected), "{url}");
        }
        for url in [
            "http://127.0.0.1:9000",
            "http://10.0.0.7",
            "http://[::1]:9000",
            "http://localhost:8000",
            "http://wiki.localhost",
            "https://wiki.example.com",
        ] {
            assert_eq!(service(url), None, "{url}");
        }
    }

    /// A configuration of Traefik with an application for each of these upstreams.
    fn dynamic(upstreams: &[(&str, &str)], middleware: &Value) -> Value {
        let mut routers = Map::new();
        let mut services = Map::new();
        let mut middlewares = Map::new();
        for (name, url) in upstreams {
            let router = json!({"rule": "Host(`x`)", "service": name, "middlewares": ["gatepost"]});
            routers.insert((*name).to_owned(), router);
            let service = json!({"loadBalancer": {"servers": [{"url": url}]}});
            services.insert((*name).to_owned(), service);
        }
        middlewares.insert("gatepost".to_owned(), middleware.clone());
        json!({"http": {"routers": routers, "services": services, "middlewares": middlewares}})
    }

    #[test]
    fn objects_are_where_their_service_is_and_cross_no_namespace() {
        let upstreams = [("chat", "https://chat.apps"), ("git", "http://git.dev.svc")];
        let plugin = json!({"plugin": {"gatepost": {"application": "intranet"}}});
        let objects = objects(&dynamic(&upstreams, &plugin)).expect("objects");
        let at: Vec<(&str, &str, &str)> = objects
            .iter()
            .map(|object| {
                let text = |path: &str| object.pointer(path).and_then(Value::as_str);
                let namespace = text("/metadata/namespace");
                (
                    text("/kind").unwrap_or_default(),
                    text("/metadata/name").unwrap_or_default(),
                    namespace.unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(
            at,
            [
                ("Middleware", "gatepost", "apps"),
                ("Middleware", "gatepost", "dev"),
                ("IngressRoute", "chat", "apps"),
                ("IngressRoute", "git", "dev"),
            ]
        );
        let chat = objects.get(2).and_then(|it| it.pointer("/spec/routes/0"));
        let chat = chat.expect("a route");
        assert_eq!(
            chat["services"][0],
            json!({"name": "chat", "port": 443, "scheme": "https"})
        );
        assert_eq!(chat["middlewares"], json!([{"name": "gatepost"}]));
    }

    #[test]
    fn what_would_not_work_in_a_cluster_is_refused() {
        let ask = |address: &str| json!({"forwardAuth": {"address": address}});
        let wiki = [("wiki", "http://wiki.apps")];
        for (upstreams, address, expected) in [
            (&wiki[..], "http://127.0.0.1:9000/x", "not a Service"),
            (&wiki[..], "http://outpost:9000/x", "names no namespace"),
            (
                &[("wiki", "http://10.0.0.7")][..],
                "http://gatepost.gatepost.svc:9000/x",
                "not a Service",
            ),
            (
                &[("a_b", "http://a.apps"), ("a-b", "http://b.apps")][..],
                "http://gatepost.gatepost.svc:9000/x",
                "two objects",
            ),
        ] {
            let refused = objects(&dynamic(upstreams, &ask(address)));
            let refused = refused.expect_err(expected).to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
