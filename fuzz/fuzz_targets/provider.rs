//! A provider's raw responses: every response is read or refused, and the values that are read
//! satisfy the guarantees of their types.
//!
//! The first line names the answer that is made up, the rest is that answer: an HTTP message where
//! it begins as one, else the body of a good one. `{issuer}` in it is the provider's, `{id}` a
//! valid ID token, and `claims` and `jwt` are the parts of an ID token.

#![no_main]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::config::Config;
use gatepost::provider_client::ProviderClient;
use gatepost_base::{Clock, Identity, Secret};
use gatepost_fuzz::now;
use gatepost_oidc::{
    AccessTokenSettings, AuthorizationOptions, NamedClaim, Proved, Provider, TokenRules,
    UnverifiedLogoutToken,
};
use libfuzzer_sys::fuzz_target;
use openidconnect::{AuthorizationCode, Nonce, PkceCodeVerifier, RedirectUrl};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NONCE: &str = "n";

/// A provider on loopback that answers as it is set to.
struct World {
    runtime: tokio::runtime::Runtime,
    issuer: String,
    /// Which response is made up, and its bytes.
    made_up: Arc<Mutex<(String, Vec<u8>)>>,
    provider: Arc<Provider>,
    tokens: AccessTokenSettings,
}

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let made_up = Arc::new(Mutex::new((String::new(), Vec::new())));
    let (own_issuer, own) = (issuer.clone(), Arc::clone(&made_up));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &own_issuer, &own);
        }
    });
    let config = format!(
        "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
store: {{kind: memory}}
providers:
  - {{name: main, issuer: '{issuer}', clientId: gatepost, clientSecret: s, nonce: ifPresent,
     pushedAuthorization: true, trustedAudiences: [project], emailClaim: 'emails',
     groupsClaim: [groups, realm_access.roles, 'https://example.com/groups'],
     groupsSeparator: ','}}
applications:
  - {{name: wiki, externalUrl: 'https://wiki.example.com', machines: bearer,
     machineTokens: {{introspect: 'true'}}}}
"
    );
    let config = Config::parse(&config, []).expect("a configuration");
    let settings = config.providers[0].clone();
    let client = ProviderClient::new(&settings).expect("a client");
    let provider = Provider::new(settings, Arc::new(client), Clock::new(now));
    World {
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime"),
        issuer,
        made_up,
        provider,
        tokens: config.applications[0]
            .machine_clients
            .clone()
            .expect("machine clients")
            .tokens,
    }
});

fn sign(header: &[u8], claims: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = KEY.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

const HEADER: &[u8] = br#"{"alg": "EdDSA", "kid": "k"}"#;

fn id_token(issuer: &str) -> String {
    let claims = json!({
        "iss": issuer, "sub": "alice", "aud": "gatepost", "iat": 1, "exp": 9_000_000_000_u64,
        "nonce": NONCE,
    });
    sign(HEADER, claims.to_string().as_bytes())
}

/// Returns the body of a good response.
fn body(endpoint: &str, issuer: &str, made_up: &(String, Vec<u8>)) -> Value {
    match endpoint {
        "discovery" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
            "introspection_endpoint": format!("{issuer}/introspection"),
            "pushed_authorization_request_endpoint": format!("{issuer}/par"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported":
                ["EdDSA", "RS256", "PS256", "ES256", "ES384", "PS512"],
        }),
        "keys" => {
            let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]})
        }
        "token" => {
            let (kind, text) = made_up;
            let id = match kind.as_str() {
                "claims" => sign(HEADER, text),
                "jwt" => {
                    let parts = text.splitn(3, |byte| *byte == b'\n');
                    let parts: Vec<String> = parts.map(|p| URL_SAFE_NO_PAD.encode(p)).collect();
                    parts.join(".")
                }
                _ => id_token(issuer),
            };
            json!({
                "access_token": "a", "token_type": "Bearer", "refresh_token": "r", "id_token": id,
            })
        }
        "userinfo" => json!({"sub": "alice", "groups": ["staff"]}),
        "par" => json!({"request_uri": "urn:x:1", "expires_in": 60}),
        _ => json!({"active": true, "sub": "robot", "client_id": "gatepost"}),
    }
}

/// Puts a text in the place of its name, once for each.
fn filled(text: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(name.len()).position(|part| part == name) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value);
        rest = &rest[at + name.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

fn answer(
    mut stream: TcpStream,
    issuer: &str,
    made_up: &Mutex<(String, Vec<u8>)>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut some = [0; 4096];
    // All of it, since closing with something unread would take the answer along.
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
            let length = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
            if request.len() >= end + 4 + length {
                break;
            }
        }
        match stream.read(&mut some)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&some[..read]),
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or(&[]);
    let line = String::from_utf8_lossy(line);
    let path = line.split(' ').nth(1).unwrap_or("");
    let endpoint = match path {
        "/.well-known/openid-configuration" => "discovery",
        path => path.trim_start_matches('/'),
    };
    let made_up = made_up.lock().expect("no panic").clone();
    let body = if made_up.0 == endpoint {
        let text = filled(&made_up.1, b"{id}", id_token(issuer).as_bytes());
        if text.starts_with(b"HTTP/") {
            return stream.write_all(&text);
        }
        text
    } else {
        body(endpoint, issuer, &made_up).to_string().into_bytes()
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

fuzz_target!(|data: &[u8]| {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let kind = String::from_utf8_lossy(&data[..at]).into_owned();
    let rest = &data[at + 1..];
    let World {
        runtime,
        issuer,
        made_up,
        provider,
        tokens,
    } = &*WORLD;
    let rest = filled(rest, b"{issuer}", issuer.as_bytes());
    let set = |kind: &str, rest: &[u8]| {
        *made_up.lock().expect("no panic") = (kind.to_owned(), rest.to_vec());
    };
    runtime.block_on(async {
        set("", b"");
        if !provider.is_available() {
            provider.discover().await.expect("a good provider");
        }
        set(&kind, &rest);
        let known = Identity {
            issuer: issuer.clone(),
            subject: "alice".into(),
            ..Identity::default()
        };
        match kind.as_str() {
            "discovery" | "keys" => {
                if let Ok(found) = provider.discover().await {
                    assert!(found.authorization_endpoint.starts_with("http"));
                    finish(provider).await;
                }
                set("", b"");
                provider.discover().await.expect("a good provider");
            }
            "token" | "userinfo" | "claims" | "jwt" => {
                finish(provider).await;
                let token = Secret::new("r".into());
                if let Ok(refreshed) = provider.refresh(&token, &known, &[]).await {
                    assert_eq!(refreshed.identity.subject, known.subject);
                }
            }
            "par" => {
                let redirect = RedirectUrl::new("https://wiki.example.com/callback".into());
                let options = AuthorizationOptions::default();
                let request = provider.authorize(redirect.expect("a URL"), options).await;
                if let Ok(request) = request {
                    let names: Vec<_> = request.url.query_pairs().map(|(name, _)| name).collect();
                    assert_eq!(names, ["client_id", "request_uri"]);
                    assert_eq!(request.url.path(), "/authorize");
                }
            }
            "introspection" => {
                let rules = TokenRules {
                    settings: tokens,
                    proved: Proved::default(),
                    is_fresh: false,
                    extra: &[],
                    max_age: 3_600,
                    now: now(),
                };
                let token = Secret::new("opaque".into());
                if let Ok(holder) = provider.holder(&token, rules).await {
                    assert!(!holder.identity.subject.is_empty());
                    assert_eq!(holder.identity.issuer, *issuer);
                }
            }
            "logout" => {
                let token = sign(HEADER, &rest);
                if let Ok(token) = UnverifiedLogoutToken::parse(&token)
                    && let Ok(logout) = provider.verify_logout_token(&token).await
                {
                    assert!(logout.subject.is_none_or(|subject| !subject.is_empty()));
                }
            }
            _ => {}
        }
    });
});

/// Finishes a sign-in with whatever the provider says.
async fn finish(provider: &Provider) {
    let redirect = RedirectUrl::new("https://wiki.example.com/akprox/callback".into());
    let finished = provider
        .finish(
            AuthorizationCode::new("c".into()),
            Nonce::new(NONCE.into()),
            PkceCodeVerifier::new("v".repeat(43)),
            redirect.expect("a URL"),
            &[
                NamedClaim::for_headers("email_verified"),
                NamedClaim::for_rules("department"),
            ],
        )
        .await;
    if let Ok(signed_in) = finished {
        let identity = signed_in.identity;
        assert!(!identity.subject.is_empty());
        let unique: BTreeSet<&String> = identity.groups.iter().collect();
        assert_eq!(unique.len(), identity.groups.len());
        assert!(!identity.groups.contains(&String::new()));
        assert_ne!(
            (identity.email.is_some(), identity.email_verified),
            (true, Some(false))
        );
    }
}
