//! Outpost, provider and a session of a person who has really signed in.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use reqwest::Url;
use serde_json::{Value, json};

use super::contender::{Contender, Scene};
use super::nginx::Nginx;

/// Where the outpost answers Traefik.
const AUTH_PATH: &str = "/akprox/auth/traefik";

/// How many browsers sign in at the same time.
const SIGNING_IN: usize = 4;

/// A site of its own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) scene: Scene,
    /// With clients, provider and outpost on one machine.
    pub(crate) sign_ins_per_second: f64,
}

/// How a stage differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Applications that the outpost has.
    pub(crate) applications: usize,
    /// Groups that the person is in.
    pub(crate) groups: usize,
    /// Browsers in which the person signs in, one after the other.
    pub(crate) sessions: usize,
}

impl Stage {
    /// Starts it and signs in, through a Traefik that asks the outpost.
    pub(crate) fn start(outpost: &Path, size: Size, app: &Nginx, folder: PathBuf) -> Result<Self> {
        let mut groups = vec!["staff".to_owned()];
        groups.extend((1..size.groups).map(|number| format!("team-{number:03}")));
        let site = Site::builder("deploy/outpost/single.yaml")
            .outpost_program(outpost.to_owned())
            .provider(&json!({
                "users": { "alice": { "groups": groups } },
                // Some peers send no code challenge.
                "pkce": false,
            }))
            .further_applications(others(size.applications - 1))
            // No session ends, and no client is too quick, while the bench runs.
            .outpost(&json!({
                "session": { "window": "4h" },
                "rateLimit": { "perSecond": 1_000, "burst": 10_000 },
            }))
            .start()?;
        let url = site.url("wiki", "/")?;
        let host = url.host_str().context("the app has a host")?;
        let host = format!("{host}:{}", site.ports().web);
        let joined = groups.join("|");
        let identity = [
            ("X-Auth-Username", "alice"),
            ("X-Auth-Groups", &joined),
            ("X-Forwarded-Email", "alice@example.com"),
            ("X-Forwarded-Preferred-Username", "alice"),
            ("X-Forwarded-User", "248289761001"),
        ];
        let keys = site.keys().path().parent().context("a folder with keys")?;
        let mut scene = Scene {
            app: app.port,
            keys: keys.to_owned(),
            headers: browser_headers(&host)?,
            host,
            cookies: Vec::new(),
            identity: identity
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            folder,
        };
        let front = scene.forward_auth("front", "front", site.ports().outpost, AUTH_PATH)?;
        let front = front.launch(&scene, site.ports().web)?;
        let (sessions, per_second) = sign_in(&url, &url, "gatepost", size.sessions)?;
        drop(front);
        scene.cookies = sessions;
        Ok(Self {
            site,
            scene,
            sign_ins_per_second: per_second,
        })
    }

    /// Returns `forwardAuth` to this stage's outpost.
    pub(crate) fn outpost(&self, key: &str, title: &str) -> Result<Contender> {
        let group = self.site.outpost().group().context("the outpost runs")?;
        let port = self.site.ports().outpost;
        let contender = self.scene.forward_auth(key, title, port, AUTH_PATH)?;
        Ok(contender.asking(group))
    }
}

/// Signs a person in from this page on, each time in a new browser, and returns the `Cookie` header
/// values with the cookie of this name, and how many sign-ins a second that were.
pub(crate) fn sign_in(
    start: &Url,
    site: &Url,
    cookie: &str,
    count: usize,
) -> Result<(Vec<String>, f64)> {
    let begun = Instant::now();
    let one = |_| -> Result<String> {
        let browser = Client::new()?;
        browser.sign_in(start, &ALICE)?;
        let session = browser.cookie(site, cookie);
        let session = session.with_context(|| format!("a session in `{cookie}`"))?;
        // As browsers do, with cookies of the app around it, which the app keeps.
        Ok(format!("theme=dark; {cookie}={session}; lang=en"))
    };
    let per_browser = count.div_ceil(SIGNING_IN);
    let sessions = thread::scope(|scope| {
        let browsers: Vec<_> = (0..count)
            .step_by(per_browser.max(1))
            .map(|first| {
                let last = count.min(first + per_browser);
                scope.spawn(move || (first..last).map(one).collect::<Result<Vec<_>>>())
            })
            .collect();
        let mut sessions = Vec::new();
        for browser in browsers {
            match browser.join() {
                Ok(own) => sessions.extend(own?),
                Err(_) => bail!("a browser panicked"),
            }
        }
        Ok(sessions)
    })?;
    Ok((sessions, per_second(count, begun.elapsed())))
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Returns what a browser sends besides its cookies. The proxy adds what names itself and the
/// client.
fn browser_headers(host: &str) -> Result<Vec<String>> {
    let page_load = super::page_load()?;
    let own = page_load
        .iter()
        .filter(|(name, _)| !name.starts_with("x-"))
        .map(|(name, value)| format!("{name}: {value}"));
    Ok(own.chain([format!("Host: {host}")]).collect())
}

/// Returns applications besides the one that is measured.
fn others(count: usize) -> Vec<Value> {
    let application = |number| {
        json!({
            "name": format!("app{number}"),
            "mode": "single",
            "externalUrl": format!("http://app{number}.example.net"),
            "provider": "main",
            "require": { "groups": ["staff", "admins"] },
        })
    };
    (0..count).map(application).collect()
}
