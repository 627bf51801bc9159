//! Several outposts behind Traefik, on one Redis.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{
    Answer, ApplicationSpec, Client, Process, Redis, Stack, at_once, built, layout, pass, ports,
    until,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{PATIENCE, grants, kill};

/// A stack with a second outpost, between which Traefik takes turns.
pub(crate) struct Replicas {
    second: Process,
    /// Where the second outpost answers.
    pub(crate) second_url: Url,
    pub(crate) stack: Stack,
    pub(crate) redis: Redis,
    _folder: TempDir,
}

impl Replicas {
    /// Asks one of the outposts, as Traefik does, about a call of a client that sends this header.
    pub(crate) fn ask(&self, outpost: &Url, name: &str, value: &str) -> Result<Answer> {
        let page = self.stack.app().url("/api");
        let asked = Client::new()?
            .bare(Method::GET, &outpost.join("/akprox/auth/traefik")?)
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-Host", page.authority())
            .header("X-Forwarded-Uri", page.path())
            .header(name, value);
        Answer::read(asked.send()?)
    }
}

fn start(session: &Value) -> Result<Replicas> {
    start_with(session, ApplicationSpec::new("app"))
}

/// Starts two outposts on one Redis, with this application.
pub(crate) fn start_with(session: &Value, application: ApplicationSpec) -> Result<Replicas> {
    start_at(session, application, &json!({}))
}

/// Starts the same at a provider with these changes of its configuration.
pub(crate) fn start_at(
    session: &Value,
    application: ApplicationSpec,
    provider: &Value,
) -> Result<Replicas> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let settings = json!({
        "session": session,
        "store": redis.store(),
    });
    let stack = Stack::builder()
        .application(application)
        .outpost(&settings)
        .provider(provider)
        .start()?;
    let (port, metrics) = (ports::free()?, ports::free()?);
    let mut second = second_outpost(&stack, [port, metrics], |_| ())?;
    let client = Client::new()?;
    let ready = Url::parse(&format!("http://127.0.0.1:{metrics}/readyz"))?;
    second.ready(PATIENCE, || {
        let answer = client.bare(Method::GET, &ready).send();
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })?;
    take_turns(&stack, port)?;
    Ok(Replicas {
        second,
        second_url: Url::parse(&format!("http://127.0.0.1:{port}"))?,
        stack,
        redis,
        _folder: folder,
    })
}

/// Starts another outpost with the configuration of the stack's, but for these changes and ports: one for
/// requests, and one for metrics.
pub(crate) fn second_outpost(
    stack: &Stack,
    [port, metrics]: [u16; 2],
    change: impl FnOnce(&mut Value),
) -> Result<Process> {
    let text = fs::read_to_string(stack.folder().join("gatepost.yaml"))?;
    let mut config: Value = serde_json::from_str(&text)?;
    config["listen"] = json!({
        "http": format!("127.0.0.1:{port}"),
        "metrics": format!("127.0.0.1:{metrics}"),
    });
    change(&mut config);
    let file = stack.folder().join("second.yaml");
    fs::write(&file, config.to_string())?;
    let mut command = built::gatepost()?;
    command.arg("serve").arg("--config").arg(&file);
    let log = layout::artefacts_dir().join(format!("second-outpost-{port}.log"));
    Process::spawn("outpost", &command, &log)
}

/// Has Traefik send every other request for the outpost to this port.
fn take_turns(stack: &Stack, port: u16) -> Result<()> {
    let file = stack.folder().join("traefik/dynamic/app.yaml");
    let mut routes: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let first = stack.outpost_url().port().context("a port")?.to_string();
    let services = routes["http"]["services"].as_object_mut();
    for service in services.context("services")?.values_mut() {
        if let Some(servers) = service["loadBalancer"]["servers"].as_array_mut()
            && servers
                .iter()
                .any(|server| server.to_string().contains(&first))
        {
            servers.push(json!({ "url": format!("http://127.0.0.1:{port}") }));
        }
    }
    let draft = file.with_extension("draft");
    fs::write(&draft, routes.to_string())?;
    fs::rename(draft, file)?;
    Ok(())
}

/// Opens a page again and again, as a person does who sees an error.
fn reload(client: &Client, url: &Url) -> Result<()> {
    until("the page", PATIENCE, || {
        let journey = client.open(url)?;
        Ok((journey.landed.status == StatusCode::OK).then_some(()))
    })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_sign_in_begun_at_one_outpost_is_finished_at_another_and_either_may_die() -> Result<()> {
    let mut replicas = start(&json!({ "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" }))?;
    let page = replicas.stack.app().url("/");
    let people: Vec<Client> = (0..4).map(|_| Client::new()).collect::<Result<_>>()?;
    for person in &people {
        let journey = person.sign_in(&page, &ALICE)?;
        assert_eq!(journey.landed.url, page, "{journey}");
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    }
    kill(replicas.stack.outpost())?;
    for person in &people {
        reload(person, &page)?;
    }
    pass(Duration::from_secs(9));
    for person in &people {
        reload(person, &page)?;
    }
    replicas.stack.outpost().start()?;
    replicas.second.stop();
    pass(Duration::from_secs(9));
    for person in &people {
        reload(person, &page)?;
    }
    assert!(grants(&replicas.stack, "refresh_token") > 0);
    assert_eq!(
        grants(&replicas.stack, "authorization_code"),
        4,
        "no user signed in twice"
    );
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn one_replica_at_a_time_renews_a_session() -> Result<()> {
    let replicas = start(&json!({ "window": "1h", "refreshAfter": "5s" }))?;
    let alice = Client::new()?;
    alice.sign_in(&replicas.stack.app().url("/"), &ALICE)?;
    pass(Duration::from_secs(6));
    let start = replicas.stack.app().url("/akprox/start?rd=/");
    let statuses = at_once(0..8, |_| {
        Ok(alice.page_load(Method::GET, &start).send()?.status())
    });
    for status in statuses {
        assert_eq!(status?, StatusCode::FOUND);
    }
    assert_eq!(grants(&replicas.stack, "refresh_token"), 1);
    Ok(())
}
