//! Whether the folder that plugins read can be written, is, and says what this configuration says.

use std::io::ErrorKind;

use gatepost_policy::state::{RENEWED_FILE, STALE_SECONDS, renewed_at};
use gatepost_session::NumericDate;

use super::report::{Report, Subject};
use super::store_file;
use crate::export::state::StateFiles;
use crate::runtime::{differing, foreign_file};

/// Adds what can be seen of the folder of these files from here.
pub(super) fn check(files: &StateFiles, now: NumericDate, report: &mut Report) {
    let subject = Subject::StateDir;
    let folder = files.folder.as_path();
    let shown = folder.display();
    let own_user = store_file::own_user();
    // The outpost makes the folder, and not those above it.
    let (place, is_there) = match (folder.is_dir(), folder.parent()) {
        (false, Some(parent)) => (parent, false),
        (is_there, _) => (folder, is_there),
    };
    // A name that an outpost takes for its own.
    let probe = format!(".{RENEWED_FILE}-check-{}.draft", std::process::id());
    match store_file::try_to_make(place, &probe) {
        Ok(()) if is_there => report.note(
            &subject,
            format!("{shown} can be written by {own_user}; plugins need to read it"),
        ),
        Ok(()) => report.note(&subject, format!("{shown} can be made by {own_user}")),
        Err(error) => report.failure(
            &subject,
            format!(
                "{}{} cannot be written by {own_user}: {error}. The outpost's user needs to write \
                 the folder",
                store_file::prefix(folder, place),
                place.display()
            ),
        ),
    }
    store_file::warn_of_root(folder, &subject, report);
    if !is_there {
        return;
    }
    match foreign_file(folder) {
        Ok(None) => {}
        Ok(Some(name)) => report.failure(
            &subject,
            format!(
                "{shown} has `{name}`, which no outpost has written, so the outpost does not write \
                 it: give it a folder of its own"
            ),
        ),
        Err(error) => report.failure(&subject, format!("{shown} cannot be read: {error}")),
    }
    match std::fs::read(folder.join(RENEWED_FILE)) {
        Ok(content) => match renewed_at(&content) {
            Some(renewed) if now > renewed.plus_seconds(STALE_SECONDS) => report.warning(
                &subject,
                format!(
                    "{shown} was last renewed {} s ago: no outpost writes it now, or one cannot \
                     write all of it, which its log says. Plugins keep what it said last",
                    now.as_seconds().saturating_sub(renewed.as_seconds())
                ),
            ),
            Some(_) => {
                report.note(&subject, "an outpost renews it");
                compare(files, report);
            }
            None => report.warning(
                &subject,
                format!(
                    "{shown}/{RENEWED_FILE} is of another version, or damaged: plugins of this \
                     version answer 503 until the outpost has renewed it"
                ),
            ),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => report.warning(
            &subject,
            format!(
                "{shown} has no `{RENEWED_FILE}`: no outpost has written all of it yet, and plugins \
                 answer 503 until one has"
            ),
        ),
        Err(error) => report.failure(
            &subject,
            format!("{shown}: `{RENEWED_FILE}` cannot be read: {error}"),
        ),
    }
}

/// Compares each application's file with what this configuration has written there: keys, rules,
/// public paths, headers and addresses.
fn compare(files: &StateFiles, report: &mut Report) {
    let subject = Subject::StateDir;
    let differing = differing(files);
    if differing.is_empty() {
        report.note(&subject, "it says what this configuration says");
        return;
    }
    report.warning(
        &subject,
        format!(
            "{} in {} would be another by this configuration: the outpost has not read it yet, or \
             one with another configuration or other keys writes the folder",
            differing.join(", "),
            files.folder.display()
        ),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gatepost_policy::state::renewed_text;

    use super::*;
    use crate::config::Config;
    use crate::fixture::KEYS;

    fn files_in(folder: &Path) -> StateFiles {
        let yaml = format!(
            "
keys: ['{}']
providers: [{{ name: main, issuer: 'https://id.example.com', clientId: g }}]
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    rules: [{{ paths: [/admin/*], require: {{ groups: [admins] }} }}, {{ signedIn: true }}]
",
            KEYS[0]
        );
        let config = Config::parse(&yaml, []).expect("right");
        let issuers = |_: &_| vec!["https://id.example.com"];
        StateFiles::new(
            folder.to_owned(),
            &config.applications,
            &config.keys,
            issuers,
            &config.trusted_proxies,
            true,
        )
    }

    /// Row A14: a rule that only the configuration has is not enforced behind the plugin.
    #[test]
    fn what_the_folder_says_otherwise_than_the_configuration_is_named() {
        let parent = tempfile::tempdir().expect("a folder");
        let files = files_in(parent.path());
        let now = NumericDate::from_seconds(1_800_000_000);
        let write = |name: &str, content: &[u8]| {
            std::fs::write(parent.path().join(name), content).expect("written");
        };
        write(RENEWED_FILE, renewed_text(now).as_bytes());
        let said = || {
            let mut report = Report::default();
            check(&files, now, &mut report);
            report.text()
        };
        let (name, content) = files.applications().next().expect("one application");
        assert!(said().contains(name), "no file: {}", said());
        write(name, content);
        assert!(
            said().contains("says what this configuration says"),
            "{}",
            said()
        );
        let text = String::from_utf8(content.to_vec()).expect("text");
        write(name, text.replace("admins", "staff").as_bytes());
        assert!(said().contains(&format!("`{name}`")), "a rule: {}", said());
    }

    #[test]
    fn the_folder_is_looked_at_and_left_as_it_was() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("state");
        let now = NumericDate::from_seconds(1_800_000_000);
        let files = files_in(&folder);
        let text = || {
            let mut report = Report::default();
            check(&files, now, &mut report);
            (report.is_ok(), report.text())
        };
        let says = |expected: bool, part: &str| {
            let (is_ok, said) = text();
            assert!(is_ok == expected && said.contains(part), "{part}: {said}");
        };
        says(true, "can be made by");
        std::fs::create_dir(&folder).expect("made");
        says(true, "no outpost has written all of it yet");
        let write = |name: &str, content: &str| {
            std::fs::write(folder.join(name), content).expect("written");
        };
        write(RENEWED_FILE, &renewed_text(now));
        says(true, "an outpost renews it");
        let earlier = NumericDate::from_seconds(1_800_000_000 - STALE_SECONDS - 1);
        write(RENEWED_FILE, &renewed_text(earlier));
        says(true, "last renewed 121 s ago");
        write(RENEWED_FILE, "gatepost-state 2 1800000000\n");
        says(true, "of another version");
        std::fs::remove_file(folder.join(RENEWED_FILE)).expect("removed");
        write("passwd", "x");
        says(false, "has `passwd`");
        let names = std::fs::read_dir(&folder).expect("listed").count();
        assert_eq!(names, 1, "nothing of this check stays");
        let nowhere = files_in(&parent.path().join("a/b"));
        let mut report = Report::default();
        check(&nowhere, now, &mut report);
        assert!(!report.is_ok(), "{}", report.text());
    }
}
