//! What to print, and what the documents do not say.

use std::str::FromStr;

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
    /// The classes of the Ingresses, which one controller serves.
    pub(super) classes: Vec<String>,
    pub(super) outpost: Outpost,
    /// Whether Traefik asks the outpost, in place of the plugin.
    pub(super) forward_auth: bool,
    pub(super) gateway: Gateway,
}

/// The Gateway of HTTPRoutes.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The listener of hosts with TLS; all of them where it has no name.
    pub(super) section: Option<String>,
}

impl FromStr for Gateway {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let mut part = || parts.next().filter(|it| !it.is_empty()).map(str::to_owned);
        match (part(), part(), part(), part()) {
            (Some(namespace), Some(name), section, None) if !text.ends_with('/') => Ok(Self {
                namespace,
                name,
                section,
            }),
            _ => Err(
                "expected `NAMESPACE/NAME` or `NAMESPACE/NAME/SECTION`, like `traefik/web/websecure`",
            ),
        }
    }
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
    /// Returns whether the Ingresses of a class are imported.
    pub(super) fn has_class(&self, class: Option<&str>) -> bool {
        class.is_some_and(|class| self.classes.iter().any(|own| own == class))
    }

    /// Returns the classes as a message names them.
    pub(super) fn shown_classes(&self) -> String {
        let classes: Vec<String> = self.classes.iter().map(|it| format!("`{it}`")).collect();
        classes.join(" or ")
    }

    /// Returns settings.
    ///
    /// # Errors
    ///
    /// Where the outpost's address is not that of a Service and its namespace, and why.
    pub fn new(
        form: Form,
        classes: &[String],
        outpost: Url,
        forward_auth: bool,
        gateway: Gateway,
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
            classes: classes.to_vec(),
            outpost: Outpost {
                name: name.to_owned(),
                namespace: own.to_owned(),
                port: outpost.port_or_known_default().ok_or_else(no_service)?,
                question: traefik::question(&outpost, &OutpostPrefix::default()),
            },
            forward_auth,
            gateway,
        })
    }
}
