//! Row B9: connections that a provider closes in the moment in which they are used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::forward_auth::Asked;
use crate::provider::Provider;
use crate::world::{KEY_A, World, configuration, now};

const START: &str = "https://app.example.com/akprox/start";

/// A proxy in front of a provider that breaks connections.
#[derive(Clone, Default)]
struct Front {
    /// How many connections were closed on which a second request came.
    closed: Arc<AtomicU32>,
    /// How many fresh connections are still to be closed on which a request came.
    breaks: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
}

impl Front {
    async fn start() -> (Self, Provider) {
        let front = Self::default();
        let outside = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", outside.local_addr().expect("an address"));
        let upstream = inside.local_addr().expect("an address");
        let provider = Provider::serve(inside, issuer);
        let own = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = outside.accept().await {
                tokio::spawn(own.clone().serve(client, upstream));
            }
        });
        (front, provider)
    }

    /// Answers the first request of a connection, and closes it at the second without reading it:
    /// the client sees its connection reset.
    async fn serve(self, mut client: TcpStream, upstream: std::net::SocketAddr) {
        let Some(request) = read_message(&mut client).await else {
            return;
        };
        self.requests.fetch_add(1, Ordering::SeqCst);
        let take = |left: u32| left.checked_sub(1);
        if self
            .breaks
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
        {
            return;
        }
        let mut provider = TcpStream::connect(upstream).await.expect("a provider");
        provider.write_all(&request).await.expect("written");
        let answer = read_message(&mut provider).await.expect("an answer");
        client.write_all(&answer).await.expect("written");
        // Looked at and left where it is, so that closing resets the connection.
        if client.peek(&mut [0]).await.is_ok_and(|read| read > 0) {
            self.closed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Reads a message with its body, whose length the message declares.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let end = message.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
            if message.len() >= end + 4 + length {
                return Some(message);
            }
        }
        let mut more = [0; 4096];
        let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
        message.extend_from_slice(&more[..read]);
    }
}

/// Row B9: discovery, keys, code, userinfo, refresh and introspection each go over a connection
/// that is closed in that moment, and nothing is lost.
#[tokio::test]
async fn a_connection_that_is_closed_in_the_moment_of_its_use_loses_nothing() {
    let (front, provider) = Front::start().await;
    let more = "
session: {refreshAfter: 60s}
applications:
  - {name: app, externalUrl: 'https://app.example.com', machines: bearer,
     machineTokens: {introspect: 'true'}}
";
    let yaml = configuration(&provider, KEY_A, more);
    let world = World::configured(provider, &yaml);
    let closed = || front.closed.swap(0, Ordering::SeqCst);
    world.find_provider().await;
    assert_eq!(closed(), 1, "the keys, after discovery");
    let mut answer = world.provider.access_claims();
    answer["active"] = json!(true);
    answer["exp"] = json!(now() + 3_600);
    world.provider.script().introspection = answer;
    // Leaves a connection behind that is idle.
    let introspect = async |token: &str| {
        let asked = Asked::fetch("app.example.com", "/");
        let asked = asked.with("Authorization", &format!("Bearer {token}"));
        asked.ask(&world, "auth/traefik").await.expect(200);
    };
    introspect("one").await;
    closed();
    introspect("two").await;
    assert_eq!(closed(), 1, "introspection");

    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    // An unknown key id, so that keys are fetched once more, before userinfo.
    world.provider.script().key = (2, "key-2");
    introspect("three").await;
    closed();
    let reply = browser.load(callback.as_str()).await.expect(302);
    assert!(reply.sets_session());
    assert_eq!(closed(), 2, "the code, and userinfo after the keys");
    assert_eq!(world.provider.script().exchanges, 1, "a code is taken once");

    world.wait(11 * 60);
    introspect("four").await;
    closed();
    let reply = browser.load(START).await.expect(302);
    assert!(reply.sets_session());
    assert_eq!(closed(), 1, "the refresh");
    assert_eq!(
        world.provider.script().refreshes,
        1,
        "a token is taken once"
    );
}

/// Row B9: a connection is no longer kept idle than servers keep theirs.
#[tokio::test]
async fn a_connection_that_was_idle_is_not_used_again() {
    let (front, provider) = Front::start().await;
    let world = World::configured(provider.clone(), &configuration(&provider, KEY_A, ""));
    world.find_provider().await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    // gunicorn closes after two seconds, Node.js after five.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    front.closed.store(0, Ordering::SeqCst);
    front.requests.store(0, Ordering::SeqCst);
    world.provider.script().userinfo_answer = None;
    world.provider.script().claims = Box::new(|claims| claims["groups"] = json!([]));
    let reply = browser.load(callback.as_str()).await.expect(302);
    assert!(reply.sets_session());
    assert_eq!(front.closed.load(Ordering::SeqCst), 0);
    assert_eq!(front.requests.load(Ordering::SeqCst), 1, "on a fresh one");
}

/// Row B9: once more, and not for ever.
#[tokio::test]
async fn a_request_is_sent_once_more_and_not_again() {
    for (breaks, works) in [(1, true), (2, false)] {
        let (front, provider) = Front::start().await;
        let world = World::configured(provider.clone(), &configuration(&provider, KEY_A, ""));
        world.find_provider().await;
        let mut browser = world.browser();
        let callback = browser.begin(START).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        front.requests.store(0, Ordering::SeqCst);
        front.breaks.store(breaks, Ordering::SeqCst);
        let reply = browser.load(callback.as_str()).await;
        assert_eq!(reply.sets_session(), works, "{reply:?}");
        if !works {
            assert_eq!(reply.status.as_u16(), 503);
            assert_eq!(front.requests.load(Ordering::SeqCst), 2);
        }
    }
}
