//! The documents of the input: Ingresses, Lists of them, and the controller's ConfigMap.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

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

/// The settings of the controller, as its ConfigMap has them.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) place: Place,
    pub(super) data: BTreeMap<String, String>,
}

impl Controller {
    /// Returns the service that protects every Ingress which does not say otherwise.
    pub(super) fn global_auth_url(&self) -> Option<&str> {
        let url = self.data.get("global-auth-url").map(|url| url.trim());
        url.filter(|url| !url.is_empty())
    }
}

/// What the documents contain.
#[derive(Debug, Default)]
pub struct Documents {
    pub(super) ingresses: Vec<Ingress>,
    pub(super) controller: Option<Controller>,
    /// Objects that the import does not read: kind, and how many.
    pub(super) others: BTreeMap<String, usize>,
}

impl Documents {
    /// Reads files.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn read(inputs: &[Input]) -> Result<Self, Vec<ImportError>> {
        let mut documents = Self::default();
        let mut errors = Vec::new();
        for input in inputs {
            match serde_saphyr::from_multiple::<Value>(&input.text) {
                Ok(values) => {
                    let values = values.into_iter().filter(|value| !value.is_null());
                    for (index, value) in values.enumerate() {
                        let place = Place {
                            file: input.name.clone(),
                            document: index + 1,
                            item: None,
                        };
                        documents.add(&place, value, &mut errors);
                    }
                }
                Err(error) => errors.push(ImportError::Syntax {
                    file: input.name.clone(),
                    message: first_line(&error.to_string()),
                }),
            }
        }
        if errors.is_empty() {
            Ok(documents)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, place: &Place, value: Value, errors: &mut Vec<ImportError>) {
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
                    self.add(&place, item, errors);
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
            "ConfigMap" if is_the_controllers(&object) => {
                if let Err(error) = self.add_controller(place, &object) {
                    errors.push(error);
                }
            }
            _ => *self.others.entry(kind).or_default() += 1,
        }
    }

    fn add_controller(
        &mut self,
        place: &Place,
        object: &Map<String, Value>,
    ) -> Result<(), ImportError> {
        if let Some(first) = &self.controller {
            return Err(place.invalid(format!(
                "a second ConfigMap of a controller, beside {}: hand over that of one controller and its \
                 Ingresses",
                first.place
            )));
        }
        let mut data = BTreeMap::new();
        for (key, value) in object
            .get("data")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let Value::String(value) = value else {
                return Err(place.invalid(format!("`data.{key}` is not a text")));
            };
            data.insert(key.clone(), value.clone());
        }
        self.controller = Some(Controller {
            place: place.clone(),
            data,
        });
        Ok(())
    }
}

/// Returns whether a ConfigMap is the controller's: by its name or label, or by a setting for all
/// Ingresses.
fn is_the_controllers(object: &Map<String, Value>) -> bool {
    let metadata = object.get("metadata");
    let name = metadata.and_then(|it| it.get("name")?.as_str());
    let label = metadata.and_then(|it| it.get("labels")?.get("app.kubernetes.io/name")?.as_str());
    let data = object.get("data").and_then(Value::as_object);
    let mut keys = data.into_iter().flat_map(Map::keys);
    name == Some("ingress-nginx-controller")
        || label == Some("ingress-nginx")
        || keys.any(|key| key.starts_with("global-auth-"))
}

fn text(object: &Map<String, Value>, key: &str) -> String {
    let text = object.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
