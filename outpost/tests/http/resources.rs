//! The resources that a client or a provider can take from the program: memory and time are
//! bounded, the log names the cause in one line, and other clients are not affected.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::header;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::{Folder, LIMIT, Running, client, write_config};
use crate::provider::{KeysAnswer, Provider};
use crate::world::{World, until};

/// How much more memory the program may have than when it started, in KiB. It includes the reserve
/// of a busy allocator; these tests send many times as much to the program.
const MORE_MEMORY: u64 = 64 * 1024;

/// The program with a provider.
pub(crate) struct Outpost {
    pub(crate) running: Running,
    pub(crate) provider: Provider,
    client: Client,
    memory: Option<u64>,
    _folder: Folder,
}

impl Outpost {
    pub(crate) async fn start(name: &str, more: &str) -> Self {
        let outpost = Self::start_without_provider(name, more, |_| ()).await;
        outpost.running.ready().await;
        outpost
    }

    /// Does not wait for the provider, which does this from the start.
    pub(crate) async fn start_without_provider(
        name: &str,
        more: &str,
        prepare: impl FnOnce(&Provider),
    ) -> Self {
        let folder = Folder::new(name);
        let provider = Provider::start().await;
        prepare(&provider);
        let config = write_config(&folder, &provider, "");
        let text = fs::read_to_string(&config).expect("written");
        let text = text.replace(
            "store: {kind: memory}",
            "store: {kind: memory, maxSessions: 20}",
        );
        fs::write(&config, format!("{text}{more}")).expect("written");
        let running = Running::start(&config);
        Self {
            memory: memory(&running),
            running,
            provider,
            // On new connections: one that is kept may be cut off while a test waits.
            client: client()
                .pool_max_idle_per_host(0)
                .build()
                .expect("a client"),
            _folder: folder,
        }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = format!("http://{}/akprox/{path}", self.running.http);
        let mut request = self.client.get(url).header("Host", "app.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// Signs a user in, and returns the session's cookie.
    async fn sign_in(&self) -> String {
        let finished = self.try_to_sign_in().await;
        assert_eq!(finished.status(), StatusCode::FOUND);
        cookies(&finished)
    }

    /// Begins a sign-in and returns the answer to its callback.
    pub(crate) async fn try_to_sign_in(&self) -> Response {
        let begun = self.get("start", &[]).await;
        let location = begun.headers()["location"].to_str().expect("text");
        let back = self.provider.authorize(location);
        let flow = cookies(&begun);
        let callback = format!("callback?{}", back.query().expect("a query"));
        self.get(&callback, &[("Cookie", &flow)]).await
    }

    /// Checks that other clients are served as usual.
    async fn serves_others(&self, case: &str) {
        let ping = self.get("ping", &[]).await;
        assert_eq!(ping.status(), StatusCode::NO_CONTENT, "{case}");
        let begun = self
            .get("start", &[("X-Forwarded-For", "203.0.113.200")])
            .await;
        assert_eq!(begun.status(), StatusCode::FOUND, "{case}");
    }

    fn memory_is_bounded(&self, case: &str) {
        if let (Some(before), Some(after)) = (self.memory, memory(&self.running)) {
            let more = after.saturating_sub(before);
            assert!(more < MORE_MEMORY, "{case}: {more} KiB more than {before}");
        }
    }

    /// Returns how many lines of the log contain this.
    fn lines(&self, text: &str) -> usize {
        let all = self.running.lines.all();
        all.lines().filter(|line| line.contains(text)).count()
    }
}

fn cookies(response: &Response) -> String {
    let lines = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .filter(|pair| !pair.ends_with('='))
        .collect();
    pairs.join("; ")
}

/// Returns the most memory that the program has had, in KiB, if the system reports it.
fn memory(running: &Running) -> Option<u64> {
    let status = PathBuf::from(format!("/proc/{}/status", running.child.id()));
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sends this, then a byte a second if `drip` is set, and waits for the program to hang up.
async fn hung_up(address: std::net::SocketAddr, sent: Vec<u8>, drip: Option<u8>) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        // The program may hang up in the middle.
        let _ = writer.write_all(&sent).await;
        while let Some(byte) = drip {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(2 * LIMIT, reader.read_to_end(&mut answer)).await;
    assert!(
        reading.is_ok(),
        "held open: {}",
        String::from_utf8_lossy(&answer)
    );
    dripping.abort();
    answer
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let outpost = Outpost::start("slow", "").await;
    let http = outpost.running.http;
    let https = outpost.running.https.expect("an https listener");
    let half = b"GET /akprox/start HTTP/1.1\r\nHost: app.example.com\r\nX-A";
    let logout = "POST /akprox/backchannel_logout HTTP/1.1\r\nHost: o\r\n\
                  Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\nlogout_";
    // The start of a TLS handshake, of which no more comes.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut all = Vec::new();
    for _ in 0..25 {
        for (address, sent, drip) in [
            (http, Vec::new(), None),
            (http, half.to_vec(), None),
            (http, half.to_vec(), Some(b'a')),
            (http, logout.as_bytes().to_vec(), None),
            (http, logout.as_bytes().to_vec(), Some(b'a')),
            (https, Vec::new(), None),
            (https, hello.to_vec(), None),
            (https, hello.to_vec(), Some(0)),
        ] {
            all.push(tokio::spawn(hung_up(address, sent, drip)));
        }
    }
    outpost.serves_others("while they hold connections").await;
    for one in all {
        let answer = one.await.expect("hung up");
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(matches!(status, "none" | "400" | "408"), "{answer}");
    }
    outpost.serves_others("afterwards").await;
    outpost.memory_is_bounded("slow clients");
}

#[tokio::test]
async fn floods_of_headers_and_endless_bodies_are_refused() {
    let outpost = Outpost::start("headers", "").await;
    let http = outpost.running.http;
    let many: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let long = "a".repeat(4 << 20);
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x1_0000));
    let endless = chunk.repeat(200);
    let start = "/akprox/start HTTP/1.1\r\nHost: app.example.com\r\n";
    let form =
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n";
    let logout = "/akprox/backchannel_logout HTTP/1.1\r\nHost: o\r\n";
    for (case, sent, statuses) in [
        (
            "many headers",
            format!("GET {start}{many}\r\n"),
            &["431", "400"][..],
        ),
        (
            "a long header",
            format!("GET {start}X: {long}\r\n\r\n"),
            &["431", "400"],
        ),
        (
            "a long cookie",
            format!("GET {start}Cookie: {long}\r\n\r\n"),
            &["431", "400"],
        ),
        (
            "a long target",
            format!("GET /{long} HTTP/1.1\r\n\r\n"),
            &["414", "431", "400"],
        ),
        (
            "an endless form",
            format!("POST {logout}{form}{endless}"),
            &["400"],
        ),
        (
            "an endless body that is not read",
            format!("POST {start}{form}{endless}"),
            &["405"],
        ),
    ] {
        let all: Vec<_> = (0..20)
            .map(|_| tokio::spawn(hung_up(http, sent.clone().into_bytes(), None)))
            .collect();
        for one in all {
            let answer = one.await.expect("hung up");
            let answer = String::from_utf8_lossy(&answer);
            let status = answer.split(' ').nth(1);
            // A connection that is closed while the client still sends may lose the response.
            let refused = status.is_none_or(|status| statuses.contains(&status));
            assert!(refused, "{case}: {answer}");
        }
        outpost.serves_others(case).await;
        outpost.memory_is_bounded(case);
    }
}

/// Without the line, an operator could not find out why all users count as one client.
#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_named_once() {
    let folder = Folder::new("untrusted");
    let provider = Provider::start().await;
    let config = write_config(&folder, &provider, "");
    let text = fs::read_to_string(&config).expect("written");
    let untrusted = text.replace("[127.0.0.1]", "[192.0.2.1]");
    assert_ne!(text, untrusted, "it trusts a proxy");
    fs::write(&config, untrusted).expect("written");
    let running = Running::start(&config);
    running.ready().await;
    let url = format!("http://{}/akprox/start", running.http);
    for _ in 0..3 {
        let request = client().build().expect("a client").get(&url);
        let request = request.header("Host", "app.example.com");
        let answer = request.header("X-Forwarded-For", "198.51.100.1");
        assert_eq!(
            answer.send().await.expect("an answer").status(),
            StatusCode::FOUND
        );
    }
    let log = running.lines.all();
    let named = log.lines().filter(|line| line.contains("trustedProxies"));
    let named: Vec<_> = named.filter(|line| line.contains("127.0.0.1")).collect();
    assert_eq!(named.len(), 1, "{log}");
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_slowed_down_and_leaves_nothing_behind() {
    let outpost = Outpost::start("flood", "rateLimit: {perSecond: 5, burst: 100}\n").await;
    let flooder = ("X-Forwarded-For", "198.51.100.1");
    for (target, served) in [
        ("start?rd=/x", StatusCode::FOUND),
        ("callback?code=c&state=s&iss=i", StatusCode::BAD_REQUEST),
        ("sign_out", StatusCode::OK),
    ] {
        let mut refused = 0;
        let mut others = 0;
        for number in 0..600 {
            let answer = outpost.get(target, &[flooder]).await;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                let after = answer.headers()[header::RETRY_AFTER]
                    .to_str()
                    .expect("text");
                let after: u64 = after.parse().expect("seconds");
                assert!((1..=60).contains(&after), "{after}");
                refused += 1;
            } else {
                assert_eq!(answer.status(), served, "{target}");
            }
            if number % 30 == 0 {
                outpost.serves_others(target).await;
                others += 1;
            }
        }
        assert!(refused > 0, "{target}");
        assert_eq!(others, 20, "{target}");
    }
    // The outpost keeps no state of clients that the provider has not signed in.
    assert_eq!(outpost.provider.script().exchanges, 0);
    let (_, metrics) = outpost.running.operations("/metrics").await;
    assert!(metrics.contains("gatepost_store_duration_seconds_count{operation=\"insert\"} 0\n"));
    assert!(
        metrics.contains("gatepost_failures_total{reason=\"too_many_requests\"}"),
        "{metrics}"
    );
    let lines = outpost.lines("a client sends too many requests");
    assert!((1..20).contains(&lines), "{lines} lines");
    outpost.memory_is_bounded("a flood");
}

#[tokio::test]
async fn a_full_store_keeps_the_latest_sessions() {
    let outpost = Outpost::start("full", "rateLimit: {perSecond: 0}\n").await;
    let mut sessions = Vec::new();
    for _ in 0..60 {
        sessions.push(outpost.sign_in().await);
    }
    let mut live = 0;
    for (number, session) in sessions.iter().enumerate() {
        let answer = outpost.get("session", &[("Cookie", session)]).await;
        let lives = answer.status() == StatusCode::OK;
        live += usize::from(lives);
        assert!(lives || number < 59, "the last one is gone");
    }
    assert!((1..=20).contains(&live), "{live} of 60");
}

#[tokio::test]
async fn a_provider_whose_keys_cannot_be_read_is_not_used_until_they_can() {
    let unusable = async |case, answer| {
        let outpost = Outpost::start_without_provider(&format!("keys-{case}"), "", |provider| {
            provider.script().keys_answer = answer;
        })
        .await;
        outpost
            .running
            .until(
                &format!("the provider not to be used: {case}"),
                async || outpost.lines("provider cannot be used") > 0,
            )
            .await;
        let line = outpost.running.lines.await_line(|line| {
            let message = line["message"].as_str();
            message.is_some_and(|text| text.starts_with("provider cannot be used"))
        });
        assert_eq!(line["provider"], "main", "{case}: {line}");
        let error = line["error"].as_str();
        assert!(error.is_some_and(|text| text.len() < 500), "{case}: {line}");
        assert_eq!(outpost.running.operations("/readyz").await.0, 503, "{case}");
        assert_eq!(outpost.get("ping", &[]).await.status(), 204, "{case}");
        assert_eq!(outpost.get("start", &[]).await.status(), 503, "{case}");
        outpost.memory_is_bounded(case);
        outpost.provider.script().keys_answer = KeysAnswer::Keys;
        outpost.running.ready().await;
        outpost.serves_others(case).await;
    };
    tokio::join!(
        unusable("garbage", KeysAnswer::Garbage),
        unusable("100 MB", KeysAnswer::Huge),
        unusable("never", KeysAnswer::Never),
    );
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_logged_once_and_not_used() {
    let outpost = Outpost::start_without_provider("issuer", "", |provider| {
        provider.script().discovery = Box::new(|document| {
            document["issuer"] = json!("https://elsewhere.example");
        });
    })
    .await;
    let is_tried_again = async || {
        let tried = outpost.provider.script().discoveries >= 3;
        if !tried {
            // A person who waits has it tried again sooner.
            assert_eq!(outpost.get("start", &[]).await.status(), 503);
        }
        tried
    };
    let running = &outpost.running;
    running
        .until("the provider to be tried again", is_tried_again)
        .await;
    assert_eq!(outpost.lines("issuer mismatch"), 1);
    let (status, body) = outpost.running.operations("/readyz").await;
    assert_eq!(status, 503, "{body}");
    outpost.provider.script().discovery = Box::new(|_| ());
    outpost.running.ready().await;
}

#[tokio::test]
async fn a_sign_in_that_waits_for_keys_does_not_delay_others() {
    let world = World::new().await;
    let mut waiting = world.browser();
    let callback = waiting.begin("https://app.example.com/akprox/start").await;
    {
        let mut script = world.provider.script();
        script.keys_answer = KeysAnswer::Never;
        script.header = Box::new(|header| header["kid"] = json!("made-up"));
    }
    let waiting = waiting.load(callback.as_str());
    let others = async {
        until("the keys to be asked for", async || {
            world.provider.script().key_fetches >= 2
        })
        .await;
        world.provider.script().header = Box::new(|_| ());
        let mut other = world.browser();
        other
            .sign_in("https://app.example.com/akprox/start")
            .await
            .expect(302);
        Instant::now()
    };
    let (reply, others_done) = tokio::join!(async { (waiting.await, Instant::now()) }, others);
    let (reply, done) = reply;
    assert_eq!(reply.status, 502, "{}", reply.body);
    assert!(others_done < done, "the others did not wait");
}
