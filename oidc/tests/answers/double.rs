//! A provider in memory that answers what a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatepost_base::Clock;
use gatepost_oidc::{HttpClient, HttpError, Provider, ProviderSettings, SignInError, SignedIn};
use openidconnect::{
    AuthorizationCode, ClientId, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeVerifier,
    RedirectUrl,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const CLIENT: &str = "gatepost";
pub(crate) const NONCE: &str = "the nonce";

/// The answers of a provider, by path, and the requests that it got.
#[derive(Debug, Default)]
pub(crate) struct Double {
    answers: Mutex<HashMap<String, (u16, Vec<u8>)>>,
    pub(crate) requests: Mutex<Vec<HttpRequest>>,
}

#[async_trait::async_trait]
impl HttpClient for Double {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answers = self.answers.lock().expect("no panic");
        let found = answers.get(request.uri().path()).cloned();
        self.requests.lock().expect("no panic").push(request);
        let (status, body) = found.unwrap_or((404, Vec::new()));
        let response = http::Response::builder().status(status);
        // No media type is relied on.
        let response = response.header("content-type", "text/plain").body(body);
        response.map_err(HttpError::new)
    }
}

impl Double {
    /// Creates a provider that follows the specifications and has Alice signed in.
    pub(crate) fn new() -> Arc<Self> {
        let double = Arc::new(Self::default());
        double.answer("/.well-known/openid-configuration", &discovery());
        double.answer("/keys", &json!({"keys": [public_key()]}));
        double.sign_in(&claims());
        double
    }

    pub(crate) fn answer(&self, path: &str, body: &Value) {
        self.answer_raw(path, 200, body.to_string().into_bytes());
    }

    pub(crate) fn answer_raw(&self, path: &str, status: u16, body: Vec<u8>) {
        let mut answers = self.answers.lock().expect("no panic");
        answers.insert(path.to_owned(), (status, body));
    }

    /// Has the token endpoint answer with an ID token of these claims.
    pub(crate) fn sign_in(&self, claims: &Value) {
        self.answer("/token", &token_response(&sign(&header(), claims)));
    }
}

pub(crate) fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "userinfo_endpoint": format!("{ISSUER}/userinfo"),
        "jwks_uri": format!("{ISSUER}/keys"),
        "end_session_endpoint": format!("{ISSUER}/logout"),
        "id_token_signing_alg_values_supported":
            ["EdDSA", "RS256", "ES256", "ES384", "ES512"],
    })
}

pub(crate) fn token_response(id_token: &str) -> Value {
    json!({
        "access_token": "access", "token_type": "Bearer", "refresh_token": "refresh",
        "id_token": id_token,
    })
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Returns the claims of an ID token in which nothing is missing, so that userinfo is not
/// requested.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice-id", "aud": CLIENT, "iat": now(), "exp": now() + 300,
        "nonce": NONCE, "preferred_username": "alice", "email": "alice@example.com",
        "email_verified": true, "groups": ["staff"],
    })
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key")
}

pub(crate) fn public_key() -> Value {
    let x = URL_SAFE_NO_PAD.encode(key().public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x})
}

pub(crate) fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"})
}

/// Returns the part of a JWT that is signed.
pub(crate) fn signed_part(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    sign_with(&key(), header, claims)
}

pub(crate) fn sign_with(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let signed = signed_part(header, claims);
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Makes a private key of a client: in PEM, and the pair.
pub(crate) fn client_key() -> (String, Ed25519KeyPair) {
    let random = ring::rand::SystemRandom::new();
    let der = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key");
    (pem, pair)
}

pub(crate) fn settings() -> ProviderSettings {
    let issuer = IssuerUrl::new(ISSUER.to_owned()).expect("a URL");
    ProviderSettings::new("main", issuer, ClientId::new(CLIENT.to_owned()))
}

/// Returns a provider with these settings that has not been discovered.
pub(crate) fn undiscovered(double: &Arc<Double>, settings: ProviderSettings) -> Arc<Provider> {
    let http = Arc::clone(double) as Arc<dyn HttpClient>;
    Provider::new(settings, http, Clock::system())
}

/// Returns a provider with these settings that has been discovered.
pub(crate) async fn discovered(double: &Arc<Double>, settings: ProviderSettings) -> Arc<Provider> {
    let provider = undiscovered(double, settings);
    provider.discover().await.expect("discovered");
    provider
}

/// Finishes a sign-in.
pub(crate) async fn finish(provider: &Provider) -> Result<SignedIn, SignInError> {
    let redirect_uri = RedirectUrl::new("https://app.example.com/callback".to_owned());
    provider
        .finish(
            AuthorizationCode::new("code".to_owned()),
            Nonce::new(NONCE.to_owned()),
            PkceCodeVerifier::new("v".repeat(43)),
            redirect_uri.expect("a URL"),
            &[],
        )
        .await
}
