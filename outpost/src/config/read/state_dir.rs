//! The folder that plugins read.

use std::path::{Path, PathBuf};

use gatepost_policy::config::Fields;

use crate::application::ApplicationSettings;
use crate::export::state::has_file_name;

/// Reads where it is.
pub(super) fn state_dir(fields: &mut Fields<'_>, revoked_file: Option<&Path>) -> Option<PathBuf> {
    let folder = fields.text("stateDir").map(PathBuf::from)?;
    // A relative path would follow the working folder of whatever starts the outpost.
    if !folder.is_absolute() {
        fields.problem(
            "stateDir",
            "expected an absolute path, like `/var/lib/gatepost/state`",
        );
    }
    // In the folder, it would be a file of something else, or one of two lists in one place.
    if revoked_file.is_some_and(|file| file.starts_with(&folder)) {
        fields.problem(
            "revokedFile",
            "lies in the folder of `stateDir`, which has a list of its own: write it elsewhere, or \
             leave it out",
        );
    }
    Some(folder)
}

/// Reports applications whose files could not be written.
pub(super) fn report_names(applications: &[ApplicationSettings], fields: &Fields<'_>) {
    for application in applications.iter().filter(|own| !has_file_name(own)) {
        fields.problem(
            "applications",
            format!(
                "the name `{}` is too long for a file in `stateDir`: shorten it. A character other \
                 than a letter, a digit, `.`, `_`, `-` and `~` takes three bytes of 225",
                application.audience
            ),
        );
    }
}
