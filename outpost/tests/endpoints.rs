//! Proxies that list the outpost's paths one by one list every endpoint that clients use, and none at
//! which proxies ask.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use gatepost::import::ingress_nginx::{self, ConfigMap, Documents, Form, Input, Settings};
use gatepost::web::Endpoint;
use serde_json::Value;

/// The route of a proxy to the outpost.
#[derive(Debug)]
struct Route {
    /// Its path, under the outpost's prefix.
    path: String,
    /// Whether it is for this path alone, and for none below.
    is_exact: bool,
}

impl Route {
    fn leads_to(&self, endpoint: &str) -> bool {
        // Proxies match paths, and one endpoint is a query.
        let path = endpoint.split_once('?').map_or(endpoint, |(path, _)| path);
        let below = path.strip_prefix(&self.path);
        below.is_some_and(|rest| rest.is_empty() || !self.is_exact && rest.starts_with('/'))
    }
}

fn read(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// Returns the routes of Ingresses and HTTPRoutes.
fn routes(yaml: &str) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut values: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    while let Some(value) = values.pop() {
        for (path, kind) in [("path", "pathType"), ("value", "type")] {
            let path = value.get(path).and_then(Value::as_str);
            let path = path.and_then(|path| path.strip_prefix("/akprox/"));
            if let (Some(path), Some(kind)) = (path, value.get(kind)) {
                routes.push(Route {
                    path: path.to_owned(),
                    is_exact: kind == "Exact",
                });
            }
        }
        match value {
            Value::Array(items) => values.extend(items),
            Value::Object(members) => values.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    routes
}

/// Checks routes; `has_oauth` where the host may be that of a resource.
fn check(name: &str, routes: &[Route], has_oauth: bool) {
    let (asking, others): (Vec<&str>, Vec<&str>) =
        Endpoint::names().partition(|endpoint| endpoint.starts_with("auth/"));
    for route in routes {
        let asked = asking.iter().any(|endpoint| route.leads_to(endpoint));
        assert!(!asked, "{name}: {route:?} leads to where proxies ask");
        let known = others.iter().any(|endpoint| route.leads_to(endpoint));
        assert!(known, "{name}: {route:?} leads to no endpoint");
    }
    // The last two are the metrics' names of a path without the prefix, and of all other paths.
    let under_prefix = others
        .into_iter()
        .filter(|endpoint| !["device_origins", "none"].contains(endpoint));
    for endpoint in under_prefix.chain(["callback/main"]) {
        let listed = routes.iter().any(|route| route.leads_to(endpoint));
        let expected = has_oauth || !endpoint.starts_with("oauth");
        assert_eq!(listed, expected, "{name}: {endpoint}");
    }
}

#[test]
fn manifests_list_every_endpoint_of_clients() {
    for path in [
        "ingress-nginx/domain.yaml",
        "ingress-nginx/single.yaml",
        "traefik/gateway-forward-auth-single.yaml",
        "traefik/gateway-plugin-single.yaml",
        "traefik/ingress-nginx-domain.yaml",
        "traefik/ingress-nginx-single.yaml",
        "traefik/ingress-plugin-single.yaml",
    ] {
        let text = read(&Path::new("deploy/kubernetes").join(path));
        // The outpost's own host in domain mode is that of no resource.
        check(path, &routes(&text), !path.contains("domain"));
    }
}

#[test]
fn the_chart_lists_every_endpoint_of_clients() {
    let template = read(Path::new("deploy/helm/gatepost/templates/traefik.yaml"));
    let mut routes = Vec::new();
    for line in template.lines() {
        let is_exact = line.starts_with("{{- $exact ");
        if is_exact || line.starts_with("{{- $prefixes ") {
            routes.extend(line.split('"').skip(1).step_by(2).map(|path| Route {
                path: path.to_owned(),
                is_exact,
            }));
        }
    }
    check("the chart", &routes, true);
}

#[test]
fn the_import_lists_every_endpoint_of_clients() {
    let text = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: wiki
  annotations: {nginx.ingress.kubernetes.io/auth-url: 'http://proxy.auth.svc/oauth2/auth'}
spec:
  ingressClassName: nginx
  rules:
    - host: wiki.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: wiki, port: {number: 80}}}}]}
";
    let input = Input {
        name: "wiki.yaml".to_owned(),
        text: text.to_owned(),
    };
    let documents = Documents::read(&[input], &ConfigMap::None).unwrap();
    for form in [Form::Annotations, Form::Gateway] {
        let outpost = "http://gatepost.gatepost.svc:9000".parse().unwrap();
        let gateway = "traefik/web".parse().unwrap();
        let settings = Settings::new(form, &["nginx".to_owned()], outpost, false, gateway).unwrap();
        let imported = ingress_nginx::import(&documents, &settings).unwrap();
        check(&format!("{form:?}"), &routes(&imported.text), true);
    }
}
