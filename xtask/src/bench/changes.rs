//! Traefik's memory while files change: the list of revocations, often, and its configuration,
//! seldom.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Client, Service, Site};
use gatepost_session::SessionId;
use gatepost_signing::RevokedList;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::contender::Scene;
use super::nginx::SEEN_PATH;
use super::{raw_http, usage};

/// How often the list is replaced.
const LISTS: u32 = 10_000;

/// The sessions in each list.
const REVOKED: u32 = 1_000;

/// The shortest time between two lists.
const LIST_EVERY: Duration = Duration::from_millis(20);

/// Concurrent requests while lists change: as many guests look at them.
const ASKING: usize = 8;

/// How often Traefik's configuration changes.
const RELOADS: u32 = 200;

/// How long a change of the configuration may take to reach Traefik.
const TAKEN_UP: Duration = Duration::from_secs(60);

/// How long Traefik is left alone after the last change: Go's collector runs every two minutes by
/// itself.
const REST: Duration = Duration::from_secs(150);

/// Traefik's memory over many changes of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) title: String,
    pub(crate) seconds: f64,
    /// Changes so far, and what Traefik held then, in MiB.
    pub(crate) held: Vec<(u32, f64)>,
    /// Its memory after a rest, in MiB.
    pub(crate) after_rest: f64,
}

/// Replaces the list of revocations, while requests come in.
pub(crate) fn of_lists(scene: &Scene) -> Result<Growth> {
    let list = scene.keys.join("revoked");
    replace(&list, 0)?;
    let settings = json!({ "revokedFile": "/keys/revoked" });
    let running = scene.plugin("revoked", "", &settings)?.start(scene)?;
    let headers = scene.first_request();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..ASKING)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while !done.load(Ordering::Relaxed) {
                        let answer = raw_http::ask(running.port, SEEN_PATH, &headers)?;
                        ensure!(answer.status == 200, "answered {}", answer.status);
                        thread::sleep(LIST_EVERY);
                    }
                    Ok(())
                })
            })
            .collect();
        let title = format!("{LISTS} lists of {REVOKED} revoked sessions");
        let growth = watch(title, LISTS, running.group(), |number| {
            replace(&list, number)?;
            thread::sleep(LIST_EVERY);
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        for asking in asking {
            match asking.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client panicked"),
            }
        }
        growth
    })
}

/// Writes a list as the outpost does: next to the old one, which it then replaces.
fn replace(path: &Path, generation: u32) -> Result<()> {
    let mut list = RevokedList::new();
    for number in 0..REVOKED {
        let mut id = [0; 24];
        for (place, byte) in id.iter_mut().zip(
            generation
                .to_be_bytes()
                .into_iter()
                .chain(number.to_be_bytes()),
        ) {
            *place = byte;
        }
        list.add_session(&SessionId::from_random(id));
    }
    let new = path.with_extension("new");
    fs::write(&new, list.to_bytes(u64::from(generation)))?;
    fs::rename(&new, path)?;
    Ok(())
}

/// Changes what Traefik fetches from the outpost, each time waiting until it is in force.
pub(crate) fn of_reloads() -> Result<Growth> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    let often = json!({ "providers": {
        "http": { "pollInterval": "100ms" },
        "providersThrottleDuration": "100ms",
    } });
    let traefik = Traefik::new(&site, "deploy/traefik/static/http-provider.yaml")?
        .configure(&often)
        .start(&["wiki", "files.example.org"])?;
    let outpost = site.outpost().group().context("the outpost runs")?;
    let client = Client::new()?;
    let title = format!("{RELOADS} reloads of the HTTP provider's configuration");
    watch(title, RELOADS, group(&traefik)?, |number| {
        let path = format!("/public-{number}");
        site.change_outpost(|config| {
            let public = config.pointer_mut("/applications/0/public");
            *public.context("the file has public paths")? = json!([path]);
            Ok(())
        })?;
        // Immediately, and not when it next looks.
        Command::new("kill")
            .args(["-HUP", "--", &format!("-{outpost}")])
            .status()?;
        let page = site.url("wiki", &path)?;
        let changed = Instant::now();
        while client.fetch(Method::GET, &page).send()?.status() != StatusCode::OK {
            ensure!(changed.elapsed() < TAKEN_UP, "{path} did not become public");
            thread::sleep(LIST_EVERY);
        }
        Ok(())
    })
}

fn group(service: &Service) -> Result<u32> {
    service.group().context("Traefik runs")
}

/// Makes changes, and looks at the memory of a process group now and then.
#[allow(clippy::cast_precision_loss)]
fn watch(
    title: String,
    changes: u32,
    group: u32,
    mut change: impl FnMut(u32) -> Result<()>,
) -> Result<Growth> {
    let held = || Ok::<_, anyhow::Error>(usage::resident_bytes(group)? as f64 / f64::from(1 << 20));
    let begun = Instant::now();
    let mut seen = vec![(0, held()?)];
    for number in 1..=changes {
        change(number)?;
        if number % (changes / 4) == 0 {
            eprintln!("  {number} of {title}");
            seen.push((number, held()?));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    thread::sleep(REST);
    Ok(Growth {
        title,
        seconds,
        held: seen,
        after_rest: held()?,
    })
}
