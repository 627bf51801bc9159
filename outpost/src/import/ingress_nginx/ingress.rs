//! One Ingress.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::errors::{ImportError, Place, first_line};

/// The prefix of the annotations that ingress-nginx reads.
pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// An Ingress, with what this import looks at.
#[derive(Debug)]
pub(super) struct Ingress {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Spec,
    /// The whole object.
    pub(super) object: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) ingress_class_name: Option<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) rules: Vec<Rule>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) tls: Vec<Tls>,
    pub(super) default_backend: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) host: Option<String>,
    pub(super) http: Option<Http>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Http {
    pub(super) paths: Vec<HttpPath>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpPath {
    #[serde(default)]
    pub(super) path: String,
    pub(super) path_type: PathType,
    pub(super) backend: Backend,
}

impl Rule {
    /// Returns its host; an empty text where it is for all.
    pub(super) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_default()
    }
}

impl HttpPath {
    /// Returns the path, as nginx reads it.
    pub(super) fn text(&self) -> &str {
        if self.path.is_empty() {
            "/"
        } else {
            &self.path
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum PathType {
    Exact,
    Prefix,
    ImplementationSpecific,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Backend {
    pub(super) service: Option<Service>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) port: Port,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Port {
    pub(super) name: Option<String>,
    pub(super) number: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tls {
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    pub(super) secret_name: Option<String>,
}

impl Ingress {
    pub(super) fn read(place: &Place, object: Map<String, Value>) -> Result<Self, ImportError> {
        let metadata = object.get("metadata").and_then(Value::as_object);
        let metadata = metadata.ok_or_else(|| place.invalid("an Ingress without `metadata`"))?;
        let name = metadata.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| place.invalid("an Ingress without a name"))?;
        let namespace = metadata.get("namespace").and_then(Value::as_str);
        let mut annotations = BTreeMap::new();
        let given = metadata.get("annotations").and_then(Value::as_object);
        for (key, value) in given.into_iter().flatten() {
            let Value::String(value) = value else {
                return Err(place.invalid(format!(
                    "Ingress `{name}`: the annotation `{key}` is not a text: quote it"
                )));
            };
            annotations.insert(key.clone(), value.clone());
        }
        let spec = object.get("spec").cloned().unwrap_or(Value::Null);
        let spec = serde_json::from_value(spec).map_err(|error| {
            let message = first_line(&error.to_string());
            place.invalid(format!("Ingress `{name}`: `spec`: {message}"))
        })?;
        Ok(Self {
            place: place.clone(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            annotations,
            spec,
            object,
        })
    }

    /// Returns the name and where it was found, for comments and messages.
    pub(super) fn title(&self) -> String {
        format!("Ingress {} ({})", self.full_name(), self.place)
    }

    /// Returns the name with its namespace.
    pub(super) fn full_name(&self) -> String {
        let namespace = self.namespace.as_deref().map(|it| format!("{it}/"));
        format!("{}{}", namespace.unwrap_or_default(), self.name)
    }

    /// Returns the namespace that it is in: `default` where it names none.
    pub(super) fn own_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// Returns the value of an annotation of ingress-nginx.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let value = self.annotations.get(&format!("{PREFIX}{key}"));
        value.map(String::as_str)
    }

    /// Returns whether an annotation says yes, as ingress-nginx reads it.
    pub(super) fn says_yes(&self, key: &str) -> bool {
        self.annotation(key).is_some_and(is_yes)
    }

    /// Returns whether an annotation says no, as ingress-nginx reads it.
    pub(super) fn says_no(&self, key: &str) -> bool {
        self.annotation(key).is_some_and(is_no)
    }

    /// Returns the class of controllers that it is for: the controller reads the annotation only where
    /// the field is missing.
    pub(super) fn class(&self) -> Option<&str> {
        let annotation = self.annotations.get("kubernetes.io/ingress.class");
        let field = self.spec.ingress_class_name.as_ref();
        field.or(annotation).map(String::as_str)
    }

    /// Returns the hosts of its rules.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.spec.rules.iter().map(Rule::host)
    }

    /// Returns whether it has a rule for a host.
    pub(super) fn has_host(&self, host: &str) -> bool {
        self.hosts().any(|own| own == host)
    }

    /// Returns the further names of its hosts.
    pub(super) fn aliases(&self) -> impl Iterator<Item = &str> {
        let list = self.annotation("server-alias").unwrap_or_default();
        let names = list.split(',').map(str::trim);
        names.filter(|name| !name.is_empty())
    }

    /// Returns whether it is there until cert-manager has a certificate.
    pub(super) fn is_of_cert_manager(&self) -> bool {
        let labels = self.object.get("metadata").and_then(|it| it.get("labels"));
        let label = labels.and_then(|it| it.get("acme.cert-manager.io/http01-solver"));
        label.is_some_and(Value::is_string)
    }

    /// Returns a text that is set, and not empty.
    pub(super) fn set(&self, key: &str) -> Option<&str> {
        let value = self.annotation(key).map(str::trim);
        value.filter(|value| !value.is_empty())
    }

    /// Returns the paths that it has for a host.
    pub(super) fn paths_of(&self, host: &str) -> impl Iterator<Item = &HttpPath> {
        let rules = self.spec.rules.iter().filter(move |it| it.host() == host);
        rules
            .filter_map(|rule| rule.http.as_ref())
            .flat_map(|http| &http.paths)
    }

    /// Returns whether its paths of a host are regular expressions, and with them all of the host.
    pub(super) fn has_regexes(&self, host: &str) -> bool {
        let target = self.set("rewrite-target");
        self.paths_of(host)
            .any(|path| self.says_yes("use-regex") || target.is_some_and(|it| it != path.text()))
    }

    /// Returns the keys of its annotations of ingress-nginx, without the prefix.
    pub(super) fn nginx_keys(&self) -> impl Iterator<Item = &str> {
        self.annotations
            .keys()
            .filter_map(|key| key.strip_prefix(PREFIX))
    }

    /// Returns the TLS block that covers a host.
    pub(super) fn tls_of(&self, host: &str) -> Option<&Tls> {
        let covers = |own: &String| match own.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => own == host,
        };
        let mut blocks = self.spec.tls.iter();
        blocks.find(|tls| tls.hosts.is_empty() || tls.hosts.iter().any(covers))
    }
}

/// Returns whether a text says yes, as ingress-nginx reads it: blanks around it are a mistake to Go.
pub(super) fn is_yes(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Returns whether a text says no, as ingress-nginx reads it.
pub(super) fn is_no(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// Reads a list that may be `null`.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
