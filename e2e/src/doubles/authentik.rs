//! A double of authentik: as much of its API and its WebSocket as an outpost speaks to.
//!
//! Its responses are the files of `testdata/authentik/api/`, which a test compares with the models
//! of authentik's own client. The provider of `testdata/provider/` signs users in.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::body::{Body, to_bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use url::Url;

use super::server::{Server, listen_at};

mod compose;
mod site;

/// The token that the compose file has.
pub const TOKEN: &str = "token-generated-by-authentik";

/// The user that it knows besides those of the provider, with an app password and a token.
pub const ROBOT: (&str, &str, &str) = ("robot", "app-password", "opaque-token-of-the-robot");

/// How many entries a page has, so that a second provider takes a second page.
const PAGE_SIZE: usize = 1;

/// The longest body of a request that is handed on.
const MAX_BODY_BYTES: usize = 1 << 20;

/// authentik, until it is stopped or dropped.
#[derive(Debug)]
pub struct Authentik {
    port: u16,
    /// Where it listens.
    address: Mutex<Ipv4Addr>,
    shared: Arc<Shared>,
    server: Mutex<Option<Server>>,
}

#[derive(Debug)]
struct Shared {
    outpost: Value,
    /// The port of the provider, which takes the place of the rest of authentik.
    provider: u16,
    said: Mutex<Said>,
    messages: broadcast::Sender<String>,
}

/// What changes while it runs.
#[derive(Debug, Default)]
struct Said {
    providers: Vec<Value>,
    hellos: Vec<Value>,
    asked: usize,
    credentials_asked: usize,
    robot: Value,
    forwarded: Vec<String>,
}

impl Shared {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let expected = format!("Bearer {TOKEN}");
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == expected.as_bytes())
    }
}

impl Authentik {
    /// Listens on a port of 127.0.0.1 and knows these providers, `ProxyOutpostConfig`s of the API's
    /// schema. Other requests go to the OpenID provider on the port `provider`.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn start(port: u16, provider: u16, outpost: Value, providers: Vec<Value>) -> Result<Self> {
        let shared = Arc::new(Shared {
            outpost,
            provider,
            said: Mutex::new(Said {
                providers,
                ..Said::default()
            }),
            messages: broadcast::channel(16).0,
        });
        let authentik = Self {
            port,
            address: Mutex::new(Ipv4Addr::LOCALHOST),
            shared,
            server: Mutex::default(),
        };
        authentik.resume()?;
        Ok(authentik)
    }

    /// Returns its address.
    ///
    /// # Errors
    ///
    /// Never: the address is one.
    pub fn url(&self) -> Result<Url> {
        Ok(Url::parse(&format!("http://127.0.0.1:{}", self.port))?)
    }

    /// Lets containers reach it too, at each address of this machine.
    ///
    /// # Errors
    ///
    /// When the port is taken there.
    pub fn open_to_containers(&self) -> Result<()> {
        self.stop();
        *self.address() = Ipv4Addr::UNSPECIFIED;
        self.resume()
    }

    /// Stops answering, and cuts every connection.
    pub fn stop(&self) {
        drop(self.server().take());
    }

    /// Answers again.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn resume(&self) -> Result<()> {
        let router = Router::new()
            .route("/api/v3/outposts/instances/", get(instances))
            .route("/api/v3/outposts/proxy/", get(proxy))
            .route("/application/o/token/", post(token))
            .route("/application/o/introspect/", post(introspect))
            .route("/ws/outpost/{outpost}/", any(socket))
            .fallback(forward)
            .with_state(Arc::clone(&self.shared));
        let at = (*self.address(), self.port);
        *self.server() = Some(Server::start("authentik", || listen_at(at), router)?);
        Ok(())
    }

    /// Adds a provider, and notifies outposts of a change.
    pub fn add(&self, provider: Value) {
        self.shared.said().providers.push(provider);
        self.notify(&trigger_update());
    }

    /// Lays changes over the first provider, and notifies no outpost.
    pub fn change_silently(&self, changes: &Value) {
        if let Some(provider) = self.shared.said().providers.first_mut() {
            crate::settings::merge(provider, changes);
        }
    }

    /// Notifies outposts that this session has ended.
    pub fn end_session(&self, sid: &str) {
        self.notify(&session_end(sid));
    }

    /// Returns the hellos of outposts so far.
    pub fn hellos(&self) -> Vec<Value> {
        self.shared.said().hellos.clone()
    }

    /// Returns how often the providers were requested.
    pub fn asked(&self) -> usize {
        self.shared.said().asked
    }

    /// Returns how often credentials were checked.
    pub fn credentials_asked(&self) -> usize {
        self.shared.said().credentials_asked
    }

    /// Says this of the robot when it is asked about its token.
    pub fn knows_robot(&self, claims: Value) {
        self.shared.said().robot = claims;
    }

    /// Returns the paths of requests outside the API, which were passed to the provider.
    pub fn forwarded(&self) -> Vec<String> {
        self.shared.said().forwarded.clone()
    }

    fn notify(&self, message: &Value) {
        // It is no error if no outpost is connected: authentik would not notice either.
        let _ = self.shared.messages.send(message.to_string());
    }

    fn address(&self) -> MutexGuard<'_, Ipv4Addr> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the message that acknowledges a hello.
pub fn ack() -> Value {
    json!({ "instruction": 0, "args": {} })
}

/// Returns the message that something changed.
pub fn trigger_update() -> Value {
    json!({ "instruction": 2, "args": {} })
}

/// Returns the message that a session has ended.
pub fn session_end(sid: &str) -> Value {
    json!({ "instruction": 4, "args": { "type": "event.session.end", "session_id": sid } })
}

type Api = State<Arc<Shared>>;

async fn instances(State(shared): Api, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    if !shared.is_allowed(&headers) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(Json(page(std::slice::from_ref(&shared.outpost), 1)))
}

async fn proxy(
    State(shared): Api,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    if !shared.is_allowed(&headers) {
        return Err(StatusCode::FORBIDDEN);
    }
    let number = query.get("page").and_then(|page| page.parse().ok());
    let mut said = shared.said();
    said.asked += 1;
    Ok(Json(page(&said.providers, number.unwrap_or(1))))
}

/// Issues a token for a user's name and app password. The request names the provider's client,
/// without its secret.
async fn token(
    State(shared): Api,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    shared.said().credentials_asked += 1;
    let (user, password, token) = ROBOT;
    let good = [
        ("grant_type", "client_credentials"),
        ("username", user),
        ("password", password),
    ];
    let holds = |(name, value): (&str, &str)| form.get(name).is_some_and(|own| own == value);
    if !good.into_iter().all(holds)
        || !form.contains_key("client_id")
        || form.contains_key("client_secret")
    {
        let refusal = json!({ "error": "invalid_grant" });
        return Err((StatusCode::BAD_REQUEST, Json(refusal)));
    }
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 300 });
    Ok(Json(answer))
}

/// Says of a token whose it is, to the provider with its secret.
async fn introspect(State(shared): Api, Form(form): Form<BTreeMap<String, String>>) -> Json<Value> {
    let mut said = shared.said();
    said.credentials_asked += 1;
    let known = form.get("token").is_some_and(|token| token == ROBOT.2);
    if !known || !form.contains_key("client_secret") {
        return Json(json!({ "active": false }));
    }
    let mut answer = said.robot.clone();
    crate::settings::merge(
        &mut answer,
        &json!({ "active": true, "sub": "robot-uid", "aud": form.get("client_id") }),
    );
    Json(answer)
}

/// Returns one page of a list, counted from 1.
fn page(all: &[Value], number: usize) -> Value {
    let pages = all.len().div_ceil(PAGE_SIZE).max(1);
    let start = number.saturating_sub(1) * PAGE_SIZE;
    let results: Vec<&Value> = all.iter().skip(start).take(PAGE_SIZE).collect();
    json!({
        "pagination": {
            "next": if number < pages { number + 1 } else { 0 },
            "previous": number.saturating_sub(1),
            "count": all.len(),
            "current": number,
            "total_pages": pages,
            "start_index": start + 1,
            "end_index": start + results.len(),
        },
        "results": results,
        "autocomplete": {},
    })
}

async fn socket(
    State(shared): Api,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, StatusCode> {
    if !shared.is_allowed(&headers) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(upgrade.on_upgrade(move |socket| converse(socket, shared)))
}

/// Passes on the requests that an outpost sends to authentik as an OpenID provider at its internal
/// address.
async fn forward(State(shared): Api, request: Request) -> Result<Response, StatusCode> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    let url = format!("http://127.0.0.1:{}{target}", shared.provider);
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    let mut asked = reqwest::Client::new()
        .request(parts.method, url)
        .body(body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            asked = asked.header(name, value);
        }
    }
    let answer = asked.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    shared.said().forwarded.push(parts.uri.path().to_owned());
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    let body = answer.bytes().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    response
        .body(Body::from(body))
        .map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Acknowledges hellos, and passes messages on to outposts.
async fn converse(mut socket: WebSocket, shared: Arc<Shared>) {
    let mut messages = shared.messages.subscribe();
    loop {
        let answer = tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => message,
                Err(_) => return,
            },
            message = socket.recv() => {
                let Some(Ok(Message::Text(text))) = message else {
                    return;
                };
                let Ok(message) = serde_json::from_str::<Value>(&text) else {
                    return;
                };
                if message.get("instruction") != Some(&json!(1)) {
                    continue;
                }
                if let Some(args) = message.get("args") {
                    shared.said().hellos.push(args.clone());
                }
                ack().to_string()
            }
        };
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

/// Returns the only result of a file of `testdata/authentik/api/`.
pub(crate) fn only_result(text: &str) -> Result<Value> {
    let page: Value = serde_json::from_str(text)?;
    let result = page.pointer("/results/0").context("a page has a result")?;
    Ok(result.clone())
}
