//! Answers in the shape of each provider's, read with the settings that its users write.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::config::Config;
use gatepost_oidc::{HttpClient, HttpError, Provider, ProviderSettings};
use http::{Request, Response};
use openidconnect::{AuthorizationCode, Nonce, PkceCodeVerifier, RedirectUrl};
use serde_json::{Map, Value, json};

use crate::provider::{CLIENT_ID, rsa_key, rsa_signature};

const NONCE: &str = "the nonce";

/// A provider in memory: bodies by URL.
#[derive(Debug, Default)]
struct InMemory {
    bodies: Mutex<HashMap<String, Value>>,
}

#[async_trait::async_trait]
impl HttpClient for InMemory {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let url = request.uri().to_string();
        let bodies = self.bodies.lock().expect("no panic");
        let body = bodies.get(&url).ok_or_else(|| HttpError::new(url))?;
        Ok(Response::new(body.to_string().into_bytes()))
    }
}

/// The files of `testdata/providers`.
fn files() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/providers");
    let mut files: Vec<(String, Value)> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|own| own == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a text");
            let name = path.file_stem().expect("a name").to_string_lossy();
            (
                name.into_owned(),
                serde_json::from_str(&text).expect("JSON"),
            )
        })
        .collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files
}

/// The settings as the configuration's reader makes them.
fn settings(name: &str, keys: &Value) -> ProviderSettings {
    let mut provider = keys.clone();
    provider["name"] = json!(name);
    provider["clientId"] = json!(CLIENT_ID);
    provider["clientSecret"] = json!("secret");
    let config = json!({
        "keys": [crate::world::KEY_A],
        "providers": [provider],
        "applications": [{"name": "wiki", "externalUrl": "https://wiki.example.com"}],
    });
    let config = Config::parse(&config.to_string(), []).expect(name);
    config.providers[0].clone()
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Returns the ID token of a file, with the claims that differ at every sign-in.
fn id_token(file: &Value) -> String {
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({
        "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": NONCE,
    });
    let own = members(&file["idToken"]);
    claims.as_object_mut().expect("an object").extend(own);
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = json!({"alg": "RS256", "kid": "key-1"});
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = rsa_signature(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn provider(name: &str, file: &Value) -> Arc<Provider> {
    let settings = settings(name, &file["settings"]);
    let discovery = &file["discovery"];
    let document = match &settings.discovery_url {
        Some(url) => url.to_string(),
        None => {
            let issuer = settings.issuer.as_str().trim_end_matches('/');
            format!("{issuer}/.well-known/openid-configuration")
        }
    };
    let url = |endpoint: &str| discovery[endpoint].as_str().unwrap_or_default().to_owned();
    let mut tokens = file["tokenResponse"].clone();
    tokens["id_token"] = json!(id_token(file));
    let mut key = rsa_key();
    key["kid"] = json!("key-1");
    let encryption = json!({"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "e"});
    let bodies = HashMap::from([
        (document, discovery.clone()),
        (url("jwks_uri"), json!({"keys": [encryption, key]})),
        (url("token_endpoint"), tokens),
        (url("userinfo_endpoint"), file["userinfo"].clone()),
    ]);
    let client = InMemory {
        bodies: Mutex::new(bodies),
    };
    let provider = Provider::new(settings, Arc::new(client));
    provider.discover().await.expect(name);
    provider
}

#[tokio::test]
async fn users_of_every_provider_sign_in() {
    let files = files();
    assert!(files.len() >= 14, "{}", files.len());
    for (name, file) in &files {
        let provider = provider(name, file).await;
        let redirect_uri = RedirectUrl::new("https://wiki.example.com/akprox/callback".into());
        let signed_in = provider
            .finish(
                AuthorizationCode::new("code".into()),
                Nonce::new(NONCE.into()),
                PkceCodeVerifier::new("v".repeat(43)),
                redirect_uri.expect("a URL"),
                &[],
            )
            .await
            .expect(name);
        let identity = signed_in.identity;
        let url = provider.sign_out_url(None, "https://wiki.example.com/");
        let found = json!({
            "username": identity.preferred_username,
            "email": identity.email,
            "emailVerified": identity.email_verified,
            "name": identity.name,
            "groups": identity.groups,
            "signsOut": url.is_some(),
        });
        assert_eq!(found, file["expect"], "{name}");
        assert_eq!(identity.subject, file["idToken"]["sub"], "{name}");
        assert_eq!(identity.issuer, file["settings"]["issuer"], "{name}");
    }
}
