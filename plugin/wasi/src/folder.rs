//! Which folder of the host has a file.

/// Returns how the path is called within this folder, which the host mounts: `None` where it is not
/// in it, an empty text for the folder itself.
///
/// A guest has no root folder and no current one: paths and folders are compared from `/` on.
pub(crate) fn within<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let mut folder = from_root(folder);
    while let Some(rest) = folder.strip_suffix('/') {
        folder = rest;
    }
    let mut rest = from_root(path).strip_prefix(folder)?;
    if folder.is_empty() || rest.is_empty() {
        return Some(rest);
    }
    rest = rest.strip_prefix('/')?;
    while let Some(behind) = rest.strip_prefix('/') {
        rest = behind;
    }
    Some(rest)
}

/// Removes `/` and `./` from the beginning.
fn from_root(path: &str) -> &str {
    let mut path = path;
    while let Some(rest) = path.strip_prefix('/').or_else(|| path.strip_prefix("./")) {
        path = rest;
    }
    if path == "." { "" } else { path }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_file_is_in_the_folder_that_its_path_begins_with() {
        for (folder, path, expected) in [
            ("/gatepost", "/gatepost/state.json", Some("state.json")),
            ("/gatepost/", "/gatepost/state.json", Some("state.json")),
            ("gatepost", "/gatepost/state.json", Some("state.json")),
            ("/gatepost", "gatepost/a/b", Some("a/b")),
            ("/gatepost", "./gatepost/a", Some("a")),
            ("/gatepost", "/gatepost//a", Some("a")),
            ("/", "/gatepost/a", Some("gatepost/a")),
            (".", "a", Some("a")),
            ("", "/a", Some("a")),
            ("/gatepost", "/gatepost", Some("")),
            ("/gatepost", "/gatepost-keys/a", None),
            ("/gatepost", "/gate/a", None),
            ("/gatepost/keys", "/gatepost/a", None),
        ] {
            assert_eq!(within(folder, path), expected, "{path} in {folder}");
        }
    }
}
