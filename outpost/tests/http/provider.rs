//! A provider that signs what the test asks for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::rand::SystemRandom;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use url::Url;

pub(crate) use self::keys::{ecdsa_key, key, rsa_key, rsa_signature};
use self::keys::{ecdsa_key_pair, key_pair};

use crate::world::now;

mod keys;

pub(crate) const CLIENT_ID: &str = "gatepost";
pub(crate) const CLIENT_SECRET: &str = "client secret & more";

/// How an ID token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signature {
    /// With the provider's key.
    #[default]
    Genuine,
    /// With a key of this seed that the provider does not publish under its id.
    Forged(u8),
    /// With the client secret.
    ClientSecret,
    /// With the bytes of the public key as a secret.
    PublicKeyAsSecret,
    /// Not at all.
    Missing,
    /// With the provider's key, and then a bit of it is turned over.
    Damaged,
    /// With the key of [`rsa_key`], by RS256.
    Rsa,
    /// The same with a bit turned over.
    DamagedRsa,
    /// With the key of [`ecdsa_key`], by ES256.
    Ecdsa,
    /// The same with a bit turned over.
    DamagedEcdsa,
}

impl Signature {
    fn algorithm(self) -> &'static str {
        match self {
            Self::Genuine | Self::Forged(_) | Self::Damaged => "EdDSA",
            Self::ClientSecret | Self::PublicKeyAsSecret => "HS256",
            Self::Missing => "none",
            Self::Rsa | Self::DamagedRsa => "RS256",
            Self::Ecdsa | Self::DamagedEcdsa => "ES256",
        }
    }

    fn is_damaged(self) -> bool {
        matches!(self, Self::Damaged | Self::DamagedRsa | Self::DamagedEcdsa)
    }
}

/// The response to a request for the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeysAnswer {
    /// The keys.
    #[default]
    Keys,
    /// No JSON.
    Garbage,
    /// The beginning of a hundred megabytes.
    Huge,
    /// Headers, and then nothing for as long as the client waits.
    Never,
}

type Change = Box<dyn Fn(&mut Value) + Send>;

/// Status, headers and body of an answer.
pub(crate) type Raw = (u16, &'static [(&'static str, &'static str)], &'static str);

fn raw((status, headers, body): Raw) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body)).expect("a response")
}

/// The provider's behaviour.
pub(crate) struct Script {
    pub(crate) signature: Signature,
    pub(crate) header: Change,
    pub(crate) claims: Change,
    pub(crate) userinfo: Value,
    pub(crate) token_response: Change,
    pub(crate) token_status: StatusCode,
    /// What a refresh token is answered instead, with these headers.
    pub(crate) refresh_answer: Option<Raw>,
    /// What userinfo answers instead.
    pub(crate) userinfo_answer: Option<Raw>,
    pub(crate) discovery: Change,
    pub(crate) keys: Change,
    pub(crate) keys_answer: KeysAnswer,
    /// Whether the client shows its secret in the form, and not in a header.
    pub(crate) secret_in_form: bool,
    pub(crate) down: bool,
    /// The provider's response to an introspection request.
    pub(crate) introspection: Value,
    /// The forms of programs that asked for a token or about one.
    pub(crate) asked_by_programs: Vec<HashMap<String, String>>,
    /// The credentials of programs that are accepted from every client.
    pub(crate) program: (&'static str, &'static str),
    /// The claims of access tokens.
    pub(crate) access_token: Change,
    /// The seed of the key that is published, and its id.
    pub(crate) key: (u8, &'static str),
    pub(crate) key_fetches: u32,
    pub(crate) discoveries: u32,
    pub(crate) exchanges: u32,
    /// How often a session was renewed, and the only refresh token that is taken.
    pub(crate) refreshes: u32,
    pub(crate) refresh_token: String,
    /// Of which trace the last exchange was.
    pub(crate) traceparent: Option<String>,
    codes: HashMap<String, HashMap<String, String>>,
    gate: Option<Gate>,
}

/// Delays exchanges of codes until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Notify, Notify)>);

impl Gate {
    /// Waits until an exchange is held.
    pub(crate) async fn reached(&self) {
        self.0.0.notified().await;
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.0.1.notify_one();
    }
}

fn unchanged() -> Change {
    Box::new(|_| ())
}

/// A running provider. Its server ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    script: Arc<Mutex<Script>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        Self::serve(listener, issuer)
    }

    /// Starts a provider with this issuer, wherever it listens.
    pub(crate) fn serve(listener: tokio::net::TcpListener, issuer: String) -> Self {
        let script = Script {
            signature: Signature::Genuine,
            header: unchanged(),
            claims: unchanged(),
            userinfo: json!({"sub": "alice-id", "groups": ["staff", "admins"]}),
            token_response: unchanged(),
            token_status: StatusCode::OK,
            refresh_answer: None,
            userinfo_answer: None,
            discovery: unchanged(),
            keys: unchanged(),
            keys_answer: KeysAnswer::Keys,
            secret_in_form: false,
            down: false,
            introspection: json!({"active": false}),
            asked_by_programs: Vec::new(),
            program: ("robot", "r0b:t&pass"),
            access_token: unchanged(),
            key: (1, "key-1"),
            key_fetches: 0,
            discoveries: 0,
            exchanges: 0,
            refreshes: 0,
            refresh_token: "refresh-0".into(),
            traceparent: None,
            codes: HashMap::new(),
            gate: None,
        };
        let provider = Self {
            issuer,
            script: Arc::new(Mutex::new(script)),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/introspect", post(introspect))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panics while holding it")
    }

    /// Delays the next exchange of a code.
    pub(crate) fn hold_exchanges(&self) -> Gate {
        let gate = Gate::default();
        self.script().gate = Some(gate.clone());
        gate
    }

    /// Signs the user in, and returns the URL to which the provider sends the browser back.
    pub(crate) fn authorize(&self, url: &str) -> Url {
        let url = Url::parse(url).expect("a URL");
        assert_eq!(
            url.as_str().split('?').next(),
            Some(&*format!("{}/authorize", self.issuer))
        );
        let parameters: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let code = format!("code-{}", parameters["state"]);
        let mut back = Url::parse(&parameters["redirect_uri"]).expect("a redirect URI");
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &parameters["state"])
            .append_pair("iss", &self.issuer);
        self.script().codes.insert(code, parameters);
        back
    }
}

impl Provider {
    /// Has it issue no refresh tokens.
    pub(crate) fn issue_no_refresh_tokens(&self) {
        self.script().token_response = Box::new(|response| {
            let members = response.as_object_mut().expect("an object");
            members.remove("refresh_token");
        });
    }

    /// Returns a token of these parts, signed with the provider's key.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = key_pair(self.script().key.0).sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

impl Provider {
    /// Returns the claims of an access token for the outpost's client.
    pub(crate) fn access_claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.issuer,
            "sub": "robot-id",
            "aud": CLIENT_ID,
            "client_id": "robot",
            "scope": "api",
            "iat": now,
            "exp": now + 300,
            "groups": ["staff"],
        })
    }

    /// Returns an access token with these changes.
    pub(crate) fn access_token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.access_claims();
        change(&mut claims);
        let header = json!({"alg": "EdDSA", "kid": self.script().key.1, "typ": "at+jwt"});
        self.sign(&header, &claims)
    }
}

async fn introspect(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut script = provider.script();
    if script.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let authenticated = if script.secret_in_form {
        form.get("client_secret").map(String::as_str) == Some(CLIENT_SECRET)
    } else {
        shown(&headers).as_deref() == Some(&basic(CLIENT_ID, CLIENT_SECRET))
    };
    if !authenticated {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    script.asked_by_programs.push(form);
    Json(script.introspection.clone()).into_response()
}

/// Returns credentials for `Authorization`: both are form-encoded before they are joined (RFC 6749
/// §2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!("Basic {}", STANDARD.encode(pair))
}

fn shown(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?;
    value.to_str().ok().map(str::to_owned)
}

/// Issues a token for a program: its own, or a user's.
async fn program_token(
    provider: &Provider,
    headers: &HeaderMap,
    form: HashMap<String, String>,
) -> Response {
    let by_form = form.get("username").zip(form.get("password"));
    let by_form = by_form.map(|(user, password)| (user.clone(), password.clone()));
    let claims = {
        let mut script = provider.script();
        if script.down {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        script.asked_by_programs.push(form);
        let (user, password) = script.program;
        let by_header = shown(headers) == Some(basic(user, password));
        if !by_header && by_form != Some((user.to_owned(), password.to_owned())) {
            let error = if by_form.is_some() {
                "invalid_grant"
            } else {
                "invalid_client"
            };
            return (StatusCode::UNAUTHORIZED, Json(json!({"error": error}))).into_response();
        }
        drop(script);
        let mut claims = provider.access_claims();
        (provider.script().access_token)(&mut claims);
        claims
    };
    let token = provider.access_token(|own| *own = claims);
    Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 300})).into_response()
}

async fn discovery(State(provider): State<Provider>) -> Response {
    let mut script = provider.script();
    script.discoveries += 1;
    if script.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = &provider.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    });
    (script.discovery)(&mut document);
    Json(document).into_response()
}

async fn jwks(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    // As the API server of Kubernetes, which has its keys as this type alone.
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|accepted| accepted.to_str().ok());
    if !accepted.is_some_and(|accepted| accepted.contains("application/jwk-set+json")) {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let mut script = provider.script();
    script.key_fetches += 1;
    if script.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    match script.keys_answer {
        KeysAnswer::Keys => {
            let (seed, kid) = script.key;
            let mut keys = json!({"keys": [key(seed, kid)]});
            (script.keys)(&mut keys);
            Json(keys).into_response()
        }
        KeysAnswer::Garbage => "\u{7b}\u{7b} <html>".into_response(),
        KeysAnswer::Huge => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let chunks = (0..100 << 4).map(move |_| Ok::<_, Infallible>(chunk.clone()));
            let body = Body::from_stream(futures_util::stream::iter(chunks));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        KeysAnswer::Never => {
            let nothing = futures_util::stream::pending::<Result<Bytes, Infallible>>();
            let body = Body::from_stream(nothing);
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let gate = provider.script().gate.take();
    if let Some(gate) = gate {
        gate.0.0.notify_one();
        gate.0.1.notified().await;
    }
    let grant = form.get("grant_type").map(String::as_str);
    if matches!(grant, Some("client_credentials" | "password")) {
        return program_token(&provider, &headers, form).await;
    }
    let mut script = provider.script();
    script.exchanges += 1;
    let trace = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    script.traceparent = trace.map(str::to_owned);
    let refuse =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    if script.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let in_header = shown(&headers) == Some(basic(CLIENT_ID, CLIENT_SECRET));
    let in_form = form
        .get("client_secret")
        .is_some_and(|sent| sent == CLIENT_SECRET)
        && form.get("client_id").is_some_and(|sent| sent == CLIENT_ID);
    if (in_form, in_header) != (script.secret_in_form, !script.secret_in_form) {
        return refuse("invalid_client");
    }
    if form
        .get("grant_type")
        .is_some_and(|grant| grant == "refresh_token")
    {
        script.exchanges -= 1;
        script.refreshes += 1;
        if let Some(answer) = script.refresh_answer {
            return raw(answer);
        }
        if form.get("refresh_token") != Some(&script.refresh_token) {
            return refuse("invalid_grant");
        }
        // A token serves once.
        script.refresh_token = format!("refresh-{}", script.refreshes);
        if script.token_status != StatusCode::OK {
            return script.token_status.into_response();
        }
        return tokens(&script, &provider.issuer, None);
    }
    // As a firewall does with what looks like an attack to it.
    if form.get("code").is_some_and(|code| code.contains('<')) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if script.token_status != StatusCode::OK {
        return script.token_status.into_response();
    }
    let Some(parameters) = form.get("code").and_then(|code| script.codes.remove(code)) else {
        return refuse("invalid_grant");
    };
    let verifier = form.get("code_verifier").map_or("", String::as_str);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if parameters["code_challenge"] != challenge
        || parameters["code_challenge_method"] != "S256"
        || form.get("redirect_uri") != parameters.get("redirect_uri")
    {
        return refuse("invalid_grant");
    }
    tokens(&script, &provider.issuer, Some(&parameters["nonce"]))
}

fn tokens(script: &Script, issuer: &str, nonce: Option<&str>) -> Response {
    let mut response = json!({
        "access_token": "the-access-token",
        "refresh_token": script.refresh_token,
        "token_type": "Bearer",
        "expires_in": 300,
        "id_token": id_token(script, issuer, nonce),
    });
    (script.token_response)(&mut response);
    Json(response).into_response()
}

fn id_token(script: &Script, issuer: &str, nonce: Option<&str>) -> String {
    let now = now();
    let mut claims = json!({
        "iss": issuer,
        "sub": "alice-id",
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 300,
        "nonce": nonce,
        "preferred_username": "alice",
        "name": "Alice Liddell",
        "email": "alice@example.com",
        "email_verified": true,
    });
    (script.claims)(&mut claims);
    let algorithm = script.signature.algorithm();
    let mut header = json!({"alg": algorithm, "kid": script.key.1, "typ": "JWT"});
    (script.header)(&mut header);
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let mac = |key: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.chain_update(signed.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec()
    };
    let mut signature = match script.signature {
        Signature::Genuine | Signature::Damaged => key_pair(script.key.0)
            .sign(signed.as_bytes())
            .as_ref()
            .to_vec(),
        Signature::Forged(seed) => key_pair(seed).sign(signed.as_bytes()).as_ref().to_vec(),
        Signature::ClientSecret => mac(CLIENT_SECRET.as_bytes()),
        Signature::PublicKeyAsSecret => mac(key_pair(script.key.0).public_key().as_ref()),
        Signature::Missing => Vec::new(),
        Signature::Rsa | Signature::DamagedRsa => rsa_signature(&signed),
        Signature::Ecdsa | Signature::DamagedEcdsa => ecdsa_key_pair()
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signed")
            .as_ref()
            .to_vec(),
    };
    if script.signature.is_damaged() {
        signature[20] ^= 1;
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let script = provider.script();
    let authorized = headers
        .get(header::AUTHORIZATION)
        .is_some_and(|sent| *sent == "Bearer the-access-token");
    if script.down || !authorized {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(answer) = script.userinfo_answer {
        return raw(answer);
    }
    Json(script.userinfo.clone()).into_response()
}
