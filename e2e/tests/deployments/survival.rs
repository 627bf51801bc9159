//! Requests and responses that proxies get wrong: they have to survive the plugin and the question
//! to the outpost alike.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_e2e::clients::raw_http1::{Head, RawConnection};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Service, Site};
use reqwest::{StatusCode, Version};
use serde_json::json;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{ClientHandshake, HandshakeError, Message, WebSocket};

use crate::plugin::middlewares;

/// Traefik in one of its configurations, and a user who is signed in.
struct Front {
    cookie: String,
    traefik: Service,
    site: Site,
}

/// Traefik with the plugin.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin() -> Result<()> {
    everything_survives(|site| {
        Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
            .route_with(
                "deploy/traefik/dynamic/plugin-single.yaml",
                &middlewares(&["wiki-gatepost"], &json!({ "allowPreflight": true })),
            )?
            .start(&["wiki"])
    })
}

/// Traefik with forwardAuth.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    everything_survives(|site| {
        Traefik::new(site, "deploy/traefik/static/forward-auth.yaml")?
            .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
            .start(&["wiki"])
    })
}

/// Traefik with both.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn multi_layer_routing() -> Result<()> {
    everything_survives(|site| {
        Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
            .route_with(
                "deploy/traefik/dynamic/route-single.yaml",
                &middlewares(&["gatepost"], &json!({ "allowPreflight": true })),
            )?
            .start(&["wiki"])
    })
}

fn everything_survives(traefik: impl FnOnce(&Site) -> Result<Service>) -> Result<()> {
    let front = Front::start(traefik)?;
    websockets_open_with_a_session_only(&front)?;
    streams_arrive_as_they_are_sent(&front)?;
    methods_keep_their_meaning(&front)?;
    connection_goes_on_after_a_refusal(&front)?;
    body_is_asked_for_only_when_it_is_wanted(&front)?;
    http2_is_understood(&front)?;
    large_upload_is_passed_on_as_it_comes(&front)
}

impl Front {
    fn start(traefik: impl FnOnce(&Site) -> Result<Service>) -> Result<Self> {
        let site = Site::builder("deploy/outpost/single.yaml")
            .applications(&json!({ "allowPreflight": true }))
            .start()?;
        let traefik = traefik(&site)?;
        let page = site.url("wiki", "/")?;
        let client = Client::new()?;
        client.sign_in(&page, &ALICE)?;
        let cookie = client.cookie(&page, "gatepost").context("a session")?;
        Ok(Self {
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

    /// Sends a request of the signed-in user, and reads the head of the answer.
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

fn websockets_open_with_a_session_only(front: &Front) -> Result<()> {
    let mut socket = front.socket(Some(&front.cookie))?;
    for text in ["one", "two"] {
        socket.send(Message::text(text))?;
        assert_eq!(socket.read()?, Message::text(text));
    }
    let error = front.socket(None).err().context("it opened")?;
    match error.downcast::<HandshakeError<ClientHandshake<TcpStream>>>()? {
        HandshakeError::Failure(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 401, "no redirect");
        }
        other => bail!("{other}"),
    }
    Ok(())
}

fn streams_arrive_as_they_are_sent(front: &Front) -> Result<()> {
    // The second event is an hour away: were the response buffered, the first would not come.
    let mut connection = front.connection()?;
    let events = "GET /upstream/events?count=2&pause_ms=3600000";
    let head = front.ask(&mut connection, events, &[("Accept", "text/event-stream")])?;
    assert_eq!(head.status, 200);
    let first = connection.chunk()?.context("an event")?;
    assert_eq!(first, b"data: 0\n\n");

    // A response that the app breaks off must not look complete.
    let mut connection = front.connection()?;
    let head = front.ask(&mut connection, "GET /upstream/abort", &[])?;
    assert_eq!(head.status, 200);
    let body = connection.body(&head)?;
    assert_eq!(body.bytes, b"the first half\n");
    assert!(!body.complete, "half a response looks whole");

    // And it leaves nothing behind: the next request is answered.
    let head = front.ask(&mut front.connection()?, "GET /", &[])?;
    assert_eq!(head.status, 200);
    Ok(())
}

fn methods_keep_their_meaning(front: &Front) -> Result<()> {
    // On one connection: a HEAD with a body would break the next response.
    let mut connection = front.connection()?;
    let head = front.ask(&mut connection, "HEAD /page", &[("Accept", "text/html")])?;
    assert_eq!(head.status, 200);
    let length = head.header("content-length").unwrap_or_default();
    assert_ne!(length, "0", "the length of what GET answers");

    connection.request(
        "OPTIONS /api",
        &[
            ("Host", &front.host()),
            ("Origin", "https://other.example"),
            ("Access-Control-Request-Method", "PUT"),
        ],
    )?;
    let head = connection.head()?;
    assert_eq!(head.status, 200, "a preflight has no cookie");
    connection.body(&head)?;
    connection.request("OPTIONS /api", &[("Host", &front.host())])?;
    let head = connection.head()?;
    assert_eq!(head.status, 401, "not every OPTIONS is one");
    connection.body(&head)?;

    let seen = front.site.wiki();
    let methods: Vec<&str> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert!(methods.ends_with(&["HEAD", "OPTIONS"]), "{methods:?}");
    Ok(())
}

fn connection_goes_on_after_a_refusal(front: &Front) -> Result<()> {
    let mut connection = front.connection()?;
    for body in ["", "a=1&b=2"] {
        let length = body.len().to_string();
        let host = front.host();
        connection.request("POST /x", &[("Host", &host), ("Content-Length", &length)])?;
        connection.send(body)?;
        let head = connection.head()?;
        assert_eq!(head.status, 401);
        assert_ne!(head.header("connection"), Some("close"));
        assert!(connection.body(&head)?.complete);
    }
    let head = front.ask(&mut connection, "GET /x", &[])?;
    assert_eq!(head.status, 200);
    Ok(())
}

fn body_is_asked_for_only_when_it_is_wanted(front: &Front) -> Result<()> {
    let expect = [("Content-Length", "5"), ("Expect", "100-continue")];
    let mut connection = front.connection()?;
    let head = front.ask(&mut connection, "POST /upstream/upload", &expect)?;
    assert_eq!(head.status, 100, "signed in");
    connection.send("12345")?;
    let mut head = connection.head()?;
    // The upstream's, which Traefik hands on besides its own (RFC 9110, section 15.2).
    while head.status == 100 {
        head = connection.head()?;
    }
    assert_eq!(head.status, 200);
    assert_eq!(connection.body(&head)?.bytes, b"5\n");

    let mut connection = front.connection()?;
    let host = front.host();
    let mut headers = vec![("Host", host.as_str())];
    headers.extend(expect);
    connection.request("POST /upstream/upload", &headers)?;
    let head = connection.head()?;
    assert_eq!(head.status, 401, "not signed in");
    Ok(())
}

fn http2_is_understood(front: &Front) -> Result<()> {
    let client = reqwest::blocking::Client::builder()
        .http2_prior_knowledge()
        .resolve(
            "wiki.example.localhost",
            (Ipv4Addr::LOCALHOST, front.site.ports().web).into(),
        )
        .build()?;
    let page = front.site.url("wiki", "/x?y=1")?;
    let answer = Answer::read(client.get(page.clone()).send()?)?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // Browsers send each cookie as a field of its own (RFC 9113 §8.2.3).
    let response = client
        .get(page)
        .header("cookie", "theme=dark")
        .header("cookie", &front.cookie)
        .header("cookie", "lang=en")
        .send()?;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.status(), StatusCode::OK);
    let seen = front.site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    assert_eq!(seen.header("cookie"), Some("theme=dark; lang=en"));
    Ok(())
}

/// 1 GiB.
const UPLOAD: u64 = 1 << 30;

/// The most memory that Traefik may need: it has some 150 MiB without load, and far more if any
/// part buffers the upload.
const MEMORY: u64 = UPLOAD / 2;

fn large_upload_is_passed_on_as_it_comes(front: &Front) -> Result<()> {
    let mut connection = front.connection()?;
    let length = UPLOAD.to_string();
    let host = front.host();
    let headers = [
        ("Host", host.as_str()),
        ("Cookie", &front.cookie),
        ("Content-Length", &length),
    ];
    connection.request("POST /upstream/upload", &headers)?;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..UPLOAD >> 20 {
        connection.send(&piece)?;
    }
    let head = connection.head()?;
    assert_eq!(head.status, 200);
    let counted = connection.body(&head)?.bytes;
    assert_eq!(String::from_utf8_lossy(&counted), format!("{UPLOAD}\n"));
    let group = front.traefik.group().context("Traefik runs")?;
    let peak = peak_memory(group)?;
    assert!(peak < MEMORY, "{peak} bytes");
    let folder = fs::read_dir(front.site.folder().join("traefik"))?;
    assert!(folder.count() < 10, "nothing is spooled");
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
