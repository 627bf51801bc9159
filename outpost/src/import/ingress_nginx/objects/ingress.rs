//! An Ingress that Traefik's provider for the annotations reads.

use serde_json::{Map, Value, json};

use super::super::addresses;
use super::super::annotations::{of, value_for_traefik};
use super::super::documents::Documents;
use super::super::headers;
use super::super::host_plan::HostPlan;
use super::super::ingress::{Ingress, PREFIX};
use super::super::settings::Settings;
use super::shape::metadata;

/// Returns the Ingress with its authentication at the outpost.
pub(super) fn ingress(
    own: &Ingress,
    plans: &[HostPlan<'_>],
    documents: &Documents,
    settings: &Settings,
) -> Value {
    let mut annotations = Map::new();
    for (key, value) in &own.annotations {
        if key == "kubectl.kubernetes.io/last-applied-configuration" {
            continue;
        }
        let nginx_key = key.strip_prefix(PREFIX);
        let value = match nginx_key {
            // `kubectl apply` leaves what an object has and a file does not, unless it made it.
            Some(own) if of(own).is_some_and(|row| row.is_external) => "",
            Some("whitelist-source-range")
                if own.annotation("allowlist-source-range").is_some() =>
            {
                ""
            }
            Some(key) => value_for_traefik(own, key, value),
            None => value,
        };
        annotations.insert(key.clone(), json!(value));
    }
    let has_list = ["allowlist-source-range", "whitelist-source-range"];
    let everywhere = addresses::list(documents.controller.source_range());
    if !everywhere.is_empty() && !has_list.iter().any(|key| own.annotation(key).is_some()) {
        annotations.insert(
            format!("{PREFIX}allowlist-source-range"),
            json!(everywhere.join(",")),
        );
    }
    let of_own = |plan: &&HostPlan<'_>| own.has_host(plan.host);
    let unknown = plans
        .iter()
        .filter(of_own)
        .flat_map(|plan| &plan.unknown_headers);
    annotations.insert(
        format!("{PREFIX}auth-url"),
        json!(settings.outpost.question),
    );
    annotations.insert(
        format!("{PREFIX}auth-response-headers"),
        json!(headers::answered(unknown).join(",")),
    );
    let mut metadata = metadata(&own.name, own.namespace.as_deref());
    if let Some(labels) = own.object.get("metadata").and_then(|it| it.get("labels")) {
        metadata.insert("labels".into(), labels.clone());
    }
    metadata.insert("annotations".into(), annotations.into());
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": own.object.get("spec").cloned().unwrap_or_default(),
    })
}
