//! Objects for Traefik on Kubernetes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::dynamic::{entries, server};

/// The label of every exported object, and what it says.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "gatepost-export");

/// The label that says of which export an object is.
const EXPORT: &str = "gatepost-export";

/// The longest name of a Service or a namespace (RFC 1123).
const LONGEST_LABEL: usize = 63;

/// Why objects for Kubernetes cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KubernetesError {
    /// An upstream, or the outpost, is an address.
    #[error(
        "{0} is an address and no Service: make a Service without a selector and an EndpointSlice \
         with this address, and write `http://NAME.NAMESPACE.svc:PORT`"
    )]
    Address(Url),
    /// An upstream, or the outpost, is the pod itself.
    #[error(
        "{0} is the loopback of whichever pod asks, and no Service: write \
         `http://NAME.NAMESPACE.svc:PORT`"
    )]
    Loopback(Url),
    /// An upstream, or the outpost, is not a Service.
    #[error(
        "{0} is not a Service of a cluster: write `http://NAME.NAMESPACE.svc:PORT`. For a host \
         outside the cluster, make a Service of the type ExternalName, which Traefik takes with \
         `allowExternalNameServices`"
    )]
    NotAService(Url),
    /// A Service cannot have this name, namespace or port.
    #[error(
        "{0} is no Service that can be: its name and its namespace have at most 63 letters, digits \
         and `-`, and its port is not 0"
    )]
    NoSuchService(Url),
    /// The URL says more than the name and the port of a Service.
    #[error(
        "{0} has a path, a query or a user name, which no route to a Service has: leave it out"
    )]
    MoreThanAService(Url),
    /// Nothing says in which namespace a Service is.
    #[error(
        "{0} names no namespace: write `http://NAME.NAMESPACE.svc:PORT`, or say `--namespace` where it \
         is an upstream"
    )]
    NoNamespace(Url),
    /// Nothing says in which namespace a Middleware is to be.
    #[error(
        "`{0}` is of an application without `upstream`, and no Service says its namespace: say \
         `--namespace`"
    )]
    Nowhere(String),
    /// Traefik has no such route.
    #[error("Traefik has no route for the host of the rule {0}: give it a name")]
    NoHost(String),
    /// Two names become one.
    #[error("two objects would be called `{0}`: rename one of the applications")]
    SameName(String),
}

/// Objects to apply.
#[derive(Debug)]
pub(crate) struct Export {
    /// The objects.
    pub objects: Vec<Value>,
    /// What the operator has to know of them.
    pub advice: Vec<String>,
    /// The command that removes what an earlier export has left in the cluster.
    pub removal: String,
}

/// Returns Middlewares and IngressRoutes, and a ServersTransport beside each Service with TLS.
///
/// Each IngressRoute is in the namespace of its Service, and has its Middleware there: Traefik takes
/// objects of other namespaces only with `allowCrossNamespace`. `namespace` is that of what names none.
///
/// # Errors
///
/// When a URL is not that of a Service, an object has no namespace, or two objects would have one name.
pub(crate) fn objects(dynamic: &Value, namespace: Option<&str>) -> Result<Export, KubernetesError> {
    let mut routes = Vec::new();
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        if let Some(url) = url {
            routes.push((name, router, Service::of(&url, namespace)?));
        }
    }
    let mut documents = Documents::default();
    let mut advice = BTreeMap::new();
    for (name, middleware) in entries(dynamic, "middlewares") {
        if let Some(outpost) = asked(middleware)? {
            advice.insert(outpost.to_string(), format!(
                "{outpost}: where a private CA signs its certificate, add `tls.caSecret` to the \
                 `forwardAuth` of `{name}`"
            ));
        }
        let mut namespaces: BTreeSet<&str> = routes
            .iter()
            .filter(|(_, router, _)| middlewares(router).any(|own| own == name))
            .map(|(_, _, service)| service.namespace.as_str())
            .collect();
        if namespaces.is_empty() {
            // The operator's own routes can then refer to the middleware.
            let nowhere = || KubernetesError::Nowhere(name.clone());
            namespaces.insert(namespace.ok_or_else(nowhere)?);
        }
        for namespace in namespaces {
            documents.add("Middleware", name, namespace, middleware.clone())?;
        }
    }
    for (name, router, service) in &routes {
        let namespace = service.namespace.as_str();
        if service.scheme == "https" {
            // Traefik connects to a pod's address, which no certificate names.
            let spec = json!({"serverName": service.host});
            documents.add("ServersTransport", name, namespace, spec)?;
            let object = object_name(name);
            advice.insert(object.clone(), format!(
                "https://{}: Traefik asks for a certificate of this name. Where a private CA signs it, \
                 `kubectl -n {namespace} patch serverstransports.traefik.io {object} --type merge -p \
                 '{{\"spec\":{{\"rootCAs\":[{{\"configMap\":\"NAME\"}}]}}}}'`, which later exports leave as it is",
                service.host
            ));
        }
        documents.add(
            "IngressRoute",
            name,
            namespace,
            route(name, router, service)?,
        )?;
    }
    let removal = documents.label();
    Ok(Export {
        objects: documents.all,
        advice: advice.into_values().collect(),
        removal,
    })
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
        namespace: &str,
        spec: Value,
    ) -> Result<(), KubernetesError> {
        let name = object_name(name);
        if !self.names.insert(format!("{kind}/{namespace}/{name}")) {
            return Err(KubernetesError::SameName(name));
        }
        self.all.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }));
        Ok(())
    }

    /// Labels all objects as those of one export, and returns the command that removes the others:
    /// a route of an earlier export would go on beside a new one for the same host, by its old rule.
    fn label(&mut self) -> String {
        let digest = Sha256::digest(Value::from(self.all.as_slice()).to_string().as_bytes());
        let export: String = digest
            .iter()
            .take(8)
            .map(|it| format!("{it:02x}"))
            .collect();
        let labels = json!({(MANAGED_BY.0): MANAGED_BY.1, (EXPORT): export});
        for object in &mut self.all {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("labels".to_owned(), labels.clone());
            }
        }
        format!(
            "kubectl delete ingressroutes.traefik.io,middlewares.traefik.io,serverstransports.traefik.io \
             --all-namespaces --selector '{}={},{EXPORT}!={export}'",
            MANAGED_BY.0, MANAGED_BY.1
        )
    }
}

/// A Service, as a URL names it in a cluster.
#[derive(Debug)]
struct Service {
    name: String,
    namespace: String,
    port: u16,
    scheme: String,
    host: String,
}

impl Service {
    /// Reads `NAME.NAMESPACE.svc`, the same with the cluster's domain, and `NAME` in this namespace.
    /// Two names could as well be a host outside of the cluster.
    fn of(url: &Url, namespace: Option<&str>) -> Result<Self, KubernetesError> {
        let service = Self::named(url, namespace)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(KubernetesError::MoreThanAService(without_user(url)));
        }
        Ok(service)
    }

    fn named(url: &Url, namespace: Option<&str>) -> Result<Self, KubernetesError> {
        let shown = || without_user(url);
        let host = match url.host() {
            Some(Host::Ipv4(address)) if address.is_loopback() => {
                return Err(KubernetesError::Loopback(shown()));
            }
            Some(Host::Ipv6(address)) if address.is_loopback() => {
                return Err(KubernetesError::Loopback(shown()));
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(KubernetesError::Address(shown())),
            Some(Host::Domain(host)) => host.trim_end_matches('.'),
            None => return Err(KubernetesError::NotAService(shown())),
        };
        let labels: Vec<&str> = host.split('.').collect();
        if labels.last() == Some(&"localhost") {
            return Err(KubernetesError::Loopback(shown()));
        }
        let (name, namespace) = match labels[..] {
            [name] => {
                let unknown = || KubernetesError::NoNamespace(shown());
                (name, namespace.ok_or_else(unknown)?)
            }
            [name, namespace, "svc", ..] => (name, namespace),
            _ => return Err(KubernetesError::NotAService(shown())),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0);
        match port {
            Some(port) if is_label(name) && is_label(namespace) => Ok(Self {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                port,
                scheme: url.scheme().to_owned(),
                host: host.to_owned(),
            }),
            _ => Err(KubernetesError::NoSuchService(shown())),
        }
    }
}

/// Returns whether Kubernetes takes this as the name of a Service or of a namespace.
fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_long = text.is_empty() || text.len() > LONGEST_LABEL;
    !is_long && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

/// Returns the URL for a message, which has no password.
fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    // Neither fails where there is a host, and without one there is neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// Checks that Traefik, which resolves the address in its own namespace, finds the outpost. Returns
/// the URL where the outpost has a certificate.
fn asked(middleware: &Value) -> Result<Option<Url>, KubernetesError> {
    let address = middleware.pointer("/forwardAuth/address");
    let address = address.and_then(Value::as_str).map(Url::parse);
    let Some(Ok(url)) = address else {
        return Ok(None);
    };
    Service::named(&url, None)?;
    Ok((url.scheme() == "https").then_some(url))
}

fn middlewares(router: &Value) -> impl Iterator<Item = &str> {
    let names = router.get("middlewares").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The `spec` of an IngressRoute.
fn route(name: &str, router: &Value, service: &Service) -> Result<Value, KubernetesError> {
    let rule = router.get("rule").and_then(Value::as_str).unwrap_or("");
    if rule.contains("`[") {
        return Err(KubernetesError::NoHost(rule.to_owned()));
    }
    // With the scheme: without it, Traefik guesses by the port.
    let mut to = json!({"name": service.name, "port": service.port, "scheme": service.scheme});
    if service.scheme == "https"
        && let Some(to) = to.as_object_mut()
    {
        to.insert("serversTransport".to_owned(), json!(object_name(name)));
    }
    let mut route = Map::from_iter([
        ("kind".to_owned(), json!("Rule")),
        ("match".to_owned(), json!(rule)),
        ("services".to_owned(), json!([to])),
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
    Ok(spec.into())
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
mod tests;
