//! Outpost, provider and a session of a person who has really signed in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use serde_json::{Value, json};

use super::contender::{Contender, Scene};
use super::nginx::Nginx;

/// Where the outpost answers Traefik.
const AUTH_PATH: &str = "/akprox/auth/traefik";

/// A site of its own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) scene: Scene,
}

/// How a stage differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Applications that the outpost has.
    pub(crate) applications: usize,
    /// Groups that the person is in.
    pub(crate) groups: usize,
}

impl Stage {
    /// Starts it and signs in, through a Traefik that asks the outpost.
    pub(crate) fn start(outpost: &Path, size: Size, app: &Nginx, folder: PathBuf) -> Result<Self> {
        let mut groups = vec!["staff".to_owned()];
        groups.extend((1..size.groups).map(|number| format!("team-{number:03}")));
        let site = Site::builder("deploy/outpost/single.yaml")
            .outpost_program(outpost.to_owned())
            .provider(&json!({ "users": { "alice": { "groups": groups } } }))
            .further_applications(others(size.applications - 1))
            .start()?;
        let url = site.url("wiki", "/")?;
        let host = url.host_str().context("the app has a host")?;
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
            host: format!("{host}:{}", site.ports().web),
            cookie: String::new(),
            identity: identity
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            folder,
        };
        let front = scene.forward_auth("front", "front", site.ports().outpost, AUTH_PATH)?;
        let front = front.launch(&scene, site.ports().web)?;
        let alice = Client::new()?;
        alice.sign_in(&url, &ALICE)?;
        drop(front);
        let session = alice.cookie(&url, "gatepost").context("a session")?;
        // As browsers do, with cookies of the app around it, which the app keeps.
        scene.cookie = format!("theme=dark; gatepost={session}; lang=en");
        Ok(Self { site, scene })
    }

    /// Returns `forwardAuth` to this stage's outpost.
    pub(crate) fn outpost(&self, key: &str, title: &str) -> Result<Contender> {
        let group = self.site.outpost().group().context("the outpost runs")?;
        let port = self.site.ports().outpost;
        let contender = self.scene.forward_auth(key, title, port, AUTH_PATH)?;
        Ok(contender.asking(group))
    }
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
