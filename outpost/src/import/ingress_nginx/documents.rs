//! The documents of the input: Ingresses, Lists of them, and the controller's ConfigMap.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_saphyr::{Budget, Options};

use super::controller::Controller;
use super::errors::{ImportError, Place, first_line};
use super::ingress::Ingress;

/// A file with documents.
#[derive(Clone, Debug)]
pub struct Input {
    /// How messages call it.
    pub name: String,
    /// Its text: YAML documents, or JSON.
    pub text: String,
}

/// Where the settings of the controller are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigMap {
    /// Among the documents, as the only one.
    Expected,
    /// Among the documents, under this namespace and name.
    Named(String),
    /// The controller has none.
    None,
}

/// What the documents contain.
#[derive(Debug, Default)]
pub struct Documents {
    pub(super) ingresses: Vec<Ingress>,
    pub(super) controller: Controller,
    /// The controllers of the classes that are among the documents.
    pub(super) classes: BTreeMap<String, String>,
    /// Objects that the import does not read: kind, and how many.
    pub(super) others: BTreeMap<String, usize>,
}

impl Documents {
    /// Reads files.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn read(inputs: &[Input], wanted: &ConfigMap) -> Result<Self, Vec<ImportError>> {
        let mut documents = Self::default();
        let mut errors = Vec::new();
        let mut found = Found {
            wanted,
            all: Vec::new(),
        };
        for input in inputs {
            let mut options = Options::default();
            options.budget = Some(budget());
            match serde_saphyr::from_multiple_with_options::<Value>(&input.text, options) {
                Ok(values) => {
                    let values = values.into_iter().filter(|value| !value.is_null());
                    for (index, value) in values.enumerate() {
                        let place = Place {
                            file: input.name.clone(),
                            document: index + 1,
                            item: None,
                        };
                        documents.add(&place, value, &mut found, &mut errors);
                    }
                }
                Err(error) => errors.push(ImportError::Syntax {
                    file: input.name.clone(),
                    message: first_line(&error.to_string()),
                }),
            }
        }
        match found.only() {
            Ok(controller) => documents.controller = controller,
            Err(error) => errors.push(error),
        }
        let mut names = BTreeMap::new();
        for ingress in &documents.ingresses {
            if let Some(first) = names.insert(ingress.full_name(), &ingress.place) {
                let message = format!(
                    "Ingress {} is also in {first}: leave one out",
                    ingress.full_name()
                );
                errors.push(ingress.place.invalid(message));
            }
        }
        if errors.is_empty() {
            Ok(documents)
        } else {
            Err(errors)
        }
    }

    fn add(
        &mut self,
        place: &Place,
        value: Value,
        found: &mut Found<'_>,
        errors: &mut Vec<ImportError>,
    ) {
        let Value::Object(mut object) = value else {
            errors
                .push(place.invalid("not an object of Kubernetes: expected `kind:` and more keys"));
            return;
        };
        let kind = text(&object, "kind");
        let version = text(&object, "apiVersion");
        match &*kind {
            "" => errors.push(place.invalid("it has no `kind`")),
            "List" | "IngressList" => {
                let Some(Value::Array(items)) = object.remove("items") else {
                    errors.push(place.invalid("a list without `items`"));
                    return;
                };
                for (index, mut item) in items.into_iter().enumerate() {
                    let place = Place {
                        item: Some(index + 1),
                        ..place.clone()
                    };
                    // The API's own lists leave out what all of their items are.
                    if let (Value::Object(item), "IngressList") = (&mut item, &*kind) {
                        item.entry("kind").or_insert_with(|| "Ingress".into());
                        item.entry("apiVersion")
                            .or_insert_with(|| version.clone().into());
                    }
                    self.add(&place, item, found, errors);
                }
            }
            "Ingress" if version == "networking.k8s.io/v1" => match Ingress::read(place, object) {
                Ok(ingress) => self.ingresses.push(ingress),
                Err(error) => errors.push(error),
            },
            "Ingress" if version.ends_with("v1beta1") => {
                let message = format!(
                    "`{version}` is an old form of Ingress: print it with `kubectl get ingress -A -o yaml`"
                );
                errors.push(place.invalid(message));
            }
            "IngressClass" => {
                let controller = object
                    .get("spec")
                    .and_then(|it| it.get("controller")?.as_str());
                let controller = controller.unwrap_or_default().to_owned();
                self.classes.insert(full_name(&object), controller);
            }
            "ConfigMap" if found.is_wanted(&object) => {
                if let Err(error) = found.add(place, &object) {
                    errors.push(error);
                }
            }
            _ => *self.others.entry(kind).or_default() += 1,
        }
    }
}

/// The ConfigMaps of controllers.
#[derive(Debug)]
struct Found<'w> {
    wanted: &'w ConfigMap,
    all: Vec<Controller>,
}

impl Found<'_> {
    fn is_wanted(&self, object: &Map<String, Value>) -> bool {
        match self.wanted {
            ConfigMap::Named(name) => full_name(object) == *name,
            ConfigMap::Expected | ConfigMap::None => is_the_controllers(object),
        }
    }

    fn add(&mut self, place: &Place, object: &Map<String, Value>) -> Result<(), ImportError> {
        let mut data = BTreeMap::new();
        let given = object.get("data").and_then(Value::as_object);
        for (key, value) in given.into_iter().flatten() {
            let Value::String(value) = value else {
                return Err(place.invalid(format!("`data.{key}` is not a text")));
            };
            data.insert(key.clone(), value.clone());
        }
        self.all.push(Controller {
            name: full_name(object),
            data,
        });
        Ok(())
    }

    fn only(mut self) -> Result<Controller, ImportError> {
        let is_needed = *self.wanted != ConfigMap::None;
        match (self.all.pop(), self.all.is_empty()) {
            (None, _) if !is_needed => Ok(Controller::default()),
            (None, _) => Err(ImportError::NoConfigMap),
            (Some(controller), true) => Ok(controller),
            (Some(last), false) => {
                self.all.push(last);
                let names: Vec<String> = self.all.into_iter().map(|it| it.name).collect();
                Err(ImportError::ConfigMaps(names.join(", ")))
            }
        }
    }
}

/// Returns what the text may be at most: a large cluster, and no more than memory has room for.
fn budget() -> Budget {
    let mut budget = Budget::default();
    budget.max_events = 50_000_000;
    budget.max_nodes = 20_000_000;
    budget.max_documents = 1_000_000;
    budget.max_total_scalar_bytes = 1 << 30;
    budget
}

/// Ends of the names of ConfigMaps that Helm's chart labels as the controller's too.
const OTHER_CONFIG_MAPS: [&str; 6] = [
    "-tcp",
    "-udp",
    "-custom-add-headers",
    "-custom-proxy-headers",
    "-auth-headers",
    "-leader",
];

/// Returns whether a ConfigMap is the controller's: by its name or label, or by a setting for all
/// Ingresses.
fn is_the_controllers(object: &Map<String, Value>) -> bool {
    let metadata = object.get("metadata");
    let name = metadata.and_then(|it| it.get("name")?.as_str());
    let label = metadata.and_then(|it| it.get("labels")?.get("app.kubernetes.io/name")?.as_str());
    let is_other = name.is_some_and(|name| OTHER_CONFIG_MAPS.iter().any(|end| name.ends_with(end)));
    let data = object.get("data").and_then(Value::as_object);
    let mut keys = data.into_iter().flat_map(Map::keys);
    name == Some("ingress-nginx-controller")
        || (label == Some("ingress-nginx") && !is_other)
        || keys.any(|key| key.starts_with("global-auth-"))
}

fn full_name(object: &Map<String, Value>) -> String {
    let metadata = object.get("metadata");
    let text = |key: &str| metadata.and_then(|it| it.get(key)?.as_str());
    let name = text("name").unwrap_or_default();
    let namespace = text("namespace").map(|it| format!("{it}/"));
    format!("{}{name}", namespace.unwrap_or_default())
}

fn text(object: &Map<String, Value>, key: &str) -> String {
    let text = object.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
