//! The Debian package under a real systemd: the outpost says when it is ready, reads its files again,
//! is restarted when it hangs, and keeps what proxies read. And the unit alone, as docs/running.md installs
//! it without the package.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use gatepost_e2e::built;
use gatepost_e2e::containers::Engine;
use gatepost_e2e::layout;
use gatepost_e2e::tools::{SystemdRoot, Tool as _, Traefik};

use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "systemd::runs_reloads_restarts_and_watches_the_service",
        run: runs_reloads_restarts_and_watches_the_service,
    },
    Test {
        name: "systemd::the_unit_without_the_package_hides_nothing_from_plugins_and_check",
        run: the_unit_without_the_package_hides_nothing_from_plugins_and_check,
    },
];

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

/// The words of docs/running.md, "As a systemd service".
const BARE: &str = r#"
cd /packages
install -m 755 gatepost /usr/local/bin/gatepost
mkdir -p /etc/gatepost/keys
gatepost keygen --file /etc/gatepost/keys/gatepost.keys
cp gatepost.yaml /etc/gatepost/
useradd --system --home-dir /var/lib/gatepost --shell /usr/sbin/nologin gatepost
chown -R root:gatepost /etc/gatepost && chmod -R u=rwX,g=rX,o= /etc/gatepost
install -m 644 deploy/systemd/gatepost.service /etc/systemd/system/
"#;

/// As the unit was before: its folders are below those of the service manager.
const DYNAMIC_BEFORE: &str = r#"
mkdir -p /etc/systemd/system/gatepost.service.d
printf '[Service]\nDynamicUser=yes\n' > /etc/systemd/system/gatepost.service.d/dynamic.conf
systemctl enable --now gatepost
for folder in /var/lib/gatepost /run/gatepost; do test -L $folder; done
echo kept > /var/lib/gatepost/marker
systemctl stop gatepost
stat --format %i -L /run/gatepost > /root/folder
# As where systemd had made the user up.
chown -R 64321:64321 /var/lib/private/gatepost
rm -r /etc/systemd/system/gatepost.service.d
systemctl daemon-reload
systemctl start gatepost
for folder in /var/lib/gatepost /run/gatepost; do test ! -L $folder; done
test "$(cat /var/lib/gatepost/marker)" = kept
test "$(stat --format '%a %U' /var/lib/gatepost)" = '700 gatepost'
test "$(stat --format %U /var/lib/gatepost/marker)" = gatepost
# A container that has mounted the folder goes on with it.
test "$(stat --format %i /run/gatepost)" = "$(cat /root/folder)"
"#;

const BARE_SERVES: &str = r#"
for _ in $(seq 20); do test -s /run/gatepost/revoked && break; sleep 0.5; done
setpriv --reuid nobody --regid nogroup --clear-groups cat /run/gatepost/revoked > /dev/null
# The provider is away, so that the check as a whole fails.
setpriv --reuid gatepost --regid gatepost --clear-groups gatepost check --format json \
    --config /etc/gatepost/gatepost.yaml > /root/check.json || test $? = 1
cat /root/check.json
test "$(grep -c 'can be written by' /root/check.json)" -gt 0
if grep -E 'cannot be written|has the mode' /root/check.json; then exit 1; fi
systemd-analyze verify /etc/systemd/system/gatepost.service
# As docs/running.md says.
rating=$(systemd-analyze security --no-pager gatepost.service | grep 'exposure level')
echo "$rating"
grep ': 1.1 OK' <<< "$rating"
"#;

fn the_unit_without_the_package_hides_nothing_from_plugins_and_check(
    engine: &Engine,
) -> Result<()> {
    let root = SystemdRoot
        .locate()
        .map_err(|error| LeftOut(format!("{error:#}")))?;
    let folder = engine.folder("systemd-bare")?;
    let unit = "deploy/systemd/gatepost.service";
    fs::create_dir_all(folder.join("deploy/systemd"))?;
    fs::copy(layout::root().join(unit), folder.join(unit))?;
    fs::copy(built::static_outpost()?, folder.join("gatepost"))?;
    // The unit lets the service write this one only where it is there.
    let configuration = CONFIGURATION.replace("stateDir: /var/lib/gatepost-state\n", "");
    fs::write(folder.join("gatepost.yaml"), configuration)?;
    let running = start(engine, &root, &folder)?;
    running.steps(&[
        ("installing", BARE),
        ("after the unit of before", DYNAMIC_BEFORE),
        ("serving", BARE_SERVES),
    ])
}

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
    running.steps(&[
        ("installing", INSTALL),
        ("reloading", RELOAD),
        ("restarting", RESTART),
        ("with its socket", SOCKET),
        ("posting to its socket", POSTS),
        ("hanging", HANG),
        ("removing", REMOVE),
    ])
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
    /// Runs one script after the other. An error has the end of the journal.
    fn steps(&self, steps: &[(&str, &str)]) -> Result<()> {
        for (what, script) in steps {
            self.sh(script).with_context(|| {
                let journal = self.sh("journalctl --no-pager | tail -40");
                format!("{what}; {}", journal.unwrap_or_default())
            })?;
        }
        Ok(())
    }

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
