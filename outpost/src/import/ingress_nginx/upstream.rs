//! How Traefik reaches the Services of an application, where that is by TLS.

use gatepost_base::Quoted;
use serde_json::{Value, json};

use super::host_plan::{HostPlan, differs};
use super::ingress::Ingress;
use super::json::insert;
use super::location::Location;
use super::settings::Form;

/// The ServersTransport for Services whose certificates nginx did not verify.
const UNVERIFIED: &str = "gatepost-unverified";

/// Returns the scheme by which a Service is reached.
pub(super) fn scheme(protocol: &str) -> Option<&'static str> {
    match &*protocol.trim().to_ascii_uppercase() {
        "" | "HTTP" => Some("http"),
        "HTTPS" | "GRPCS" => Some("https"),
        "GRPC" => Some("h2c"),
        _ => None,
    }
}

/// Returns the scheme of a location's Service.
pub(super) fn scheme_of(ingress: &Ingress) -> Option<&'static str> {
    scheme(ingress.annotation("backend-protocol").unwrap_or_default())
}

/// What nginx shows to the Services, and what they have to show: nothing of it without a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProxySsl<'i> {
    /// The Secret with the authority's certificate, and with nginx's own.
    secret: &'i str,
    name: Option<&'i str>,
    verifies: bool,
}

impl<'i> ProxySsl<'i> {
    fn of(ingress: &'i Ingress) -> Option<Self> {
        Some(Self {
            secret: ingress.set("proxy-ssl-secret")?,
            name: ingress.set("proxy-ssl-name"),
            verifies: ingress.annotation("proxy-ssl-verify") == Some("on"),
        })
    }
}

/// Returns why an Ingress's Services cannot be reached as nginx reached them.
pub(super) fn unfit(ingress: &Ingress, form: Form) -> Option<String> {
    if form != Form::Crds || scheme_of(ingress) != Some("https") {
        return None;
    }
    let own = ProxySsl::of(ingress)?;
    let is_own = own
        .secret
        .split_once('/')
        .is_some_and(|(of, name)| of == ingress.own_namespace() && !name.is_empty());
    if !is_own {
        return Some(format!(
            "its `proxy-ssl-secret` {} is not `NAMESPACE/NAME` of its own namespace, and neither the controller \
             nor Traefik reads it",
            Quoted(own.secret)
        ));
    }
    (own.verifies && own.name.is_none()).then(|| {
        "with `proxy-ssl-verify` and no `proxy-ssl-name`, nginx looks for a name of its own in the Service's \
         certificate: write the name that the certificate has"
            .to_owned()
    })
}

/// Returns why the Services of a host cannot be reached as nginx reached them: what one Ingress says holds
/// for the whole host.
pub(super) fn differing(locations: &[Location<'_>], form: Form) -> Option<String> {
    if form != Form::Crds {
        return None;
    }
    let of_tls = locations
        .iter()
        .filter(|it| scheme_of(it.ingress) == Some("https"));
    differs(of_tls.map(|it| ProxySsl::of(it.ingress))).then(|| {
        "its Ingresses differ in `proxy-ssl-…`, and nginx takes those of one of them for the whole host: write \
         the same in each with `backend-protocol: HTTPS`"
            .to_owned()
    })
}

/// Returns the name and content of the ServersTransport of a location's Service, where it has TLS.
pub(super) fn transport(plan: &HostPlan<'_>, location: &Location<'_>) -> Option<(String, Value)> {
    if scheme_of(location.ingress) != Some("https") {
        return None;
    }
    let Some(own) = ProxySsl::of(location.ingress) else {
        let spec = json!({ "insecureSkipVerify": true });
        return Some((UNVERIFIED.to_owned(), spec));
    };
    let secret = own.secret.rsplit('/').next().unwrap_or_default();
    let mut spec = json!({ "certificatesSecrets": [secret] });
    if own.verifies {
        insert(&mut spec, "rootCAs", json!([{ "secret": secret }]));
    } else {
        insert(&mut spec, "insecureSkipVerify", json!(true));
    }
    if let Some(name) = own.name {
        insert(&mut spec, "serverName", json!(name));
    }
    Some((format!("proxy-ssl.gatepost-{}", plan.host), spec))
}
