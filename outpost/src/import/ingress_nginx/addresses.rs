//! The addresses that may ask.

use std::net::IpAddr;

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
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}
