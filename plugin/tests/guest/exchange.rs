//! One request and what became of it, the same for the built guest and for the native gate.

use std::cell::RefCell;
use std::collections::BTreeMap;

use gatepost_plugin::{Flow, Gate, Host, Level, ReadPart, Reply, Texts};
use gatepost_session::NumericDate;

// Named by its file, since the fuzzer takes this one from elsewhere.
#[path = "token.rs"]
pub(crate) mod token;

pub(crate) use self::token::NOW;

/// Header fields as Go's server keeps them: the lines under each name.
pub(crate) type Fields = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// A request in the hands of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    /// Address and port of the client.
    pub(crate) source: Vec<u8>,
    pub(crate) fields: Fields,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let request = Self {
            method: method.into(),
            target: target.into(),
            source: b"127.0.0.1:4711".into(),
            fields: Fields::new(),
        };
        request.with("Host", "wiki.example.com")
    }

    /// Adds a header line.
    pub(crate) fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_ascii_lowercase();
        self.fields
            .entry(name)
            .or_default()
            .push(value.as_ref().to_vec());
        self
    }

    /// Changes the address of the client.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.source = format!("{address}:4711").into();
        self
    }

    /// Adds a name that has no line, as Go's host reports a declared trailer.
    pub(crate) fn with_name_only(mut self, name: &[u8]) -> Self {
        self.fields.entry(name.to_vec()).or_default();
        self
    }
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Result {
    /// Whether it goes on to the application.
    pub(crate) next: bool,
    /// Its header fields then.
    pub(crate) fields: Fields,
    /// The status it was answered with; 0 for none.
    pub(crate) status: u16,
    /// The header of that answer, or what the application's answer gets besides its own.
    pub(crate) answer: Fields,
    /// Its content.
    pub(crate) body: Vec<u8>,
}

impl Result {
    /// Returns the lines of a request header as the application sees them.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.fields.get(name.as_bytes());
        lines
            .into_iter()
            .flatten()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

/// Runs a request through the same code natively.
pub(crate) fn natively(gate: &mut Gate, request: &Request) -> Result {
    let host = Native {
        request,
        result: RefCell::new(Result {
            fields: request.fields.clone(),
            ..Result::default()
        }),
    };
    let flow = gate.handle(&host);
    let mut result = host.result.into_inner();
    result.next = flow == Flow::Continue;
    result
}

/// Creates the gate for these settings.
pub(crate) fn native_gate(settings: &str) -> Gate {
    let anonymous = Request::default();
    let host = Native {
        request: &anonymous,
        result: RefCell::default(),
    };
    Gate::new(settings.as_bytes(), &host)
}

struct Native<'r> {
    request: &'r Request,
    result: RefCell<Result>,
}

impl Host for Native<'_> {
    fn method(&self) -> Vec<u8> {
        self.request.method.clone()
    }

    fn target(&self) -> Vec<u8> {
        self.request.target.clone()
    }

    fn source_address(&self) -> Vec<u8> {
        self.request.source.clone()
    }

    fn with_header_names<R>(&self, read: impl FnOnce(Texts<'_>) -> R) -> R {
        let names: Vec<Vec<u8>> = self.result.borrow().fields.keys().cloned().collect();
        read(Texts::new(&terminated(&names)))
    }

    fn with_header_lines<R>(&self, name: &str, read: impl FnOnce(Texts<'_>) -> R) -> R {
        let name = name.as_bytes().to_ascii_lowercase();
        let lines = self.result.borrow().fields.get(&name).cloned();
        read(Texts::new(&terminated(&lines.unwrap_or_default())))
    }

    fn set_header(&self, name: &str, value: &[u8]) {
        let name = name.as_bytes().to_ascii_lowercase();
        let mut result = self.result.borrow_mut();
        result.fields.insert(name, vec![value.to_vec()]);
    }

    fn add_header(&self, name: &str, value: &[u8]) {
        let name = name.as_bytes().to_ascii_lowercase();
        let mut result = self.result.borrow_mut();
        result.fields.entry(name).or_default().push(value.to_vec());
    }

    fn remove_header(&self, name: &[u8]) {
        let mut result = self.result.borrow_mut();
        result.fields.remove(&name.to_ascii_lowercase());
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        let name = name.as_bytes().to_ascii_lowercase();
        let mut result = self.result.borrow_mut();
        result.answer.entry(name).or_default().push(value.to_vec());
    }

    fn respond(&self, reply: Reply) {
        let mut result = self.result.borrow_mut();
        assert_eq!(result.status, 0, "answered twice");
        result.status = reply.status;
        for (name, value) in reply.headers {
            let name = name.as_bytes().to_ascii_lowercase();
            result.answer.insert(name, vec![value.into_bytes()]);
        }
        result.body = reply.body.into_bytes();
    }

    fn now(&self) -> NumericDate {
        NumericDate::from_seconds(NOW)
    }

    fn read_parts<R>(
        &self,
        _: &str,
        _: impl FnOnce(&mut ReadPart<'_>) -> std::result::Result<R, String>,
    ) -> std::result::Result<R, String> {
        Err("there are no files here".into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn log(&self, _: Level, _: &str) {}
}

fn terminated(texts: &[Vec<u8>]) -> Vec<u8> {
    let texts = texts.iter().flat_map(|text| [text.as_slice(), b"\0"]);
    texts.collect::<Vec<_>>().concat()
}
