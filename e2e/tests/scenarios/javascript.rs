//! An app in JavaScript that reads the session itself: the one that docs/javascript.md shows.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{
    Answer, Application, ApplicationSpec, Client, Process, Shared, Stack, built, forge, layout,
    ports, until,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

/// For a program to start, and for a keys file to be taken up, which both sides look at every
/// 10 s: the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Traefik with the plugin, which leaves the app its cookie, and the app.
struct World {
    stack: Stack,
    /// The app without Traefik before it.
    direct: Url,
    _app: Process,
}

impl World {
    /// Returns the one of the tests that change nothing in it.
    fn shared() -> Result<Arc<Self>> {
        static SHARED: Shared<World> = Shared::new();
        SHARED.get(Self::start)
    }

    fn start() -> Result<Self> {
        let port = ports::free()?;
        let spec = ApplicationSpec::new("app")
            .upstream_port(port)
            .set_in_plugin("forwardCookie", &json!(true));
        let stack = Stack::builder().application(spec).start()?;
        let direct = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let app = start_app(&stack, port, &direct)?;
        Ok(Self {
            stack,
            direct,
            _app: app,
        })
    }

    fn app(&self) -> &Application {
        self.stack.app()
    }

    /// Sends a request with this cookie, through Traefik or around it.
    fn ask(&self, url: &Url, session: &str) -> Result<Answer> {
        let cookie = format!("{}={session}", self.app().cookie_name().as_str());
        let request = Client::new()?.fetch(Method::GET, url);
        Answer::read(request.header("Cookie", cookie).send()?)
    }
}

/// Starts `session/js/examples/express.mjs` on this port.
fn start_app(stack: &Stack, port: u16, direct: &Url) -> Result<Process> {
    let package = built::session_js()?;
    let mut command = Command::new("node");
    command
        .arg("examples/express.mjs")
        .env("PORT", port.to_string())
        .env("GATEPOST_KEYS_FILE", stack.keys().path())
        .env("GATEPOST_APPLICATION", stack.app().name())
        .env("GATEPOST_COOKIE_NAME", stack.app().cookie_name().as_str())
        .current_dir(package);
    let log = layout::artefacts_dir().join(format!("javascript/{port}.log"));
    let mut app = Process::spawn("the app in JavaScript", &command, &log)?;
    let client = Client::new()?;
    let health = direct.join("/healthz")?;
    app.ready(PATIENCE, || {
        let answer = client.bare(Method::GET, &health).send();
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })?;
    Ok(app)
}

fn named(answer: &Answer) -> Result<Value> {
    serde_json::from_str(&answer.body).with_context(|| format!("not JSON: {}", answer.body))
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn who_signs_in_is_named_by_the_app_itself() -> Result<()> {
    let world = World::shared()?;
    let app = world.app();
    for (user, groups, admin) in [
        (ALICE, json!(["staff", "admins"]), StatusCode::OK),
        (BOB, json!(["staff"]), StatusCode::FORBIDDEN),
    ] {
        let client = Client::new()?;
        let landed = client.sign_in(&app.url("/"), &user)?.landed;
        let seen = named(&landed)?;
        assert_eq!(seen["preferred_username"], user.login);
        assert_eq!(seen["groups"], groups, "{}", user.login);
        let answer = client.page_load(Method::GET, &app.url("/admin")).send()?;
        assert_eq!(answer.status(), admin, "{}", user.login);
    }
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn the_app_refuses_requests_that_bypass_traefik() -> Result<()> {
    let world = World::shared()?;
    let (name, ring) = (world.app().name(), world.stack.keys().ring()?);
    for (case, session) in [
        ("no session", String::new()),
        ("made up", forge::MADE_UP.to_owned()),
        ("wrong key", forge::wrong_key(name)?),
        ("altered", forge::altered(&ring, name)?),
        ("expired", forge::expired(&ring, name)?),
        ("another application", forge::valid(&ring, "other")?),
    ] {
        let answer = world.ask(&world.direct, &session)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{case}");
    }
    let claimed = Client::new()?
        .bare(Method::GET, &world.direct)
        .header("X-Auth-Username", ALICE.login)
        .header("X-Forwarded-User", ALICE.login)
        .send()?;
    assert_eq!(claimed.status(), StatusCode::UNAUTHORIZED, "headers");

    let good = forge::valid(&ring, name)?;
    let answer = world.ask(&world.direct, &good)?;
    assert_eq!(named(&answer)?["preferred_username"], "alice");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn the_app_follows_the_keys_file() -> Result<()> {
    let world = World::start()?;
    let (name, keys) = (world.app().name(), world.stack.keys());
    let url = world.app().url("/");
    let old = forge::valid(&keys.ring()?, name)?;
    assert_eq!(world.ask(&url, &old)?.status, StatusCode::OK);

    keys.rotate("second")?;
    let new = forge::valid(&keys.ring()?, name)?;
    until("plugin and app to take up the new key", PATIENCE, || {
        Ok((world.ask(&url, &new)?.status == StatusCode::OK).then_some(()))
    })?;
    assert_eq!(world.ask(&url, &old)?.status, StatusCode::OK, "old key");

    keys.retire_oldest()?;
    until("the app to forget the old key", PATIENCE, || {
        let answer = world.ask(&world.direct, &old)?;
        Ok((answer.status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    assert_eq!(world.ask(&world.direct, &new)?.status, StatusCode::OK);
    Ok(())
}
