//! The browser that follows the path: it sends what browsers send, and keeps what matters of an
//! answer.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use http::header::{ACCEPT, COOKIE, DATE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use url::{Origin, Url};

use super::problem::CheckProblem;
use crate::cli::check::report::{Report, Subject};
use crate::http_client::{NO_AUTHORITY, chain, is_authority, is_untrusted};
use crate::runtime::Snapshot;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The longest answer that is looked into, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// An answer, as far as it matters.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) date: Option<SystemTime>,
    pub(super) cookies: Vec<String>,
    pub(super) body: String,
}

/// What a request is for, as its Fetch metadata says.
#[derive(Clone, Copy)]
pub(super) enum Fetch {
    /// A page load.
    Page,
    /// A script.
    Script,
}

impl Reply {
    /// Returns whether the plugin answered: the outpost, asked in place, gives a sign-in URL that
    /// leads back.
    pub(super) fn is_plugins(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
            && self.field("signIn").is_some_and(|url| !url.contains('?'))
    }

    /// Returns the error code of the outpost or the plugin: of the content, or of the challenge, which
    /// is all that nginx hands on of the outpost's response.
    pub(super) fn error(&self) -> Option<String> {
        self.field("error")
            .or_else(|| self.challenged("Gatepost error=\"").map(str::to_owned))
    }

    /// Returns the text of the challenge that follows another, up to the next quote.
    fn challenged(&self, before: &str) -> Option<&str> {
        let (_, rest) = self.challenge.as_deref()?.split_once(before)?;
        Some(rest.split_once('"')?.0)
    }

    /// Returns a text of a JSON answer.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    /// Returns the application by whose rule the request was refused.
    pub(super) fn realm(&self) -> Option<&str> {
        self.challenged("realm=\"")
    }

    /// Returns the title of a page.
    pub(super) fn title(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("<title>")?;
        let (title, _) = rest.split_once("</title>")?;
        Some(title)
    }
}

/// A browser.
pub(super) struct Browser {
    client: reqwest::Client,
    /// The origins at which the proxy is.
    proxys: Vec<Origin>,
}

impl Browser {
    /// Returns a browser that trusts the same certificates as the outpost.
    pub(super) fn new(snapshot: &Snapshot, url: &Url) -> Result<Self, CheckProblem> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authorities = Vec::new();
        for provider in &snapshot.providers {
            let pem = &provider.settings().authorities;
            authorities.extend(reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default());
        }
        // Browsers look `*.localhost` up nowhere (RFC 6761 §6.3); the system may not know it. In a
        // container, its network may, where it is the proxy's.
        let external = snapshot
            .applications
            .iter()
            .map(|application| application.external().url());
        let issuers = snapshot
            .providers
            .iter()
            .map(|provider| provider.settings().issuer.url());
        let local: Vec<&str> = external
            .chain(issuers)
            .chain([url])
            .filter_map(Url::host_str)
            .filter(|host| host.ends_with(".localhost") && (*host, 0).to_socket_addrs().is_err())
            .collect();
        let proxys = snapshot.applications.iter();
        let proxys = proxys
            .map(|application| application.external().url().origin())
            .chain([url.origin()]);
        let builder = || {
            let builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(TIMEOUT)
                .user_agent(concat!("gatepost-check/", env!("CARGO_PKG_VERSION")));
            // Port 0 means the port of the URL.
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            local
                .iter()
                .fold(builder, |builder, host| builder.resolve(host, loopback))
        };
        builder()
            .tls_certs_merge(authorities.clone())
            .build()
            // As where the system has no certificates at all.
            .or_else(|_| builder().tls_certs_only(authorities).build())
            .map(|client| Self {
                client,
                proxys: proxys.collect(),
            })
            .map_err(|error| CheckProblem(format!("cannot set up TLS: {error}")))
    }

    /// Returns whether a URL leads to the proxy, and not to a provider.
    fn is_proxys(&self, url: &Url) -> bool {
        self.proxys.contains(&url.origin())
    }

    /// Requests a URL, and adds the step to the report.
    pub(super) async fn get(
        &self,
        url: &str,
        how: Fetch,
        report: &mut Report,
    ) -> Result<Reply, CheckProblem> {
        self.get_with(url, how, None, report).await
    }

    /// Requests a URL as [`Self::get`] does, with a cookie line.
    pub(super) async fn get_with(
        &self,
        url: &str,
        how: Fetch,
        cookie: Option<&str>,
        report: &mut Report,
    ) -> Result<Reply, CheckProblem> {
        let cookie = cookie.map(|cookie| (COOKIE.as_str(), cookie.to_owned()));
        let reply = self.ask(url, how, cookie.as_slice()).await?;
        let parsed = Url::parse(url).ok();
        let shown = parsed
            .as_ref()
            .map_or_else(|| url.to_owned(), without_query);
        let to = reply
            .location
            .as_ref()
            .and_then(|location| parsed.as_ref()?.join(location).ok())
            .map(|to| format!(" to {}", without_query(&to)))
            .unwrap_or_default();
        let step = format!("{shown}: {}{to}", reply.status.as_u16());
        report.note(&Subject::LoginPath, step);
        Ok(reply)
    }

    /// Requests a URL with further headers, outside of the path.
    pub(super) async fn ask(
        &self,
        url: &str,
        how: Fetch,
        headers: &[(&'static str, String)],
    ) -> Result<Reply, CheckProblem> {
        let (mode, accept) = match how {
            Fetch::Page => ("navigate", "text/html"),
            Fetch::Script => ("cors", "application/json"),
        };
        let request = self
            .client
            .get(url)
            .header("Sec-Fetch-Mode", mode)
            .header("Sec-Fetch-Site", "none")
            .header(ACCEPT, accept);
        let mut headers = headers.iter();
        let request = headers.try_fold(request, |request, (name, value)| {
            let value = HeaderValue::from_str(value);
            Some(request.header(*name, value.ok()?))
        });
        let request = request.ok_or_else(|| CheckProblem("a header cannot be sent".to_owned()))?;
        let shown = Url::parse(url).map_or_else(|_| url.to_owned(), |url| without_query(&url));
        let mut response = request.send().await.map_err(|error| {
            let error = chain(&error.without_url());
            if is_untrusted(&error) {
                return CheckProblem(format!(
                    "{shown}: {error}: give the server a certificate that this machine trusts, or name \
                     its authority: `SSL_CERT_FILE=ca.pem gatepost check …`"
                ));
            }
            if is_authority(&error) {
                return CheckProblem(format!("{shown}: {error}{NO_AUTHORITY}"));
            }
            let is_proxys = Url::parse(url).is_ok_and(|url| self.is_proxys(&url));
            CheckProblem(if is_proxys {
                format!(
                    "{shown} cannot be reached: {error}; the host name must lead to the proxy, and the \
                     proxy must listen at that port with that scheme. In a container, the name must \
                     lead there from within"
                )
            } else {
                format!(
                    "{shown} cannot be reached: {error}; the provider sends users there, by its \
                     discovery document, so their browsers have to reach it. If they do, and this \
                     machine does not, the rest of the path cannot be followed from here"
                )
            })
        })?;
        let text = |name| {
            let value: Option<&http::HeaderValue> = response.headers().get(name);
            value.and_then(|value| value.to_str().ok().map(str::to_owned))
        };
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let mut reply = Reply {
            status: response.status(),
            location: text(LOCATION),
            challenge: text(WWW_AUTHENTICATE),
            date: text(DATE)
                .and_then(|date| DateTime::parse_from_rfc2822(&date).ok())
                .map(SystemTime::from),
            cookies: cookies
                .filter_map(|cookie| cookie.to_str().ok().map(str::to_owned))
                .collect(),
            body: String::new(),
        };
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                break;
            }
        }
        reply.body = String::from_utf8_lossy(&body).into_owned();
        Ok(reply)
    }
}

/// Returns a URL that can be shown: its query may hold secrets of a sign-in.
pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
