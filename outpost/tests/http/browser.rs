//! A browser: keeps cookies as one does, and loads pages.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;
use url::Url;

use crate::world::World;

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        self.header("location")
            .unwrap_or_else(|| panic!("no Location: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.map(|line| line.to_str().expect("text")).collect()
    }

    /// Returns whether a session cookie is set to a value.
    pub(crate) fn sets_session(&self) -> bool {
        self.set_cookies().iter().any(|line| {
            let value = line.split(';').next().and_then(|pair| pair.split_once('='));
            let session = line.starts_with("__Host-gatepost=")
                || line.starts_with("__Host-gatepost.")
                || line.starts_with("__Secure-gatepost=")
                || line.starts_with("gatepost=");
            session && value.is_some_and(|(_, value)| !value.is_empty())
        })
    }
}

/// Returns the value of the session cookie in a `Cookie` line.
#[track_caller]
pub(crate) fn session_value(line: &str) -> &str {
    let mut pairs = line.split("; ");
    let value = pairs.find_map(|pair| pair.strip_prefix("__Host-gatepost="));
    value.expect("a session")
}

/// Returns the parameters of an address.
pub(crate) fn query(location: &str) -> HashMap<String, String> {
    let url = Url::parse(location).expect("a URL");
    url.query_pairs().into_owned().collect()
}

/// Returns where a browser comes back to after the authorization request at `location`, with this
/// answer of the provider as an address has it, such as `error=login_required`.
pub(crate) fn answered(location: &str, answer: &str, issuer: &str) -> String {
    let sent = query(location);
    let mut back = Url::parse(&sent["redirect_uri"]).expect("a URL");
    back.set_query(Some(answer));
    back.query_pairs_mut()
        .append_pair("state", &sent["state"])
        .append_pair("iss", issuer);
    back.into()
}

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    whole_domain: bool,
    path: String,
}

/// Loads pages from the outpost under whatever host a URL has.
#[derive(Clone)]
pub(crate) struct Browser<'w> {
    world: &'w World,
    cookies: Vec<Cookie>,
    pub(crate) accepts_cookies: bool,
}

impl<'w> Browser<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            cookies: Vec::new(),
            accepts_cookies: true,
        }
    }

    /// Goes on at another replica.
    pub(crate) fn at<'o>(self, world: &'o World) -> Browser<'o> {
        Browser {
            world,
            cookies: self.cookies,
            accepts_cookies: self.accepts_cookies,
        }
    }

    /// Loads a page, without following redirects.
    pub(crate) async fn load(&mut self, url: &str) -> Reply {
        self.request(
            Method::GET,
            url,
            &[("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")],
        )
        .await
    }

    /// Asks as a script does.
    pub(crate) async fn fetch(&mut self, url: &str) -> Reply {
        let headers = [("Sec-Fetch-Mode", "cors"), ("Accept", "application/json")];
        self.request(Method::GET, url, &headers).await
    }

    pub(crate) async fn request(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let url = Url::parse(url).expect("a URL");
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("Host", authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookie_line(&url);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let request = request.body(Body::empty()).expect("a request");
        // From outside: whatever a browser says of other hosts is not believed.
        let reply = self.world.send_from("192.0.2.1:5000", request).await;
        if self.accepts_cookies {
            self.keep(&url, &reply);
        }
        reply
    }

    /// Returns the `Cookie` line for a URL.
    pub(crate) fn cookie_line(&self, url: &Url) -> String {
        let host = url.host_str().expect("a host");
        let fits = |cookie: &&Cookie| {
            let same = cookie.host == host
                || (cookie.whole_domain && host.ends_with(&format!(".{}", cookie.host)));
            same && url.path().starts_with(&cookie.path)
        };
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(fits)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// Takes the cookies with these names over from another browser, in the place of its own.
    pub(crate) fn copy_cookies(&mut self, from: &Self, which: impl Fn(&str) -> bool) {
        self.cookies.retain(|cookie| !which(&cookie.name));
        let copied = from.cookies.iter().filter(|cookie| which(&cookie.name));
        self.cookies.extend(copied.cloned());
    }

    /// Returns the names of all cookies.
    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        self.cookies
            .iter()
            .map(|cookie| cookie.name.as_str())
            .collect()
    }

    /// Forgets the session but nothing else.
    pub(crate) fn drop_cookies(&mut self, keep: impl Fn(&str) -> bool) {
        self.cookies.retain(|cookie| keep(&cookie.name));
    }

    fn keep(&mut self, url: &Url, reply: &Reply) {
        for line in reply.set_cookies() {
            let (pair, attributes) = line.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            let attribute = |wanted: &str| {
                attributes
                    .split(';')
                    .find_map(|one| one.trim().strip_prefix(wanted))
            };
            let domain = attribute("Domain=");
            let host = domain.unwrap_or(url.host_str().expect("a host")).to_owned();
            let path = attribute("Path=").expect("a path").to_owned();
            let same =
                |cookie: &Cookie| cookie.name == name && cookie.host == host && cookie.path == path;
            self.cookies.retain(|cookie| !same(cookie));
            if attribute("Max-Age=") != Some("0") {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    host,
                    whole_domain: domain.is_some(),
                    path,
                });
            }
        }
    }

    /// Begins a sign-in and goes to the provider: gives the URL that the provider sends back to.
    pub(crate) async fn begin(&mut self, start: &str) -> Url {
        let reply = self.load(start).await.expect(302);
        self.world.provider.authorize(reply.location())
    }

    /// Signs in and gives the answer to the callback.
    pub(crate) async fn sign_in(&mut self, start: &str) -> Reply {
        let callback = self.begin(start).await;
        self.load(callback.as_str()).await
    }
}
