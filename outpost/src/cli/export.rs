//! `gatepost export`: the configuration of a proxy that follows from the applications'.

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use url::Url;

use super::{ConfigFile, complain, say};
use crate::config::{Config, PluginKeys, PluginSettings, TraefikSettings};
use crate::traefik;

mod nginx;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Traefik's dynamic configuration, for its file provider.
    Traefik,
    /// Labels for services of a compose file.
    Compose,
    /// Middlewares and IngressRoutes for Traefik on Kubernetes.
    Kubernetes,
    /// Server blocks for nginx with `auth_request`.
    Nginx,
    /// The plugin's keys file, where the keys are authentik's.
    Keys,
}

pub(super) async fn export(form: Form, file: &ConfigFile) -> Option<()> {
    let config = file.load_or_ask().await?;
    for application in &config.applications {
        if application.routes.is_empty() && form != Form::Keys {
            complain(&format!(
                "{}: names no `upstream`, so it has no route here",
                application.audience
            ));
        }
    }
    match render(form, &config) {
        Ok(text) => {
            say(text.trim_end());
            Some(())
        }
        Err(error) => {
            complain(&error);
            None
        }
    }
}

/// The keys of authentik's applications: each has the cookie secret of its provider. All in one
/// file will do, since a session is for one application whatever keys others have.
fn keys(config: &Config) -> Result<String, ExportError> {
    let mut lines = Vec::new();
    for settings in &config.applications {
        if let Some(own) = &settings.authentik {
            let origin = settings.external.origin();
            lines.push(format!("# {} at {origin}", settings.audience));
            lines.push(own.keys_entry.expose().to_owned());
        }
    }
    if lines.is_empty() {
        return Err(ExportError::NoKeys);
    }
    Ok(lines.join("\n"))
}

/// Why nothing can be printed.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(
        "no application is authentik's: the plugin has the keys that the outpost has, of `keys` or \
         `keysFile`"
    )]
    NoKeys,
    #[error("cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    #[error("`listen.http` is no address of a URL: {0}")]
    Listen(#[from] url::ParseError),
    #[error("cannot be written: {0}")]
    Template(#[from] minijinja::Error),
}

fn render(form: Form, config: &Config) -> Result<String, ExportError> {
    let settings = match &config.traefik {
        Some(settings) => settings.clone(),
        None => presumed(config)?,
    };
    Ok(match form {
        Form::Traefik => {
            serde_saphyr::to_string(&traefik::dynamic_configuration_with(config, &settings))?
        }
        Form::Compose => {
            let http = traefik::dynamic_configuration_with(config, &settings);
            serde_saphyr::to_string(&compose(&settings, &http))?
        }
        Form::Kubernetes => {
            let http = traefik::dynamic_configuration_with(config, &settings);
            let documents = kubernetes(&http)
                .iter()
                .map(serde_saphyr::to_string)
                .collect::<Result<Vec<_>, _>>()?;
            documents.join("---\n")
        }
        Form::Nginx => nginx::servers(config, &settings.outpost_url)?,
        Form::Keys => keys(config)?,
    })
}

/// What is printed where the configuration does not speak of Traefik: the plugin as the README
/// sets it up, with the outpost on this machine.
fn presumed(config: &Config) -> Result<TraefikSettings, url::ParseError> {
    Ok(TraefikSettings {
        outpost_url: Url::parse(&format!("http://{}", config.listen.http))?,
        plugin: Some(PluginSettings {
            name: "gatepost".to_owned(),
            keys: PluginKeys::File("/keys/gatepost.keys".to_owned()),
            revoked_file: config
                .revoked_file
                .as_ref()
                .map(|_| "/run/gatepost/revoked".to_owned()),
        }),
        entry_points: Vec::new(),
        tls: config
            .applications
            .iter()
            .any(|application| application.external.is_https()),
        cert_resolver: None,
    })
}

/// The entries of a section of the dynamic configuration.
fn entries<'a>(dynamic: &'a Value, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    dynamic
        .get("http")
        .and_then(|http| http.get(section))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Where a service of the dynamic configuration leads.
fn server(service: &Value) -> Option<Url> {
    let url = service.pointer("/loadBalancer/servers/0/url")?.as_str()?;
    Url::parse(url).ok()
}

/// Labels for each service of a compose file, under the names that upstreams have as hosts.
fn compose(settings: &TraefikSettings, dynamic: &Value) -> Value {
    let mut services: Map<String, Value> = Map::new();
    let host_of = |url: &Url| url.host_str().unwrap_or("app").to_owned();
    let outpost = host_of(&settings.outpost_url);
    let mut label = |host: &str, name: String, text: String| {
        let service = services
            .entry(host.to_owned())
            .or_insert_with(|| json!({"labels": {"traefik.enable": "true"}}));
        if let Some(labels) = service.get_mut("labels").and_then(Value::as_object_mut) {
            // Compose puts variables in the place of `$NAME`.
            labels.insert(name, text.replace('$', "$$").into());
        }
    };
    for (name, service) in entries(dynamic, "services") {
        let Some(url) = server(service) else {
            continue;
        };
        let at = format!("traefik.http.services.{name}.loadbalancer.server");
        let port = url.port_or_known_default().unwrap_or(80).to_string();
        label(&host_of(&url), format!("{at}.port"), port);
        if url.scheme() == "https" {
            label(&host_of(&url), format!("{at}.scheme"), "https".to_owned());
        }
    }
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        let host = url.as_ref().map_or_else(|| outpost.clone(), host_of);
        for (path, text) in flat(router) {
            label(&host, format!("traefik.http.routers.{name}{path}"), text);
        }
    }
    // On the outpost, whose container is there whatever becomes of the applications'.
    for (name, middleware) in entries(dynamic, "middlewares") {
        for (path, text) in flat(middleware) {
            label(
                &outpost,
                format!("traefik.http.middlewares.{name}{path}"),
                text,
            );
        }
    }
    json!({"services": services})
}

/// Every leaf of a value with its path, as labels have them: lists with commas, sections that are
/// there but empty as `true`.
fn flat(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(section) if section.is_empty() => vec![(String::new(), "true".to_owned())],
        Value::Object(section) => section
            .iter()
            .flat_map(|(key, value)| {
                flat(value)
                    .into_iter()
                    .map(move |(path, text)| (format!(".{key}{path}"), text))
            })
            .collect(),
        Value::Array(entries) => {
            let texts: Vec<String> = entries.iter().map(plain).collect();
            vec![(String::new(), texts.join(","))]
        }
        leaf => vec![(String::new(), plain(leaf))],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Middlewares and IngressRoutes. Services are referred to by the first label of their host.
fn kubernetes(dynamic: &Value) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut document = |kind: &str, name: &str, spec: Value| {
        documents.push(json!({
            "apiVersion": "traefik.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": object_name(name)},
            "spec": spec,
        }));
    };
    for (name, middleware) in entries(dynamic, "middlewares") {
        document("Middleware", name, middleware.clone());
    }
    for (name, router) in entries(dynamic, "routers") {
        let service = router.get("service").and_then(Value::as_str).unwrap_or("");
        let url = entries(dynamic, "services")
            .find(|(own, _)| *own == service)
            .and_then(|(_, service)| server(service));
        let Some(url) = url else {
            continue;
        };
        let host = url.host_str().unwrap_or_default();
        let mut labels = host.split('.');
        let mut own = Map::from_iter([
            ("name".to_owned(), json!(labels.next())),
            ("port".to_owned(), json!(url.port_or_known_default())),
        ]);
        if let Some(namespace) = labels.next() {
            own.insert("namespace".to_owned(), json!(namespace));
        }
        let middlewares: Vec<Value> = router
            .get("middlewares")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| json!({"name": object_name(name)}))
            .collect();
        let mut route = Map::from_iter([
            ("kind".to_owned(), json!("Rule")),
            (
                "match".to_owned(),
                router.get("rule").cloned().unwrap_or_default(),
            ),
            ("services".to_owned(), json!([own])),
        ]);
        if !middlewares.is_empty() {
            route.insert("middlewares".to_owned(), middlewares.into());
        }
        let mut spec = Map::from_iter([("routes".to_owned(), json!([route]))]);
        for key in ["entryPoints", "tls"] {
            if let Some(value) = router.get(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
        document("IngressRoute", name, spec.into());
    }
    documents
}

/// A name as Kubernetes takes it (RFC 1123).
fn object_name(name: &str) -> String {
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

    const CONFIG: &str = "
keys: ['a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g, clientSecret: hush}]
traefik: {outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginKeysFile: /keys/k, tls: true}
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki.apps:8080
    public: [/healthz, '/static/*']
    require: {groups: [staff]}
  - name: Intranet_1
    mode: domain
    externalUrl: https://auth.example.org
    cookieDomain: example.org
    upstreams: {chat.example.org: 'http://chat'}
";

    fn exported(form: Form) -> String {
        let config = Config::parse(CONFIG, []).expect("right");
        let text = render(form, &config).expect("a text");
        assert!(
            !text.contains("hush") && !text.contains("QkNERUZ"),
            "{text}"
        );
        text
    }

    #[test]
    fn traefik_gets_what_the_http_provider_serves() {
        let text = exported(Form::Traefik);
        let config = Config::parse(CONFIG, []).expect("right");
        let served = traefik::dynamic_configuration(&config).expect("a configuration");
        let served: Value = serde_json::from_str(&served).expect("JSON");
        let read: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(read, served, "{text}");
    }

    #[test]
    fn labels_stand_at_the_services_that_upstreams_name() {
        let text = exported(Form::Compose);
        let read: Value = serde_saphyr::from_str(&text).expect("YAML");
        let label = |service: &str, name: &str| {
            read["services"][service]["labels"][name]
                .as_str()
                .map(str::to_owned)
        };
        let routers = "traefik.http.routers.gatepost-wiki";
        for (service, name, expected) in [
            (
                "wiki.apps",
                format!("{routers}.rule"),
                "Host(`wiki.example.com`)",
            ),
            (
                "wiki.apps",
                format!("{routers}.middlewares"),
                "gatepost-wiki",
            ),
            ("wiki.apps", format!("{routers}.tls"), "true"),
            (
                "wiki.apps",
                "traefik.http.services.gatepost-wiki.loadbalancer.server.port".into(),
                "8080",
            ),
            (
                "outpost",
                "traefik.http.services.gatepost-outpost.loadbalancer.server.port".into(),
                "9000",
            ),
            (
                "outpost",
                format!("{routers}-outpost.rule"),
                "Host(`wiki.example.com`) && PathPrefix(`/akprox`)",
            ),
            (
                "outpost",
                "traefik.http.middlewares.gatepost-wiki.plugin.gatepost.public".into(),
                "/healthz,/static/*",
            ),
            (
                "outpost",
                "traefik.http.middlewares.gatepost-wiki.plugin.gatepost.require.groups".into(),
                "staff",
            ),
        ] {
            assert_eq!(
                label(service, &name).as_deref(),
                Some(expected),
                "{name}\n{text}"
            );
        }
    }

    #[test]
    fn kubernetes_gets_objects_with_names_that_it_takes() {
        let text = exported(Form::Kubernetes);
        let documents: Vec<Value> = text
            .split("---\n")
            .map(|document| serde_saphyr::from_str(document).expect("YAML"))
            .collect();
        let names: Vec<&str> = documents
            .iter()
            .filter_map(|document| document["metadata"]["name"].as_str())
            .collect();
        assert!(names.contains(&"gatepost-intranet-1"), "{names:?}");
        let wiki = documents
            .iter()
            .find(|d| d["kind"] == "IngressRoute" && d["metadata"]["name"] == "gatepost-wiki");
        let route = &wiki.expect("a route")["spec"]["routes"][0];
        assert_eq!(
            route["services"][0],
            json!({"name": "wiki", "namespace": "apps", "port": 8080})
        );
        assert_eq!(route["middlewares"][0]["name"], "gatepost-wiki");
    }

    #[test]
    fn nginx_gets_a_server_for_each_host() {
        let text = exported(Form::Nginx);
        for line in [
            "server_name wiki.example.com;",
            "proxy_pass http://wiki.apps:8080;",
            "auth_request_set $gatepost_x_auth_username $upstream_http_x_auth_username;",
            "proxy_set_header X-Auth-Username $gatepost_x_auth_username;",
            "return 302 /akprox/start?rd=$request_uri;",
            "return 302 https://auth.example.org/akprox/start?\
             rd=$scheme://$server_name$gatepost_port$request_uri;",
            "proxy_set_header X-Original-URL $scheme://$server_name$request_uri;",
            "server_name auth.example.org;",
            "ssl_certificate /etc/nginx/tls/chat.example.org.crt;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
