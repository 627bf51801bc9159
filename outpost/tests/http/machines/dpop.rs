//! Access tokens that are bound to a key (RFC 9449).

use std::sync::atomic::Ordering;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::machine_clients::{DpopProof, ExpectedProof};
use gatepost_base::Secret;
use gatepost_session::NumericDate;
use ring::digest::{SHA256, digest};
use url::Url;

use super::*;
use crate::device_bound::key::DeviceKey;
use crate::world::now;

const DPOP: &str = "machines: [bearer, dpop]";

/// Where the requests of these tests go.
const URL: &str = "https://api.example.com/v1";

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn thumbprint(key: &DeviceKey) -> String {
    let jwk = key.jwk();
    let (x, y) = (jwk["x"].as_str().expect("x"), jwk["y"].as_str().expect("y"));
    hash(&format!(
        "{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}"
    ))
}

fn bound_token(world: &World, key: &DeviceKey) -> String {
    let confirmation = json!({"jkt": thumbprint(key)});
    world
        .provider
        .access_token(|claims| claims["cnf"] = confirmation)
}

fn header(key: &DeviceKey) -> Value {
    json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.jwk()})
}

fn claims(token: &str, id: &str) -> Value {
    let now = now();
    json!({"jti": id, "htm": "GET", "htu": URL, "iat": now, "ath": hash(token)})
}

fn proof(key: &DeviceKey, token: &str, id: &str) -> String {
    key.sign(&header(key), &claims(token, id))
}

fn asked(token: &str, proof: &str) -> Asked<'static> {
    Asked::fetch(API, "/v1?page=2")
        .with("Authorization", &format!("DPoP {token}"))
        .with("DPoP", proof)
}

/// Sends a token with a proof through a proxy.
async fn prove(world: &World, token: &str, proof: &str) -> Reply {
    asked(token, proof).ask(world, "auth/traefik").await
}

const INVALID: &str =
    "DPoP realm=\"api\", error=\"invalid_dpop_proof\", algs=\"ES256 RS256 EdDSA Ed25519\"";
const INVALID_TOKEN: &str =
    "DPoP realm=\"api\", error=\"invalid_token\", algs=\"ES256 RS256 EdDSA Ed25519\"";

#[tokio::test]
async fn a_bound_token_with_its_proof_lets_a_client_in_through_every_proxy() {
    let world = world(DPOP).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    for dialect in DIALECTS {
        let proof = proof(&key, &token, dialect);
        let reply = asked(&token, &proof).ask(&world, dialect).await.expect(200);
        let name = reply.header("X-Forwarded-User");
        assert_eq!(name, Some("robot-id"), "{dialect}");
        let kept = reply.header("authorization").unwrap_or_default();
        assert_eq!(kept, "", "{dialect}");
    }
    let reply = Asked::fetch(API, "/v1").ask(&world, "auth/traefik").await;
    let challenge = "DPoP realm=\"api\", algs=\"ES256 RS256 EdDSA Ed25519\"";
    assert_eq!(
        reply.expect(401).header("www-authenticate"),
        Some(challenge)
    );
}

/// The application has no key for it.
#[tokio::test]
async fn a_bound_token_is_no_token_for_the_application() {
    let tokens = "machines: dpop, upstreamTokens: {accessToken: Authorization}";
    let world = world(tokens).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    for dialect in DIALECTS {
        let proof = proof(&key, &token, dialect);
        let reply = asked(&token, &proof).ask(&world, dialect).await.expect(200);
        let sent = reply.header("authorization").unwrap_or_default();
        assert_eq!(sent, "", "{dialect}");
    }
}

/// The copy of a token is worth nothing without the key.
#[tokio::test]
async fn a_bound_token_is_refused_without_a_proof_by_its_key() {
    let world = world(DPOP).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    bring(&world, &token).await.expect(401);
    let with_x509 = json!({"jkt": thumbprint(&key), "x5t#S256": "x"});
    let with_x509 = world
        .provider
        .access_token(|claims| claims["cnf"] = with_x509);
    let certificate = json!({"x5t#S256": "x"});
    let certificate = world
        .provider
        .access_token(|claims| claims["cnf"] = certificate);
    bring(&world, &certificate).await.expect(401);
    let other = DeviceKey::new();
    for (case, token, proof, challenge) in [
        (
            "another key",
            &token,
            proof(&other, &token, "1"),
            INVALID_TOKEN,
        ),
        (
            "a certificate",
            &certificate,
            proof(&key, &certificate, "2"),
            INVALID_TOKEN,
        ),
        (
            "and a certificate",
            &with_x509,
            proof(&key, &with_x509, "3"),
            INVALID_TOKEN,
        ),
        ("nothing", &token, String::new(), INVALID),
    ] {
        let reply = prove(&world, token, &proof).await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some(challenge), "{case}");
    }
    let unbound = world.provider.access_token(|_| ());
    bring(&world, &unbound).await.expect(200);
    let proof_of_unbound = proof(&key, &unbound, "4");
    prove(&world, &unbound, &proof_of_unbound).await.expect(401);
    // Two lines are of two senders.
    let twice = asked(&token, &proof(&key, &token, "5"));
    let twice = twice.with("DPoP", &proof(&key, &token, "6"));
    twice.ask(&world, "auth/traefik").await.expect(401);
}

#[tokio::test]
async fn every_other_proof_is_refused() {
    let world = world(DPOP).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    let another = world
        .provider
        .access_token(|claims| claims["scope"] = json!("x"));
    let now = now();
    let with = |member: &str, value: Value| {
        let mut claims = claims(&token, member);
        claims[member] = value;
        key.sign(&header(&key), &claims)
    };
    let without = |member: &str| {
        let mut claims = claims(&token, member);
        claims.as_object_mut().expect("claims").remove(member);
        key.sign(&header(&key), &claims)
    };
    let headed = |member: &str, value: Value| {
        let mut header = header(&key);
        header[member] = value;
        key.sign(&header, &claims(&token, member))
    };
    let mut private = key.jwk();
    private["d"] = json!("AAAA");
    let good = proof(&key, &token, "good");
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (head, body) = signed.split_once('.').expect("three parts");
    let none = URL_SAFE_NO_PAD
        .encode(json!({"alg": "none", "typ": "dpop+jwt", "jwk": key.jwk()}).to_string());
    for (case, proof) in [
        ("another method", with("htm", json!("POST"))),
        ("a method in lower case", with("htm", json!("get"))),
        (
            "another path",
            with("htu", json!("https://api.example.com/v2")),
        ),
        (
            "another host",
            with("htu", json!("https://app.example.com/v1")),
        ),
        (
            "another scheme",
            with("htu", json!("http://api.example.com/v1")),
        ),
        (
            "another port",
            with("htu", json!("https://api.example.com:8443/v1")),
        ),
        (
            "a user in the URL",
            with("htu", json!("https://a@api.example.com/v1")),
        ),
        ("no URL", with("htu", json!("/v1"))),
        ("for another token", with("ath", json!(hash(&another)))),
        ("for no token", without("ath")),
        ("without an id", without("jti")),
        ("an empty id", with("jti", json!(""))),
        ("a long id", with("jti", json!("x".repeat(257)))),
        ("without a time", without("iat")),
        ("from the future", with("iat", json!(now + 120))),
        ("old", with("iat", json!(now - 61))),
        ("negative", with("iat", json!(-1))),
        ("alg none", format!("{none}.{body}.")),
        ("alg none, signed", format!("{none}.{body}.{signature}")),
        ("HS256", headed("alg", json!("HS256"))),
        (
            "the algorithm of another key",
            headed("alg", json!("RS256")),
        ),
        ("another type", headed("typ", json!("JWT"))),
        ("a proof of a browser", headed("typ", json!("dbsc+jwt"))),
        ("critical extensions", headed("crit", json!(["x"]))),
        ("a private key", headed("jwk", private)),
        ("no key", headed("jwk", json!({}))),
        ("another's key", headed("jwk", DeviceKey::new().jwk())),
        ("oversized", with("more", json!("x".repeat(5_000)))),
        ("no signature", format!("{signed}.")),
        ("two parts", format!("{head}.{body}")),
        ("no JWT", "x".to_owned()),
    ] {
        let reply = prove(&world, &token, &proof).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(reply.header("www-authenticate"), Some(INVALID), "{case}");
        assert!(reply.header("x-forwarded-user").is_none(), "{case}");
    }
    // A query and a fragment do not count, nor does the default port.
    let same = with("htu", json!("HTTPS://API.example.com:443/v1?x#y"));
    for proof in [good, same] {
        prove(&world, &token, &proof).await.expect(200);
    }
}

/// An attacker sees a request, and sends it again.
#[tokio::test]
async fn a_proof_serves_once_at_all_replicas() {
    let world = world(DPOP).await;
    let other = world.replica_with(&applications(DPOP)).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    let once = asked(&token, &proof(&key, &token, "one"));
    once.ask(&world, "auth/traefik").await.expect(200);
    for world in [&world, &other] {
        let reply = once.ask(world, "auth/traefik").await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some(INVALID));
    }
    // The next one, and the same id of another key.
    let next = proof(&key, &token, "two");
    prove(&other, &token, &next).await.expect(200);
    let second = DeviceKey::new();
    let token = bound_token(&world, &second);
    let same_id = proof(&second, &token, "one");
    prove(&world, &token, &same_id).await.expect(200);
    // Whether it was used is not known.
    let next = asked(&token, &proof(&second, &token, "three"));
    world.store.away.store(true, Ordering::Relaxed);
    next.ask(&world, "auth/traefik").await.expect(503);
    world.store.away.store(false, Ordering::Relaxed);
    next.ask(&world, "auth/traefik").await.expect(200);
}

/// Without `dpop`, the scheme is one of the application's.
#[tokio::test]
async fn proofs_count_where_the_operator_says_so() {
    let world = world(BEARER).await;
    let key = DeviceKey::new();
    let token = bound_token(&world, &key);
    let proof_of_key = proof(&key, &token, "one");
    let challenge = prove(&world, &token, &proof_of_key).await.expect(401);
    assert_eq!(
        challenge.header("www-authenticate"),
        Some("Gatepost realm=\"api\"")
    );
    bring(&world, &token).await.expect(401);

    let alone = self::world("machines: dpop").await;
    let token = bound_token(&alone, &key);
    let proof_of_key = proof(&key, &token, "one");
    prove(&alone, &token, &proof_of_key).await.expect(200);
    bring(&alone, &alone.provider.access_token(|_| ()))
        .await
        .expect(401);
}

/// Introspection says to which key a token is bound, and may call its type `DPoP` (RFC 9449 §6.2).
#[tokio::test]
async fn a_bound_token_that_the_provider_is_asked_about_needs_its_proof_too() {
    let world = world("machines: [bearer, dpop], machineTokens: {introspect: true}").await;
    let key = DeviceKey::new();
    let mut answer = world.provider.access_claims();
    answer["active"] = json!(true);
    answer["cnf"] = json!({"jkt": thumbprint(&key)});
    answer["token_type"] = json!("DPoP");
    world.provider.script().introspection = answer;
    bring(&world, "opaque-1").await.expect(401);
    for (key, status) in [(&DeviceKey::new(), 401), (&key, 200)] {
        let proof = proof(key, "opaque-1", "1");
        prove(&world, "opaque-1", &proof).await.expect(status);
    }
}

#[test]
fn no_bytes_of_a_client_make_verifying_panic() {
    let url = Url::parse(URL).expect("a URL");
    let token = Secret::new("t".to_owned());
    let expected = ExpectedProof {
        method: "GET",
        url: &url,
        token: &token,
        now: NumericDate::from_seconds(1_800_000_000),
    };
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for (alg, jwk) in [
        (
            "ES256",
            json!({"kty": "EC", "crv": "P-256", "x": "", "y": ""}),
        ),
        (
            "ES256",
            json!({"kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43)}),
        ),
        (
            "EdDSA",
            json!({"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43)}),
        ),
        (
            "EdDSA",
            json!({"kty": "OKP", "crv": "X25519", "x": "A".repeat(43)}),
        ),
        ("RS256", json!({"kty": "RSA", "n": "", "e": ""})),
        ("RS256", json!({"kty": "RSA", "n": "AA", "e": "AQAB"})),
        ("RS256", json!({"kty": "RSA", "n": 1, "e": []})),
    ] {
        let header = encode(json!({"alg": alg, "typ": "dpop+jwt", "jwk": jwk}));
        for claims in [json!({}), json!([]), json!({"iat": 1e300, "jti": "x"})] {
            let text = format!("{header}.{}.AAAA", encode(claims));
            let verified = DpopProof::parse(&text, &expected).and_then(|proof| proof.verify());
            assert!(verified.is_err(), "{text}");
        }
    }
}

/// Verifying a signature costs the outpost work, and its sender nothing: everyone can make a key. One
/// address can have that done a few hundred times a minute, and no other address pays.
#[tokio::test]
async fn a_flood_of_proofs_from_one_address_is_not_verified_for_long() {
    let world = world(DPOP).await;
    let (owner, sender) = (DeviceKey::new(), DeviceKey::new());
    let token = bound_token(&world, &owner);
    let from = async |client: &str, token: &str, proof: &str| {
        let asked = asked(token, proof).with("X-Forwarded-For", client);
        asked.ask(&world, "auth/traefik").await
    };
    // A token of the owner's that was valid before, at the address of the flood too.
    let known = proof(&owner, &token, "first");
    from("192.0.2.1", &token, &known).await.expect(200);

    let mut verified = 0;
    let reply = loop {
        // Valid proofs for tokens that are made up, and proofs that their key has not signed.
        let id = format!("flood {verified}");
        let made_up = format!("made-up-{}", verified % 7);
        let proof = if verified % 2 == 0 {
            proof(&sender, &made_up, &id)
        } else {
            sender.sign(&header(&DeviceKey::new()), &claims(&made_up, &id))
        };
        let reply = from("192.0.2.1", &made_up, &proof).await;
        if reply.status != 401 {
            break reply;
        }
        verified += 1;
        assert!(verified < 1_000, "no limit");
    };
    let reply = reply.expect(429);
    assert_eq!(verified, 300);
    let seconds = reply.header("retry-after").map(str::parse::<u64>);
    assert!(matches!(seconds, Some(Ok(1..=61))), "{reply:#?}");

    // The signature is not looked at: another address is refused for it, and this one for the flood.
    let forged = sender.sign(&header(&DeviceKey::new()), &claims("other", "forged"));
    from("192.0.2.1", "other", &forged).await.expect(429);
    from("192.0.2.2", "other", &forged).await.expect(401);
    // What costs no signature is still answered, and a token of another address or known one passes.
    let other = bound_token(&world, &sender);
    from("192.0.2.1", &other, &proof(&sender, "another", "x"))
        .await
        .expect(401);
    from("192.0.2.1", &other, &proof(&sender, &other, "y"))
        .await
        .expect(429);
    from("192.0.2.2", &other, &proof(&sender, &other, "z"))
        .await
        .expect(200);
    from("192.0.2.1", &token, &proof(&owner, &token, "second"))
        .await
        .expect(200);
    // A holder of a copied token alone cannot go on with it either.
    let mut tried = 0;
    loop {
        let forged = sender.sign(&header(&owner), &claims(&token, &format!("copied {tried}")));
        let reply = from("192.0.2.1", &token, &forged).await;
        if reply.status == 429 {
            break;
        }
        reply.expect(401);
        tried += 1;
        assert!(tried < 1_000, "no limit");
    }
    let third = proof(&owner, &token, "third");
    from("192.0.2.3", &token, &third).await.expect(200);
}
