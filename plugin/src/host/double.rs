//! A host made of plain values, which records the calls of the plugin.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;

pub(crate) struct Double {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) source: String,
    pub(crate) headers: RefCell<Vec<(String, String)>>,
    /// What the upstream's response will have besides its own.
    pub(crate) response_headers: RefCell<Vec<(String, String)>>,
    pub(crate) reply: RefCell<Option<Reply>>,
    pub(crate) files: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) now: Cell<u64>,
    pub(crate) log: RefCell<Vec<String>>,
    /// The headers whose values were asked for.
    pub(crate) asked: RefCell<Vec<String>>,
}

impl Double {
    /// Creates a page load of `/` at the given time.
    pub(crate) fn at(now: u64) -> Self {
        let host = Self {
            method: "GET".into(),
            target: "/".into(),
            source: "192.0.2.7:4711".into(),
            headers: RefCell::default(),
            response_headers: RefCell::default(),
            reply: RefCell::default(),
            files: RefCell::default(),
            env: BTreeMap::new(),
            now: Cell::new(now),
            log: RefCell::default(),
            asked: RefCell::default(),
        };
        host.with("Host", "wiki.example.com")
            .with("Sec-Fetch-Mode", "navigate")
    }

    /// Changes the host that the request is for.
    pub(crate) fn with_host(self, name: &str) -> Self {
        self.headers
            .borrow_mut()
            .retain(|(own, _)| !own.eq_ignore_ascii_case("host"));
        self.with("Host", name)
    }

    /// Changes the other end of the connection.
    pub(crate) fn with_peer(mut self, address: &str) -> Self {
        self.source = address.into();
        self
    }

    /// Adds a header line.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.headers.borrow_mut().push((name.into(), value.into()));
        self
    }

    /// Changes the request to one of a script.
    pub(crate) fn by_script(self) -> Self {
        self.headers
            .borrow_mut()
            .retain(|(name, _)| name != "Sec-Fetch-Mode");
        self.with("Sec-Fetch-Mode", "cors")
    }

    pub(crate) fn to(mut self, method: &str, target: &str) -> Self {
        self.method = method.into();
        self.target = target.into();
        self
    }

    pub(crate) fn with_file(self, path: &str, content: &str) -> Self {
        self.files.borrow_mut().insert(path.into(), content.into());
        self
    }

    /// Returns all current lines of a request header, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.borrow();
        let lines: Vec<&str> = headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.reply.borrow().as_ref().map(|reply| reply.status)
    }

    pub(crate) fn reply_header(&self, name: &str) -> Option<String> {
        let reply = self.reply.borrow();
        reply
            .as_ref()?
            .headers
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, v)| v.clone())
    }

    pub(crate) fn body(&self) -> String {
        self.reply
            .borrow()
            .as_ref()
            .map(|reply| reply.body.clone())
            .unwrap_or_default()
    }
}

impl Host for Double {
    fn method(&self) -> Vec<u8> {
        self.method.clone().into()
    }

    fn target(&self) -> Vec<u8> {
        self.target.clone().into()
    }

    fn source_address(&self) -> Vec<u8> {
        self.source.clone().into()
    }

    fn with_header_names<R>(&self, read: impl FnOnce(Texts<'_>) -> R) -> R {
        let headers = self.headers.borrow();
        let mut names: Vec<String> = headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort();
        names.dedup();
        read(Texts::new(terminated(&names).as_bytes()))
    }

    fn with_header_lines<R>(&self, name: &str, read: impl FnOnce(Texts<'_>) -> R) -> R {
        self.asked.borrow_mut().push(name.into());
        let headers = self.headers.borrow();
        let lines: Vec<&String> = headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        read(Texts::new(terminated(&lines).as_bytes()))
    }

    fn set_header(&self, name: &str, value: &[u8]) {
        self.remove_header(name.as_bytes());
        let value = String::from_utf8_lossy(value).into_owned();
        self.headers.borrow_mut().push((name.into(), value));
    }

    fn add_header(&self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.headers.borrow_mut().push((name.into(), value));
    }

    fn remove_header(&self, name: &[u8]) {
        self.headers
            .borrow_mut()
            .retain(|(own, _)| !own.as_bytes().eq_ignore_ascii_case(name));
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        let mut headers = self.response_headers.borrow_mut();
        headers.push((name.into(), value));
    }

    fn respond(&self, reply: Reply) {
        let earlier = self.reply.replace(Some(reply));
        assert!(earlier.is_none(), "answered twice");
    }

    fn now(&self) -> NumericDate {
        NumericDate::from_seconds(self.now.get())
    }

    fn read_parts<R>(
        &self,
        path: &str,
        use_it: impl FnOnce(&mut ReadPart<'_>) -> Result<R, String>,
    ) -> Result<R, String> {
        let file = self.files.borrow().get(path).cloned();
        let file = file.ok_or("entity not found")?;
        use_it(&mut |offset, length| {
            let start = usize::try_from(offset).map_err(|error| error.to_string())?;
            Ok(file.iter().skip(start).take(length).copied().collect())
        })
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push(format!("{level:?}: {message}"));
    }
}

fn terminated(texts: &[impl AsRef<str>]) -> String {
    texts
        .iter()
        .flat_map(|text| [text.as_ref(), "\0"])
        .collect()
}
