//! Removing the headers that no client may send.

use gatepost_policy::{HeaderRules, Request as _, asks_for_websocket};

use crate::host::{Host, Texts, View};

/// Removes what a client must not say: every header that is Gatepost's, in every spelling, their
/// names in `Connection`, and what asks the application for another protocol than WebSocket.
#[derive(Debug, Default)]
pub(super) struct RequestHeaders;

/// The names of a request's header fields, as far as they need attention.
#[derive(Debug, Default)]
struct Found {
    cookie: bool,
    connection: bool,
    upgrade: bool,
    /// Those to remove, whatever their value.
    unwanted: Vec<Box<[u8]>>,
}

impl Found {
    fn scan(rules: &HeaderRules, names: Texts<'_>) -> Self {
        let mut found = Self::default();
        for name in names.iter() {
            match name {
                b"cookie" => found.cookie = true,
                b"connection" => found.connection = true,
                b"upgrade" => found.upgrade = true,
                b"http2-settings" => found.unwanted.push(name.into()),
                _ if rules.owns(name) => found.unwanted.push(name.into()),
                _ => {}
            }
        }
        found
    }
}

impl RequestHeaders {
    /// Cleans the request's header, and returns whether it has a `Cookie` field.
    pub(super) fn clean(&mut self, rules: &HeaderRules, host: &impl Host) -> bool {
        let found = host.with_header_names(|names| Found::scan(rules, names));
        for name in &found.unwanted {
            host.remove_header(name);
        }
        if found.connection {
            let cleaned = host.with_header_lines("connection", |lines| {
                rules.cleaned_connection(&lines.joined(b",")?)
            });
            if let Some(cleaned) = cleaned {
                host.set_header("Connection", &cleaned);
            }
        }
        if found.upgrade && !is_websocket(host) {
            host.remove_header(b"upgrade");
        }
        found.cookie
    }
}

fn is_websocket(host: &impl Host) -> bool {
    View(host)
        .header("upgrade")
        .is_some_and(|upgrade| asks_for_websocket(&upgrade))
}
