//! The Debian package under a real systemd: the outpost says when it is ready, reads its files again,
//! is restarted when it hangs, and keeps what proxies read.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use gatepost_e2e::built;
use gatepost_e2e::containers::Engine;
use gatepost_e2e::tools::{SystemdRoot, Tool as _, Traefik};

use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "systemd::runs_reloads_restarts_and_watches_the_service",
    run: runs_reloads_restarts_and_watches_the_service,
}];

const CONTAINER: &str = "systemd";

/// The provider is away: the service is ready without it.
const CONFIGURATION: &str = "\
listen: { http: 127.0.0.1:9000, metrics: 127.0.0.1:9300 }
keysFile: /etc/gatepost/keys/gatepost.keys
revokedFile: /run/gatepost/revoked
stateDir: /var/lib/gatepost-state
trustedProxies: [127.0.0.0/8]
providers:
  - { name: main, issuer: https://id.example.com, clientId: gatepost, clientSecret: change-me }
applications:
  - { name: wiki, mode: single, externalUrl: https://wiki.example.com, provider: main }
";

const INSTALL: &str = r#"
dpkg --install /packages/*.deb
test "$(systemctl is-active gatepost)" = inactive
install -m 640 -g gatepost /packages/gatepost.yaml /etc/gatepost/gatepost.yaml
systemctl enable --now gatepost
# It is ready when `systemctl` comes back.
curl -fsS http://127.0.0.1:9300/healthz
# Plugins read it, as users of their own.
for _ in $(seq 20); do test -s /run/gatepost/revoked && break; sleep 0.5; done
setpriv --reuid nobody --regid nogroup --clear-groups cat /run/gatepost/revoked > /dev/null
# Proxies read this one by its group.
for _ in $(seq 20); do test -s /var/lib/gatepost-state/gatepost-state && break; sleep 0.5; done
test "$(stat --format '%a %G' /var/lib/gatepost-state/gatepost-state)" = '640 gatepost'
systemd-analyze verify /lib/systemd/system/gatepost.service /lib/systemd/system/gatepost.socket
"#;

const RELOAD: &str = r#"
pid() { systemctl show --property MainPID --value gatepost; }
before=$(pid)
cp /etc/gatepost/gatepost.yaml /root/good.yaml
echo 'nonsense: true' >> /etc/gatepost/gatepost.yaml
systemctl reload gatepost
sleep 1
journalctl --unit gatepost | grep 'gatepost.yaml:10'
systemctl status gatepost | grep 'Status: .*gatepost.yaml:10'
test "$(systemctl is-active gatepost)" = active
cp /root/good.yaml /etc/gatepost/gatepost.yaml
systemctl reload gatepost
sleep 1
journalctl --unit gatepost | tail -3 | grep 'configuration read again and in force'
test "$(pid)" = "$before"
"#;

/// A proxy in a container has mounted the folder of that moment.
const RESTART: &str = r#"
folder() { stat --format %i /run/gatepost; }
before=$(folder)
systemctl restart gatepost
test "$(folder)" = "$before"
systemctl stop gatepost
test "$(folder)" = "$before"
test -s /run/gatepost/revoked
systemctl start gatepost
"#;

const SOCKET: &str = r#"
systemctl stop gatepost
systemctl enable --now gatepost.socket gatepost
# Where nothing held the addresses, a request would be refused meanwhile.
systemctl kill --signal KILL gatepost
curl -fsS --max-time 20 http://127.0.0.1:9300/healthz
curl -fsS --max-time 20 http://127.0.0.1:9000/healthz || test $? = 22
# Each request of several clients gets its answer, over restarts.
ask() {
    while test ! -e /root/restarted; do
        curl -fsS --max-time 20 -w '\n' http://127.0.0.1:9300/healthz || echo failed
    done
}
for client in 1 2 3 4; do ask > /root/answers.$client & done
for _ in 1 2 3 4 5; do
    sleep 1
    # More restarts than an administrator's.
    systemctl reset-failed gatepost
    systemctl restart gatepost
done
touch /root/restarted
wait
cat /root/answers.* | sort | uniq -c
test "$(cat /root/answers.* | grep -c '^ok')" -gt 100
if grep failed /root/answers.*; then exit 1; fi
"#;

/// What Traefik leads to the outpost.
const ROUTES: &str = "\
http:
  routers:
    outpost: { rule: 'PathPrefix(`/akprox/`)', service: outpost }
  services:
    outpost: { loadBalancer: { servers: [{ url: 'http://127.0.0.1:9000' }] } }
";

/// Requests that no proxy sends again, with a body, over restarts of an outpost whose socket systemd holds.
/// The outpost itself refuses them: 400 is its answer.
const POSTS: &str = r#"
systemd-run --unit traefik /packages/traefik --entryPoints.web.address=127.0.0.1:8080 \
    --providers.file.filename=/packages/routes.yaml --log.level=ERROR
post() {
    curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' --data "logout_token=$1" \
        http://127.0.0.1:8080/akprox/backchannel_logout || true
}
for _ in $(seq 40); do test "$(post x)" = 400 && break; sleep 0.5; done
rm -f /root/restarted
ask() {
    while test ! -e /root/restarted; do post "$(head -c 20000 /dev/zero | tr '\0' a)"; done
}
for client in 1 2 3 4; do ask > /root/posts.$client & done
for _ in 1 2 3 4 5 6 7 8; do
    sleep 1
    systemctl reset-failed gatepost
    systemctl restart gatepost
done
touch /root/restarted
wait
systemctl stop traefik
cat /root/posts.* | sort | uniq -c
test "$(cat /root/posts.* | grep -c '^400$')" -gt 100
if grep -v '^400$' /root/posts.*; then exit 1; fi
"#;

const HANG: &str = r#"
mkdir -p /run/systemd/system/gatepost.service.d
printf '[Service]\nWatchdogSec=2s\n' > /run/systemd/system/gatepost.service.d/soon.conf
systemctl daemon-reload
systemctl restart gatepost
systemctl kill --kill-who main --signal STOP gatepost
sleep 8
journalctl --unit gatepost | grep 'Watchdog timeout'
test "$(systemctl is-active gatepost)" = active
curl -fsS --max-time 20 http://127.0.0.1:9300/healthz
"#;

const REMOVE: &str = r#"
dpkg --remove gatepost
test "$(systemctl is-active gatepost)" = inactive
test "$(systemctl is-active gatepost.socket)" = inactive
dpkg --purge gatepost
test ! -e /etc/gatepost
test ! -e /var/lib/gatepost-state
test ! -e /run/gatepost
"#;

fn runs_reloads_restarts_and_watches_the_service(engine: &Engine) -> Result<()> {
    let root = SystemdRoot
        .locate()
        .map_err(|error| LeftOut(format!("{error:#}")))?;
    let folder = engine.folder("systemd")?;
    built::debian_package(&built::static_outpost()?, "0.1.0", &folder)?;
    fs::write(folder.join("gatepost.yaml"), CONFIGURATION)?;
    fs::write(folder.join("routes.yaml"), ROUTES)?;
    fs::copy(Traefik.locate()?, folder.join("traefik"))?;
    let running = start(engine, &root, &folder)?;
    for (what, script) in [
        ("installing", INSTALL),
        ("reloading", RELOAD),
        ("restarting", RESTART),
        ("with its socket", SOCKET),
        ("posting to its socket", POSTS),
        ("hanging", HANG),
        ("removing", REMOVE),
    ] {
        running.sh(script).with_context(|| {
            let journal = running.sh("journalctl --no-pager | tail -40");
            format!("{what}; {}", journal.unwrap_or_default())
        })?;
    }
    Ok(())
}

/// A container whose first process is systemd, until it is dropped.
struct Running<'e> {
    engine: &'e Engine,
}

fn start<'e>(engine: &'e Engine, root: &Path, packages: &Path) -> Result<Running<'e>> {
    let packages = format!("{}:/packages:ro", packages.display());
    // The changes are gone with the container.
    let root = format!("{}:O", root.display());
    engine.podman(&[
        "run",
        "--detach",
        "--name",
        CONTAINER,
        "--privileged",
        "--systemd=always",
        "--volume",
        &packages,
        "--rootfs",
        &root,
        "/sbin/init",
    ])?;
    let running = Running { engine };
    engine.until_running(CONTAINER)?;
    Ok(running)
}

impl Running<'_> {
    /// Runs a script in which each command has to succeed: what it printed.
    fn sh(&self, script: &str) -> Result<String> {
        let command = ["exec", CONTAINER, "bash", "-euxo", "pipefail", "-c", script];
        self.engine.podman(&command)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self
            .engine
            .podman(&["rm", "--force", "--time=0", CONTAINER]);
    }
}
