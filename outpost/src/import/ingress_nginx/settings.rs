//! What to print, and what the documents do not say.

use gatepost_policy::OutpostPrefix;
use url::{Host, Url};

use crate::export::traefik;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Ingresses, for Traefik's provider `kubernetesIngressNGINX`.
    Annotations,
    /// Traefik's custom resources.
    Crds,
    /// HTTPRoutes.
    Gateway,
}

/// What the documents do not say.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) form: Form,
    pub(super) outpost: Outpost,
    /// Whether Traefik asks the outpost, in place of the plugin.
    pub(super) forward_auth: bool,
    /// The Gateway of HTTPRoutes: namespace and name.
    pub(super) gateway: (String, String),
}

/// The outpost's Service.
#[derive(Clone, Debug)]
pub(super) struct Outpost {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) port: u16,
    /// Where Traefik asks.
    pub(super) question: String,
}

impl Settings {
    /// Returns settings; `None` where the outpost's address is not that of a Service and its namespace.
    pub fn new(
        form: Form,
        outpost: Url,
        forward_auth: bool,
        (namespace, gateway): (&str, &str),
    ) -> Option<Self> {
        let Some(Host::Domain(host)) = outpost.host() else {
            return None;
        };
        let mut labels = host.split('.');
        let (name, own, rest) = (labels.next()?, labels.next()?, labels.next());
        let is_service = rest.is_none_or(|label| label == "svc");
        let is_plain = outpost.path() == "/" && outpost.query().is_none();
        if !is_service || !is_plain || !matches!(outpost.scheme(), "http" | "https") {
            return None;
        }
        Some(Self {
            form,
            outpost: Outpost {
                name: name.to_owned(),
                namespace: own.to_owned(),
                port: outpost.port_or_known_default()?,
                question: traefik::question(&outpost, &OutpostPrefix::default()),
            },
            forward_auth,
            gateway: (namespace.to_owned(), gateway.to_owned()),
        })
    }
}
