//! Answers in the shape of each provider's, read with the settings that its users write.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::config::Config;
use gatepost_oidc::{HttpClient, HttpError, Provider, ProviderSettings, SignInError, SignedIn};
use http::{Request, Response};
use openidconnect::{AuthorizationCode, Nonce, PkceCodeVerifier, RedirectUrl};
use serde_json::{Map, Value, json};

use crate::provider::{CLIENT_ID, rsa_key, rsa_signature};
use crate::world::{clock, now};

mod page;

const NONCE: &str = "the nonce";

/// A provider in memory: bodies by URL, and which URLs were asked with which credentials.
#[derive(Debug, Default)]
struct InMemory {
    bodies: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<(String, Option<String>)>>,
}

#[async_trait::async_trait]
impl HttpClient for InMemory {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let url = request.uri().to_string();
        let credentials = request.headers().get("authorization");
        let credentials = credentials.map(|value| value.to_str().expect("text").to_owned());
        let mut asked = self.asked.lock().expect("no panic");
        asked.push((url.clone(), credentials));
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
    let now = now();
    let mut claims = json!({
        "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": NONCE,
    });
    let own = members(&file["idToken"]);
    claims.as_object_mut().expect("an object").extend(own);
    signed("JWT", &claims)
}

/// Returns a token of this type that the provider has signed.
fn signed(typ: &str, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = json!({"alg": "RS256", "kid": "key-1", "typ": typ});
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = rsa_signature(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn provider(name: &str, file: &Value) -> (Arc<Provider>, Arc<InMemory>) {
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
    let mut bodies = HashMap::from([
        (document, discovery.clone()),
        (url("jwks_uri"), json!({"keys": [encryption, key]})),
        (url("token_endpoint"), tokens),
        (url("userinfo_endpoint"), file["userinfo"].clone()),
    ]);
    bodies.extend(members(&file["further"]));
    let client = Arc::new(InMemory {
        bodies: Mutex::new(bodies),
        asked: Mutex::default(),
    });
    let provider = Provider::new(settings, Arc::clone(&client) as _, clock());
    provider.discover().await.expect(name);
    (provider, client)
}

async fn sign_in(provider: &Provider) -> Result<SignedIn, SignInError> {
    let redirect_uri = RedirectUrl::new("https://wiki.example.com/akprox/callback".into());
    let code = AuthorizationCode::new("code".into());
    let verifier = PkceCodeVerifier::new("v".repeat(43));
    let redirect_uri = redirect_uri.expect("a URL");
    let nonce = Nonce::new(NONCE.into());
    provider
        .finish(code, nonce, verifier, redirect_uri, &[])
        .await
}

#[tokio::test]
async fn users_of_every_provider_sign_in() {
    let files = files();
    assert!(files.len() >= 14, "{}", files.len());
    for (name, file) in &files {
        let (provider, _) = provider(name, file).await;
        let signed_in = sign_in(&provider).await.expect(name);
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

const GRAPH: &str = "https://graph.microsoft.com/v1.0/me/transitiveMemberOf?$select=id&$top=999";

/// The user whom Entra ID gives no groups, with these changes to the file.
async fn with_overage(change: impl Fn(&mut Value)) -> (Arc<Provider>, Arc<InMemory>) {
    let files = files();
    let file = files.iter().find(|(name, _)| name == "entra-overage");
    let mut file = file.expect("the file").1.clone();
    change(&mut file);
    provider("entra-overage", &file).await
}

#[tokio::test]
async fn groups_are_asked_for_only_where_the_operator_says() {
    // A token cannot choose who sees the user's access token.
    let elsewhere = |file: &mut Value| {
        let source = json!({"src1": {"endpoint": "https://evil.example/groups"}});
        file["idToken"]["_claim_sources"] = source;
    };
    let (provider, client) = with_overage(elsewhere).await;
    let identity = sign_in(&provider).await.expect("signed in").identity;
    assert_eq!(identity.groups.len(), 3);
    let asked = client.asked.lock().expect("no panic").clone();
    let with_token = |(url, credentials): &&(String, Option<String>)| {
        credentials.as_deref() == Some("Bearer eyJ.made.up") && !url.contains("userinfo")
    };
    let with_token: Vec<_> = asked.iter().filter(with_token).collect();
    assert_eq!(with_token.len(), 2, "{with_token:?}");
    let at_graph = |(url, _): &(String, _)| url.starts_with("https://graph.microsoft.com/v1.0/");
    assert!(with_token.iter().copied().all(at_graph));
    assert!(
        !asked.iter().any(|(url, _)| url.contains("evil")),
        "{asked:?}"
    );

    let unset = |file: &mut Value| {
        let settings = file["settings"].as_object_mut().expect("settings");
        settings.remove("graphUrl");
    };
    let (provider, client) = with_overage(unset).await;
    let identity = sign_in(&provider).await.expect("signed in").identity;
    assert_eq!(identity.groups, ["Wiki.Editor"]);
    let asked = client.asked.lock().expect("no panic").clone();
    assert!(
        !asked.iter().any(|(url, _)| url.contains("/v1.0/me")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_user_whose_groups_cannot_be_had_is_not_signed_in_without_them() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("no answer", |file| file["further"] = json!({})),
        ("no list", |file| {
            file["further"][GRAPH] = json!({"value": {}})
        }),
        ("a page elsewhere", |file| {
            file["further"][GRAPH]["@odata.nextLink"] = json!("https://evil.example/v1.0/me");
        }),
        ("pages without end", |file| {
            file["further"][GRAPH]["@odata.nextLink"] = json!(GRAPH);
        }),
    ];
    for (case, change) in changes {
        let (provider, client) = with_overage(change).await;
        let refused = sign_in(&provider).await;
        let error = refused.map(|signed_in| signed_in.identity.groups);
        let error = error.expect_err(case).to_string();
        assert!(error.contains("Microsoft Graph"), "{case}: {error}");
        assert!(!error.contains("eyJ"), "{case}: {error}");
        let asked = client.asked.lock().expect("no panic").len();
        assert!(asked < 30, "{case}: {asked}");
    }
}

#[tokio::test]
async fn a_renewal_keeps_the_groups_where_they_cannot_be_had() {
    let (provider, client) = with_overage(|_| ()).await;
    let known = sign_in(&provider).await.expect("signed in").identity;
    let token = gatepost_base::Secret::new("0.made-up".to_owned());
    let renewed = provider.refresh(&token, &known, &[]).await;
    assert_eq!(renewed.expect("renewed").identity.groups, known.groups);
    // A user who has left a group.
    let left = json!({"value": [{"id": "00000000-0000-0000-0000-0000000000b2"}]});
    let at_graph = |body| {
        let mut bodies = client.bodies.lock().expect("no panic");
        bodies.insert(GRAPH.to_owned(), body)
    };
    at_graph(left);
    let renewed = provider.refresh(&token, &known, &[]).await;
    let fewer = renewed.expect("renewed").identity;
    let expected = ["Wiki.Editor", "00000000-0000-0000-0000-0000000000b2"];
    assert_eq!(fewer.groups, expected);
    at_graph(json!({"error": {"code": "made-up"}}));
    let renewed = provider.refresh(&token, &fewer, &[]).await;
    assert_eq!(renewed.expect("renewed").identity.groups, expected);
}
