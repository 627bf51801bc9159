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
        is_complete,
    ))
}

fn writer() -> Writer {
    Writer::new(Clock::new(|| NumericDate::from_seconds(1_800_000_000)))
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
    writer.step(None);
    assert!(writer.held.is_none());
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

/// Row B9: what someone has damaged is as it was at the next renewal.
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
    drop(first);
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
