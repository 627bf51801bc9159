//! Attacks on registrations and proofs. Each is refused, and changes nothing for the browser.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::browser::{answered, query};
use crate::provider::{rsa_key, rsa_signature};

/// Sends a proof that must not renew, and checks that the browser's own still does.
async fn is_refused(bound: &mut Bound<'_>, case: &str, id: &str, proof: &str) {
    let reply = refresh(&mut bound.browser.clone(), id, Some(proof)).await;
    assert!(
        reply.status.is_client_error() && !reply.sets_session(),
        "{case}: {reply:?}"
    );
    assert!(bound.refresh().await.expect(200).sets_session(), "{case}");
}

#[tokio::test]
async fn only_the_registered_key_renews() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let id = bound.id.clone();
    let other = DeviceKey::new();

    let challenge = bound.challenge().await;
    let proof = other.proof(&challenge);
    is_refused(&mut bound, "another key", &id, &proof).await;

    let challenge = bound.challenge().await;
    let proof = other.registration(&challenge);
    is_refused(&mut bound, "a key in the proof", &id, &proof).await;

    let challenge = bound.challenge().await;
    let proof = bound.key.registration(&challenge);
    is_refused(&mut bound, "its own key in the proof", &id, &proof).await;

    for (case, header) in [
        ("none", json!({"alg": "none", "typ": "dbsc+jwt"})),
        ("HS256", json!({"alg": "HS256", "typ": "dbsc+jwt"})),
        ("RS256", json!({"alg": "RS256", "typ": "dbsc+jwt"})),
        ("es256", json!({"alg": "es256", "typ": "dbsc+jwt"})),
        ("another type", json!({"alg": "ES256", "typ": "JWT"})),
        ("no type", json!({"alg": "ES256"})),
        (
            "an extension",
            json!({"alg": "ES256", "typ": "dbsc+jwt", "crit": ["exp"]}),
        ),
    ] {
        let challenge = bound.challenge().await;
        let proof = bound.key.sign(&header, &json!({"jti": challenge}));
        is_refused(&mut bound, case, &id, &proof).await;
        let unsigned = format!("{}.", proof.rsplit_once('.').expect("parts").0);
        is_refused(&mut bound, case, &id, &unsigned).await;
    }
    let challenge = bound.challenge().await;
    let claims = json!({"jti": challenge, "padding": "x".repeat(8_000)});
    let header = json!({"alg": "ES256", "typ": "dbsc+jwt"});
    let long = bound.key.sign(&header, &claims);
    is_refused(&mut bound, "too long", &id, &long).await;
    for text in ["", "\"\"", "a.b", "a.b.c", "...."] {
        is_refused(&mut bound, text, &id, text).await;
    }
}

#[tokio::test]
async fn a_challenge_is_for_one_session_and_one_use() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let mut other = Bound::sign_in(&world).await;
    let id = bound.id.clone();

    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    refresh(&mut bound.browser, &id, Some(&proof))
        .await
        .expect(200);
    is_refused(&mut bound, "replayed", &id, &proof).await;

    let challenge = other.challenge().await;
    let proof = bound.key.proof(&challenge);
    is_refused(&mut bound, "another session's", &id, &proof).await;
    let proof = other.key.proof(&challenge);
    is_refused(&mut bound, "another session's, by its key", &id, &proof).await;

    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    world.wait(3 * MINUTE);
    is_refused(&mut bound, "expired", &id, &proof).await;

    for made_up in ["", "x", "a.AAAA"] {
        let proof = bound.key.proof(made_up);
        is_refused(&mut bound, made_up, &id, &proof).await;
    }
    // The challenge of a registration renews nothing.
    let reply = world.browser().sign_in(START).await;
    let proof = bound.key.proof(&registration_challenge(&reply));
    is_refused(&mut bound, "a registration's", &id, &proof).await;
}

#[tokio::test]
async fn a_key_is_registered_for_the_session_of_the_sign_in_alone_and_once() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(302);
    let challenge = registration_challenge(&reply);
    let (own, thief) = (DeviceKey::new(), DeviceKey::new());

    // A thief has the cookie, and not the answer to the sign-in.
    for made_up in ["", "x", "a.AAAA"] {
        let proof = thief.registration(made_up);
        register(&mut browser.clone(), &proof).await.expect(403);
    }
    // Another user has a challenge, for another session.
    let mut theirs = world.browser();
    let reply = theirs.sign_in(START).await.expect(302);
    let proof = thief.registration(&registration_challenge(&reply));
    register(&mut browser.clone(), &proof).await.expect(403);
    // The challenge of a renewal registers nothing.
    let mut bound = Bound::sign_in(&world).await;
    let proof = thief.registration(&bound.challenge().await);
    register(&mut world.browser(), &proof).await.expect(403);

    for (case, header) in [
        ("no key", json!({"alg": "ES256", "typ": "dbsc+jwt"})),
        (
            "another's key",
            json!({"alg": "ES256", "typ": "dbsc+jwt", "jwk": own.jwk()}),
        ),
        (
            "a key for another algorithm",
            json!({"alg": "RS256", "typ": "dbsc+jwt", "jwk": thief.jwk()}),
        ),
        (
            "a secret for a key",
            json!({"alg": "HS256", "typ": "dbsc+jwt", "jwk": {"kty": "oct", "k": "AAAA"}}),
        ),
        (
            "another curve",
            json!({"alg": "ES256", "typ": "dbsc+jwt",
                   "jwk": {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"}}),
        ),
        (
            "no point",
            json!({"alg": "ES256", "typ": "dbsc+jwt",
                   "jwk": {"kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43)}}),
        ),
    ] {
        let proof = thief.sign(&header, &json!({"jti": challenge}));
        let reply = register(&mut world.browser(), &proof).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{case}");
    }

    // The browser sends no cookie when the provider's page has caused the request.
    register(&mut world.browser(), &own.registration(&challenge))
        .await
        .expect(200);
    // The second device does not take over, whether or not it has seen the challenge.
    register(&mut browser.clone(), &thief.registration(&challenge))
        .await
        .expect(403);
    register(&mut browser, &own.registration(&challenge))
        .await
        .expect(403);
}

#[tokio::test]
async fn other_sites_and_scripts_reach_nothing() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let id = bound.id.clone();
    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    let cross_site = [
        ("Sec-Secure-Session-Id", &*id),
        ("Secure-Session-Response", &*proof),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let reply = bound
        .browser
        .request(Method::POST, REFRESH, &cross_site)
        .await;
    assert!(!reply.expect(403).sets_session());
    // No script can set this header.
    let script = [("Secure-Session-Response", &*proof)];
    for url in [REFRESH, REGISTER] {
        let reply = bound.browser.request(Method::POST, url, &script).await;
        assert!(!reply.expect(403).sets_session(), "{url}");
        let reply = bound.browser.request(Method::POST, url, &[]).await;
        assert!(!reply.expect(403).sets_session(), "{url}");
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
            let reply = bound.browser.request(method, url, &cross_site).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{url}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    assert!(bound.refresh().await.expect(200).sets_session());
}

/// Another application's session, and one that does not exist.
#[tokio::test]
async fn an_id_without_its_key_says_and_changes_nothing() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let mut stranger = world.browser();
    let elsewhere = "https://app2.example.com/akprox/device/refresh";
    let headers = [("Sec-Secure-Session-Id", &*bound.id)];
    let reply = stranger.request(Method::POST, elsewhere, &headers).await;
    assert!(ends(&reply), "{reply:?}");
    let unknown = "A".repeat(32);
    assert!(ends(&refresh(&mut stranger, &unknown, None).await));
    assert!(ends(&refresh(&mut stranger, "x", None).await));
    let raw = store_id(&world).await;
    assert!(ends(&refresh(&mut stranger, &raw, None).await));
    let long = "a".repeat(257);
    for invalid in ["", "\"\"", "../..", "é", "a b", &long] {
        refresh(&mut stranger, invalid, None).await.expect(403);
    }
    assert!(bound.refresh().await.expect(200).sets_session());
}

/// A flow that renews one session without a page of the provider renews no other.
#[tokio::test]
async fn a_silent_flow_of_another_session_renews_no_copy() {
    let world = World::with(PREFER).await;
    let mut alice = Bound::sign_in(&world).await;
    world.provider.issue_no_refresh_tokens();
    let mut thief = world.browser();
    thief.sign_in(START).await.expect(302);
    for (minutes, code) in [
        (11, "error=server_error"),
        (0, "error=temporarily_unavailable"),
        (6, "error=server_error"),
        (0, "error=login_required"),
        (0, "code=made-up"),
    ] {
        world.wait(minutes * MINUTE);
        let silent = thief.load(START).await.expect(302);
        let sent = query(silent.location());
        assert_eq!(
            sent.get("prompt").map(String::as_str),
            Some("none"),
            "{sent:?}"
        );
        let mut with_copy = thief.clone();
        with_copy.copy_cookies(&alice.browser, |name| name == "__Host-gatepost");
        let back = answered(silent.location(), code, &world.provider.issuer);
        let reply = with_copy.load(&back).await;
        assert!(!reply.sets_session(), "{code}: {reply:?}");
    }
    assert!(
        alice.refresh().await.expect(200).sets_session(),
        "and it ends nothing"
    );
}

/// Any host of the site can have a browser register for a session that is not its own. Its cookie
/// is what no other host can set.
#[tokio::test]
async fn a_browser_without_the_sessions_cookie_binds_and_gets_nothing() {
    let world = World::with(PREFER).await;
    let mut attacker = world.browser();
    let reply = attacker.sign_in(START).await.expect(302);
    let key = DeviceKey::new();
    // As a sibling host has a visitor's browser do it.
    let mut visitor = world.browser();
    let proof = key.registration(&registration_challenge(&reply));
    let reply = register(&mut visitor, &proof).await.expect(200);
    let id = &session_id(&reply);
    // 5xx: the browser that signed in, and was sent here by a link of another site, tries again.
    let reply = refresh(&mut visitor, id, None).await.expect(503);
    assert!(!reply.sets_session(), "{reply:?}");
    let reply = refresh(&mut attacker, id, None).await.expect(403);
    let proof = key.proof(&challenge(&reply, id));
    let reply = refresh(&mut visitor, id, Some(&proof)).await.expect(503);
    assert!(!reply.sets_session(), "{reply:?}");
    // It is renewed as ever, so it is not bound.
    world.wait(11 * MINUTE);
    assert!(attacker.load(START).await.expect(302).sets_session());
}

/// In domain mode, any host can put a cookie of its own session in front of the user's.
#[tokio::test]
async fn a_cookie_in_front_of_the_users_ends_nothing() {
    let world = World::with(PREFER).await;
    let mut other = world.browser();
    other.sign_in(START).await.expect(302);
    let url = url::Url::parse(REFRESH).expect("a URL");
    let tossed = other.cookie_line(&url);
    let tossed = tossed
        .split("; ")
        .find(|pair| pair.starts_with("__Host-gatepost="));
    let tossed = tossed.expect("a session").to_owned();

    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(302);
    let key = DeviceKey::new();
    let proof = key.registration(&registration_challenge(&reply));
    let headers = [("Cookie", &*tossed), ("Secure-Session-Response", &*proof)];
    let reply = browser
        .request(Method::POST, REGISTER, &headers)
        .await
        .expect(200);
    let id = &session_id(&reply);
    for minutes in [0, 16] {
        world.wait(minutes * MINUTE);
        let headers = [("Cookie", &*tossed), ("Sec-Secure-Session-Id", id)];
        let reply = browser
            .request(Method::POST, REFRESH, &headers)
            .await
            .expect(403);
        let proof = key.proof(&challenge(&reply, id));
        let headers = [
            ("Cookie", &*tossed),
            ("Sec-Secure-Session-Id", id),
            ("Secure-Session-Response", &*proof),
        ];
        let reply = browser.request(Method::POST, REFRESH, &headers).await;
        assert!(reply.expect(200).sets_session());
    }
}

/// A renewal that waits, for the provider or another replica, while the session is bound.
#[tokio::test]
async fn a_renewal_by_cookie_that_began_before_the_first_proof_comes_too_late() {
    use gatepost::origin::HostPort;
    use gatepost::sessions::{IssueError, Voucher};
    use gatepost_session::cookie::Candidates;
    let world = World::with(PREFER).await;
    let mut bound = Bound::register(&world).await;
    let before = world.outpost.store.list(10).await.expect("listed");
    let [before] = before.as_slice() else {
        panic!("{before:?}");
    };
    bound.refresh().await.expect(200);
    let snapshot = world.outpost.snapshot();
    let host = HostPort::parse(HOST).expect("a host");
    let application = snapshot
        .applications
        .at(&host, "/")
        .expect("an application");
    let renew = async |voucher| {
        let none = Candidates::default();
        let sessions = &world.outpost.sessions;
        let renewed = sessions.renew(&snapshot.times, application, before, &none, voucher);
        renewed.await
    };
    let renewed = renew(Voucher::Cookie).await;
    assert!(matches!(renewed, Err(IssueError::Unproven)), "{renewed:?}");
    let renewed = renew(Voucher::Proof).await;
    assert!(renewed.is_ok(), "{renewed:?}");
}

async fn store_id(world: &World) -> String {
    let all = world.outpost.store.list(10).await.expect("listed");
    let [record] = all.as_slice() else {
        panic!("{all:?}");
    };
    record.id.expose().to_owned()
}

/// What is in headers gets into logs: nothing there is what the store, the cookie or an operator
/// calls the session.
#[tokio::test]
async fn headers_say_nothing_of_the_sessions_id() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(302);
    let raw = store_id(&world).await;
    let key = DeviceKey::new();
    let says = |reply: &Reply, case: &str| {
        let headers = reply.headers.iter();
        let headers = headers.filter(|(name, _)| name.as_str() != "set-cookie");
        let said = format!("{:?}{}", headers.collect::<Vec<_>>(), reply.body);
        assert!(!said.contains(&raw), "{case}: {said}");
    };
    says(&reply, "sign-in");
    let proof = key.registration(&registration_challenge(&reply));
    let reply = register(&mut browser, &proof).await.expect(200);
    says(&reply, "registration");
    let id = session_id(&reply);
    let reply = refresh(&mut browser, &id, None).await.expect(403);
    says(&reply, "challenge");
    let proof = key.proof(&challenge(&reply, &id));
    let reply = refresh(&mut browser, &id, Some(&proof)).await.expect(200);
    says(&reply, "renewal");
    assert_eq!(session_id(&reply), id, "a browser forgets one with another");
    world.store.forget();
    says(&refresh(&mut browser, &id, None).await, "end");

    // Nor does the same session have a name twice.
    let mut second = Bound::sign_in(&world).await;
    assert_ne!(second.id, id);
    second.refresh().await.expect(200);
}

/// The key that sealed the name was retired, and the cookie was signed with another since.
#[tokio::test]
async fn a_session_goes_on_when_the_key_that_sealed_its_name_is_retired() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let mut other = Bound::sign_in(&world).await;
    let sealed_elsewhere = format!("retired.{}", "A".repeat(96));
    let reply = refresh(&mut bound.browser, &sealed_elsewhere, None).await;
    let challenge_of_own = challenge(&reply.expect(403), &sealed_elsewhere);
    let proof = bound.key.proof(&challenge_of_own);
    let reply = refresh(&mut bound.browser, &sealed_elsewhere, Some(&proof)).await;
    assert!(reply.clone().expect(200).sets_session());
    assert_eq!(session_id(&reply), sealed_elsewhere);

    // A copy of the cookie gets a challenge, and needs the key.
    let mut thief = bound.browser.clone();
    let reply = refresh(&mut thief, &sealed_elsewhere, None).await;
    let asked = challenge(&reply.expect(403), &sealed_elsewhere);
    for key in [&other.key, &DeviceKey::new()] {
        let proof = key.proof(&asked);
        let reply = refresh(&mut thief, &sealed_elsewhere, Some(&proof)).await;
        assert!(!reply.expect(403).sets_session());
    }
    // Without the cookie it is an unknown session.
    let mut stranger = world.browser();
    assert!(ends(&refresh(&mut stranger, &sealed_elsewhere, None).await));
    other.refresh().await.expect(200);
}

/// Signs by the RSA key of [`rsa_key`].
fn rsa_signed(header: &Value, challenge: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(&json!({"jti": challenge})));
    let signature = URL_SAFE_NO_PAD.encode(rsa_signature(&signed));
    format!("{signed}.{signature}")
}

/// Devices without elliptic curves have keys for RS256.
#[tokio::test]
async fn a_key_for_rs256_renews_and_no_other() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(302);
    let asked = registration_challenge(&reply);
    let own = rsa_key();
    let (n, e) = (own["n"].clone(), own["e"].clone());
    for (case, n, e) in [
        // A client that knows the message knows the signature.
        ("an exponent of 1", n.clone(), json!("AQ")),
        ("an even exponent", n.clone(), json!("Ag")),
        ("no exponent", n.clone(), json!("")),
        ("no modulus", json!(""), e.clone()),
        ("a short modulus", json!("A".repeat(171)), e.clone()),
        ("a number", json!(65_537), e.clone()),
        ("no text of base64url", json!("+/=="), e.clone()),
    ] {
        let jwk = json!({"kty": "RSA", "n": n, "e": e});
        let header = json!({"alg": "RS256", "typ": "dbsc+jwt", "jwk": jwk});
        let reply = register(&mut browser.clone(), &rsa_signed(&header, &asked)).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{case}: {reply:?}");
    }
    let jwk = json!({"kty": "RSA", "n": n, "e": e});
    let header = json!({"alg": "RS256", "typ": "dbsc+jwt", "jwk": jwk});
    let reply = register(&mut browser, &rsa_signed(&header, &asked)).await;
    let id = &session_id(&reply.expect(200));

    let header = json!({"alg": "RS256", "typ": "dbsc+jwt"});
    for _ in 0..2 {
        let reply = refresh(&mut browser, id, None).await.expect(403);
        let asked = challenge(&reply, id);
        let by_another = DeviceKey::new();
        let genuine = rsa_signed(&header, &asked);
        let (signed, _) = genuine.rsplit_once('.').expect("parts");
        for (case, forged) in [
            ("another kind of key", by_another.proof(&asked)),
            (
                "another's signature",
                by_another.sign(&header, &json!({"jti": asked})),
            ),
            ("no signature", format!("{signed}.")),
            (
                "a signature of zeros",
                format!("{signed}.{}", "A".repeat(342)),
            ),
        ] {
            let reply = refresh(&mut browser.clone(), id, Some(&forged)).await;
            assert!(!reply.expect(403).sets_session(), "{case}");
        }
        let reply = refresh(&mut browser, id, Some(&genuine)).await;
        assert!(reply.expect(200).sets_session());
        world.wait(11 * MINUTE);
    }
}

/// A proxy may hand on what a client sent beside what the browser says.
#[tokio::test]
async fn a_header_that_comes_twice_says_nothing() {
    let world = World::with(PREFER).await;
    let mut bound = Bound::sign_in(&world).await;
    let mut other = Bound::sign_in(&world).await;
    let challenge = bound.challenge().await;
    let proof = bound.key.proof(&challenge);
    let challenge = other.challenge().await;
    let theirs = other.key.proof(&challenge);
    let id = bound.id.clone();
    for (names, proofs) in [
        (vec![&*id, &*other.id], vec![&*proof]),
        (vec![&*other.id, &*id], vec![&*proof]),
        (vec![&*id], vec![&*theirs, &*proof]),
        (vec![&*id], vec![&*proof, &*proof]),
    ] {
        let names = names
            .into_iter()
            .map(|name| ("Sec-Secure-Session-Id", name));
        let proofs = proofs
            .into_iter()
            .map(|proof| ("Secure-Session-Response", proof));
        let headers: Vec<_> = names.chain(proofs).collect();
        let mut browser = bound.browser.clone();
        let reply = browser.request(Method::POST, REFRESH, &headers).await;
        assert!(!reply.expect(403).sets_session(), "{headers:?}");
    }
    assert!(bound.refresh().await.expect(200).sets_session());
    assert!(other.refresh().await.expect(200).sets_session());
}
