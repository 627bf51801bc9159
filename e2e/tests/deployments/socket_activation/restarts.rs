//! Restarts of an outpost whose sockets the service manager holds, behind nginx: no client notices.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow, ensure};
use gatepost_e2e::proxies::Nginx;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, built, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{PATIENCE, PROGRAM, is_there};
use crate::checks;

const CLIENTS: usize = 4;
const RESTARTS: usize = 4;

/// How many answers each client gets before the next restart.
const BETWEEN: usize = 5;

/// The length of a body, which nginx must have whole before it asks.
const LENGTH: usize = 20_000;

/// In the place of the outpost's program: systemd's own opens both of its sockets, and what it starts
/// holds them.
const OPENS: &str = r#"#!/bin/bash
set -eu
at() { grep -oE "\"$1\": *\"127\.0\.0\.1:[0-9]+" "$CONFIG" | head -n 1 | grep -oE '127.*'; }
CONFIG=${!#}
exec PROGRAM --listen="$(at http)" --listen="$(at metrics)" /bin/bash "FOLDER/holds" "$@"
"#;

/// What a unit does with `gatepost.socket` beside it: the next outpost starts once the one before has ended.
const HOLDS: &str = r#"
while :; do
    (
        export LISTEN_PID=$BASHPID
        echo "$BASHPID" > "FOLDER/draft"
        mv "FOLDER/draft" "FOLDER/pid"
        exec OUTPOST "$@"
    ) &
    wait "$!" || true
done
"#;

/// A service manager of one outpost.
struct Manager(tempfile::TempDir);

impl Manager {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let outpost = built::outpost()?;
        let path = folder.path().display().to_string();
        let text = |text: &str| text.replace("FOLDER", &path).replace("PROGRAM", PROGRAM);
        let holds = text(HOLDS).replace("OUTPOST", &outpost.display().to_string());
        fs::write(folder.path().join("holds"), holds)?;
        fs::write(folder.path().join("opens"), text(OPENS))?;
        fs::set_permissions(folder.path().join("opens"), Permissions::from_mode(0o755))?;
        Ok(Self(folder))
    }

    /// Returns what starts in the outpost's place.
    fn program(&self) -> PathBuf {
        self.0.path().join("opens")
    }

    /// Returns the running outpost, or the one that is starting.
    fn outpost(&self) -> Result<Pid> {
        let text = fs::read_to_string(self.0.path().join("pid"))?;
        Ok(Pid::from_raw(text.trim().parse()?))
    }

    /// Asks the outpost to end, and waits until the next one starts.
    fn restart(&self) -> Result<()> {
        let before = self.outpost()?;
        kill(before, Signal::SIGTERM)?;
        until("the next outpost", PATIENCE, || {
            Ok((self.outpost()? != before).then_some(()))
        })
    }
}

/// nginx must not send a `POST` again, and where its question gets no answer, the client gets 500.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_post_through_nginx_is_lost_over_restarts() -> Result<()> {
    none_is_lost(&[])
}

/// As nginx 1.29.7 and later do by themselves.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn none_is_lost_through_an_nginx_that_keeps_its_connections_to_the_outpost() -> Result<()> {
    none_is_lost(&[
        (
            "# A page load is sent to sign in.",
            "upstream gatepost { server 127.0.0.1:9000; keepalive 8; }\n#",
        ),
        (
            "proxy_pass http://127.0.0.1:9000;",
            "proxy_pass http://gatepost;",
        ),
        (
            "proxy_pass_request_body off;",
            "proxy_pass_request_body off;\n        proxy_set_header Connection \"\";",
        ),
    ])
}

fn none_is_lost(changes: &[(&str, &str)]) -> Result<()> {
    if !is_there() {
        return Ok(());
    }
    let manager = Manager::new()?;
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost_program(manager.program())
        // The outpost renews each session several times meanwhile.
        .outpost(
            &json!({ "session": { "window": "4s", "renewAfter": "1s", "refreshAfter": "1s" } }),
        )
        .start()?;
    let _nginx = Nginx::start_changed(&site, "deploy/nginx/single.conf", changes, &["wiki"])?;
    let posts = Posts::default();
    std::thread::scope(|scope| -> Result<()> {
        let (site, posts) = (&site, &posts);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || posts.send(site, client)))
            .collect();
        let restarted = (0..RESTARTS).try_for_each(|_| {
            posts.go_on()?;
            manager.restart()
        });
        let restarted = restarted.and_then(|()| posts.go_on());
        posts.stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        restarted
    })?;
    let sent: usize = posts.counts().sum();
    let seen = site.wiki();
    let mut arrived: Vec<&str> = seen
        .iter()
        .filter(|seen| seen.method == "POST")
        .map(|seen| &*seen.uri)
        .collect();
    arrived.sort_unstable();
    let all = arrived.len();
    arrived.dedup();
    assert_eq!((arrived.len(), all), (sent, sent), "each arrives once");
    Ok(())
}

/// What the clients have sent.
#[derive(Default)]
struct Posts {
    answered: [AtomicUsize; CLIENTS],
    stop: AtomicBool,
}

impl Posts {
    /// Returns how many answers each client has got.
    fn counts(&self) -> impl Iterator<Item = usize> {
        self.answered.iter().map(|it| it.load(Ordering::Relaxed))
    }

    /// Signs in, and posts until it is to stop.
    fn send(&self, site: &Site, number: usize) -> Result<()> {
        let client = Client::new()?;
        let sent = self.send_as(&client, site, number);
        // The others need not go on.
        sent.inspect_err(|_| self.stop.store(true, Ordering::Relaxed))
    }

    fn send_as(&self, client: &Client, site: &Site, number: usize) -> Result<()> {
        client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
        let answered = self.answered.get(number).context("a client")?;
        let body = "x".repeat(LENGTH);
        loop {
            let sent = answered.load(Ordering::Relaxed);
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let url = site.url(
                "wiki",
                &format!("/upstream/upload?by={number}&order={sent}"),
            )?;
            let request = client.page_load(Method::POST, &url).body(body.clone());
            let answer = Answer::read(request.send().with_context(|| url.to_string())?)?;
            let whole = answer.body == format!("{LENGTH}\n");
            ensure!(answer.status == StatusCode::OK && whole, "{answer:?}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until each client has got some more answers, or one has failed.
    fn go_on(&self) -> Result<()> {
        let before: Vec<usize> = self.counts().collect();
        until("answers", PATIENCE, || {
            let all = self
                .counts()
                .zip(&before)
                .all(|(now, before)| now >= before + BETWEEN);
            Ok((all || self.stop.load(Ordering::Relaxed)).then_some(()))
        })
    }
}
