//! What the outpost says of its health, and what Traefik's docker provider makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::containers::Engine;
use gatepost_e2e::{built, until};
use reqwest::StatusCode;
use serde_json::Value;

use crate::labels::{page, up};
use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "health::of_the_outpost_is_that_of_its_process",
    run: of_the_outpost_is_that_of_its_process,
}];

/// As often as a compose file has the engine ask until it calls a container unhealthy, and a few more.
const MOST_ASKED: usize = 10;

fn of_the_outpost_is_that_of_its_process(engine: &Engine) -> Result<()> {
    let running = up(engine, "plugin-domain", "domain")?;
    let outpost = &running.container("outpost");
    let (wiki, session) = (page("wiki")?, page("auth")?.join("/akprox/session")?);
    let alice = visit::sign_in(&wiki)?;
    let serves_alice = || {
        visit::sees_alice(&alice, &wiki)?;
        assert_eq!(visit::status(&wiki)?, StatusCode::UNAUTHORIZED);
        anyhow::Ok(())
    };

    // A typing error is refused with its reason, and nothing else happens.
    let file = engine
        .folder("compose-plugin-domain")?
        .join("gatepost/gatepost.yaml");
    let right = fs::read_to_string(&file)?;
    fs::write(&file, right.replacen("\"providers\"", "\"provider\"", 1))?;
    until_said(engine, outpost, "the configuration before stays")?;
    engine.ask_health(outpost)?;
    is(engine, outpost, "(healthy)")?;
    assert_eq!(visit::status(&session)?, StatusCode::UNAUTHORIZED);
    serves_alice()?;
    fs::write(&file, &right)?;
    until_said(engine, outpost, "configuration read again and in force")?;

    // A folder of the plugins that cannot be written is an error of the log: it holds what is in force, and
    // an outpost that the engine took away would help nobody.
    let volume = [
        "volume",
        "inspect",
        "--format={{.Mountpoint}}",
        "plugin-domain_state",
    ];
    let state = engine.podman(&volume)?;
    let state = Path::new(state.trim());
    let mode = fs::metadata(state)?.permissions();
    fs::set_permissions(state, fs::Permissions::from_mode(0o555))?;
    until_said(engine, outpost, "cannot write `stateDir`")?;
    engine.ask_health(outpost)?;
    is(engine, outpost, "(healthy)")?;
    serves_alice()?;
    fs::set_permissions(state, mode)?;
    until_said(engine, outpost, "`stateDir` is written again")?;

    // A process that hangs is unhealthy. Traefik has no route to it then, and its users go on.
    signal(engine, outpost, "STOP")?;
    for _ in 0..MOST_ASKED {
        if engine.ask_health(outpost).is_err() && is(engine, outpost, "(unhealthy)").is_ok() {
            break;
        }
    }
    is(engine, outpost, "(unhealthy)")?;
    // The engine tells Traefik of an outcome before it has written it down: its timer would ask again.
    let _ = engine.ask_health(outpost);
    visit::until_status(&session, StatusCode::SERVICE_UNAVAILABLE)?;
    serves_alice()?;
    signal(engine, outpost, "CONT")?;
    engine.until_healthy(outpost)?;
    visit::until_status(&session, StatusCode::UNAUTHORIZED)?;
    serves_alice()?;
    visit::sign_in(&page("files")?).map(drop)
}

/// Waits until the last lines of a container's log have this.
fn until_said(engine: &Engine, container: &str, text: &str) -> Result<()> {
    until(&format!("{container} to say {text}"), visit::LIMIT, || {
        let mut command = Command::new("sh");
        command.args(["-c", "podman logs --tail 5 \"$0\" 2>&1", container]);
        let said = String::from_utf8_lossy(&command.output()?.stdout).into_owned();
        Ok(said.contains(text).then_some(()))
    })
    .with_context(|| engine.podman(&["logs", container]).unwrap_or_default())
}

/// Checks the health that the engine shows of a container.
fn is(engine: &Engine, container: &str, health: &str) -> Result<()> {
    let name = format!("--filter=name={container}");
    let shown = engine.podman(&["ps", "--format={{.Status}}", &name])?;
    if !shown.contains(health) {
        bail!("not {health}: {shown}");
    }
    Ok(())
}

fn signal(engine: &Engine, container: &str, signal: &str) -> Result<()> {
    let state = engine.inspect(container)?;
    let process = state.pointer("/State/Pid").and_then(Value::as_u64);
    let process = process.context("a process")?.to_string();
    built::run(Command::new("kill").args([&format!("-{signal}"), &process]))
}
