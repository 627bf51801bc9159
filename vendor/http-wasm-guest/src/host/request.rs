use crate::host::{Body, Bytes, Header, handler};
/// Handle for accessing and mutating the current HTTP request.
///
/// # Cost model
///
/// Each getter (`method`, `uri`, `version`, `source_addr`) is one host call
/// and returns an owned [`Bytes`] backed by one heap allocation (none for
/// empty values).
pub struct Request {
    /// Handle for accessing and mutating request headers.
    pub header: Header,
    /// Handle for reading or writing the request body.
    pub body: Body,
}
const KIND_REQ: i32 = 0;

impl Request {
    /// Creates a new `Request` instance with header and body handles.
    pub(crate) fn new() -> Self {
        Self { header: Header::new(KIND_REQ), body: Body::new(KIND_REQ) }
    }

    /// Return the client source address (ip:port) as raw bytes.
    ///
    /// ## Example ##
    /// - IPv6 b"\[fe80::90f4:16ff:fee0:24b3%enp5s0\]:41236"
    /// - IPv4 b"1.1.1.1:12345"
    ///
    /// Supported are both IPv4 and IPv6
    /// ## Note ##
    /// A host who fails to get the remote address will trap (aka panic, "unreachable" instruction).
    pub fn source_addr(&self) -> Bytes {
        Bytes::from(handler::source_addr())
    }

    /// Return the HTTP protocol version (for example, `HTTP/1.1`).
    pub fn version(&self) -> Bytes {
        Bytes::from(handler::version())
    }

    /// Return the request method (for example, `GET` or `POST`).
    pub fn method(&self) -> Bytes {
        Bytes::from(handler::method())
    }

    /// Calls `read` with the request method as the host wrote it, without a
    /// heap allocation.
    ///
    /// ## Note ##
    /// Host calls within `read` are allowed, but allocate 2048 bytes each.
    pub fn with_method<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        handler::with_method(read)
    }

    /// Calls `read` with the request URI as the host wrote it, without a heap
    /// allocation if it fits into 2048 bytes.
    ///
    /// ## Note ##
    /// Host calls within `read` are allowed, but allocate 2048 bytes each.
    pub fn with_uri<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        handler::with_uri(read)
    }

    /// Replace the request method with the provided bytes.
    pub fn set_method(&self, method: &[u8]) {
        handler::set_method(method);
    }

    /// Return the request URI as raw bytes.
    ///
    /// The host always returns the URI percent-encoded as ASCII (path and
    /// query), and reports `/` for a request with no URI.
    pub fn uri(&self) -> Bytes {
        Bytes::from(handler::uri())
    }

    /// Replace the request URI with the provided bytes.
    ///
    /// Pass a percent-encoded URI: the host always expects encoded input and
    /// replaces the full URI, including any query string.
    pub fn set_uri(&self, uri: &[u8]) {
        handler::set_uri(uri);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_method() {
        let request = Request::new();
        let method = request.method();
        // The mock returns "GET"
        assert_eq!(&method, "GET");
    }

    #[test]
    fn request_version() {
        let request = Request::new();
        let version = request.version();
        // The mock returns "HTTP/2.0"
        assert!(!version.is_empty());
        assert_eq!(version, "HTTP/2.0");
    }

    #[test]
    fn request_uri() {
        let request = Request::new();
        let uri = request.uri();
        // The mock returns "https://test"
        assert_eq!(uri, "/test");
    }

    #[test]
    fn request_source_addr() {
        let request = Request::new();
        let addr = request.source_addr();
        // The mock returns "192.168.1.1:4711"
        assert_eq!(addr, "192.168.1.1:4711");
    }

    #[test]
    fn request_header_access() {
        let request = Request::new();
        let header = request.header;
        // The mock provides headers: X-FOO, x-bar, x-baz
        let names: Vec<_> = header.names_iter().collect();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn request_body_access() {
        let request = Request::new();
        let body = request.body;
        let content = body.read();
        // The mock returns "<html><body>test</body>"
        assert!(content.is_empty());
    }

    #[test]
    fn request_set_method() {
        let request = Request::new();
        // Should not panic - mock accepts any method
        request.set_method(b"POST");
    }

    #[test]
    fn request_set_uri() {
        let request = Request::new();
        // Should not panic - mock accepts any URI
        request.set_uri(b"/new/path?query=value");
    }
}
