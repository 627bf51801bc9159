//! In authentik's place, in process: a double of authentik's API lists the applications, and the
//! tests' provider takes the place of authentik as an OpenID provider.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost::config::Config;
use gatepost::sources::authentik::{Settings, ask};
use serde_json::{Value, json};

use crate::browser::Reply;
use crate::forward_auth::{Asked, signed_in};
use crate::program::client;
use crate::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use crate::world::World;

mod check;
mod credentials;
mod groups;
mod headers;
mod hosts;
mod image;
mod listeners;
mod loops;
mod paths;
mod renamed;
mod requests;
mod sign_out;
mod start;
mod targets;

const APP: &str = "app.example.com";

/// The paths that need no session.
const SKIPPED: &str = "/public/x";

/// Starts an outpost with `app`, which authentik's API describes with these changes.
async fn world(changes: Value) -> World {
    world_with(changes, &[]).await
}

/// Starts the same outpost with further variables.
async fn world_with(changes: Value, more: &[(&str, &str)]) -> World {
    let provider = Provider::start().await;
    provider.script().secret_in_form = true;
    let app = application(&provider, changes);
    world_of(provider, vec![app], more).await
}

/// Starts an outpost whose applications are these `ProxyOutpostConfig`s, with further variables.
async fn world_of(provider: Provider, applications: Vec<Value>, more: &[(&str, &str)]) -> World {
    let config = configuration(&provider, applications, more).await;
    let world = World::of(provider, &config);
    world.find_provider().await;
    world
}

async fn configuration(
    provider: &Provider,
    applications: Vec<Value>,
    more: &[(&str, &str)],
) -> Config {
    let host = api(provider, applications).await;
    let (config, problems) = ask(settings(&host, more)).await.expect("a configuration");
    assert_eq!(problems, Vec::<String>::new());
    config
}

/// Returns the settings of an outpost whose authentik is at `host`, with further variables.
fn settings(host: &str, more: &[(&str, &str)]) -> Settings {
    let variables = [
        ("AUTHENTIK_HOST", host),
        ("AUTHENTIK_TOKEN", "t0ken"),
        ("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "127.0.0.1/32"),
    ];
    let variables = variables.iter().chain(more);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = Settings::read(variables).expect("valid variables");
    settings.expect("authentik's variables")
}

/// Returns a `ProxyOutpostConfig` whose OpenID provider is `provider`, with these changes.
fn application(provider: &Provider, changes: Value) -> Value {
    let page = include_str!("../../../testdata/authentik/api/proxy.json");
    let page: Value = serde_json::from_str(page).expect("JSON");
    let mut application = page["results"][0].clone();
    let issuer = &provider.issuer;
    let own = json!({
        "external_host": format!("https://{APP}"),
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "assigned_application_slug": "app",
        "oidc_configuration": {
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "introspection_endpoint": format!("{issuer}/introspect"),
            "jwks_uri": format!("{issuer}/jwks"),
            "id_token_signing_alg_values_supported": ["EdDSA"],
        },
    });
    merge(&mut application, own);
    merge(&mut application, changes);
    application
}

/// Lays `changes` over `value`.
fn merge(value: &mut Value, changes: Value) {
    match (value, changes) {
        (Value::Object(own), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(own.entry(key).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change,
    }
}

/// Serves authentik's API, and returns its address.
async fn api(provider: &Provider, applications: Vec<Value>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    serve_api(listener, provider, applications);
    format!("http://{address}")
}

/// Serves authentik's API, and returns what it says.
fn serve_api(
    listener: tokio::net::TcpListener,
    provider: &Provider,
    applications: Vec<Value>,
) -> Arc<Mutex<Vec<Value>>> {
    let issuer = provider.issuer.clone();
    let applications = Arc::new(Mutex::new(applications));
    let router = Router::new()
        .route("/api/v3/outposts/instances/", get(instances))
        .route("/api/v3/outposts/proxy/", get(proxy))
        .with_state(Arc::clone(&applications))
        // authentik is the OpenID provider too, also at its internal address.
        .fallback(move |request| forward(issuer, request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    applications
}

async fn forward(issuer: String, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().expect("a path");
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let client = client().build().expect("a client");
    let mut asked = client.request(parts.method, format!("{issuer}{target}"));
    for name in [ACCEPT, CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            asked = asked.header(name, value);
        }
    }
    let answer = asked.body(body).send().await.expect("an answer");
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
        response = response.header(CONTENT_TYPE, kind);
    }
    let body = answer.bytes().await.expect("a body");
    response.body(Body::from(body)).expect("a response")
}

async fn instances() -> Json<Value> {
    let page = include_str!("../../../testdata/authentik/api/instances.json");
    Json(serde_json::from_str(page).expect("JSON"))
}

async fn proxy(State(applications): State<Arc<Mutex<Vec<Value>>>>) -> Json<Value> {
    let applications = applications
        .lock()
        .expect("no test panics while holding it");
    let page = json!({
        "pagination": {"next": 0, "count": applications.len()},
        "results": *applications,
    });
    Json(page)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn load(world: &World, path: &str, credentials: &str) -> Reply {
    let asked = Asked::load(APP, path).with("Authorization", credentials);
    asked.ask(world, "auth/traefik").await
}

async fn fetch(world: &World, path: &str, credentials: &str) -> Reply {
    let asked = Asked::fetch(APP, path).with("Authorization", credentials);
    asked.ask(world, "auth/traefik").await
}
