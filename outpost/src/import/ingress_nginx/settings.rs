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
    /// The class of the Ingresses.
    pub(super) class: String,
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
    /// Returns settings.
    ///
    /// # Errors
    ///
    /// Where the outpost's address is not that of a Service and its namespace, and why.
    pub fn new(
        form: Form,
        class: &str,
        outpost: Url,
        forward_auth: bool,
        (namespace, gateway): (&str, &str),
    ) -> Result<Self, String> {
        const EXPECTED: &str = "write `http://NAME.NAMESPACE.svc:PORT`";
        if !outpost.username().is_empty() || outpost.password().is_some() {
            return Err(format!(
                "the outpost's address has a user or a password: {EXPECTED}"
            ));
        }
        if outpost.scheme() != "http" {
            return Err(format!(
                "the outpost's address is not `http`: Traefik would have to know its certificate, which \
                 this command does not write: {EXPECTED}"
            ));
        }
        let no_service = || format!("{outpost} is not the address of a Service: {EXPECTED}");
        let Some(Host::Domain(host)) = outpost.host() else {
            return Err(no_service());
        };
        let mut labels = host.split('.');
        let (Some(name), Some(own), rest) = (labels.next(), labels.next(), labels.next()) else {
            return Err(no_service());
        };
        let is_service = rest.is_none_or(|label| label == "svc");
        let is_plain =
            outpost.path() == "/" && outpost.query().is_none() && outpost.fragment().is_none();
        if !is_service || !is_plain {
            return Err(no_service());
        }
        Ok(Self {
            form,
            class: class.to_owned(),
            outpost: Outpost {
                name: name.to_owned(),
                namespace: own.to_owned(),
                port: outpost.port_or_known_default().ok_or_else(no_service)?,
                question: traefik::question(&outpost, &OutpostPrefix::default()),
            },
            forward_auth,
            gateway: (namespace.to_owned(), gateway.to_owned()),
        })
    }
}
