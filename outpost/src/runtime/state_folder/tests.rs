use std::fs;

use gatepost_session::NumericDate;
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::fixture::KEYS;

/// Returns the files of a configuration with these applications.
fn files(folder: &Path, applications: &[&str], is_complete: bool) -> Arc<StateFiles> {
    let applications: Vec<String> = applications
        .iter()
        .map(|name| format!("{{name: {name}, externalUrl: 'https://{name}.example.com'}}"))
        .collect();
    let yaml = format!(
        "
keys: ['{}']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications: [{}]
",
        KEYS[0],
        applications.join(", ")
    );
    let config = Config::parse(&yaml, []).expect("right");
    Arc::new(StateFiles::new(
        folder.to_owned(),
        &config.applications,
        &config.keys,
        |_| vec!["https://id.example.com"],
        &config.trusted_proxies,
        is_complete,
    ))
}

/// Returns a writer in a process that keeps the list of revoked sessions.
fn writer() -> Writer {
    Writer {
        has_list: true,
        ..Writer::new(Clock::new(|| NumericDate::from_seconds(1_800_000_000)))
    }
}

fn listed_revoked(folder: &Path) {
    fs::write(folder.join(REVOKED_FILE), "a list").expect("written");
}

/// Returns the names of what is in a folder, in order.
fn listed(folder: &Path) -> Vec<String> {
    let mut names = names(folder).expect("listed");
    names.sort();
    names
}

fn read(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).expect(name)
}

#[test]
fn the_folder_is_as_the_configuration_says_and_readable_by_its_group() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("state");
    let mut writer = writer();
    writer
        .write(files(&folder, &["wiki", "chat"], true))
        .expect("written");
    // Not before the list of revoked sessions is there, which another task writes.
    assert!(!folder.join(RENEWED_FILE).exists());
    fs::write(folder.join(REVOKED_FILE), "a list").expect("written");
    writer
        .write(files(&folder, &["wiki", "chat"], true))
        .expect("written");
    let all = [
        "application-chat.json",
        "application-wiki.json",
        "gatepost-state",
        "lock",
        "revoked",
    ];
    assert_eq!(listed(&folder), all);
    let renewed = fs::read_to_string(folder.join(RENEWED_FILE)).expect("there");
    assert_eq!(renewed, "gatepost-state 1 1800000000\n");
    #[cfg(unix)]
    for (name, expected) in [("", 0o750), ("application-wiki.json", 0o640)] {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(folder.join(name)).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{name}");
    }
    // An application that is no longer configured must not be served any more.
    writer
        .write(files(&folder, &["chat"], true))
        .expect("written");
    assert!(!folder.join("application-wiki.json").exists());
    assert!(folder.join("application-chat.json").exists());
}

/// Row B9: plugins that still read a folder which the configuration has left would serve the rules
/// of that day for ever.
#[test]
fn a_folder_that_the_configuration_leaves_is_closed() {
    let parent = tempfile::tempdir().expect("a folder");
    let (first, second) = (parent.path().join("first"), parent.path().join("second"));
    let mut own = writer();
    let mut serve = |folder: Option<&Path>| {
        let state = folder.map(|folder| files(folder, &["wiki"], true));
        own.step(state.clone());
        if let Some(folder) = folder {
            listed_revoked(folder);
            // The list of this process, and not one that was there.
            own.has_list = true;
        }
        own.step(state);
    };
    let closed = ["lock", "revoked"];
    let open = ["application-wiki.json", "gatepost-state", "lock", "revoked"];
    serve(Some(&first));
    assert_eq!(listed(&first), open);
    serve(Some(&second));
    assert_eq!(listed(&first), closed);
    assert_eq!(listed(&second), open);
    serve(None);
    assert_eq!(listed(&second), closed);
    // Another outpost can have it, and so can this one again.
    let mut other = writer();
    other
        .write(files(&second, &["wiki"], true))
        .expect("written");
    assert_eq!(listed(&second), open);
    drop(other);
    serve(Some(&second));
    assert_eq!(listed(&second), open);
}

/// An outpost that waits for a folder, or that ends, has not left it.
#[test]
fn only_the_outpost_that_writes_a_folder_closes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    listed_revoked(folder.path());
    let (mut first, mut second) = (writer(), writer());
    first
        .write(files(folder.path(), &["wiki"], true))
        .expect("written");
    second.step(Some(files(folder.path(), &["wiki"], true)));
    second.step(None);
    drop(first);
    assert!(folder.path().join(RENEWED_FILE).exists());
    assert!(folder.path().join("application-wiki.json").exists());
}

/// A folder that cannot be emptied is tried again, and keeps no other from being written.
#[test]
fn a_folder_that_cannot_be_closed_is_tried_again() {
    let parent = tempfile::tempdir().expect("a folder");
    let (first, second) = (parent.path().join("first"), parent.path().join("second"));
    let mut writer = writer();
    writer.step(Some(files(&first, &["wiki"], true)));
    let in_the_way = first.join("application-other.json");
    fs::create_dir(&in_the_way).expect("made");
    let next = files(&second, &["wiki"], true);
    writer.step(Some(Arc::clone(&next)));
    assert!(!first.join("application-wiki.json").exists());
    assert!(second.join("application-wiki.json").exists());
    assert_eq!(writer.left.len(), 1);
    fs::remove_dir(&in_the_way).expect("removed");
    writer.step(Some(next));
    assert!(writer.left.is_empty());
}

/// Row B9: a file that fails must not keep an application open that is no longer configured, nor
/// keep another's new rule from its plugins.
#[test]
fn one_application_that_fails_holds_back_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mut writer = writer();
    writer
        .write(files(path, &["old", "wiki"], true))
        .expect("written");
    listed_revoked(path);
    for name in ["application-chat.json", "application-aaa.json"] {
        fs::create_dir(path.join(name)).expect("made");
        fs::write(path.join(name).join("x"), "").expect("written");
    }
    let own = files(path, &["chat", "mail", "wiki"], true);
    let error = writer.write(Arc::clone(&own)).expect_err("in the way");
    let said = error.to_string();
    for name in ["application-chat.json", "application-aaa.json"] {
        assert!(said.contains(&format!("`{name}`: ")), "{said}");
    }
    assert!(!path.join("application-old.json").exists());
    assert!(path.join("application-mail.json").exists());
    assert!(!path.join(RENEWED_FILE).exists(), "not all of it is so");
    for name in ["application-chat.json", "application-aaa.json"] {
        fs::remove_dir_all(path.join(name)).expect("removed");
    }
    writer.write(own).expect("written");
    assert!(path.join(RENEWED_FILE).exists());
}

/// Row B9: "renewed" says that all of the folder is as the outpost has it.
#[test]
fn a_folder_is_renewed_with_this_processs_list_and_known_applications_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    listed_revoked(folder.path());
    let renewed = folder.path().join(RENEWED_FILE);
    let mut writer = writer();
    for (has_list, is_complete, expected) in [
        (false, true, false),
        (true, false, false),
        (false, false, false),
        (true, true, true),
    ] {
        writer.has_list = has_list;
        writer
            .write(files(folder.path(), &["wiki"], is_complete))
            .expect("written");
        assert_eq!(renewed.exists(), expected, "{has_list} {is_complete}");
    }
}

/// A writer that has panicked begins again, and meanwhile does not claim to write the folder.
#[tokio::test]
async fn a_step_that_panics_is_not_the_last() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    listed_revoked(&path);
    let asked = AtomicUsize::new(0);
    let clock = Clock::new(move || {
        assert!(asked.fetch_add(1, Ordering::SeqCst) > 0, "a first panic");
        NumericDate::from_seconds(1_800_000_000)
    });
    let state = Arc::new(StateFolder::default());
    let seen = Arc::clone(&state);
    let own = files(&path, &["wiki"], true);
    let renewed = path.join(RENEWED_FILE);
    let steps = AtomicUsize::new(0);
    Arc::clone(&state)
        .follow(
            clock,
            move || {
                if seen.problem().is_some() {
                    assert_eq!(seen.revoked_file(), None, "it is not written meanwhile");
                }
                seen.note_list(&path.join(REVOKED_FILE), true);
                let over = renewed.exists() || steps.fetch_add(1, Ordering::SeqCst) > 20;
                if over {
                    Wanted::End
                } else {
                    Wanted::Files(Arc::clone(&own))
                }
            },
            || {},
        )
        .await;
    assert!(folder.path().join(RENEWED_FILE).exists());
}

/// A source of applications that does not answer at a start must not shut those of before.
#[test]
fn no_application_goes_while_they_are_not_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = writer();
    writer
        .write(files(folder.path(), &["wiki"], true))
        .expect("written");
    writer
        .write(files(folder.path(), &["chat"], false))
        .expect("written");
    assert!(folder.path().join("application-wiki.json").exists());
    writer
        .write(files(folder.path(), &["chat"], true))
        .expect("written");
    assert!(!folder.path().join("application-wiki.json").exists());
}

/// Row B9: a mistake in `stateDir` must not cost the files of another program.
#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["application-other.json", "passwd"] {
        fs::write(folder.path().join(name), name).expect("written");
    }
    let mut writer = writer();
    let error = writer
        .write(files(folder.path(), &["wiki"], true))
        .expect_err("foreign");
    assert!(error.to_string().contains("`passwd`"), "{error}");
    assert_eq!(listed(folder.path()), ["application-other.json", "passwd"]);
}

#[test]
fn drafts_of_a_writer_that_was_killed_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in [
        ".application-wiki.jsonAbC.draft",
        ".gatepost-stateAbC.draft",
        ".revokedAbC.draft",
    ] {
        fs::write(folder.path().join(name), "half").expect("written");
    }
    let mut writer = writer();
    writer
        .write(files(folder.path(), &["wiki"], true))
        .expect("written");
    assert_eq!(
        listed(folder.path()),
        [".revokedAbC.draft", "application-wiki.json", "lock"]
    );
}

/// Row B9: the next renewal mends a damaged file.
#[test]
fn a_damaged_file_is_written_again_when_the_folder_is_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(REVOKED_FILE), "a list").expect("written");
    let own = files(folder.path(), &["wiki"], true);
    let mut writer = writer();
    writer.write(Arc::clone(&own)).expect("written");
    let whole = read(&folder, "application-wiki.json");
    fs::write(folder.path().join("application-wiki.json"), "{").expect("written");
    writer.write(Arc::clone(&own)).expect("nothing to do");
    assert_eq!(read(&folder, "application-wiki.json"), "{");
    let held = writer.held.as_mut().expect("held");
    let (_, at) = held.written.as_mut().expect("written");
    *at = at
        .checked_sub(Duration::from_secs(RENEW_SECONDS))
        .expect("earlier");
    writer.write(own).expect("written");
    assert_eq!(read(&folder, "application-wiki.json"), whole);
}

/// Row B9: two outposts, of which one would take away what the other has written.
#[test]
fn one_outpost_writes_a_folder_and_the_other_waits_and_says_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, mut second) = (writer(), writer());
    first
        .write(files(folder.path(), &["wiki"], true))
        .expect("written");
    let same = second
        .write(files(folder.path(), &["wiki"], true))
        .expect_err("taken");
    let said = same.to_string();
    assert!(
        said.contains("another outpost") && !said.contains("differ"),
        "{said}"
    );
    let other = files(folder.path(), &["wiki", "chat"], true);
    let said = second
        .write(Arc::clone(&other))
        .expect_err("taken")
        .to_string();
    assert!(
        said.contains("`application-chat.json` would be another"),
        "{said}"
    );
    assert!(!folder.path().join("application-chat.json").exists());
    // It reads the files once for each configuration, and looks at the lock every few seconds.
    fs::write(folder.path().join("application-wiki.json"), "{").expect("written");
    let again = second.write(Arc::clone(&other)).expect_err("taken");
    assert_eq!(again.to_string(), said);
    let earlier = |writer: &mut Writer| {
        let waiting = writer.waiting.as_mut().expect("waiting");
        let looked = waiting.looked.checked_sub(LOOK_AT_LOCK_EVERY);
        waiting.looked = looked.expect("earlier");
    };
    earlier(&mut second);
    let again = second.write(Arc::clone(&other)).expect_err("taken");
    assert_eq!(again.to_string(), said);
    drop(first);
    earlier(&mut second);
    second.write(other).expect("the first has ended");
    assert!(folder.path().join("application-chat.json").exists());
}

#[cfg(unix)]
#[test]
fn a_folder_that_was_replaced_is_taken_again() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("state");
    let own = files(&folder, &["wiki"], true);
    let mut writer = writer();
    writer.write(Arc::clone(&own)).expect("written");
    fs::rename(&folder, parent.path().join("before")).expect("renamed");
    writer.write(own).expect("written");
    assert!(folder.join("application-wiki.json").exists());
}
