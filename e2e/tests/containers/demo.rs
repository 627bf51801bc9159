//! `docker-compose.yml` as it is, and the outpost's image in it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatepost_e2e::containers::{Composition, Engine};
use gatepost_e2e::layout;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "demo::a_visitor_signs_in_and_stays_so_over_restarts",
        run: a_visitor_signs_in_and_stays_so_over_restarts,
    },
    Test {
        name: "demo::the_outpost_has_no_rights",
        run: the_outpost_has_no_rights,
    },
    Test {
        name: "demo::the_image_declares_no_volume_and_says_how_it_is",
        run: the_image_declares_no_volume_and_says_how_it_is,
    },
];

/// What an engine grants a container by default until it kills it.
const GRACE: Duration = Duration::from_secs(10);

fn up(engine: &Engine) -> Result<Composition<'_>> {
    let file = layout::root().join("docker-compose.yml");
    let demo = Composition::up(engine, "demo", &[&file])?;
    engine.until_healthy(&demo.container("outpost"))?;
    visit::until_status(&page("/")?, StatusCode::UNAUTHORIZED)?;
    // The provider and the outpost's own router.
    visit::until_status(&configuration()?, StatusCode::OK)?;
    visit::until_status(&page("/akprox/session")?, StatusCode::UNAUTHORIZED)?;
    engine.until_ready(&demo.container("outpost"))?;
    Ok(demo)
}

fn page(path: &str) -> Result<Url> {
    Ok(Url::parse("http://whoami.localhost:8080")?.join(path)?)
}

fn configuration() -> Result<Url> {
    let url = "http://id.localhost:8080/.well-known/openid-configuration";
    Ok(Url::parse(url)?)
}

fn a_visitor_signs_in_and_stays_so_over_restarts(engine: &Engine) -> Result<()> {
    let demo = up(engine)?;
    let home = page("/")?;
    let alice = visit::sign_in(&home)?;
    let session = |wanted| {
        let own = page("/akprox/session")?;
        let answer = alice.fetch(Method::GET, &own).send()?;
        assert_eq!(answer.status(), wanted, "{own}");
        anyhow::Ok(())
    };
    session(StatusCode::OK)?;
    // As the page says to check it.
    let check = [
        "exec",
        &demo.container("outpost"),
        "gatepost",
        "check",
        "--url",
    ];
    engine.podman(&[&check[..], &[home.as_str()]].concat())?;

    // The outpost alone ends well, and in time. Without it, the application is no more open.
    let outpost = demo.container("outpost");
    let asked = Instant::now();
    engine.podman(&["stop", &outpost])?;
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    let state = engine.inspect(&outpost)?;
    let code = state.pointer("/State/ExitCode").and_then(Value::as_u64);
    assert_eq!(code, Some(0), "{state}");
    assert_ne!(visit::status(&home)?, StatusCode::OK);
    visit::sees_alice(&alice, &home)?;
    engine.podman(&["start", &outpost])?;
    engine.until_healthy(&outpost)?;
    visit::until_status(&page("/akprox/session")?, StatusCode::UNAUTHORIZED)?;
    session(StatusCode::OK)?;

    // All containers are new, and the volumes are as they were: keys and sessions.
    demo.stop()?;
    demo.start()?;
    engine.until_healthy(&outpost)?;
    visit::until_status(&page("/akprox/session")?, StatusCode::UNAUTHORIZED)?;
    visit::until_status(&home, StatusCode::UNAUTHORIZED)?;
    visit::sees_alice(&alice, &home)?;
    session(StatusCode::OK)
}

/// As the kernel has it, and not as the engine was asked.
fn the_outpost_has_no_rights(engine: &Engine) -> Result<()> {
    let demo = up(engine)?;
    let outpost = engine.inspect(&demo.container("outpost"))?;
    let process = outpost.pointer("/State/Pid").and_then(Value::as_u64);
    let process = PathBuf::from(format!("/proc/{}", process.context("a process")?));
    let status = fs::read_to_string(process.join("status"))?;
    for line in [
        "Uid:\t65532\t65532\t65532\t65532",
        "Gid:\t65532\t65532\t65532\t65532",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let mounts = fs::read_to_string(process.join("mountinfo"))?;
    let options = |point: &str| {
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(4) == Some(point));
        line.and_then(|line| line.split(' ').nth(5))
            .with_context(|| format!("{point}: {mounts}"))
    };
    for (point, access) in [
        ("/", "ro"),
        ("/etc/gatepost", "ro"),
        ("/keys", "ro"),
        ("/var/lib/gatepost", "rw"),
        ("/var/lib/gatepost-state", "rw"),
    ] {
        assert_eq!(options(point)?.split(',').next(), Some(access), "{point}");
    }
    // There is nothing in the image that an intruder could run.
    let programs: Vec<_> = fs::read_dir(process.join("root/usr/local/bin"))?.collect();
    assert_eq!(programs.len(), 1, "{programs:?}");
    assert!(!process.join("root/bin/sh").exists());
    Ok(())
}

fn the_image_declares_no_volume_and_says_how_it_is(engine: &Engine) -> Result<()> {
    let image = engine.podman(&["image", "inspect", "localhost/gatepost/outpost"])?;
    let image: Value = serde_json::from_str(&image)?;
    let config = image.pointer("/0/Config").context("a configuration")?;
    assert_eq!(config.get("Volumes"), None, "{config}");
    assert_eq!(config.get("User"), Some(&"65532:65532".into()), "{config}");

    let version = [
        "run",
        "--rm",
        "--network=none",
        "localhost/gatepost/outpost",
        "--version",
    ];
    let said = engine.podman(&version)?;
    assert_eq!(
        said.trim(),
        format!("gatepost {}", env!("CARGO_PKG_VERSION"))
    );
    // Without a configuration it does not serve, and says what is missing.
    let bare = [
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        "localhost/gatepost/outpost",
    ];
    let refusal = engine.podman(&bare).expect_err("no configuration");
    assert!(
        format!("{refusal:#}").contains("/etc/gatepost/gatepost.yaml"),
        "{refusal:#}"
    );
    Ok(())
}
