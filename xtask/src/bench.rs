//! `cargo xtask bench`: what signing in at the edge costs, measured side by side.

mod contender;
mod guest;
mod load;
mod nginx;
mod stats;
mod throughput;
mod usage;
mod wire;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use gatepost_e2e::tools::{Packaged, Tool as _, Wrk};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};

use self::contender::{Contender, Running, Scene, compile_empty_guest};
use self::nginx::Nginx;
use self::throughput::Effort;
use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also other forward-auth servers, built from the Go module proxy
    #[arg(long)]
    peers: bool,
    /// Writes every figure to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the plugin and the outpost as they are already built
    #[arg(long)]
    no_build: bool,
    /// Only what can be counted in the guest itself
    #[arg(long)]
    only_guest: bool,
    /// Rounds of load
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load for each contender in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only these contenders, by the names in the JSON report
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
}

/// The numbers of kept-alive connections that are measured.
const CONNECTIONS: [usize; 2] = [16, 256];

/// Runs everything and writes the reports.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::demo()?;
    Wrk.ensure()?;
    Packaged::Nginx.ensure()?;
    if !arguments.no_build {
        build::default_plugin()?;
        build::release_outpost()?;
    }
    for verdict in guest::verdicts()? {
        println!(
            "{:40} {:>8} instructions {:>3} calls {:?} memory {}",
            verdict.case,
            verdict.instructions,
            verdict.total_host_calls(),
            verdict.host_calls,
            verdict.memory
        );
    }
    if arguments.only_guest {
        return Ok(());
    }
    let outpost = build::release_outpost_path();

    let folder = tempfile::Builder::new()
        .prefix("gatepost-bench-")
        .tempdir()?;
    let site = Site::builder("outpost/single.yaml")
        .outpost_program(outpost)
        .start()?;
    let app = Nginx::app(folder.path())?;
    let scene = scene(&site, &app, folder.path().to_owned())?;
    let static_auth = Nginx::forward_auth(folder.path(), &scene.identity)?;
    let empty = compile_empty_guest(folder.path())?;

    let outpost = site.outpost().group().context("the outpost runs")?;
    let contenders = [
        scene.bare()?,
        scene.native_headers()?,
        scene.empty_guest(empty)?,
        scene.plugin("plugin", "plugin", &serde_json::json!({}))?,
        scene.route(site.ports().outpost)?,
        scene
            .forward_auth(
                "static",
                "forwardAuth to a static nginx",
                static_auth.port,
                "/",
            )?
            .asking(static_auth.process.group()),
        scene
            .forward_auth(
                "outpost",
                "forwardAuth to the outpost",
                site.ports().outpost,
                "/akprox/auth/traefik",
            )?
            .asking(outpost),
    ];
    let chosen = contenders.into_iter().filter(|contender| {
        arguments.contenders.is_empty() || arguments.contenders.contains(&contender.key)
    });
    let running: Vec<(Contender, Running)> = chosen
        .map(|contender| {
            let running = contender.start(&scene)?;
            Ok((contender, running))
        })
        .collect::<Result<_>>()?;
    let effort = Effort {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
    };
    for connections in CONNECTIONS {
        for row in throughput::measure(&running, connections, effort)? {
            println!(
                "{:10} {:4} {:.0} p50 {} p99 {} cpu {:.4} auth {:?} /headers {} /static {}",
                row.key,
                row.connections,
                row.rate,
                row.p50,
                row.p99,
                row.proxy_cpu,
                row.auth_cpu.map(|s| s.median),
                row.ratios.get("headers").copied().unwrap_or_default(),
                row.ratios.get("static").copied().unwrap_or_default(),
            );
        }
    }
    Ok(())
}

/// Signs in through a Traefik that asks the outpost, and makes that session everyone's.
fn scene(site: &Site, app: &Nginx, folder: PathBuf) -> Result<Scene> {
    let url = site.url("wiki", "/")?;
    let host = url.host_str().context("the app has a host")?;
    let identity = [
        ("X-Auth-Username", "alice"),
        ("X-Auth-Groups", "staff|admins"),
        ("X-Forwarded-Email", "alice@example.com"),
        ("X-Forwarded-Preferred-Username", "alice"),
        ("X-Forwarded-User", "248289761001"),
    ];
    let keys = site.keys().path().parent().context("a folder with keys")?;
    let mut scene = Scene {
        app: app.port,
        keys: keys.to_owned(),
        host: format!("{host}:{}", site.ports().web),
        cookie: String::new(),
        identity: identity.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        folder,
    };
    fs::create_dir_all(&scene.folder)?;
    let outpost = site.ports().outpost;
    let front = scene.forward_auth("front", "front", outpost, "/akprox/auth/traefik")?;
    let _front = front.launch(&scene, site.ports().web, app.port)?;
    let alice = Client::new()?;
    alice.sign_in(&url, &ALICE)?;
    let session = alice
        .cookie(&url, "gatepost")
        .context("alice has a session")?;
    // As browsers do, with cookies of the app around it, which the app keeps.
    scene.cookie = format!("theme=dark; gatepost={session}; lang=en");
    Ok(scene)
}
