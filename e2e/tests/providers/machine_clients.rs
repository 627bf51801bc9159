//! Machine clients of the provider at which users sign in, through real Traefik.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::providers::Registration;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Answer, Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::further_issuer::handing_on;
use crate::matrix::Cell;

const AUDIENCE: &str = "https://wiki.example.com";

/// The outpost's own client: Keycloak tells it of tokens that are for it, too, and of no others.
const OUTPOST: &str = "outpost-of-machine-clients";

/// A role that every account has.
const ROLE: &str = "default-roles-work";

pub(crate) fn scenario(bench: &Bench<'_>) -> Result<Cell> {
    let Some(program) = bench.provider.program(&[AUDIENCE, OUTPOST])? else {
        return Ok(Cell::Absent);
    };
    let registration = Registration {
        client_id: OUTPOST.to_owned(),
        ..bench.registration()
    };
    let client = bench.provider.register(&registration)?;
    let mut provider = registration.settings(&*bench.provider, &client);
    provider["groupsClaim"] = json!(["groups", "realm_access.roles"]);
    let basic = |secret: &str| {
        let pair = format!("{}:{secret}", program.id);
        format!("Basic {}", STANDARD.encode(pair))
    };
    let bearer = |token: &str| format!("Bearer {token}");
    for introspect in [false, true] {
        let site = site(&provider, introspect)?;
        let changes = json!({ "http": { "middlewares": { "gatepost": handing_on() } } });
        let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
            .start(&["wiki"])?;
        for credentials in [bearer(&program.token), basic(program.secret)] {
            let answer = call(&site, &credentials)?;
            let log = || format!("{}: {}", answer.body, site.outpost().output());
            assert_eq!(answer.status, StatusCode::OK, "{introspect}: {}", log());
            let seen = site.wiki();
            let seen = seen.last().context("the application was asked")?;
            let name = seen.header("x-auth-username");
            assert_eq!(name, Some("service-account-robot"), "{introspect}");
            assert_eq!(seen.header("authorization"), None, "{introspect}");
        }
        let served = site.wiki().len();
        let (signed, _) = program.token.rsplit_once('.').context("a JWT")?;
        let mut refused = vec![
            ("without a signature", bearer(&format!("{signed}."))),
            ("a wrong secret", basic("guess")),
        ];
        for (kind, token) in &program.other_tokens {
            refused.push((kind, bearer(token)));
        }
        for (what, credentials) in refused {
            let status = call(&site, &credentials)?.status;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{introspect}: {what}");
        }
        assert_eq!(site.wiki().len(), served, "{introspect}");
    }
    Ok(Cell::Yes)
}

fn site(provider: &Value, introspect: bool) -> Result<Site> {
    Site::builder("deploy/outpost/single.yaml")
        .outpost(&json!({ "providers": [provider] }))
        .applications(&json!({
            "require": { "groups": [ROLE] },
            "machines": ["bearer", "basic"],
            "machineTokens": { "audience": [AUDIENCE], "introspect": introspect },
        }))
        .start()
}

fn call(site: &Site, credentials: &str) -> Result<Answer> {
    let request = Client::new()?.bare(Method::GET, &site.url("wiki", "/api")?);
    Answer::read(request.header("Authorization", credentials).send()?)
}
