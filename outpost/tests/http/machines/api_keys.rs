//! API keys that an operator creates.

use std::sync::atomic::Ordering;

use gatepost::admin::{self, AdminRequest, AdminResponse, KeyRequest, KeySummary, WhichKeys};
use gatepost::machine_clients::NewApiKey;
use gatepost_base::SealingKeys;
use gatepost_session::{KeyRing, Purpose};
use gatepost_store::{ApiKeyId, ApiKeyStore as _, Revocation, RevocationLog as _};

use super::*;

const KEYS: &str = "machines: [apiKey], apiKeyHeader: X-Api-Key";
const KEYS_AND_TOKENS: &str =
    "machines: [apiKey, bearer, basic], machineTokens: {introspect: true}";

fn wanted() -> NewApiKey {
    NewApiKey {
        subject: "ci".into(),
        email: None,
        groups: vec!["staff".into()],
        applications: vec!["api".into()],
        lifetime: 3_600,
    }
}

/// Sends an operator's request to the outpost.
async fn operate(world: &World, request: KeyRequest) -> AdminResponse {
    let ring = KeyRing::from_entries([KEY_A]).expect("a ring");
    let keys = SealingKeys::new(&ring, Purpose::Operator);
    let now = world.outpost.clock.now();
    let question = admin::seal_request(&keys, now, &AdminRequest::Keys(request));
    let answer = admin::answer(&world.outpost, &question.expect("sealed")).await;
    let answer = answer.expect("answered");
    let opened = admin::open_response(&keys, &answer).expect("an answer");
    if let AdminResponse::CreatedKey(created) = &opened {
        assert!(!answer.contains(&created.key), "sealed");
    }
    opened
}

async fn create(world: &World, wanted: NewApiKey) -> (String, KeySummary) {
    match operate(world, KeyRequest::Create(wanted)).await {
        AdminResponse::CreatedKey(created) => (created.key, created.summary),
        other => panic!("{other:?}"),
    }
}

async fn list(world: &World) -> Vec<KeySummary> {
    match operate(world, KeyRequest::List { limit: 10 }).await {
        AdminResponse::Keys { keys, .. } => keys,
        other => panic!("{other:?}"),
    }
}

fn revoked(revoked: usize) -> AdminResponse {
    AdminResponse::RevokedKeys {
        revoked,
        unreadable: 0,
    }
}

fn searches(world: &World) -> u64 {
    world.store.searches.load(Ordering::Relaxed)
}

/// Returns a text in the form of a key, which no store knows.
fn made_up() -> String {
    let key = gatepost::machine_clients::ApiKey::generate();
    key.expect("randomness").expose().to_owned()
}

#[tokio::test]
async fn a_key_lets_its_subject_in_through_every_proxy() {
    let world = world(KEYS).await;
    let (key, _) = create(&world, wanted()).await;
    for dialect in DIALECTS {
        for (header, value) in [
            ("Authorization", format!("bearer {key}")),
            ("X-Api-Key", key.clone()),
        ] {
            let asked = Asked::fetch(API, "/v1").with(header, &value);
            let reply = asked.ask(&world, dialect).await.expect(200);
            for (name, value) in [
                ("X-Auth-Username", "ci"),
                ("X-Auth-Groups", "staff"),
                ("X-Forwarded-User", "ci"),
            ] {
                assert_eq!(reply.header(name), Some(value), "{dialect} {name}");
            }
            assert!(reply.set_cookies().is_empty(), "{dialect}");
            // A proxy that takes these over from the answer takes the key away.
            for name in ["authorization", "x-api-key"] {
                let kept = reply.header(name).unwrap_or_default();
                assert_eq!(kept, "", "{dialect}");
            }
        }
    }
    // Beside a key in its own header, `Authorization` is the application's.
    let asked = Asked::fetch(API, "/v1")
        .with("X-Api-Key", &key)
        .with("Authorization", "Bearer of-the-app");
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("authorization"), Some("Bearer of-the-app"));
}

/// Where the application takes `Authorization` for the user's token of the provider.
#[tokio::test]
async fn a_key_is_no_token_for_the_application() {
    let world = world(&format!(
        "{KEYS}, upstreamTokens: {{accessToken: Authorization}}"
    ))
    .await;
    let (key, _) = create(&world, wanted()).await;
    for dialect in DIALECTS {
        for (header, value) in [
            ("Authorization", format!("Bearer {key}")),
            ("X-Api-Key", key.clone()),
        ] {
            let asked = Asked::fetch(API, "/v1").with(header, &value);
            let asked = match header {
                "X-Api-Key" => asked.with("Authorization", "Bearer of-the-client"),
                _ => asked,
            };
            let reply = asked.ask(&world, dialect).await.expect(200);
            for name in ["authorization", "x-api-key"] {
                let sent = reply.header(name).unwrap_or_default();
                assert_eq!(sent, "", "{dialect} {header} {name}");
            }
        }
    }
}

#[tokio::test]
async fn rules_apply_to_keys_as_to_people() {
    let world = world(KEYS).await;
    let outsider = NewApiKey {
        groups: vec!["guests".into()],
        ..wanted()
    };
    let (key, _) = create(&world, outsider).await;
    bring(&world, &key).await.expect(403);
}

#[tokio::test]
async fn every_other_key_is_refused_without_saying_why() {
    let world = World::with(&format!(
        "
applications:
  - {{name: api, externalUrl: 'https://{API}', {KEYS}}}
  - {{name: wiki, externalUrl: 'https://wiki.example.com', machines: [apiKey]}}
  - {{name: app, externalUrl: 'https://app.example.com', machines: [bearer]}}
"
    ))
    .await;
    let (key, _) = create(&world, wanted()).await;
    let (of_wiki, _) = create(
        &world,
        NewApiKey {
            applications: vec!["wiki".into()],
            ..wanted()
        },
    )
    .await;
    let half = &key[..30];
    for (case, host, sent) in [
        ("another application's", API, of_wiki.as_str()),
        ("half of one", API, half),
        ("one that is changed", API, &format!("{key}x")),
        ("made up", API, &made_up()),
        ("where no key is taken", "app.example.com", &key),
        ("two", API, &format!("{key}, {key}")),
        ("nothing", API, "gp_"),
    ] {
        let asked = Asked::fetch(host, "/v1");
        let asked = asked.with("Authorization", &format!("Bearer {sent}"));
        let reply = asked.ask(&world, "auth/traefik").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{case}");
        let body =
            "{\"error\":\"invalid_credentials\",\"message\":\"the credentials are invalid\"}";
        assert_eq!(reply.body, body, "{case}");
        assert!(reply.header("x-forwarded-user").is_none(), "{case}");
    }
    // A header counts where it is named, in one line, and in its own spelling.
    let at = |host: &'static str| Asked::fetch(host, "/v1");
    for asked in [
        at(API)
            .with("X-Api-Key", "")
            .with("Authorization", &format!("Bearer {key}")),
        at(API).with("X-Api-Key", &key).with("X-Api-Key", &key),
        at(API).with("X_Api_Key", &key),
        at("wiki.example.com").with("X-Api-Key", &of_wiki),
    ] {
        asked.ask(&world, "auth/traefik").await.expect(401);
    }
    bring(&world, &key).await.expect(200);
}

#[tokio::test]
async fn a_key_ends_when_it_is_revoked_or_its_time_is_over_at_every_replica() {
    let world = world(KEYS).await;
    let other = world.replica_with(&applications(KEYS)).await;
    let (key, summary) = create(&world, wanted()).await;
    let (long, _) = create(
        &world,
        NewApiKey {
            lifetime: 7_200,
            ..wanted()
        },
    )
    .await;
    for world in [&world, &other] {
        bring(world, &key).await.expect(200);
    }
    let ended = operate(&other, KeyRequest::Revoke(WhichKeys::Id(summary.id))).await;
    assert_eq!(ended, revoked(1));
    for world in [&world, &other] {
        bring(world, &key).await.expect(401);
        bring(world, &long).await.expect(200);
    }
    world.wait(7_200);
    for world in [&world, &other] {
        bring(world, &long).await.expect(401);
    }
}

/// As a Redis after a failover, or a store from a backup.
#[tokio::test]
async fn a_revoked_key_that_the_store_has_again_is_refused() {
    let world = world(KEYS).await;
    let other = world.replica_with(&applications(KEYS)).await;
    world.outpost.start();
    other.outpost.start();
    let (key, summary) = create(&world, wanted()).await;
    let id = ApiKeyId::parse(&summary.id).expect("an id");
    let stored = world.store.find_api_key(&id).await.expect("asked");
    let record = stored.and_then(|stored| stored.record).expect("a record");
    let revoke = || KeyRequest::Revoke(WhichKeys::Id(summary.id.clone()));
    assert_eq!(operate(&world, revoke()).await, revoked(1));
    let revocations = other.outpost.sessions.revoker().revocations();
    crate::world::until("the other replica to know", async || {
        revocations.is_api_key_revoked(&id)
    })
    .await;
    // The log of revocations is lost too.
    world.store.forget();
    let bring_back = async || world.store.insert_api_key(record.clone()).await;
    bring_back().await.expect("inserted");
    world.wait(11);
    for world in [&world, &other] {
        bring(world, &key).await.expect(401);
        assert_eq!(list(world).await, []);
    }
    // A replica that starts afterwards learns of it from those that run.
    crate::world::until("the log to be restored", async || {
        let log = world.store.revocations(world.outpost.clock.now()).await;
        let of_key = |entry: &Revocation| matches!(entry, Revocation::ApiKey { .. });
        log.expect("read").iter().any(of_key)
    })
    .await;
    assert_eq!(operate(&world, revoke()).await, revoked(1));
    assert!(
        world
            .store
            .find_api_key(&id)
            .await
            .expect("asked")
            .is_none()
    );
}

#[tokio::test]
async fn no_key_is_accepted_while_the_store_is_away() {
    let world = world(KEYS).await;
    let (key, _) = create(&world, wanted()).await;
    bring(&world, &key).await.expect(200);
    world.store.away.store(true, Ordering::Relaxed);
    bring(&world, &key).await.expect(503);
    world.store.away.store(false, Ordering::Relaxed);
    bring(&world, &key).await.expect(200);
}

/// The store has it, so the client does not guess, and no operator has revoked it.
#[tokio::test]
async fn a_key_that_the_ring_does_not_open_is_neither_refused_nor_forgotten() {
    let world = world(KEYS).await;
    let (key, summary) = create(&world, wanted()).await;
    world.store.unreadable.store(true, Ordering::Relaxed);
    for _ in 0..40 {
        bring(&world, &key).await.expect(503);
    }
    let shown = AdminResponse::Keys {
        keys: Vec::new(),
        unreadable: vec![summary.id.clone()],
    };
    assert_eq!(operate(&world, KeyRequest::List { limit: 10 }).await, shown);
    let subject = WhichKeys::Subject("ci".into());
    let answer = operate(&world, KeyRequest::Revoke(subject)).await;
    let expected = AdminResponse::RevokedKeys {
        revoked: 0,
        unreadable: 1,
    };
    assert_eq!(answer, expected);
    world.store.unreadable.store(false, Ordering::Relaxed);
    bring(&world, &key).await.expect(200);
    world.store.unreadable.store(true, Ordering::Relaxed);
    let all = KeyRequest::Revoke(WhichKeys::All);
    assert_eq!(operate(&world, all).await, revoked(1));
    bring(&world, &key).await.expect(401);
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_has_happened() {
    let world = world(KEYS).await;
    let (key, summary) = create(&world, wanted()).await;
    world.store.loses_answers.store(true, Ordering::Relaxed);
    let revoke = KeyRequest::Revoke(WhichKeys::Id(summary.id));
    assert_eq!(operate(&world, revoke).await, revoked(1));
    bring(&world, &key).await.expect(401);
}

/// A provider could use the key, and what asks it costs more than the store does.
#[tokio::test]
async fn no_provider_sees_a_key() {
    let world = world(KEYS_AND_TOKENS).await;
    let (key, _) = create(&world, wanted()).await;
    bring(&world, &key).await.expect(200);
    call(&world, &basic("any", &key)).await.expect(200);
    let unknown = made_up();
    bring(&world, &unknown).await.expect(401);
    call(&world, &basic("any", &unknown)).await.expect(401);
    // As `curl --user "$KEY:"` sends it.
    call(&world, &basic(&key, "")).await.expect(200);
    for pair in [("any", &key[..30]), (&key[..30], ""), (&unknown, "any")] {
        call(&world, &basic(pair.0, pair.1)).await.expect(401);
    }
    assert_eq!(asked_by_programs(&world), 0);

    let tokens_alone = "machines: [bearer, basic], machineTokens: {introspect: true}";
    let world = self::world(tokens_alone).await;
    for credentials in [
        format!("Bearer {unknown}"),
        basic("any", &unknown),
        basic(&unknown, ""),
    ] {
        call(&world, &credentials).await.expect(401);
    }
    assert_eq!(asked_by_programs(&world), 0);
}

#[tokio::test]
async fn a_refused_key_leads_to_tokens_where_tokens_are_accepted() {
    let resource = "machineTokens: {resource: 'https://api.example.com'}";
    for (machines, leads) in [("apiKey", false), ("apiKey, bearer", true)] {
        let world = world(&format!("machines: [{machines}], {resource}")).await;
        let reply = bring(&world, "gp_x").await.expect(401);
        let challenge = reply.header("www-authenticate").expect("a challenge");
        let start = "Bearer realm=\"api\", error=\"invalid_token\"";
        let parameters = challenge.strip_prefix(start).expect(challenge);
        assert_eq!(
            parameters.contains("resource_metadata"),
            leads,
            "{machines}"
        );
        assert_eq!(parameters.is_empty(), !leads, "{machines}");
    }
}

/// Also with `forward`: the application could use it at the key's other applications.
#[tokio::test]
async fn no_application_sees_a_key() {
    let world = world("machines: [apiKey], machineTokens: {forward: true}").await;
    let (key, _) = create(&world, wanted()).await;
    let reply = bring(&world, &key).await.expect(200);
    assert_eq!(reply.header("authorization"), None);
    assert!(!format!("{reply:?}").contains(&key));
}

/// The outpost decides on such a request without the key: nothing keeps the key from the application
/// but the answer that the proxy copies.
#[tokio::test]
async fn no_application_sees_a_key_that_does_not_decide() {
    let world = world(KEYS).await;
    let (key, _) = create(&world, wanted()).await;
    let browser = signed_in(&world, API).await;
    let bearer = format!("Bearer {key}");
    for dialect in DIALECTS {
        for sent in [
            bearer.clone(),
            format!("bearer   {key}"),
            format!("Bearer x, {bearer}"),
            format!("ApiKey {key}"),
            basic("any", &key),
            basic(&key, ""),
            basic(&key, "any"),
            "Bearer gp_half".to_owned(),
        ] {
            let own = Asked::fetch(API, "/v1").with("X-Api-Key", &key);
            let user = Asked::fetch(API, "/v1").by(&browser);
            let anyone = Asked::fetch(API, "/public/x");
            for (case, asked) in [
                ("another key", own),
                ("a session", user),
                ("public", anyone),
            ] {
                let asked = asked.with("Authorization", &sent);
                let reply = asked.ask(&world, dialect).await.expect(200);
                // These keep what the client sent where the answer lacks it.
                let keeps = matches!(dialect, "auth/caddy" | "auth/envoy");
                let expected = keeps.then_some("");
                let kept = reply.header("authorization");
                assert_eq!(kept, expected, "{dialect}, {case}: {sent}");
            }
        }
        for sent in ["Bearer a.b.gp_c", "Digest a", &basic("gp", "a_gp_b")] {
            let asked = Asked::fetch(API, "/public/x").with("Authorization", sent);
            let reply = asked.ask(&world, dialect).await.expect(200);
            assert_eq!(reply.header("authorization"), Some(sent), "{dialect}");
        }
    }
}

#[tokio::test]
async fn guesses_cost_their_sender_and_garbage_costs_the_store_nothing() {
    let world = world(KEYS).await;
    let (key, _) = create(&world, wanted()).await;
    let from = async |client: &str, key: &str| {
        let asked = Asked::fetch(API, "/v1").with("Authorization", &format!("Bearer {key}"));
        let asked = asked.with("X-Forwarded-For", client);
        asked.ask(&world, "auth/traefik").await
    };
    for number in 0..100 {
        from("192.0.2.1", &format!("gp_garbage{number}"))
            .await
            .expect(401);
    }
    assert_eq!(searches(&world), 0);
    let mut guess = String::new();
    for _ in 0..30 {
        guess = made_up();
        from("192.0.2.1", &guess).await.expect(401);
    }
    let asked = searches(&world);
    from("192.0.2.1", &made_up()).await.expect(429);
    from("192.0.2.9", &guess).await.expect(401);
    assert_eq!(searches(&world), asked, "not even asked about");
    // Others go on, and so does a key at that address that was valid before.
    from("192.0.2.1", &key).await.expect(429);
    from("192.0.2.2", &key).await.expect(200);
    from("192.0.2.1", &key).await.expect(200);
}

#[tokio::test]
async fn an_operator_sees_which_keys_there_are_and_how_they_were_used() {
    let world = world(KEYS).await;
    let (key, summary) = create(&world, wanted()).await;
    assert_eq!(list(&world).await, [summary]);
    for _ in 0..3 {
        bring(&world, &key).await.expect(200);
    }
    bring(&world, &made_up()).await.expect(401);
    world.outpost.start();
    crate::world::until("the use to be written", async || {
        list(&world).await[0].uses == 3
    })
    .await;
    let listed = list(&world).await;
    assert!(listed[0].last_used.is_some());
    let shown = serde_json::to_string(&listed).expect("JSON");
    assert!(!shown.contains(&key), "{shown}");
    let of = |name: &str| KeyRequest::Revoke(WhichKeys::Subject(name.into()));
    assert_eq!(operate(&world, of("nobody")).await, revoked(0));
    assert_eq!(operate(&world, of("ci")).await, revoked(1));
    assert_eq!(list(&world).await, []);
    bring(&world, &key).await.expect(401);
}

/// A process that ends may have begun to write.
#[tokio::test]
async fn the_last_write_of_the_use_waits_for_one_that_is_under_way() {
    let world = world(KEYS).await;
    let (key, _) = create(&world, wanted()).await;
    bring(&world, &key).await.expect(200);
    let keys = &world.outpost.api_keys;
    let last = async {
        keys.write_usage().await;
        list(&world).await[0].uses
    };
    let ((), uses) = tokio::join!(keys.write_usage(), last);
    assert_eq!(uses, 1);
}

/// However many keys were used, the store is asked to write once, and not at all after no use. What it
/// does not take is written with the next.
#[tokio::test]
async fn the_use_of_all_keys_is_one_write() {
    let world = world(KEYS).await;
    let writes = || world.store.usage_writes.load(Ordering::Relaxed);
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(create(&world, wanted()).await.0);
    }
    for key in &all {
        bring(&world, key).await.expect(200);
    }
    let keys = &world.outpost.api_keys;
    world.store.away.store(true, Ordering::Relaxed);
    keys.write_usage().await;
    assert_eq!(writes(), 1);
    world.store.away.store(false, Ordering::Relaxed);
    bring(&world, &all[0]).await.expect(200);
    for _ in 0..3 {
        keys.write_usage().await;
    }
    assert_eq!(writes(), 2);
    let mut uses: Vec<_> = list(&world).await.iter().map(|key| key.uses).collect();
    uses.sort_unstable();
    assert_eq!(uses.iter().sum::<u64>(), 11, "{uses:?}");
    assert_eq!((uses[0], uses[9]), (1, 2));
}

#[tokio::test]
async fn a_key_that_could_not_be_used_is_not_created() {
    let world = world(KEYS).await;
    let change = |change: &dyn Fn(&mut NewApiKey)| {
        let mut key = wanted();
        change(&mut key);
        key
    };
    for (case, key) in [
        ("no subject", change(&|key| key.subject.clear())),
        ("a line break", change(&|key| key.subject = "a\nb".into())),
        ("a long name", change(&|key| key.subject = "a".repeat(257))),
        (
            "an empty group",
            change(&|key| key.groups = vec![String::new()]),
        ),
        (
            "many groups",
            change(&|key| key.groups = vec!["g".into(); 101]),
        ),
        ("no application", change(&|key| key.applications.clear())),
        (
            "an unknown one",
            change(&|key| key.applications = vec!["x".into()]),
        ),
        (
            "one without keys",
            change(&|key| key.applications = vec!["app".into()]),
        ),
        ("no time", change(&|key| key.lifetime = 0)),
        ("for ever", change(&|key| key.lifetime = u64::MAX)),
    ] {
        let answer = operate(&world, KeyRequest::Create(key)).await;
        assert!(
            matches!(answer, AdminResponse::Wrong(_)),
            "{case}: {answer:?}"
        );
    }
    let wrong = operate(&world, KeyRequest::Revoke(WhichKeys::Id("x".into()))).await;
    assert!(matches!(wrong, AdminResponse::Wrong(_)), "{wrong:?}");
    assert_eq!(list(&world).await, []);
}
