//! Access tokens that are bound to a client certificate (RFC 8705), as a proxy hands it on.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::*;

const HEADER: &str = "X-Forwarded-Tls-Client-Cert";

/// What stands for a certificate: only its bytes count.
fn certificate(number: u8) -> Vec<u8> {
    vec![0x30, 3, 2, 1, number]
}

fn handed_on(number: u8) -> String {
    STANDARD.encode(certificate(number))
}

fn bound_token(world: &World, number: u8) -> String {
    let digest = digest(&SHA256, &certificate(number));
    let confirmation = json!({"x5t#S256": URL_SAFE_NO_PAD.encode(digest)});
    world
        .provider
        .access_token(|claims| claims["cnf"] = confirmation)
}

async fn certified(more: &str) -> World {
    let applications = applications(more);
    World::with(&format!(
        "{applications}\nclientCertificateHeader: {HEADER}"
    ))
    .await
}

fn asked(token: &str) -> Asked<'static> {
    Asked::fetch(API, "/v1").with("Authorization", &format!("Bearer {token}"))
}

const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

#[tokio::test]
async fn a_token_is_accepted_with_its_certificate_alone() {
    let world = certified(BEARER).await;
    let token = bound_token(&world, 1);
    for dialect in DIALECTS {
        let with = |value: &str| asked(&token).with(HEADER, value);
        // Whatever was decided first must not decide the others.
        for round in 0..2 {
            let place = format!("{dialect} {round}");
            let reply = with(&handed_on(2)).ask(&world, dialect).await;
            assert_eq!(reply.status, 401, "{place}");
            let own = with(&format!("{},{}", handed_on(1), handed_on(2)));
            let reply = own.ask(&world, dialect).await;
            assert_eq!(reply.status, 200, "{place}: {}", reply.body);
            assert_eq!(
                reply.header("x-forwarded-user"),
                Some("robot-id"),
                "{place}"
            );
            let two = with(&handed_on(1)).with(HEADER, &handed_on(1));
            for refused in [asked(&token), with(""), with("x"), two] {
                let reply = refused.ask(&world, dialect).await;
                assert_eq!(reply.status, 401, "{place}");
                assert_eq!(reply.header("www-authenticate"), Some(INVALID), "{place}");
            }
        }
    }
    // A certificate does not bind the tokens of others.
    let unbound = world.provider.access_token(|_| ());
    let reply = asked(&unbound).with(HEADER, &handed_on(1));
    reply.ask(&world, "auth/traefik").await.expect(200);
}

#[tokio::test]
async fn a_certificate_is_believed_only_in_the_named_header_of_a_trusted_proxy() {
    let world = certified(BEARER).await;
    let token = bound_token(&world, 1);
    let asked = |name| asked(&token).with(name, &handed_on(1));
    for name in [
        "X-Forwarded-Client-Cert",
        "Client-Cert",
        "X_Forwarded_Tls_Client_Cert",
    ] {
        asked(name).ask(&world, "auth/traefik").await.expect(401);
    }
    for dialect in DIALECTS {
        let reply = asked(HEADER)
            .ask_from(&world, dialect, "192.0.2.1:4000")
            .await;
        assert_ne!(reply.status, 200, "{dialect}");
    }
    let unnamed = self::world(BEARER).await;
    let token = bound_token(&unnamed, 1);
    let asked = self::asked(&token).with(HEADER, &handed_on(1));
    asked.ask(&unnamed, "auth/traefik").await.expect(401);
}

/// A token that the provider is asked about is bound by the answer.
#[tokio::test]
async fn an_opaque_token_is_bound_by_what_the_provider_says() {
    let world = certified("machines: bearer, machineTokens: {introspect: true}").await;
    let mut answer = world.provider.access_claims();
    answer["active"] = json!(true);
    let digest = digest(&SHA256, &certificate(1));
    answer["cnf"] = json!({"x5t#S256": URL_SAFE_NO_PAD.encode(digest)});
    world.provider.script().introspection = answer;
    for (number, status) in [(2, 401), (1, 200), (2, 401)] {
        let asked = asked("opaque").with(HEADER, &handed_on(number));
        asked.ask(&world, "auth/traefik").await.expect(status);
    }
    asked("opaque")
        .ask(&world, "auth/traefik")
        .await
        .expect(401);
}

#[tokio::test]
async fn clients_can_find_out_that_such_tokens_are_accepted() {
    let resource = "machines: bearer, machineTokens: {resource: 'https://api.example.com/'}";
    for (world, expected) in [
        (certified(resource).await, json!(true)),
        (self::world(resource).await, Value::Null),
    ] {
        let request = Request::get("/akprox/oauth-protected-resource")
            .header("Host", API)
            .body(Body::empty());
        let request = request.expect("a request");
        let metadata = world.send_from("127.0.0.1:4000", request).await.expect(200);
        let metadata = metadata.json();
        assert_eq!(
            metadata["tls_client_certificate_bound_access_tokens"],
            expected
        );
    }
}
