//! The objects to apply.

mod ingress;
mod outpost;
mod routes;
mod shape;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::routes::{http_rule, route};
use self::shape::{entry_points, gateway_object, parents, traefik};
use super::documents::Documents;
use super::host_plan::HostPlan;
use super::ingress::Ingress;
use super::json::insert;
use super::middlewares;
use super::order::RULES_OF_A_ROUTE;
use super::settings::{Form, Settings};
use super::upstream::transport;

/// Returns what takes the place of the Ingresses, without the routes to the outpost. Takes a host out
/// of the plans that has an object of the name of another host's, and adds why.
pub(super) fn of_hosts(
    plans: &mut Vec<HostPlan<'_>>,
    refused: &mut Vec<String>,
    documents: &Documents,
    settings: &Settings,
) -> Vec<Value> {
    if settings.form == Form::Annotations {
        let mut all: Vec<&Ingress> = Vec::new();
        for ingress in plans.iter().flat_map(HostPlan::printed) {
            if !all.iter().any(|known| std::ptr::eq(*known, ingress)) {
                all.push(ingress);
            }
        }
        let print = |it: &Ingress| ingress::ingress(it, plans, documents, settings);
        return all.into_iter().map(print).collect();
    }
    let mut objects = Objects::default();
    plans.retain(|plan| {
        let own = of_host(plan, documents, settings);
        match objects.add_all(own) {
            Ok(()) => true,
            Err(clash) => {
                refused.push(format!("{}: {clash}", plan.host));
                false
            }
        }
    });
    objects.all
}

/// Returns the routes to the outpost, one for each host.
pub(super) fn of_the_outpost(plans: &[HostPlan<'_>], settings: &Settings) -> Vec<Value> {
    let print = |plan| outpost::outpost(plan, settings);
    plans.iter().map(print).collect()
}

/// Objects, each of which has a name of its own.
#[derive(Debug, Default)]
struct Objects {
    all: Vec<Value>,
    /// Where each is among them, by kind, namespace and name.
    places: BTreeMap<(String, String, String), usize>,
}

impl Objects {
    /// Adds objects, those that are there already once; or none of them, and returns which is there
    /// with another content.
    fn add_all(&mut self, objects: Vec<Value>) -> Result<(), String> {
        for object in &objects {
            let place = self.places.get(&identity(object));
            let known = place.and_then(|at| self.all.get(*at));
            if known.is_some_and(|known| known != object) {
                let (kind, namespace, name) = identity(object);
                return Err(format!(
                    "its {kind} `{name}` in the namespace `{namespace}` would be that of another host: give one \
                     of the two another host name, or write its routes by hand"
                ));
            }
        }
        for object in objects {
            self.places.entry(identity(&object)).or_insert_with(|| {
                self.all.push(object);
                self.all.len() - 1
            });
        }
        Ok(())
    }
}

fn identity(object: &Value) -> (String, String, String) {
    let text = |place: &str| {
        let text = object.pointer(place).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    (
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name"),
    )
}

/// Returns a host's routes and Middlewares, in the namespaces of their Services.
fn of_host(plan: &HostPlan<'_>, documents: &Documents, settings: &Settings) -> Vec<Value> {
    let forwarded = documents.controller.reads_forwarded_for();
    let mut objects = Vec::new();
    let mut namespaces: Vec<(Option<&str>, Vec<Value>)> = Vec::new();
    for (at, location) in plan.locations.iter().enumerate() {
        let namespace = location.ingress.namespace.as_deref();
        let chain = middlewares::of_location(plan, at, location, settings, forwarded);
        let names: Vec<&str> = chain.iter().map(|(name, _)| &**name).collect();
        let own = transport(plan, location).filter(|_| settings.form == Form::Crds);
        let by = own.as_ref().map(|(name, _)| &**name);
        let route = match settings.form {
            Form::Gateway => http_rule(location, &names),
            _ => route(plan, at, location, &names, by),
        };
        if let Some((name, spec)) = &own {
            objects.push(traefik("ServersTransport", name, namespace, spec));
        }
        for (name, spec) in &chain {
            objects.push(traefik("Middleware", name, namespace, spec));
        }
        match namespaces.iter_mut().find(|(known, _)| *known == namespace) {
            Some((_, routes)) => routes.push(route),
            None => namespaces.push((namespace, vec![route])),
        }
    }
    for (namespace, routes) in namespaces {
        objects.extend(routes_of(plan, namespace, &routes, settings));
    }
    objects
}

/// Returns the objects that hold a host's routes in a namespace.
fn routes_of(
    plan: &HostPlan<'_>,
    namespace: Option<&str>,
    routes: &[Value],
    settings: &Settings,
) -> Vec<Value> {
    let name = format!("app-{}", plan.host);
    if settings.form == Form::Gateway {
        let parts = routes.chunks(RULES_OF_A_ROUTE).enumerate();
        let object = |(at, rules): (usize, &[Value])| {
            let name = match at {
                0 => name.clone(),
                at => format!("part-{}.{name}", at + 1),
            };
            let spec = json!({
                "parentRefs": parents(plan, settings),
                "hostnames": [plan.host],
                "rules": rules,
            });
            gateway_object(&name, namespace, &spec)
        };
        return parts.map(object).collect();
    }
    let mut spec = json!({ "entryPoints": entry_points(plan), "routes": routes });
    if plan.https {
        insert(&mut spec, "tls", tls(plan, namespace));
    }
    vec![traefik("IngressRoute", &name, namespace, &spec)]
}

/// Returns the certificate of a host's routes in a namespace. By the name in the handshake, Traefik
/// finds that of another namespace.
fn tls(plan: &HostPlan<'_>, namespace: Option<&str>) -> Value {
    let printed = plan.printed();
    let own = printed
        .iter()
        .filter(|it| it.namespace.as_deref() == namespace);
    let mut secrets = own.filter_map(|it| it.tls_of(plan.named)?.secret_name.as_ref());
    match secrets.next() {
        Some(name) => json!({ "secretName": name }),
        None => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_object_of_a_name_refuses_the_host() {
        let gate = |content: &str| {
            traefik(
                "Middleware",
                "gatepost-a",
                Some("apps"),
                &json!({ "x": content }),
            )
        };
        let other = |kind: &str| traefik(kind, "gatepost-b", Some("apps"), &json!({}));
        let mut objects = Objects::default();
        assert_eq!(objects.add_all(vec![gate("one"), gate("one")]), Ok(()));
        let clash = objects.add_all(vec![other("IngressRoute"), gate("two")]);
        assert!(clash.is_err_and(|it| it.contains("Middleware `gatepost-a`")));
        assert_eq!(objects.all, [gate("one")]);
        assert_eq!(
            objects.add_all(vec![gate("one"), other("Middleware")]),
            Ok(())
        );
        assert_eq!(objects.all, [gate("one"), other("Middleware")]);
    }
}
