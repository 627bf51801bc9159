//! The WebSocket over which authentik notifies an outpost of changes, and over which the outpost
//! reports that it is alive.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_ACCEPT;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::api::Api;
use super::log_limit::LogLimit;

/// How often the outpost reports that it is alive; authentik considers it dead after one and a half
/// times that.
const HELLO_EVERY: Duration = Duration::from_secs(10);

/// After how long without a word the connection counts as lost. authentik answers every hello.
const SILENCE: Duration = Duration::from_secs(35);

/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// The longest message that is read, in bytes. Those that there are have some hundred.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);

/// A reason to ask for what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// Immediately: the connection is new, so the outpost may have missed a notice.
    Now,
    /// After a short random pause: authentik notifies all replicas at the same time.
    Soon,
}

/// The meaning of a message.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Update(Update),
    /// A session at authentik has ended.
    SessionEnd(String),
}

/// The receivers of authentik's messages. Neither makes the connection wait: if a hello were late
/// because of that, authentik would consider the outpost dead.
#[derive(Clone, Debug)]
pub(super) struct Listeners {
    /// One reason that waits is enough, so others may find no room.
    pub(super) updates: mpsc::Sender<Update>,
    /// The sessions that have ended, each of which counts.
    pub(super) ended: mpsc::UnboundedSender<String>,
}

impl Listeners {
    fn hear(&self, event: Event) {
        match event {
            Event::Update(update) => drop(self.updates.try_send(update)),
            Event::SessionEnd(session) => drop(self.ended.send(session)),
        }
    }

    fn are_gone(&self) -> bool {
        self.ended.is_closed()
    }
}

/// How often a connection is heard of.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    hello_every: Duration,
    silence: Duration,
}

const PULSE: Pulse = Pulse {
    hello_every: HELLO_EVERY,
    silence: SILENCE,
};

/// The instruction in a message.
#[derive(Deserialize)]
struct Instruction {
    instruction: u8,
    #[serde(default)]
    args: Value,
}

const HELLO: u8 = 1;
const TRIGGER_UPDATE: u8 = 2;
const PROVIDER_SPECIFIC: u8 = 3;
const SESSION_END: u8 = 4;

/// Why a connection was lost, or never made.
#[derive(Debug, thiserror::Error)]
enum SocketError {
    #[error("no randomness")]
    Randomness,
    #[error("not an address")]
    Address,
    #[error("no connection within {} s", CONNECT.as_secs())]
    Slow,
    #[error("cannot connect: {0}")]
    Connect(#[source] reqwest::Error),
    #[error("the answer is {0} instead of a WebSocket")]
    Status(StatusCode),
    #[error("the answer is no WebSocket's")]
    Handshake,
    #[error("{0}")]
    Protocol(#[from] tungstenite::Error),
    #[error("authentik closed the connection")]
    Closed,
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
}

/// Keeps a connection for the outpost of that id, for as long as there are listeners.
pub(super) async fn keep(
    api: Arc<Api>,
    mut outpost_id: watch::Receiver<Option<String>>,
    listeners: Listeners,
) {
    let mut pause = FIRST_PAUSE;
    let mut failures = LogLimit::default();
    let mut process = None;
    while !listeners.are_gone() {
        let id = match outpost_id.wait_for(Option::is_some).await {
            Ok(id) => id.clone().unwrap_or_default(),
            Err(_) => return,
        };
        let connected = Instant::now();
        let lost = tokio::select! {
            lost = converse(&api, &id, &mut process, &listeners) => lost,
            changed = outpost_id.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        // The connection was a good one, so the pauses start over.
        if connected.elapsed() > HELLO_EVERY {
            pause = FIRST_PAUSE;
        }
        if let Some(left_out) = failures.failed(Instant::now()) {
            tracing::warn!(
                error = %lost,
                left_out,
                "no WebSocket to authentik: changes are noticed by polling"
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Connects, and passes messages on until the connection is lost.
async fn converse(
    api: &Api,
    outpost_id: &str,
    process: &mut Option<String>,
    listeners: &Listeners,
) -> SocketError {
    // The same for as long as the outpost runs.
    if process.is_none() {
        *process = random_uuid();
    }
    let Some(process) = process else {
        return SocketError::Randomness;
    };
    let connected = tokio::time::timeout(CONNECT, connect(api, outpost_id, process));
    match connected.await.unwrap_or(Err(SocketError::Slow)) {
        Ok(mut socket) => {
            tracing::info!("connected to authentik's WebSocket");
            listen(&mut socket, process, listeners, PULSE).await
        }
        Err(error) => error,
    }
}

async fn connect(
    api: &Api,
    outpost_id: &str,
    process: &str,
) -> Result<WebSocketStream<reqwest::Upgraded>, SocketError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| SocketError::Randomness)?;
    let key = STANDARD.encode(nonce);
    let path = format!("ws/outpost/{outpost_id}/?instance_uuid={process}");
    let request = api.upgrade(&path, &key).ok_or(SocketError::Address)?;
    let response = request.send().await.map_err(SocketError::Connect)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(SocketError::Status(response.status()));
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
        return Err(SocketError::Handshake);
    }
    let upgraded = response.upgrade().await.map_err(SocketError::Connect)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

/// Passes messages on, and returns why the connection ended.
async fn listen<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    process: &str,
    listeners: &Listeners,
    pulse: Pulse,
) -> SocketError {
    let mut hellos = tokio::time::interval(pulse.hello_every);
    let mut heard = Instant::now();
    // There may have been changes while there was no connection.
    listeners.hear(Event::Update(Update::Now));
    while !listeners.are_gone() {
        let silent = heard + pulse.silence;
        let message = tokio::select! {
            _ = hellos.tick() => {
                // A connection that authentik no longer reads must not block the write for ever.
                let said = socket.send(Message::text(hello(process)));
                match tokio::time::timeout_at(silent, said).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return error.into(),
                    Err(_) => return SocketError::Silent,
                }
            }
            () = tokio::time::sleep_until(silent) => return SocketError::Silent,
            message = socket.next() => message,
        };
        heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => {
                if let Some(event) = event(&text) {
                    listeners.hear(event);
                }
            }
            // Pings are answered by the library.
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.into(),
            None => return SocketError::Closed,
        }
    }
    SocketError::Closed
}

/// Returns the event of a message; `None` if the message is unknown.
fn event(text: &str) -> Option<Event> {
    let Instruction { instruction, args } = serde_json::from_str(text).ok()?;
    let session = || Some(args.get("session_id")?.as_str()?.to_owned());
    match instruction {
        TRIGGER_UPDATE => Some(Event::Update(Update::Soon)),
        // The form before there was an instruction of its own.
        PROVIDER_SPECIFIC if args.get("sub_type").and_then(Value::as_str) == Some("logout") => {
            session().map(Event::SessionEnd)
        }
        SESSION_END => session().map(Event::SessionEnd),
        _ => None,
    }
}

fn hello(process: &str) -> String {
    json!({
        "instruction": HELLO,
        "args": {
            "version": env!("CARGO_PKG_VERSION"),
            "buildHash": "gatepost",
            "uuid": process,
            "hostname": hostname(),
        },
    })
    .to_string()
}

/// Returns the name of this machine or container, if it has one.
fn hostname() -> String {
    let from_file = |path| std::fs::read_to_string(path).ok();
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| from_file("/proc/sys/kernel/hostname"))
        .or_else(|| from_file("/etc/hostname"))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "gatepost".to_owned())
}

/// Returns a random UUID (RFC 9562 §5.4). `Uuid::new_v4` would panic without randomness.
fn random_uuid() -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
    Some(uuid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        for (text, expected) in [
            (r#"{"instruction":0,"args":{}}"#, None),
            (
                r#"{"instruction":2,"args":{}}"#,
                Some(Event::Update(Update::Soon)),
            ),
            (r#"{"instruction":2}"#, Some(Event::Update(Update::Soon))),
            (
                r#"{"instruction":3,"args":{"type":"event.provider.specific","sub_type":"logout","session_id":"s"}}"#,
                Some(Event::SessionEnd("s".to_owned())),
            ),
            (
                r#"{"instruction":3,"args":{"sub_type":"other","session_id":"s"}}"#,
                None,
            ),
            (
                r#"{"instruction":4,"args":{"type":"event.session.end","session_id":"s"}}"#,
                Some(Event::SessionEnd("s".to_owned())),
            ),
            (r#"{"instruction":4,"args":{}}"#, None),
            (r#"{"instruction":9}"#, None),
            ("not json", None),
        ] {
            assert_eq!(event(text), expected, "{text}");
        }
    }

    type Pipe = WebSocketStream<tokio::io::DuplexStream>;

    /// Returns both ends of a new connection.
    async fn ends() -> (Pipe, Pipe) {
        let (one, other) = tokio::io::duplex(4096);
        let server = WebSocketStream::from_raw_socket(one, Role::Server, None).await;
        let client = WebSocketStream::from_raw_socket(other, Role::Client, None).await;
        (server, client)
    }

    fn listeners() -> (
        Listeners,
        mpsc::Receiver<Update>,
        mpsc::UnboundedReceiver<String>,
    ) {
        let ((updates, updated), (ended, sessions)) = (mpsc::channel(1), mpsc::unbounded_channel());
        (Listeners { updates, ended }, updated, sessions)
    }

    const FAST: Pulse = Pulse {
        hello_every: Duration::from_millis(20),
        silence: Duration::from_millis(300),
    };

    #[tokio::test]
    async fn a_peer_that_says_nothing_any_more_is_noticed() {
        let (listeners, _updated, _sessions) = listeners();
        // One that reads, and one that does not.
        for reads in [true, false] {
            let (mut server, mut client) = ends().await;
            let _read = tokio::spawn(async move {
                while reads && server.next().await.is_some() {}
                tokio::time::sleep(Duration::from_secs(60)).await;
                drop(server);
            });
            let lost = listen(&mut client, "p", &listeners, FAST);
            let lost = tokio::time::timeout(Duration::from_secs(20), lost).await;
            assert!(matches!(lost, Ok(SocketError::Silent)), "{reads}: {lost:?}");
        }
    }

    #[tokio::test]
    async fn every_session_that_ends_is_heard_of_however_much_is_said() {
        let (mut server, mut client) = ends().await;
        let (listeners, mut updated, mut sessions) = listeners();
        let said = tokio::spawn(async move {
            for number in 0..500 {
                let args = json!({ "type": "event.session.end", "session_id": number.to_string() });
                for message in [
                    json!({ "instruction": 2, "args": {} }),
                    json!({ "instruction": 4, "args": args }),
                ] {
                    let message = Message::text(message.to_string());
                    server.send(message).await.expect("said");
                }
            }
            // Pings are answered.
            server.send(Message::Ping("x".into())).await.expect("said");
            loop {
                match server.next().await {
                    Some(Ok(Message::Pong(_))) => return,
                    Some(Ok(_)) => {}
                    other => panic!("no pong: {other:?}"),
                }
            }
        });
        // With the pulse of the program: neither end waits for a busy machine.
        let lost = listen(&mut client, "p", &listeners, PULSE).await;
        // Whatever the reason, the other end is not to wait for more.
        drop(client);
        said.await.expect("a pong came");
        assert!(matches!(
            lost,
            SocketError::Closed | SocketError::Protocol(_)
        ));
        assert_eq!(updated.recv().await, Some(Update::Now));
        let mut heard = Vec::new();
        while let Ok(session) = sessions.try_recv() {
            heard.push(session);
        }
        let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(heard, expected);
    }
}
