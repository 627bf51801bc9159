//! Whether the list of revoked sessions can be written where `revokedFile` says, and whether plugins read it.
//!
//! A plugin that cannot open the list accepts ended sessions to the end of their windows, and says so only
//! in Traefik's log.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::report::{Report, Subject};
use super::store_file;
use crate::config::Config;
use crate::export::PluginKeys;

/// Adds what can be seen from here of the list's file, if the configuration has one.
pub(super) fn check(config: &Config, report: &mut Report) {
    if let Some(path) = &config.revoked_file {
        try_to_write(path, report);
        if let Some(closed) = closed_to_others(path) {
            report.warning(&Subject::RevokedFile, closed);
        }
    }
    if config.revoked_file.is_none() && config.state_dir.is_none() {
        report.note(
            &Subject::RevokedFile,
            format!(
                "neither `stateDir` nor `revokedFile` is set: behind the plugin, an ended session goes \
                 on to the end of its window ({} minutes at most)",
                config.session.window.div_ceil(60)
            ),
        );
    }
    if let Some(warning) = unread(config) {
        report.warning(&Subject::RevokedFile, warning);
    }
}

/// The folder that the unit of deploy/systemd makes (`RuntimeDirectory=`).
const OF_UNIT: &str = "/run/gatepost";

fn try_to_write(path: &Path, report: &mut Report) {
    let subject = Subject::RevokedFile;
    let shown = path.display();
    let own_user = store_file::own_user();
    let folder = folder_of(path);
    // A draft that the outpost itself could leave there.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let probe = format!(".{name}-check-{}.draft", std::process::id());
    match store_file::try_to_make(folder, &probe) {
        Ok(()) if path.is_dir() => report.failure(
            &subject,
            format!("{shown} is a folder, and the outpost writes a file"),
        ),
        Ok(()) => report.note(
            &subject,
            format!("{shown} can be written by {own_user}; plugins need to read it"),
        ),
        // In the order of docs/getting-started.md, the check is before the service's first start.
        Err(error) if error.kind() == ErrorKind::NotFound && folder == Path::new(OF_UNIT) => report
            .warning(
                &subject,
                format!(
                    "{shown}: there is no folder {OF_UNIT} yet: the unit `gatepost.service` makes it when \
                     it starts. Without the unit, make it for the outpost's user"
                ),
            ),
        Err(error) if error.kind() == ErrorKind::NotFound => report.failure(
            &subject,
            format!(
                "{shown}: there is no folder {}, and the outpost does not make it: make it for the \
                 outpost's user, or have the service manager do so (`RuntimeDirectory=`)",
                folder.display()
            ),
        ),
        Err(error) => report.failure(
            &subject,
            format!(
                "{shown}: {} cannot be written by {own_user}: {error}. The outpost's user needs to \
                 write the folder, since it replaces the file as a whole",
                folder.display()
            ),
        ),
    }
    store_file::warn_of_root(path, &subject, report);
}

/// Returns the folder of a file; that of a bare name is the working folder.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns what keeps other users than its owner and its group from the file, if anything: Traefik runs as
/// a user of its own.
#[cfg(unix)]
fn closed_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let shown = path.display();
    let folders: Vec<&Path> = folder_of(path).ancestors().collect();
    // From the root, as Traefik finds the file.
    for folder in folders.into_iter().rev() {
        if let Some(mode) = mode(folder)
            && mode & 0o001 == 0
        {
            return Some(format!(
                "{shown}: {} has the mode {mode:03o}, so only its owner and its group find the file: a \
                 Traefik that runs as another user accepts ended sessions to the end of their windows \
                 (chmod o+x, or add Traefik's user to the group)",
                folder.display()
            ));
        }
    }
    let mode = mode(path).filter(|mode| mode & 0o004 == 0)?;
    Some(format!(
        "{shown} has the mode {mode:03o}, and the outpost gives it 644: a Traefik that runs as another \
         user accepts ended sessions to the end of their windows until the next one ends (chmod o+r)"
    ))
}

#[cfg(not(unix))]
fn closed_to_others(_: &Path) -> Option<String> {
    None
}

/// Returns how the plugins of an exported configuration do not read what the outpost writes.
fn unread(config: &Config) -> Option<String> {
    let plugin = config.traefik.as_ref()?.plugin.as_ref()?;
    if let PluginKeys::StateDir(_) = plugin.keys {
        return None;
    }
    match (&config.revoked_file, &plugin.revoked_file) {
        (Some(path), None) => Some(format!(
            "plugins do not read {}: set `traefik.pluginRevokedFile` to its path as Traefik mounts it",
            path.display()
        )),
        (None, Some(path)) => Some(format!(
            "plugins read {path} (`traefik.pluginRevokedFile`), and no outpost of this configuration \
             writes it: set `revokedFile`"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::KEYS;

    fn said(more: &str) -> (bool, String) {
        let yaml = format!(
            "
keys: ['{}']
providers: [{{ name: main, issuer: 'https://id.example.com', clientId: g }}]
applications: [{{ name: wiki, externalUrl: https://wiki.example.com }}]
{more}
",
            KEYS[0]
        );
        let config = Config::parse(&yaml, []).expect("right");
        let mut report = Report::default();
        check(&config, &mut report);
        (report.is_ok(), report.text())
    }

    #[cfg(unix)]
    #[test]
    fn what_keeps_plugins_from_the_list_is_said() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("run");
        let file = folder.join("revoked");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        };
        mode(parent.path(), 0o755);
        let says = |expected: bool, part: &str| {
            let (is_ok, said) = said(&format!("revokedFile: {}", file.display()));
            assert!(is_ok == expected && said.contains(part), "{part}: {said}");
            said
        };
        says(false, "and the outpost does not make it");
        fs::create_dir(&folder).expect("made");
        mode(&folder, 0o750);
        says(true, "run has the mode 750");
        mode(&folder, 0o755);
        let right = says(true, "can be written by");
        assert!(!right.contains("mode"), "{right}");
        fs::write(&file, "").expect("written");
        mode(&file, 0o600);
        says(true, "revoked has the mode 600");
        mode(&file, 0o644);
        assert!(!says(true, "can be written by").contains("mode"));
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("made");
        says(false, "is a folder");
    }

    #[test]
    fn a_list_that_only_one_side_knows_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = format!("revokedFile: {}\n", folder.path().join("revoked").display());
        let traefik = |more: &str| {
            format!(
                "traefik: {{ outpostUrl: 'http://outpost:9000', plugin: gatepost, \
                 pluginKeysFile: /keys/gatepost.keys{more} }}\n"
            )
        };
        let reads = ", pluginRevokedFile: /run/gatepost/revoked";
        for (written, read, expected) in [
            (file.as_str(), "", Some("plugins do not read")),
            ("", reads, Some("no outpost of this configuration")),
            (file.as_str(), reads, None),
            ("", "", None),
        ] {
            let (_, said) = said(&format!("{written}{}", traefik(read)));
            match expected {
                Some(part) => assert!(said.contains(part), "{part}: {said}"),
                None => assert!(!said.contains("plugins read /") && !said.contains("do not read")),
            }
        }
    }
}
