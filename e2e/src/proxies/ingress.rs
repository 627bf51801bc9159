use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use super::nginx;
use crate::programs::Service;
use crate::site::Site;

/// nginx as the ingress controller (kubernetes/ingress-nginx) configures it for the Ingresses, and
/// perhaps its ConfigMap, in a file of `deploy/kubernetes/`: the same directives in the same
/// places, for those annotations that the docs use. An annotation that is not known here is an
/// error.
///
/// The real controller runs only with a cluster ([`IngressController`](super::IngressController)).
/// This one is for the runs without: deployments, attacks, and authentik's own manifest.
#[derive(Clone, Copy, Debug)]
pub struct IngressNginx;

/// The settings in the annotations of an Ingress.
#[derive(Debug, Default)]
struct Annotations {
    auth_url: Option<String>,
    sign_in: Option<String>,
    response_headers: Vec<String>,
    snippet: Option<String>,
    buffer_size: Option<String>,
    /// Further headers of the subrequest, by name.
    question_headers: Vec<(String, String)>,
}

impl IngressNginx {
    /// Starts nginx and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready, or the manifest has an annotation that is
    /// not supported here.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&site.fitted(file, &[])?)
            .with_context(|| format!("parse {file}"))?;
        let mut servers = BTreeMap::<String, String>::new();
        let mut buffers = "4 8k";
        for (number, ingress) in objects.iter().enumerate() {
            if text(ingress, "/kind")? == "ConfigMap" {
                if text(ingress, "/metadata/name")? == "ingress-nginx-controller" {
                    buffers = text(ingress, "/data/large-client-header-buffers")?;
                }
                continue;
            }
            let annotations = Annotations::of(ingress, &objects)?;
            for rule in list(ingress, "/spec/rules")? {
                let host = text(rule, "/host")?;
                for path in list(rule, "/http/paths")? {
                    let locations = servers.entry(host.to_owned()).or_default();
                    location(site, locations, number, path, &annotations)?;
                }
            }
        }
        let mut config = format!(
            "large_client_header_buffers {buffers};\n\
             map $http_upgrade $connection_upgrade {{\n    default upgrade;\n    '' '';\n}}\n"
        );
        for (host, locations) in servers {
            let port = site.ports().web;
            write!(
                config,
                "server {{\n    listen 127.0.0.1:{port};\n    server_name {host};\n{locations}}}\n"
            )?;
        }
        nginx::run(site, &config, &nginx::SET_MISC, hosts)
    }
}

impl Annotations {
    fn of(ingress: &Value, objects: &[Value]) -> Result<Self> {
        let mut annotations = Self::default();
        let empty = Map::new();
        let given = ingress.pointer("/metadata/annotations");
        for (key, value) in given.and_then(Value::as_object).unwrap_or(&empty) {
            let value = value
                .as_str()
                .context("an annotation is a text")?
                .to_owned();
            match key.strip_prefix("nginx.ingress.kubernetes.io/") {
                Some("auth-url") => annotations.auth_url = Some(value),
                Some("auth-signin") => annotations.sign_in = Some(value),
                Some("auth-response-headers") => {
                    let names = value.split(',').map(|name| name.trim().to_owned());
                    annotations.response_headers = names.collect();
                }
                Some("auth-proxy-set-headers") => {
                    let is_named = |object: &&Value| {
                        let part = |pointer| object.pointer(pointer).and_then(Value::as_str);
                        let name = part("/metadata/namespace").zip(part("/metadata/name"));
                        part("/kind") == Some("ConfigMap") && name == value.split_once('/')
                    };
                    let map = objects.iter().find(is_named);
                    let map = map.and_then(|map| map.get("data")?.as_object());
                    for (name, value) in map.with_context(|| format!("no ConfigMap {value}"))? {
                        let value = value.as_str().context("a header is a text")?;
                        let header = (name.clone(), value.to_owned());
                        annotations.question_headers.push(header);
                    }
                }
                Some("auth-snippet") => annotations.snippet = Some(value),
                Some("proxy-buffer-size") => annotations.buffer_size = Some(value),
                _ => bail!("{key} is not known here"),
            }
        }
        Ok(annotations)
    }
}

/// Returns the location blocks for one path of an Ingress.
fn location(
    site: &Site,
    out: &mut String,
    ingress: usize,
    path: &Value,
    annotations: &Annotations,
) -> Result<()> {
    // An exact path, or a prefix.
    let matcher = match path.pointer("/pathType").and_then(Value::as_str) {
        Some("Exact") => format!("= {}", text(path, "/path")?),
        _ => text(path, "/path")?.to_owned(),
    };
    let ports = site.ports();
    let port = match text(path, "/backend/service/name")? {
        "wiki" => ports.wiki,
        "files" => ports.files,
        "gatepost" | "gatepost-outpost" => ports.outpost,
        other => bail!("no Service {other}"),
    };
    let buffers = match &annotations.buffer_size {
        Some(size) => format!("proxy_buffer_size {size};\n        proxy_buffers 4 {size};"),
        None => String::new(),
    };
    let auth = format!("/_external-auth-{ingress}");
    let sign_in_location = format!("@sign-in-{ingress}");
    if let Some(url) = &annotations.auth_url {
        let headers = annotations.question_headers.iter();
        let headers: String = headers
            .map(|(name, value)| format!("proxy_set_header '{name}' '{value}';\n        "))
            .collect();
        let snippet = annotations.snippet.as_deref().unwrap_or_default();
        let (_, rest) = url.split_once("://").context("auth-url is a URL")?;
        let (host, _) = rest.split_once('/').context("auth-url has a path")?;
        write!(
            out,
            "
    location = {auth} {{
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length \"\";
        proxy_set_header X-Forwarded-Proto \"\";
        proxy_set_header X-Request-ID $request_id;
        proxy_set_header Host {host};
        proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Sent-From \"nginx-ingress-controller\";
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
        proxy_buffering off;
        {buffers}
        proxy_http_version 1.1;
        proxy_pass_request_headers on;
        {headers}{snippet}
        set $target {url};
        proxy_pass $target;
    }}
"
        )?;
    }
    if let Some(url) = &annotations.sign_in {
        let whole = "$scheme://$http_host$escaped_request_uri";
        let url = match url.split_once('?') {
            None => format!("{url}?rd={whole}"),
            Some((_, query)) if query.contains("rd=") => url.clone(),
            Some(_) => format!("{url}&rd={whole}"),
        };
        write!(
            out,
            "
    location {sign_in_location} {{
        internal;
        add_header Set-Cookie $auth_cookie;
        return 302 {url};
    }}
"
        )?;
    }
    let mut protection = String::new();
    if annotations.auth_url.is_some() {
        write!(
            protection,
            "auth_request {auth};
        auth_request_set $auth_cookie $upstream_http_set_cookie;
        add_header Set-Cookie $auth_cookie;"
        )?;
        for (index, name) in annotations.response_headers.iter().enumerate() {
            let variable = name.to_ascii_lowercase().replace('-', "_");
            write!(
                protection,
                "
        auth_request_set $authHeader{index} $upstream_http_{variable};
        proxy_set_header '{name}' $authHeader{index};"
            )?;
        }
    }
    if annotations.sign_in.is_some() {
        write!(
            protection,
            "
        set_escape_uri $escaped_request_uri $request_uri;
        error_page 401 = {sign_in_location};"
        )?;
    }
    write!(
        out,
        "
    location {matcher} {{
        {protection}
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Request-ID $request_id;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Scheme $scheme;
        proxy_set_header Proxy \"\";
        {buffers}
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:{port};
    }}
"
    )?;
    Ok(())
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.with_context(|| format!("a text at {pointer}"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> Result<&'v [Value]> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    Ok(list.with_context(|| format!("a list at {pointer}"))?)
}
