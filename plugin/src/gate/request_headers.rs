//! Removing the headers that no client may send.

use gatepost_policy::{HeaderRules, Request as _, asks_for_websocket};
use gatepost_scan::constant_time::same_bytes;

use crate::host::{Host, Texts, View};

/// The most lists of names that are remembered.
const MAX_LISTS: usize = 4;

/// The longest list that is remembered, in bytes. A browser's has some 400.
const MAX_LIST_BYTES: usize = 768;

/// Removes what a client must not say: every header that is Gatepost's, in every spelling, their
/// names in `Connection`, and what asks the application for another protocol than WebSocket.
///
/// A browser sends the same few header fields again and again, and the host sorts their names, so
/// the last lists of names without an unwanted one are remembered: such a list needs no second
/// look.
#[derive(Debug, Default)]
pub(super) struct RequestHeaders {
    /// The most recently used first.
    wanted: Vec<WantedList>,
}

/// Names of which the request may keep every one.
#[derive(Debug)]
struct WantedList {
    /// The names as the host hands them over.
    names: Box<[u8]>,
    fields: Fields,
}

/// The fields of a request whose values count, or that have to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    cookie: bool,
    connection: bool,
    upgrade: bool,
    api_key: bool,
}

/// The fields of a cleaned request that later steps need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleaned {
    /// Whether it has a `Cookie` field.
    pub(super) has_cookies: bool,
    /// Whether it has the field for API keys, which the outpost needs and no application gets.
    pub(super) has_api_key: bool,
}

impl RequestHeaders {
    /// Cleans the request's header, and returns which of the remaining fields count.
    pub(super) fn clean(&mut self, rules: &HeaderRules, host: &impl Host) -> Cleaned {
        let (fields, unwanted) = host.with_header_names(|names| self.look_at(rules, names));
        for name in &unwanted {
            host.remove_header(name);
        }
        if fields.connection {
            let cleaned = host.with_header_lines("connection", |lines| {
                rules.cleaned_connection(&lines.joined(b",")?)
            });
            if let Some(cleaned) = cleaned {
                host.set_header("Connection", &cleaned);
            }
        }
        if fields.upgrade && !is_websocket(host) {
            host.remove_header(b"upgrade");
        }
        Cleaned {
            has_cookies: fields.cookie,
            has_api_key: fields.api_key,
        }
    }

    /// Returns the fields that count and the names to remove, from memory where possible.
    fn look_at(&mut self, rules: &HeaderRules, names: Texts<'_>) -> (Fields, Vec<Box<[u8]>>) {
        if let Some(fields) = self.recall(names) {
            return (fields, Vec::new());
        }
        let (fields, unwanted) = scan(rules, names);
        if unwanted.is_empty() && names.as_bytes().len() <= MAX_LIST_BYTES {
            self.wanted.truncate(MAX_LISTS - 1);
            let names = names.as_bytes().into();
            self.wanted.insert(0, WantedList { names, fields });
        }
        (fields, unwanted)
    }

    fn recall(&mut self, names: Texts<'_>) -> Option<Fields> {
        let same = |list: &WantedList| same_bytes(&list.names, names.as_bytes()).into();
        let at = self.wanted.iter().position(same)?;
        self.wanted.get_mut(..=at)?.rotate_right(1);
        self.wanted.first().map(|list| list.fields)
    }
}

/// Looks at each name.
fn scan(rules: &HeaderRules, names: Texts<'_>) -> (Fields, Vec<Box<[u8]>>) {
    let mut fields = Fields::default();
    let mut unwanted = Vec::new();
    for name in names.iter() {
        match name {
            b"cookie" => fields.cookie = true,
            b"connection" => fields.connection = true,
            b"upgrade" => fields.upgrade = true,
            b"http2-settings" => unwanted.push(name.into()),
            _ if rules.carries_api_key(name) => fields.api_key = true,
            _ if rules.owns(name) => unwanted.push(name.into()),
            _ => {}
        }
    }
    (fields, unwanted)
}

fn is_websocket(host: &impl Host) -> bool {
    View(host, &[])
        .header("upgrade")
        .is_some_and(|upgrade| asks_for_websocket(&upgrade))
}
