//! Tokens of issuers at which no user signs in, as a Kubernetes cluster is.

use axum::http::StatusCode;
use gatepost::config::{Config, ConfigError};
use serde_json::{Value, json};

use crate::browser::Reply;
use crate::forward_auth::{Asked, DIALECTS};
use crate::provider::{Provider, key};
use crate::world::{KEY_A, World, configuration, now};

const API: &str = "api.example.com";

/// An application that takes tokens of a cluster.
fn applications(issuers: &str, more: &str) -> String {
    format!(
        "
applications:
  - {{name: api, externalUrl: 'https://{API}', machines: bearer,
     require: {{groups: [ci]}}, machineTokens: {{{more} issuers: [{issuers}]}}}}
  - {{name: app, externalUrl: 'https://app.example.com', machines: bearer}}
"
    )
}

struct Cluster {
    world: World,
    cluster: Provider,
}

impl Cluster {
    async fn new(more: &str) -> Self {
        Self::with(more, "").await
    }

    /// One whose application has these further keys too.
    async fn with(more: &str, keys: &str) -> Self {
        let (provider, cluster) = (Provider::start().await, Provider::start().await);
        cluster.script().key = (2, "cluster");
        // It has no more than this.
        cluster.script().discovery = Box::new(|document| {
            let all = document.as_object_mut().expect("an object");
            all.retain(|name, _| ["issuer", "jwks_uri"].contains(&name.as_str()));
        });
        let issuer = format!(
            "{{issuer: '{}', audience: [api.example.com, spare], \
             groupsClaim: 'kubernetes\\.io.namespace'}}",
            cluster.issuer
        );
        let applications = applications(&issuer, more);
        let applications = applications.replacen("require:", &format!("{keys}require:"), 1);
        let yaml = configuration(&provider, KEY_A, &applications);
        let world = World::configured(provider, &yaml);
        world.find_provider().await;
        Self { world, cluster }
    }

    /// The claims of a service account's token.
    fn claims(&self) -> Value {
        let now = now();
        json!({
            "aud": [API],
            "exp": now + 3_607,
            "iat": now,
            "nbf": now,
            "iss": self.cluster.issuer,
            "jti": "made-up",
            "kubernetes.io": {
                "namespace": "ci",
                "pod": {"name": "runner", "uid": "made-up"},
                "serviceaccount": {"name": "deployer", "uid": "made-up"},
            },
            "sub": "system:serviceaccount:ci:deployer",
        })
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        let header = json!({"alg": "EdDSA", "kid": "cluster"});
        self.cluster.sign(&header, &claims)
    }

    async fn bring(&self, token: &str) -> Reply {
        bring(&self.world, API, token).await
    }
}

async fn bring(world: &World, host: &str, token: &str) -> Reply {
    let asked = Asked::fetch(host, "/v1").with("Authorization", &format!("Bearer {token}"));
    asked.ask(world, "auth/traefik").await
}

#[tokio::test]
async fn a_service_account_is_let_in_by_its_namespace_through_every_proxy() {
    let cluster = Cluster::new("").await;
    let token = cluster.token(|_| ());
    for dialect in DIALECTS {
        let asked = Asked::fetch(API, "/v1").with("Authorization", &format!("Bearer {token}"));
        let reply = asked.ask(&cluster.world, dialect).await.expect(200);
        for (name, value) in [
            ("X-Auth-Username", "system:serviceaccount:ci:deployer"),
            ("X-Auth-Groups", "ci"),
            ("X-Forwarded-User", "system:serviceaccount:ci:deployer"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{dialect} {name}");
        }
    }
    // One question for its keys served them all.
    assert_eq!(cluster.cluster.script().key_fetches, 1);
    let elsewhere = cluster.token(|claims| claims["kubernetes.io"]["namespace"] = json!("dev"));
    cluster.bring(&elsewhere).await.expect(403);
    // Another application does not take them, whatever they say.
    let reply = bring(&cluster.world, "app.example.com", &token).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_tokens_of_the_provider_are_taken_too() {
    for more in ["", "introspect: true,"] {
        let cluster = Cluster::new(more).await;
        cluster.bring(&cluster.token(|_| ())).await.expect(200);
        let of_provider = |claims: &mut Value| claims["groups"] = json!(["ci"]);
        let mut claims = cluster.world.provider.access_claims();
        of_provider(&mut claims);
        claims["active"] = json!(true);
        cluster.world.provider.script().introspection = claims;
        let token = cluster.world.provider.access_token(of_provider);
        cluster.bring(&token).await.expect(200);
        // Asked of the provider is what is its own.
        let asked = cluster.world.provider.script().asked_by_programs.len();
        assert_eq!(asked, usize::from(!more.is_empty()), "{more}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_for_the_application_or_not_the_issuers_is_refused() {
    let cluster = Cluster::new("").await;
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 15] = [
        ("for the cluster itself", |c| {
            c["aud"] = json!(["https://kubernetes.default.svc"]);
        }),
        ("for nobody", |c| c["aud"] = json!([])),
        ("without an audience", |c| {
            drop(c.as_object_mut().map(|c| c.remove("aud")))
        }),
        ("an audience that is no text", |c| {
            c["aud"] = json!({"api.example.com": true})
        }),
        ("of the provider", |c| {
            c["iss"] = json!("https://id.example.com")
        }),
        ("without an end", |c| {
            drop(c.as_object_mut().map(|c| c.remove("exp")))
        }),
        ("without a beginning", |c| {
            drop(c.as_object_mut().map(|c| c.remove("iat")))
        }),
        ("over", |c| c["exp"] = json!(1_700_000_000)),
        ("not yet", |c| c["nbf"] = json!(4_000_000_000_u64)),
        ("older than a session", |c| c["iat"] = json!(1_700_000_000)),
        ("of nobody", |c| c["sub"] = json!("")),
        ("bound to a key", |c| c["cnf"] = json!({"jkt": "x"})),
        ("of a user's sign-in", |c| c["nonce"] = json!("n")),
        ("a logout token", |c| c["events"] = json!({})),
        ("a refresh token", |c| c["typ"] = json!("Refresh")),
    ];
    for (case, change) in cases {
        let reply = cluster.bring(&cluster.token(change)).await;
        assert_eq!(reply.status, 401, "{case}");
    }
    let claims = cluster.claims();
    let sign = |header: Value| cluster.cluster.sign(&header, &claims);
    for (case, header) in [
        ("none", json!({"alg": "none", "kid": "cluster"})),
        ("a MAC", json!({"alg": "HS256", "kid": "cluster"})),
        (
            "critical",
            json!({"alg": "EdDSA", "kid": "cluster", "crit": ["x"]}),
        ),
        (
            "another kind",
            json!({"alg": "EdDSA", "kid": "cluster", "typ": "logout+jwt"}),
        ),
        ("an unknown key", json!({"alg": "EdDSA", "kid": "other"})),
    ] {
        assert_eq!(cluster.bring(&sign(header)).await.status, 401, "{case}");
    }
    // Signed by the provider, whose keys are not the cluster's.
    let forged = cluster
        .world
        .provider
        .sign(&json!({"alg": "EdDSA", "kid": "cluster"}), &claims);
    assert_eq!(cluster.bring(&forged).await.status, 401);
    let mut damaged = cluster.token(|_| ());
    damaged.replace_range(damaged.len() - 6.., "AAAAAA");
    assert_eq!(cluster.bring(&damaged).await.status, 401);
    assert!(cluster.cluster.script().key_fetches <= 2);
    // A genuine token is still accepted.
    cluster.bring(&cluster.token(|_| ())).await.expect(200);
}

#[tokio::test]
async fn while_its_keys_cannot_be_had_a_token_is_neither_taken_nor_refused() {
    let cluster = Cluster::new("").await;
    cluster.cluster.script().down = true;
    let token = cluster.token(|_| ());
    for _ in 0..5 {
        assert_eq!(cluster.bring(&token).await.status, 503);
    }
    // A flood of tokens is not a flood of questions.
    assert_eq!(cluster.cluster.script().discoveries, 1);
    let other = Cluster::new("").await;
    let elsewhere = json!("https://elsewhere.example");
    other.cluster.script().discovery = Box::new(move |d| d["issuer"] = elsewhere.clone());
    assert_eq!(other.bring(&other.token(|_| ())).await.status, 503);
}

/// The keys of a file, as a set.
fn key_file(folder: &tempfile::TempDir, keys: &Value) -> String {
    let path = folder.path().join("keys.json");
    std::fs::write(&path, json!({"keys": keys}).to_string()).expect("written");
    path.display().to_string()
}

#[tokio::test]
async fn keys_may_be_in_a_file_and_the_issuer_a_mere_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = key_file(&folder, &json!([key(2, "cluster")]));
    let (provider, cluster) = (Provider::start().await, Provider::start().await);
    cluster.script().key = (2, "cluster");
    let issuer = format!(
        "{{issuer: kubernetes/serviceaccount, audience: {API}, jwksFile: '{path}', \
         groupsClaim: teams, usernameClaim: name, emailClaim: mail}}"
    );
    let yaml = configuration(&provider, KEY_A, &applications(&issuer, ""));
    let world = World::configured(provider, &yaml);
    let now = now();
    let claims = json!({
        "iss": "kubernetes/serviceaccount", "aud": API, "sub": "s", "iat": now, "exp": now + 60,
        "name": "robot", "teams": ["ci"], "mail": "robot@example.com",
    });
    let token = cluster.sign(&json!({"alg": "EdDSA"}), &claims);
    let reply = bring(&world, API, &token).await.expect(200);
    assert_eq!(reply.header("X-Auth-Username"), Some("robot"));
    assert_eq!(reply.header("X-Forwarded-Email"), Some("robot@example.com"));
    assert_eq!(cluster.script().key_fetches, 0);
}

#[tokio::test]
async fn what_is_wrong_with_an_issuer_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = key_file(&folder, &json!([key(2, "cluster")]));
    let empty = folder.path().join("none.json");
    std::fs::write(&empty, r#"{"keys": []}"#).expect("written");
    let empty = empty.display();
    let provider = Provider::start().await;
    let own = provider.issuer.clone();
    for (issuer, expected) in [
        ("{audience: [a]}".to_owned(), "issuers[0].issuer: missing"),
        (
            "{issuer: 'https://k'}".to_owned(),
            "issuers[0].audience: missing",
        ),
        (
            "{issuer: 'https://k', audience: []}".to_owned(),
            "issuers[0].audience: missing",
        ),
        (
            "{issuer: k, audience: [a]}".to_owned(),
            "`jwksUrl` or `jwksFile`",
        ),
        (
            format!("{{issuer: '{own}', audience: [a]}}"),
            "is a provider of the application",
        ),
        (
            "{issuer: 'https://k', audience: [a]}, {issuer: 'https://k', audience: [b]}".to_owned(),
            "is named twice",
        ),
        (
            format!("{{issuer: k, audience: [a], jwksFile: '{good}', jwksUrl: 'https://k/keys'}}"),
            "set only one",
        ),
        (
            format!("{{issuer: k, audience: [a], jwksFile: '{empty}'}}"),
            "is not a key set: it has no key that verifies a signature",
        ),
        (
            "{issuer: 'http://k', audience: [a], tokenFile: /t}".to_owned(),
            "tokenFile: needs keys at an https URL",
        ),
        (
            format!("{{issuer: k, audience: [a], jwksFile: '{good}', tokenFile: /t}}"),
            "tokenFile: needs keys at an https URL",
        ),
    ] {
        let yaml = configuration(&provider, KEY_A, &applications(&issuer, ""));
        let Err(ConfigError::Invalid(findings)) = Config::parse(&yaml, []) else {
            panic!("{issuer}");
        };
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{issuer}: {lines:?}"
        );
    }
}

/// The application would take it for one of its provider, and show it to that.
#[tokio::test]
async fn a_token_of_a_cluster_does_not_go_on_as_one_of_the_provider() {
    let tokens = "upstreamTokens: {accessToken: X-Token}, ";
    let cluster = Cluster::with("", tokens).await;
    let token = cluster.token(|_| ());
    let reply = cluster.bring(&token).await.expect(200);
    assert_eq!(reply.header("x-token").unwrap_or_default(), "");
}
