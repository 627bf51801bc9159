//! What becomes of connections when the process is asked to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::process::certify;
use crate::program::{Folder, LIMIT, Running, write_config};
use crate::provider::Provider;

const PING: &[u8] = b"GET /akprox/ping HTTP/1.1\r\nHost: app.example.com\r\n\r\n";

/// What Docker grants a container until it kills it.
const GRACE: Duration = Duration::from_secs(10);

/// For the process to do with its connections whatever it does with them when it is asked to stop.
const A_WHILE: Duration = Duration::from_millis(500);

/// A program with certificate, to be asked to stop.
async fn start(name: &str) -> (Running, Folder) {
    let folder = Folder::new(name);
    let provider = Provider::start().await;
    certify(&folder);
    let tls = format!(
        "tls: {{certificate: {0}/chain.pem, key: {0}/key.pem}}\n",
        folder.0.display()
    );
    (
        Running::start(&write_config(&folder, &provider, &tls)),
        folder,
    )
}

/// Less than the five seconds that a process which is asked to stop waits for the first request of a
/// connection.
const NO_FIRST_REQUEST: Duration = Duration::from_secs(4);

/// Asks the process to stop, and returns a while after it has begun to.
async fn ask_to_stop(running: &Running) {
    stop_soon(running);
    sleep(A_WHILE).await;
}

/// Asks the process to stop, and returns when all its connections are asked. It keeps them for a second.
fn stop_soon(running: &Running) {
    running.terminate();
    running.lines.await_line(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|text| text.starts_with("stopping"))
    });
}

/// Returns a connection that has had an answer, and is kept alive.
async fn answered<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    stream.write_all(PING).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let read = timeout(LIMIT, stream.read_u8()).await.expect("an answer");
        answer.push(read.expect("no end"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 204"), "{answer:?}");
    stream
}

/// Waits for the end of the process, and returns how long that took.
async fn ended(mut running: Running) -> Duration {
    let begun = Instant::now();
    assert!(running.end().await.success());
    begun.elapsed()
}

/// Sends the rest of a request, and reads all that the server says until it closes the connection.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, rest: &[u8]) -> String {
    stream.write_all(rest).await.expect("written");
    let mut answer = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    read.expect("the server closes it").expect("no reset");
    String::from_utf8_lossy(&answer).to_ascii_lowercase()
}

#[tokio::test]
async fn a_connection_that_was_accepted_gets_its_first_answer() {
    let (running, _folder) = start("stopping").await;
    let mut clients = Vec::new();
    for sent in [0, 1, 20] {
        let mut stream = TcpStream::connect(running.http).await.expect("accepted");
        let (first, rest) = PING.split_at(sent);
        stream.write_all(first).await.expect("written");
        clients.push((sent, stream, rest));
    }
    sleep(A_WHILE).await;
    ask_to_stop(&running).await;
    for (sent, stream, rest) in clients {
        let answer = ask(stream, rest).await;
        assert!(answer.starts_with("http/1.1 204"), "{sent}: {answer}");
        assert!(
            answer.contains("\r\nconnection: close\r\n"),
            "{sent}: {answer}"
        );
    }
    assert!(ended(running).await < GRACE);
}

/// Returns what shakes hands with a program that shows the certificate in this folder.
fn connector(folder: &Folder) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_file(folder.path("chain.pem")).expect("a certificate");
    roots.add(own).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("app.example.com").expect("a name")
}

#[tokio::test]
async fn a_connection_of_tls_gets_its_first_answer() {
    let (running, folder) = start("stopping-tls").await;
    let https = running.https.expect("an https listener");
    let connector = connector(&folder);

    // One is in the middle of nothing, the other has shaken hands.
    let early = TcpStream::connect(https).await.expect("accepted");
    let late = TcpStream::connect(https).await.expect("accepted");
    let late = connector.connect(name(), late).await.expect("TLS");
    ask_to_stop(&running).await;
    let early = connector.connect(name(), early).await.expect("TLS");
    for (case, stream) in [("early", early), ("late", late)] {
        let answer = ask(stream, PING).await;
        assert!(answer.starts_with("http/1.1 204"), "{case}: {answer}");
        assert!(
            answer.contains("\r\nconnection: close\r\n"),
            "{case}: {answer}"
        );
    }
    assert!(ended(running).await < GRACE);
}

/// A request for the ping in HTTP/2 with what begins a connection: RFC 9113 §3.4 and §6.2, by hand, since no
/// client library can connect long before it speaks.
fn ping_of_http2() -> Vec<u8> {
    // By the static table: GET, http, and the names `:path` and `:authority` with their values.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(4, "/akprox/ping"), (1, "app.example.com")] {
        block.extend([name, u8::try_from(value.len()).expect("short")]);
        block.extend(value.as_bytes());
    }
    let length = u8::try_from(block.len()).expect("short");
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Settings, of which there are none; then the headers, with END_HEADERS and END_STREAM.
    request.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    request.extend([0, 0, length, 1, 5, 0, 0, 0, 1]);
    request.extend(block);
    request
}

/// Reads frames until one of this type, and returns its payload.
async fn frame_of(stream: &mut TcpStream, wanted: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        let read = timeout(LIMIT, stream.read_exact(&mut head)).await;
        read.expect("a frame").expect("no end before it");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("fits")];
        let read = timeout(LIMIT, stream.read_exact(&mut payload)).await;
        read.expect("a frame").expect("a whole frame");
        if head[3] == wanted {
            return payload;
        }
    }
}

/// `HEADERS` (RFC 9113 §6.2).
const HEADERS: u8 = 1;

/// `GOAWAY` (RFC 9113 §6.8).
const GOAWAY: u8 = 7;

#[tokio::test]
async fn a_connection_of_http2_gets_its_first_answer() {
    let (running, _folder) = start("stopping-http2").await;
    let mut stream = TcpStream::connect(running.http).await.expect("accepted");
    ask_to_stop(&running).await;
    stream.write_all(&ping_of_http2()).await.expect("written");
    let payload = frame_of(&mut stream, HEADERS).await;
    // `:status: 204`, of the static table.
    assert_eq!(payload.first(), Some(&0x89), "{payload:x?}");
    drop(stream);
    assert!(ended(running).await < GRACE);
}

/// The frame says which requests may be sent again, so that nothing need be waited for.
#[tokio::test]
async fn a_kept_connection_of_http2_is_told_at_once() {
    let (running, _folder) = start("stopping-http2-kept").await;
    let mut stream = TcpStream::connect(running.http).await.expect("accepted");
    stream.write_all(&ping_of_http2()).await.expect("written");
    frame_of(&mut stream, HEADERS).await;
    let older = TcpStream::connect(running.http).await.expect("accepted");
    let older = answered(older).await;
    running.terminate();
    // One of HTTP/1 is kept for a while.
    tokio::select! {
        biased;
        _ = frame_of(&mut stream, GOAWAY) => {}
        _ = ask(older, b"") => panic!("told no sooner than one of HTTP/1"),
    }
    drop(stream);
    assert!(ended(running).await < GRACE);
}

/// A proxy may have sent a request on a connection of its pool just now, and must not send a `POST` again.
#[tokio::test]
async fn a_kept_connection_gets_one_more_answer() {
    let (running, folder) = start("stopping-kept").await;
    let plain = TcpStream::connect(running.http).await.expect("accepted");
    let secure = TcpStream::connect(running.https.expect("an https listener")).await;
    let secure = connector(&folder).connect(name(), secure.expect("accepted"));
    let (plain, secure) = (
        answered(plain).await,
        answered(secure.await.expect("TLS")).await,
    );
    stop_soon(&running);
    let post =
        b"POST /akprox/nothing HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\n\r\na=b";
    for (case, answer) in [
        ("plain", ask(plain, post).await),
        ("secure", ask(secure, post).await),
    ] {
        assert!(answer.starts_with("http/1.1 404"), "{case}: {answer}");
        assert!(
            answer.contains("\r\nconnection: close\r\n"),
            "{case}: {answer}"
        );
    }
    assert!(ended(running).await < GRACE);
}

/// Nobody else has the socket: a client that comes while kept connections are waited for would be refused.
#[tokio::test]
async fn a_client_that_comes_meanwhile_gets_its_answer() {
    let (running, _folder) = start("stopping-meanwhile").await;
    stop_soon(&running);
    let stream = TcpStream::connect(running.http).await.expect("accepted");
    let answer = ask(stream, PING).await;
    assert!(answer.starts_with("http/1.1 204"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(ended(running).await < GRACE);
}

#[tokio::test]
async fn a_process_that_is_asked_twice_waits_for_nobody() {
    let (running, _folder) = start("stopping-twice").await;
    let silent = TcpStream::connect(running.http).await.expect("accepted");
    ask_to_stop(&running).await;
    running.terminate();
    let took = ended(running).await;
    assert!(took < NO_FIRST_REQUEST, "{took:?}");
    drop(silent);
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_the_process() {
    let (running, _folder) = start("stopping-silent").await;
    let https = running.https.expect("an https listener");
    let mut silent = Vec::new();
    for address in [running.http, https, running.metrics] {
        silent.push(TcpStream::connect(address).await.expect("accepted"));
    }
    ask_to_stop(&running).await;
    assert!(ended(running).await < GRACE);
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_had_its_answer_does_not_keep_the_process() {
    let (running, _folder) = start("stopping-idle").await;
    let stream = TcpStream::connect(running.http).await.expect("accepted");
    let stream = answered(stream).await;
    sleep(A_WHILE).await;
    ask_to_stop(&running).await;
    let took = ended(running).await;
    assert!(took < NO_FIRST_REQUEST, "{took:?}");
    drop(stream);
}

/// A whole request is waited for, and not the rest of one.
#[tokio::test]
async fn a_client_that_sends_one_byte_does_not_keep_the_process() {
    let (running, _folder) = start("stopping-one-byte").await;
    let https = running.https.expect("an https listener");
    let mut plain = TcpStream::connect(running.http).await.expect("accepted");
    let mut secure = TcpStream::connect(https).await.expect("accepted");
    ask_to_stop(&running).await;
    sleep(Duration::from_secs(4)).await;
    plain.write_all(b"G").await.expect("written");
    secure.write_all(&[0x16]).await.expect("written");
    let took = ended(running).await;
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// `accept(2)` fails at once, again and again, while a connection waits.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_without_descriptors_stops() {
    let (running, _folder) = start("stopping-descriptors").await;
    let id = running.child.id().to_string();
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &id, "--nofile=1:1"])
        .status();
    assert!(limited.expect("prlimit of util-linux").success());
    let waiting = TcpStream::connect(running.http).await.expect("queued");
    running.lines.await_line(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|text| text.starts_with("connections cannot be accepted"))
    });
    ask_to_stop(&running).await;
    assert!(ended(running).await < GRACE);
    drop(waiting);
}

/// There is always one more in the queue.
#[tokio::test]
async fn clients_that_go_on_connecting_do_not_keep_the_process() {
    let (running, _folder) = start("stopping-flood").await;
    let address = running.http;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                // Until the socket is gone.
                while TcpStream::connect(address).await.is_ok() {}
            })
        })
        .collect();
    ask_to_stop(&running).await;
    assert!(ended(running).await < GRACE);
    for client in clients {
        client.abort();
    }
}

/// A proxy passes a body on as it comes from its own client: after the headers, and where nothing here reads
/// it, maybe after the answer.
#[tokio::test]
async fn a_body_that_comes_later_and_is_not_read_costs_no_connection() {
    let (running, _folder) = start("unread").await;
    let mut stream = TcpStream::connect(running.http).await.expect("accepted");
    stream.set_nodelay(true).expect("set");
    let head =
        b"POST /akprox/nothing HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 3\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(head).await.expect("written");
        sleep(Duration::from_millis(20)).await;
        stream.write_all(b"a=b").await.expect("written");
        let mut answer = [0; 4096];
        let read = timeout(LIMIT, stream.read(&mut answer)).await;
        let size = read.expect("an answer").expect("no reset");
        let answer = String::from_utf8_lossy(&answer[..size]).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 404"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    // One that never comes is not waited for, and the proxy is told to leave the connection.
    let answer = timeout(Duration::from_secs(5), ask(stream, head))
        .await
        .expect("an answer");
    assert!(answer.starts_with("http/1.1 404"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}
