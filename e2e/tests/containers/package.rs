//! The Debian package, by the real `dpkg`, over a copy of the system that is gone afterwards.

use std::fs;
use std::process::Command;

use anyhow::Result;
use gatepost_e2e::built;
use gatepost_e2e::containers::Engine;

use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "package::is_installed_upgraded_and_purged",
        run: is_installed_upgraded_and_purged,
    },
    Test {
        name: "package::is_as_debian_wants_it",
        run: is_as_debian_wants_it,
    },
];

/// What an administrator does, with `$1` the folder for the changes, and the packages after it. Each
/// command has to succeed.
const STEPS: &str = r#"
set -eux
changes=$1 first=$2 second=$3
for top in etc usr var; do
    mkdir -p "$changes/$top" "$changes/$top.work"
    mount -t overlay overlay \
        -o "lowerdir=/$top,upperdir=$changes/$top,workdir=$changes/$top.work" "/$top"
done
# The scripts must not reach the service manager of this machine.
mount -t tmpfs tmpfs /run
mode() { stat --format '%a %U:%G' "$1"; }

# This machine's own, if it has any.
rm -rf /etc/gatepost /var/lib/gatepost /var/lib/gatepost-state
keys=/etc/gatepost/keys/gatepost.keys
# A run that breaks off leaves no keys that the service cannot read, and the next one goes on.
mkdir /etc/gatepost
ln -s /nowhere /etc/gatepost/keys
if dpkg --install "$first"; then exit 1; fi
rm /etc/gatepost/keys
mkdir /etc/gatepost/keys
echo draft > $keys.draft
# The administrator's umask closes nothing, and opens nothing.
umask 077
dpkg --configure gatepost
test "$(ls -A /etc/gatepost/keys)" = gatepost.keys
test "$(mode /etc/gatepost)" = '750 root:gatepost'
test "$(mode /etc/gatepost/keys)" = '750 root:gatepost'
test "$(mode $keys)" = '640 root:gatepost'
test "$(getent passwd gatepost | cut -d: -f7)" = /usr/sbin/nologin
# Whose service can read what it needs, and others cannot.
setpriv --reuid gatepost --regid gatepost --clear-groups cat $keys > "$changes/before"
if setpriv --reuid nobody --regid nogroup --clear-groups cat $keys; then exit 1; fi
test "$(mode /var/lib/gatepost)" = '700 gatepost:gatepost'
test "$(mode /var/lib/gatepost-state)" = '2750 gatepost:gatepost'
# As the administrator sets it for a proxy.
chgrp www-data /var/lib/gatepost-state
dpkg --listfiles gatepost | while read -r file; do
    setpriv --reuid nobody --regid nogroup --clear-groups test -r "$file"
done
setpriv --reuid nobody --regid nogroup --clear-groups gatepost --version
dpkg-deb --contents "$first" | awk '{ print $1, $2 }' | LC_ALL=C sort -u > "$changes/modes"
printf '%s root/root\n' -rw-r--r-- -rwxr-xr-x drwxr-xr-x | cmp - "$changes/modes"
test -s /usr/share/man/man1/gatepost-serve.1.gz
bash -n /usr/share/bash-completion/completions/gatepost
test -z "$(ls /etc/systemd/system/*/gatepost.* 2>/dev/null)"
grep -q '^ExecStart=/usr/bin/gatepost ' /lib/systemd/system/gatepost.service

setpriv --reuid gatepost --regid gatepost --clear-groups touch /var/lib/gatepost/sessions.db
if grep -q '^DynamicUser' /lib/systemd/system/gatepost.service; then exit 1; fi
gatepost export compose --config /usr/share/doc/gatepost/examples/single.yaml > /dev/null

# The example of the package with the keys of the package is a configuration.
cp /usr/share/doc/gatepost/examples/gatepost.yaml /etc/gatepost/gatepost.yaml
gatepost export compose --config /etc/gatepost/gatepost.yaml > /dev/null

# The same package again, an upgrade and a second installation keep the keys, and what the administrator
# has changed: here the service gets its keys from systemd (`LoadCredential=`).
chmod 0700 /etc/gatepost /etc/gatepost/keys
chmod 0600 $keys
chown root:root $keys
chmod 0750 /var/lib/gatepost
unchanged() {
    cmp $keys "$changes/before"
    test "$(mode /etc/gatepost)" = '700 root:gatepost'
    test "$(mode /etc/gatepost/keys)" = '700 root:gatepost'
    test "$(mode $keys)" = '600 root:root'
    test "$(mode /var/lib/gatepost)" = '750 gatepost:gatepost'
    test "$(mode /var/lib/gatepost-state)" = '2750 gatepost:www-data'
}
dpkg --install "$first"
unchanged
dpkg --install "$second"
unchanged
dpkg --verify gatepost
test -s /var/lib/dpkg/info/gatepost.md5sums
zcat /usr/share/doc/gatepost/changelog.gz | grep '^gatepost (0.1.1) '
# As `systemctl enable` makes it.
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /lib/systemd/system/gatepost.service /etc/systemd/system/multi-user.target.wants/
dpkg --remove gatepost
unchanged
dpkg --install "$second"
unchanged
# Keys that the administrator has taken away, since they come from elsewhere, do not come back.
mv $keys /etc/gatepost/elsewhere.keys
dpkg --install "$second"
test -z "$(ls -A /etc/gatepost/keys)"
mv /etc/gatepost/elsewhere.keys $keys

# Without the program, everything of the administrator is there; after the purge nothing is.
dpkg --remove gatepost
cmp $keys "$changes/before"
test ! -e /usr/bin/gatepost
test -e /var/lib/gatepost/sessions.db
dpkg --purge gatepost
test ! -e /etc/gatepost
test ! -e /var/lib/gatepost
test ! -e /var/lib/gatepost-state
test ! -L /etc/systemd/system/multi-user.target.wants/gatepost.service
"#;

fn is_installed_upgraded_and_purged(engine: &Engine) -> Result<()> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return Err(LeftOut("there is no dpkg".to_owned()).into());
    }
    let program = built::static_outpost()?;
    let folder = engine.folder("package")?;
    let mut packages = Vec::new();
    for version in ["0.1.0", "0.1.1"] {
        packages.push(built::debian_package(&program, version, &folder)?);
    }
    let changes = folder.join("changes");
    fs::create_dir(&changes)?;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", STEPS, "sh"])
        .arg(&changes)
        .args(&packages)
        .output()?;
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Debian's own checker. The program is that of a debug build, without its symbols, as a release has it.
fn is_as_debian_wants_it(engine: &Engine) -> Result<()> {
    if Command::new("lintian").arg("--version").output().is_err() {
        return Err(LeftOut("there is no lintian".to_owned()).into());
    }
    let folder = engine.folder("lintian")?;
    let program = folder.join("gatepost");
    let mut strip = Command::new("strip");
    built::run(strip.arg("-o").arg(&program).arg(built::static_outpost()?))?;
    let version = env!("CARGO_PKG_VERSION");
    let package = built::debian_package(&program, version, &folder)?;
    let output = Command::new("lintian")
        .args(["--fail-on", "error,warning", "--allow-root"])
        .arg(&package)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    Ok(())
}
