//! `gatepost keygen`: a new key.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_session::KeyId;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::output::{complain, said, say};
use crate::assertion::{Algorithm, AssertionKeys};

/// How assertions are signed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum AssertionAlgorithm {
    /// ECDSA with P-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<AssertionAlgorithm> for Algorithm {
    fn from(algorithm: AssertionAlgorithm) -> Self {
        match algorithm {
            AssertionAlgorithm::Es256 => Self::Es256,
            AssertionAlgorithm::EdDsa => Self::EdDsa,
        }
    }
}

pub(super) fn keygen(
    kid: &str,
    assertion: Option<AssertionAlgorithm>,
    file: Option<&Path>,
) -> Option<()> {
    let line = said(match assertion {
        Some(algorithm) => {
            AssertionKeys::generate(algorithm.into()).map_err(|error| error.to_string())
        }
        None => new_key(kid),
    })?;
    let Some(file) = file else {
        say(&line);
        return Some(());
    };
    let written = write_once(file, &line);
    let written = said(written.map_err(|error| format!("{}: {error}", file.display())))?;
    let outcome = if written {
        "has a new key"
    } else {
        "has keys already and stays as it is"
    };
    // Standard output is for keys alone.
    complain(&format!("{} {outcome}", file.display()));
    Some(())
}

/// Makes a line of the keys file.
fn new_key(kid: &str) -> Result<Zeroizing<String>, String> {
    let mut key = Zeroizing::new([0; 32]);
    let mut tail = [0; 2];
    getrandom::fill(key.as_mut_slice())
        .and_then(|()| getrandom::fill(&mut tail))
        .map_err(|error| format!("the operating system has no randomness: {error}"))?;
    let id = if kid.is_empty() {
        let date = chrono::Utc::now().format("%Y-%m-%d");
        format!("{date}-{:04x}", u16::from_be_bytes(tail))
    } else {
        kid.to_owned()
    };
    if KeyId::new(&id).is_none() {
        return Err(format!(
            "--kid `{id}`: expected 1 to 64 letters, digits, `.`, `_` or `-`"
        ));
    }
    let key = Zeroizing::new(STANDARD.encode(key.as_slice()));
    Ok(Zeroizing::new(format!("{id}:{}", *key)))
}

/// Writes the file unless it has something already. Returns whether it did.
///
/// The file appears whole or not at all: containers that start at the same time may all ask for it.
fn write_once(file: &Path, line: &str) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(found) => return keys_of(&found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // With mode 0600 from the beginning.
    let mut draft = NamedTempFile::new_in(folder)?;
    writeln!(draft, "{line}")?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(file) {
        Ok(_) => Ok(true),
        // Another one was faster, or the name is a link that leads nowhere: an error by `metadata`.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            keys_of(&fs::metadata(file)?)
        }
        Err(error) => Err(error.error),
    }
}

/// Checks that a file which exists has keys, and returns that it stays as it is. An empty one is
/// refused: two processes that fill it at the same time would replace each other's key.
fn keys_of(found: &fs::Metadata) -> io::Result<bool> {
    if !found.is_file() {
        Err(io::Error::other("it is not a regular file"))
    } else if found.len() == 0 {
        Err(io::Error::other("the file is empty: remove it first"))
    } else {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_one_key_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatepost.keys");
        assert!(write_once(&file, "one:x").unwrap());
        assert!(!write_once(&file, "two:y").unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "one:x\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(write_once(&empty, "three:z").is_err());
        assert_eq!(fs::read_to_string(&empty).unwrap(), "");
        assert!(write_once(folder.path(), "four:z").is_err());
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
            assert!(write_once(&link, "five:z").is_err());
        }
        assert!(write_once(&folder.path().join("missing/file"), "x").is_err());
    }

    #[test]
    fn of_many_at_once_one_makes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatepost.keys");
        let wrote = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8)
                .map(|id| {
                    let file = &file;
                    scope.spawn(move || write_once(file, &format!("{id}:x")).unwrap().then_some(id))
                })
                .collect();
            let answers = asked.into_iter().map(|one| one.join().unwrap());
            answers.flatten().collect::<Vec<_>>()
        });
        let [winner] = wrote[..] else {
            panic!("{wrote:?}")
        };
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{winner}:x\n"));
    }

    #[test]
    fn keys_have_the_requested_id_or_one_of_their_own() {
        assert!(new_key("mine").unwrap().starts_with("mine:"));
        assert_ne!(*new_key("").unwrap(), *new_key("").unwrap());
        assert!(new_key("no good").is_err());
    }
}
