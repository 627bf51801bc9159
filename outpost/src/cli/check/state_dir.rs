//! Whether the folder that plugins read can be written, and is.

use std::io::ErrorKind;
use std::path::Path;

use gatepost_policy::state::{RENEWED_FILE, STALE_SECONDS, renewed_at};
use gatepost_session::NumericDate;

use super::report::{Report, Subject};
use super::store_file;
use crate::runtime::foreign_file;

/// Adds what can be seen of the folder from here.
pub(super) fn check(folder: &Path, now: NumericDate, report: &mut Report) {
    let subject = Subject::StateDir;
    let shown = folder.display();
    let as_whom = store_file::as_whom();
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
            format!("{shown} can be written by {as_whom}; plugins need to read it"),
        ),
        Ok(()) => report.note(&subject, format!("{shown} can be made by {as_whom}")),
        Err(error) => report.failure(
            &subject,
            format!(
                "{shown}: {} cannot be written by {as_whom}: {error}. The outpost's user needs to \
                 write the folder",
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
            Some(_) => report.note(&subject, "an outpost renews it"),
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

#[cfg(test)]
mod tests {
    use gatepost_policy::state::renewed_text;

    use super::*;

    #[test]
    fn the_folder_is_looked_at_and_left_as_it_was() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("state");
        let now = NumericDate::from_seconds(1_800_000_000);
        let text = || {
            let mut report = Report::default();
            check(&folder, now, &mut report);
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
        let nowhere = parent.path().join("a/b");
        let mut report = Report::default();
        check(&nowhere, now, &mut report);
        assert!(!report.is_ok(), "{}", report.text());
    }
}
