//! The WebSocket by which authentik tells an outpost that something changed, and by which it knows
//! that the outpost lives.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_ACCEPT;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::api::Api;
use super::log_limit::LogLimit;

/// How often the outpost says that it lives; authentik gives it up after one and a half times that.
const HELLO_EVERY: Duration = Duration::from_secs(10);

/// After how long without a word the connection counts as lost. authentik answers every hello.
const SILENCE: Duration = Duration::from_secs(35);

/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// The longest message that is read, in bytes. Those that there are have some hundred.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Something for the outpost to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Ask for what changed, now: the connection is new, so something may have been missed.
    Update,
    /// Ask for what changed, as all replicas are told to.
    TriggerUpdate,
    /// A session at authentik has ended.
    SessionEnd(String),
}

/// What a message asks for.
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

/// Keeps a connection for the outpost of that id, for as long as somebody wants its events.
pub(super) async fn keep(
    api: Arc<Api>,
    mut outpost_id: watch::Receiver<Option<String>>,
    events: mpsc::Sender<Event>,
) {
    let Some(process) = random_uuid() else {
        tracing::error!("the operating system has no randomness: authentik is only polled");
        return;
    };
    let mut pause = FIRST_PAUSE;
    let mut failures = LogLimit::default();
    while !events.is_closed() {
        let id = match outpost_id.wait_for(Option::is_some).await {
            Ok(id) => id.clone().unwrap_or_default(),
            Err(_) => return,
        };
        let connected = Instant::now();
        let lost = tokio::select! {
            lost = converse(&api, &id, &process, &events) => lost,
            changed = outpost_id.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        // One that held was a good one, so the next attempt starts over.
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

/// Connects, and passes on what is said until the connection is lost.
async fn converse(
    api: &Api,
    outpost_id: &str,
    process: &str,
    events: &mpsc::Sender<Event>,
) -> SocketError {
    match connect(api, outpost_id, process).await {
        Ok(mut socket) => {
            tracing::info!("connected to authentik's WebSocket");
            match listen(&mut socket, process, events).await {
                Ok(()) => SocketError::Closed,
                Err(error) => error,
            }
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

async fn listen(
    socket: &mut WebSocketStream<reqwest::Upgraded>,
    process: &str,
    events: &mpsc::Sender<Event>,
) -> Result<(), SocketError> {
    let mut hellos = tokio::time::interval(HELLO_EVERY);
    let mut heard = Instant::now();
    // Whatever changed while there was no connection.
    if events.send(Event::Update).await.is_err() {
        return Ok(());
    }
    loop {
        let message = tokio::select! {
            _ = hellos.tick() => {
                socket.send(Message::text(hello(process))).await?;
                continue;
            }
            () = tokio::time::sleep_until(heard + SILENCE) => return Err(SocketError::Silent),
            message = socket.next() => message.ok_or(SocketError::Closed)??,
        };
        heard = Instant::now();
        let event = match &message {
            Message::Text(text) => event(text),
            // Pings are answered by the library.
            _ => None,
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return Ok(());
        }
    }
}

/// What a message asks for; what is not understood asks for nothing.
fn event(text: &str) -> Option<Event> {
    let Instruction { instruction, args } = serde_json::from_str(text).ok()?;
    let session = || Some(args.get("session_id")?.as_str()?.to_owned());
    match instruction {
        TRIGGER_UPDATE => Some(Event::TriggerUpdate),
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

/// The name of this machine or container, as far as it says.
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

/// A random UUID (RFC 9562 §5.4).
fn random_uuid() -> Option<String> {
    let random = getrandom::u64().ok()?;
    let more = getrandom::u64().ok()?;
    Some(format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        random >> 32,
        random >> 16 & 0xffff,
        random & 0x0fff,
        0x8000 | (more >> 48 & 0x3fff),
        more & 0xffff_ffff_ffff,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        for (text, expected) in [
            (r#"{"instruction":0,"args":{}}"#, None),
            (r#"{"instruction":2,"args":{}}"#, Some(Event::TriggerUpdate)),
            (r#"{"instruction":2}"#, Some(Event::TriggerUpdate)),
            (
                r#"{"instruction":3,"args":{"type":"x","sub_type":"logout","session_id":"s"}}"#,
                Some(Event::SessionEnd("s".to_owned())),
            ),
            (
                r#"{"instruction":3,"args":{"sub_type":"other","session_id":"s"}}"#,
                None,
            ),
            (
                r#"{"instruction":4,"args":{"type":"x","session_id":"s"}}"#,
                Some(Event::SessionEnd("s".to_owned())),
            ),
            (r#"{"instruction":4,"args":{}}"#, None),
            (r#"{"instruction":9}"#, None),
            ("not json", None),
        ] {
            assert_eq!(event(text), expected, "{text}");
        }
    }

    #[test]
    fn a_uuid_has_the_form_of_one() {
        let uuid = random_uuid().expect("randomness");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}
