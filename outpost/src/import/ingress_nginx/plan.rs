//! What becomes of an Ingress.

use gatepost_base::Quoted;
use gatepost_policy::{HeaderRules, HeaderSettings, Preset};

use super::annotations;
use super::auth_service::{self, AuthService};
use super::documents::Controller;
use super::ingress::{HttpPath, Ingress};
use super::settings::{Form, Settings};
use crate::export::traefik;

/// A host of an Ingress, with its paths.
#[derive(Debug)]
pub(super) struct HostPlan<'i> {
    pub(super) host: &'i str,
    pub(super) paths: Vec<&'i HttpPath>,
    pub(super) https: bool,
}

/// What takes the place of an Ingress.
#[derive(Debug)]
pub(super) struct Plan<'i> {
    pub(super) ingress: &'i Ingress,
    pub(super) hosts: Vec<HostPlan<'i>>,
    pub(super) notes: Vec<String>,
    /// The headers that the application got from the service, and Gatepost does not set.
    pub(super) unknown_headers: Vec<String>,
    /// The addresses that may ask; an empty list means all.
    pub(super) addresses: Vec<String>,
}

impl Plan<'_> {
    /// Returns the headers of the outpost's answer that the application gets, and those that the old
    /// service set, which are removed because the answer does not have them.
    pub(super) fn answered_headers(&self) -> Vec<String> {
        let mut headers = known_headers();
        headers.extend(self.unknown_headers.iter().cloned());
        headers
    }
}

/// Whether an Ingress is protected.
pub(super) enum Standing<'i> {
    Protected(Plan<'i>),
    /// It is protected, and this cannot be expressed.
    Refused(String),
    /// It is open, with the reason.
    Open(String),
}

/// Returns what becomes of an Ingress.
pub(super) fn standing<'i>(
    ingress: &'i Ingress,
    controller: Option<&Controller>,
    settings: &Settings,
) -> Standing<'i> {
    let url = match ingress.annotation("auth-url").map(str::trim) {
        Some("") => return Standing::Refused("`auth-url` is empty".to_owned()),
        Some(url) => url,
        None => {
            let global = controller.and_then(Controller::global_auth_url);
            match global.filter(|_| !ingress.says_no("enable-global-auth")) {
                Some(url) => url,
                None => return without_auth_url(ingress, controller),
            }
        }
    };
    match protected(ingress, url, controller, settings) {
        Ok(plan) => Standing::Protected(plan),
        Err(reason) => Standing::Refused(reason),
    }
}

fn without_auth_url<'i>(ingress: &Ingress, controller: Option<&Controller>) -> Standing<'i> {
    let other_prefix = ingress
        .annotations
        .keys()
        .find(|key| key.ends_with("/auth-url"));
    if let Some(key) = other_prefix {
        return Standing::Refused(format!(
            "`{key}` is of a controller with another prefix (`--annotations-prefix`): write {}auth-url",
            super::ingress::PREFIX
        ));
    }
    if let Some(kind) = ingress.annotation("auth-type") {
        return Standing::Refused(format!(
            "it is protected by passwords (`auth-type: {kind}`), for which Gatepost has no equal: Traefik's \
             provider keeps them as they are; or remove the annotations, set `auth-url` to the outpost, \
             and import again"
        ));
    }
    if ingress.says_no("enable-global-auth") {
        return Standing::Open("open: `enable-global-auth` says no".to_owned());
    }
    if ingress.annotation("enable-global-auth").is_some() && controller.is_none() {
        return Standing::Refused(
            "`enable-global-auth` says that the controller's `global-auth-url` protects it: hand over that \
             ConfigMap too (`kubectl get configmap -n ingress-nginx ingress-nginx-controller -o yaml`)"
                .to_owned(),
        );
    }
    Standing::Open("open: no `auth-url`".to_owned())
}

fn protected<'i>(
    ingress: &'i Ingress,
    url: &str,
    controller: Option<&Controller>,
    settings: &Settings,
) -> Result<Plan<'i>, String> {
    if let Some(reason) = annotations::inexpressible(ingress, settings.form) {
        return Err(reason);
    }
    let hosts = hosts(ingress, settings)?;
    let service = AuthService::of(url);
    let mut notes = vec![format!(
        "auth-url: was {service}, at {}",
        auth_service::shown(url)
    )];
    notes.extend(service.changes().iter().map(|&change| change.to_owned()));
    let rules = auth_service::rules_in_the_query(url);
    if !rules.is_empty() {
        notes.push(format!(
            "write to `require` what the address said: {}",
            rules.join(", ")
        ));
    }
    let is_global = ingress.annotation("auth-url").is_none();
    if let (true, Some(controller)) = (is_global, controller) {
        notes.push(format!(
            "`global-auth-url` of {} protected it",
            controller.place
        ));
    }
    let no_auth = controller.and_then(|it| it.data.get("no-auth-locations"));
    if let Some(paths) = no_auth {
        notes.push(format!(
            "no-auth-locations ({paths}) are protected now, unless `public` names them"
        ));
    }
    let unknown_headers = unknown_headers(ingress, controller, is_global);
    if !unknown_headers.is_empty() {
        notes.push(format!(
            "auth-response-headers: Gatepost does not set {}; what a client sends under these names is \
             removed",
            unknown_headers.join(", ")
        ));
    }
    notes.extend(annotations::notes(ingress, settings.form));
    if ingress.spec.default_backend.is_some() {
        notes.push("`defaultBackend` is left out: it had no host".to_owned());
    }
    let mut addresses = Vec::new();
    for key in ["allowlist-source-range", "whitelist-source-range"] {
        let list = ingress.annotation(key).unwrap_or_default();
        let list = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        addresses.extend(list.map(str::to_owned));
    }
    Ok(Plan {
        ingress,
        hosts,
        notes,
        unknown_headers,
        addresses,
    })
}

fn hosts<'i>(ingress: &'i Ingress, settings: &Settings) -> Result<Vec<HostPlan<'i>>, String> {
    let mut hosts: Vec<HostPlan<'i>> = Vec::new();
    for rule in &ingress.spec.rules {
        let host = rule.host.as_deref().unwrap_or_default();
        if host.is_empty() {
            return Err(
                "a rule without a host: an application of Gatepost has a host name".to_owned(),
            );
        }
        if let Some(domain) = host.strip_prefix("*.") {
            return Err(format!(
                "`{host}` is many hosts: they are one application with `mode: domain` and `cookieDomain: \
                 {domain}`, whose routes are written by hand"
            ));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if !host.chars().all(plain) {
            return Err(format!("`{host}` is not a host name"));
        }
        let mut paths: Vec<&HttpPath> = Vec::new();
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            check_path(path, settings)?;
            paths.push(path);
        }
        match hosts.iter_mut().find(|known| known.host == host) {
            Some(known) => known.paths.append(&mut paths),
            None => hosts.push(HostPlan {
                host,
                paths,
                https: ingress.tls_of(host).is_some(),
            }),
        }
    }
    hosts.retain(|host| !host.paths.is_empty());
    if hosts.is_empty() {
        return Err("it has no rule with a host and a path".to_owned());
    }
    Ok(hosts)
}

fn check_path(path: &HttpPath, settings: &Settings) -> Result<(), String> {
    if path.path.chars().any(|c| c.is_control() || c == '`') {
        return Err(format!(
            "the path {} cannot be written in a rule",
            Quoted(&path.path)
        ));
    }
    if !path.path.is_empty() && !path.path.starts_with('/') {
        return Err(format!("the path `{}` does not begin with `/`", path.path));
    }
    let Some(service) = &path.backend.service else {
        return Err(format!("the backend of `{}` is not a Service", path.path));
    };
    if settings.form == Form::Gateway && service.port.number.is_none() {
        return Err(format!(
            "an HTTPRoute needs the number of the port of Service `{}`: write it in the Ingress in place of \
             the name",
            service.name
        ));
    }
    if service.port.number.is_none() && service.port.name.is_none() {
        return Err(format!("the Service `{}` has no port", service.name));
    }
    Ok(())
}

/// Returns the headers of the old service that Gatepost does not set.
fn unknown_headers(
    ingress: &Ingress,
    controller: Option<&Controller>,
    is_global: bool,
) -> Vec<String> {
    let global = controller.filter(|_| is_global);
    let global = global.and_then(|it| it.data.get("global-auth-response-headers"));
    let given = ingress
        .annotation("auth-response-headers")
        .or(global.map(String::as_str));
    let known = known_headers();
    let mut unknown: Vec<String> = Vec::new();
    for name in given.unwrap_or_default().split(',').map(str::trim) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_name = !name.is_empty() && name.chars().all(plain);
        if is_name && !known.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            unknown.push(name.to_owned());
        }
    }
    unknown
}

/// Returns the headers of the outpost's answer that the application gets, and those of other systems,
/// which are removed because the answer does not have them.
fn known_headers() -> Vec<String> {
    let rules = HeaderRules::new(HeaderSettings::of(Preset::Gatepost, ""));
    let headers = traefik::answered_headers(&rules).into_iter();
    headers.map(str::to_owned).collect()
}
