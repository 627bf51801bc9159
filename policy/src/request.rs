//! What a decision needs to know of a request, and which answers its client can use.

use alloc::borrow::Cow;

use crate::network::ClientAddress;

/// Stands in the place of a method that the proxy did not say: it is that of no rule that opens,
/// and may be that of every rule that narrows.
pub const UNKNOWN_METHOD: &str = "UNKNOWN";

/// A request as its decider sees it.
///
/// Asked lazily: inside a proxy every answer is a call to the host, and most requests are decided
/// without one.
pub trait Request {
    /// Returns the method as sent. Never the value of an override header.
    fn method(&self) -> Cow<'_, [u8]>;

    /// Returns the path and the query as they will reach the upstream, still percent-encoded.
    fn target(&self) -> Cow<'_, [u8]>;

    /// Returns the values of a header field joined by `, ` (RFC 9110 §5.3), or `None` when it is
    /// absent. `name` is in lower case.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// Returns the address of the client, as far as the proxy vouches for it. Never what a client
    /// can write.
    fn client_address(&self) -> Option<ClientAddress>;
}

/// The form of an answer to a request that cannot pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// A person's browser is loading a page: it can follow a redirect and show HTML.
    PageLoad,
    /// A person's browser is submitting a form: it can show HTML, but a redirect would lose what
    /// the user typed, and nothing can send it again for them.
    Form,
    /// A script, a WebSocket, a command line: a redirect to a sign-in page would be
    /// followed blindly or break it, so it gets a status code and JSON.
    Data,
}

impl Presentation {
    /// Distinguishes a page load and a form from any other request.
    ///
    /// Both have a `Sec-Fetch-Mode` of `navigate`, and a page load is a GET or HEAD. Browsers send
    /// that header over TLS and to localhost only (Fetch Metadata Request Headers §2), so where it
    /// is missing an `Accept` that names HTML decides, unless the request says that a script made
    /// it.
    pub fn of(request: &impl Request) -> Self {
        let navigation = request.header("upgrade").is_none()
            && match request.header("sec-fetch-mode") {
                Some(mode) => mode.trim_ascii() == b"navigate",
                None => {
                    request.header("x-requested-with").is_none()
                        && request
                            .header("accept")
                            .is_some_and(|accept| names_html(&accept))
                }
            };
        match &*request.method() {
            _ if !navigation => Self::Data,
            b"GET" | b"HEAD" => Self::PageLoad,
            b"POST" => Self::Form,
            _ => Self::Data,
        }
    }
}

/// Returns whether a value of `Upgrade` asks for a WebSocket (RFC 6455 §4.1) and for nothing else.
///
/// No other protocol may follow a request that was let through: with `h2c` (RFC 7540 §3.2), a
/// client would go on to send requests without any decision, with any identity in their headers.
pub fn asks_for_websocket(upgrade: &[u8]) -> bool {
    upgrade.trim_ascii().eq_ignore_ascii_case(b"websocket")
}

/// Returns whether an `Accept` value names an HTML media type. `*/*` does not: that is what scripts
/// and command lines send.
fn names_html(accept: &[u8]) -> bool {
    accept
        .split(|byte| *byte == b',')
        .filter_map(|range| range.split(|byte| *byte == b';').next())
        .map(<[u8]>::trim_ascii)
        .any(|media_type| {
            media_type.eq_ignore_ascii_case(b"text/html")
                || media_type.eq_ignore_ascii_case(b"application/xhtml+xml")
        })
}

/// Returns whether this is a CORS preflight (Fetch §3.2.2): an `OPTIONS` with both of the headers
/// that a browser always sends with one.
pub(crate) fn is_preflight(request: &impl Request) -> bool {
    *request.method() == *b"OPTIONS"
        && request.header("origin").is_some()
        && request.header("access-control-request-method").is_some()
}

#[cfg(test)]
pub(crate) mod double {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// A request made of texts.
    #[derive(Clone, Default)]
    pub(crate) struct Sent {
        pub(crate) method: String,
        pub(crate) target: String,
        pub(crate) headers: Vec<(String, String)>,
        pub(crate) client: Option<ClientAddress>,
    }

    impl Sent {
        pub(crate) fn new(method: &str, target: &str) -> Self {
            Self {
                method: method.into(),
                target: target.into(),
                headers: Vec::new(),
                client: None,
            }
        }

        pub(crate) fn from(mut self, client: &str) -> Self {
            self.client = ClientAddress::of_peer(client.as_bytes());
            self
        }

        pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
            self.headers.push((name.into(), value.into()));
            self
        }
    }

    impl Request for Sent {
        fn method(&self) -> Cow<'_, [u8]> {
            self.method.as_bytes().into()
        }

        fn target(&self) -> Cow<'_, [u8]> {
            self.target.as_bytes().into()
        }

        fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            let values: Vec<&[u8]> = self
                .headers
                .iter()
                .filter(|(own, _)| own.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_bytes())
                .collect();
            (!values.is_empty()).then(|| values.join(&b", "[..]).into())
        }

        fn client_address(&self) -> Option<ClientAddress> {
            self.client
        }
    }
}

#[cfg(test)]
mod tests {
    use super::double::Sent;
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn only_a_websocket_alone_is_one() {
        for (upgrade, expected) in [
            ("websocket", true),
            (" WebSocket\t", true),
            ("websocket, websocket", false),
            ("websocket, h2c", false),
            ("h2c", false),
            ("websocket/13", false),
            ("", false),
        ] {
            assert_eq!(
                asks_for_websocket(upgrade.as_bytes()),
                expected,
                "{upgrade}"
            );
        }
    }

    #[test]
    fn only_a_navigation_of_a_browser_is_a_page_load_or_a_form() {
        let get = || Sent::new("GET", "/");
        let cases = [
            (
                "navigation",
                get().with("Sec-Fetch-Mode", "navigate"),
                Presentation::PageLoad,
            ),
            (
                "navigation by HEAD",
                Sent::new("HEAD", "/").with("Sec-Fetch-Mode", "navigate"),
                Presentation::PageLoad,
            ),
            (
                "browser over plain http",
                get().with("Accept", BROWSER),
                Presentation::PageLoad,
            ),
            (
                "odd case and parameters",
                get().with("Accept", "x/y, Text/HTML;q=0.1"),
                Presentation::PageLoad,
            ),
            (
                "fetch()",
                get().with("Sec-Fetch-Mode", "cors").with("Accept", BROWSER),
                Presentation::Data,
            ),
            (
                "image",
                get().with("Sec-Fetch-Mode", "no-cors"),
                Presentation::Data,
            ),
            (
                "command line",
                get().with("Accept", "*/*"),
                Presentation::Data,
            ),
            ("no hint", get(), Presentation::Data),
            (
                "JSON",
                get().with("Accept", "application/json"),
                Presentation::Data,
            ),
            (
                "lookalike type",
                get().with("Accept", "text/htmlx"),
                Presentation::Data,
            ),
            (
                "XMLHttpRequest",
                get()
                    .with("Accept", BROWSER)
                    .with("X-Requested-With", "XMLHttpRequest"),
                Presentation::Data,
            ),
            (
                "form",
                Sent::new("POST", "/").with("Sec-Fetch-Mode", "navigate"),
                Presentation::Form,
            ),
            (
                "form over plain http",
                Sent::new("POST", "/").with("Accept", BROWSER),
                Presentation::Form,
            ),
            (
                "script that posts",
                Sent::new("POST", "/").with("Sec-Fetch-Mode", "same-origin"),
                Presentation::Data,
            ),
            (
                "no form has this method",
                Sent::new("PUT", "/").with("Sec-Fetch-Mode", "navigate"),
                Presentation::Data,
            ),
            (
                "lower-case method",
                Sent::new("get", "/").with("Accept", BROWSER),
                Presentation::Data,
            ),
            (
                "WebSocket",
                get()
                    .with("Upgrade", "websocket")
                    .with("Sec-Fetch-Mode", "navigate"),
                Presentation::Data,
            ),
            (
                "two modes",
                get()
                    .with("Sec-Fetch-Mode", "navigate")
                    .with("Sec-Fetch-Mode", "cors"),
                Presentation::Data,
            ),
        ];
        for (case, request, expected) in cases {
            assert_eq!(Presentation::of(&request), expected, "{case}");
        }
    }
}
