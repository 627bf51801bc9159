//! The addresses that may ask.

use std::net::IpAddr;

use ipnet::IpNet;

use super::controller::Controller;
use super::ingress::Ingress;

/// Returns the entries of a list.
pub(super) fn list(text: &str) -> Vec<String> {
    let entries = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let mut entries: Vec<String> = entries.map(str::to_owned).collect();
    entries.sort_unstable();
    entries
}

/// Returns the addresses that may ask for what an Ingress has, as nginx reads them: the first of the
/// two annotations, or else the controller's own list.
pub(super) fn of_ingress(
    ingress: &Ingress,
    controller: &Controller,
) -> Result<Vec<String>, String> {
    let given = ["allowlist-source-range", "whitelist-source-range"]
        .into_iter()
        .find_map(|key| ingress.annotation(key));
    let addresses = list(given.unwrap_or_else(|| controller.source_range()));
    if given.is_some() && addresses.is_empty() {
        return Err("its list of addresses is empty, and nginx refuses everybody".to_owned());
    }
    match addresses.iter().find(|it| !is_network(it)) {
        Some(entry) => Err(format!("`{entry}` is neither an address nor a network")),
        None => Ok(addresses),
    }
}

fn is_network(text: &str) -> bool {
    text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok()
}
