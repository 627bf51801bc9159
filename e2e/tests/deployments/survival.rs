//! Requests and responses that proxies get wrong: they have to survive the plugin and the question
//! to the outpost alike.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::clients::raw_http1::{Head, RawConnection};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Service, Site};
use reqwest::blocking::Body;
use reqwest::{Method, StatusCode, Version};
use serde_json::json;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{ClientHandshake, HandshakeError, Message, WebSocket};

use crate::plugin::middlewares;

/// Traefik in one of its configurations, and someone who is signed in.
struct Front {
    name: &'static str,
    cookie: String,
    traefik: Service,
    site: Site,
}

impl Front {
    /// Starts Traefik with the plugin, with forwardAuth, and with both.
    fn all() -> Result<[Self; 3]> {
        Ok([
            Self::start("the plugin", |site| {
                Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
                    .route_with(
                        "deploy/traefik/dynamic/plugin-single.yaml",
                        &middlewares(&["wiki-gatepost"], &json!({ "allowPreflight": true })),
                    )?
                    .start(&["wiki"])
            })?,
            Self::start("forwardAuth", |site| {
                Traefik::new(site, "deploy/traefik/static/forward-auth.yaml")?
                    .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
                    .start(&["wiki"])
            })?,
            Self::start("multi-layer routing", |site| {
                Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
                    .route_with(
                        "deploy/traefik/dynamic/route-single.yaml",
                        &middlewares(&["gatepost"], &json!({ "allowPreflight": true })),
                    )?
                    .start(&["wiki"])
            })?,
        ])
    }

    fn start(name: &'static str, traefik: impl FnOnce(&Site) -> Result<Service>) -> Result<Self> {
        let site = Site::builder("deploy/outpost/single.yaml")
            .applications(&json!({ "allowPreflight": true }))
            .start()?;
        let traefik = traefik(&site)?;
        let page = site.url("wiki", "/")?;
        let client = Client::new()?;
        client.sign_in(&page, &ALICE)?;
        let cookie = client.cookie(&page, "gatepost").context("a session")?;
        Ok(Self {
            name,
            cookie: format!("gatepost={cookie}"),
            traefik,
            site,
        })
    }

    fn connection(&self) -> Result<RawConnection> {
        RawConnection::connect(self.site.ports().web)
    }

    fn host(&self) -> String {
        format!("wiki.example.localhost:{}", self.site.ports().web)
    }

    /// Sends a request of someone signed in, and reads the head of the answer.
    fn ask(
        &self,
        connection: &mut RawConnection,
        line: &str,
        headers: &[(&str, &str)],
    ) -> Result<Head> {
        let host = self.host();
        let mut all = vec![("Host", host.as_str()), ("Cookie", self.cookie.as_str())];
        all.extend(headers);
        connection.request(line, &all)?;
        connection.head()
    }

    /// Opens a WebSocket as a browser does.
    fn socket(&self, cookie: Option<&str>) -> Result<WebSocket<TcpStream>> {
        let url = format!("ws://{}/upstream/socket", self.host());
        let mut request = url.into_client_request()?;
        if let Some(cookie) = cookie {
            request.headers_mut().insert("Cookie", cookie.parse()?);
        }
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.site.ports().web))?;
        let (socket, _) = tungstenite::client(request, stream)?;
        Ok(socket)
    }
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn websockets_open_with_a_session_only() -> Result<()> {
    for front in Front::all()? {
        let mut socket = front.socket(Some(&front.cookie)).context(front.name)?;
        for text in ["one", "two"] {
            socket.send(Message::text(text))?;
            assert_eq!(socket.read()?, Message::text(text), "{}", front.name);
        }
        let error = front.socket(None).err().context("it opened")?;
        match error.downcast::<HandshakeError<ClientHandshake<TcpStream>>>()? {
            HandshakeError::Failure(tungstenite::Error::Http(answer)) => {
                assert_eq!(answer.status(), 401, "{}: no redirect", front.name);
            }
            other => panic!("{}: {other}", front.name),
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn streams_arrive_as_they_are_sent() -> Result<()> {
    for front in Front::all()? {
        // The second event is an hour away: were the response buffered, the first would not come.
        let mut connection = front.connection()?;
        let events = "GET /upstream/events?count=2&pause_ms=3600000";
        let head = front.ask(&mut connection, events, &[("Accept", "text/event-stream")])?;
        assert_eq!(head.status, 200, "{}", front.name);
        let first = connection.chunk()?.context("an event")?;
        assert_eq!(first, b"data: 0\n\n", "{}", front.name);

        // A response that the app breaks off must not look complete.
        let mut connection = front.connection()?;
        let head = front.ask(&mut connection, "GET /upstream/abort", &[])?;
        assert_eq!(head.status, 200, "{}", front.name);
        let body = connection.body(&head)?;
        assert_eq!(body.bytes, b"the first half\n", "{}", front.name);
        assert!(
            !body.complete,
            "{}: half a response looks whole",
            front.name
        );

        // And it leaves nothing behind: the next request is answered.
        let head = front.ask(&mut front.connection()?, "GET /", &[])?;
        assert_eq!(head.status, 200, "{}", front.name);
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn methods_keep_their_meaning() -> Result<()> {
    for front in Front::all()? {
        // On one connection: a HEAD with a body would break the next response.
        let mut connection = front.connection()?;
        let head = front.ask(&mut connection, "HEAD /page", &[("Accept", "text/html")])?;
        assert_eq!(head.status, 200, "{}", front.name);
        let length = head.header("content-length").unwrap_or_default();
        assert_ne!(
            length, "0",
            "{}: the length of what GET answers",
            front.name
        );

        connection.request(
            "OPTIONS /api",
            &[
                ("Host", &front.host()),
                ("Origin", "https://other.example"),
                ("Access-Control-Request-Method", "PUT"),
            ],
        )?;
        let head = connection.head()?;
        assert_eq!(
            head.status, 200,
            "{}: a preflight has no cookie",
            front.name
        );
        connection.body(&head)?;
        connection.request("OPTIONS /api", &[("Host", &front.host())])?;
        let head = connection.head()?;
        assert_eq!(head.status, 401, "{}: not every OPTIONS is one", front.name);
        connection.body(&head)?;

        let methods: Vec<String> = front.site.wiki().into_iter().map(|s| s.method).collect();
        assert!(
            methods.ends_with(&["HEAD".into(), "OPTIONS".into()]),
            "{methods:?}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn connection_goes_on_after_a_refusal() -> Result<()> {
    for front in Front::all()? {
        let mut connection = front.connection()?;
        for body in ["", "a=1&b=2"] {
            let length = body.len().to_string();
            let host = front.host();
            connection.request("POST /x", &[("Host", &host), ("Content-Length", &length)])?;
            connection.send(body)?;
            let head = connection.head()?;
            assert_eq!(head.status, 401, "{}", front.name);
            assert_ne!(head.header("connection"), Some("close"), "{}", front.name);
            assert!(connection.body(&head)?.complete, "{}", front.name);
        }
        let head = front.ask(&mut connection, "GET /x", &[])?;
        assert_eq!(head.status, 200, "{}", front.name);
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn body_is_asked_for_only_when_it_is_wanted() -> Result<()> {
    for front in Front::all()? {
        let expect = [("Content-Length", "5"), ("Expect", "100-continue")];
        let mut connection = front.connection()?;
        let head = front.ask(&mut connection, "POST /upstream/upload", &expect)?;
        assert_eq!(head.status, 100, "{}: signed in", front.name);
        connection.send("12345")?;
        let head = connection.head()?;
        assert_eq!(head.status, 200, "{}", front.name);
        assert_eq!(connection.body(&head)?.bytes, b"5\n", "{}", front.name);

        let mut connection = front.connection()?;
        let host = front.host();
        let mut headers = vec![("Host", host.as_str())];
        headers.extend(expect);
        connection.request("POST /upstream/upload", &headers)?;
        let head = connection.head()?;
        assert_eq!(head.status, 401, "{}: not signed in", front.name);
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn http2_is_understood() -> Result<()> {
    for front in Front::all()? {
        let client = reqwest::blocking::Client::builder()
            .http2_prior_knowledge()
            .resolve(
                "wiki.example.localhost",
                (Ipv4Addr::LOCALHOST, front.site.ports().web).into(),
            )
            .build()?;
        let page = front.site.url("wiki", "/x?y=1")?;
        let answer = Answer::read(client.get(page.clone()).send()?)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", front.name);
        // Browsers send each cookie as a field of its own (RFC 9113 §8.2.3).
        let response = client
            .get(page)
            .header("cookie", "theme=dark")
            .header("cookie", &front.cookie)
            .header("cookie", "lang=en")
            .send()?;
        assert_eq!(response.version(), Version::HTTP_2, "{}", front.name);
        assert_eq!(response.status(), StatusCode::OK, "{}", front.name);
        let seen = front.site.wiki();
        let seen = seen.last().context("the app was asked")?;
        assert_eq!(seen.header("x-auth-username"), Some("alice"));
        assert_eq!(seen.header("cookie"), Some("theme=dark; lang=en"));
    }
    Ok(())
}

/// 1 GiB.
const UPLOAD: u64 = 1 << 30;

/// The most memory that Traefik may need: it has some 150 MiB without load, and far more if any
/// part buffers the upload.
const MEMORY: u64 = UPLOAD / 2;

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn large_upload_is_passed_on_as_it_comes() -> Result<()> {
    for front in Front::all()? {
        let body = Body::sized(io::repeat(b'x').take(UPLOAD), UPLOAD);
        let request = Client::new()?
            .fetch(Method::POST, &front.site.url("wiki", "/upstream/upload")?)
            .timeout(std::time::Duration::from_secs(300))
            .header("Cookie", &front.cookie)
            .body(body);
        assert_eq!(
            request.send()?.text()?,
            format!("{UPLOAD}\n"),
            "{}",
            front.name
        );
        let group = front.traefik.group().context("Traefik runs")?;
        let peak = peak_memory(group)?;
        assert!(peak < MEMORY, "{}: {peak} bytes", front.name);
        let folder = fs::read_dir(front.site.folder().join("traefik"))?;
        assert!(folder.count() < 10, "{}: nothing is spooled", front.name);
    }
    Ok(())
}

/// Returns the most resident memory that the programs of a process group had together.
fn peak_memory(group: u32) -> Result<u64> {
    let mut kilobytes = 0;
    let mut found = false;
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        // Processes come and go.
        let Ok(stat) = fs::read_to_string(process.join("stat")) else {
            continue;
        };
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        if fields.split(' ').nth(2) != Some(&group.to_string()) {
            continue;
        }
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        if let Some(number) = number {
            kilobytes += number.parse::<u64>()?;
            found = true;
        }
    }
    ensure!(found, "no process in group {group}");
    Ok(kilobytes * 1024)
}
