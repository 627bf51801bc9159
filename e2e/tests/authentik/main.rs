//! In the place of authentik's proxy container: the texts by which people have set that up, with
//! the container's image changed and nothing else but host names.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_e2e::Compose;
use gatepost_e2e::doubles::authentik::{Authentik, ROBOT};
use gatepost_e2e::doubles::docker_api::DockerApi;
use gatepost_e2e::doubles::kube_api::KubeApi;
use gatepost_e2e::proxies::{IngressNginx, Nginx, Traefik};
use gatepost_e2e::{Answer, Client, Redis, Site, until, users};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

mod cookies;
mod fixtures;
mod hosts;
mod renamed;

const PATIENCE: Duration = Duration::from_secs(60);

/// Signs in from a deep link, and comes back to it with the identity that authentik's headers say.
fn signs_in(site: &Site) -> Result<Client> {
    let alice = Client::new()?;
    let page = site.url("wiki", "/reports?year=2026&q=a%2Fb")?;
    let journey = alice.sign_in(&page, &users::ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.uri, "/reports?year=2026&q=a%2Fb");
    for (name, expected) in [
        ("x-authentik-username", users::ALICE.login),
        ("x-authentik-email", "alice@example.com"),
        ("x-authentik-groups", "staff|admins"),
    ] {
        assert_eq!(seen.header(name), Some(expected), "{name}");
    }
    let before = site.wiki().len();
    assert_eq!(fetch(&alice, site, "/api")?, StatusCode::OK);
    assert_eq!(site.wiki().len(), before + 1, "no further trip to sign in");
    // A path that needs no session has the user's identity all the same.
    assert_eq!(fetch(&alice, site, "/public/logo.png")?, StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    let name = seen.header("x-authentik-username");
    assert_eq!(name, Some(users::ALICE.login), "/public/logo.png");
    Ok(alice)
}

/// Checks that a client without a session, also with headers of its own, gets no further than
/// before.
fn strangers_stay_out(site: &Site) -> Result<()> {
    let mallory = Client::new()?;
    let before = site.wiki().len();
    for path in [
        "/",
        "/private?path=/public/",
        "/public/../private",
        "/public/%2e%2e/private",
    ] {
        let request = mallory
            .fetch(Method::GET, &site.url("wiki", path)?)
            .header("X-authentik-username", "mallory")
            .header("Cookie", "gatepost=%%%");
        let status = request.send()?.status();
        assert!(status != StatusCode::OK, "{path}: {status}");
    }
    assert_eq!(site.wiki().len(), before);
    Ok(())
}

fn fetch(client: &Client, site: &Site, path: &str) -> Result<StatusCode> {
    Ok(client
        .fetch(Method::GET, &site.url("wiki", path)?)
        .send()?
        .status())
}

/// Starts the compose file, with one more app, which authentik learns of later.
fn compose(site: &Site) -> Result<(gatepost_e2e::Service, DockerApi)> {
    let compose = Compose::of_authentik(site, "testdata/authentik/docker-compose.yml")?;
    let socket = site.folder().join("docker.sock");
    let engine = DockerApi::start(&socket, compose.containers.clone())?;
    let traefik = Traefik::of_compose(site, &compose, &socket)?.start(&["wiki"])?;
    Ok((traefik, engine))
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn docker_compose() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _running = compose(&site)?;
    strangers_stay_out(&site)?;
    let alice = signs_in(&site)?;
    let anonymous = Client::new()?;
    assert_eq!(
        fetch(&anonymous, &site, "/public/logo.png")?,
        StatusCode::OK
    );
    let seen = site.wiki();
    let skipped = seen.last().context("the app was asked")?;
    assert_eq!(skipped.header("x-authentik-username"), None);
    said_hello(&authentik)?;
    a_provider_is_added(&site, &authentik, &alice)?;
    authentik_goes_away(&site, &authentik, &alice)
}

fn said_hello(authentik: &Authentik) -> Result<()> {
    let hello = until("a hello", PATIENCE, || Ok(authentik.hellos().pop()))?;
    for name in ["version", "hostname", "uuid"] {
        let value = hello.get(name).and_then(Value::as_str);
        assert!(
            value.is_some_and(|text| !text.is_empty()),
            "{name}: {hello}"
        );
    }
    Ok(())
}

/// Adds a provider, of which the WebSocket informs the outpost; its ID tokens have a MAC with the
/// client secret.
fn a_provider_is_added(site: &Site, authentik: &Authentik, alice: &Client) -> Result<()> {
    let page = site.url("files", "/shared")?;
    let answer = Answer::read(alice.fetch(Method::GET, &page).send()?)?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "not known yet");
    authentik.add(site.files_in_authentik()?);
    until("the new application", PATIENCE, || {
        let status = alice.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    // At the provider alice is signed in already.
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    let seen = site.files();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-authentik-username"), Some("alice"));
    assert_eq!(seen.header("x-authentik-meta-app"), Some("files"));
    assert_eq!(
        fetch(alice, site, "/")?,
        StatusCode::OK,
        "the first one stays"
    );
    Ok(())
}

/// Checks that users do not notice that authentik is away, and that the outpost follows it again.
fn authentik_goes_away(site: &Site, authentik: &Authentik, alice: &Client) -> Result<()> {
    authentik.stop();
    until("the outpost to notice", PATIENCE, || {
        Ok(site
            .outpost()
            .output()
            .contains("no WebSocket to authentik")
            .then_some(()))
    })?;
    assert_eq!(fetch(alice, site, "/")?, StatusCode::OK);
    let bob = Client::new()?;
    let page = site.url("wiki", "/")?;
    let journey = bob.sign_in(&page, &users::BOB)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    let hellos = authentik.hellos().len();
    authentik.resume()?;
    until("a hello to authentik again", PATIENCE, || {
        Ok((authentik.hellos().len() > hellos).then_some(()))
    })?;
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_session_that_authentik_ends_is_over() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _running = compose(&site)?;
    let alice = signs_in(&site)?;
    said_hello(&authentik)?;
    let sid = sid_of_the_only_session(&site)?;
    authentik.end_session("another");
    authentik.end_session(&sid);
    until("the session's end", PATIENCE, || {
        Ok((fetch(&alice, &site, "/")? == StatusCode::UNAUTHORIZED).then_some(()))
    })
}

/// Row C: authentik says once that a session has ended, and the store may be away just then.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_session_that_authentik_ends_while_the_store_is_away_is_over_when_it_is_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path(), &[])?;
    let url = redis.url();
    // As authentik's own variables name it.
    let url = url::Url::parse(&url)?;
    let port = url.port().context("a port")?.to_string();
    let store = [
        ("AUTHENTIK_REDIS__HOST", url.host_str().context("a host")?),
        ("AUTHENTIK_REDIS__PORT", &*port),
    ];
    let (site, authentik) = Site::of_authentik_with(StatusCode::UNAUTHORIZED, &json!({}), &store)?;
    let _running = compose(&site)?;
    let alice = signs_in(&site)?;
    said_hello(&authentik)?;
    let sid = sid_of_the_only_session(&site)?;
    redis.stop();
    authentik.end_session(&sid);
    until("the outpost to fail", PATIENCE, || {
        let said = site.outpost().output();
        Ok(said.contains("cannot end the sessions").then_some(()))
    })?;
    assert_eq!(fetch(&alice, &site, "/")?, StatusCode::OK, "in its window");
    redis.start_again()?;
    until("the session's end", PATIENCE, || {
        Ok((fetch(&alice, &site, "/")? == StatusCode::UNAUTHORIZED).then_some(()))
    })
}

/// Returns the list that the operator sees of the only session that there is.
fn list_of_the_only_session(site: &Site) -> Result<String> {
    let (listed, well) = site.gatepost(&["session", "list"])?;
    assert!(well && listed.contains("1 sessions"), "{listed}");
    Ok(listed)
}

/// Returns the session at authentik of the only session that there is.
fn sid_of_the_only_session(site: &Site) -> Result<String> {
    let listed = list_of_the_only_session(site)?;
    let (_, sid) = listed
        .lines()
        .find_map(|line| line.split_once("session at the provider "))
        .context("a `sid`")?;
    Ok(sid.trim_matches('`').to_owned())
}

/// Browsers know authentik by another address than the outpost does.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn browsers_go_to_the_public_address_and_the_outpost_asks_the_internal_one() -> Result<()> {
    let browser = [("AUTHENTIK_HOST_BROWSER", "https://id.example.com")];
    let (site, authentik) =
        Site::of_authentik_with(StatusCode::UNAUTHORIZED, &json!({}), &browser)?;
    let _running = compose(&site)?;
    let page = site.url("wiki", "/private")?;
    let journey = Client::new()?.sign_in(&page, &users::ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let internal = authentik.url()?;
    assert!(
        journey.hops().all(|hop| hop.url.port() != internal.port()),
        "{journey}"
    );
    let asked = authentik.forwarded();
    for endpoint in ["/jwks", "/token"] {
        assert!(asked.iter().any(|path| path == endpoint), "{asked:?}");
    }
    Ok(())
}

/// A restart while authentik is away: its last response is on the disk, and so are the sessions.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_outpost_with_a_disk_starts_without_authentik() -> Result<()> {
    let store = [("GATEPOST_STORE_PATH", "/var/lib/gatepost/sessions.db")];
    let (site, authentik) = Site::of_authentik_with(StatusCode::UNAUTHORIZED, &json!({}), &store)?;
    let _running = compose(&site)?;
    let alice = signs_in(&site)?;
    let kept = site.folder().join("sessions.authentik");
    until("what authentik says to be kept", PATIENCE, || {
        Ok(kept.exists().then_some(()))
    })?;
    let text = std::fs::read(&kept)?;
    let secret = b"demo-client-secret";
    assert!(!text.windows(secret.len()).any(|part| part == secret));

    authentik.stop();
    site.outpost().stop();
    site.outpost().start()?;
    assert_eq!(
        fetch(&alice, &site, "/")?,
        StatusCode::OK,
        "still signed in"
    );
    let bob = Client::new()?;
    let page = site.url("wiki", "/")?;
    let journey = bob.sign_in(&page, &users::BOB)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    Ok(())
}

/// `intercept_header_auth`, which is on by default: the outpost asks authentik about credentials,
/// and the app gets the same identity headers as for users.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn credentials_are_asked_about() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _running = compose(&site)?;
    authentik.knows_robot(json!({
        "preferred_username": "robot",
        "groups": ["staff"],
        "ak_proxy": { "user_attributes": { "additionalHeaders": {
            "X-Team": "blue",
            "X-authentik-username": "root",
        } } },
    }));
    let mut provider = site.files_in_authentik()?;
    let endpoints = [
        ("token_endpoint", "application/o/token/"),
        ("introspection_endpoint", "application/o/introspect/"),
    ];
    for (name, path) in endpoints {
        let url = authentik.url()?.join(path)?;
        provider["oidc_configuration"][name] = json!(url);
    }
    authentik.add(provider);
    let client = Client::new()?;
    let page = site.url("files", "/api")?;
    let call = |credentials: &str| -> Result<StatusCode> {
        let request = client.fetch(Method::GET, &page);
        Ok(request
            .header("Authorization", credentials)
            .send()?
            .status())
    };
    let (user, password, token) = ROBOT;
    let basic = |user: &str, password: &str| {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    };
    until("the new application", PATIENCE, || {
        let status = client.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    // It is served before the outpost has read its provider's documents.
    until("the provider of the new application", PATIENCE, || {
        let status = call(&format!("Bearer {token}"))?;
        Ok((status != StatusCode::SERVICE_UNAVAILABLE).then_some(()))
    })?;
    for credentials in [
        format!("Bearer {token}"),
        basic(user, password),
        basic("goauthentik.io/token", token),
    ] {
        assert_eq!(call(&credentials)?, StatusCode::OK, "{credentials}");
        let seen = site.files();
        let seen = seen.last().context("the app was asked")?;
        for (name, expected) in [
            ("x-authentik-username", Some("robot")),
            ("x-authentik-groups", Some("staff")),
            ("x-authentik-uid", Some("robot-uid")),
            ("x-authentik-jwt", Some(token)),
        ] {
            assert_eq!(seen.header(name), expected, "{name} {credentials}");
        }
    }
    // The result is used for a minute.
    let asked = authentik.credentials_asked();
    assert_eq!(call(&basic(user, password))?, StatusCode::OK);
    assert_eq!(authentik.credentials_asked(), asked);
    let before = site.files().len();
    for credentials in [
        "Bearer another".to_owned(),
        basic(user, "guess"),
        basic("goauthentik.io/token", "another"),
    ] {
        assert_eq!(
            call(&credentials)?,
            StatusCode::UNAUTHORIZED,
            "{credentials}"
        );
    }
    // A browser that sends what the application itself asked it for is not asked for a password again.
    let request = client.page_load(Method::GET, &page);
    let own = request.header("Authorization", basic("of-the-app", "secret"));
    let answer = Answer::read(own.send()?)?;
    assert_eq!(answer.status, StatusCode::FOUND);
    let location = answer.location().context("a redirect")?;
    assert!(location.path().ends_with("/start"), "{location}");
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(site.files().len(), before);
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_standalone() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("testdata/authentik/traefik-standalone.yaml")?
        .start(&["wiki"])?;
    strangers_stay_out(&site)?;
    let alice = signs_in(&site)?;
    the_provider_takes_the_token(&site, &alice)?;
    operator_revokes(&site, &alice)?;
    a_long_target_is_kept(&site)
}

/// Checks that `X-authentik-jwt` is a live access token, which an application can use.
fn the_provider_takes_the_token(site: &Site, alice: &Client) -> Result<()> {
    assert_eq!(fetch(alice, site, "/api")?, StatusCode::OK);
    let seen = site.wiki();
    let token = seen.last().and_then(|seen| seen.header("x-authentik-jwt"));
    let token = token.context("a token")?;
    let userinfo = format!("http://127.0.0.1:{}/me", site.ports().provider);
    let request = Client::new()?.bare(Method::GET, &userinfo.parse()?);
    let answer = Answer::read(request.bearer_auth(token).send()?)?;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let name = answer.json()?.get("preferred_username").cloned();
    assert_eq!(name, Some(json!(users::ALICE.login)));
    Ok(())
}

/// Checks that the operator's commands work with the environment of authentik's container alone.
fn operator_revokes(site: &Site, alice: &Client) -> Result<()> {
    let listed = list_of_the_only_session(site)?;
    let (_, subject) = listed
        .split_once("`alice` subject=`")
        .context("a session of alice")?;
    let (subject, _) = subject.split_once('`').context("a subject")?;
    let (said, well) = site.gatepost(&["session", "revoke", "--subject", subject])?;
    assert!(well && said.contains("1 sessions ended"), "{said}");
    assert_eq!(fetch(alice, site, "/")?, StatusCode::UNAUTHORIZED);
    let (said, well) = site.gatepost(&["session", "revoke", "--everyone"])?;
    assert!(well && said.contains("0 sessions ended"), "{said}");
    Ok(())
}

/// A SAML request, which no cookie has room for, is still there after the sign-in.
fn a_long_target_is_kept(site: &Site) -> Result<()> {
    let page = site.url(
        "wiki",
        &format!("/saml?SAMLRequest={}", "fZJ%2B".repeat(900)),
    )?;
    let journey = Client::new()?.sign_in(&page, &users::BOB)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_ingress() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let ports = *site.ports();
    let text = site.fitted("testdata/authentik/traefik-ingress.yaml", &[])?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let cluster = KubeApi::start(ports.extra, &objects, |service| match service {
        "wiki" => Ok(ports.wiki),
        "gatepost-outpost" => Ok(ports.outpost),
        other => bail!("no Service {other}"),
    })?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/kubernetes-forward-auth.yaml")?
        .configure(&json!({ "providers": { "kubernetesCRD": cluster.traefik_access() } }))
        .start(&["wiki"])?;
    strangers_stay_out(&site)?;
    signs_in(&site).map(drop)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx_standalone() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let _nginx = Nginx::of_authentik(&site, "testdata/authentik/nginx.conf", &[], &["wiki"])?;
    strangers_stay_out(&site)?;
    a_long_target_is_kept(&site)?;
    signs_in(&site).map(drop)
}

/// With the line that the text names for domain level.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx_standalone_domain() -> Result<()> {
    let changes = json!({
        "mode": "forward_domain",
        "external_host": "http://auth.example.com",
        "cookie_domain": ".example.com",
        // At domain level, expressions are matched against the whole address.
        "skip_path_regex": "^http://wiki[.]example[.]com/public/",
    });
    let (site, _authentik) = Site::of_authentik(StatusCode::FOUND, &changes)?;
    let sign_in = (
        "error_page          401 = @akprox_signin;",
        "error_page          401 =302 \
         http://auth.example.com/akprox/start?rd=$scheme://$http_host$request_uri;",
    );
    let file = "testdata/authentik/nginx.conf";
    let _nginx = Nginx::of_authentik(&site, file, &[sign_in], &["wiki", "files"])?;
    strangers_stay_out(&site)?;
    let alice = signs_in(&site)?;
    // One sign-in for every host of the domain.
    let files = site.url("files", "/shared")?;
    let answer = Answer::read(alice.fetch(Method::GET, &files).send()?)?;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx_ingress() -> Result<()> {
    let (site, _authentik) = Site::of_authentik(StatusCode::FOUND, &json!({}))?;
    let _nginx = IngressNginx::start(&site, "testdata/authentik/nginx-ingress.yaml", &["wiki"])?;
    strangers_stay_out(&site)?;
    signs_in(&site).map(drop)
}
