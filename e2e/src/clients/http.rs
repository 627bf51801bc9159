//! An HTTP client that behaves as a browser does where that matters to sign-in.

mod form;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use scraper::{Html, Selector};
use serde_json::Value;
use url::Url;

use self::form::Form;
use crate::users::User;

const MAX_REDIRECTS: usize = 20;

/// A client with its own cookies, as one person's browser.
///
/// Every `*.localhost` name is loopback, as in browsers (RFC 6761 §6.3) and unlike in most
/// systems' resolvers.
#[derive(Debug)]
pub struct Client {
    http: reqwest::blocking::Client,
    jar: Arc<Jar>,
}

impl Client {
    /// Creates a client without cookies.
    ///
    /// # Errors
    ///
    /// When the HTTP library cannot start.
    pub fn new() -> Result<Self> {
        Self::at(None)
    }

    /// Creates a client without cookies that connects from this address of the loopback network, as
    /// another machine would.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn from_address(address: Ipv4Addr) -> Result<Self> {
        Self::at(Some(address.into()))
    }

    fn at(address: Option<IpAddr>) -> Result<Self> {
        // The library wants to know who does cryptography for it. An error is that it knows.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let jar = Arc::new(Jar::default());
        let http = reqwest::blocking::Client::builder()
            .local_address(address)
            .cookie_provider(Arc::clone(&jar))
            .dns_resolver(Arc::new(Loopback))
            .redirect(reqwest::redirect::Policy::none())
            // All servers are on loopback. One that has TLS has a certificate of the tests, which
            // the outpost verifies.
            .danger_accept_invalid_certs(true)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { http, jar })
    }

    /// Creates a request as a browser sends it for a typed address or a link. Redirects are not
    /// followed.
    ///
    /// It does not say that it loads a document (`Sec-Fetch-Dest`), by which the plugin knows browsers
    /// that renew their session beside a page: this client fetches nothing beside.
    pub fn page_load(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http
            .request(method, url.clone())
            .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("Sec-Fetch-Mode", "navigate")
    }

    /// Creates a request as a script of the page sends it.
    pub fn fetch(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http
            .request(method, url.clone())
            .header("Accept", "application/json")
            .header("Sec-Fetch-Mode", "cors")
            .header("Sec-Fetch-Dest", "empty")
    }

    /// Creates a request with only the headers that HTTP needs, as `curl` without options.
    pub fn bare(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http.request(method, url.clone())
    }

    /// Opens a page and follows redirects to where they end.
    ///
    /// # Errors
    ///
    /// When a request gets no answer, a redirect makes no sense, or there are too many.
    pub fn open(&self, url: &Url) -> Result<Journey> {
        self.follow(self.page_load(Method::GET, url), url, Vec::new())
    }

    /// Opens a page, fills in the provider's form when led there, and returns to the page.
    ///
    /// # Errors
    ///
    /// When a request gets no answer or the journey ends at a page without a sign-in form.
    pub fn sign_in(&self, url: &Url, user: &User) -> Result<Journey> {
        self.fill_in(self.open(url)?, "input[type=password]", user)
    }

    /// Sends the form of the page where a journey has ended, with the user's name and password
    /// where it asks for them, and follows redirects from there.
    ///
    /// `element` is the CSS selector of an element of that form. A button is pressed.
    ///
    /// # Errors
    ///
    /// When a request gets no answer or the page has no such form.
    pub fn fill_in(&self, journey: Journey, element: &str, user: &User) -> Result<Journey> {
        self.send_form(journey, element, |form| form.filled_in(user))
    }

    /// Sends the form of the page where a journey has ended unchanged, and follows redirects from
    /// there.
    ///
    /// # Errors
    ///
    /// As [`Client::fill_in`].
    pub fn press(&self, journey: Journey, element: &str) -> Result<Journey> {
        self.send_form(journey, element, Form::fields)
    }

    fn send_form(
        &self,
        journey: Journey,
        element: &str,
        fill: impl FnOnce(Form) -> Vec<(String, String)>,
    ) -> Result<Journey> {
        let form = Form::with(&journey.landed, element)?
            .with_context(|| format!("no form with {element} at the end of {journey}"))?;
        let action = form.action.clone();
        let request = self.page_load(Method::POST, &action).form(&fill(form));
        self.follow(request, &action, journey.into_hops())
    }

    /// Presses the button of the provider's page that asks whether to sign out.
    ///
    /// # Errors
    ///
    /// When the request gets no answer or the page asks nothing.
    pub fn confirm_sign_out(&self, page: &Answer) -> Result<Answer> {
        let selector = |text| Selector::parse(text).map_err(|error| anyhow!("{text}: {error}"));
        let (form, input) = (selector("form")?, selector("input[name=xsrf]")?);
        let html = Html::parse_document(&page.body);
        let attribute = |selector: &Selector, name: &str| {
            let element = html.select(selector).next();
            element.and_then(|element| element.attr(name).map(str::to_owned))
        };
        let action = attribute(&form, "action").with_context(|| page.body.clone())?;
        let xsrf = attribute(&input, "value").context("a token")?;
        let action = page.url.join(&action)?;
        let request = self
            .page_load(Method::POST, &action)
            .form(&[("xsrf", xsrf.as_str()), ("logout", "yes")]);
        Answer::read(request.send()?)
    }

    /// Sends a request and follows redirects from there.
    fn follow(
        &self,
        first: RequestBuilder,
        url: &Url,
        mut earlier: Vec<Answer>,
    ) -> Result<Journey> {
        let mut request = first;
        let mut target = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = request
                .send()
                .with_context(|| format!("request {target} after{}", Hops(&earlier)))?;
            let answer = Answer::read(response).with_context(|| format!("read {target}"))?;
            match answer.location() {
                Some(next) => target = next,
                None if answer.header(LOCATION.as_str()).is_some() => {
                    bail!("{} has a location that is no address", answer.url)
                }
                None => {
                    return Ok(Journey {
                        earlier,
                        landed: answer,
                    });
                }
            }
            earlier.push(answer);
            request = self.page_load(Method::GET, &target);
        }
        bail!("too many redirects:{}", Hops(&earlier))
    }

    /// Returns the value of a cookie that would be sent to this address.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<String> {
        let line = self.jar.cookies(url)?;
        let line = line.to_str().ok()?;
        line.split("; ").find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    }

    /// Stores a cookie as if this address had set it.
    pub fn add_cookie(&self, url: &Url, set_cookie: &str) {
        self.jar.add_cookie_str(set_cookie, url);
    }
}

/// Resolves names under `localhost` and `test`, and no others.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        // `.test` is in no resolver (RFC 6761 §6.2): a name that browsers alone can reach.
        let endings = [".localhost", ".test"];
        let local = name.as_str() == "localhost"
            || endings.iter().any(|ending| name.as_str().ends_with(ending));
        Box::pin(async move {
            if !local {
                return Err(format!("{} is not a local name", name.as_str()).into());
            }
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Ok(Box::new(std::iter::once(address)) as Addrs)
        })
    }
}

/// One answer, read to the end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The requested address.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text. Bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// When it breaks off.
    pub fn read(response: Response) -> Result<Self> {
        Ok(Self {
            url: response.url().clone(),
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text()?,
        })
    }

    /// Returns the first value of a header, if it is plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the address that a redirect leads to.
    pub fn location(&self) -> Option<Url> {
        if !self.status.is_redirection() {
            return None;
        }
        self.url.join(self.header(LOCATION.as_str())?).ok()
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("{} {}: {:.200}", self.status, self.url, self.body))
    }
}

/// A page load with all the redirects that it took.
#[derive(Clone, Debug)]
pub struct Journey {
    /// The redirects, first to last.
    pub earlier: Vec<Answer>,
    /// Where it ended.
    pub landed: Answer,
}

impl Journey {
    /// Returns whether some hop went to this path of any host.
    pub fn passed(&self, path: &str) -> bool {
        self.hops().any(|hop| hop.url.path() == path)
    }

    /// Returns whether the page where it ended has a form with an element that this CSS selector matches.
    ///
    /// # Errors
    ///
    /// When the selector is invalid.
    pub fn shows(&self, element: &str) -> Result<bool> {
        Ok(Form::with(&self.landed, element)?.is_some())
    }

    /// Returns all responses, first to last.
    pub fn hops(&self) -> impl Iterator<Item = &Answer> {
        self.earlier.iter().chain(std::iter::once(&self.landed))
    }

    fn into_hops(self) -> Vec<Answer> {
        let mut hops = self.earlier;
        hops.push(self.landed);
        hops
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Hops(&self.earlier))?;
        write!(f, "{}", Hops(std::slice::from_ref(&self.landed)))
    }
}

/// Answers, one a line, as a failed test shows them. Without queries: they carry codes.
struct Hops<'a>(&'a [Answer]);

impl fmt::Display for Hops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hop in self.0 {
            let mut url = hop.url.clone();
            url.set_query(None);
            write!(f, "\n  {} {url}", hop.status.as_u16())?;
        }
        Ok(())
    }
}
