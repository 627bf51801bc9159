//! Reading Traefik's dynamic configuration, from which other forms are made.

use serde_json::Value;
use url::Url;

/// Returns the entries of a section of the dynamic configuration.
pub(super) fn entries<'a>(
    dynamic: &'a Value,
    section: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    dynamic
        .get("http")
        .and_then(|http| http.get(section))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Returns the URL of a service's server.
pub(super) fn server(service: &Value) -> Option<Url> {
    let url = service.pointer("/loadBalancer/servers/0/url")?.as_str()?;
    Url::parse(url).ok()
}
